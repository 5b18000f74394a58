"""PgBouncer for tests: each transaction may get another connection of the server, and there are few of them."""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

from tests.servers.ports import free_port
from tests.servers.postgres import Postgres, unprivileged

__all__ = ["PgBouncer", "pgbouncer"]


@dataclass(frozen=True, slots=True)
class PgBouncer:
    """A running pooler."""

    port: int
    server: Postgres

    def url(self, database: str, user: str) -> str:
        """Where a database of the server is."""
        return f"postgresql://{user}:{self.server.passwords[user]}@127.0.0.1:{self.port}/{database}"


@contextmanager
def pgbouncer(server: Postgres, connections: int = 4) -> Iterator[PgBouncer]:
    """A new pooler in transaction mode, with so many connections to each database, until the block ends."""
    program = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        raise RuntimeError("PgBouncer is missing: apt install pgbouncer")
    base = Path(tempfile.mkdtemp(prefix="okf-pgbouncer-"))
    port = free_port()
    users = base / "users.txt"
    users.write_text("".join(f'"{user}" "{password}"\n' for user, password in server.passwords.items()))
    settings = base / "pgbouncer.ini"
    settings.write_text(
        f"""[databases]
* = host=127.0.0.1 port={server.port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = {users}
pool_mode = transaction
default_pool_size = {connections}
max_client_conn = 500
"""
    )
    account = unprivileged()
    if account is not None:
        for path in (base, users, settings):
            os.chown(path, account.pw_uid, account.pw_gid)
    process = None
    log = base / "log"
    try:
        with log.open("wb") as file:
            process = subprocess.Popen(
                [program, settings],
                stdout=file,
                stderr=file,
                cwd=base,
                **({} if account is None else {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}),
            )
        pooler = PgBouncer(port, server)
        deadline = time.monotonic() + 30
        while True:
            try:
                psycopg.connect(pooler.url("okf", "okf_owner"), connect_timeout=2).close()
                break
            except psycopg.OperationalError:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"PgBouncer did not start:\n{log.read_text()}") from None
                time.sleep(0.05)
        yield pooler
    finally:
        if process is not None:
            process.kill()
            process.wait()
        shutil.rmtree(base, ignore_errors=True)
