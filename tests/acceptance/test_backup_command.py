"""`okf backup` and `okf restore`, as docs/backup.md shows them, and what `okf doctor` says of backups."""

import os
import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from omnikeywords.cli import run
from omnikeywords.finder import Finder
from omnikeywords.in_use import alone
from omnikeywords.settings import Settings
from tests.acceptance.test_serve import refused, serving
from tests.runbook import commands

SHOES = b"Keyword,Volume\nred shoes,100\nblue shoes,50\n"
BOOTS = b"Keyword,Volume\nred boots,70\n"


def bring_in(url: str, text: bytes) -> None:
    finder = Finder(Settings.load({**os.environ, "OKF_DATABASE_URL": url}))
    started = finder.imports.start(text, name="list.csv", project="shop")
    assert finder.jobs.run(started.job_id).state == "completed"
    finder.close()


def follow(heading: str, **given: str) -> "subprocess.CompletedProcess[str]":
    """Run the commands under a heading of the runbook."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return subprocess.run(
        ["bash", "-eu", "-c", commands("backup.md", heading)],
        env={**os.environ, "PATH": path, **given},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_the_runbook_of_sqlite_is_what_the_program_does(tmp_path: Path) -> None:
    path, backups = tmp_path / "catalogue.sqlite3", tmp_path / "backups"
    url = f"sqlite:///{path}"
    bring_in(url, SHOES)

    made = follow("Back up", OKF_DATABASE_URL=url, BACKUPS=str(backups))
    assert made.returncode == 0, made.stderr
    [folder] = backups.glob("okf-backup-*")
    assert made.stdout == f"{folder}\n"
    assert re.fullmatch(
        r"okf: backed up 2 keywords of 1 project, \d\.\d MB, as of 20[-\d]+ [:\d]+ UTC; checked\n", made.stderr
    )
    bring_in(url, BOOTS)

    checked = follow("Check", OKF_DATABASE_URL=url, BACKUP=str(folder))
    assert (checked.returncode, checked.stdout) == (0, f"{folder}\n")

    with serving(OKF_DATABASE_URL=url):
        tried = follow("Restore", OKF_DATABASE_URL=url, BACKUP=str(folder))
    assert (tried.returncode, tried.stdout) == (1, "")
    assert tried.stderr == (
        f"okf: database {str(path)!r} is open in another process: stop `okf serve` and imports first\n"
    )

    restored = follow("Restore", OKF_DATABASE_URL=url, BACKUP=str(folder))
    assert (restored.returncode, restored.stdout) == (0, f"{path}\n")
    first, second = restored.stderr.splitlines()
    assert first.startswith("okf: restored 2 keywords of 1 project, as of 20")
    kept = Path(re.findall(r"^okf: the database that was there is kept as (\S+): delete it when", second)[0])

    def keywords(of: Path) -> list[tuple[str]]:
        with closing(sqlite3.connect(of)) as connection:
            return connection.execute("SELECT normalized FROM keywords ORDER BY 1").fetchall()

    assert keywords(path) == [("blue shoes",), ("red shoes",)]
    assert keywords(kept) == [("blue shoes",), ("red boots",), ("red shoes",)]


def test_a_service_does_not_start_while_a_backup_is_restored(tmp_path: Path) -> None:
    path = tmp_path / "catalogue.sqlite3"
    with alone(path):
        said = refused("--port", "0", exit=1, OKF_DATABASE_URL=f"sqlite:///{path}")
    assert said == f"okf: database '{path}': a backup is being restored: try again when it is done"


@pytest.mark.parametrize(
    ("arguments", "url", "said"),
    [
        (["backup"], "sqlite:///{}/c.sqlite3", "okf: no folder to back up to: name one, or set OKF_BACKUP_DIR\n"),
        (
            ["backup", "{}/backups"],
            "postgresql://app:secret@db.example/okf",
            "okf: postgresql://app:***@db.example/okf is no SQLite database: see docs/backup.md\n",
        ),
        (
            ["backup", "{}/backups", "--keep", "0"],
            "sqlite:///{}/c.sqlite3",
            "okf: 0 backups cannot be kept: give 1 or more\n",
        ),
    ],
)
def test_a_wrong_use_is_told(
    arguments: list[str],
    url: str,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("OKF_DATABASE_URL", url.format(tmp_path))
    assert run([each.format(tmp_path) for each in arguments]) == 2
    assert capsys.readouterr().err == said


def test_a_backup_that_is_not_there_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OKF_DATABASE_URL", f"sqlite:///{tmp_path}/c.sqlite3")
    assert run(["restore", f"{tmp_path}/none"]) == 1
    assert capsys.readouterr().err == (
        f"okf: '{tmp_path}/none' is no backup: name a folder as okf-backup-20260131T120000Z\n"
    )


@pytest.mark.parametrize(
    ("hours", "found"),
    [
        (None, r"problem +last backup +none in [^`]*run\s+`okf backup`"),
        (1, r"ok +last backup +1\.\d hours old"),
        (30, r"problem +last backup +30\.\d hours old"),
    ],
)
def test_the_doctor_tells_the_age_of_the_last_backup(
    hours: int | None,
    found: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if hours is not None:  # PostgreSQL's; how they are named is all that is looked at
        (tmp_path / f"base-{datetime.now(UTC) - timedelta(hours=hours):%Y%m%dT%H%M%SZ}").mkdir()
        (tmp_path / f"base-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.part").mkdir()
    monkeypatch.setenv("OKF_BACKUP_DIR", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "200")
    run(["doctor"])
    assert re.search(found, capsys.readouterr().out)
