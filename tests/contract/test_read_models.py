"""What is read of a project is a function of its facts, on every database, however they came to be there."""

import base64
import contextlib
import itertools
import multiprocessing
import random
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from multiprocessing.synchronize import Event as Event_
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal
from sqlalchemy import delete, select, text, update
from structlog.testing import capture_logs

from omnikeywords.analysis import Options, analyse
from omnikeywords.bulk import Source, analyse_sources
from omnikeywords.catalog import listing, log, marks
from omnikeywords.catalog.derive import STORED_SCHEMA
from omnikeywords.catalog.events import Event, EventType, frame_of
from omnikeywords.catalog.follow import Follower, Part, outdated_buckets, parked_events, position_of, wait_until
from omnikeywords.catalog.keywords import KeywordsModel
from omnikeywords.catalog.projects import bucket_of
from omnikeywords.catalog.rows import fetch, fetch_parts, put, unlike
from omnikeywords.catalog.tables import events, followers, keywords, metadata, observations, parked
from omnikeywords.db import Database, connect
from omnikeywords.errors import InvalidOption, NotFound, UnknownEvent
from omnikeywords.finder import Finder
from omnikeywords.finder.imports import Importing
from omnikeywords.jobs import Job, JobState, list_jobs
from omnikeywords.jobs import metadata as jobs_metadata
from omnikeywords.model import Market
from omnikeywords.settings import Settings
from omnikeywords.workflows import Workflows
from tests.catalogue import Catalogue, Chunk, chunks_of
from tests.conftest import Place
from tests.servers.redis import until

WAIT = 30  # seconds for what must come

# Two tools, two months, two markets; keywords that repeat within a file and between them; what breaks careless quoting.
SEPTEMBER = """Keyword,Country,Volume,KD,CPC,Currency,URL,Device,Note
tênis de corrida,br,1900,41,1.25,BRL,/tenis,mobile,"diz ""sim"", às vezes"
tenis de corrida,br,1300,38,,,/tenis,desktop,
Tênis  de Corrida,br,,,,,/b,mobile,\\N
100% algodão,br,50,,0.10,BRL,,,"a\nb"
100 algodão,br,40,,,,,,
camisa_branca,br,0,,,,,,
camisa branca,br,20,3,,,,,\\
running shoes,us,5400,77,2.5,USD,/shoes,,
shoes running,us,110,,,,,,
best running shoes 2026,us,880,60,,,,,'
x{"a": [1]},us,,,,,,,"{""a"": null}"
,us,5,,,,,,
loja,,10,,,,,,
lojas,,70,,,,,,
"""
QUERIES = """Top queries,Clicks,Impressions,CTR,Position
tênis de corrida,12,300,4%,3.4
running shoes,1,10,10%,8
loja,0,2,0%,40.5
where to buy shoes,3,9,33.33%,1.2
tênis  de corrida,5,20,25%,9
"""
LATER = """Keyword,Country,Volume,KD,CPC,Currency,Month,Trend
tênis de corrida,br,2100,44,1.5,BRL,2026-10,up
running shoes,us,5200,75,,,2026-10,
novo modelo,br,9,,,,2026-10,
lojas,,90,,,,2026-10,
"""
FILES = {
    "i1a": (SEPTEMBER.encode(), "keywords.csv"),
    "i1b": (QUERIES.encode(), "Queries.csv"),
    "i1c": (LATER.encode(), "later.csv"),
}


@pytest.fixture(params=["sqlite", "postgresql15", "pgbouncer"])
def kind(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


# What says nothing to the database that other tests do not say through the pooler too.
straight = pytest.mark.parametrize("kind", ["sqlite", "postgresql15"], indirect=True)


@pytest.fixture
def shop(database: Database) -> Catalogue:
    made = Catalogue(database)
    made.create()
    return made


def bring_all(shop: Catalogue, *, size: int = 10_000) -> None:
    for import_id, (file, name) in FILES.items():
        shop.bring(import_id, file, name=name, size=size)


def small_parts(monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
    """Let so few rows be a transaction that there are several of them."""
    monkeypatch.setattr("omnikeywords.catalog.keywords._PART", rows)
    monkeypatch.setattr("omnikeywords.catalog.keywords._TAKEN", rows)
    monkeypatch.setattr("omnikeywords.catalog.keywords._SORTED", 2 * rows)
    monkeypatch.setattr("omnikeywords.catalog.keywords._WRITTEN", {"sqlite": rows, "postgresql": rows})


# ---- what the tables hold


def whole(shop: Catalogue) -> pl.DataFrame:
    """The same files analysed at once, without any database."""
    with analyse_sources([Source(file, name) for file, name in FILES.values()], shop.options()) as results:
        return pl.concat(list(results.frames())).sort("id")


def test_a_project_says_of_its_keywords_what_one_analysis_of_all_its_files_says(shop: Catalogue) -> None:
    bring_all(shop, size=4)
    shop.regroup()
    objects, expected = shop.objects(), whole(shop)
    assert set(objects.columns) - set(expected.columns) == {"tags", "corrected", "created_at", "updated_at"}
    assert set(expected.columns) <= set(objects.columns)
    assert expected["near_duplicate_of"].count() > 3
    assert_frame_equal(objects.select(expected.columns), expected)


def test_ids_are_those_of_analyze(shop: Catalogue) -> None:
    bring_all(shop)
    objects = shop.objects()
    for keyword, market, keyword_id in objects.select("keyword", "market", "id").rows():
        (one,) = analyse([keyword], Options(market=Market.parse(market) if market else None)).rows()
        assert (one["id"], one["market"]) == (keyword_id, market)


KEYWORDS = st.sampled_from(["boots", "Boots", "winter boots", "boot", "botas de inverno", "botas inverno", "açaí 50%"])
A_ROW = st.fixed_dictionaries(
    {
        "keyword": KEYWORDS,
        "volume": st.none() | st.integers(0, 30),
        "note": st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=6),
    },
    optional={
        "country": st.sampled_from(["br", "us"]),
        "cpc": st.sampled_from([0.1, 0.25, 3.0]),
        "currency": st.sampled_from(["EUR", "USD"]),
        "clicks": st.integers(0, 5),
        "impressions": st.integers(0, 9),
        "position": st.sampled_from([1, 2.5, 99]),
        "cost": st.sampled_from([0.1, 0.2]),
        "url": st.sampled_from(["/a", "/b"]),
        "device": st.sampled_from(["mobile", "desktop"]),
    },
)
FILE = st.lists(A_ROW, min_size=1, max_size=14)
PERIODS = st.sampled_from([None, (date(2026, 8, 1), date(2026, 8, 31)), (date(2026, 9, 1), date(2026, 9, 30))])
numbers = itertools.count(1)


@settings(
    max_examples=12,
    deadline=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],  # to find the smallest would take minutes
    suppress_health_check=list(HealthCheck),
)
@given(st.lists(st.tuples(FILE, PERIODS), min_size=1, max_size=4), st.integers(1, 5), st.randoms())
def test_neither_the_order_of_imports_nor_of_their_chunks_decides_anything(
    database: Database, files: list[tuple[list[dict[str, Any]], Any]], size: int, dice: random.Random
) -> None:
    cut = []
    for number, (rows, period) in enumerate(files):
        frame = pl.DataFrame(rows, infer_schema_length=None)
        text = frame.select("keyword", pl.exclude("keyword")).write_csv().encode()
        cut.append(chunks_of(f"i1{number}", text, size=size, period=period))
    number = next(numbers)
    straight, shuffled = (Catalogue(database, f"{name}-{number}") for name in ("straight", "shuffled"))
    for shop in (straight, shuffled):
        shop.create()
    for chunks in cut:
        straight.start(chunks[0].import_id)
        straight.append(*chunks)
        straight.follow()
    shuffled.bring_shuffled(cut, dice)

    def untold(shop: Catalogue) -> Any:
        """Without the places of observations, which stand in the order of their times."""
        found = shop.rows(timeless=True)
        place = [column.name for column in keywords.columns if column.name not in _UNTOLD].index("rows")
        states = [(*row[:place], sorted(row[place].split(" ")), *row[place + 1 :]) for row in found["keywords"]]
        return states, found["observations"]

    assert untold(shuffled) == untold(straight)


_UNTOLD = {"bucket", "project", "created_at", "updated_at"}


# ---- made anew, taken back, derived anew


def say(shop: Catalogue, keyword_id: str, **what: Any) -> None:
    with shop.database.write(shop.project) as connection:
        marks.put(connection, shop.project, keyword_id, "ana", **what)
    shop.follow()


def id_of(shop: Catalogue, keyword: str, market: str | None = None) -> str:
    return str(analyse([keyword], Options(market=Market.parse(market) if market else None)).rows()[0]["id"])


def test_a_rebuild_makes_equal_tables_row_for_row(shop: Catalogue, monkeypatch: pytest.MonkeyPatch) -> None:
    neighbour = Catalogue(shop.database, same_bucket(shop.project), shop.model)
    neighbour.create()
    bring_all(shop, size=3)
    bring_all(neighbour)
    shop.withdraw("i1b")
    say(shop, id_of(shop, "loja"), tags=["a", "ção"], corrected={"intent": "navigational"})
    say(neighbour, id_of(shop, "loja"), tags=["b"])
    shop.regroup()
    neighbour.regroup()
    before = shop.rows(), neighbour.rows()
    small_parts(monkeypatch, 4)
    shop.rebuild()
    for one in (shop, neighbour):
        one.regroup()
    assert (shop.rows(), neighbour.rows()) == before


class Looked(KeywordsModel):
    """A model that tells after each part of a rebuild."""

    def __init__(self, database: Database, tell: Callable[[], object]) -> None:
        super().__init__(database)
        self._tell = tell

    def again(self, database: Database, events: list[Event], digests: list[Any]) -> Iterator[Part]:
        for part in super().again(database, events, digests):
            yield part
            self._tell()


@straight
def test_readers_find_right_rows_at_any_time_of_a_rebuild(shop: Catalogue, monkeypatch: pytest.MonkeyPatch) -> None:
    small_parts(monkeypatch, 4)
    bring_all(shop, size=3)
    shop.withdraw("i1b")
    say(shop, id_of(shop, "loja"), tags=["a"], corrected={"intent": "navigational"})
    shop.regroup()
    before = shop.rows()
    with shop.database.write() as connection:
        connection.execute(update(keywords).where(keywords.c.normalized.like("t%")).values(words=99))
        connection.execute(update(observations).where(observations.c.row > 6).values(volume=99))
    damaged = shop.rows()
    seen = []

    def look() -> None:
        """Every row is as it was or as it is to be."""
        now = shop.rows()
        seen.append(
            all(
                row in (was, right)
                for name in now
                for row, was, right in zip(now[name], damaged[name], before[name], strict=True)
            )
        )

    Follower(shop.database, Looked(shop.database, look), shop.bucket).rebuild()
    assert len(seen) > 5
    assert all(seen)
    assert shop.rows() == before != damaged


@straight
def test_a_rebuild_of_right_rows_has_nothing_to_write(shop: Catalogue) -> None:
    lines = [f"boots {n},{n},0.1,2.35\nbotas de inverno {n},,,\n" for n in range(20)]
    shop.bring("i1a", f"keyword,volume,cpc,position\n{''.join(lines)}".encode(), size=7)
    say(shop, id_of(shop, "boots 3"), tags=["a"], corrected={"intent": "navigational"})
    shop.regroup()
    parts: list[None] = []
    Follower(shop.database, Looked(shop.database, lambda: parts.append(None)), shop.bucket).rebuild()
    assert parts == []


def test_a_row_that_is_put_as_it_is_already_is_not_written_again(shop: Catalogue) -> None:
    bring_all(shop)
    names = ("bucket", "project", "id", "keyword", "normalized", "language", "words", "intent", "funnel", "branded")
    names += ("local", "cpc", "rows", "model_version", "created_at", "updated_at")
    with shop.database.write(shop.project) as connection:
        rows = connection.execute(select(*(keywords.c[name] for name in names))).all()
        held = pl.DataFrame([tuple(row) for row in rows], schema=list(names), orient="row", infer_schema_length=None)
        if shop.database.dialect == "sqlite":
            raises = "BEGIN SELECT RAISE(ABORT, 'written again'); END"
            connection.execute(text(f"CREATE TEMP TRIGGER watch AFTER UPDATE ON keywords {raises}"))
            version = text("SELECT 0 FROM keywords")
        else:
            version = text("SELECT xmin::text FROM keywords ORDER BY id")
        before = connection.execute(version).all()
        put(connection, keywords, held)
        assert connection.execute(version).all() == before
        assert len(before) > 9
        if shop.database.dialect == "sqlite":
            connection.execute(text("DROP TRIGGER watch"))
        put(connection, keywords, held.with_columns(words=pl.lit(99)))
    assert {row[5] for row in shop.rows()["keywords"]} == {99}


@pytest.mark.parametrize("at_a_time", [2, 20_000])
def test_rows_that_are_fetched_part_by_part_are_all_of_them(
    shop: Catalogue, monkeypatch: pytest.MonkeyPatch, at_a_time: int
) -> None:
    shop.bring("i1a", b"keyword,volume\nboots,5\nshoes,4\nsocks,3\n")
    monkeypatch.setattr("omnikeywords.catalog.rows._FETCHED", at_a_time)
    schema = {"keyword": pl.String(), "volume": pl.Int64()}
    found = select(keywords.c.keyword, keywords.c.volume).where(keywords.c.bucket == shop.bucket)
    with shop.database.read(shop.project) as connection:
        for statement in (found, found.where(keywords.c.volume < 0)):
            parts = list(fetch_parts(connection, statement, schema))
            rows = sorted(row for part in parts for row in part.rows())
            assert rows == sorted(fetch(connection, statement, schema).rows())
            assert all(part.height <= at_a_time for part in parts)
            assert rows == ([("boots", 5), ("shoes", 4), ("socks", 3)] if statement is found else [])


@pytest.mark.parametrize("value", ["true", "false", '"12"', "[1]", "1e400", str(2**63)])
def test_a_cursor_of_somebody_s_own_making_is_refused(shop: Catalogue, value: str) -> None:
    cursor = base64.urlsafe_b64encode(f'["volume", {value}, "k1a"]'.encode()).decode()
    with pytest.raises(InvalidOption, match="the cursor is of another list"):
        listing.page(
            shop.database, shop.project, shop.options(), listing.Filters(), order="volume", limit=5, cursor=cursor
        )


AT = datetime(2026, 9, 1, 10, 30, 0, 120_000, tzinfo=UTC)
OTHER_VALUES: list[tuple[str, Any, Any]] = [
    ("period_start", date(2026, 9, 1), None),
    ("period_start", None, date(1969, 12, 31)),
    ("source", "", None),
    ("source", None, ""),
    ("source", None, "NULL"),
    ("source", 'it\'s "so",\nor \\N', 'it\'s "so",\nor \\n'),
    ("source", "5", "5 "),
    ("volume", 2**62, 2**62 + 1),
    ("volume", 0, None),
    ("cpc", 0.1 + 0.2, 0.3),
    ("cpc", 5e-324, 0.0),
    ("cpc", 1.7976931348623157e308, None),
    ("ctr", None, 0.0),
    ("rest", '{"keyword":"tênis, \'é\'"}', '{"keyword":"tenis, \'é\'"}'),
    ("recorded_at", AT, AT.replace(microsecond=120_001)),
]


@pytest.mark.parametrize(("column", "value", "other"), OTHER_VALUES)
def test_a_row_is_told_from_one_that_differs_in_the_least(shop: Catalogue, column: str, value: Any, other: Any) -> None:
    kinds = {**STORED_SCHEMA, "recorded_at": pl.Datetime("us", "UTC"), "id": pl.String(), "row": pl.Int64()}
    given = {"rest": "{}", "recorded_at": AT, "id": "k1x"}
    rows = pl.DataFrame(
        [
            dict.fromkeys(kinds) | given | {"row": number, column: held}
            for number, held in enumerate((value, other, value))
        ],
        schema=kinds,
    ).with_columns(bucket=pl.lit(shop.bucket, pl.Int32), project=pl.lit(shop.project), import_id=pl.lit("i1a"))
    there = select(*(observations.c[name] for name in rows.columns)).where(observations.c.row < 2)
    with shop.database.write(shop.project) as connection:
        put(connection, observations, rows[:2])
        assert unlike(connection, rows, "row", there).to_list() == [False, False, True]
        swapped = rows.with_columns(row=pl.Series([1, 0, 2]))
        assert unlike(connection, swapped, "row", there).to_list() == [True, True, True]
        assert unlike(connection, rows, "row", there.where(observations.c.row < 0)).to_list() == [True, True, True]


@pytest.mark.parametrize("kind", ["sqlite"])  # PostgreSQL takes nothing that is no value of its column
def test_what_is_no_value_of_its_column_is_told_from_none(shop: Catalogue) -> None:
    rows = pl.DataFrame({"row": [0], "volume": [None]}, schema={"row": pl.Int64(), "volume": pl.Int64()})
    there = select(observations.c.row, observations.c.volume)
    shop.bring("i1a", b"keyword\nboots\n")
    with shop.database.write(shop.project) as connection:
        assert unlike(connection, rows, "row", there).to_list() == [False]
        connection.execute(text("UPDATE observations SET volume = 'many'"))
        assert unlike(connection, rows, "row", there).to_list() == [True]


@pytest.mark.parametrize("damage", ["rows lost", "rows altered", "rows too many"])
def test_a_rebuild_mends_what_was_damaged(shop: Catalogue, damage: str) -> None:
    bring_all(shop, size=5)
    shop.withdraw("i1b")
    shop.follow()
    shop.regroup()
    before = shop.rows()
    with shop.database.write() as connection:
        match damage:
            case "rows lost":
                connection.execute(delete(keywords).where(keywords.c.volume > 100))
                connection.execute(delete(observations).where(observations.c.row > 4))
            case "rows altered":
                connection.execute(update(keywords).values(intent="navigational", volume=1, rows="i1a/0"))
                connection.execute(update(observations).values(volume=7))
            case _:
                for table, more in ((keywords, {"id": "k1zzz", "rows": "i1a/0"}), (observations, {"import_id": "i1z"})):
                    row = connection.execute(select(table).where(table.c.project == shop.project).limit(1)).one()
                    connection.execute(table.insert(), {**row._mapping, **more})
    assert shop.rows() != before
    shop.rebuild()
    shop.regroup()
    assert shop.rows() == before


@straight
def test_rows_of_another_version_of_the_analysis_are_derived_anew_by_a_job(
    shop: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_parts(monkeypatch, 4)
    bring_all(shop)
    say(shop, id_of(shop, "loja"), corrected={"intent": "navigational"})
    shop.regroup()
    before = shop.rows()
    workflows = Workflows(shop.database)
    assert workflows.derive_outdated() == 0
    with shop.database.write() as connection:
        connection.execute(update(keywords).values(model_version="older", funnel="decision", popularity=0.1))
        connection.execute(update(followers).values(model_version="older"))
    assert workflows.derive_outdated() == 1
    assert workflows.derive_outdated() == 1, "begun once, however many processors start"
    shop.run_jobs(workflows)
    (job,) = jobs_of_kind(shop, "derive_keywords")
    assert (job.state, job.progress["keywords"], job.progress["derived"]) == (
        JobState.COMPLETED,
        len(before["keywords"]),
        len(before["keywords"]),
    )
    assert shop.rows() == before
    assert workflows.derive_outdated() == 0


@straight
def test_a_version_that_writes_beside_another_is_noticed(shop: Catalogue) -> None:
    class Older(KeywordsModel):
        version = "older"

    shop.bring("i1a", SEPTEMBER.encode())
    shop.model = Older(shop.database)
    shop.bring("i1b", QUERIES.encode(), name="Queries.csv")
    with shop.database.read() as connection:
        assert outdated_buckets(connection, KeywordsModel(shop.database)) == [shop.bucket]


def jobs_of_kind(shop: Catalogue, kind: str) -> list[Job]:
    with shop.database.read(shop.project) as connection:
        return [job for job in list_jobs(connection, project=shop.project) if job.kind == kind]


def test_a_rebuild_keeps_what_was_said_in_a_project_that_was_made_again(shop: Catalogue) -> None:
    bring_all(shop)
    say(shop, id_of(shop, "loja"), tags=["old"])
    shop.erase()
    shop.create()
    shop.bring("i1d", SEPTEMBER.encode())
    say(shop, id_of(shop, "loja"), tags=["new"], corrected={"funnel": "decision"})
    before = shop.rows()
    assert [(row[1], row[2]) for row in before["marks"]] == [('["new"]', '{"funnel":"decision"}')]
    shop.rebuild()
    assert shop.rows() == before


@pytest.mark.parametrize("gone", list(FILES))
def test_a_withdrawn_import_leaves_what_would_be_there_without_it(
    shop: Catalogue, gone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_parts(monkeypatch, 4)
    without = Catalogue(shop.database, "without", shop.model)
    without.create()
    for import_id, (file, name) in FILES.items():
        shop.bring(import_id, file, name=name, size=5)
        if import_id != gone:
            without.bring(import_id, file, name=name, size=5)
    shop.withdraw(gone)
    shop.follow()
    for one in (shop, without):
        one.regroup()
    assert shop.rows(timeless=True) == without.rows(timeless=True)


CHANGES: list[dict[str, Any]] = [
    {"market": Market.parse("pt-BR")},
    {"brands": ("loja", "shoes")},
    {"weights": {"demand": 5.0}},
    {"market": Market.parse("en-US"), "brands": ("running",), "weights": {"demand": 0.5}},
]


@straight
@pytest.mark.parametrize("changes", CHANGES, ids=lambda changes: " ".join(changes))
def test_a_project_with_other_settings_is_what_imports_under_them_would_have_made(
    shop: Catalogue, changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    small_parts(monkeypatch, 3)
    bring_all(shop)
    before = shop.rows(timeless=True)
    shop.change(**changes)
    fresh = Catalogue(shop.database, "fresh", shop.model)
    fresh.create(**changes)
    bring_all(fresh)
    for one in (shop, fresh):
        one.regroup()
    assert shop.rows(timeless=True) == fresh.rows(timeless=True)
    assert shop.rows(timeless=True) != before


@straight
def test_what_people_said_goes_before_what_we_think_and_outlives_everything(shop: Catalogue) -> None:
    bring_all(shop)
    loja = id_of(shop, "loja")

    def stands() -> tuple[Any, ...]:
        found = listing.find(shop.database, shop.project, shop.options(), loja)
        return found["intent"], found["funnel"], found["language"], found["tags"], found["corrected"]

    thought = stands()[:3]
    assert thought == ("commercial", "consideration", "pt")
    say(shop, loja, tags=["b", "a"], corrected={"intent": "navigational", "language": "es"})
    said = (
        "navigational",
        "consideration",
        "es",
        ["a", "b"],
        {"intent": "navigational", "language": "es", "funnel": None, "near_duplicate_of": None},
    )
    assert stands() == said
    assert [one["id"] for one in shop.page(filters={"intent": "navigational"}).keywords] == [loja]
    shop.rebuild()
    assert stands() == said
    shop.change(brands=("corrida",))
    assert stands() == said
    shop.withdraw("i1a")
    shop.follow()
    assert stands() == said
    shop.withdraw("i1b")
    shop.follow()
    with pytest.raises(NotFound):
        stands()
    shop.bring("i1d", QUERIES.encode(), name="Queries.csv")
    assert stands() == said
    say(shop, loja, corrected={"intent": None, "language": None}, tags=[])
    assert stands() == (*thought, [], {"intent": None, "language": None, "funnel": None, "near_duplicate_of": None})


# ---- erasing


def trace(database: Database, marker: str) -> list[str]:
    """Every column of every table that holds a text, wherever in it."""
    found = []
    with database.read() as connection:
        for table in [*metadata.tables.values(), *jobs_metadata.tables.values()]:
            for row in connection.execute(select(table)):
                for name, value in row._mapping.items():
                    text = value if isinstance(value, bytes) else str(value).encode()
                    if name == "data" and value is not None:
                        with contextlib.suppress(pa.ArrowInvalid):
                            text += frame_of(value).write_json().encode()
                    if marker.encode() in text.lower():
                        found.append(f"{table.name}.{name}")
    return sorted(set(found))


MARKED = f"""Keyword,Volume,URL,Note
xyzzy boots,10,https://xyzzy.example/,xyzzy
boots,20,https://example.com/,
{"xyzzy" * 200},1,,
"""


@pytest.fixture
def finder(place: Place, database: Database) -> Finder:
    made = Finder(Settings.load({"OKF_DATABASE_URL": place.url, "OKF_JOB_POLL_MS": "20"}))
    made.catalogue._first = database
    return made


def bring_marked(finder: Finder, project: str, **how: Any) -> Importing:
    given = finder.imports.start(MARKED.encode(), name="xyzzy.csv", project=project, actor="xyzzy", **how)
    assert finder.jobs.run(given.job_id).state is JobState.COMPLETED
    return given


def test_a_deleted_project_leaves_no_trace_and_can_be_made_again(finder: Finder, database: Database) -> None:
    given = bring_marked(finder, "shop")
    assert len(finder.imports.rejects(given.import_id, "shop")) == 1
    keyword_id = finder.keywords.page("shop", q="xyzzy").keywords[0]["id"]
    finder.keywords.mark(keyword_id, "shop", "xyzzy", tags=["xyzzy"])
    finder.projects.change("shop", "xyzzy", {"brands": ["xyzzy"]})
    finder.imports.start(MARKED.encode() + b"again,1,,", name="xyzzy.csv", project="shop", actor="xyzzy")
    finder.catalogue.fleet.workflows("first").catch_up()
    park(database, "shop", "xyzzy")
    holding = trace(database, "xyzzy")
    for column in (
        "events.payload",
        "events.data",
        "events.actor",
        "keywords.keyword",
        "observations.rest",
        "marks.tags",
    ):
        assert column in holding
    job = finder.projects.delete("shop", "ana")
    assert finder.jobs.run(job.id).state is JobState.COMPLETED
    assert trace(database, "xyzzy") == []
    assert "shop" not in [project.name for project in finder.projects.all()]
    again = bring_marked(finder, "shop")
    assert again.import_id != given.import_id
    assert finder.keywords.page("shop").total == 2
    assert finder.keywords.page("shop", filters={"tag": "xyzzy"}).total == 0


def park(database: Database, project: str, error: str) -> None:
    """An event of a project could not be digested."""
    with database.write() as connection:
        of_project = select(events.c.position).where(events.c.project == project).limit(1)
        row = {"bucket": bucket_of(project), "model": "other", "error": error, "parked_at": datetime.now(UTC)}
        connection.execute(parked.insert(), {**row, "position": connection.execute(of_project).scalar_one()})


@straight
def test_a_deleted_import_leaves_no_trace(finder: Finder, database: Database) -> None:
    kept = finder.imports.start(b"keyword,volume\nboots,5\n", name="kept.csv", project="shop", actor="ana")
    finder.jobs.run(kept.job_id)
    before = finder.keywords.page("shop").keywords
    given = bring_marked(finder, "shop")
    finder.imports.delete(given.import_id, "shop", "ana")
    settle(finder)
    assert trace(database, "xyzzy") == []
    assert finder.imports.find(given.import_id, "shop").state == "withdrawn"
    assert finder.keywords.page("shop").keywords == before
    assert not bring_marked(finder, "shop").repeated, "what was deleted may come again"


def settle(finder: Finder) -> None:
    """Let every job end and every read model catch up."""
    for job in finder.jobs.newest():
        if not job.state.ended:
            finder.jobs.run(job.id)
    finder.catalogue.fleet.workflows("first").catch_up()


def test_two_projects_of_one_bucket_never_see_each_other(shop: Catalogue) -> None:
    other = Catalogue(shop.database, same_bucket(shop.project), shop.model)
    other.create(market=Market.parse("und-BR"))
    bring_all(shop)
    mine = shop.rows()
    other.bring("i1a", SEPTEMBER.encode())
    loja = id_of(shop, "loja")
    with pytest.raises(NotFound):
        listing.history(shop.database, other.project, loja)
    say(other, id_of(shop, "loja", "und-BR"), tags=["other"])
    other.regroup()
    assert shop.rows() == mine
    theirs = other.rows()
    for everything in (shop.objects(), shop.page(limit=100).keywords):
        assert "other" not in str(everything)
    shop.withdraw("i1a")
    shop.follow()
    shop.erase()
    assert other.rows() == theirs
    assert all(rows == [] for rows in shop.rows().values())


def same_bucket(project: str) -> str:
    """Another project of the same bucket."""
    return next(name for i in itertools.count() if bucket_of(name := f"other{i}") == bucket_of(project))


# ---- followers


class Watched(KeywordsModel):
    """A model that tells before it hands on a part of rows, and when it has handed on all of them."""

    def __init__(self, database: Database, tell: Callable[[str], object], *, every: bool = False) -> None:
        super().__init__(database)
        self._tell = tell
        self._every = every  # event, not rows alone

    def parts(self, database: Database, events: list[Event], digests: list[Any]) -> Iterator[Part]:
        heard = self._every or events[0].type == EventType.ROWS_APPENDED
        tell = self._tell if heard else lambda where: None
        for part in super().parts(database, events, digests):
            tell("part")
            yield part
        tell("end")


@straight
def test_a_follower_that_knows_less_never_overwrites_what_another_wrote(shop: Catalogue) -> None:
    first, second = (chunks_of(name, f"keyword,volume\nboots,{n}\n".encode()) for name, n in (("i1a", 1), ("i1b", 2)))
    gates = {name: threading.Event() for name in ("begun", "go", "wrote", "moved")}
    shop.start("i1a")
    shop.start("i1b")
    shop.append(*first)

    def late(where: str) -> None:
        """Begins when there is one event; writes when the other has written, and ends when the other has ended."""
        if not gates["begun"].is_set():
            gates["begun"].set()
            assert gates["go"].wait(WAIT)
        if where == "end" and not gates["wrote"].is_set():
            gates["wrote"].set()
            assert gates["moved"].wait(WAIT)

    def early(where: str) -> None:
        if where == "end":
            gates["go"].set()
            assert gates["wrote"].wait(WAIT)

    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(Follower(shop.database, Watched(shop.database, late), shop.bucket).advance)
        assert gates["begun"].wait(WAIT)
        shop.append(*second)
        Follower(shop.database, Watched(shop.database, early), shop.bucket).advance()
        gates["moved"].set()
        other.result(WAIT)
    assert shop.objects()["volume"].to_list() == [2]


class Killed(BaseException):
    """The process ends here."""


def killed_at(n: int) -> Callable[[str], None]:
    """Ends the process before its n-th part."""
    left = itertools.count(n, -1)

    def tell(where: str) -> None:
        if next(left) == 0:
            raise Killed

    return tell


@straight
@pytest.mark.parametrize("what", ["rows", "withdrawal", "deletion"])
def test_an_event_of_which_a_part_was_written_is_completed(
    shop: Catalogue, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_parts(monkeypatch, 5)
    undisturbed = Catalogue(shop.database, "undisturbed", shop.model)
    undisturbed.create()

    def happen(one: Catalogue) -> None:
        if what == "rows":
            one.bring("i1c", SEPTEMBER.encode(), follow=False, size=6)
        elif what == "withdrawal":
            one.withdraw("i1a")
        else:
            one.delete()

    for one in (shop, undisturbed):
        one.bring("i1a", SEPTEMBER.encode())
        one.bring("i1b", QUERIES.encode(), name="Queries.csv")
        happen(one)
    undisturbed.follow()
    for n in itertools.count():
        assert n < 30
        try:
            Follower(shop.database, Watched(shop.database, killed_at(n), every=True), shop.bucket).advance()
            break
        except Killed:
            pass
    assert n > 2, "it was killed several times"
    assert shop.rows(timeless=True) == undisturbed.rows(timeless=True)


class Poisoned(KeywordsModel):
    """A model that cannot digest some rows, or not write them."""

    def digest(self, event: Event) -> Any:
        if event.data is not None and "undigestible" in frame_of(event.data)["keyword"]:
            raise ValueError("cannot be digested")
        return super().digest(event)

    def parts(self, database: Database, events: list[Event], digests: list[Any]) -> Iterator[Part]:
        yield from super().parts(database, events, digests)
        if any(event.data is not None and "unwritable" in frame_of(event.data)["keyword"] for event in events):
            yield lambda connection: connection.execute(text("SELECT * FROM nowhere"))


@straight
@pytest.mark.parametrize("poison", ["undigestible", "unwritable"])
def test_an_event_that_cannot_be_digested_is_parked_and_reported_and_the_rest_goes_on(
    shop: Catalogue, poison: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("omnikeywords.catalog.follow.time.sleep", lambda seconds: None)
    without = Catalogue(shop.database, "without")
    without.create()
    shop.model = Poisoned(shop.database)
    file = f"keyword,volume\nboots,1\nshoes,2\n{poison},3\nboots,40\nboots,5\ntents,6\n"
    cut = chunks_of("i1a", file.encode(), size=2)
    with capture_logs() as told:  # not written out, as an error's way through the program is long
        for one, chunks in ((shop, cut), (without, [cut[0], cut[2]])):
            one.start("i1a")
            one.append(*chunks)
            one.follow()
    assert [(one["event"], one["position"]) for one in told] == [("event parked", 4)]
    with shop.database.read() as connection:
        (found,) = parked_events(connection)
        assert (found.bucket, found.model, found.position) == (shop.bucket, "keywords", 4)
        assert ("cannot be digested" if poison == "undigestible" else "nowhere") in found.error
        assert position_of(connection, "keywords", shop.bucket) == 5
    assert shop.rows(timeless=True) == without.rows(timeless=True)
    # Once it can be digested, a rebuild takes it in.
    shop.model = KeywordsModel(shop.database)
    shop.rebuild()
    assert shop.objects().sort("keyword")["volume"].to_list() == [40, 2, 6, 3]
    with shop.database.read() as connection:
        assert parked_events(connection) == []


@straight
def test_an_event_of_a_newer_version_stops_the_follower_and_loses_nothing(shop: Catalogue) -> None:
    shop.start("i1a")
    for chunk in chunks_of("i1a", b"keyword,volume\nboots,1\nshoes,2\ntents,3\n", size=1):
        shop.append(chunk)
    here = (events.c.bucket == shop.bucket) & (events.c.position == 4)
    with shop.database.write() as connection:
        connection.execute(update(events).where(here).values(schema_version=99))
    for _ in range(3):
        with pytest.raises(UnknownEvent, match="was written by a newer version: update this program"):
            shop.follow()
    with shop.database.read() as connection:
        assert position_of(connection, "keywords", shop.bucket) == 3
        assert parked_events(connection) == []
    assert sorted(shop.objects()["keyword"]) == ["boots"]
    with shop.database.write() as connection:
        connection.execute(update(events).where(here).values(schema_version=1))
    shop.follow()
    assert sorted(shop.objects()["keyword"]) == ["boots", "shoes", "tents"]


def many_chunks(count: int) -> list[Chunk]:
    lines = [f"boots {i % 37},{i}" for i in range(count * 3)]
    return chunks_of("i1a", "\n".join(["keyword,volume", *lines]).encode(), size=3)


@straight
def test_two_followers_in_threads_make_what_one_makes(shop: Catalogue) -> None:
    chunks = many_chunks(30)
    shop.start("i1a")
    shop.append(*chunks[:10])
    done = threading.Event()

    def run(stagger: float) -> None:
        model = Watched(shop.database, lambda where: done.wait(stagger))
        while not done.is_set():
            Follower(shop.database, model, shop.bucket).advance()

    with ThreadPoolExecutor(2) as pool:
        others = [pool.submit(run, stagger) for stagger in (0.001, 0.004)]
        for chunk in chunks[10:]:
            shop.append(chunk)
        with shop.database.read() as connection:
            head = log.head(connection, shop.bucket)
        wait_until(shop.database, "keywords", shop.bucket, head, WAIT)
        done.set()
        for other in others:
            other.result(WAIT)
    before = shop.rows()
    shop.rebuild()
    assert shop.rows() == before
    assert len(before["observations"]) == 90


def follow_alone(url: str, project: str, position: int, begun: Event_) -> None:
    """What one process of two does."""
    opened = connect(url)
    shop = Catalogue(opened, project)
    begun.set()
    while shop.follow() < position:
        pass
    opened.close()


@straight
def test_two_following_processes_make_what_one_makes(shop: Catalogue, place: Place) -> None:
    shop.start("i1a")
    chunks = many_chunks(24)
    shop.append(*chunks[:4])
    head = 2 + len(chunks)
    context = multiprocessing.get_context("spawn")
    other = context.Process(target=follow_alone, args=(place.url, shop.project, head, begun := context.Event()))
    other.start()
    assert begun.wait(WAIT)
    for chunk in chunks[4:]:
        shop.append(chunk)
        shop.follow()
    other.join(WAIT)
    assert other.exitcode == 0
    before = shop.rows()
    shop.rebuild()
    assert shop.rows() == before
    assert len(before["observations"]) == 72


@straight
def test_near_duplicate_groups_of_fifty_shuffled_chunks_are_those_of_a_full_run(shop: Catalogue) -> None:
    words = ["boot", "boots", "winter", "Winter", "cheap", "women", "women's", "waterproof", "botas", "bótas"]
    dice = random.Random(7)
    lines = [f"{' '.join(dice.sample(words, dice.randint(1, 3)))},{dice.randint(0, 9)}" for _ in range(300)]
    file = "\n".join(["keyword,volume", *lines]).encode()
    chunks = chunks_of("i1a", file, size=6)
    assert len(chunks) == 50
    shop.start("i1a")
    dice.shuffle(chunks)
    for i in range(0, 50, 10):
        shop.append(*chunks[i : i + 10])
        shop.follow()
        shop.regroup()
    with analyse_sources([Source(file, "keywords.csv")], shop.options()) as results:
        expected = pl.concat(list(results.frames())).sort("id")
    columns = ["id", "near_duplicate_of", "near_duplicate_reason"]
    assert expected["near_duplicate_of"].count() > 30
    assert_frame_equal(shop.objects().select(columns), expected.select(columns))


@straight
def test_what_was_digested_ahead_is_digested_anew_where_settings_changed(
    shop: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second chunk comes while the first is written, and between both the project gets a brand."""
    first, second = chunks_of("i1", b"Keyword\nacme shoes\nacme boots\n", size=1)
    shop.start("i1")
    shop.follow()
    shop.append(first)
    digested: list[int] = []
    write, position, digest = Follower._write, Follower._position, shop.model.digest

    def appending(self: Follower, *of: Any) -> None:
        monkeypatch.setattr(Follower, "_write", write)
        shop.append(second)
        write(self, *of)

    def changing(self: Follower) -> int:
        if digested:  # the first is written, the second was given away to be digested
            monkeypatch.setattr(Follower, "_position", position)
            until(lambda: len(digested) == 2)
            shop.change(brands=["acme"])
        return position(self)

    def noting(event: Event) -> Any:
        made = digest(event)
        digested.append(event.position)
        return made

    monkeypatch.setattr(Follower, "_write", appending)
    monkeypatch.setattr(Follower, "_position", changing)
    monkeypatch.setattr(shop.model, "digest", noting)
    shop.follow()
    assert digested.count(digested[0] + 1) == 2
    assert shop.objects()["branded"].to_list() == [True, True]
