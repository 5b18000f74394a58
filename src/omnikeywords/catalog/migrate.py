"""Bringing a database to the schema of this program: `okf migrate`, and at the start of an embedded service.

Migrations are numbered files. Those marked `phase = "pre"` only add, so that the program of the version before goes on
working: they run before a roll-out. Those marked `post` take away what only that version needed: they run after it.

A migration may have a function `beforehand`, for what takes long: it works without a transaction while others write,
and as it may be interrupted anywhere it must be able to begin anew. An empty database has no need of it.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from itertools import takewhile
from pathlib import Path

from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import Script, ScriptDirectory
from psycopg.errors import InsufficientPrivilege
from sqlalchemy import inspect, text
from sqlalchemy.exc import ProgrammingError

from omnikeywords.db import Connection, Database
from omnikeywords.errors import DatabaseUnavailable, NotFound, SchemaOutdated

__all__ = ["Migrated", "check", "make_partitions", "migrate", "newest"]

_FOLDER = Path(__file__).parent / "migrations"
_LOCK = 0x6F6B66  # any number of our own: two migrations wait for each other
_PAUSE_SECONDS = 0.1  # between looks whether it is free


@dataclass(frozen=True, slots=True)
class Migrated:
    """What was done."""

    before: str | None  # revision; None for an empty database
    after: str | None
    applied: tuple[str, ...]  # names, in their order


def migrate(database: Database, *, app_role: str | None = None, pre_only: bool = False) -> Migrated:
    """Apply what is missing; `pre_only` stops before the first that takes anything away, unless nothing is there.

    All of it is kept or nothing, but for what comes before a migration that others need not wait for: that is kept by
    then, and asked again this goes on from there.

    On PostgreSQL the tables belong to whoever this connects as. `app_role` is given the use of them, though not of
    their partitions, which would show it the rows of every project.

    Raises SchemaOutdated where a newer version of the program was here, NotFound where there is no such role,
    DatabaseUnavailable where this connects as one that may not make tables.
    """
    try:
        return _migrate(database, app_role, pre_only)
    except ProgrammingError as error:
        if not isinstance(error.orig, InsufficientPrivilege):
            raise
        said = error.orig.diag.message_primary or ""
        raise DatabaseUnavailable(
            f"database {database.shown_url} cannot be migrated: {said}: set OKF_DATABASE_OWNER_URL to connect as the "
            "role that owns it",
            reason=said,
        ) from error


def _migrate(database: Database, app_role: str | None, pre_only: bool) -> Migrated:
    scripts = _scripts()
    at_first: list[str | None] = []
    applied: list[str] = []
    prepared: Script | None = None
    with _turn(database):
        while True:
            with database.write(statement_ms=600_000) as connection:
                before = _revision(connection)
                at_first.append(before)
                waiting = _waiting(scripts, before, database)
                # Where nothing is, there is no program of the version before either, nor anybody who must not wait.
                is_live = before is not None
                if pre_only and is_live:
                    waiting = list(takewhile(lambda script: script.module.phase == "pre", waiting))
                long = (script for script in waiting if is_live and hasattr(script.module, "beforehand"))
                following = next((script for script in long if script != prepared), None)
                ready = waiting[: waiting.index(following)] if following else waiting
                if ready:
                    _apply(connection, scripts, ready[-1].revision)
                if app_role and database.dialect == "postgresql":
                    _grant(connection, app_role)
                after = _revision(connection)
            applied += [script.revision for script in ready]
            if following is None:
                return Migrated(at_first[0], after, tuple(applied))
            if database.dialect == "postgresql":
                with database.without_transaction() as connection:
                    following.module.beforehand(connection)
            prepared = following


@contextmanager
def _turn(database: Database) -> Iterator[None]:
    """While other migrations wait; on SQLite each transaction that writes is a turn."""
    if database.dialect == "sqlite":
        yield
        return
    # Each look is a transaction of its own: an index that is built beside others waits for all that look at anything.
    while True:
        with database.write() as connection:
            if connection.execute(text("SELECT pg_try_advisory_xact_lock(:n)"), {"n": _LOCK}).scalar():
                # It stands idle as long as it may take. Behind this statement it looks at nothing any more, which the
                # one before would until another follows.
                connection.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))
                yield
                return
        time.sleep(_PAUSE_SECONDS)


def _apply(connection: Connection, scripts: ScriptDirectory, revision: str) -> None:
    """Take a database to a revision."""
    context = MigrationContext.configure(
        connection, opts={"fn": lambda found, _: scripts._upgrade_revs(revision, found)}
    )
    with Operations.context(context):
        context.run_migrations()


def check(database: Database) -> None:
    """Raise SchemaOutdated unless the database has the schema that this program needs."""
    with database.read() as connection:
        found = _revision(connection)
    waiting = _waiting(_scripts(), found, database)
    if any(script.module.phase == "pre" for script in waiting):
        what = "is empty" if found is None else f"is at {found}"
        raise SchemaOutdated(f"database {database.shown_url} {what}: run `okf migrate`", revision=found)


def make_partitions(database: Database, first: date, months: int) -> None:
    """Make the partitions of so many months of observations from that of a day on; those that are there stay."""
    with database.write(statement_ms=600_000) as connection:
        connection.execute(text("SELECT okf_make_partitions(:first, :months)"), {"first": first, "months": months})


def newest() -> str:
    """The newest revision that this program knows."""
    head = _scripts().get_current_head()
    assert head is not None
    return head


def _scripts() -> ScriptDirectory:
    config = Config()
    config.set_main_option("script_location", str(_FOLDER))
    config.set_main_option("path_separator", "os")
    return ScriptDirectory.from_config(config)


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def _waiting(scripts: ScriptDirectory, found: str | None, database: Database) -> list[Script]:
    """The migrations that a database at a revision lacks, in their order."""
    every = list(scripts.walk_revisions())[::-1]
    if found is None:
        return every
    names = [script.revision for script in every]
    if found not in names:
        raise SchemaOutdated(
            f"database {database.shown_url} is at {found}, which this version does not know: update this program",
            revision=found,
        )
    return every[names.index(found) + 1 :]


def _grant(connection: Connection, role: str) -> None:
    if connection.execute(text("SELECT 1 FROM pg_roles WHERE rolname = :role"), {"role": role}).scalar() is None:
        raise NotFound(
            f"role {role!r} does not exist: create it with CREATE ROLE, as docs/database.md shows", role=role
        )
    quoted = connection.dialect.identifier_preparer.quote(role)
    statements = [f"GRANT USAGE ON SCHEMA public TO {quoted}", f"GRANT SELECT ON alembic_version TO {quoted}"]
    for table in connection.execute(text(_OUR_TABLES)).scalars():
        statements.append(f"GRANT {_RIGHTS.get(table, _ALL_RIGHTS)} ON {table} TO {quoted}")
    for function in connection.execute(text(_OUR_FUNCTIONS)).scalars():
        statements.append(f"GRANT EXECUTE ON FUNCTION {function} TO {quoted}")
    for statement in statements:
        connection.exec_driver_sql(statement)


_ALL_RIGHTS = "SELECT, INSERT, UPDATE, DELETE"
# What a key is for is settled when it is made.
_RIGHTS = {"api_keys": "SELECT, INSERT, UPDATE (revoked_at, last_used_at)"}

_OUR_TABLES = """
    SELECT oid::regclass::text FROM pg_class
    WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition
    AND relowner = (SELECT oid FROM pg_roles WHERE rolname = current_user) AND relname <> 'alembic_version'
    ORDER BY relname
"""
_OUR_FUNCTIONS = """
    SELECT oid::regprocedure::text FROM pg_proc
    WHERE pronamespace = 'public'::regnamespace AND proname LIKE 'okf\\_%'
    AND proowner = (SELECT oid FROM pg_roles WHERE rolname = current_user)
    ORDER BY proname
"""
