"""Durable jobs: sagas that go on after a crash from where they were, and undo what they did when they fail.

Hides claims, leases, heartbeats, fences, retries, the order of undoing, and two databases. Knows nothing of keywords: a
part above describes its work as a `Saga` of steps and starts it in a transaction of its own; any worker process on the
same database runs it. A step's result and whatever it writes are one transaction, in which a worker that lost its lease
can write nothing; so each step happens once, although any process may be killed at any moment.
"""

from omnikeywords.jobs.context import Context
from omnikeywords.jobs.crash import arm_crash_point, crash_point, crash_points, declare_crash_points
from omnikeywords.jobs.job import Job, JobState, Started, StepRecord, StepState, Trouble
from omnikeywords.jobs.listing import count_jobs, jobs_of, list_jobs, made_before, of_key, status
from omnikeywords.jobs.saga import Retry, Saga, Step
from omnikeywords.jobs.store import cancel, erase, resume, retry, start
from omnikeywords.jobs.tables import metadata
from omnikeywords.jobs.worker import WorkerOptions, run_until_done, run_worker

__all__ = [
    "Context",
    "Job",
    "JobState",
    "Retry",
    "Saga",
    "Started",
    "Step",
    "StepRecord",
    "StepState",
    "Trouble",
    "WorkerOptions",
    "arm_crash_point",
    "cancel",
    "count_jobs",
    "crash_point",
    "crash_points",
    "declare_crash_points",
    "erase",
    "jobs_of",
    "list_jobs",
    "made_before",
    "metadata",
    "of_key",
    "resume",
    "retry",
    "run_until_done",
    "run_worker",
    "start",
    "status",
]
