"""Named points at which a test may kill the process, as a loss of power would.

A process is killed in its tests at every boundary that matters: before and after each transaction of a job. Each such
place calls `crash_point(name)`, which does nothing unless `arm_crash_point` was told that name at the start of the
process (setting `OKF_CRASH_AT=name`, or `name:n` for its n-th passage). Then the process sends itself SIGKILL, which
runs no handler, flushes no buffer and closes no connection.
"""

import os
import signal
import threading
from collections.abc import Mapping

from omnikeywords.errors import InvalidSetting

__all__ = ["arm_crash_point", "crash_point", "crash_points", "declare_crash_points"]

_points: dict[str, str] = {
    "jobs.start.after_insert": "a job is in the caller's transaction, which is not kept yet",
    "jobs.cancel.after_update": "a cancellation is in the caller's transaction, which is not kept yet",
    "jobs.resume.after_update": "a resumption is in the caller's transaction, which is not kept yet",
    "jobs.retry.after_update": "a new run is in the caller's transaction, which is not kept yet",
    "worker.claim.before_commit": "a worker chose a job and has not kept its claim yet",
    "worker.claim.after_commit": "a worker holds a job and has done nothing for it yet",
    "worker.takeover.after_commit": "a worker holds a job that another had before",
    "worker.heartbeat.before_commit": "leases are renewed, not kept yet",
    "worker.heartbeat.after_commit": "leases are renewed",
    "worker.give_back.before_commit": "a job is given back, not kept yet",
    "worker.give_back.after_commit": "a job is given back",
    "saga.step.before_do": "a step is about to begin",
    "saga.step.after_do": "a step's work has returned",
    "saga.step.before_commit": "a step's result is written, not kept yet",
    "saga.step.after_commit": "a step's result is kept",
    "saga.pivot.before_commit": "the pivot's result is written, not kept yet",
    "saga.pivot.after_commit": "the pivot's result is kept: there is no way back",
    "saga.transaction.begun": "a step's own transaction has begun",
    "saga.checkpoint.before_commit": "a checkpoint is written, not kept yet",
    "saga.checkpoint.after_commit": "a checkpoint is kept",
    "saga.retry.before_commit": "a failed try is written, not kept yet",
    "saga.retry.after_commit": "a failed try is kept, the job waits for the next one",
    "saga.turn_back.before_commit": "the decision to compensate is written, not kept yet",
    "saga.turn_back.after_commit": "the decision to compensate is kept",
    "saga.undo.before_do": "an undo is about to begin",
    "saga.undo.after_do": "an undo's work has returned",
    "saga.undo.before_commit": "an undo is written as done, not kept yet",
    "saga.undo.after_commit": "an undo is kept as done",
    "saga.undo_checkpoint.before_commit": "a checkpoint of an undo is written, not kept yet",
    "saga.undo_checkpoint.after_commit": "a checkpoint of an undo is kept",
    "saga.park.before_commit": "a job is parked for a person, not kept yet",
    "saga.park.after_commit": "a job is parked for a person",
    "saga.end.before_commit": "the job's end is written, not kept yet",
    "saga.end.after_commit": "the job's end is kept",
}

_armed: str | None = None
_passages_left = 0
_lock = threading.Lock()


def crash_points() -> Mapping[str, str]:
    """Every name there is, with where it stands."""
    return dict(_points)


def declare_crash_points(points: Mapping[str, str]) -> None:
    """Add the points of another part, by name, with where each stands; called at its import."""
    _points.update(points)


def arm_crash_point(at: str | None) -> None:
    """Make this process kill itself at `name`, or at the n-th passage of it for `name:n`; None: never.

    Called once at start, when all parts have declared their points. Raises InvalidSetting for an unknown name.
    """
    global _armed, _passages_left
    name, colon, count = (at or "").partition(":")
    if at is not None and name not in _points:
        raise InvalidSetting(
            f"OKF_CRASH_AT={at!r} names no crash point: use one of {', '.join(sorted(_points))}",
            setting="OKF_CRASH_AT",
            value=at,
        )
    if colon and not (count.isdecimal() and int(count) >= 1):
        raise InvalidSetting(
            f"OKF_CRASH_AT={at!r} counts no passage: write it as {name}:1 or more", setting="OKF_CRASH_AT", value=at
        )
    with _lock:
        _armed, _passages_left = name or None, int(count or 1)


def crash_point(name: str) -> None:
    """A place where a test may kill the process; `name` must be declared."""
    global _passages_left
    if name not in _points:
        raise LookupError(f"crash point {name!r} is not declared")
    if name != _armed:
        return
    with _lock:
        _passages_left -= 1
        last = _passages_left == 0
    if last:
        os.kill(os.getpid(), signal.SIGKILL)
