"""The processor goes on whatever becomes of one of its threads."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from omnikeywords import processor
from omnikeywords.catalog import marks
from omnikeywords.finder import Finder
from omnikeywords.jobs import JobState
from omnikeywords.processor import run_processor
from omnikeywords.settings import Settings
from omnikeywords.workflows import Workflows


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setattr(processor, "_RETRY", 0.05)
    loaded = Settings.load({})
    url = f"sqlite:///{tmp_path / 'catalogue.sqlite3'}"
    return replace(loaded, data_dir=tmp_path, database_url=url, language_table=loaded.language_table_path)


@pytest.fixture
def finder(settings: Settings) -> Iterator[Finder]:
    found = Finder(settings)
    yield found
    found.close()


def failing_at_first(call: Callable[..., Any]) -> Callable[..., Any]:
    """Fails twice, as two threads run jobs: those that imports need, and those that tell webhooks."""
    left = [RuntimeError("nobody foresaw this"), RuntimeError("nor this")]

    def failing(*given: Any, **named: Any) -> Any:
        with contextlib.suppress(IndexError):
            raise left.pop()
        return call(*given, **named)

    return failing


def until(condition: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize("broken", ["the job workers", "the follower"])
def test_what_fails_in_a_way_that_nobody_foresaw_is_begun_again(
    broken: str, settings: Settings, finder: Finder, monkeypatch: pytest.MonkeyPatch
) -> None:
    if broken == "the job workers":
        monkeypatch.setattr(processor, "run_worker", failing_at_first(processor.run_worker))
    else:
        monkeypatch.setattr(Workflows, "catch_up", failing_at_first(Workflows.catch_up))
    stop = threading.Event()
    running = threading.Thread(target=run_processor, args=(settings, stop, ("processor",)))
    running.start()
    try:
        begun = finder.imports.start(b"Keyword\nred shoes\n", name="k.csv", project="shop")
        until(lambda: finder.jobs.find(begun.job_id).state is JobState.COMPLETED)
        assert [row["normalized"] for row in finder.keywords.page("shop").keywords] == ["red shoes"]
        (tagged,) = finder.keywords.page("shop").keywords
        with finder.catalogue.database_of("shop").write("shop") as connection:
            marks.put(connection, "shop", tagged["id"], "ana", tags=["spring"])
        until(lambda: finder.keywords.find(tagged["id"], "shop")["tags"] == ["spring"])
    finally:
        stop.set()
        running.join()
