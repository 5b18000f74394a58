"""PostgreSQL answers what is asked often by the index that is meant for it, and looks into no partition in vain."""

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import polars as pl
import psycopg
import pytest
from sqlalchemy import Engine, event

from omnikeywords.analysis import Options
from omnikeywords.catalog import listing, log
from omnikeywords.catalog.keywords import Scope, _rows_of
from omnikeywords.catalog.projects import bucket_of
from omnikeywords.db import Connection, Database, connect
from omnikeywords.jobs.store import claim
from tests.conftest import Place, Places

PROJECT = "shop"
BUCKET = bucket_of(PROJECT)
A_KEYWORD = "k1" + "5999".rjust(24, "a")
# One project among several in its bucket, with an import in each of three months.
FILL = """
INSERT INTO keywords (bucket, project, id, keyword, normalized, market, language, words, intent, funnel, branded, local,
    volume, opportunity, rows, model_version, created_at, updated_at)
SELECT {bucket}, p, 'k1' || lpad(i::text, 24, 'a'), 'word ' || i, 'word ' || i, 'pt-BR', 'pt', 2, 'commercial',
    'decision', false, false, CASE WHEN i % 3 = 0 THEN NULL ELSE i END, i % 100, 'i1a/' || i, '1', now(), now()
FROM unnest(ARRAY['shop', 'other', 'third']) AS p, generate_series(1, 6000) AS i;
INSERT INTO observations (bucket, project, import_id, "row", recorded_at, id, rest)
SELECT {bucket}, p, 'i1' || chr(97 + i % 3), i, now(), 'k1' || lpad(i::text, 24, 'a'), '{{}}'
FROM unnest(ARRAY['shop', 'other', 'third']) AS p, generate_series(1, 6000) AS i;
INSERT INTO events (bucket, position, project, stream, version, type, schema_version, payload, actor, recorded_at)
SELECT {bucket}, i, 'shop', 'import/i' || i % 50, i, 'import.rows_appended', 1,
    '{{"number": 0, "first_row": 0, "rows": 0}}', 'a', now() FROM generate_series(1, 6000) AS i;
INSERT INTO buckets (bucket, head) VALUES ({bucket}, 6000);
INSERT INTO jobs (id, bucket, project, kind, state, run, pivoted, backwards, attempt, due_at, failed_tries, outages,
    deaths, input, progress, cancel_requested, created_at, updated_at, ended_at)
SELECT 'j' || i, {bucket}, 'shop', 'work', CASE WHEN i < 5 THEN 'queued' ELSE 'completed' END, 1, false, false, 0,
    CASE WHEN i < 5 THEN 1 END, 0, 0, 0, '{{}}', '{{}}', false, 1, 1, CASE WHEN i < 5 THEN NULL ELSE 1 END
FROM generate_series(1, 6000) AS i;
"""


@pytest.fixture(scope="module")
def place(places: Places) -> Place:
    made = places.empty("postgresql15")
    places._migrate(made)
    owner = connect(made.owner_url)
    with owner.write() as connection:
        connection.exec_driver_sql(FILL.format(bucket=BUCKET).replace("%", "%%"))
        for table in ("keywords", "observations", "events", "jobs"):
            connection.exec_driver_sql(f"ANALYZE {table}")
    owner.close()
    return made


@pytest.fixture(scope="module")
def uncounted(places: Places) -> Place:
    """A project alone in its database, of whose rows PostgreSQL knows nothing yet, as during its first import."""
    made = places.empty("postgresql15")
    places._migrate(made)
    owner = connect(made.owner_url)
    with owner.write() as connection:
        connection.exec_driver_sql(FILL.format(bucket=BUCKET).replace("%", "%%"))
    owner.close()
    return made


@pytest.fixture
def database(place: Place) -> Iterator[Database]:
    opened = connect(place.url)
    yield opened
    opened.close()


class Plan:
    """How a statement is answered."""

    def __init__(self, statement: str, root: dict[str, Any]) -> None:
        self.statement = statement
        self.nodes = list(_nodes(root))

    @property
    def indexes(self) -> list[str]:
        """The indexes that are gone through."""
        return [node["Index Name"] for node in self.nodes if "Index Name" in node]

    @property
    def scanned(self) -> set[str]:
        """Tables that are read from end to end."""
        return {node["Relation Name"] for node in self.nodes if node["Node Type"] == "Seq Scan"}

    @property
    def kinds(self) -> set[str]:
        return {node["Node Type"] for node in self.nodes}

    @property
    def tables(self) -> set[str]:
        return {node["Relation Name"] for node in self.nodes if "Relation Name" in node}


def _nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """All but what is looked up once for the whole statement: whether the project was deleted."""
    yield node
    for child in node.get("Plans", ()):
        if child["Parent Relationship"] != "InitPlan":
            yield from _nodes(child)


def plans(place: Place, database: Database, act: Callable[[], object]) -> list[Plan]:
    """How what is asked meanwhile is answered."""
    asked: list[tuple[str, Any]] = []

    def note(connection: Any, cursor: Any, statement: str, parameters: Any, *rest: Any) -> None:
        if statement.lstrip().split(" ")[0] in ("SELECT", "UPDATE", "DELETE", "WITH") and "set_config" not in statement:
            asked.append((statement, parameters))

    event.listen(Engine, "before_cursor_execute", note)
    try:
        act()
    finally:
        event.remove(Engine, "before_cursor_execute", note)
    found = []
    with psycopg.connect(place.url, autocommit=True) as connection:
        connection.execute("SELECT set_config('okf.project', %s, false)", (PROJECT,))
        for statement, parameters in asked:
            row = connection.execute("EXPLAIN (FORMAT JSON) " + statement, parameters).fetchone()
            assert row is not None
            found.append(Plan(statement, row[0][0]["Plan"]))
    return found


def a_page(database: Database, order: str) -> Callable[[], object]:
    return lambda: listing.page(database, PROJECT, Options(), listing.Filters(), order=order)


@pytest.mark.parametrize(
    ("order", "columns"),
    [("id", "pkey"), ("keyword", "bucket_project_normalized_id"), ("volume", "bucket_project_volume")],
)
def test_a_list_of_keywords_is_read_in_the_order_of_an_index(
    place: Place, database: Database, order: str, columns: str
) -> None:
    listed = plans(place, database, a_page(database, order))[0]
    assert "ORDER BY" in listed.statement
    assert re.fullmatch(rf"keywords_\d\d_{columns}\w*", listed.indexes[0])
    assert "Sort" not in listed.kinds
    assert len(listed.tables) == 1, "of sixteen partitions one"


def test_the_cursor_of_a_list_goes_on_in_the_order_of_the_index(place: Place, database: Database) -> None:
    for order in ("id", "keyword", "volume"):
        first = listing.page(database, PROJECT, Options(), listing.Filters(), order=order, limit=10)
        following = plans(
            place,
            database,
            lambda order=order, first=first: listing.page(
                database, PROJECT, Options(), listing.Filters(), order=order, limit=10, cursor=first.next_cursor
            ),
        )
        assert "Sort" not in following[0].kinds


def test_a_keyword_and_its_history_are_found_by_their_keys(place: Place, database: Database) -> None:
    (found,) = plans(place, database, lambda: listing.find(database, PROJECT, Options(), A_KEYWORD))
    assert re.fullmatch(r"keywords_\d\d_pkey", found.indexes[0])
    places, observed, withdrawn = plans(place, database, lambda: listing.history(database, PROJECT, A_KEYWORD))
    assert withdrawn.tables <= {"imports", "events"}
    assert re.fullmatch(r"keywords_\d\d_pkey", places.indexes[0])
    # Every month may hold some of it; those that have rows are entered by their key.
    month = f"observations_{datetime.now(UTC):%Y%m}"
    assert f"{month}_pkey" in observed.indexes
    assert month not in observed.scanned


def test_keywords_are_looked_up_by_their_key_before_anybody_counted_them(uncounted: Place) -> None:
    database = connect(uncounted.url)
    ids = pl.Series("id", [A_KEYWORD])
    (found,) = plans(uncounted, database, lambda: within(database, lambda c: _rows_of(c, Scope(BUCKET, PROJECT), ids)))
    (one,) = plans(uncounted, database, lambda: listing.find(database, PROJECT, Options(), A_KEYWORD))
    database.close()
    for plan in (found, one):
        (index,) = plan.indexes
        assert re.fullmatch(r"keywords_\d\d_pkey", index)


def test_the_log_is_read_from_a_position_on(place: Place, database: Database) -> None:
    (behind,) = plans(place, database, lambda: within(database, lambda connection: log.read(connection, BUCKET, 3000)))
    assert (behind.indexes, behind.kinds & {"Sort", "Seq Scan"}) == (["pk_events"], set())
    (newest,) = plans(
        place,
        database,
        lambda: within(
            database, lambda connection: log._versions(connection, BUCKET, PROJECT, ["import/i7", "import/i8"])
        ),
    )
    assert newest.indexes == ["uq_events_bucket_project_stream_version"]


def test_a_job_is_claimed_by_when_it_is_due_however_many_have_ended(place: Place, database: Database) -> None:
    asked = plans(
        place, database, lambda: write(database, lambda connection: claim(connection, "w", {"work": None}, 1000))
    )
    taken = [plan for plan in asked if "jobs" in plan.tables and plan.statement.lstrip().startswith(("SELECT", "WITH"))]
    assert taken
    for plan in taken:
        assert "jobs" not in plan.scanned, plan.statement


def within(database: Database, read: Callable[[Connection], object]) -> object:
    with database.read(PROJECT) as connection:
        return read(connection)


def write(database: Database, act: Callable[[Connection], object]) -> object:
    with database.write() as connection:
        return act(connection)
