"""Reads from a standby: never less than what the primary would have shown."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest

from omnikeywords.catalog.migrate import migrate
from omnikeywords.db import connect
from omnikeywords.finder import Finder
from omnikeywords.settings import Settings
from tests.servers.postgres import Postgres, postgres, standby


@pytest.fixture(scope="module")
def primary() -> Iterator[Postgres]:
    with postgres(15) as server:
        owner = connect(server.url())
        migrate(owner, app_role="okf_app")
        owner.close()
        yield server


@pytest.fixture(scope="module")
def copy(primary: Postgres) -> Iterator[Postgres]:
    with standby(primary) as server:
        yield server


@pytest.fixture
def finder(primary: Postgres, copy: Postgres) -> Iterator[Finder]:
    made = Finder(Settings.load({"OKF_DATABASE_URL": primary.app_url(), "OKF_DATABASE_READ_URL": copy.app_url()}))
    yield made
    made.close()


def bring(finder: Finder, project: str, *keywords: str) -> str:
    file = "\n".join(("keyword", *keywords)).encode()
    given = finder.imports.start(file, name="k.csv", project=project, actor="ana")
    finder.jobs.run(given.job_id)
    return given.import_id


def shown(finder: Finder, project: str) -> list[str]:
    return sorted(row["keyword"] for row in finder.keywords.page(project).keywords)


@contextmanager
def lagging(copy: Postgres) -> Iterator[None]:
    """The standby goes on receiving and shows nothing of it."""
    with psycopg.connect(copy.admin_url("okf"), autocommit=True) as connection:
        connection.execute("SELECT pg_wal_replay_pause()")
        while connection.execute("SELECT pg_get_wal_replay_pause_state()").fetchone() != ("paused",):
            pass
        try:
            yield
        finally:
            connection.execute("SELECT pg_wal_replay_resume()")


def reads_at(finder: Finder, project: str) -> str:
    return finder.catalogue.fleet.reading(project).shown_url.rpartition(":")[2]


def test_lists_history_and_exports_are_read_from_a_standby_that_is_up_to_date(
    finder: Finder, primary: Postgres, copy: Postgres
) -> None:
    before = bring(finder, "p1", "running shoes", "trail shoes")
    after = bring(finder, "p1", "running shoes", "blue shoes")
    assert reads_at(finder, "p1") == f"{copy.port}/okf"
    assert shown(finder, "p1") == ["blue shoes", "running shoes", "trail shoes"]
    assert sum(frame.height for frame in finder.keywords.export("p1")) == 3
    row = next(row for row in finder.keywords.page("p1").keywords if row["keyword"] == "running shoes")
    assert len(finder.keywords.history(row["id"], "p1")) == 2
    assert finder.imports.compare(before, after, "p1").new == 1


def test_a_standby_that_lags_is_passed_over(finder: Finder, primary: Postgres, copy: Postgres) -> None:
    bring(finder, "p2", "running shoes")
    with lagging(copy):
        bring(finder, "p2", "trail shoes")
        assert reads_at(finder, "p2") == f"{primary.port}/okf"
        assert shown(finder, "p2") == ["running shoes", "trail shoes"]
    # It is asked again by the next reader.
    for _ in range(40):
        if reads_at(finder, "p2") == f"{copy.port}/okf":
            break
    assert reads_at(finder, "p2") == f"{copy.port}/okf"
    assert shown(finder, "p2") == ["running shoes", "trail shoes"]


def test_a_standby_that_is_down_is_passed_over_and_left_alone_for_a_while(
    finder: Finder, primary: Postgres, copy: Postgres
) -> None:
    bring(finder, "p3", "running shoes")
    copy.stop(signal.SIGQUIT)
    try:
        assert shown(finder, "p3") == ["running shoes"]
        assert reads_at(finder, "p3") == f"{primary.port}/okf"
    finally:
        copy.start()
