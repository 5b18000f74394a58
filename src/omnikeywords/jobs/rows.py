"""Rows of the tables of jobs as records, and records as what rows hold: JSON as text, times as milliseconds."""

import json
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Row

from omnikeywords.errors import InvalidInput
from omnikeywords.jobs.job import Job, JobState, StepRecord, StepState, Trouble

__all__ = ["job_of", "ms_of", "step_of", "text_of", "trouble_text", "value_of"]


def text_of(value: Any) -> str:
    """JSON in its one canonical form. ASCII, so that any database keeps any string."""
    try:
        return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"a job keeps JSON only, and this is not: {error}") from error


def value_of(text: str | None) -> Any:
    """What JSON says; None for no text."""
    return None if text is None else json.loads(text)


def trouble_text(trouble: Trouble) -> str:
    """The JSON of what went wrong."""
    return json.dumps(
        {
            "code": trouble.code,
            "message": trouble.message,
            "step": trouble.step,
            "params": dict(trouble.params),
        },
        sort_keys=True,
        default=str,
    )


def _trouble(text: str | None) -> Trouble | None:
    if text is None:
        return None
    said = json.loads(text)
    return Trouble(said["code"], said["message"], said["step"], said["params"])


def ms_of(moment: datetime) -> int:
    """Milliseconds since 1970 UTC. Raises InvalidInput for a time without zone."""
    if moment.tzinfo is None:
        raise InvalidInput(f"time {moment.isoformat()} has no time zone: give it one")
    return int(moment.timestamp() * 1000)


def _moment(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)


def _time(ms: int | None) -> datetime | None:
    return None if ms is None else _moment(ms)


def job_of(row: Row[Any], steps: tuple[StepRecord, ...] = ()) -> Job:
    """The record in a row of `jobs`."""
    return Job(
        id=row.id,
        bucket=row.bucket,
        project=row.project,
        kind=row.kind,
        state=JobState(row.state),
        run=row.run,
        step=row.step,
        pivoted=row.pivoted,
        backwards=row.backwards,
        attempt=row.attempt,
        worker=row.worker,
        due_at=_time(row.due_at),
        failed_tries=row.failed_tries,
        outages=row.outages,
        deaths=row.deaths,
        input=value_of(row.input),
        idempotency_key=row.idempotency_key,
        progress=value_of(row.progress),
        failure=_trouble(row.failure),
        trouble=_trouble(row.trouble),
        cancel_requested=row.cancel_requested,
        deadline=_time(row.deadline_at),
        created_at=_moment(row.created_at),
        started_at=_time(row.started_at),
        updated_at=_moment(row.updated_at),
        ended_at=_time(row.ended_at),
        steps=steps,
    )


def step_of(row: Row[Any]) -> StepRecord:
    """The record in a row of `job_steps`."""
    return StepRecord(
        name=row.name,
        state=StepState(row.state),
        position=row.position,
        checkpoint=value_of(row.checkpoint),
        undo_checkpoint=value_of(row.undo_checkpoint),
        output=value_of(row.output),
        begun_at=_moment(row.begun_at),
        done_at=_time(row.done_at),
        undone_at=_time(row.undone_at),
    )
