"""Backups of the SQLite catalogue: made while it is written, refused where they are damaged, put back whole or not at
all."""

import hashlib
import json
import os
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import ScriptDirectory

from omnikeywords.analysis import MODEL_VERSION
from omnikeywords.backup import Backup, find_backups, last_taken, make_backup, open_backup, restore, verify
from omnikeywords.catalog import marks, migrations
from omnikeywords.catalog.migrate import newest
from omnikeywords.db import connect
from omnikeywords.errors import (
    Conflict,
    DamagedBackup,
    DatabaseBusy,
    DatabaseUnavailable,
    InvalidOption,
    LanguageTableMissing,
    NotFound,
    OmniKeywordsError,
    SchemaOutdated,
)
from omnikeywords.finder import Finder
from omnikeywords.in_use import alone
from omnikeywords.settings import Settings
from omnikeywords.workflows import CHUNK

SHOES = b"Keyword,Volume\nred shoes,100\nblue shoes,50\nzapatos rojos,20\n"
BOOTS = b"Keyword,Volume\nred boots,70\n"


def finder_on(path: Path) -> Finder:
    # A worker that was heard of less than a second ago may live: after a restore that long is waited for it.
    return Finder(Settings.load({**os.environ, "OKF_DATABASE_URL": f"sqlite:///{path}", "OKF_JOB_LEASE_MS": "1000"}))


def bring_in(finder: Finder, text: bytes) -> None:
    started = finder.imports.start(text, name="list.csv", project="shop", market="en-US")
    assert finder.jobs.run(started.job_id).state == "completed"


def listed(path: Path) -> list[tuple[str, int]]:
    """Keywords and volumes, as a caller sees them."""
    finder = finder_on(path)
    try:
        found = finder.keywords.page("shop", order="keyword").keywords
        return [(keyword["normalized"], keyword["volume"]) for keyword in found]
    finally:
        finder.close()


def rows(path: Path, statement: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(statement).fetchall()


def change(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()


def back_up(path: Path, folder: Path, keep: int | None = None, compress: bool = False) -> Backup:
    database = connect(f"sqlite:///{path}")
    try:
        return make_backup(database, folder, keep=keep, compress=compress)[0]
    finally:
        database.close()


def until(condition: Callable[[], bool], seconds: float = 30) -> None:
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit, "it did not come"
        time.sleep(0.005)


@pytest.fixture(scope="module")
def shoes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A catalogue of three keywords, that nobody has open."""
    path = tmp_path_factory.mktemp("shoes") / "catalogue.sqlite3"
    finder = finder_on(path)
    bring_in(finder, SHOES)
    finder.close()
    return path


@pytest.fixture
def catalogue(shoes: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(shoes, tmp_path / "catalogue.sqlite3"))


@pytest.fixture(scope="module")
def backed_up(shoes: Path, tmp_path_factory: pytest.TempPathFactory) -> Backup:
    return back_up(shoes, tmp_path_factory.mktemp("backups"))


@pytest.fixture
def backup(backed_up: Backup, tmp_path: Path) -> Backup:
    """A backup that may be damaged."""
    return open_backup(Path(shutil.copytree(backed_up.path, tmp_path / backed_up.path.name)))


@pytest.mark.parametrize("compress", [False, True])
def test_a_restored_catalogue_is_that_of_the_backup(catalogue: Path, tmp_path: Path, compress: bool) -> None:
    finder = finder_on(catalogue)
    finder.keywords.page("shop")  # the database stays open, as it does in a service
    made = back_up(catalogue, tmp_path / "backups", compress=compress)
    bring_in(finder, BOOTS)
    finder.projects.delete("shop", "somebody")
    finder.catch_up("shop")
    finder.close()

    done = restore(made, catalogue, force=True)

    assert listed(catalogue) == [("blue shoes", 50), ("red shoes", 100), ("zapatos rojos", 20)]
    assert (done.migrated, done.behind, done.rebuilt) == ((), 0, False)
    # What was there is kept, as it was.
    assert done.aside is not None
    assert rows(done.aside, "SELECT count(*), sum(type = 'erased') FROM events") == [(8, 7)]


def test_a_backup_says_what_is_in_it(backed_up: Backup) -> None:
    said = json.loads((backed_up.path / "manifest.json").read_text())
    [(bucket, head)] = said["positions"].items()
    assert head == 4  # the project, the import, its one chunk of rows, its end
    assert said["followed"] == {bucket: 4}
    assert (said["format"], said["projects"], said["keywords"]) == (1, 1, 3)
    assert (said["schema"], said["model_version"]) == (newest(), MODEL_VERSION)
    assert said["database"]["bytes"] == (backed_up.path / "catalogue.sqlite3").stat().st_size
    assert len(said["database"]["sha256"]) == 64
    assert said["taken_at"].endswith("Z")


def test_an_import_that_runs_goes_on_where_the_backup_was_taken(tmp_path: Path) -> None:
    path, restored = tmp_path / "catalogue.sqlite3", tmp_path / "restored.sqlite3"
    text = b"Keyword,Volume\n" + b"".join(b"red shoes %d size %d,%d\n" % (i, i % 7, i % 900) for i in range(3 * CHUNK))
    finder = finder_on(path)
    started = finder.imports.start(text, name="list.csv", project="shop", market="en-US")
    running = threading.Thread(target=finder.jobs.run, args=(started.job_id,))
    running.start()
    until(lambda: rows(path, "SELECT coalesce(max(head), 0) FROM buckets")[0][0] >= 3)  # there is a chunk
    made = back_up(path, tmp_path / "backups")
    running.join()
    finder.close()
    assert rows(path, "SELECT head FROM buckets") == [(6,)]
    [position] = made.manifest.positions.values()
    assert 3 <= position < 6, "the backup was to be taken while the import ran"

    restore(made, restored)

    # Exactly the events of that time, and read models that hold them.
    events = f"SELECT position, type, payload, data, recorded_at FROM events WHERE position <= {position} ORDER BY 1"
    assert rows(restored, events.replace(f" WHERE position <= {position}", "")) == rows(path, events)
    assert rows(restored, "SELECT position FROM followers") == [(position,)]
    assert rows(restored, "SELECT count(*) FROM keywords") == [((position - 2) * CHUNK,)]
    # Whoever runs jobs ends the import, as it ended in the catalogue that was left behind.
    finder = finder_on(restored)
    assert finder.jobs.run(started.job_id).state == "completed"
    finder.close()
    derived = "SELECT id, normalized, volume, intent, rows, near_duplicate_of, difficulty FROM keywords ORDER BY id"
    assert rows(restored, derived) == rows(path, derived)
    assert rows(restored, "SELECT count(*) FROM keywords") == [(3 * CHUNK,)]


def say_something(catalogue: Path) -> None:
    """An event that no read model holds yet."""
    database = connect(f"sqlite:///{catalogue}")
    [(keyword_id,)] = rows(catalogue, "SELECT id FROM keywords WHERE normalized = 'red shoes'")
    with database.write("shop") as connection:
        marks.put(connection, "shop", keyword_id, "somebody", tags=["best"])
    database.close()


def test_read_models_catch_up_with_the_log(catalogue: Path, tmp_path: Path) -> None:
    say_something(catalogue)
    said = "SELECT tags FROM keywords WHERE normalized = 'red shoes'"
    assert rows(catalogue, said) == [(None,)]
    made = back_up(catalogue, tmp_path / "backups")

    done = restore(made, tmp_path / "restored.sqlite3")

    assert done.behind == 1
    assert rows(tmp_path / "restored.sqlite3", said) == [('["best"]',)]


def test_without_the_language_table_nothing_is_restored_that_must_be_analysed(catalogue: Path, tmp_path: Path) -> None:
    say_something(catalogue)
    made = back_up(catalogue, tmp_path / "backups")
    with pytest.raises(LanguageTableMissing, match="build it with okf warm"):
        restore(made, tmp_path / "restored.sqlite3", language_table=tmp_path / "none.okflang")
    assert not (tmp_path / "restored.sqlite3").exists()


def test_keywords_of_an_earlier_model_are_analysed_anew(catalogue: Path, tmp_path: Path) -> None:
    change(catalogue, "UPDATE keywords SET model_version = '2020.1', intent = 'navigational'")
    made = back_up(catalogue, tmp_path / "backups")
    assert restore(made, tmp_path / "restored.sqlite3").rebuilt
    found = rows(tmp_path / "restored.sqlite3", "SELECT DISTINCT model_version, intent = 'navigational' FROM keywords")
    assert found == [(MODEL_VERSION, 0)]


def test_a_backup_of_an_earlier_schema_is_brought_to_this_one(tmp_path: Path) -> None:
    path, restored = tmp_path / "catalogue.sqlite3", tmp_path / "restored.sqlite3"
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__path__[0])))
    config.set_main_option("path_separator", "os")
    scripts = ScriptDirectory.from_config(config)
    database = connect(f"sqlite:///{path}")
    with database.write() as connection:
        context = MigrationContext.configure(
            connection, opts={"fn": lambda revision, _: scripts._upgrade_revs("0001_catalogue", revision)}
        )
        with Operations.context(context):
            context.run_migrations()
    database.close()
    made = back_up(path, tmp_path / "backups")
    assert made.manifest.schema == "0001_catalogue"

    assert restore(made, restored).migrated[:2] == ("0002_jobs", "0003_keys")

    assert not rows(path, "SELECT 1 FROM sqlite_master WHERE name = 'api_keys'")
    assert rows(restored, "SELECT 1 FROM sqlite_master WHERE name = 'api_keys'")


def test_a_backup_of_a_later_schema_is_refused(catalogue: Path, tmp_path: Path) -> None:
    change(catalogue, "UPDATE alembic_version SET version_num = '9999_later'")
    made = back_up(catalogue, tmp_path / "backups")
    with pytest.raises(SchemaOutdated, match="at schema 9999_later, which this version does not know: update"):
        restore(made, tmp_path / "restored.sqlite3")
    assert [path.name for path in tmp_path.glob("*restor*")] == ["restored.sqlite3.lock"]


def test_what_a_killed_restore_left_is_not_in_the_way(backed_up: Backup, tmp_path: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        (tmp_path / f".catalogue.sqlite3.restoring{suffix}").write_text("half")
    restore(backed_up, tmp_path / "catalogue.sqlite3")
    assert len(listed(tmp_path / "catalogue.sqlite3")) == 3
    assert list(tmp_path.glob(".catalogue*")) == []


# ---- what is not restored to


def test_a_catalogue_that_is_there_is_kept_unless_it_is_to_be_replaced(backed_up: Backup, tmp_path: Path) -> None:
    place = tmp_path / "catalogue.sqlite3"
    place.write_text("mine")
    with pytest.raises(Conflict, match=r"is there: give --force to replace it .* or another file with --to"):
        restore(backed_up, place)
    assert place.read_text() == "mine"

    done = restore(backed_up, place, force=True)  # damaged as it is
    assert done.aside is not None
    assert done.aside.read_text() == "mine"
    assert len(listed(place)) == 3


def test_a_catalogue_that_is_in_use_is_not_replaced(backed_up: Backup, catalogue: Path) -> None:
    service = connect(f"sqlite:///{catalogue}")
    with service.read():
        pass
    with pytest.raises(Conflict, match=r"is open in another process: stop `okf serve` and imports first"):
        restore(backed_up, catalogue, force=True)
    service.close()
    restore(backed_up, catalogue, force=True)


def test_a_catalogue_that_another_program_has_open_is_not_replaced(backed_up: Backup, catalogue: Path) -> None:
    with closing(sqlite3.connect(catalogue)) as other:
        other.execute("SELECT count(*) FROM keywords").fetchone()
        with pytest.raises(Conflict, match="is open in another process"):
            restore(backed_up, catalogue, force=True)
    restore(backed_up, catalogue, force=True)


def test_a_catalogue_that_is_being_replaced_is_not_opened(catalogue: Path) -> None:
    database = connect(f"sqlite:///{catalogue}")
    with alone(catalogue), pytest.raises(DatabaseBusy, match="a backup is being restored"), database.read():
        pass
    with database.read():
        pass
    database.close()


def test_a_folder_is_not_replaced(backed_up: Backup, tmp_path: Path) -> None:
    with pytest.raises(InvalidOption, match="it is a folder; name a file in it"):
        restore(backed_up, tmp_path, force=True)


# ---- damage


def flip(path: Path, at: int) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 0x01]))


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 4096)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        pytest.param(lambda path: flip(path / "catalogue.sqlite3", 50_001), "catalogue.sqlite3 was changed", id="bit"),
        pytest.param(lambda path: cut(path / "catalogue.sqlite3"), "catalogue.sqlite3 was changed", id="cut"),
        pytest.param(lambda path: (path / "catalogue.sqlite3").unlink(), "lacks catalogue.sqlite3", id="gone"),
    ],
)
def test_a_damaged_backup_is_not_restored(
    backup: Backup, catalogue: Path, damage: Callable[[Path], None], said: str
) -> None:
    before = catalogue.read_bytes()
    damage(backup.path)
    with pytest.raises(DamagedBackup, match=said):
        verify(backup)
    with pytest.raises(DamagedBackup, match=said):
        restore(backup, catalogue, force=True)
    assert catalogue.read_bytes() == before
    assert {path.name for path in catalogue.parent.glob("*catalogue*")} == {
        "catalogue.sqlite3",
        "catalogue.sqlite3.lock",
    }


def test_a_damaged_manifest_is_told(backup: Backup) -> None:
    text = (backup.path / "manifest.json").read_text()
    (backup.path / "manifest.json").write_text(text[:-20])
    with pytest.raises(DamagedBackup, match=r"has a damaged manifest.json"):
        open_backup(backup.path)
    (backup.path / "manifest.json").write_text(text.replace('"format": 1', '"format": 2'))
    with pytest.raises(DamagedBackup, match="was made by a newer version: update this program"):
        open_backup(backup.path)


def test_a_log_with_a_gap_is_no_whole_backup(backup: Backup) -> None:
    """Its checksum is right: whoever made it was wrong."""
    file = backup.path / "catalogue.sqlite3"
    change(file, "DELETE FROM events WHERE position = 3")
    said = json.loads((backup.path / "manifest.json").read_text())
    said["database"] |= {"bytes": file.stat().st_size, "sha256": hashlib.sha256(file.read_bytes()).hexdigest()}
    (backup.path / "manifest.json").write_text(json.dumps(said))
    with pytest.raises(DamagedBackup, match=r"have gaps: 3 from 1 to 4, its head is 4"):
        verify(open_backup(backup.path))


def test_what_is_no_backup_is_told(backed_up: Backup, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="is no backup: name a folder as okf-backup-"):
        open_backup(tmp_path)
    with pytest.raises(NotFound, match=f"holds 1 backup: name one of them, the newest is {backed_up.path.name}"):
        open_backup(backed_up.path.parent)


def test_a_damaged_catalogue_pushes_no_good_backup_out(catalogue: Path, tmp_path: Path) -> None:
    good = back_up(catalogue, tmp_path / "backups")
    [(page,)] = rows(catalogue, "PRAGMA page_size")
    [(root,)] = rows(catalogue, "SELECT rootpage FROM sqlite_master WHERE name = 'keywords'")
    with catalogue.open("r+b") as file:
        file.seek((root - 1) * page)
        file.write(b"\xff" * 64)
    with pytest.raises(DatabaseUnavailable, match=r"is damaged: .* no backup was deleted: restore the last one"):
        back_up(catalogue, tmp_path / "backups", keep=1)
    assert find_backups(tmp_path / "backups") == [good.path]
    verify(good)


# ---- the folder of backups


def test_only_the_newest_are_kept(catalogue: Path, tmp_path: Path) -> None:
    folder = tmp_path / "backups"
    (folder / ".okf-backup-killed").mkdir(parents=True)  # by one that did not come to its end
    (folder / "okf-backup-notes").mkdir()
    made = [back_up(catalogue, folder, keep=2) for _ in range(3)]
    assert find_backups(folder) == [backup.path for backup in made[1:]]
    assert last_taken(folder) == made[2].manifest.taken_at
    assert {path.name for path in folder.iterdir()} == {
        *(backup.path.name for backup in made[1:]),
        "okf-backup-notes",
        ".okf-backup-lock",
    }
    with pytest.raises(InvalidOption, match="0 backups cannot be kept"):
        back_up(catalogue, folder, keep=0)


def test_there_is_room_before_a_backup_is_begun(
    catalogue: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=1_000_000)
    monkeypatch.setattr("omnikeywords.backup.shutil.disk_usage", lambda _: usage)
    with catalogue.open("r+b") as file:
        file.truncate(5_000_000)
    with pytest.raises(OmniKeywordsError, match="has 1 MB free and 5 MB are needed: make room"):
        back_up(catalogue, tmp_path / "backups")


def test_where_there_is_nothing_there_is_no_backup(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"there is no database at .* yet: nothing to back up"):
        back_up(tmp_path / "none.sqlite3", tmp_path / "backups")
    with closing(sqlite3.connect(tmp_path / "empty.sqlite3")) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
    with pytest.raises(NotFound, match="is empty: nothing to back up"):
        back_up(tmp_path / "empty.sqlite3", tmp_path / "backups")
    assert find_backups(tmp_path / "backups") == []
