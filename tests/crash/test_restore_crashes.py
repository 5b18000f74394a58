"""A restore that is killed leaves the catalogue that was there or the one of the backup, and can be begun again."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from omnikeywords.backup import find_backups
from omnikeywords.finder import Finder
from omnikeywords.jobs import crash_points
from omnikeywords.settings import Settings
from tests.crash.test_import_crashes import Commands, Place, commands

POINTS = {"restore.unpacked": "new", "restore.prepared": "new", "restore.aside": "new", "restore.in_place": "old"}


@pytest.fixture
def killer() -> Iterator[Commands]:
    with commands() as made:
        yield made


def keywords(file: Path) -> list[str]:
    finder = Finder(Settings.load({"OKF_DATABASE_URL": f"sqlite:///{file}"}))
    found = sorted(row["keyword"] for row in finder.keywords.page().keywords)
    finder.close()
    return found


def test_every_point_of_a_restore_is_passed() -> None:
    assert {point for point in crash_points() if point.startswith("restore.")} == set(POINTS)


@pytest.mark.parametrize("point", POINTS)
def test_a_restore_killed_at_a_point_leaves_one_catalogue_or_the_other(
    killer: Commands, tmp_path: Path, point: str
) -> None:
    catalogue = tmp_path / "catalogue.sqlite3"
    place = Place(f"sqlite:///{catalogue}", tmp_path / "keywords.csv")
    place.database.close()

    def run(*args: str, **settings: str) -> int:
        return killer.run(place, {"args": list(args)}, **settings)[0]

    place.file.write_text("keyword\nold\n")
    assert run("import", str(place.file), "-q") == 0
    assert run("backup", str(tmp_path / "backups")) == 0
    (backup,) = find_backups(tmp_path / "backups")
    place.file.write_text("keyword\nnew\n")
    assert run("import", str(place.file), "-q") == 0
    restore = ("restore", str(backup), "--force")
    assert run(*restore, OKF_CRASH_AT=point) == -signal.SIGKILL
    assert keywords(catalogue) == (["new", "old"] if POINTS[point] == "new" else ["old"])
    assert run(*restore) == 0
    assert keywords(catalogue) == ["old"]
    assert list(tmp_path.glob(".*restoring*")) == []
