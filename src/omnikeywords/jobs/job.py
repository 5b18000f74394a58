"""What is known of a job: its state, how far it is, what went wrong. Plain records."""

import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple

__all__ = [
    "CANCELLED",
    "Claim",
    "Job",
    "JobState",
    "Standing",
    "Started",
    "StepRecord",
    "StepState",
    "Trouble",
    "new_job_id",
]

CANCELLED = "cancelled"  # code of the Trouble that a cancellation is


def new_job_id() -> str:
    """A name for a job: time, then chance: sorts by when it was made."""
    return f"j{time.time_ns() // 1_000_000:012x}{secrets.token_hex(8)}"


class JobState(StrEnum):
    """Where a job stands."""

    QUEUED = "queued"  # waits for a worker: its first, or the next after a failed try
    RUNNING = "running"
    COMPENSATING = "compensating"  # undoes what it did, or waits to go on with that
    COMPLETED = "completed"
    FAILED = "failed"  # and compensated
    CANCELLED = "cancelled"  # and compensated
    STUCK = "stuck"  # parked for a person: can go neither forward nor back by itself

    @property
    def ended(self) -> bool:
        """Whether it stays so unless a person begins it again."""
        return self in (JobState.COMPLETED, JobState.FAILED, JobState.CANCELLED)


class StepState(StrEnum):
    """Where a recorded step stands; one that is not recorded has left nothing behind."""

    BEGUN = "begun"  # has a checkpoint, and so may have left something behind
    DONE = "done"
    UNDONE = "undone"


@dataclass(frozen=True, slots=True)
class Trouble:
    """What went wrong, for people and programs."""

    code: str  # of errors.py; `error` for what nobody foresaw, `cancelled`, `deadline_exceeded`, `worker_died`
    message: str
    step: str | None = None
    params: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StepRecord:
    """What is stored of one step."""

    name: str
    state: StepState
    position: int  # order in which they were begun, from 1
    checkpoint: Any
    undo_checkpoint: Any
    output: Any
    begun_at: datetime
    done_at: datetime | None
    undone_at: datetime | None


@dataclass(frozen=True, slots=True)
class Job:
    """One durable run; times in UTC."""

    id: str
    bucket: int
    project: str
    kind: str
    state: JobState
    run: int  # 1, and one more each time it was begun again from the start
    step: str | None  # that it is at
    pivoted: bool  # it can only go forward now
    backwards: bool  # it compensates, or was parked while it did
    attempt: int  # claims so far
    worker: str | None  # who holds it
    due_at: datetime | None  # held: end of the lease; else: not before
    failed_tries: int  # of the step it is at
    outages: int  # of the database that tries at this step met
    deaths: int  # of workers at the step it is at
    input: Mapping[str, Any]
    idempotency_key: str | None
    progress: Mapping[str, Any]
    failure: Trouble | None  # why it turned back
    trouble: Trouble | None  # the last failed try, or why it is parked
    cancel_requested: bool
    deadline: datetime | None
    created_at: datetime
    started_at: datetime | None
    updated_at: datetime
    ended_at: datetime | None
    steps: tuple[StepRecord, ...] = ()  # in the order they were begun; empty in lists


class Started(NamedTuple):
    """What `start` answers."""

    job: Job
    created: bool  # False: the idempotency key was used before, for the same


class Standing(NamedTuple):
    """What a worker must know of a job that it holds."""

    cancel_requested: bool
    overdue: bool


@dataclass(frozen=True, slots=True)
class Claim:
    """A job that a worker holds, and the fence under which it does."""

    job: Job  # with its steps
    attempt: int
    first: bool  # nobody has worked at this run before
    taken_over: bool  # another held it and let its lease pass
