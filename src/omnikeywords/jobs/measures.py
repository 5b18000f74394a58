"""What is counted of jobs. Declared when a process first works on one, so that one which only starts jobs need not."""

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from omnikeywords.ops import counter, gauge, histogram

if TYPE_CHECKING:
    from prometheus_client import Counter, Gauge, Histogram

__all__ = ["Measures", "measures"]


@dataclass(frozen=True, slots=True)
class Measures:
    """The metrics of jobs."""

    started: "Counter"
    ended: "Counter"
    parked: "Counter"
    running: "Gauge"
    oldest_waiting: "Gauge"
    takeovers: "Counter"
    retries: "Counter"
    lost: "Counter"
    step_seconds: "Histogram"


@cache
def measures() -> Measures:
    """The metrics of this process."""
    return Measures(
        started=counter("okf_jobs_started_total", "Runs of jobs begun.", ("kind",)),
        ended=counter("okf_jobs_ended_total", "Jobs ended: completed, failed or cancelled.", ("kind", "state")),
        parked=counter(
            "okf_jobs_parked_total", "Jobs left to a person because nothing more could be tried.", ("kind",)
        ),
        running=gauge("okf_jobs_running", "Jobs that workers hold now.", ("kind",)),
        oldest_waiting=gauge(
            "okf_jobs_oldest_waiting_seconds",
            "Time for which the job that waits longest for a worker has been due, in seconds.",
            over_processes="livemax",
        ),
        takeovers=counter(
            "okf_job_takeovers_total", "Jobs taken over from a worker that let its lease pass.", ("kind",)
        ),
        retries=counter("okf_job_retries_total", "Failed tries of steps that are tried again.", ("kind", "step")),
        lost=counter(
            "okf_job_leases_lost_total", "Workers kept from writing because another had their job.", ("kind",)
        ),
        step_seconds=histogram(
            "okf_job_step_seconds",
            "Time of one try of a step or of its undo, in seconds.",
            ("kind", "step", "direction"),
            (0.01, 0.05, 0.25, 1, 5, 15, 60, 300, 1800),
        ),
    )
