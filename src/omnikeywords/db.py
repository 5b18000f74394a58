"""Databases: one way to reach SQLite and PostgreSQL, one way to hold a transaction, one way in which they fail.

Hides drivers, pools, pragmas, timeouts and what differs between the two. The statements themselves are written in
`catalog` and `jobs`, and nowhere else.

    database = connect("sqlite:////var/lib/okf/catalogue.sqlite3")
    with database.write() as connection:
        connection.execute(...)

A transaction is for one project, or for all (`project=None`: followers and jobs). On PostgreSQL row-level security
enforces it.
"""

import contextlib
import math
import os
import random
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import psycopg
from sqlalchemy import Connection, Engine, QueuePool, create_engine, event, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.pool import ConnectionPoolEntry

from omnikeywords.errors import DatabaseBusy, DatabaseFull, DatabaseUnavailable, InvalidOption, InvalidSetting
from omnikeywords.in_use import InUse
from omnikeywords.settings import hide_password

__all__ = ["ALL_PROJECTS", "Connection", "Database", "Limits", "connect", "tell"]

ALL_PROJECTS = "*"  # what row-level security reads as: this transaction may see every project

Dialect = Literal["sqlite", "postgresql"]

_WAL_BYTES = 16 << 20  # of SQLite's log, from which on its pages are taken to their places


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a transaction may wait, in milliseconds, and how many there may be."""

    statement_ms: int = 10_000
    lock_ms: int = 5_000
    idle_ms: int = 10_000  # within a transaction, between statements
    connections: int = 5  # of one process
    checkout_ms: int = 5_000  # waiting for one of them


class Database:
    """One database; safe to share between threads, not to be carried over a fork."""

    def __init__(self, engine: Engine, limits: Limits, in_use: InUse | None = None) -> None:
        self._engine = engine
        self._in_use = in_use
        self._reading, self._writing = _modes(engine)
        self._writing_again = self._writing.execution_options(okf_durable=False)
        self.limits = limits
        self.dialect: Dialect = "sqlite" if engine.dialect.name == "sqlite" else "postgresql"

    @property
    def shown_url(self) -> str:
        """Where it is, without its password."""
        return hide_password(self._engine.url.set(drivername=self.dialect).render_as_string(hide_password=True))

    @property
    def path(self) -> Path | None:
        """The file that it is, absolute; None on PostgreSQL."""
        name = self._engine.url.database if self.dialect == "sqlite" else None
        return Path(name).absolute() if name else None

    @property
    def user(self) -> str | None:
        """The role that it is used as; None where the URL names none, as with SQLite."""
        return self._engine.url.username

    @contextmanager
    def read(self, project: str | None = None, *, statement_ms: int | None = None) -> Iterator[Connection]:
        """A transaction that sees one state of the database and cannot change it.

        On SQLite the time of a statement goes on while its rows are fetched one by one.

        Raises DatabaseUnavailable, DatabaseBusy, InvalidOption for a project that no project can be called.
        """
        with self._transaction(self._reading, project, statement_ms) as connection:
            yield connection

    @contextmanager
    def write(
        self, project: str | None = None, *, statement_ms: int | None = None, durable: bool = True
    ) -> Iterator[Connection]:
        """A transaction that is kept whole when the block ends, and not at all when it raises.

        One that is not `durable` does not wait for the disk: it outlives the process, but a loss of power may undo the
        last of them. That is for what can be made again.

        Raises DatabaseUnavailable, DatabaseBusy, InvalidOption as above; what breaks a constraint comes as
        SQLAlchemy's IntegrityError.
        """
        engine = self._writing if durable else self._writing_again
        with self._transaction(engine, project, statement_ms) as connection:
            yield connection

    @contextmanager
    def _transaction(self, engine: Engine, project: str | None, statement_ms: int | None) -> Iterator[Connection]:
        if project == ALL_PROJECTS:
            raise InvalidOption(f"project {project!r} is not a name that a project can have", project=project)
        milliseconds = statement_ms or self.limits.statement_ms
        writes = engine is not self._reading
        with self._errors(writes=writes), self._begin(engine, project, milliseconds) as connection:
            transaction = connection.get_transaction()
            assert transaction is not None
            with transaction:
                yield connection
                if self.dialect == "postgresql" and _failed(self.raw(connection)):
                    raise RuntimeError("a statement of this transaction failed and was passed over: nothing is kept")
            if told := connection.info.pop(_TOLD, None):
                _tell(self.raw(connection), told)
            if self.dialect == "sqlite" and writes:
                self._checkpoint(connection, patient=engine is self._writing)

    @contextmanager
    def without_transaction(self) -> Iterator[Connection]:
        """A connection of PostgreSQL that keeps each statement by itself and has no limits of time but the server's:
        for what it does in no transaction, as building an index while others write.

        Raises DatabaseUnavailable, DatabaseBusy.
        """
        with self._errors(writes=True), self._engine.connect() as connection:
            yield connection.execution_options(isolation_level="AUTOCOMMIT")

    @contextmanager
    def _errors(self, *, writes: bool) -> Iterator[None]:
        """What drivers raise within, as errors of ours."""
        try:
            yield
        # What `raw` is used for fails with the driver's own errors.
        except (DBAPIError, PoolTimeout, self._engine.dialect.loaded_dbapi.Error) as error:
            translated = _translated(error, self.shown_url, writes=writes)
            if translated is None:
                raise
            raise translated from error

    def _begin(self, engine: Engine, project: str | None, milliseconds: int) -> Connection:
        """A connection with a transaction that has begun; another one where the server closed the first meanwhile."""
        for is_last in (False, True):
            connection = engine.connect()
            try:
                if self.dialect == "sqlite":
                    connection.info["okf_clock"].allow(milliseconds)
                connection.begin()
                if self.dialect == "postgresql":
                    # For this transaction alone, as a pooler may give the next one to others.
                    settings = {
                        "project": ALL_PROJECTS if project is None else project,
                        "statement": f"{milliseconds}",
                        "lock": f"{self.limits.lock_ms}",
                        "idle": f"{self.limits.idle_ms}",
                        "commit": "off" if engine is self._writing_again else None,
                    }
                    connection.execute(_BEGIN, settings)
                    connection.info[_TOLD] = {}
                return connection
            except BaseException as error:
                connection.close()
                if is_last or not (isinstance(error, DBAPIError) and error.connection_invalidated):
                    raise
        raise AssertionError("unreachable")

    def _checkpoint(self, connection: Connection, *, patient: bool) -> None:
        """Take what was written to its place in the file of SQLite, once there is much of it; nobody waits for that,
        as the turn to write was given up before. `patient`: leave it to others for a while, as somebody waits for this
        transaction itself."""
        most = _WAL_BYTES * (4 if patient else 1)
        with contextlib.suppress(OSError, sqlite3.Error):  # what was written is kept; another will try again
            if os.stat(f"{self.path}-wal").st_size > most:
                self.raw(connection).execute("PRAGMA wal_checkpoint(PASSIVE)")

    def close(self) -> None:
        """Give all connections back."""
        self._engine.dispose()
        if self._in_use is not None:
            self._in_use.end()

    def raw(self, connection: Connection) -> Any:
        """The driver's own connection, for COPY and for many rows at once; on SQLite without limit of time."""
        if self.dialect == "sqlite":
            connection.info["okf_clock"].stop()
        return connection.connection.driver_connection


# What begins a transaction on PostgreSQL, in one round trip.
_BEGIN = text(
    "SELECT set_config('okf.project', :project, true), set_config('statement_timeout', :statement, true), "
    "set_config('lock_timeout', :lock, true), set_config('idle_in_transaction_session_timeout', :idle, true), "
    "set_config('synchronous_commit', coalesce(:commit, current_setting('synchronous_commit')), true)"
)


_TOLD = "okf_told"  # what is told when a transaction is kept


def tell(connection: Connection, channel: str, payload: str) -> None:
    """Notify those who LISTEN on PostgreSQL as soon as this transaction was kept; nobody where it was not.

    It may be lost: it is a hint. PostgreSQL lets transactions that notify end one by one, each waiting for the disk
    for itself, so this is done right behind them.
    """
    if connection.dialect.name == "postgresql":
        connection.info[_TOLD][channel, payload] = None


def _tell(connection: psycopg.Connection[Any], told: Iterable[tuple[str, str]]) -> None:
    with contextlib.suppress(psycopg.Error):
        connection.autocommit = True
        for channel, payload in told:
            connection.execute("SELECT pg_notify(%s, %s)", (channel, payload))
        connection.autocommit = False


def _modes(engine: Engine) -> tuple[Engine, Engine]:
    """The same connections for reading and for writing."""
    if engine.dialect.name == "sqlite":
        return engine.execution_options(okf_write=False), engine.execution_options(okf_write=True)
    return (
        # Several statements of a reader speak of one state.
        engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True),
        # A writer that waited for its turn must then see what the one before it wrote.
        engine.execution_options(isolation_level="READ COMMITTED", postgresql_readonly=False),
    )


def _failed(connection: psycopg.Connection[Any]) -> bool:
    """Whether a transaction can only be undone; its commit would say nothing and keep nothing."""
    return connection.info.transaction_status is psycopg.pq.TransactionStatus.INERROR


def connect(url: str, limits: Limits | None = None) -> Database:
    """The database at a URL as `sqlite:////path` or `postgresql://user:password@host/name`; nothing is opened yet.

    Raises InvalidSetting for a URL of neither kind.
    """
    limits = limits or Limits()
    made = _url(url)
    if made.get_backend_name() == "sqlite":
        engine = create_engine(
            made,
            poolclass=QueuePool,
            # The connection that was used last knows most pages; what another one wrote makes each forget them.
            pool_use_lifo=True,
            pool_size=limits.connections,
            max_overflow=0,
            pool_timeout=limits.checkout_ms / 1000,
            connect_args={"timeout": limits.lock_ms / 1000, "check_same_thread": False},
        )
        assert made.database is not None
        in_use = InUse(Path(made.database))
        _prepare_sqlite(engine, limits, in_use)
        return Database(engine, limits, in_use)
    engine = create_engine(
        made,
        pool_size=limits.connections,
        max_overflow=0,
        pool_timeout=limits.checkout_ms / 1000,
        # A pooler in transaction mode gives each transaction another server, which knows no statement prepared before.
        connect_args={"prepare_threshold": None, "connect_timeout": max(2, limits.checkout_ms // 1000)},
    )
    return Database(engine, limits)


def _url(url: str) -> URL:
    shown = hide_password(url)
    try:
        made = make_url(url)
        backend = made.get_backend_name()
    except (ArgumentError, NoSuchModuleError, ValueError):
        backend = ""
    if backend == "sqlite":
        if made.database in (None, "", ":memory:"):
            raise InvalidSetting(f"database URL {shown!r} names no file: use sqlite:////path/to/file", value=shown)
        return made.set(drivername="sqlite+pysqlite")
    if backend in ("postgresql", "postgres"):
        return made.set(drivername="postgresql+psycopg")
    raise InvalidSetting(
        f"database URL {shown!r} is of no known kind: use sqlite:////path/to/file or "
        "postgresql://user:password@host:5432/name",
        value=shown,
    )


class _Clock:
    """Ends the statement of one SQLite connection that takes too long."""

    def __init__(self) -> None:
        self._seconds = self._until = math.inf

    def allow(self, milliseconds: int) -> None:
        """How long each statement may take from now on."""
        self._seconds = milliseconds / 1000

    def start(self) -> None:
        """A statement begins."""
        self._until = time.monotonic() + self._seconds

    def stop(self) -> None:
        """No limit until the next one begins."""
        self._until = math.inf

    def __call__(self) -> bool:
        return time.monotonic() > self._until


def _prepare_sqlite(engine: Engine, limits: Limits, in_use: InUse) -> None:
    seconds = limits.lock_ms / 1000

    @event.listens_for(engine, "do_connect")
    def on_first(*_: object) -> None:
        assert engine.url.database is not None
        with contextlib.suppress(OSError):  # the driver says what is wrong
            Path(engine.url.database).parent.mkdir(parents=True, exist_ok=True)
        in_use.begin()

    @event.listens_for(engine, "connect")
    def on_connect(connection: sqlite3.Connection, record: ConnectionPoolEntry) -> None:
        connection.isolation_level = None  # transactions begin where we say so, not where the driver thinks
        record.info["okf_clock"] = clock = _Clock()
        connection.set_progress_handler(clock, 20_000)
        # The change to WAL needs the file alone for a moment, and does not wait for it by itself.
        # WAL: readers never wait for the writer; its pages go to their places by `Database._checkpoint`, a good many at
        # a time. A log that all of them have left begins anew and shrinks to its size limit, so that what is longer
        # holds pages that wait.
        wal = ("journal_mode=WAL", "wal_autocheckpoint=0", f"journal_size_limit={_WAL_BYTES}")
        for pragma in (*wal, "foreign_keys=ON", "cache_size=-16384"):
            _patiently(connection, f"PRAGMA {pragma}", seconds)

    @event.listens_for(engine, "begin")
    def on_begin(connection: Connection) -> None:
        driver: Any = connection.connection.driver_connection
        connection.info["okf_clock"].stop()
        if not connection.get_execution_options()["okf_write"]:
            driver.execute("PRAGMA query_only=ON")
            driver.execute("BEGIN")
            return
        driver.execute("PRAGMA query_only=OFF")
        # FULL: what was said to be kept survives a loss of power.
        durable = connection.get_execution_options().get("okf_durable", True)
        driver.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
        # A transaction that will write waits for its turn now: one that began as a reader could not, and would fail.
        # Left to itself it would look ever more seldom, and among many writers come too late.
        driver.execute("PRAGMA busy_timeout=0")
        try:
            _patiently(driver, "BEGIN IMMEDIATE", seconds)
        finally:
            driver.execute(f"PRAGMA busy_timeout={limits.lock_ms}")

    @event.listens_for(engine, "before_cursor_execute")
    def on_statement(connection: Connection, *_: object) -> None:
        connection.info["okf_clock"].start()


def _patiently(connection: sqlite3.Connection, statement: str, seconds: float) -> None:
    """Execute it as soon as no other connection stands in its way."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            connection.execute(statement)
            return
        except sqlite3.OperationalError as error:
            if _sqlite_code(error) != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(random.uniform(0.0005, 0.005))


def _sqlite_code(error: BaseException) -> int:
    """The primary code of an error of SQLite itself, 0 for others."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


_NO_CONNECTION = "it has no connection left"

# SQLSTATE: lock not available, query cancelled (by a timeout), deadlock, serialization failure, too many connections.
_BUSY: Mapping[str, str] = {
    "55P03": "a lock was not free in time",
    "57014": "a statement took too long",
    "25P03": "a transaction stood idle for too long",
    "40P01": "two transactions waited for each other",
    "40001": "another transaction changed the same rows",
    "53300": _NO_CONNECTION,
}
# Classes of SQLSTATE: connection, no such database, refused, out of disk or memory, shutting down, system.
_UNAVAILABLE = ("08", "3D", "28", "53", "57", "58")
# A connection that is refused comes without SQLSTATE. PostgreSQL and PgBouncer say this where there are too many.
_TOO_MANY = ("too many clients already", "too many connections", "connection slots are reserved", "no more connections")

_SQLITE_UNAVAILABLE = {
    *(sqlite3.SQLITE_AUTH, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR),
    *(sqlite3.SQLITE_NOLFS, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_PERM, sqlite3.SQLITE_PROTOCOL),
}


def _translated(error: Exception, where: str, *, writes: bool) -> DatabaseBusy | DatabaseUnavailable | None:
    """What a driver says, in our words; None where it is a fault of ours, as a wrong statement is."""
    if isinstance(error, PoolTimeout):
        return _busy(where, "every connection of this process is in use")
    origin = error.orig if isinstance(error, DBAPIError) else error
    said = " ".join(str(origin).split())
    full = "database {} is full: {}: make space on its disk and do it again; nothing that was kept is lost"
    unavailable = DatabaseUnavailable(f"database {where} cannot be used: {said}", reason=said)
    if isinstance(origin, sqlite3.Error):
        match _sqlite_code(origin):
            case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
                return _busy(where, "another process is writing")
            case sqlite3.SQLITE_INTERRUPT:
                return _busy(where, _BUSY["57014"])
            case sqlite3.SQLITE_READONLY:
                return unavailable if writes else None
            case sqlite3.SQLITE_FULL:
                return DatabaseFull(full.format(where, said), reason=said)
            case code:
                return unavailable if code in _SQLITE_UNAVAILABLE else None
    if not isinstance(origin, psycopg.Error):
        return None
    state = origin.sqlstate
    if state is None:
        if not isinstance(origin, psycopg.OperationalError):
            return None
        return _busy(where, _NO_CONNECTION) if any(text in said for text in _TOO_MANY) else unavailable
    if state == "23514" and origin.diag.constraint_name is None:
        # No check of ours: its rows were on their way to the default partition when their own one was made.
        return _busy(where, "a partition was being made")
    if state == "53100":
        return DatabaseFull(full.format(where, said), reason=said)
    if state in _BUSY:
        return _busy(where, _BUSY[state])
    # A primary that became a standby refuses to write.
    if state[:2] in _UNAVAILABLE or (state == "25006" and writes):
        return unavailable
    return None


def _busy(where: str, why: str) -> DatabaseBusy:
    return DatabaseBusy(f"database {where}: {why}: try again in a second")
