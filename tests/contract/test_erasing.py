"""What is deleted is gone at once, and erased in short transactions, whatever happens meanwhile."""

import io
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from omnikeywords.backup import make_backup, restore
from omnikeywords.catalog import erasing, gone, imports, log
from omnikeywords.catalog.events import EventType
from omnikeywords.catalog.projects import bucket_of
from omnikeywords.catalog.tables import erasures, events, metadata
from omnikeywords.db import Database
from omnikeywords.errors import Conflict, NotFound
from omnikeywords.finder import Finder
from omnikeywords.jobs import JobState, list_jobs
from omnikeywords.jobs import metadata as jobs_metadata
from omnikeywords.settings import Settings
from tests.conftest import Place

OLD = b"Keyword,Volume,Note\nred shoes,10,secret\nblue shoes,20,secret\nshared,30,secret\n" + b"secret" * 200 + b",1,\n"
NEW = b"Keyword,Volume\ngreen shoes,5\nshared,7\n"


@pytest.fixture(params=["sqlite", "postgresql15"])
def kind(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


@pytest.fixture
def finder(place: Place, database: Database) -> Finder:
    made = Finder(Settings.load({"OKF_DATABASE_URL": place.url, "OKF_JOB_POLL_MS": "20"}))
    made.catalogue._first = database
    return made


def bring(finder: Finder, project: str, file: bytes, name: str = "file.csv") -> str:
    given = finder.imports.start(file, name=name, project=project, actor="ana")
    assert finder.jobs.run(given.job_id).state is JobState.COMPLETED
    return given.import_id


def id_of(finder: Finder, project: str, keyword: str) -> str:
    return str(finder.keywords.page(project, q=keyword).keywords[0]["id"])


def bring_old(finder: Finder, project: str) -> str:
    """A project with all that there can be of one; returns its import."""
    import_id = bring(finder, project, OLD, "secret.csv")
    for keyword in ("red shoes", "shared"):
        said = {"funnel": "decision"}
        finder.keywords.mark(id_of(finder, project, keyword), project, "ana", tags=["secret"], corrected=said)
    finder.imports.start(OLD + b"more,1,\n", name="secret.csv", project=project, actor="ana")  # and one on its way
    return import_id


def bring_new(finder: Finder, project: str) -> None:
    bring(finder, project, NEW, "new.csv")
    finder.keywords.mark(id_of(finder, project, "shared"), project, "ana", tags=["new"])


def seen(finder: Finder, project: str) -> dict[str, Any]:
    """What is answered of a project, without times and ids that are made up."""
    listed = finder.imports.newest(project)
    objects = [row for frame in finder.keywords.export(project) for row in frame.to_dicts()]
    made_up = {"created_at", "updated_at"}
    said = [finder.keywords.mark_of(row["id"], project) for row in objects]
    histories = [finder.keywords.history(row["id"], project) for row in objects]
    ids = {one.id for one in listed}
    return {
        "imports": [(one.name, one.state, one.rows, one.skipped) for one in listed],
        "count of imports": finder.imports.count(project),
        "keywords": [{name: value for name, value in row.items() if name not in made_up} for row in objects],
        "listed": [row["keyword"] for row in finder.keywords.page(project).keywords],
        "count": finder.keywords.count(project),
        "groups": finder.keywords.groups(project),
        "said": [(mark.tags, mark.corrected) for mark in said],
        "history": [[(one["volume"], one["import_id"] in ids) for one in several] for several in histories],
        "events": [event.type for event in finder.events(project, limit=1000) if event.type != EventType.ERASED],
    }


def keywords_of(finder: Finder, project: str) -> list[str]:
    return sorted(row["keyword"] for row in finder.keywords.page(project).keywords)


# ---- at once


def test_a_project_is_gone_before_anything_of_it_is_erased(finder: Finder) -> None:
    import_id = bring_old(finder, "shop")
    keyword_id = id_of(finder, "shop", "red shoes")
    job = finder.projects.delete("shop", "ana")
    assert finder.jobs.find(job.id).state is JobState.QUEUED
    for asked in (
        lambda: finder.projects.find("shop"),
        lambda: finder.keywords.page("shop"),
        lambda: finder.keywords.find(keyword_id, "shop"),
        lambda: finder.keywords.history(keyword_id, "shop"),
        lambda: finder.imports.find(import_id, "shop"),
        lambda: finder.imports.rejects(import_id, "shop"),
        lambda: finder.imports.compare(import_id, import_id, "shop"),
        lambda: finder.events("shop"),
        lambda: list(finder.keywords.export("shop")),
    ):
        with pytest.raises(NotFound):
            asked()
    finder.projects.create("shop", "ana")
    assert seen(finder, "shop") == {
        **{name: [] for name in ("imports", "keywords", "listed", "groups", "said", "history")},
        **dict.fromkeys(("count", "count of imports"), 0),
        "events": ["project.deleted", "project.created"],
    }
    assert finder.keywords.mark_of(keyword_id, "shop").tags == ()


def test_the_default_project_is_empty_as_soon_as_it_is_deleted(finder: Finder) -> None:
    bring_old(finder, "default")
    finder.projects.delete("default", "ana")
    assert seen(finder, "default")["keywords"] == []
    assert finder.keywords.page("default").total == 0


def test_an_import_says_nothing_any_more_before_it_is_erased(finder: Finder) -> None:
    kept, deleted = bring(finder, "shop", NEW), bring(finder, "shop", OLD, "secret.csv")
    keyword_id = id_of(finder, "shop", "shared")
    finder.imports.delete(deleted, "shop", "ana")
    found = finder.imports.find(deleted, "shop")
    assert (found.state, found.name, found.content) == ("withdrawn", None, "")
    assert finder.imports.rejects(deleted, "shop") == []
    assert [one["import_id"] for one in finder.keywords.history(keyword_id, "shop")] == [kept]
    compared = finder.imports.compare(kept, deleted, "shop")
    assert (compared.new, compared.lost) == (0, 2)
    assert {event.stream for event in finder.events("shop") if event.payload.get("name") == "secret.csv"} == set()


# ---- in the end


def everything(database: Database, project: str) -> bytes:
    """The rows of every table of a project, as text."""
    tables = [table for table in (*metadata.tables.values(), *jobs_metadata.tables.values()) if "project" in table.c]
    found = []
    with database.read() as connection:
        for table in tables:
            found += connection.execute(select(table).where(table.c.project == project)).all()
    return "\n".join(map(repr, found)).encode()


def test_a_project_that_is_made_again_while_the_old_one_is_erased_is_as_if_there_had_been_none(
    finder: Finder, database: Database
) -> None:
    bring_new(finder, "never")
    expected = seen(finder, "never")
    bring_old(finder, "shop")
    job = finder.projects.delete("shop", "ana")
    given = finder.imports.start(NEW, name="new.csv", project="shop", actor="ana")
    assert finder.jobs.run(given.job_id).state is JobState.COMPLETED
    assert keywords_of(finder, "shop") == ["green shoes", "shared"]
    finder.keywords.mark(id_of(finder, "shop", "shared"), "shop", "ana", tags=["new"])
    finder.webhooks.create("shop", "https://example.com/", [])
    expected["events"].insert(0, "project.deleted")
    assert seen(finder, "shop") == expected, "nothing is erased yet"
    assert finder.jobs.run(job.id).state is JobState.COMPLETED
    assert seen(finder, "shop") == expected, "all of it is"
    assert b"secret" not in everything(database, "shop")
    assert len(finder.webhooks.all("shop")) == 1
    assert {one.kind for one in finder.jobs.newest("shop")} == {"erase", "import_keywords"}
    finder.rebuild()
    assert seen(finder, "shop") == expected


def test_a_project_that_is_deleted_again_while_it_is_erased_is_erased_whole(finder: Finder, database: Database) -> None:
    bring_old(finder, "shop")
    finder.projects.delete("shop", "ana")
    bring_old(finder, "shop")
    last = finder.projects.delete("shop", "ana")
    assert finder.jobs.run(last.id).state is JobState.COMPLETED
    assert b"secret" not in everything(database, "shop")
    with database.read() as connection:
        assert connection.execute(select(erasures)).all() == []
        assert [job.id for job in list_jobs(connection, project="shop")] == [last.id]


@pytest.mark.parametrize("whole", [True, False])
def test_erasing_that_stops_behind_any_part_goes_on(
    finder: Finder, database: Database, whole: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("omnikeywords.catalog.erasing._ROWS", 1)
    monkeypatch.setattr("omnikeywords.catalog.log._ERASED", 2)
    monkeypatch.setattr("omnikeywords.catalog.keywords._TAKEN", 2)
    import_id = bring_old(finder, "shop")
    bring_new(finder, "shop")
    workflows = finder.catalogue.workflows_of("shop")
    bucket = bucket_of("shop")
    stream = gone.WHOLE if whole else imports.stream_of(import_id)
    with database.write("shop") as connection:
        if whole:
            workflows.delete_project(connection, "shop", "ana")
        else:
            workflows.delete_import(connection, "shop", import_id, "a mistake", "ana")
        position = log.head(connection, bucket)
    workflows.catch_up()
    stops = 0
    while (part := next(erasing.parts(database, bucket, "shop", position, stream), None)) is not None:
        with database.write("shop") as connection:
            part(connection)
        stops += 1
    assert stops >= (7 if whole else 3)
    finder.catch_up("shop")
    text = everything(database, "shop")
    assert (b"secret" in text) is not whole  # the other import, on its way, says it too
    with database.read() as connection:
        places = connection.execute(
            select(events.c.position).where(events.c.bucket == bucket).order_by(events.c.position)
        ).scalars().all()  # fmt: skip
        assert places == list(range(1, log.head(connection, bucket) + 1))


def test_a_rebuild_amid_an_erasure_brings_nothing_back(finder: Finder) -> None:
    bring_old(finder, "shop")
    job = finder.projects.delete("shop", "ana")
    finder.projects.create("shop", "ana")
    bring_new(finder, "shop")
    before = seen(finder, "shop")
    finder.rebuild()
    assert seen(finder, "shop") == before
    assert finder.jobs.run(job.id).state is JobState.COMPLETED
    finder.rebuild()
    assert seen(finder, "shop") == before
    assert finder.parked_events() == []


def test_what_was_being_imported_when_its_project_was_deleted_is_not_imported(
    finder: Finder, database: Database
) -> None:
    given = finder.imports.start(OLD, name="secret.csv", project="shop", actor="ana")
    finder.projects.delete("shop", "ana")
    finder.projects.create("shop", "ana")
    finder.jobs.run(given.job_id)
    finder.catalogue.workflows_of("shop").catch_up()
    assert (finder.imports.newest("shop"), keywords_of(finder, "shop")) == ([], [])
    with database.write("shop") as connection:
        for late in (
            lambda: imports.append_rows(connection, "shop", given.import_id, 0, 0, 1, b"", "ana"),
            lambda: imports.complete(connection, "shop", given.import_id, {}, "ana"),
        ):
            with pytest.raises(Conflict, match="is gone: nothing more can be appended"):
                late()


def test_an_upload_that_was_arriving_when_its_project_was_deleted_is_refused(
    finder: Finder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("omnikeywords.catalog.uploads.PART_BYTES", 16)
    bring(finder, "shop", NEW)
    upload = finder.imports.upload("shop")
    upload.add(OLD)
    job = finder.projects.delete("shop", "ana")
    assert finder.jobs.run(job.id).state is JobState.COMPLETED
    with pytest.raises(Conflict, match="was deleted during the upload: upload it again"):
        finder.imports.start(upload, name="secret.csv", project="shop", actor="ana")
    with pytest.raises(NotFound):
        finder.projects.find("shop")


def test_an_erasure_cannot_be_cancelled(finder: Finder) -> None:
    bring(finder, "shop", NEW)
    job = finder.projects.delete("shop", "ana")
    with pytest.raises(Conflict, match="cannot be cancelled"):
        finder.jobs.steer("cancel", job.id)


def test_an_import_that_is_deleted_twice_is_erased_once(finder: Finder) -> None:
    import_id = bring(finder, "shop", NEW)
    first = finder.imports.delete(import_id, "shop", "ana")
    assert finder.imports.delete(import_id, "shop", "rui", "another reason").id == first.id
    assert finder.jobs.run(first.id).state is JobState.COMPLETED
    kinds = [event.type for event in finder.events("shop")]
    assert kinds == ["project.created", "erased", "erased", "erased", "import.withdrawn"]


# ---- backups


@pytest.mark.parametrize("kind", ["sqlite"], indirect=True)
def test_a_backup_amid_an_erasure_holds_what_is_there_and_goes_on_where_it_is_restored(
    finder: Finder, database: Database, tmp_path: Path
) -> None:
    bring_old(finder, "shop")
    finder.projects.delete("shop", "ana")
    bring_new(finder, "shop")
    before = seen(finder, "shop")
    workflows = finder.catalogue.workflows_of("shop")
    parts = erasing.parts(database, bucket_of("shop"), "shop", log_position(database, "shop"))
    for _ in range(3):
        with database.write("shop") as connection:
            next(parts)(connection)
    backup, _ = make_backup(database, tmp_path / "backups")
    restored = restore(backup, tmp_path / "restored.sqlite3").database
    there = Finder(Settings.load({"OKF_DATABASE_URL": f"sqlite:///{restored}"}))
    with closing(there):
        assert seen(there, "shop") == before
        there.catch_up("shop")
        assert seen(there, "shop") == before
        assert b"secret" not in everything(there.catalogue.first, "shop")
    assert workflows.lag() == 0


def log_position(database: Database, project: str) -> int:
    """Where the last deletion of a project stands."""
    with database.read() as connection:
        found = select(func.max(events.c.position)).where(
            events.c.project == project, events.c.type == EventType.PROJECT_DELETED
        )
        return int(connection.execute(found).scalar_one())


# ---- how much one transaction writes

MOST_ROWS = 2000


@contextmanager
def rows_written(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """How many rows each transaction of SQLite wrote within the block."""
    counts: list[int] = []
    write = Database.write

    @contextmanager
    def counted(self: Database, *args: Any, **how: Any) -> Iterator[Any]:
        with write(self, *args, **how) as connection:
            driver = connection.connection.driver_connection
            assert isinstance(driver, sqlite3.Connection)
            before = driver.total_changes
            yield connection
            counts.append(driver.total_changes - before)

    with monkeypatch.context() as patched:
        patched.setattr(Database, "write", counted)
        yield counts


def large() -> bytes:
    """60,000 keywords, one of them in 10,000 rows, and 10,000 rows that cannot be taken."""
    file = io.StringIO()
    file.write("Keyword,URL,Volume\n")
    for i in range(60_000):
        file.write(f"keyword {i},,{i}\n")
    for i in range(10_000):
        file.write(f"keyword of many pages,/{i},1\n,,\n")
    return file.getvalue().encode()


@pytest.mark.parametrize("kind", ["sqlite"], indirect=True)
@pytest.mark.parametrize("what", ["project", "import", "withdrawal"])
def test_no_transaction_writes_more_than_some_rows_when_a_large_import_goes_away(
    finder: Finder, database: Database, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import_id = bring(finder, "shop", large())
    assert finder.keywords.count("shop") == 60_001
    assert finder.imports.count_rejects(import_id, "shop") == 10_000
    with rows_written(monkeypatch) as counts:
        if what == "project":
            finder.projects.delete("shop", "ana")
        elif what == "import":
            finder.imports.delete(import_id, "shop", "ana")
        else:
            finder.imports.withdraw(import_id, "shop", "ana")
        assert len(counts) == 1
        assert counts[0] < 20, "the deletion itself"
        finder.catch_up("shop")
    assert max(counts) <= MOST_ROWS
    assert sum(counts) >= 130_000
    with database.read() as connection:
        for name in ("keywords", "observations"):
            assert connection.exec_driver_sql(f"SELECT count(*) FROM {name}").scalar() == 0
