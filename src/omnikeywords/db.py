"""Databases: one way to reach SQLite and PostgreSQL, one way to hold a transaction, one way in which they fail.

Hides drivers, pools, pragmas, timeouts and what differs between the two. The statements themselves are written in
`catalog` and `jobs.store`, and nowhere else.

    database = connect("sqlite:////var/lib/okf/catalogue.sqlite3")
    with database.write() as connection:
        connection.execute(...)

A transaction is for one project, or for all (`project=None`: followers and jobs). On PostgreSQL row-level security
enforces it.
"""

import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError, NoSuchModuleError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from omnikeywords.errors import DatabaseBusy, DatabaseUnavailable, InvalidSetting
from omnikeywords.settings import hide_password

__all__ = ["ALL_PROJECTS", "Connection", "Database", "Limits", "connect"]

ALL_PROJECTS = "*"  # what row-level security reads as: this transaction may see every project

Dialect = Literal["sqlite", "postgresql"]


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

    def __init__(self, engine: Engine, limits: Limits) -> None:
        self._engine = engine
        self.limits = limits
        self.dialect: Dialect = "sqlite" if engine.dialect.name == "sqlite" else "postgresql"

    @property
    def shown_url(self) -> str:
        """Where it is, without its password."""
        return self._engine.url.render_as_string(hide_password=True)

    @contextmanager
    def read(self, project: str | None = None, *, statement_ms: int | None = None) -> Iterator[Connection]:
        """A transaction that sees one state of the database and changes nothing.

        Raises DatabaseUnavailable, DatabaseBusy.
        """
        with self._transaction(project, statement_ms, write=False) as connection:
            yield connection

    @contextmanager
    def write(
        self, project: str | None = None, *, statement_ms: int | None = None, durable: bool = True
    ) -> Iterator[Connection]:
        """A transaction that is kept whole when the block ends, and not at all when it raises.

        One that is not `durable` does not wait for the disk: it outlives the process, but a loss of power may undo the
        last of them. That is for what can be made again.

        Raises DatabaseUnavailable, DatabaseBusy; what breaks a constraint comes as SQLAlchemy's IntegrityError.
        """
        with self._transaction(project, statement_ms, write=True, durable=durable) as connection:
            yield connection

    @contextmanager
    def _transaction(
        self, project: str | None, statement_ms: int | None, *, write: bool, durable: bool = True
    ) -> Iterator[Connection]:
        try:
            options = {"okf_write": write, "okf_durable": durable}
            with self._engine.connect().execution_options(**options) as connection, connection.begin():
                if self.dialect == "postgresql":
                    # For this transaction alone, as a pooler may give the next one to others.
                    connection.exec_driver_sql(self._settings(project, statement_ms, write, durable))
                yield connection
        except IntegrityError:
            raise
        except (DBAPIError, PoolTimeout) as error:
            raise _translated(error, self.shown_url) from error

    def _settings(self, project: str | None, statement_ms: int | None, write: bool, durable: bool) -> str:
        """What begins a transaction on PostgreSQL, in one round trip."""
        # Reads take a snapshot of the whole transaction, so that several statements speak of one state.
        mode = "" if write else "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY; "
        seen = (ALL_PROJECTS if project is None else project).replace("'", "''")
        return (
            f"{mode}{'' if durable else 'SET LOCAL synchronous_commit = off; '}SET LOCAL okf.project = '{seen}'; "
            f"SET LOCAL statement_timeout = {int(statement_ms or self.limits.statement_ms)}; "
            f"SET LOCAL lock_timeout = {self.limits.lock_ms}; "
            f"SET LOCAL idle_in_transaction_session_timeout = {self.limits.idle_ms}"
        )

    def close(self) -> None:
        """Give all connections back."""
        self._engine.dispose()

    def raw(self, connection: Connection) -> Any:
        """The driver's own connection, for COPY and for many rows at once."""
        return connection.connection.driver_connection


def connect(url: str, limits: Limits | None = None) -> Database:
    """The database at a URL as `sqlite:////path` or `postgresql://user:password@host/name`; nothing is opened yet.

    Raises InvalidSetting for a URL of neither kind.
    """
    limits = limits or Limits()
    made = _url(url)
    if made.get_backend_name() == "sqlite":
        if made.database:
            Path(made.database).parent.mkdir(parents=True, exist_ok=True)
        engine = create_engine(
            made,
            pool_size=limits.connections,
            max_overflow=0,
            pool_timeout=limits.checkout_ms / 1000,
            connect_args={"timeout": limits.lock_ms / 1000, "check_same_thread": False},
        )
        _prepare_sqlite(engine)
    else:
        engine = create_engine(
            made,
            pool_size=limits.connections,
            max_overflow=0,
            pool_timeout=limits.checkout_ms / 1000,
            pool_pre_ping=True,
            # A pooler in transaction mode gives each transaction another server, which knows no statement prepared
            # before.
            connect_args={"prepare_threshold": None, "connect_timeout": max(2, limits.checkout_ms // 1000)},
        )
    return Database(engine, limits)


def _url(url: str) -> URL:
    try:
        made = make_url(url)
        backend = made.get_backend_name()
    except (ArgumentError, NoSuchModuleError, ValueError):
        backend = ""
    if backend == "sqlite":
        return made.set(drivername="sqlite+pysqlite")
    if backend in ("postgresql", "postgres"):
        return made.set(drivername="postgresql+psycopg")
    raise InvalidSetting(
        f"database URL {hide_password(url)!r} is of no known kind: use sqlite:////path/to/file or "
        "postgresql://user:password@host:5432/name",
        value=hide_password(url),
    )


def _prepare_sqlite(engine: Engine) -> None:
    @event.listens_for(engine, "connect")
    def on_connect(connection: sqlite3.Connection, _: object) -> None:
        connection.isolation_level = None  # transactions begin where we say so, not where the driver thinks
        # WAL: readers never wait for the writer.
        for pragma in ("journal_mode=WAL", "cache_size=-131072", "wal_autocheckpoint=16384"):
            # The change to WAL needs the file alone for a moment, and does not wait for it by itself.
            for attempt in range(50):
                try:
                    connection.execute(f"PRAGMA {pragma}")
                    break
                except sqlite3.OperationalError:
                    if attempt == 49:
                        raise
                    time.sleep(0.1)

    @event.listens_for(engine, "begin")
    def on_begin(connection: Connection) -> None:
        # A transaction that will write waits for its turn now: one that began as a reader could not, and would fail.
        options = connection.get_execution_options()
        writes = options.get("okf_write")
        if writes:
            connection.exec_driver_sql(f"PRAGMA synchronous={'FULL' if options.get('okf_durable') else 'NORMAL'}")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


# SQLSTATE: lock not available, query cancelled (by a timeout), deadlock, serialization failure, too many connections.
_BUSY: Mapping[str, str] = {
    "55P03": "a lock was not free in time",
    "57014": "a statement took too long",
    "25P03": "a transaction stood idle for too long",
    "40P01": "two transactions waited for each other",
    "40001": "another transaction changed the same rows",
    "53300": "it has no connection left",
}


def _translated(error: DBAPIError | PoolTimeout, where: str) -> DatabaseBusy | DatabaseUnavailable:
    """What a driver says, in our words."""
    if isinstance(error, PoolTimeout):
        return DatabaseBusy(f"database {where}: every connection of this process is in use: try again in a second")
    state: str | None = getattr(error.orig, "sqlstate", None)
    if state is not None and state in _BUSY:
        return DatabaseBusy(f"database {where}: {_BUSY[state]}: try again in a second")
    said = " ".join(str(error.orig).split())
    if isinstance(error.orig, sqlite3.OperationalError) and ("locked" in said or "busy" in said):
        return DatabaseBusy(f"database {where}: another process is writing: try again in a second")
    if isinstance(error.orig, sqlite3.Error) or state is None or state[:2] in ("08", "57", "3D", "28"):
        return DatabaseUnavailable(f"database {where} cannot be used: {said}", reason=said)
    raise error
