"""Databases for tests: SQLite, PostgreSQL 15 and PostgreSQL 18; each test finds an empty one.

The folder for the user's data is not the user's, and a test that uses the database which is there by default fails.
"""

import itertools
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from omnikeywords.analysis.frequency import default_table_path
from omnikeywords.catalog.migrate import migrate
from omnikeywords.catalog.tables import metadata
from omnikeywords.db import Database, connect
from omnikeywords.jobs import metadata as jobs_metadata
from omnikeywords.settings import default_data_dir
from tests.servers.pgbouncer import PgBouncer, pgbouncer
from tests.servers.postgres import Postgres, postgres

APP_ROLE = "okf_app"
POSTGRES = {"postgresql15": 15, "postgresql18": 18}
KINDS = ["sqlite", *POSTGRES]  # and "pgbouncer": PostgreSQL 15 behind a pooler in transaction mode


_DATA_HOME = pytest.StashKey[Path]()


def pytest_configure(config: pytest.Config) -> None:
    """Point the default data folder elsewhere, for the processes that tests start too; the language table is there."""
    table = default_table_path()
    config.stash[_DATA_HOME] = Path(tempfile.mkdtemp(prefix="okf-data-"))
    os.environ["XDG_DATA_HOME"] = str(config.stash[_DATA_HOME])
    default_data_dir().mkdir()
    if table.exists():
        default_table_path().symlink_to(table.resolve())


def pytest_unconfigure(config: pytest.Config) -> None:
    """Take the folder away."""
    shutil.rmtree(config.stash[_DATA_HOME], ignore_errors=True)


@pytest.fixture(autouse=True)
def uses_a_database_of_its_own() -> Iterator[None]:
    """Fail a test that uses the database of whoever names none: another test would find there what it left."""
    yield
    left = list(default_data_dir().glob("catalogue.*"))
    for path in left:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert not left, f"left in the default data folder: {', '.join(path.name for path in left)}; set OKF_DATABASE_URL"


@dataclass(frozen=True, slots=True)
class Place:
    """A database that was migrated and is empty."""

    url: str  # for the program
    owner_url: str  # for migrations
    server: Postgres | None = None


class Places:
    """Makes databases; a server is started when it is first asked for."""

    def __init__(self, folder: Path, running: ExitStack) -> None:
        self._folder = folder
        self._running = running
        self._servers: dict[str, Postgres] = {}
        self._numbers = itertools.count(1)
        self._migrated: dict[str, Place] = {}
        self._pooler: PgBouncer | None = None

    def server(self, kind: str) -> Postgres:
        """The server of a kind of PostgreSQL."""
        if kind == "pgbouncer":
            return self.server("postgresql15")
        if kind not in self._servers:
            self._servers[kind] = self._running.enter_context(postgres(POSTGRES[kind]))
        return self._servers[kind]

    def empty(self, kind: str) -> Place:
        """One without any table."""
        name = f"test_{next(self._numbers)}"
        if kind == "sqlite":
            url = f"sqlite:///{self._folder / name}.sqlite3"
            return Place(url, url)
        server = self.server(kind)
        server.new_database(name)
        url = self.pooler().url(name, APP_ROLE) if kind == "pgbouncer" else server.app_url(name)
        return Place(url, server.url(name), server)

    def migrated(self, kind: str) -> Place:
        """One with the tables of the catalogue, and nothing in them."""
        if kind == "sqlite":
            if kind not in self._migrated:
                self._migrated[kind] = self._migrate(self.empty(kind))
            source = Path(self._migrated[kind].url.removeprefix("sqlite:///"))
            path = self._folder / f"test_{next(self._numbers)}.sqlite3"
            shutil.copy(source, path)
            return Place(f"sqlite:///{path}", f"sqlite:///{path}")
        if kind not in self._migrated:
            self._migrated[kind] = self._migrate(self.empty(kind))
        place = self._migrated[kind]
        self._clear(place)
        return place

    def _migrate(self, place: Place) -> Place:
        database = connect(place.owner_url)
        migrate(database, app_role=APP_ROLE)
        database.close()
        return place

    def _clear(self, place: Place) -> None:
        """Deleting is quicker than to copy a database, which a server does in a second or less."""
        assert place.server is not None
        name = place.url.rpartition("/")[2]
        with psycopg.connect(
            place.server.admin_url(name), autocommit=True, options="-c lock_timeout=10s"
        ) as connection:
            connection.execute(
                "; ".join(f"DELETE FROM {table}" for table in {**metadata.tables, **jobs_metadata.tables})
            )

    def pooler(self) -> PgBouncer:
        """A pooler of four connections a database before PostgreSQL 15."""
        if self._pooler is None:
            self._pooler = self._running.enter_context(pgbouncer(self.server("postgresql15"), connections=4))
        return self._pooler


@pytest.fixture(scope="session")
def places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Places]:
    with ExitStack() as running:
        yield Places(tmp_path_factory.mktemp("databases"), running)


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


@pytest.fixture
def place(places: Places, kind: str) -> Place:
    return places.migrated(kind)


@pytest.fixture
def database(place: Place) -> Iterator[Database]:
    opened = connect(place.url)
    yield opened
    opened.close()
