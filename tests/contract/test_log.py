"""The event log keeps its word on every database: order, versions, keys, and what a reader sees."""

import base64
import contextlib
import json
import multiprocessing
import random
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from sqlalchemy import select, update

from omnikeywords.catalog import events as event_types
from omnikeywords.catalog import imports, log, marks, projects
from omnikeywords.catalog.events import SCHEMA_VERSIONS, Event, NewEvent, UnknownEvent, frame_of, rows_of, upcast
from omnikeywords.catalog.tables import events
from omnikeywords.catalog.tables import imports as imports_table
from omnikeywords.catalog.tables import marks as marks_table
from omnikeywords.catalog.tables import projects as projects_table
from omnikeywords.db import Database, Limits, connect
from omnikeywords.errors import IdempotencyConflict, VersionConflict
from tests.conftest import KINDS, Place, Places

FIXTURES = sorted((Path(__file__).parents[1] / "data" / "events").glob("*.json"))
BUCKET, PROJECT = 7, "shop"


@pytest.fixture(params=[*KINDS, "pgbouncer"])
def kind(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


class Abandoned(Exception):
    """A transaction is not to be kept."""


def tagged(stream: str, tag: str = "a") -> NewEvent:
    return NewEvent(stream, "keyword.tagged", {"tags": [tag]})


def add(database: Database, *new: NewEvent, **options: Any) -> log.Appended:
    with database.write(PROJECT) as connection:
        return log.append(connection, BUCKET, PROJECT, new, **{"actor": "ana", **options})


def everything(database: Database, after: int = 0, limit: int = 100_000) -> list[Event]:
    with database.read() as connection:
        return log.read(connection, BUCKET, after, limit)


def head_of(database: Database) -> int:
    with database.read() as connection:
        return log.head(connection, BUCKET)


def at_once(count: int, work: Callable[[int], Any]) -> list[Any]:
    """What each of so many threads returned, all begun at the same moment."""
    start = threading.Barrier(count)

    def begin(i: int) -> Any:
        start.wait()
        return work(i)

    with ThreadPoolExecutor(count) as pool:
        return [future.result() for future in [pool.submit(begin, i) for i in range(count)]]


@pytest.fixture
def many(place: Place) -> Iterator[Database]:
    """The database for many threads, which wait as long as they must."""
    opened = connect(place.url, Limits(lock_ms=60_000, idle_ms=60_000, connections=50, checkout_ms=60_000))
    yield opened
    opened.close()


# ---- appending and reading


def test_what_was_appended_is_read_back_as_it_was(database: Database) -> None:
    before = datetime.now(UTC) - timedelta(seconds=1)
    data = rows_of(pl.DataFrame({"keyword": ["ténis"], "volume": [10]}))
    done = add(
        database,
        NewEvent("import/i1", "import.started", {"name": "Consultas.csv", "period": ("2026-09-01", None)}),
        NewEvent("import/i1", "import.rows_appended", {"rows": 1}, data),
    )
    assert (done.position, done.version, done.repeated) == (2, 2, False)
    first, second = everything(database)
    assert (first.bucket, first.position, first.project, first.stream, first.version) == (7, 1, "shop", "import/i1", 1)
    assert (first.type, first.actor, first.data) == ("import.started", "ana", None)
    assert first.payload == {"name": "Consultas.csv", "period": ["2026-09-01", None]}
    assert (second.position, second.version, second.data) == (2, 2, data)
    assert before < first.recorded_at <= datetime.now(UTC) + timedelta(seconds=1)
    assert done.events == (first, second), "whoever appends sees what every later reader sees"


def test_positions_begin_at_one_in_each_bucket(database: Database) -> None:
    add(database, tagged("keyword/a"))
    with database.write(PROJECT) as connection:
        other = log.append(connection, 8, PROJECT, [tagged("keyword/a"), tagged("keyword/b")], actor="ana")
    assert other.position == 2
    with database.read() as connection:
        assert [log.head(connection, bucket) for bucket in (7, 8, 9)] == [1, 2, 0]
        assert [event.position for event in log.read(connection, 8, 0)] == [1, 2]


def test_reading_goes_on_behind_a_position_and_ends_at_a_limit(database: Database) -> None:
    add(database, *(tagged(f"keyword/{i}") for i in range(10)))
    assert [event.position for event in everything(database, limit=3)] == [1, 2, 3]
    assert [event.position for event in everything(database, after=3, limit=3)] == [4, 5, 6]
    assert [event.position for event in everything(database, after=8, limit=3)] == [9, 10]
    assert everything(database, after=10) == []


def test_versions_are_counted_in_each_stream_of_each_project(database: Database) -> None:
    add(database, tagged("keyword/a", "1"), tagged("keyword/b", "2"), tagged("keyword/a", "3"))
    add(database, tagged("keyword/a", "4"))
    with database.write("other") as connection:
        log.append(connection, BUCKET, "other", [tagged("keyword/a", "5")], actor="rui")
    assert [(event.project, event.stream, event.version, event.payload["tags"]) for event in everything(database)] == [
        (PROJECT, "keyword/a", 1, ["1"]),
        (PROJECT, "keyword/b", 1, ["2"]),
        (PROJECT, "keyword/a", 2, ["3"]),
        (PROJECT, "keyword/a", 3, ["4"]),
        ("other", "keyword/a", 1, ["5"]),
    ]


def test_a_thousand_streams_are_appended_to_in_one_call(database: Database) -> None:
    add(database, tagged("keyword/0"), tagged("keyword/0"), tagged("keyword/1"))
    done = add(database, *(tagged(f"keyword/{i}") for i in range(1000)))
    assert [event.version for event in done.events[:4]] == [3, 2, 1, 1]
    assert done.position == head_of(database) == 1003


def test_nothing_to_append_and_unknown_types_are_refused_and_cost_no_position(database: Database) -> None:
    with database.write(PROJECT) as connection:
        with pytest.raises(ValueError, match="no events"):
            log.append(connection, BUCKET, PROJECT, [], actor="ana")
        with pytest.raises(KeyError):
            log.append(connection, BUCKET, PROJECT, [NewEvent("keyword/a", "keyword.invented")], actor="ana")
    assert head_of(database) == 0
    assert add(database, tagged("keyword/a")).position == 1


# ---- failures


def test_a_failed_transaction_leaves_nothing_and_no_gap(database: Database) -> None:
    add(database, tagged("keyword/a"))

    with contextlib.suppress(Abandoned), database.write(PROJECT) as connection:
        log.append(connection, BUCKET, PROJECT, [tagged("keyword/a"), tagged("keyword/b")], actor="ana")
        raise Abandoned
    assert head_of(database) == 1
    assert add(database, tagged("keyword/b")).position == 2
    assert [(e.position, e.stream, e.version) for e in everything(database)] == [
        (1, "keyword/a", 1),
        (2, "keyword/b", 1),
    ]


def test_after_a_conflict_the_same_transaction_goes_on_without_a_gap(database: Database) -> None:
    add(database, tagged("keyword/a"), idempotency_key="k")
    with database.write(PROJECT) as connection:
        with pytest.raises(VersionConflict):
            log.append(connection, BUCKET, PROJECT, [tagged("keyword/a")] * 5, actor="ana", expected=0)
        with pytest.raises(IdempotencyConflict):
            log.append(connection, BUCKET, PROJECT, [tagged("keyword/b")] * 5, actor="ana", idempotency_key="k")
        log.append(connection, BUCKET, PROJECT, [tagged("keyword/b")], actor="ana")
    assert [(event.position, event.stream) for event in everything(database)] == [(1, "keyword/a"), (2, "keyword/b")]
    assert head_of(database) == 2


# ---- versions


def test_an_append_names_the_version_it_has_seen(database: Database) -> None:
    assert add(database, tagged("keyword/a"), expected=0).version == 1
    assert add(database, tagged("keyword/a"), tagged("keyword/a"), expected=1).version == 3
    for expected in (0, 2, 4):
        with pytest.raises(VersionConflict, match=f"keyword/a is at version 3, not {expected}: read it again") as error:
            add(database, tagged("keyword/a"), expected=expected)
        assert error.value.params == {"stream": "keyword/a", "version": 3}
    assert head_of(database) == 3


def test_of_sixteen_that_have_seen_one_version_exactly_one_wins(many: Database) -> None:
    rounds = 6

    def race(i: int) -> list[int]:
        won = []
        for version in range(rounds):
            try:
                add(many, tagged("keyword/a", f"{i}"), expected=version)
                won.append(version)
            except VersionConflict:
                pass
            line.wait()
        return won

    line = threading.Barrier(16)
    winners = at_once(16, race)
    assert sorted(version for won in winners for version in won) == list(range(rounds))
    assert [(event.position, event.version) for event in everything(many)] == [(i, i) for i in range(1, rounds + 1)]


# ---- idempotency keys


def test_the_same_events_under_the_same_key_are_appended_once(database: Database) -> None:
    new = [tagged("keyword/a"), tagged("keyword/b")]
    first = add(database, *new, idempotency_key="chunk 1")
    add(database, tagged("keyword/b"))
    again = add(database, *new, idempotency_key="chunk 1", expected=0)
    assert (again.position, again.version, again.repeated) == (first.position, first.version, True)
    assert again.events == ()
    assert head_of(database) == 3
    assert add(database, tagged("keyword/c")).position == 4


@pytest.mark.parametrize(
    "other",
    [
        [tagged("keyword/a", "b")],
        [tagged("keyword/b")],
        [NewEvent("keyword/a", "keyword.corrected", {"tags": ["a"]})],
        [tagged("keyword/a"), tagged("keyword/a")],
    ],
    ids=["payload", "stream", "type", "number"],
)
def test_other_events_under_the_same_key_are_refused(database: Database, other: Sequence[NewEvent]) -> None:
    add(database, tagged("keyword/a"), idempotency_key="k")
    with pytest.raises(IdempotencyConflict, match="idempotency key 'k' was used for something else"):
        add(database, *other, idempotency_key="k")
    assert head_of(database) == 1


def test_a_key_belongs_to_its_project(database: Database) -> None:
    add(database, tagged("keyword/a"), idempotency_key="k")
    with database.write("other") as connection:
        done = log.append(connection, BUCKET, "other", [tagged("keyword/b")], actor="rui", idempotency_key="k")
    assert (done.position, done.repeated) == (2, False)


def test_of_fifty_repetitions_at_once_one_is_appended(many: Database) -> None:
    done = at_once(50, lambda i: add(many, tagged("keyword/a"), tagged("keyword/b"), idempotency_key="k"))
    assert sorted(one.repeated for one in done) == [False] + [True] * 49
    assert {(one.position, one.version) for one in done} == {(2, 1)}
    assert len(everything(many)) == head_of(many) == 2


# ---- erasing


def test_erased_facts_are_gone_and_their_places_stay(database: Database) -> None:
    data = rows_of(pl.DataFrame({"keyword": ["segredo"]}))
    add(database, NewEvent("import/i1", "import.rows_appended", {"rows": 1}, data), idempotency_key="k", actor="ana")
    add(database, tagged("keyword/a", "segredo"))
    with database.write("other") as connection:
        log.append(connection, BUCKET, "other", [tagged("keyword/a", "kept")], actor="rui")
    assert erase(database, 4, "import/i1") == [1]
    with database.write(PROJECT) as connection:
        log.append(connection, BUCKET, PROJECT, [NewEvent("project", "project.deleted")], actor="ana")
    assert [(e.position, e.version, e.type) for e in everything(database)] == [
        (1, 1, "erased"),
        (2, 1, "keyword.tagged"),
        (3, 1, "keyword.tagged"),
        (4, 1, "project.deleted"),
    ]
    assert erase(database, 4) == [2], "neither what is erased, nor what stands behind"
    assert erase(database, 5) == [4]
    assert erase(database, 5) == []
    first, second, kept, last = everything(database)
    for gone in (first, second, last):
        assert (gone.type, gone.payload, gone.data, gone.actor) == ("erased", {}, None, "")
    assert kept.payload == {"tags": ["kept"]}
    assert (second.stream, add(database, tagged("keyword/a")).version) == ("keyword/a", 2), "versions go on"
    assert not add(database, tagged("keyword/c"), idempotency_key="k").repeated, "what was erased may come again"


def erase(database: Database, before: int, stream: str | None = None) -> list[int]:
    """Erase what may be erased in one transaction; returns the positions."""
    with database.write(PROJECT) as connection:
        found = log.erasable(connection, BUCKET, PROJECT, before, 0, stream)
        log.erase(connection, BUCKET, found)
    return found


def test_one_transaction_erases_no_more_than_a_hundred_events_and_a_mebibyte(database: Database) -> None:
    for size in (600_000, 400_000, 2_000_000):
        add(database, NewEvent("import/i1", "import.rows_appended", {}, b"x" * size))
    add(database, *(tagged("keyword/a") for _ in range(150)))
    taken = []
    while found := erase(database, 154):
        taken.append(found)
    assert [(found[0], found[-1]) for found in taken] == [(1, 2), (3, 3), (4, 103), (104, 153)]


# ---- events of other versions of the program


@pytest.mark.parametrize("change", [{"schema_version": 2}, {"type": "keyword.translated"}])
def test_an_event_of_a_newer_version_is_refused_when_it_is_reached(database: Database, change: dict[str, Any]) -> None:
    add(database, *(tagged(f"keyword/{i}") for i in range(4)))
    with database.write() as connection:
        connection.execute(update(events).where(events.c.position == 3).values(**change))
    assert [event.position for event in everything(database)] == [1, 2]
    with pytest.raises(UnknownEvent, match="was written by a newer version: update this program"):
        everything(database, after=2)
    assert [event.position for event in everything(database, after=3)] == [4]


def test_every_version_of_every_event_is_kept_as_a_fixture() -> None:
    kept = {(one["type"], one["schema_version"]) for one in (json.loads(path.read_text()) for path in FIXTURES)}
    every = {(name, version) for name, newest in SCHEMA_VERSIONS.items() for version in range(1, newest + 1)}
    assert kept == every


def test_events_of_every_version_are_read_back(database: Database) -> None:
    stored = [json.loads(path.read_text()) for path in FIXTURES]
    with database.write(PROJECT) as connection:
        for i, one in enumerate(stored, 1):
            data = base64.b64decode(one["data"]) if "data" in one else None
            row = {"bucket": BUCKET, "position": i, "project": PROJECT, "stream": f"s/{i}", "version": 1, "data": data}
            payload = json.dumps(one["payload"]).encode()
            known = {"type": one["type"], "schema_version": one["schema_version"], "payload": payload}
            connection.execute(events.insert(), {**row, **known, "actor": "ana", "recorded_at": datetime.now(UTC)})
    for one, event in zip(stored, everything(database), strict=True):
        assert (event.type, event.payload) == (one["type"], one.get("reads_as", one["payload"]))
    rows = next(event.data for event in everything(database) if event.type == "import.rows_appended")
    assert rows is not None
    assert frame_of(rows).to_dicts() == [
        {
            "keyword": "ténis de corrida",
            "volume": 1300,
            "ctr": 0.125,
            "monthly_searches": [{"month": "2026-08", "searches": 10}],
            "extra": {"Nota": "ótimo"},
        },
        {"keyword": "running shoes", "volume": None, "ctr": 0.5, "monthly_searches": None, "extra": {"Nota": None}},
        {"keyword": "跑鞋", "volume": 0, "ctr": None, "monthly_searches": [], "extra": {"Nota": ""}},
    ]


def test_the_tables_can_be_made_of_events_of_every_version(database: Database) -> None:
    appliers = {"project": projects.apply, "import": imports.apply, "keyword": marks.apply}
    order = ["project.created", "project.changed", "import.started", "import.rows_appended", "import.completed"]
    order += ["import.withdrawn", "keyword.tagged", "keyword.corrected", "project.deleted"]
    stored = [json.loads(path.read_text()) for path in FIXTURES]
    with database.write(PROJECT) as connection:
        for i, one in enumerate(sorted(stored, key=lambda one: [*order, "erased"].index(one["type"]))):
            noun = one["type"].partition(".")[0]
            if noun in appliers:
                payload = upcast(one["type"], one["schema_version"], json.dumps(one["payload"]).encode())
                place = (
                    projects.bucket_of(PROJECT),
                    i + 1,
                    PROJECT,
                    noun if noun == "project" else f"{noun}/k1",
                    i + 1,
                )
                appliers[noun](connection, Event(*place, one["type"], payload, None, "ana", datetime.now(UTC)))
            if one["type"] == "keyword.corrected":
                found = connection.execute(select(marks_table)).one()
                assert (found.tags, found.corrected) == ('["corrida"]', '{"intent":"commercial"}')
            if one["type"] == "import.completed":
                found = connection.execute(select(imports_table)).one()
                assert (found.state, found.rows, found.skipped, str(found.period_end)) == (
                    "completed",
                    3,
                    3,
                    "2026-09-30",
                )
        assert connection.execute(select(projects_table)).all() == []


def test_an_older_payload_goes_through_every_version_to_the_newest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SCHEMA_VERSIONS, "keyword.tagged", 3)  # type: ignore[arg-type]
    upcasters = {
        ("keyword.tagged", 1): lambda old: {"labels": old["tags"]},
        ("keyword.tagged", 2): lambda old: {"labels": [{"text": label} for label in old["labels"]]},
    }
    monkeypatch.setattr(event_types, "_UPCASTERS", upcasters)
    assert upcast("keyword.tagged", 1, b'{"tags": ["a"]}') == {"labels": [{"text": "a"}]}
    assert upcast("keyword.tagged", 2, b'{"labels": ["a"]}') == {"labels": [{"text": "a"}]}
    assert upcast("keyword.tagged", 3, b'{"labels": []}') == {"labels": []}


# ---- order


def test_readers_that_follow_see_every_event_in_the_order_of_positions(many: Database) -> None:
    writers, each = 32, 8

    def write(i: int) -> int:
        dice = random.Random(i)
        kept = 0
        for n in range(each):
            new = [tagged(f"keyword/{i}", f"{n}.{k}") for k in range(dice.randint(1, 2))]
            with contextlib.suppress(Abandoned), many.write(PROJECT) as connection:
                log.append(connection, BUCKET, PROJECT, new, actor="ana")
                never.wait(dice.uniform(0, 0.008))
                if dice.random() < 0.1:
                    raise Abandoned
                kept += len(new)
        return kept

    def follow() -> list[tuple[int, str, int]]:
        seen: list[tuple[int, str, int]] = []
        while True:
            finished = done.is_set()
            found = everything(many, after=seen[-1][0] if seen else 0, limit=7)
            seen += [(event.position, event.stream, event.version) for event in found]
            if finished and not found:
                return seen

    never, done = threading.Event(), threading.Event()
    with ThreadPoolExecutor(2) as pool:
        readers = [pool.submit(follow) for _ in range(2)]
        try:
            kept = at_once(writers, write)
        finally:
            done.set()
        first, second = (reader.result() for reader in readers)
    assert first == second
    assert [position for position, _, _ in first] == list(range(1, sum(kept) + 1))
    for i in range(writers):
        assert [version for _, stream, version in first if stream == f"keyword/{i}"] == list(range(1, kept[i] + 1))


def append_alone(url: str, stream: str, count: int) -> None:
    """What one process of several does."""
    database = connect(url)
    for i in range(count):
        add(database, tagged(stream, f"{i}"))
    database.close()


def test_two_processes_write_one_file_at_once(places: Places) -> None:
    place = places.migrated("sqlite")
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=append_alone, args=(place.url, f"keyword/{i}", 60)) for i in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    database = connect(place.url)
    found = everything(database)
    database.close()
    assert [event.position for event in found] == list(range(1, 121))
    for stream in ("keyword/0", "keyword/1"):
        own = [(event.version, event.payload["tags"]) for event in found if event.stream == stream]
        assert own == [(i + 1, [f"{i}"]) for i in range(60)]
