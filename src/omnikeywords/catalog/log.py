"""The event log: facts in one order, appended and never changed.

Order is by bucket. A writer takes its bucket's row of `buckets` first and holds it to the end of its transaction, so
that events become visible in the order of their positions, and a reader that has seen position n will never find
another at or below it. A transaction that fails gives its positions back, and so does a conflict: there are no gaps.

A writer may say which version of a stream it has seen; if that is no longer the newest, nothing is appended. It may
give an idempotency key: what was appended under it before is not appended again.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import accumulate
from typing import Any

from sqlalchemy import Row, Select, bindparam, func, literal, select, update
from sqlalchemy.dialects import postgresql, sqlite

from omnikeywords.catalog.events import SCHEMA_VERSIONS, Event, EventType, NewEvent, encode, upcast
from omnikeywords.catalog.gone import stands
from omnikeywords.catalog.tables import buckets, events
from omnikeywords.db import Connection
from omnikeywords.errors import BucketMoved, IdempotencyConflict, UnknownEvent, VersionConflict

__all__ = [
    "ERASED",
    "Appended",
    "append",
    "enter",
    "erasable",
    "erase",
    "give_back",
    "head",
    "list_events",
    "read",
    "take_turn",
    "utc",
    "version",
]

_ERASED = 100  # events erased in one transaction
_ERASED_BYTES = 1 << 20  # and what they hold; an event that holds more is erased alone

# What is left of an event that was erased.
ERASED = {
    "type": EventType.ERASED,
    "schema_version": 1,
    "payload": b"{}",
    "data": None,
    "actor": "",
    "idempotency_key": None,
    "fingerprint": None,
}


@dataclass(frozen=True, slots=True)
class Appended:
    """Where events came to stand."""

    position: int  # of the last of them
    version: int  # of its stream
    events: tuple[Event, ...] = ()  # as the log has them; none where they had been appended before

    @property
    def repeated(self) -> bool:
        """Whether they had been appended before, under the same idempotency key."""
        return not self.events


def append(
    connection: Connection,
    bucket: int,
    project: str,
    new: Sequence[NewEvent],
    *,
    actor: str,
    expected: int | None = None,
    idempotency_key: str | None = None,
    new_stream: bool = False,
    first: int | None = None,
) -> Appended:
    """Append events of one project, all in the caller's transaction.

    `expected` is the version that the first event's stream must have: 0 where it must not exist. After a conflict the
    caller may go on in the same transaction. A `new_stream` was given a name that no other can have, so nobody looks
    for its version. `first` is the first of as many positions as there are events, if `take_turn` has taken them.

    Raises VersionConflict where it has another, IdempotencyConflict where the key was used for other events.
    """
    if not new:
        raise ValueError("no events to append")
    schemas = [SCHEMA_VERSIONS[event.type] for event in new]
    if first is None:
        first = _take_positions(connection, bucket, len(new))
    fingerprint = None
    if idempotency_key is not None:
        fingerprint = hashlib.blake2b(b"".join(event.fingerprint() for event in new), digest_size=16).digest()
        before = connection.execute(_BY_KEY, {"b": bucket, "p": project, "key": idempotency_key}).one_or_none()
        if before is not None:
            give_back(connection, bucket, len(new))
            if before.fingerprint != fingerprint:
                raise IdempotencyConflict(
                    f"idempotency key {idempotency_key!r} was used for something else: give another",
                    key=idempotency_key,
                )
            return Appended(before.position, before.version)
    streams = [event.stream for event in new]
    versions = dict.fromkeys(streams, 0) if new_stream else _versions(connection, bucket, project, streams)
    if expected is not None and versions[new[0].stream] != expected:
        give_back(connection, bucket, len(new))
        raise VersionConflict(
            f"{new[0].stream} is at version {versions[new[0].stream]}, not {expected}: read it again",
            stream=new[0].stream,
            version=versions[new[0].stream],
        )
    now = datetime.now(UTC)
    appended = []
    rows = []
    for i, event in enumerate(new):
        versions[event.stream] += 1
        payload = encode(event.payload)
        done = Event(
            bucket,
            first + i,
            project,
            event.stream,
            versions[event.stream],
            event.type,
            upcast(event.type, schemas[i], payload),  # as every later reader will find it
            event.data,
            actor,
            now,
        )
        appended.append(done)
        # The last one bears the key, so that a repetition is told where all of them stand.
        keyed = idempotency_key is not None and i == len(new) - 1
        rows.append(
            {
                **{name: getattr(done, name) for name in _ENVELOPE},
                "schema_version": schemas[i],
                "payload": payload,
                "idempotency_key": idempotency_key if keyed else None,
                "fingerprint": fingerprint if keyed else None,
            }
        )
    connection.execute(events.insert(), rows)
    return Appended(appended[-1].position, appended[-1].version, tuple(appended))


_ENVELOPE = ("bucket", "position", "project", "stream", "version", "type", "data", "actor", "recorded_at")


def take_turn(connection: Connection, bucket: int, positions: int = 0) -> int:
    """Let no other writer of a bucket go on before this transaction ends: what it reads from here on stays true.

    Returns the first of so many positions, for events that are then appended; else they are to be given back.
    """
    return _take_positions(connection, bucket, positions)


def give_back(connection: Connection, bucket: int, positions: int) -> None:
    """Give back positions that were taken with the turn, before any others were."""
    connection.execute(_GIVE_BACK, {"b": bucket, "n": positions})


def read(connection: Connection, bucket: int, after: int, limit: int = 100) -> list[Event]:
    """Events of a bucket behind a position, in their order, at most `limit`.

    They end before one that a newer version of the program wrote. Raises UnknownEvent where that is the first.
    """
    found: list[Event] = []
    for row in connection.execute(_READ, {"b": bucket, "after": after, "n": limit}):
        try:
            found.append(_event(row))
        except UnknownEvent:
            if not found:
                raise
            break
    return found


def list_events(
    connection: Connection, bucket: int, project: str, after: int | None = None, limit: int = 100
) -> list[Event]:
    """Events of one project without their rows, in their order: the first behind a position, or else the last. What was
    deleted is left out while it is being erased.

    They end before one that a newer version of the program wrote.
    """
    statement: Select[Any] = select(*(c for c in events.c if c.name != "data"), literal(None).label("data"))
    which = (events.c.bucket == bucket) & (events.c.project == project) & stands(bucket, project)
    statement = statement.where(which).limit(limit)
    if after is None:
        rows = connection.execute(statement.order_by(events.c.position.desc())).all()[::-1]
    else:
        rows = connection.execute(statement.where(events.c.position > after).order_by(events.c.position)).all()
    found: list[Event] = []
    for row in rows:
        try:
            found.append(_event(row))
        except UnknownEvent:
            break
    return found


def version(connection: Connection, bucket: int, project: str, stream: str) -> int:
    """The newest version of a stream, 0 where there is none; events that were erased count."""
    return _versions(connection, bucket, project, [stream])[stream]


def head(connection: Connection, bucket: int) -> int:
    """Position of the last event of a bucket, 0 where there is none."""
    return connection.execute(_HEAD, {"b": bucket}).scalar() or 0


def erasable(
    connection: Connection, bucket: int, project: str, before: int, after: int, stream: str | None = None
) -> list[int]:
    """Positions between two others of events that hold facts, of a project or of one stream of it: the next ones, as
    many as may be erased in one transaction."""
    c = events.c
    which = (c.bucket == bucket) & (c.project == project) & (c.position > after) & (c.position < before)
    which &= c.type != EventType.ERASED
    size = func.length(c.payload) + func.coalesce(func.length(c.data), 0)
    # A stream is read by its own index.
    found = select(c.position, size).where(which).order_by(c.position)
    if stream is not None:
        found = select(c.position, size).where(which, c.stream == stream).order_by(c.version)
    rows = connection.execute(found.limit(_ERASED)).all()
    so_far = accumulate(length for _, length in rows)
    return [row[0] for row, length in zip(rows, so_far, strict=True) if length <= _ERASED_BYTES or row is rows[0]]


def erase(connection: Connection, bucket: int, positions: Sequence[int]) -> None:
    """Take the facts out of events; their places in the order stay.

    Idempotency keys are forgotten too: what was erased may come again.
    """
    which = (events.c.bucket == bucket) & events.c.position.in_(positions)
    connection.execute(update(events).where(which).values(**ERASED))


def _take_positions(connection: Connection, bucket: int, n: int) -> int:
    """The first of n new positions. Other writers of the bucket wait from here until this transaction ends."""
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    statement = insert(buckets).values(bucket=bucket, head=n)
    statement = statement.on_conflict_do_update(index_elements=["bucket"], set_={"head": buckets.c.head + n})
    taken = connection.execute(statement.returning(buckets.c.head, buckets.c.state)).one()
    _check_home(bucket, taken.state)
    return int(taken.head) - n + 1


def enter(connection: Connection, bucket: int) -> None:
    """See to it that a bucket does not move to another server before this transaction has ended, for those who write
    something else than events.

    Raises BucketMoved where it has.
    """
    state = connection.execute(_ENTER, {"b": bucket}).scalar()
    if state is None:
        _take_positions(connection, bucket, 0)
    else:
        _check_home(bucket, state)


def _check_home(bucket: int, state: str) -> None:
    if state != "home":
        raise BucketMoved(f"bucket {bucket} lies on another server since a moment ago: try again in a second")


def _versions(connection: Connection, bucket: int, project: str, streams: Sequence[str]) -> dict[str, int]:
    """The newest version of each stream, 0 where there is none."""
    names = dict.fromkeys(streams, 0)
    if len(names) == 1:  # found at the end of the index, however many versions there are
        newest = connection.execute(_VERSION, {"b": bucket, "p": project, "s": streams[0]}).scalar()
        return {streams[0]: newest or 0}
    for stream, version in connection.execute(_VERSIONS, {"b": bucket, "p": project, "s": list(names)}):
        names[stream] = version
    return names


def _event(row: Row[Any]) -> Event:
    columns = row._mapping
    return Event(
        bucket=columns["bucket"],
        position=columns["position"],
        project=columns["project"],
        stream=columns["stream"],
        version=columns["version"],
        type=columns["type"],
        payload=upcast(columns["type"], columns["schema_version"], columns["payload"]),
        data=columns["data"],
        actor=columns["actor"],
        recorded_at=utc(columns["recorded_at"]),
    )


def utc(time: datetime) -> datetime:
    """SQLite keeps no time zone."""
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


_GIVE_BACK = update(buckets).where(buckets.c.bucket == bindparam("b")).values(head=buckets.c.head - bindparam("n"))
_BY_KEY = select(events.c.position, events.c.version, events.c.fingerprint).where(
    events.c.bucket == bindparam("b"),
    events.c.project == bindparam("p"),
    events.c.idempotency_key == bindparam("key"),
)
_VERSION = select(func.max(events.c.version)).where(
    events.c.bucket == bindparam("b"), events.c.project == bindparam("p"), events.c.stream == bindparam("s")
)
_VERSIONS = (
    select(events.c.stream, func.max(events.c.version))
    .where(
        events.c.bucket == bindparam("b"),
        events.c.project == bindparam("p"),
        events.c.stream.in_(bindparam("s", expanding=True)),
    )
    .group_by(events.c.stream)
)
_READ = (
    select(events)
    .where(events.c.bucket == bindparam("b"), events.c.position > bindparam("after"))
    .order_by(events.c.position)
    .limit(bindparam("n"))
)
# What only somebody who takes the whole row waits for.
_ENTER = select(buckets.c.state).where(buckets.c.bucket == bindparam("b")).with_for_update(key_share=True, read=True)
_HEAD = select(buckets.c.head).where(buckets.c.bucket == bindparam("b"))
