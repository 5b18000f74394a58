"""Moving a bucket from one PostgreSQL server to another while it is read and written.

Its log is copied in the order of its events, and the target's own read models follow the copy. When little is left the
bucket's row is locked at the source: writers wait there while the last events, the jobs and what else is not derived
come over; then the source is marked as departed, and only after that the target as home. Whoever waited is told
BucketMoved. At no moment are both home, and a move that was interrupted goes on where it was.
"""

from collections.abc import Callable, Iterator, Sequence

from sqlalchemy import Table, bindparam, delete, func, select, tuple_, update
from sqlalchemy.dialects import postgresql

from omnikeywords.catalog import log, marks, projects
from omnikeywords.catalog.events import Event, EventType
from omnikeywords.catalog.tables import (
    buckets,
    events,
    followers,
    homes,
    keyword_changes,
    keywords,
    metadata,
    moves,
    observations,
    parked,
    placement,
    uploads,
)
from omnikeywords.db import Connection, Database

__all__ = ["arrive", "copy_log", "depart", "open_bucket", "purge"]

_EVENTS = 32  # copied in a transaction
_ROWS = 5000  # deleted in a transaction
_FENCE_MS = 60_000  # longest statement while writers wait

_ABOUT_PLACES = (homes, moves, placement)  # kept on the first server, whatever lies on it
# Copied event by event or part by part, or made again from the log where the bucket comes to.
_NOT_CARRIED = (buckets, events, followers, keyword_changes, keywords, observations, parked, uploads)


def arrive(target: Database, bucket: int) -> None:
    """Make a place for a bucket that is on its way; nobody writes to it yet but the copy and its followers."""
    put = postgresql.insert(buckets).values(bucket=bucket, head=0, state="arriving")
    again = put.on_conflict_do_update(
        index_elements=["bucket"],
        set_={"head": 0, "state": "arriving"},
        where=buckets.c.state == "departed",
    )
    with target.write() as connection:
        connection.execute(again)


def copy_log(source: Database, target: Database, bucket: int, attend: Callable[[], object] = lambda: None) -> int:
    """Copy the events that the target does not have yet; returns the position reached."""
    while True:
        with target.read() as connection:
            have = log.head(connection, bucket)
        with source.read() as connection:
            more = _copy_events(source, connection, target, bucket, have)
        if not more:
            return have
        attend()


def depart(source: Database, target: Database, bucket: int, carried: Sequence[Table]) -> None:
    """Carry over what is left, writers waiting meanwhile, and close the bucket at the source for good.

    `carried` are tables beside the catalogue's own whose rows go along, those that others refer to first.
    """
    _copy_uploads(source, target, bucket)
    with source.write(statement_ms=_FENCE_MS) as connection:
        # A bucket that nothing was ever written to has no row yet.
        connection.execute(
            postgresql.insert(buckets).values(bucket=bucket, head=0, state="home").on_conflict_do_nothing()
        )
        state = connection.execute(
            select(buckets.c.state).where(buckets.c.bucket == bucket).with_for_update()
        ).scalar_one()
        if state == "departed":  # a move that was interrupted behind this point
            return
        for table in carried:  # whoever works off a job writes it last, and then finds it gone
            connection.execute(select(table.c.bucket).where(table.c.bucket == bucket).with_for_update()).all()
        while _copy_events(source, connection, target, bucket, _head(target, bucket)):
            pass
        _copy_uploads(source, target, bucket)
        with target.write(statement_ms=_FENCE_MS) as there:
            _erase_alike(connection, there, bucket)
            tables = [*(table for table in _of_buckets() if table not in _NOT_CARRIED), *carried]
            for table in reversed(tables):
                there.execute(delete(table).where(table.c.bucket == bucket))
            for table in tables:
                found = source.raw(connection)
                _load(target, there, table, _dump(found, table, f"bucket = {bucket:d}"))
        for table in (*reversed(carried), followers):
            connection.execute(delete(table).where(table.c.bucket == bucket))
        connection.execute(update(buckets).where(buckets.c.bucket == bucket).values(state="departed"))


def open_bucket(target: Database, bucket: int) -> None:
    """Let everybody write to a bucket that has arrived. Only after it was closed where it came from."""
    with target.write() as connection:
        connection.execute(update(buckets).where(buckets.c.bucket == bucket).values(state="home"))


def purge(source: Database, bucket: int, attend: Callable[[], object] = lambda: None) -> None:
    """Delete what is left of a bucket where it came from, some rows at a time."""
    for table in _of_buckets():
        if table is buckets:  # that it departed is to be known
            continue
        key = list(table.primary_key)
        some = select(*key).where(table.c.bucket == bucket).limit(_ROWS).subquery()
        statement = delete(table).where(tuple_(*key).in_(select(*some.columns)))
        while True:
            with source.write(statement_ms=_FENCE_MS) as connection:
                if not connection.execute(statement).rowcount:
                    break
            attend()


def _of_buckets() -> list[Table]:
    """The catalogue's tables whose rows are of a bucket."""
    return [table for table in metadata.sorted_tables if "bucket" in table.c and table not in _ABOUT_PLACES]


def _head(target: Database, bucket: int) -> int:
    with target.read() as connection:
        return log.head(connection, bucket)


def _copy_events(source: Database, connection: Connection, target: Database, bucket: int, have: int) -> bool:
    """Copy the next events behind a position; returns whether there were any."""
    which = f"bucket = {bucket:d} AND position > {have:d} AND position <= {have + _EVENTS:d}"
    found = _dump(source.raw(connection), events, which)
    with target.write(statement_ms=_FENCE_MS) as there:
        locked = select(buckets.c.head).where(buckets.c.bucket == bucket).with_for_update()
        if there.execute(locked).scalar_one() != have:
            return True  # somebody else copies too
        _load(target, there, events, found)
        now = select(func.max(events.c.position)).where(events.c.bucket == bucket)
        head = there.execute(now).scalar() or 0
        if head == have:
            return False
        # What followers ask for must be there when they come to these events.
        for event in log.read(there, bucket, have, _EVENTS):
            _apply(there, event)
        there.execute(update(buckets).where(buckets.c.bucket == bucket).values(head=head))
    return True


def _apply(connection: Connection, event: Event) -> None:
    match event.type:
        case EventType.PROJECT_CREATED | EventType.PROJECT_CHANGED | EventType.PROJECT_DELETED:
            projects.apply(connection, event)
        case EventType.KEYWORD_TAGGED | EventType.KEYWORD_CORRECTED:
            marks.apply(connection, event)


def _erase_alike(source: Connection, target: Connection, bucket: int) -> None:
    """What was erased at the source after it was copied is erased in the copy too."""
    which = (events.c.bucket == bucket) & (events.c.type == EventType.ERASED)
    erased = list(source.execute(select(events.c.position).where(which)).scalars())
    if erased:
        target.execute(
            update(events)
            .where(events.c.bucket == bucket, events.c.position == bindparam("at"), events.c.type != EventType.ERASED)
            .values(**log.ERASED),
            [{"at": position} for position in erased],
        )


def _copy_uploads(source: Database, target: Database, bucket: int) -> None:
    """Copy the parts of uploads that the target lacks, and delete those that are gone; a part never changes."""
    key = [column for column in uploads.primary_key if column is not uploads.c.bucket]
    parts = select(*key).where(uploads.c.bucket == bucket)
    with source.read() as connection, target.write(statement_ms=_FENCE_MS) as there:
        at_source = {tuple(row) for row in connection.execute(parts)}
        at_target = {tuple(row) for row in there.execute(parts)}
        for gone in at_target - at_source:
            there.execute(delete(uploads).where(uploads.c.bucket == bucket, tuple_(*key) == gone))
        for new in sorted(at_source - at_target):
            row = connection.execute(select(uploads).where(uploads.c.bucket == bucket, tuple_(*key) == new)).one()
            there.execute(uploads.insert(), dict(row._mapping))


def _dump(driver: object, table: Table, which: str) -> Iterator[bytes]:
    """Rows of a table as COPY writes them, which keeps every value as it is."""
    names = ", ".join(f'"{column.name}"' for column in table.columns)
    order = ", ".join(f'"{column.name}"' for column in table.primary_key)
    with driver.cursor() as cursor:  # type: ignore[attr-defined]
        statement = f"COPY (SELECT {names} FROM {table.name} WHERE {which} ORDER BY {order}) TO STDOUT (FORMAT binary)"
        with cursor.copy(statement) as copy:
            for data in copy:
                yield bytes(data)


def _load(target: Database, connection: Connection, table: Table, rows: Iterator[bytes]) -> None:
    """Insert rows as `_dump` gives them; through a table of the transaction's own, as rows are secured by project."""
    names = ", ".join(f'"{column.name}"' for column in table.columns)
    loading = f"okf_moving_{table.name}"
    with target.raw(connection).cursor() as cursor:
        cursor.execute(f"CREATE TEMPORARY TABLE {loading} (LIKE {table.name}) ON COMMIT DROP")
        with cursor.copy(f"COPY {loading} ({names}) FROM STDIN (FORMAT binary)") as copy:
            for data in rows:
                copy.write(data)
        cursor.execute(f"INSERT INTO {table.name} ({names}) SELECT {names} FROM {loading}")
