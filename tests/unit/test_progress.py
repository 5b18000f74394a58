"""What a job says of how far it is, at moments made by hand."""

import io
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from rich.console import Console

from omnikeywords.api.jobs import progress_of
from omnikeywords.cli_imports import _looked
from omnikeywords.jobs import Job, JobState
from omnikeywords.jobs.job import StepRecord, StepState
from omnikeywords.terminal import progress_bar

BEGAN = datetime(2026, 11, 25, 10, 0, 0, tzinfo=UTC)


def job(state: JobState, seconds: float, share: float, done: dict[str, float]) -> Job:
    """An import of which 1,000 rows were read, so many seconds after its first step; `done` says when steps were."""
    steps = tuple(
        StepRecord(name, StepState.DONE, number, None, None, None, BEGAN, BEGAN + timedelta(seconds=at), None)
        for number, (name, at) in enumerate(done.items(), 1)
    )
    now = BEGAN + timedelta(seconds=seconds)
    ended = now if state.ended else None
    return Job(
        id="j" + "0a" * 14,
        bucket=1,
        project="shop",
        kind="import_keywords",
        state=state,
        run=1,
        step=None,
        pivoted=False,
        backwards=False,
        attempt=1,
        worker=None,
        due_at=None,
        failed_tries=0,
        outages=0,
        deaths=0,
        input={},
        idempotency_key=None,
        progress={"rows_read": 1000, "share_read": share},
        failure=None,
        trouble=None,
        cancel_requested=False,
        deadline=None,
        created_at=BEGAN,
        started_at=BEGAN,
        updated_at=now,
        ended_at=ended,
        steps=steps,
    )


@pytest.mark.parametrize(
    ("state", "seconds", "share", "done", "rate", "left"),
    [
        pytest.param(JobState.RUNNING, 10, 0.25, {"validate": 0}, 100, 30, id="a quarter took ten seconds"),
        pytest.param(JobState.RUNNING, 12, 0.5, {"validate": 2}, 100, 10, id="counted from the first row on"),
        pytest.param(JobState.RUNNING, 10, 0.9999, {"validate": 0}, 100, 0.1, id="nearly read is not done"),
        pytest.param(JobState.RUNNING, 15, 1, {"validate": 0, "append": 10}, 100, None, id="read, not yet keywords"),
        pytest.param(JobState.COMPLETED, 20, 1, {"validate": 0, "append": 10}, 100, 0, id="completed"),
        pytest.param(JobState.CANCELLED, 10, 0.25, {"validate": 0}, 100, None, id="nothing is left of a cancelled one"),
    ],
)
def test_the_time_left(
    state: JobState, seconds: float, share: float, done: dict[str, float], rate: float, left: float | None
) -> None:
    found = progress_of(job(state, seconds, share, done))
    assert (found["rows_per_second"], found["seconds_left"]) == (rate, left)


def test_nothing_is_known_of_a_job_that_was_forgotten() -> None:
    assert set(progress_of(None).values()) == {None}


def shown(looks: list[tuple[float, str, dict[str, float]]]) -> str:
    """The last that the bar of a command shows, which looked at a job at these seconds."""
    now = 0.0
    console = Console(file=io.StringIO(), force_terminal=True, width=120, get_time=lambda: now)
    with progress_bar(console, None, after=0) as tell:
        look = _looked(tell, "a.csv")
        for now, step, progress in looks:
            look(replace(job(JobState.RUNNING, now, 0, {}), step=step, progress=progress))
    assert isinstance(console.file, io.StringIO)
    return [line for line in console.file.getvalue().splitlines() if "a.csv" in line or "analysing" in line][-1]


def test_the_bar_tells_the_time_left_of_an_import() -> None:
    # 25 rows a second, of a file of 1,000 as it seems.
    read = [(0.0, 0), (4.0, 100), (10.0, 250)]
    line = shown([(at, "append", {"rows_read": rows, "share_read": rows / 1000}) for at, rows in read])
    assert "reading a.csv" in line
    assert "250 of 1,000" in line
    assert "00:30" in line


def test_the_bar_tells_the_time_left_of_the_analysis() -> None:
    # Two chunks a second, and ten are left of forty.
    left = [(10.0, 40), (15.0, 30), (25.0, 10)]
    line = shown([(at, "follow", {"chunks": 40, "chunks_left": chunks}) for at, chunks in left])
    assert "analysing" in line
    assert "30 of 40 · chunks" in line
    assert "00:05" in line


def test_the_bar_tells_no_time_while_the_size_of_a_file_is_unknown() -> None:
    line = shown([(at, "append", {"rows_read": rows}) for at, rows in [(0.0, 0), (4.0, 100), (10.0, 250)]])
    assert "250 · 0 kept" in line
    assert re.search(r"\d:\d\d", line) is None
