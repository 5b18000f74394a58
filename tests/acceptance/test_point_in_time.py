"""PostgreSQL is restored to a point in time by the commands of docs/backup.md, as they stand there."""

import os
import re
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

from omnikeywords.backup import last_taken
from omnikeywords.catalog.migrate import migrate
from omnikeywords.catalog.tables import metadata
from omnikeywords.db import connect
from omnikeywords.finder import Finder
from omnikeywords.jobs import metadata as jobs_metadata
from omnikeywords.processor import run_processor
from omnikeywords.settings import Settings
from tests.acceptance.test_serve import until
from tests.runbook import commands
from tests.servers.postgres import Postgres, postgres, unprivileged

SHOES = b"Keyword,Volume\nred shoes,100\nblue shoes,50\n"
BOOTS = b"Keyword,Volume\nred boots,70\n"
CAPS = b"Keyword,Volume\nblack caps,5\n"
HATS = b"Keyword,Volume\ngreen hats,10\n"


class Operator:
    """Somebody who follows the runbook on the server's machine."""

    def __init__(self, server: Postgres) -> None:
        self.server = server
        self.archive = server.folder.parent / "wal"
        self.backups = server.folder.parent / "base"
        self._account = unprivileged()
        self._environment = {
            "PATH": f"{server.bin}:{os.environ['PATH']}",
            "PGHOST": "127.0.0.1",
            "PGPORT": str(server.port),
            "PGUSER": "okf_admin",
            "PGPASSWORD": server.passwords["okf_admin"],
            "PGDATABASE": "postgres",
            "PGDATA": str(server.folder),
            "ARCHIVE": str(self.archive),
            "BACKUPS": str(self.backups),
        }

    def follow(self, heading: str, **given: str) -> str:
        """Run the commands under a heading of the runbook; returns what they print."""
        return self.run(commands("backup.md", f"PostgreSQL: {heading}"), **given)

    def run(self, script: str, **given: str) -> str:
        done = subprocess.run(
            ["bash", "-eu", "-o", "pipefail", "-c", script],
            env=self._environment | given,
            cwd=self.server.folder.parent,
            user=self._account.pw_uid if self._account else None,
            group=self._account.pw_gid if self._account else None,
            extra_groups=[] if self._account else None,
            # The server that is started here would keep a pipe open.
            stdout=(output := (self.server.folder.parent / "output").open("w+")),
            stderr=subprocess.STDOUT,
            check=False,
            timeout=60,
        )
        with output:
            output.seek(0)
            said = output.read()
        log = Path(f"{self.server.folder}.log")
        assert done.returncode == 0, said + (log.read_text()[-2000:] if log.exists() else "")
        return said


def rows(server: Postgres) -> dict[str, list[tuple[Any, ...]]]:
    """Everything that there is, table by table."""
    with psycopg.connect(server.admin_url("okf")) as connection:
        return {
            name: connection.execute(f"SELECT t::text FROM {name} t ORDER BY 1").fetchall()  # type: ignore[arg-type]
            for name in [*metadata.tables, *jobs_metadata.tables]
        }


def keywords(server: Postgres) -> list[tuple[Any, ...]]:
    """Every keyword, its volume, and whether the read model holds it for branded."""
    with psycopg.connect(server.admin_url("okf")) as connection:
        return connection.execute("SELECT normalized, volume, branded FROM keywords ORDER BY 1").fetchall()


def first_segment(base: Path) -> str:
    """The first part of the log that a base backup needs."""
    return re.findall(r"START WAL LOCATION: .*\(file (\w+)\)", (base / "backup_label").read_text())[0]


def bring_in(finder: Finder, text: bytes) -> None:
    started = finder.imports.start(text, name="list.csv", project="shop", market="en-US")
    assert finder.jobs.run(started.job_id).state == "completed"


@contextmanager
def processing(settings: Settings) -> Iterator[None]:
    """A processor that runs until the block ends, however it ends."""
    stop = threading.Event()
    processor = threading.Thread(target=run_processor, args=(settings, stop))
    processor.start()
    try:
        yield
    finally:
        stop.set()
        processor.join()


@pytest.fixture
def operator() -> Iterator[Operator]:
    with postgres(15) as server:
        with psycopg.connect(server.admin_url(), autocommit=True) as connection:
            # What was given on the command line must be in the configuration: others will start the server.
            given = connection.execute("SELECT name, setting FROM pg_settings WHERE source = 'command line'")
            for name, value in [*given.fetchall(), ("unix_socket_directories", server.folder.parent)]:
                connection.execute(f"ALTER SYSTEM SET {name} = '{value}'")  # type: ignore[arg-type]
        operator = Operator(server)
        try:
            yield operator
        finally:
            operator.run('pg_ctl stop -D "$PGDATA" -m immediate || true')


def test_postgresql_is_restored_to_a_point_in_time(operator: Operator) -> None:
    server = operator.server
    settings = Settings.load({**os.environ, "OKF_DATABASE_URL": server.app_url(), "OKF_LOG_LEVEL": "error"})
    operator.follow("once")
    owner = connect(server.url())
    migrate(owner, app_role="okf_app")
    owner.close()
    assert re.search(r"\| +0 \| *\n", operator.follow("see that it archives")), "a segment was not archived"

    finder = Finder(settings)
    bring_in(finder, SHOES)
    operator.follow("every day")
    [base] = operator.backups.iterdir()
    bring_in(finder, BOOTS)
    finder.projects.change("shop", "somebody", {"brands": ["boots"]})  # which no read model holds yet
    assert finder.catalogue.fleet.workflows("first").lag() == 1
    then = rows(server)
    with psycopg.connect(server.admin_url()) as connection:
        [moment] = connection.execute("SELECT clock_timestamp()").fetchone()  # type: ignore[misc]
    bring_in(finder, HATS)
    finder.projects.delete("shop", "intruder")  # what should not have happened
    assert "intruder" in operator.follow("find the time")
    finder.close()

    operator.follow("restore", TIME=moment.isoformat(), BASE=str(base))

    assert rows(server) == then
    finder = Finder(settings)
    assert keywords(server) == [("blue shoes", 50, False), ("red boots", 70, False), ("red shoes", 100, False)]
    caught_up = [("blue shoes", 50, False), ("red boots", 70, True), ("red shoes", 100, False)]
    with processing(settings):
        until(lambda: finder.catalogue.fleet.workflows("first").lag() == 0 and keywords(server) == caught_up)

    # The restored server goes on: it takes imports, archives its log, is backed up and forgets what is old.
    bring_in(finder, HATS)
    assert len(keywords(server)) == 4
    finder.close()
    operator.follow("every day")
    unneeded = first_segment(base)
    assert (operator.archive / unneeded).exists()
    operator.follow("delete what is old", KEEP="1")
    [newest] = operator.backups.iterdir()
    assert newest != base
    assert not (operator.archive / unneeded).exists()
    assert (operator.archive / first_segment(newest)).exists()
    taken = last_taken(operator.backups)
    assert taken is not None
    assert abs((datetime.now(UTC) - taken).total_seconds()) < 60

    # It crashes, with changes that are in no archive yet, and its data can be read but not used.
    finder = Finder(settings)
    bring_in(finder, CAPS)
    finder.close()
    last = rows(server)
    operator.run('pg_ctl stop -D "$PGDATA" -m immediate; rm "$PGDATA/global/pg_control"')
    operator.follow("restore", TIME="", BASE=str(newest))
    assert rows(server) == last
    assert len(keywords(server)) == 5
