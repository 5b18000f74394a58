"""Reading jobs: one with its steps, lists, counts. What changes them is in `store`.

All functions take a connection and leave the transaction to the caller.
"""

from collections.abc import Collection

from sqlalchemy import ColumnElement, Connection, and_, func, select

from omnikeywords.errors import InvalidOption, NotFound
from omnikeywords.jobs.job import Job, JobState, StepRecord
from omnikeywords.jobs.rows import job_of, step_of
from omnikeywords.jobs.tables import job_steps, jobs

__all__ = ["count_jobs", "jobs_of", "list_jobs", "made_before", "named", "of_key", "status", "steps_of", "unknown"]

_MOST_LISTED = 1000


def status(connection: Connection, job_id: str, project: str | None = None) -> Job:
    """A job with its steps. Raises NotFound, also where it is of another project than the one named."""
    row = connection.execute(select(jobs).where(named(job_id, project))).one_or_none()
    if row is None:
        raise unknown(job_id)
    return job_of(row, steps_of(connection, job_id))


def steps_of(connection: Connection, job_id: str) -> tuple[StepRecord, ...]:
    """What is recorded of a job's steps, in the order they were begun."""
    found = connection.execute(select(job_steps).where(job_steps.c.job_id == job_id).order_by(job_steps.c.position))
    return tuple(step_of(row) for row in found)


def list_jobs(
    connection: Connection,
    *,
    project: str | None = None,
    kinds: Collection[str] = (),
    states: Collection[JobState] = (),
    limit: int = 50,
    before: str | None = None,
) -> list[Job]:
    """Jobs without their steps, the newest first; `before` is the id of the last one of the page before.

    Raises InvalidOption for a limit outside 1 to 1000.
    """
    if not 1 <= limit <= _MOST_LISTED:
        raise InvalidOption(f"limit {limit} is out of range: give 1 to {_MOST_LISTED}", limit=limit)
    wanted = select(jobs).where(*_such(kinds, states)).order_by(jobs.c.id.desc()).limit(limit)
    if project is not None:
        wanted = wanted.where(jobs.c.project == project)
    if before is not None:
        wanted = wanted.where(jobs.c.id < before)
    return [job_of(row) for row in connection.execute(wanted)]


def jobs_of(connection: Connection, ids: Collection[str]) -> dict[str, Job]:
    """Those of the jobs that there are, with their steps, by id."""
    rows = connection.execute(select(jobs).where(jobs.c.id.in_(ids))).all()
    steps: dict[str, list[StepRecord]] = {row.id: [] for row in rows}
    recorded = select(job_steps).where(job_steps.c.job_id.in_(steps)).order_by(job_steps.c.job_id, job_steps.c.position)
    for step in connection.execute(recorded):
        steps[step.job_id].append(step_of(step))
    return {row.id: job_of(row, tuple(steps[row.id])) for row in rows}


def count_jobs(
    connection: Connection, project: str, *, kinds: Collection[str] = (), states: Collection[JobState] = ()
) -> int:
    """How many jobs of a project are remembered."""
    wanted = select(func.count()).select_from(jobs).where(jobs.c.project == project, *_such(kinds, states))
    found: int = connection.execute(wanted).scalar_one()
    return found


def _such(kinds: Collection[str], states: Collection[JobState]) -> list[ColumnElement[bool]]:
    """Conditions for jobs of these kinds in these states; none of either are all."""
    found: list[ColumnElement[bool]] = []
    if kinds:
        found.append(jobs.c.kind.in_(sorted(kinds)))
    if states:
        found.append(jobs.c.state.in_(sorted(state.value for state in states)))
    return found


def of_key(connection: Connection, project: str, key: str) -> Job | None:
    """The job that was started under an idempotency key, without its steps, or None."""
    row = connection.execute(select(jobs).where(jobs.c.project == project, jobs.c.idempotency_key == key)).one_or_none()
    return None if row is None else job_of(row)


def made_before(connection: Connection, job_id: str, after: str = "", limit: int = 100) -> list[str]:
    """The next jobs behind the id `after` that are of the same project as a job and were made before it."""
    one = jobs.alias()
    earlier = (jobs.c.project == one.c.project) & (jobs.c.created_at < one.c.created_at) & (jobs.c.id != one.c.id)
    found = select(jobs.c.id).join(one, earlier).where(one.c.id == job_id, jobs.c.id > after)
    return list(connection.execute(found.order_by(jobs.c.id).limit(limit)).scalars())


def named(job_id: str, project: str | None) -> ColumnElement[bool]:
    """That a job is the one of an id, if a project is named in that."""
    return jobs.c.id == job_id if project is None else and_(jobs.c.id == job_id, jobs.c.project == project)


def unknown(job_id: str) -> NotFound:
    """What is said where there is no such job."""
    return NotFound(f"there is no job {job_id!r}", job=job_id)
