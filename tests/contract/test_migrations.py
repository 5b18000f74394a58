"""Migrations make the schema, for whoever runs the program and no more than that."""

import contextlib
import os
import re
import shutil
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import BigInteger, Boolean, Date, DateTime, Float, Integer, LargeBinary, Table, inspect, select, text
from sqlalchemy.exc import DBAPIError

from omnikeywords.catalog import migrate as migrations
from omnikeywords.catalog import rows
from omnikeywords.catalog.migrate import SchemaOutdated, check, migrate, newest
from omnikeywords.catalog.tables import buckets, keywords, marks, metadata, observations
from omnikeywords.cli import run
from omnikeywords.db import Connection, Database, Limits, connect
from omnikeywords.errors import DatabaseBusy
from omnikeywords.jobs import metadata as jobs_metadata
from tests.conftest import APP_ROLE, POSTGRES, Place, Places

TABLES = {**metadata.tables, **jobs_metadata.tables}
OF_PROJECTS = [table for table in TABLES.values() if "project" in table.c]


@pytest.fixture
def empty(places: Places, kind: str) -> Iterator[Database]:
    """A database without tables, as its owner."""
    database = connect(places.empty(kind).owner_url)
    yield database
    database.close()


@pytest.fixture(params=sorted(POSTGRES))
def on_postgresql(places: Places, request: pytest.FixtureRequest) -> Place:
    return places.migrated(request.param)


@pytest.fixture
def app(on_postgresql: Place) -> Iterator[Database]:
    """A migrated database, as the program."""
    database = connect(on_postgresql.url)
    yield database
    database.close()


def a_row(table: Table, **known: Any) -> dict[str, Any]:
    """A row of a table that says nothing in particular."""
    values: Mapping[type, Any] = {
        BigInteger: 1,
        Integer: 1,
        Float: 1.0,
        Boolean: False,
        LargeBinary: b"{}",
        Date: date(2026, 9, 1),
        DateTime: datetime(2026, 9, 1, tzinfo=UTC),
    }
    needed = {column.name: values.get(type(column.type), 1) for column in table.c if not column.nullable}
    texts = {column.name: "x" for column in table.c if not column.nullable and column.type.python_type is str}
    return {**needed, **texts, **known}


# ---- the schema


# SQLite cannot tell of an index by an expression; it has none here.
@pytest.mark.filterwarnings("ignore:autogenerate skipping metadata-specified expression-based index")
def test_the_schema_is_the_sum_of_the_migrations(empty: Database) -> None:
    migrate(empty)
    with empty.read() as connection:
        partitions: set[str] = set()
        if empty.dialect == "postgresql":
            children = text("SELECT inhrelid::regclass::text FROM pg_inherits")
            partitions = set(connection.execute(children).scalars())
        context = MigrationContext.configure(
            connection,
            opts={
                "compare_type": True,
                "compare_server_default": True,
                "include_name": lambda name, kind, parents: kind != "table" or name not in partitions,
                "include_object": lambda item, *_: item.info.get("only_on", empty.dialect) == empty.dialect,
            },
        )
        assert compare_metadata(context, [metadata, jobs_metadata]) == []
        found = {name for name in inspect(connection).get_table_names() if name not in partitions}
    assert found == {*TABLES, "alembic_version"}


def test_migrating_again_does_nothing(empty: Database) -> None:
    first = migrate(empty)
    assert (first.before, first.after) == (None, newest())
    assert first.applied[-1] == newest()
    again = migrate(empty)
    assert (again.before, again.after, again.applied) == (newest(), newest(), ())


def test_a_database_without_the_schema_is_refused_with_what_to_do(empty: Database) -> None:
    with pytest.raises(SchemaOutdated, match="is empty: run `okf migrate`"):
        check(empty)
    migrate(empty)
    check(empty)


def test_a_database_of_a_newer_version_is_refused(empty: Database) -> None:
    migrate(empty)
    with empty.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999_future'"))
    for use in (check, migrate):
        with pytest.raises(SchemaOutdated, match="9999_future, which this version does not know: update this program"):
            use(empty)


# ---- several migrations

MIGRATION = """
import sqlalchemy as sa
from alembic import op
revision = "{name}"
down_revision = "{before}"
phase = "{phase}"

def upgrade():
    {what}
"""


@pytest.fixture
def more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The migrations there are, one that adds and one that takes away."""
    folder = tmp_path / "migrations"
    shutil.copytree(migrations._FOLDER, folder, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(migrations, "_FOLDER", folder)
    add, drop = 'op.add_column("buckets", sa.Column("note", sa.Text()))', 'op.drop_column("buckets", "note")'
    for name, before, phase, what in (
        ("9001_add", newest(), "pre", add),
        ("9002_drop", "9001_add", "post", drop),
    ):
        text = MIGRATION.format(name=name, before=before, phase=phase, what=what)
        (folder / "versions" / f"{name}.py").write_text(text)
    return folder / "versions"


def columns(database: Database) -> list[str]:
    with database.read() as connection:
        return [column["name"] for column in inspect(connection).get_columns("buckets")]


def test_what_only_adds_goes_first_and_what_takes_away_waits(empty: Database, request: pytest.FixtureRequest) -> None:
    migrate(empty)
    request.getfixturevalue("more")
    first = migrate(empty, pre_only=True)
    assert first.applied == ("9001_add",)
    assert first.after == "9001_add"
    assert columns(empty) == ["bucket", "head", "state", "note"]
    check(empty)
    assert migrate(empty, pre_only=True).applied == ()
    assert migrate(empty).applied == ("9002_drop",)
    assert columns(empty) == ["bucket", "head", "state"]
    check(empty)


def test_what_adds_is_asked_for_before_the_program_starts(empty: Database, request: pytest.FixtureRequest) -> None:
    migrate(empty)
    before = newest()
    request.getfixturevalue("more")
    with pytest.raises(SchemaOutdated, match=f"is at {before}: run `okf migrate`"):
        check(empty)


def test_migrations_that_fail_leave_nothing_behind(empty: Database, more: Path) -> None:
    what = 'op.execute("CREATE TABLE half (n integer)"); op.execute("SELECT nothing FROM nowhere")'
    broken = MIGRATION.format(name="9003_broken", before="9002_drop", phase="pre", what=what)
    (more / "9003_broken.py").write_text(broken)
    with pytest.raises(DBAPIError, match="nowhere"):
        migrate(empty)
    with empty.read() as connection:
        assert inspect(connection).get_table_names() == []
    (more / "9003_broken.py").unlink()
    assert migrate(empty).after == "9002_drop"


def test_an_empty_database_has_nobody_to_wait_for(empty: Database, more: Path) -> None:
    assert migrate(empty, pre_only=True).after == "9002_drop"


# ---- indexes of lists, which are built while others write


def before_the_indexes(places: Places, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """A database that lacks them and what came after, and has a keyword."""
    folder = tmp_path / "older"
    shutil.copytree(migrations._FOLDER, folder, ignore=shutil.ignore_patterns("__pycache__"))
    for path in (folder / "versions").glob("*.py"):
        if path.name >= "0009":
            path.unlink()
    place = places.empty(kind)
    owner = connect(place.owner_url)
    with monkeypatch.context() as patched:
        patched.setattr(migrations, "_FOLDER", folder)
        assert migrate(owner, app_role=APP_ROLE).after == "0008_longer_content"
    with owner.write() as connection:
        connection.execute(keywords.insert(), a_row(keywords))
    owner.close()
    return place


def listing_indexes(place: Place) -> list[tuple[str, bool, int]]:
    """The indexes of all keywords but the key: names, whether they can be used, in how many partitions."""
    asked = """
        SELECT c.relname, i.indisvalid, (SELECT count(*) FROM pg_inherits WHERE inhparent = c.oid)
        FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
        WHERE i.indrelid = 'keywords'::regclass AND NOT i.indisprimary ORDER BY 1
    """
    with psycopg.connect(place.owner_url) as connection:
        return connection.execute(asked).fetchall()


LISTED = [(f"ix_keywords_listed_by_{order}", True, 16) for order in ("market", "normalized", "volume")]
BUILDING = "SELECT pid FROM pg_stat_activity WHERE query LIKE 'CREATE INDEX CONCURRENTLY%' AND wait_event_type = 'Lock'"


def test_rows_are_written_while_indexes_are_built_and_a_migration_that_was_killed_goes_on(
    places: Places, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = before_the_indexes(places, "postgresql15", tmp_path, monkeypatch)
    assert place.server is not None
    name = place.url.rpartition("/")[2]
    code = "import sys; from omnikeywords.cli import run; sys.exit(run(['migrate']))"
    environ = {**os.environ, "OKF_DATABASE_URL": place.owner_url}
    program, admin = connect(place.url), psycopg.connect(place.server.admin_url(name), autocommit=True)
    with admin, program.write() as writing:
        # Whoever wrote and did not end yet is waited for, and the index stays half made.
        writing.execute(keywords.insert(), [a_row(keywords, bucket=i) for i in range(2, 256)])
        process = subprocess.Popen([sys.executable, "-c", code], env=environ)
        try:
            while (found := admin.execute(BUILDING).fetchone()) is None:
                assert process.poll() is None
                time.sleep(0.01)
            with program.write() as connection:
                connection.execute(keywords.insert(), [a_row(keywords, id="another", bucket=i) for i in range(256)])
        finally:
            process.kill()
            process.wait()
        admin.execute("SELECT pg_terminate_backend(%s)", found)
        while admin.execute(BUILDING).fetchone() is not None:
            time.sleep(0.01)
    half = "SELECT count(*) FROM pg_index WHERE NOT indisvalid"
    with psycopg.connect(place.owner_url) as connection:
        assert connection.execute(half).fetchone() == (1,)
    owner = connect(place.owner_url)
    with ThreadPoolExecutor(2) as threads:
        both = [threads.submit(migrate, owner) for _ in range(2)]
        applied = sorted(each.result().applied for each in both)
    assert applied[0] == ()
    assert applied[1][0] == "0009_listing_indexes"
    assert applied[1][-1] == newest()
    owner.close()
    program.close()
    assert listing_indexes(place) == LISTED
    with psycopg.connect(place.owner_url) as connection:
        assert connection.execute(half).fetchone() == (0,)


def test_indexes_are_built_through_a_pooler_too(
    places: Places, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = before_the_indexes(places, "pgbouncer", tmp_path, monkeypatch)
    owner = connect(places.pooler().url(place.url.rpartition("/")[2], "okf_owner"))
    migrate(owner)
    owner.close()
    assert listing_indexes(place) == LISTED


# ---- the command


def environment(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OKF_DATABASE_URL", place.url)
    if place.server is not None:
        monkeypatch.setenv("OKF_DATABASE_OWNER_URL", place.owner_url)


def test_the_command_names_what_it_applied_and_lets_the_program_in(
    places: Places, kind: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    place = places.empty(kind)
    environment(place, monkeypatch)
    assert run(["migrate", "--pre"]) == 0
    assert capsys.readouterr().out.splitlines()[0] == "applied 0001_catalogue"
    assert run(["migrate"]) == 0
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("okf: nothing to apply: ")
    assert "secret" not in told.err
    program = connect(place.url)
    check(program)
    with program.write("shop") as connection:
        connection.execute(buckets.insert(), {"bucket": 1, "head": 0})
    program.close()


def test_the_set_up_that_the_documentation_shows_works(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    server = places.server("postgresql15")
    page = (Path(__file__).parents[2] / "docs" / "database.md").read_text(encoding="utf-8")
    statements = textwrap.dedent(page.partition("```sql\n")[2].partition("```")[0])
    statements = re.sub(r"\bokf\b", "documented", re.sub(r"okf_(owner|app)", r"documented_\1", statements))
    with psycopg.connect(server.admin_url(), autocommit=True) as connection:
        for statement in statements.split(";\n"):
            if statement.strip():
                connection.execute(statement.encode())
    url = server.url("documented", "documented_app", "another%20secret")
    monkeypatch.setenv("OKF_DATABASE_URL", url)
    monkeypatch.setenv("OKF_DATABASE_OWNER_URL", server.url("documented", "documented_owner", "one%20secret"))
    assert run(["migrate"]) == 0
    program = connect(url)
    check(program)
    with program.write("shop") as connection:
        rows.put(connection, marks, pl.DataFrame([a_row(marks, project="shop")]))
        assert projects_in(connection, marks) == ["shop"]
        assert connection.execute(text("SELECT okf_make_partitions(now()::date, 4)")).scalar_one() == 0
    with psycopg.connect(url) as connection:
        connection.execute("SET okf.project = '*'")
        assert connection.execute("SELECT project FROM marks").fetchall() == [("shop",)]
    program.close()


def test_two_processes_migrate_at_once(places: Places, kind: str) -> None:
    place = places.empty(kind)
    code = "import sys; from omnikeywords.cli import run; sys.exit(run(['migrate']))"
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    environ = {**os.environ, "OKF_DATABASE_URL": place.owner_url}
    processes = [subprocess.Popen([sys.executable, "-c", code], env=environ, **pipes) for _ in range(2)]
    said = [process.communicate() for process in processes]
    assert [process.returncode for process in processes] == [0, 0], said
    applied = [line for out, _ in said for line in out.splitlines()]
    assert len(applied) == len(set(applied))
    assert applied[0] == "applied 0001_catalogue"


def test_a_migration_waits_for_another_longer_than_for_a_lock(places: Places) -> None:
    database = connect(places.migrated("postgresql15").owner_url, Limits(lock_ms=50))
    with database.write() as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(:n)"), {"n": migrations._LOCK})
        done = []
        thread = threading.Thread(target=lambda: done.append(migrate(database)))
        thread.start()
        thread.join(0.3)
        assert thread.is_alive()
    thread.join()
    assert done[0].applied == ()
    database.close()


def test_a_role_that_is_not_there_and_an_owner_that_may_not_are_told(
    places: Places, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    place = places.empty("postgresql15")
    monkeypatch.setenv("OKF_DATABASE_URL", place.url.replace("okf_app", "okf_nobody"))
    monkeypatch.setenv("OKF_DATABASE_OWNER_URL", place.owner_url)
    assert run(["migrate"]) == 1
    assert capsys.readouterr().err.startswith("okf: role 'okf_nobody' does not exist: create it with CREATE ROLE")
    monkeypatch.setenv("OKF_DATABASE_URL", place.url)
    monkeypatch.delenv("OKF_DATABASE_OWNER_URL")
    assert run(["migrate"]) == 1
    told = capsys.readouterr().err
    assert "permission denied for schema public: set OKF_DATABASE_OWNER_URL to connect as the role that owns" in told


# ---- the program's role


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE mine (n integer)",
        "ALTER TABLE keywords ADD COLUMN mine integer",
        "ALTER TABLE keywords DISABLE ROW LEVEL SECURITY",
        "DROP POLICY by_project ON keywords",
        "DROP TABLE observations",
        "TRUNCATE events",
        "UPDATE alembic_version SET version_num = 'x'",
        "SELECT * FROM keywords_00",
        "DELETE FROM observations_default",
        "CREATE OR REPLACE FUNCTION okf_make_partitions(first date, months integer) RETURNS integer "
        "LANGUAGE sql AS 'SELECT 1'",
    ],
)
def test_the_program_may_not_change_the_schema_or_go_round_its_policies(app: Database, statement: str) -> None:
    with pytest.raises(DBAPIError, match=r"permission denied|must be owner"), app.write() as connection:
        connection.execute(text(statement))


def test_every_table_of_projects_has_a_policy_that_binds_its_owner_too(app: Database) -> None:
    asked = text(
        "SELECT relname FROM pg_class JOIN pg_policy ON polrelid = pg_class.oid "
        "WHERE relrowsecurity AND relforcerowsecurity AND polname = 'by_project'"
    )
    with app.read() as connection:
        assert sorted(connection.execute(asked).scalars()) == sorted(table.name for table in OF_PROJECTS)


# The jobs' own suite shows the same of their tables.
@pytest.mark.parametrize(
    "table", [table for table in OF_PROJECTS if table.name in metadata.tables], ids=lambda table: table.name
)
def test_rows_are_seen_and_changed_by_their_project_alone(app: Database, table: Table) -> None:
    own, foreign = a_row(table, project="shop"), a_row(table, project="other", bucket=2)
    with app.write() as connection:
        connection.execute(table.insert(), [own, foreign])
        assert projects_in(connection, table) == ["other", "shop"]
    for project, seen in (("shop", ["shop"]), ("other", ["other"]), ("shop'", []), ("", []), (None, ["other", "shop"])):
        with app.read(project) as connection:
            assert projects_in(connection, table) == seen
    with app.write("shop") as connection:
        assert connection.execute(table.update().values(bucket=3)).rowcount == 1
        assert connection.execute(table.delete().where(table.c.project == "other")).rowcount == 0
    row_level = pytest.raises(DBAPIError, match="row-level security")
    with row_level, app.write("shop") as connection:
        connection.execute(table.insert(), a_row(table, project="other", bucket=4))
    with row_level, app.write("shop") as connection:
        connection.execute(table.update().values(project="other"))
    with app.write("shop") as connection:
        assert connection.execute(table.delete()).rowcount == 1
    with app.read() as connection:
        assert projects_in(connection, table) == ["other"]


def projects_in(connection: Connection, table: Table) -> list[str]:
    return list(connection.execute(select(table.c.project).order_by(table.c.project)).scalars())


def test_whoever_names_no_project_sees_no_rows(on_postgresql: Place, app: Database) -> None:
    with app.write() as connection:
        connection.execute(keywords.insert(), a_row(keywords, project="shop"))
    with psycopg.connect(on_postgresql.url) as connection:
        assert connection.execute("SELECT count(*) FROM keywords").fetchone() == (0,)
    with psycopg.connect(on_postgresql.owner_url) as connection:
        assert connection.execute("SELECT count(*) FROM keywords").fetchone() == (0,)


# ---- partitions

OF_ROW = "SELECT tableoid::regclass::text FROM observations WHERE row = :row"
MAKE = text("SELECT okf_make_partitions(:first, :months)")


def months_from(first: date, count: int) -> list[str]:
    numbers = range(first.year * 12 + first.month - 1, first.year * 12 + first.month - 1 + count)
    return [f"observations_{number // 12}{number % 12 + 1:02}" for number in numbers]


def observe(database: Database, row: int, at: datetime, project: str = "shop") -> str:
    """The partition where an observation of that time came to lie."""
    with database.write(project) as connection:
        one = a_row(observations, row=row, project=project, recorded_at=at)
        connection.execute(observations.insert(), one)
        return partition_of(connection, row)


def partition_of(connection: Connection, row: int) -> str:
    found: str = connection.execute(text(OF_ROW), {"row": row}).scalar_one()
    return found


@pytest.fixture
def fresh(places: Places, on_postgresql: Place) -> Iterator[Database]:
    """A migrated database of its own, as the program: partitions stay."""
    kind = next(kind for kind in POSTGRES if places.server(kind) is on_postgresql.server)
    place = places.empty(kind)
    owner = connect(place.owner_url)
    migrate(owner, app_role=APP_ROLE)
    owner.close()
    database = connect(place.url)
    yield database
    database.close()


def test_keywords_lie_in_sixteen_parts_by_bucket(app: Database) -> None:
    with app.write() as connection:
        connection.execute(keywords.insert(), [a_row(keywords, bucket=i) for i in range(256)])
        parts = connection.execute(text("SELECT tableoid::regclass::text, count(*) FROM keywords GROUP BY 1")).all()
    assert sorted(name for name, _ in parts) == [f"keywords_{i:02}" for i in range(16)]
    assert all(5 <= count <= 30 for _, count in parts)


def test_the_month_and_three_more_are_there_from_the_start_and_the_program_makes_more(fresh: Database) -> None:
    today = datetime.now(UTC)
    assert observe(fresh, 1, today) == months_from(today.date(), 1)[0]
    with fresh.write() as connection:
        known = connection.execute(text("SELECT count(*) FROM pg_class WHERE relname ~ '^observations_[0-9]+$'"))
        assert known.scalar_one() == 4
        assert connection.execute(MAKE, {"first": today.date(), "months": 14}).scalar_one() == 10
        assert connection.execute(MAKE, {"first": today.date(), "months": 14}).scalar_one() == 0
    assert observe(fresh, 2, today + timedelta(days=395)) in months_from(today.date(), 14)[12:]


def test_an_observation_of_next_year_is_kept_and_its_month_can_be_made_afterwards(fresh: Database) -> None:
    later = datetime.now(UTC) + timedelta(days=400)
    month = months_from(later.date(), 1)[0]
    first, last = later.replace(day=1, hour=0, minute=0), later.replace(day=1) + timedelta(days=62)
    assert observe(fresh, 1, later) == "observations_default"
    assert observe(fresh, 2, first.replace(second=0, microsecond=0), project="other") == "observations_default"
    assert observe(fresh, 3, last) == "observations_default"
    with fresh.write("shop") as connection:
        assert connection.execute(MAKE, {"first": later.date(), "months": 1}).scalar_one() == 1
    with fresh.read() as connection:
        assert [partition_of(connection, row) for row in (1, 2, 3)] == [month, month, "observations_default"]
        kept = connection.execute(select(observations.c.recorded_at).where(observations.c.row == 1)).scalar_one()
        assert kept == later
        assert projects_in(connection, observations) == ["other", "shop", "shop"]
    assert observe(fresh, 4, later) == month


def test_months_are_those_of_utc_wherever_the_session_is(fresh: Database) -> None:
    with fresh.write() as connection:
        connection.execute(text("SET LOCAL timezone = 'America/Sao_Paulo'"))
        connection.execute(text("SET LOCAL datestyle = 'SQL, DMY'"))
        assert connection.execute(MAKE, {"first": date(2031, 12, 31), "months": 2}).scalar_one() == 2
    for row, (at, month) in enumerate(
        (
            (datetime(2031, 11, 30, 23, 59, 59, tzinfo=UTC), "observations_default"),
            (datetime(2031, 12, 1, tzinfo=UTC), "observations_203112"),
            (datetime(2031, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC), "observations_203112"),
            (datetime(2032, 1, 1, tzinfo=UTC), "observations_203201"),
            (datetime(2032, 2, 1, tzinfo=UTC), "observations_default"),
        )
    ):
        assert observe(fresh, row, at) == month


def test_several_make_the_same_months_at_once_while_rows_come_in(fresh: Database) -> None:
    first = date(2033, 1, 1)
    made, written = [], []
    start = threading.Barrier(4)

    def make() -> None:
        start.wait()
        with fresh.write() as connection:
            made.append(connection.execute(MAKE, {"first": first, "months": 6}).scalar_one())

    def write(i: int) -> None:
        start.wait()
        waiting = list(range(12))
        while waiting:
            with contextlib.suppress(DatabaseBusy):
                observe(fresh, i * 100 + waiting[0], datetime(2033, 1 + waiting[0] // 2, 15, tzinfo=UTC))
                written.append(i * 100 + waiting.pop(0))

    threads = [threading.Thread(target=make) for _ in range(2)]
    threads += [threading.Thread(target=write, args=(i,)) for i in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(made) == [0, 6]
    with fresh.read() as connection:
        rows = connection.execute(select(observations.c.row)).scalars()
        assert sorted(rows) == sorted(written)
        default = text("SELECT count(*) FROM observations WHERE tableoid::regclass::text = 'observations_default'")
        assert connection.execute(default).scalar_one() == 0
    assert len(written) == 24
