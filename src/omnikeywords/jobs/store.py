"""Every statement that changes jobs: starting, claiming, fencing, recording, cancelling, forgetting.

A job is held by at most one worker: the one whose claim has the job's present `attempt`. Each later write of that
worker names its attempt, and a write whose attempt is no longer the present one changes nothing and raises LeaseLost.
That write is the last of its transaction, so what else the transaction held is undone with it, and the job's row is
locked for no longer than a commit takes.

All functions take a connection and leave the transaction to the caller.
"""

import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from threading import Event
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    NullPool,
    Row,
    and_,
    case,
    cast,
    create_engine,
    delete,
    extract,
    func,
    insert,
    literal,
    select,
    true,
    tuple_,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from omnikeywords.db import Database, tell
from omnikeywords.errors import Conflict, IdempotencyConflict, LeaseLost
from omnikeywords.jobs.crash import crash_point
from omnikeywords.jobs.job import (
    CANCELLED,
    Claim,
    Job,
    JobState,
    Standing,
    Started,
    StepState,
    Trouble,
    new_job_id,
)
from omnikeywords.jobs.listing import named, steps_of, unknown
from omnikeywords.jobs.rows import job_of, ms_of, text_of, trouble_text
from omnikeywords.jobs.saga import Saga
from omnikeywords.jobs.tables import job_steps, jobs

__all__ = [
    "CHANNEL",
    "any_due",
    "cancel",
    "claim",
    "end",
    "erase",
    "forget_ended",
    "free",
    "give_back",
    "holders",
    "keep",
    "listen",
    "look",
    "oldest_waiting_ms",
    "park",
    "record_step",
    "renew",
    "resume",
    "retry",
    "retry_later",
    "start",
    "turn_back",
]

CHANNEL = "okf_jobs"  # on which PostgreSQL says that a job is due
_LIMITS_LOCK = 0x6F6B666A  # advisory lock held while a claim counts against the limit of a kind
_FRESH: Mapping[str, Any] = {"failed_tries": 0, "outages": 0, "deaths": 0}  # of a job that got on
_NOTICE_SECONDS = 0.2  # until a listening connection notices that it is no longer needed

Milliseconds = int | ColumnElement[int]


def start(
    connection: Connection,
    saga: Saga,
    input: Mapping[str, Any],
    *,
    project: str,
    bucket: int,
    key: str | None = None,
    not_before: datetime | None = None,
    deadline: datetime | None = None,
) -> Started:
    """Make a job in the caller's transaction: it exists if and only if the rest of that is kept.

    The same idempotency `key` in the same project answers the job that is there. `deadline` turns a job back that has
    not passed its pivot by then. Raises IdempotencyConflict where that job is another kind or has other input,
    InvalidInput for input that is not JSON.
    """
    now = _now(connection)
    given = text_of(input)
    values = {
        "id": new_job_id(),
        "bucket": bucket,
        "project": project,
        "kind": saga.kind,
        "state": JobState.QUEUED.value,
        "run": 1,
        "step": saga.steps[0].name,
        "pivoted": not saga.revocable,
        "backwards": False,
        "attempt": 0,
        "due_at": now if not_before is None else ms_of(not_before),
        **_FRESH,
        "input": given,
        "idempotency_key": key,
        "progress": "{}",
        "cancel_requested": False,
        "deadline_at": None if deadline is None else ms_of(deadline),
        "created_at": now,
        "updated_at": now,
    }
    dialect: Any = sqlite if connection.dialect.name == "sqlite" else postgresql
    made = connection.execute(
        dialect.insert(jobs)
        .values(values)
        .on_conflict_do_nothing(index_elements=["project", "idempotency_key"])
        .returning(jobs)
    ).one_or_none()
    if made is not None:
        tell(connection, CHANNEL, saga.kind)
        crash_point("jobs.start.after_insert")
        return Started(job_of(made), True)
    there = connection.execute(
        select(jobs).where(jobs.c.project == project, jobs.c.idempotency_key == key)
    ).one_or_none()
    if there is None:
        raise Conflict(f"job with idempotency key {key!r} was forgotten this moment: start it again", key=key)
    if (there.kind, there.input) != (saga.kind, given):
        raise IdempotencyConflict(
            f"idempotency key {key!r} was used for another job, {there.id}: use a new key", key=key, job=there.id
        )
    return Started(job_of(there), False)


def cancel(connection: Connection, job_id: str, project: str | None = None) -> Job:
    """Ask a job to turn back: it compensates from its next checkpoint on; one that nobody began ends at once.

    Once this is kept the job will never complete. One that compensates already stays as it is. Raises NotFound, and
    Conflict for a job that has ended or passed its pivot.
    """
    row = _locked(connection, job_id, project)
    state = JobState(row.state)
    if state.ended or row.pivoted:
        raise Conflict(
            f"job {job_id} is {state} and cannot be cancelled"
            + ("" if state.ended else ": it passed the point of no return"),
            job=job_id,
            state=state.value,
        )
    if row.backwards:
        return job_of(row)
    now = _now(connection)
    values: dict[str, Any] = {"cancel_requested": True, "updated_at": now}
    if row.worker is None and row.started_at is None:
        trouble = Trouble(CANCELLED, "cancelled before it began")
        values |= _ended(JobState.CANCELLED, now) | {"backwards": True, "failure": trouble_text(trouble)}
    elif row.worker is None:
        values |= {"due_at": now, "state": JobState.QUEUED.value}
        tell(connection, CHANNEL, row.kind)
    changed = _changed(connection, job_id, values)
    crash_point("jobs.cancel.after_update")
    return changed


def resume(connection: Connection, job_id: str, project: str | None = None) -> Job:
    """Let a parked job go on where it is, with all its tries before it; one that waits goes on now.

    Raises NotFound, and Conflict for a job that has ended.
    """
    row = _locked(connection, job_id, project)
    state = JobState(row.state)
    if state.ended:
        raise Conflict(f"job {job_id} is {state}: only a job that has not ended can go on", job=job_id, state=state)
    if row.worker is not None:
        return job_of(row)
    now = _now(connection)
    on = JobState.COMPENSATING if row.backwards else JobState.QUEUED
    tell(connection, CHANNEL, row.kind)
    changed = _changed(connection, job_id, {"state": on.value, "due_at": now, "updated_at": now, **_FRESH})
    crash_point("jobs.resume.after_update")
    return changed


def retry(connection: Connection, job_id: str, project: str | None = None) -> Job:
    """Run a failed or cancelled job once more, from its first step, as the next `run` of the same job.

    Its deadline is gone. Raises NotFound, and Conflict for a job in another state.
    """
    row = _locked(connection, job_id, project)
    state = JobState(row.state)
    if state not in (JobState.FAILED, JobState.CANCELLED):
        raise Conflict(
            f"job {job_id} is {state}: only one that failed or was cancelled can be run again", job=job_id, state=state
        )
    connection.execute(delete(job_steps).where(job_steps.c.job_id == job_id))
    now = _now(connection)
    tell(connection, CHANNEL, row.kind)
    changed = _changed(
        connection,
        job_id,
        {
            "state": JobState.QUEUED.value,
            "run": row.run + 1,
            "step": None,
            "pivoted": False,
            "backwards": False,
            "due_at": now,
            **_FRESH,
            "progress": "{}",
            "failure": None,
            "trouble": None,
            "cancel_requested": False,
            "deadline_at": None,
            "started_at": None,
            "updated_at": now,
            "ended_at": None,
        },
    )
    crash_point("jobs.retry.after_update")
    return changed


def any_due(connection: Connection, kinds: Iterable[str], only: str | None = None) -> bool:
    """Whether a claim may find something: a look that writes nothing and waits for nobody."""
    wanted = select(true()).where(_due(connection, kinds, only)).limit(1)
    return connection.execute(wanted).first() is not None


def claim(
    connection: Connection, worker: str, at_once: Mapping[str, int | None], lease_ms: int, only: str | None = None
) -> Claim | None:
    """Take the job that has been due for longest, or None.

    `at_once` names the kinds that this worker runs and how many of each may run at a time, all workers together;
    `only` narrows it to one job.
    """
    limited = {kind: most for kind, most in at_once.items() if most is not None}
    open_kinds = set(at_once)
    if limited:
        if connection.dialect.name == "postgresql":
            connection.execute(select(func.pg_advisory_xact_lock(_LIMITS_LOCK)))
        now = _now(connection)
        # Whose lease has passed does not count: it is the one to be taken over.
        counted = connection.execute(
            select(jobs.c.kind, func.count())
            .where(jobs.c.worker.is_not(None), jobs.c.due_at > now, jobs.c.kind.in_(sorted(limited)))
            .group_by(jobs.c.kind)
        )
        open_kinds -= {kind for kind, running in counted if running >= limited[kind]}
    if not open_kinds:
        return None
    before = connection.execute(
        select(jobs)
        .where(_due(connection, open_kinds, only))
        .order_by(jobs.c.due_at)
        .limit(1)
        .with_for_update(skip_locked=True)
    ).one_or_none()
    if before is None:
        return None
    now = _now(connection)
    taken_over = before.worker is not None
    values = {
        "state": (JobState.COMPENSATING if before.backwards else JobState.RUNNING).value,
        "attempt": before.attempt + 1,
        "worker": worker,
        "due_at": now + lease_ms,
        "deaths": before.deaths + taken_over,
        "started_at": now if before.started_at is None else before.started_at,
        "updated_at": now,
    }
    row = connection.execute(update(jobs).where(jobs.c.id == before.id).values(values).returning(jobs)).one()
    crash_point("worker.claim.before_commit")
    job = job_of(row, steps_of(connection, row.id))
    return Claim(job, row.attempt, before.started_at is None, taken_over)


def look(connection: Connection, job_id: str, attempt: int) -> Standing:
    """What a worker must know before it goes on. Raises LeaseLost."""
    row = connection.execute(
        select(jobs.c.cancel_requested, _overdue(connection)).where(_held(job_id, attempt))
    ).one_or_none()
    if row is None:
        raise _lost(job_id, attempt)
    return Standing(*row)


def keep(
    connection: Connection,
    job_id: str,
    attempt: int,
    lease_ms: int,
    *,
    progress: Mapping[str, Any] | None = None,
    step: str | None = None,
    got_on: bool = False,
    pivoted: bool = False,
    completed: bool = False,
) -> Standing:
    """The fence of a transaction: its last write but those of `record_step`. Raises LeaseLost.

    Renews the lease and stores the counters. `got_on` says that the job is further than it was, so that tries are
    counted anew; `completed` ends it.
    """
    now = _now(connection)
    values: dict[str, Any] = {"due_at": now + lease_ms, "updated_at": now}
    if progress is not None:
        values["progress"] = text_of(progress)
    if got_on:
        values |= {"trouble": None, "step": step, **_FRESH}
    if pivoted:
        values["pivoted"] = True
    if completed:
        values |= _ended(JobState.COMPLETED, now)
    return _fenced(connection, job_id, attempt, values)


def renew(connection: Connection, held: Sequence[tuple[str, int]], lease_ms: int) -> Mapping[tuple[str, int], Standing]:
    """Renew the leases of (job id, attempt); those that are missing from the answer are lost."""
    now = _now(connection)
    rows = connection.execute(
        update(jobs)
        .where(tuple_(jobs.c.id, jobs.c.attempt).in_(list(held)), jobs.c.worker.is_not(None))
        .values(due_at=now + lease_ms)
        .returning(jobs.c.id, jobs.c.attempt, jobs.c.cancel_requested, _overdue(connection))
    )
    return {(row[0], row[1]): Standing(row[2], row[3]) for row in rows}


def record_step(
    connection: Connection,
    job: Job,
    name: str,
    state: StepState | None,
    attempt: int,
    *,
    checkpoint: Any = None,
    undo_checkpoint: Any = None,
    output: Any = None,
) -> None:
    """Write a step's record, after `keep` in the same transaction; None leaves a state or checkpoint as it was."""
    now = _now(connection)
    values: dict[str, Any] = {"attempt": attempt}
    if state is not None:
        values["state"] = state.value
    if checkpoint is not None:
        values["checkpoint"] = text_of(checkpoint)
    if undo_checkpoint is not None:
        values["undo_checkpoint"] = text_of(undo_checkpoint)
    if state is StepState.DONE:
        values |= {"output": text_of(output), "done_at": now}
    elif state is StepState.UNDONE:
        values["undone_at"] = now
    there = and_(job_steps.c.job_id == job.id, job_steps.c.name == name)
    if connection.execute(update(job_steps).where(there).values(values)).rowcount == 0:
        others = select(func.coalesce(func.max(job_steps.c.position), 0) + 1).where(job_steps.c.job_id == job.id)
        values |= {"job_id": job.id, "name": name, "bucket": job.bucket, "project": job.project, "begun_at": now}
        connection.execute(insert(job_steps).values(**values, position=others.scalar_subquery()))


def turn_back(connection: Connection, job_id: str, attempt: int, lease_ms: int, failure: Trouble) -> None:
    """Decide to compensate. Raises LeaseLost."""
    now = _now(connection)
    values = {
        "state": JobState.COMPENSATING.value,
        "backwards": True,
        "failure": trouble_text(failure),
        **_FRESH,
        "due_at": now + lease_ms,
        "updated_at": now,
    }
    _fenced(connection, job_id, attempt, values)


def end(connection: Connection, job_id: str, attempt: int, state: JobState) -> None:
    """End a job that has compensated. Raises LeaseLost."""
    _fenced(connection, job_id, attempt, _ended(state, _now(connection)))


def retry_later(
    connection: Connection,
    job_id: str,
    attempt: int,
    trouble: Trouble,
    after_ms: int,
    *,
    failed_tries: int,
    outages: int,
) -> None:
    """Let go of a job whose step failed; it is due again in `after_ms`. Raises LeaseLost."""
    now = _now(connection)
    values = _waiting(now + after_ms, now) | {"trouble": trouble_text(trouble)}
    _fenced(connection, job_id, attempt, values | {"failed_tries": failed_tries, "outages": outages})


def give_back(connection: Connection, job_id: str, attempt: int, after_ms: int = 0) -> None:
    """Let go of a job that did not fail; it is due again in `after_ms`. Raises LeaseLost.

    Whoever still works for that attempt can no longer write.
    """
    now = _now(connection)
    _fenced(connection, job_id, attempt, _waiting(now + after_ms, now))
    if not after_ms:
        tell(connection, CHANNEL, "")


def park(connection: Connection, job_id: str, attempt: int, trouble: Trouble) -> None:
    """Leave a job to a person. Raises LeaseLost."""
    now = _now(connection)
    values = {
        "state": JobState.STUCK.value,
        "worker": None,
        "due_at": None,
        "trouble": trouble_text(trouble),
        "updated_at": now,
    }
    _fenced(connection, job_id, attempt, values)


def holders(connection: Connection) -> list[str]:
    """The workers that hold a job."""
    return list(connection.execute(select(jobs.c.worker).where(jobs.c.worker.is_not(None)).distinct()).scalars())


def free(connection: Connection, workers: Collection[str]) -> int:
    """End the leases of workers that are known to be dead; returns how many jobs that frees."""
    held = jobs.c.worker.in_(sorted(workers)) & jobs.c.due_at.is_not(None)
    freed: int = connection.execute(update(jobs).where(held).values(due_at=_now(connection))).rowcount
    return freed


def forget_ended(connection: Connection, older_than_ms: int, most: int) -> int:
    """Delete at most `most` jobs that ended longer ago than that; returns how many there were."""
    old = (
        select(jobs.c.id)
        .where(jobs.c.ended_at < _now(connection) - older_than_ms)
        .order_by(jobs.c.ended_at)
        .limit(most)
        .with_for_update(skip_locked=True)
    )
    forgotten: int = connection.execute(delete(jobs).where(jobs.c.id.in_(old))).rowcount
    return forgotten


def erase(connection: Connection, project: str, ids: Collection[str]) -> int:
    """Delete jobs of a project with all that was told of them; returns how many there were.

    A worker that holds one of them finds out at its next transaction, which is not kept.
    """
    erased: int = connection.execute(delete(jobs).where(jobs.c.project == project, jobs.c.id.in_(ids))).rowcount
    return erased


def oldest_waiting_ms(connection: Connection) -> int:
    """For how long the job that waits longest has been due; 0 where none waits."""
    now = _now(connection)
    since = connection.execute(
        select(now - func.min(jobs.c.due_at)).where(jobs.c.due_at <= now, jobs.c.worker.is_(None))
    ).scalar()
    return max(0, since or 0)


def listen(database: Database, wake: Event, until: Event) -> None:
    """Set `wake` with each notification of PostgreSQL, on a connection that belongs to no pool, until `until` is set.

    Raises whatever the driver does when the connection ends.
    """
    with database.read() as connection:
        url = connection.engine.url
    own = create_engine(url, poolclass=NullPool, connect_args={"connect_timeout": 5}).raw_connection()
    try:
        driver: Any = own.driver_connection
        driver.autocommit = True
        driver.execute(f"LISTEN {CHANNEL}")
        while not until.is_set():
            for _ in driver.notifies(timeout=_NOTICE_SECONDS, stop_after=1):
                wake.set()
    finally:
        own.close()


def _now(connection: Connection) -> ColumnElement[int]:
    """This statement's time; PostgreSQL's own, as the clocks of several machines differ."""
    if connection.dialect.name == "sqlite":
        return literal(int(time.time() * 1000), BigInteger)
    return cast(func.floor(extract("epoch", func.statement_timestamp()) * 1000), BigInteger)


def _due(connection: Connection, kinds: Iterable[str], only: str | None) -> ColumnElement[bool]:
    due = and_(jobs.c.due_at <= _now(connection), jobs.c.kind.in_(sorted(kinds)))
    return due if only is None else and_(due, jobs.c.id == only)


def _overdue(connection: Connection) -> ColumnElement[bool]:
    late = and_(jobs.c.deadline_at.is_not(None), jobs.c.deadline_at <= _now(connection))
    return case((late, True), else_=False)


def _held(job_id: str, attempt: int) -> ColumnElement[bool]:
    return and_(jobs.c.id == job_id, jobs.c.attempt == attempt, jobs.c.worker.is_not(None))


def _fenced(connection: Connection, job_id: str, attempt: int, values: Mapping[str, Any]) -> Standing:
    row = connection.execute(
        update(jobs)
        .where(_held(job_id, attempt))
        .values(values)
        .returning(jobs.c.cancel_requested, _overdue(connection))
    ).one_or_none()
    if row is None:
        raise _lost(job_id, attempt)
    return Standing(*row)


def _ended(state: JobState, now: Milliseconds) -> dict[str, Any]:
    step = {"step": None} if state is JobState.COMPLETED else {}
    return {"state": state.value, "worker": None, "due_at": None, "ended_at": now, "updated_at": now, **step}


def _waiting(due_at: Milliseconds, now: Milliseconds) -> dict[str, Any]:
    return {
        "state": case((jobs.c.backwards, JobState.COMPENSATING.value), else_=JobState.QUEUED.value),
        "worker": None,
        "due_at": due_at,
        "updated_at": now,
    }


def _locked(connection: Connection, job_id: str, project: str | None) -> Row[Any]:
    row = connection.execute(select(jobs).where(named(job_id, project)).with_for_update()).one_or_none()
    if row is None:
        raise unknown(job_id)
    return row


def _changed(connection: Connection, job_id: str, values: Mapping[str, Any]) -> Job:
    row = connection.execute(update(jobs).where(jobs.c.id == job_id).values(values).returning(jobs)).one()
    return job_of(row, steps_of(connection, job_id))


def _lost(job_id: str, attempt: int) -> LeaseLost:
    return LeaseLost(
        f"attempt {attempt} at job {job_id} lost its lease: another worker has the job, or it has ended", job=job_id
    )
