"""Followers: read models that are made from the log, event by event, and know how far they have come.

A follower's position is saved in the transaction that ends an event, so that a model holds everything up to it,
whenever the process dies. What is much is applied in parts, a transaction each, so that nobody else waits long; parts
may be applied twice and change nothing the second time. Chunks of rows that follow each other are applied together:
the more of them, the fewer pages of an index are written again and again. Several processes may follow one model: each
part that one of them writes changes the time in the follower's row, so that another, whose next part was made of what
the model held before, finds out, writes nothing, stands back for a moment and goes on from there.

An event that a model cannot digest is tried a few times, then parked and reported, and the rest goes on.
"""

import random
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from sqlalchemy import bindparam, func, select, update
from sqlalchemy.dialects import postgresql, sqlite

from omnikeywords.catalog import gone, log
from omnikeywords.catalog.events import Event, EventType
from omnikeywords.catalog.tables import buckets, followers, parked
from omnikeywords.db import Connection, Database
from omnikeywords.errors import BucketMoved, DatabaseBusy, DatabaseUnavailable, NotReached, UnknownEvent
from omnikeywords.ops import counter, get_logger

__all__ = [
    "Follower",
    "Parked",
    "Part",
    "ReadModel",
    "active_buckets",
    "buckets_behind",
    "outdated_buckets",
    "parked_events",
    "position_of",
    "wait_until",
]

_TOGETHER = 8  # chunks of rows
_BATCH = 2 * _TOGETHER  # events read at a time
_LONG_MS = 600_000  # for what reads a whole bucket
_ATTEMPTS = 5  # at an event before it is parked
_MIXED = "mixed"  # rows of several versions of the analysis
_MOMENT = timedelta(microseconds=1)
_STAND_BACK_SECONDS = 2.0  # at most, while another is at work
_log = get_logger("omnikeywords.catalog")
_parked = counter("okf_events_parked_total", "Events that a read model could not digest.", ("model",))


Part = Callable[[Connection], object]  # what one transaction writes


class ReadModel(Protocol):
    """What is derived from the log."""

    name: str
    version: str  # of the analysis that rows are made with

    def digest(self, event: Event) -> Any:
        """What can be made of an event alone, whatever the model holds; done ahead, in a thread."""

    def parts(self, database: Database, events: list[Event], digests: list[Any]) -> Iterator[Part]:
        """What is to be written for an event, or for several chunks of rows of one project; none where nothing is.

        Some of it may be written already.
        """

    def without(self, database: Database, event: Event) -> Iterator[Part]:
        """What takes out whatever was written for an event that cannot be digested after all."""

    def again(self, database: Database, events: list[Event], digests: list[Any]) -> Iterator[Part]:
        """What is to be written to make right what the model holds of events that were applied before.

        They may have been erased since they were read and digested.
        """

    def outdated(self, connection: Connection, bucket: int) -> bool:
        """Whether any row of a bucket was made by another version."""

    def sweep(self, database: Database, bucket: int) -> Iterator[Callable[[], Iterator[Part]]]:
        """What takes out all that the model holds of a bucket and that no event says, some of it at a time."""


@dataclass(frozen=True, slots=True)
class Parked:
    """An event that a model goes without."""

    bucket: int
    model: str
    position: int
    error: str
    parked_at: datetime


class _Overtaken(Exception):
    """Another process moved the model on."""


class Follower:
    """One read model of one bucket, moved on by whoever calls."""

    def __init__(self, database: Database, model: ReadModel, bucket: int) -> None:
        self._database = database
        self._model = model
        self._bucket = bucket
        self._key = {"b": bucket, "m": model.name}
        self._seen: datetime | None = None  # time in the follower's row when what is written next was read
        self._overtaken = 0  # times in a row
        self._digests: dict[int, Future[Any]] = {}  # of events by position, begun ahead

    def advance(self, stop: Callable[[], bool] = lambda: False) -> int:
        """Apply the events there are, until `stop` says so; returns the position reached.

        Raises DatabaseUnavailable, DatabaseBusy; what was applied stays.
        """
        self._digests.clear()
        with ThreadPoolExecutor(1, thread_name_prefix="digest") as ahead:
            while True:
                before = self._seen
                position = self._position()
                if self._seen != before:  # another wrote, who may have changed what events are digested by
                    self._digests.clear()
                with self._database.read() as connection:
                    events = log.read(connection, self._bucket, position, _BATCH)
                if not events or stop():
                    return position
                try:
                    if not self._apply(position, events, ahead, stop):
                        self._digests.clear()
                except _Overtaken:
                    continue

    def _apply(self, position: int, events: list[Event], ahead: ThreadPoolExecutor, stop: Callable[[], bool]) -> bool:
        """Apply events; returns whether all of them are."""
        groups = list(_groups(events))
        self._digest(groups[0], ahead)
        for i, group in enumerate(groups):
            last = i + 1 == len(groups)
            if not last:
                self._digest(groups[i + 1], ahead)
            try:
                digests = [self._digests.pop(event.position).result() for event in group]
                for part in self._model.parts(self._database, group, digests):
                    if last and not self._digests:
                        self._digest(self._following(group[-1].position), ahead)
                    self._write(position, position, part)
                    if stop():
                        return False
                self._write(position, group[-1].position)
            except _Overtaken:
                self._stand_back()
                return False
            except (DatabaseBusy, DatabaseUnavailable):
                raise
            except Exception as error:
                if len(group) > 1:
                    # One by one, to find out which of them it is.
                    all(self._apply(event.position - 1, [event], ahead, stop) for event in group)
                else:
                    self._stumble(position, group[0], error)
                return False
            position = group[-1].position
            self._overtaken = 0
        return True

    def _digest(self, events: list[Event], ahead: ThreadPoolExecutor) -> None:
        """Begin to digest events, unless that is done."""
        for event in events:
            if event.position not in self._digests:
                self._digests[event.position] = ahead.submit(self._model.digest, event)

    def _following(self, position: int) -> list[Event]:
        """The group of events behind a position, as far as they were appended by now."""
        try:
            with self._database.read() as connection:
                return next(_groups(log.read(connection, self._bucket, position, _TOGETHER)), [])
        except UnknownEvent:  # for whoever comes to it
            return []

    def _stand_back(self) -> None:
        """Let another get on that was first; the longer, the more often it was."""
        self._overtaken += 1
        time.sleep(random.uniform(0, min(_STAND_BACK_SECONDS, 0.05 * 2 ** min(self._overtaken, 10))))

    def _write(self, position: int, to: int, part: Part | None = None) -> None:
        """One transaction that writes a part, and takes the model from one position to the next."""
        with self._database.write(durable=False) as connection:
            found = self._locked(connection)
            if (found.position, log.utc(found.updated_at)) != (position, self._seen):
                raise _Overtaken
            if part is not None:
                part(connection)
            if found.model_version not in (self._model.version, _MIXED):
                connection.execute(_VERSION, {**self._key, "v": _MIXED})
            now = max(datetime.now(UTC), log.utc(found.updated_at) + _MOMENT)  # the clock may have been set back
            if to == position:
                connection.execute(_TOUCH, {**self._key, "now": now})
            else:
                connection.execute(_MOVE, {**self._key, "p": to, "now": now})
        self._seen = now

    def _stumble(self, position: int, event: Event, error: Exception) -> None:
        """Count an attempt in vain; after the last of them the model goes on without the event."""
        with self._database.write() as connection:
            found = self._locked(connection)
            if found.position != position:
                return
            attempts = found.attempts + 1
            if attempts < _ATTEMPTS:
                connection.execute(_COUNT, {**self._key, "a": attempts})
        if attempts < _ATTEMPTS:
            time.sleep(0.05 * 2**attempts)
        else:
            self._park(event, error)

    def _park(self, event: Event, error: Exception, *, again: bool = False) -> None:
        """Go without an event, and without what was written of it; say so. `again`: it was applied before."""

        def parked_(connection: Connection) -> None:
            insert = postgresql.insert if self._database.dialect == "postgresql" else sqlite.insert
            said = f"{type(error).__name__}: {error}"[:2000]
            row = {"bucket": self._bucket, "model": self._model.name, "position": event.position}
            row |= {"error": said, "parked_at": datetime.now(UTC)}
            connection.execute(insert(parked).values(row).on_conflict_do_nothing())

        while True:
            position = self._position()
            if position >= event.position and not again:
                return  # another process could digest it, or parked it
            try:
                for part in self._model.without(self._database, event):
                    self._write(position, position, part)
                self._write(position, max(position, event.position), parked_)
                break
            except _Overtaken:
                self._stand_back()
        _parked.labels(self._model.name).inc()
        _log.error(
            "event parked",
            model=self._model.name,
            bucket=event.bucket,
            position=event.position,
            type=event.type,
            exc_info=error,
        )

    def _position(self) -> int:
        with self._database.read() as connection:
            found = connection.execute(_STANDING, self._key).one_or_none()
        if found is not None:
            self._seen = log.utc(found.updated_at)
            return int(found.position)
        with self._database.write() as connection:
            departed = (buckets.c.bucket == self._bucket) & (buckets.c.state == "departed")
            if connection.execute(select(buckets.c.bucket).where(departed)).scalar() is not None:
                raise BucketMoved(f"bucket {self._bucket} lies on another server now")
            insert = postgresql.insert if self._database.dialect == "postgresql" else sqlite.insert
            connection.execute(
                insert(followers)
                .values(
                    bucket=self._bucket,
                    model=self._model.name,
                    position=0,
                    attempts=0,
                    model_version=self._model.version,
                    updated_at=datetime.now(UTC),
                )
                .on_conflict_do_nothing()
            )
        return self._position()

    def _locked(self, connection: Connection) -> Any:
        """How far the model is, which nobody else can change until this transaction ends."""
        found = connection.execute(_LOCKED, self._key).one_or_none()
        if found is None:  # the bucket went to another server
            raise _Overtaken
        return found

    def rebuild(self, stop: Callable[[], bool] = lambda: False) -> int:
        """Make the model anew from the first event on. Returns the position reached.

        Live: nothing is taken away before it is known to be wrong, so readers find right rows at any time, and other
        followers go on meanwhile. Events that were parked are tried again.
        """
        until = self.advance(stop)
        with self._database.write() as connection:
            connection.execute(
                parked.delete().where(parked.c.bucket == self._bucket, parked.c.model == self._model.name)
            )
        with ThreadPoolExecutor(1, thread_name_prefix="digest") as ahead:
            for group, digests in self._digested(until, ahead):
                if stop():
                    break
                self._again(group, digests)
        for parts in self._model.sweep(self._database, self._bucket):
            if stop():
                break
            self.amend(parts)
        self.settle_version()
        return self.advance(stop)

    def settle_version(self) -> bool:
        """Note that every row is made by the model's version; returns whether that is so."""

        def note(connection: Connection) -> None:
            connection.execute(_VERSION, {**self._key, "v": self._model.version})

        settled = False

        def parts() -> Iterator[Part]:
            nonlocal settled
            with self._database.read(statement_ms=_LONG_MS) as connection:
                settled = not self._model.outdated(connection, self._bucket)
            if settled:
                yield note

        self.amend(parts)
        return settled

    def _digested(self, until: int, ahead: ThreadPoolExecutor) -> Iterator[tuple[list[Event], list[Future[Any]]]]:
        """The events up to a position, group by group, each being digested while the one before it is written."""
        after = 0
        before: tuple[list[Event], list[Future[Any]]] | None = None
        while after < until:
            with self._database.read() as connection:
                events = log.read(connection, self._bucket, after, min(_BATCH, until - after))
            for group in _groups(events):
                following = group, [ahead.submit(self._model.digest, event) for event in group]
                if before is not None:
                    yield before
                before = following
            after = events[-1].position
        if before is not None:
            yield before

    def _again(self, events: list[Event], digests: list[Future[Any]]) -> None:
        """Apply once more events that are a group."""

        def parts() -> Iterator[Part]:
            return self._model.again(self._database, events, [digest.result() for digest in digests])

        try:
            self.amend(parts)
        except (DatabaseBusy, DatabaseUnavailable):
            raise
        except Exception as error:
            if len(events) > 1:
                for event, digest in zip(events, digests, strict=True):
                    self._again([event], [digest])
                return
            with self._database.read() as connection:
                (now,) = log.read(connection, self._bucket, events[0].position - 1, 1)
                there = not gone.is_gone(connection, now)
            if there and now.type == events[0].type:  # not deleted meanwhile, nor erased
                self._park(now, error, again=True)

    def amend(self, parts: Callable[[], Iterator[Part]]) -> None:
        """Write what belongs to no new event; where another wrote meanwhile, `parts` is asked for it again."""
        while True:
            position = self._position()
            try:
                for part in parts():
                    self._write(position, position, part)
                self._overtaken = 0
                return
            except _Overtaken:
                self._stand_back()


def _groups(events: list[Event]) -> Iterator[list[Event]]:
    """Chunks of rows of one project that follow each other together, every other event alone."""
    group: list[Event] = []
    for event in events:
        if group and (
            event.type != EventType.ROWS_APPENDED
            or group[0].type != EventType.ROWS_APPENDED
            or event.project != group[0].project
            or len(group) == _TOGETHER
        ):
            yield group
            group = []
        group.append(event)
    if group:
        yield group


def outdated_buckets(connection: Connection, model: ReadModel) -> list[int]:
    """Buckets in which a model has, or may have, rows of other versions of the analysis."""
    f = followers.c
    other = (f.model == model.name) & (f.model_version.is_distinct_from(model.version))
    return list(connection.execute(select(f.bucket).where(other).order_by(f.bucket)).scalars())


def active_buckets(connection: Connection) -> list[int]:
    """The buckets that have any events."""
    here = select(buckets.c.bucket).where(buckets.c.state != "departed")
    return list(connection.execute(here.order_by(buckets.c.bucket)).scalars())


def buckets_behind(connection: Connection, model: str) -> dict[int, int]:
    """The buckets with events that a model does not hold yet, and how many."""
    reached = func.coalesce(followers.c.position, 0)
    here = (followers.c.bucket == buckets.c.bucket) & (followers.c.model == model)
    behind = (
        select(buckets.c.bucket, buckets.c.head - reached)
        .select_from(buckets.outerjoin(followers, here))
        .where(buckets.c.head > reached, buckets.c.state != "departed")
        .order_by(buckets.c.bucket)
    )
    return {row[0]: row[1] for row in connection.execute(behind)}


def position_of(connection: Connection, model: str, bucket: int) -> int:
    """How far a model has come in a bucket."""
    found = connection.execute(_POSITION, {"b": bucket, "m": model}).one_or_none()
    return found.position if found is not None else 0


def wait_until(database: Database, model: str, bucket: int, position: int, seconds: float) -> None:
    """Return once a model holds everything up to a position.

    Raises NotReached where it does not within so many seconds.
    """
    deadline = time.monotonic() + seconds
    pause = 0.005
    while True:
        with database.read() as connection:
            reached = position_of(connection, model, bucket)
        if reached >= position:
            return
        if time.monotonic() > deadline:
            raise NotReached(
                f"the {model} have not caught up within {seconds:g} seconds: ask again", model=model, position=reached
            )
        time.sleep(pause)
        pause = min(pause * 1.5, 0.25)


def parked_events(connection: Connection) -> list[Parked]:
    """Every event that some model goes without."""
    rows = connection.execute(select(parked).order_by(parked.c.parked_at))
    return [Parked(row.bucket, row.model, row.position, row.error, row.parked_at) for row in rows]


_HERE = (followers.c.bucket == bindparam("b")) & (followers.c.model == bindparam("m"))
_POSITION = select(followers.c.position).where(_HERE)
_STANDING = select(followers.c.position, followers.c.attempts, followers.c.model_version, followers.c.updated_at).where(
    _HERE
)
_LOCKED = _STANDING.with_for_update()
_TOUCH = update(followers).where(_HERE).values(updated_at=bindparam("now"))
_MOVE = update(followers).where(_HERE).values(position=bindparam("p"), attempts=0, updated_at=bindparam("now"))
_VERSION = update(followers).where(_HERE).values(model_version=bindparam("v"))
_COUNT = update(followers).where(_HERE).values(attempts=bindparam("a"))
