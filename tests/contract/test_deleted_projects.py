"""A project that was deleted is not searched, in any process, although its index has not followed yet."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from omnikeywords.errors import NotFound
from omnikeywords.finder import Finder
from omnikeywords.search import Request
from omnikeywords.settings import Settings


def opened(folder: Path) -> Finder:
    return Finder(
        Settings.load(
            {
                "OKF_DATABASE_URL": f"sqlite:///{folder / 'catalogue.sqlite3'}",
                "OKF_DATA_DIR": str(folder),
                "OKF_LANGUAGE_TABLE": str(Settings.load({}).language_table_path),
            }
        )
    )


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[tuple[Finder, Finder]]:
    """Two of them, which search one project."""
    with closing(opened(tmp_path)) as one, closing(opened(tmp_path)) as other:
        bring(one, "red shoes")
        for finder in (one, other):
            assert found(finder) == ["red shoes"]
        yield one, other


def bring(finder: Finder, phrase: str) -> None:
    begun = finder.imports.start(f"query,clicks\n{phrase},3\n".encode(), name="a.csv", project="shop")
    finder.jobs.run(begun.job_id)
    finder.searches.catch_up("shop")


def found(finder: Finder) -> list[str]:
    return [hit["keyword"] for hit in finder.searches.find(Request("shop", "shoes")).hits]


def test_it_is_gone_at_once_in_every_process(processes: tuple[Finder, Finder]) -> None:
    one, other = processes
    assert other.searches.stamp("shop") is not None
    one.projects.delete("shop", "ana")
    for finder in (one, other):
        assert not finder.searches.is_indexed("shop")
        assert finder.searches.stamp("shop") is None
        with pytest.raises(NotFound, match="shop"):
            found(finder)
        with pytest.raises(NotFound, match="shop"):
            finder.searches.suggest("shop", "red")


def test_one_of_the_same_name_has_none_of_its_keywords(processes: tuple[Finder, Finder]) -> None:
    one, other = processes
    one.projects.delete("shop", "ana")
    other.projects.create("shop", "ana")
    assert found(one) == found(other) == []
    bring(one, "blue shoes")
    for finder in (one, other):
        finder.searches.catch_up("shop")
        assert found(finder) == ["blue shoes"]
        assert finder.searches.is_indexed("shop")


def test_a_process_that_starts_afterwards_knows_it(processes: tuple[Finder, Finder], tmp_path: Path) -> None:
    processes[0].projects.delete("shop", "ana")
    with closing(opened(tmp_path)) as third, pytest.raises(NotFound, match="shop"):
        found(third)


def test_one_that_a_restored_database_brought_back_is_searched(
    processes: tuple[Finder, Finder], tmp_path: Path
) -> None:
    file = tmp_path / "catalogue.sqlite3"
    with closing(sqlite3.connect(file)) as connection, closing(sqlite3.connect(tmp_path / "earlier")) as copy:
        connection.backup(copy)
    processes[0].projects.delete("shop", "ana")
    with pytest.raises(NotFound, match="shop"):
        found(processes[1])
    with closing(sqlite3.connect(tmp_path / "earlier")) as copy, closing(sqlite3.connect(file)) as connection:
        copy.backup(connection)
    assert found(processes[0]) == found(processes[1]) == ["red shoes"]
