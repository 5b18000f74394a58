"""Imports: one file or list brought into a project, as a stream of events of its own and as a row that sums it up.

started → rows appended, chunk by chunk → completed; or withdrawn, from where on it counts nowhere. The row is written
in the transaction that appends.
"""

import secrets
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, func, select

from omnikeywords.catalog import gone, log
from omnikeywords.catalog.events import Event, EventType, NewEvent
from omnikeywords.catalog.projects import bucket_of
from omnikeywords.catalog.tables import imports, rejects
from omnikeywords.db import Connection, Database
from omnikeywords.errors import Conflict, NotFound

__all__ = [
    "Import",
    "append_rows",
    "apply",
    "begun",
    "complete",
    "count_imports",
    "count_rejects",
    "find",
    "jobs_of",
    "list_imports",
    "list_rejects",
    "made_at",
    "new_id",
    "reject",
    "remove",
    "same_content",
    "start",
    "withdraw",
    "withdrawn",
]


@dataclass(frozen=True, slots=True)
class Import:
    """An import as it stands."""

    id: str
    project: str
    job_id: str  # by which it came
    state: str  # running | completed | withdrawn
    reason: str | None  # why it was withdrawn
    name: str | None  # of the file
    tool: str | None
    market: str | None
    period_start: date | None
    period_end: date | None
    content: str  # digest of what was given
    rows: int  # kept so far
    skipped: int
    started_at: datetime
    ended_at: datetime | None


def new_id() -> str:
    """An id that no other import has: time, then chance: sorts by when it was made."""
    return f"i1{time.time_ns() // 1_000_000:012x}{secrets.token_hex(6)}"


def made_at(import_id: str) -> datetime:
    """When an id was made."""
    return datetime.fromtimestamp(int(import_id[2:14], 16) / 1000, UTC)


def stream_of(import_id: str) -> str:
    """The stream of events of an import."""
    return f"import/{import_id}"


def start(
    connection: Connection,
    project: str,
    import_id: str,
    facts: Mapping[str, Any],
    actor: str,
    *,
    position: int | None = None,
) -> Import:
    """Begin an import under a new id, at a position of the log if one was taken.

    `facts` are `name`, `job_id`, `market`, `period_start`, `period_end` and `content`.
    """
    event = NewEvent(stream_of(import_id), EventType.IMPORT_STARTED, facts)
    done = log.append(connection, bucket_of(project), project, [event], actor=actor, new_stream=True, first=position)
    apply(connection, done.events[0])
    days = _days(done.events[0])
    return Import(
        id=import_id,
        project=project,
        job_id=facts["job_id"],
        state="running",
        reason=None,
        name=facts["name"],
        tool=None,
        market=facts["market"],
        period_start=days["period_start"],
        period_end=days["period_end"],
        content=facts["content"],
        rows=0,
        skipped=0,
        started_at=done.events[0].recorded_at,
        ended_at=None,
    )


def append_rows(
    connection: Connection,
    project: str,
    import_id: str,
    number: int,
    first_row: int,
    rows: int,
    data: bytes,
    actor: str,
) -> int:
    """Append chunk `number` of an import, whose first row is row `first_row` of it; returns the position in the log.

    `data` are its rows as `events.rows_of` makes them.
    Again for the same number it does nothing, so that a chunk is never there twice. Raises Conflict where the import
    was withdrawn.
    """
    _check_running(connection, project, import_id)
    payload = {"number": number, "first_row": first_row, "rows": rows}
    return _append(
        connection,
        project,
        import_id,
        EventType.ROWS_APPENDED,
        payload,
        actor,
        key=f"rows/{number}",
        data=data,
    )


def complete(connection: Connection, project: str, import_id: str, facts: Mapping[str, Any], actor: str) -> int:
    """End an import well; returns the position in the log.

    `facts` are `skipped`, the rows not taken by reason, and what was found out of the file: `tool`, `market`,
    `period_start`, `period_end`. Again it does nothing. Raises Conflict where the import was withdrawn.
    """
    _check_running(connection, project, import_id, "completed")
    return _append(connection, project, import_id, EventType.IMPORT_COMPLETED, facts, actor, key="completed")


def _check_running(connection: Connection, project: str, import_id: str, *or_: str) -> None:
    log.take_turn(connection, bucket_of(project))
    state = connection.execute(select(imports.c.state).where(_which(project, import_id), _lasts(project))).scalar()
    if state not in ("running", *or_):
        raise Conflict(f"import {import_id!r} is {state or 'gone'}: nothing more can be appended", import_id=import_id)


def withdraw(connection: Connection, project: str, import_id: str, reason: str, actor: str) -> int:
    """Make an import count nowhere from now on; returns the position in the log.

    One that was withdrawn before stays so, for the reason that it had then; one that is gone is left alone.
    """
    log.take_turn(connection, bucket_of(project))
    there = begun(connection, project, import_id)
    if there is None or there.state == "withdrawn":
        return log.head(connection, bucket_of(project))
    return _append(
        connection, project, import_id, EventType.IMPORT_WITHDRAWN, {"reason": reason}, actor, key="withdrawn"
    )


def remove(connection: Connection, project: str, import_id: str, reason: str, actor: str) -> int:
    """Withdraw an import whose facts are to be erased below the position in the log that is returned; what it said is
    gone from now on.

    Raises NotFound.
    """
    log.take_turn(connection, bucket_of(project))
    if begun(connection, project, import_id) is None:
        raise _unknown(project, import_id)
    # Again where it was withdrawn before: that event is to be erased with the others.
    event = NewEvent(stream_of(import_id), EventType.IMPORT_WITHDRAWN, {"reason": reason})
    done = log.append(connection, bucket_of(project), project, [event], actor=actor)
    apply(connection, done.events[0])
    connection.execute(imports.update().where(_which(project, import_id)).values(name=None, content=""))
    gone.declare(connection, bucket_of(project), project, done.position, event.stream)
    return done.position


def find(database: Database, project: str, import_id: str) -> Import:
    """An import as it stands.

    Raises NotFound.
    """
    with database.read(project) as connection:
        found = begun(connection, project, import_id)
    if found is None:
        raise _unknown(project, import_id)
    return found


def list_imports(
    database: Database, project: str, *, limit: int | None = None, before: tuple[datetime, str] | None = None
) -> list[Import]:
    """Imports of a project, the newest first; `before` are start and id of the last one of the page before."""
    c = imports.c
    wanted = select(imports).where(_of_project(project)).order_by(c.started_at.desc(), c.import_id.desc())
    if before is not None:
        time, import_id = before
        wanted = wanted.where((c.started_at < time) | ((c.started_at == time) & (c.import_id < import_id)))
    with database.read(project) as connection:
        return [_import(row) for row in connection.execute(wanted.limit(limit))]


def count_imports(database: Database, project: str) -> int:
    """How many imports a project has had."""
    with database.read(project) as connection:
        found: int = connection.execute(
            select(func.count()).select_from(imports).where(_of_project(project))
        ).scalar_one()
    return found


def begun(connection: Connection, project: str, import_id: str) -> Import | None:
    """An import as it stands, or None."""
    row = connection.execute(select(imports).where(_which(project, import_id), _lasts(project))).one_or_none()
    return None if row is None else _import(row)


def same_content(connection: Connection, project: str, content: str, *, but: str) -> Import | None:
    """Another import of the same content for the same market and period that counts, or is about to."""
    c = imports.c
    which = _of_project(project) & (c.content == content) & (c.import_id != but) & (c.state != "withdrawn")
    row = connection.execute(select(imports).where(which).order_by(imports.c.started_at)).first()
    return None if row is None else _import(row)


def withdrawn(connection: Connection, project: str, among: Collection[str]) -> frozenset[str]:
    """Those of some imports that count nowhere, though the read models may hold something of them for a while."""
    which = _of_project(project) & imports.c.import_id.in_(among) & (imports.c.state == "withdrawn")
    return frozenset(connection.execute(select(imports.c.import_id).where(which)).scalars())


def jobs_of(connection: Connection, project: str, among: Collection[str]) -> frozenset[str]:
    """Those of some jobs by which imports come that are there."""
    which = _of_project(project) & imports.c.job_id.in_(among)
    return frozenset(connection.execute(select(imports.c.job_id).where(which)).scalars())


def apply(connection: Connection, event: Event) -> None:
    """Write into the table what an event of an import says."""
    import_id = event.stream.removeprefix("import/")
    which = _which(event.project, import_id)
    match event.type:
        case EventType.IMPORT_STARTED:
            connection.execute(
                imports.insert(),
                {
                    **{name: event.payload[name] for name in ("name", "market", "content", "job_id")},
                    **_days(event),
                    "bucket": event.bucket,
                    "project": event.project,
                    "import_id": import_id,
                    "state": "running",
                    "rows": 0,
                    "skipped": 0,
                    "started_at": event.recorded_at,
                },
            )
        case EventType.ROWS_APPENDED:
            connection.execute(imports.update().where(which).values(rows=imports.c.rows + event.payload["rows"]))
        case EventType.IMPORT_COMPLETED:
            values = {"state": "completed", "skipped": sum(event.payload["skipped"].values())}
            values |= {name: event.payload[name] for name in ("tool", "market")} | _days(event)
            connection.execute(imports.update().where(which).values(**values, ended_at=event.recorded_at))
        case EventType.IMPORT_WITHDRAWN:
            values = {"state": "withdrawn", "reason": event.payload["reason"], "ended_at": event.recorded_at}
            connection.execute(imports.update().where(which).values(**values))


def _days(event: Event) -> dict[str, date | None]:
    given = {name: event.payload[name] for name in ("period_start", "period_end")}
    return {name: date.fromisoformat(day) if day else None for name, day in given.items()}


def _append(
    connection: Connection,
    project: str,
    import_id: str,
    kind: str,
    payload: Mapping[str, Any],
    actor: str,
    *,
    key: str,
    data: bytes | None = None,
) -> int:
    event = NewEvent(stream_of(import_id), kind, payload, data)
    done = log.append(
        connection, bucket_of(project), project, [event], actor=actor, idempotency_key=f"import/{import_id}/{key}"
    )
    if not done.repeated:
        apply(connection, done.events[0])
    return done.position


def _unknown(project: str, import_id: str) -> NotFound:
    return NotFound(f"import {import_id!r} does not exist in project {project!r}", import_id=import_id)


def _of_project(project: str) -> ColumnElement[bool]:
    return (imports.c.bucket == bucket_of(project)) & (imports.c.project == project) & _lasts(project)


def _lasts(project: str) -> ColumnElement[bool]:
    """That an import is none of a project of that name which was deleted."""
    return gone.lasts(bucket_of(project), project, "import/" + imports.c.import_id, 1)


def _which(project: str, import_id: str) -> ColumnElement[bool]:
    return (
        (imports.c.bucket == bucket_of(project)) & (imports.c.project == project) & (imports.c.import_id == import_id)
    )


def _rejected(project: str, import_id: str) -> ColumnElement[bool]:
    r = rejects.c
    kept = gone.is_kept(bucket_of(project), project, stream_of(import_id))
    return (r.bucket == bucket_of(project)) & (r.project == project) & (r.import_id == import_id) & kept


def _import(row: Row[Any]) -> Import:
    return Import(
        id=row.import_id,
        project=row.project,
        job_id=row.job_id,
        state=row.state,
        reason=row.reason,
        name=row.name,
        tool=row.tool,
        market=row.market,
        period_start=row.period_start,
        period_end=row.period_end,
        content=row.content,
        rows=row.rows,
        skipped=row.skipped,
        started_at=log.utc(row.started_at),
        ended_at=None if row.ended_at is None else log.utc(row.ended_at),
    )


def reject(
    connection: Connection, project: str, import_id: str, first: int, rows: Sequence[tuple[int | None, str]]
) -> None:
    """Note rows that were not taken, as (line, reason); `first` is how many were noted before."""
    if rows:
        key = {"bucket": bucket_of(project), "project": project, "import_id": import_id}
        listed = [{**key, "number": first + i, "line": line, "reason": why} for i, (line, why) in enumerate(rows)]
        connection.execute(rejects.insert(), listed)


def list_rejects(
    database: Database, project: str, import_id: str, *, first: int = 0, limit: int | None = None
) -> list[tuple[int | None, str]]:
    """The rows of an import that were not taken, as (line, reason), in the order in which they were met; those before
    `first` are left out."""
    wanted = select(rejects.c.line, rejects.c.reason).where(_rejected(project, import_id), rejects.c.number >= first)
    with database.read(project) as connection:
        rows = connection.execute(wanted.order_by(rejects.c.number).limit(limit))
        return [(row.line, row.reason) for row in rows]


def count_rejects(database: Database, project: str, import_id: str) -> int:
    """How many rows of an import are listed as not taken."""
    with database.read(project) as connection:
        found: int = connection.execute(
            select(func.count()).select_from(rejects).where(_rejected(project, import_id))
        ).scalar_one()
    return found
