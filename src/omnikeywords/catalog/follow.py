"""Followers: read models that are made from the log, event by event, and know how far they have come.

A follower's position is saved in the transaction that ends an event, so that a model holds everything up to it,
whenever the process dies. What is much is applied in parts, a transaction each, so that nobody else waits long; parts
may be applied twice and change nothing the second time. Chunks of rows that follow each other are applied together:
the more of them, the fewer pages of an index are written again and again. Several processes may follow one model:
whoever saves first wins, the other finds out and goes on from there.

An event that a model cannot digest is tried a few times, then parked and reported, and the rest goes on.
"""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from sqlalchemy import bindparam, func, select, update
from sqlalchemy.dialects import postgresql, sqlite

from omnikeywords.catalog import log
from omnikeywords.catalog.events import Event, EventType
from omnikeywords.catalog.tables import buckets, followers, parked
from omnikeywords.db import Connection, Database
from omnikeywords.errors import DatabaseBusy, DatabaseUnavailable, NotReached
from omnikeywords.ops import counter, get_logger

__all__ = [
    "Follower",
    "Parked",
    "Part",
    "ReadModel",
    "active_buckets",
    "buckets_behind",
    "parked_events",
    "position_of",
    "wait_until",
]

_TOGETHER = 8  # chunks of rows
_BATCH = 2 * _TOGETHER  # events read at a time
_ATTEMPTS = 5  # at an event before it is parked
_log = get_logger("omnikeywords.catalog")
_parked = counter("okf_events_parked_total", "Events that a read model could not digest.", ("model",))


Part = Callable[[Connection], object]  # what one transaction writes


class ReadModel(Protocol):
    """What is derived from the log."""

    name: str

    def digest(self, event: Event) -> Any:
        """What can be made of an event alone, whatever the model holds; done ahead, in a thread."""

    def parts(self, database: Database, events: list[Event], digests: list[Any]) -> Iterator[Part]:
        """What is to be written for an event, or for several chunks of rows of one project; none where nothing is.

        Some of it may be written already.
        """

    def clear(self, connection: Connection, bucket: int) -> bool:
        """Delete some of what the model holds of a bucket; returns whether there was any."""


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

    def advance(self, stop: Callable[[], bool] = lambda: False) -> int:
        """Apply the events there are, until `stop` says so; returns the position reached.

        Raises DatabaseUnavailable, DatabaseBusy; what was applied stays.
        """
        with ThreadPoolExecutor(1, thread_name_prefix="digest") as ahead:
            while True:
                position = self._position()
                with self._database.read() as connection:
                    events = log.read(connection, self._bucket, position, _BATCH)
                if not events or stop():
                    return position
                self._apply(position, events, ahead, stop)

    def _apply(self, position: int, events: list[Event], ahead: ThreadPoolExecutor, stop: Callable[[], bool]) -> None:
        groups = list(_groups(events))
        following = [ahead.submit(self._model.digest, event) for event in groups[0]]
        for i, group in enumerate(groups):
            digested = following
            if i + 1 < len(groups):
                following = [ahead.submit(self._model.digest, event) for event in groups[i + 1]]
            try:
                digests = [future.result() for future in digested]
                for part in self._model.parts(self._database, group, digests):
                    self._write(position, position, part)
                    if stop():
                        return
                self._write(position, group[-1].position)
            except _Overtaken:
                return
            except (DatabaseBusy, DatabaseUnavailable):
                raise
            except Exception as error:
                if len(group) > 1:
                    # One by one, to find out which of them it is.
                    for event in group:
                        self._apply(event.position - 1, [event], ahead, stop)
                else:
                    self._stumble(position, group[0], error)
                return
            position = group[-1].position

    def _write(self, position: int, to: int, part: Part | None = None) -> None:
        """One transaction that writes a part, and takes the model from one position to the next."""
        with self._database.write(durable=False) as connection:
            if self._locked(connection)[0] != position:
                raise _Overtaken
            if part is not None:
                part(connection)
            if to != position:
                self._move(connection, to)

    def _move(self, connection: Connection, to: int) -> None:
        connection.execute(_MOVE, {"b": self._bucket, "m": self._model.name, "p": to, "now": datetime.now(UTC)})

    def _stumble(self, position: int, event: Event, error: Exception) -> None:
        """Count an attempt in vain; after the last of them the model goes on without the event."""
        with self._database.write() as connection:
            found, attempts = self._locked(connection)
            if found != position:
                return
            if attempts + 1 < _ATTEMPTS:
                connection.execute(_COUNT, {"b": self._bucket, "m": self._model.name, "a": attempts + 1})
            else:
                connection.execute(
                    parked.insert(),
                    {
                        "bucket": self._bucket,
                        "model": self._model.name,
                        "position": event.position,
                        "error": f"{type(error).__name__}: {error}"[:2000],
                        "parked_at": datetime.now(UTC),
                    },
                )
                self._move(connection, event.position)
        if attempts + 1 < _ATTEMPTS:
            time.sleep(0.05 * 2**attempts)
            return
        _parked.labels(self._model.name).inc()
        _log.error(
            "event parked",
            bucket=self._bucket,
            model=self._model.name,
            position=event.position,
            type=event.type,
            exc_info=error,
        )

    def _position(self) -> int:
        with self._database.read() as connection:
            found = connection.execute(_POSITION, {"b": self._bucket, "m": self._model.name}).one_or_none()
        if found is not None:
            return int(found.position)
        with self._database.write() as connection:
            insert = postgresql.insert if self._database.dialect == "postgresql" else sqlite.insert
            connection.execute(
                insert(followers)
                .values(
                    bucket=self._bucket,
                    model=self._model.name,
                    position=0,
                    attempts=0,
                    updated_at=datetime.now(UTC),
                )
                .on_conflict_do_nothing()
            )
        return 0

    def _locked(self, connection: Connection) -> tuple[int, int]:
        """Position and attempts, which nobody else can change until this transaction ends."""
        found = connection.execute(_LOCKED, {"b": self._bucket, "m": self._model.name}).one()
        return found.position, found.attempts

    def rebuild(self, stop: Callable[[], bool] = lambda: False) -> int:
        """Make the model anew from the first event on; readers see it grow. Returns the position reached.

        What it held is deleted bit by bit; a rebuild that was interrupted goes on when it is asked for again.
        """
        self._position()  # so that there is one
        while True:
            with self._database.write() as connection:
                self._locked(connection)
                more = self._model.clear(connection, self._bucket)
                self._move(connection, 0)
                connection.execute(
                    parked.delete().where(parked.c.bucket == self._bucket, parked.c.model == self._model.name)
                )
            if not more:
                return self.advance(stop)


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


def active_buckets(connection: Connection) -> list[int]:
    """The buckets that have any events."""
    return list(connection.execute(select(buckets.c.bucket).order_by(buckets.c.bucket)).scalars())


def buckets_behind(connection: Connection, model: str) -> dict[int, int]:
    """The buckets with events that a model does not hold yet, and how many."""
    reached = func.coalesce(followers.c.position, 0)
    here = (followers.c.bucket == buckets.c.bucket) & (followers.c.model == model)
    behind = (
        select(buckets.c.bucket, buckets.c.head - reached)
        .select_from(buckets.outerjoin(followers, here))
        .where(buckets.c.head > reached)
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
_LOCKED = select(followers.c.position, followers.c.attempts).where(_HERE).with_for_update()
_MOVE = update(followers).where(_HERE).values(position=bindparam("p"), attempts=0, updated_at=bindparam("now"))
_COUNT = update(followers).where(_HERE).values(attempts=bindparam("a"))
