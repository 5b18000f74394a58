"""What a job says of how far it is, at moments made by hand."""

from datetime import UTC, datetime, timedelta

import pytest

from omnikeywords.api.jobs import progress_of
from omnikeywords.jobs import Job, JobState
from omnikeywords.jobs.job import StepRecord, StepState

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
