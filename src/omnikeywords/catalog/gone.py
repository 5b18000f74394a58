"""What is gone although it is not erased yet.

A deletion is one short transaction: its event, and a row of `erasures` that says below which position of the log a
project, or one stream of it, is gone. From then on readers leave it out, by the conditions here; `catalog.erasing`
takes it away afterwards. Nothing said behind that position is meant: a project may be made again under its name at
once.
"""

from sqlalchemy import ColumnElement, ScalarSelect, delete, exists, func, literal, or_, select
from sqlalchemy.dialects import postgresql, sqlite

from omnikeywords.catalog.events import Event
from omnikeywords.catalog.tables import erasures, events, followers
from omnikeywords.db import Connection

__all__ = ["WHOLE", "declare", "is_gone", "is_kept", "lasts", "position_of", "settle", "shown", "stands"]

WHOLE = ""  # in the place of a stream: all of the project
_MODEL = "keywords"
_e = erasures.c


def declare(connection: Connection, bucket: int, project: str, position: int, stream: str = WHOLE) -> None:
    """Say, in the transaction of a deletion, that what stands below its position is gone."""
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    put = insert(erasures).values(bucket=bucket, project=project, stream=stream, position=position)
    connection.execute(
        put.on_conflict_do_update(index_elements=["bucket", "project", "stream"], set_={"position": position})
    )


def settle(connection: Connection, bucket: int, project: str, position: int, stream: str = WHOLE) -> None:
    """Nothing of it is left; unless it was deleted once more meanwhile."""
    which = _of(bucket, project) & (_e.stream == stream) & (_e.position <= position)
    connection.execute(delete(erasures).where(which))


def is_gone(connection: Connection, event: Event) -> bool:
    """Whether what an event says was deleted."""
    which = _of(event.bucket, event.project) & _e.stream.in_([WHOLE, event.stream]) & (_e.position > event.position)
    return connection.execute(select(literal(1)).select_from(erasures).where(which)).first() is not None


def stands(bucket: int, project: str) -> ColumnElement[bool]:
    """That a row of `events` was not deleted."""
    of = _of(bucket, project) & or_(_e.stream == WHOLE, _e.stream == events.c.stream)
    return ~exists(select(literal(1)).select_from(erasures).where(of, _e.position > events.c.position))


def is_kept(bucket: int, project: str, stream: str) -> ColumnElement[bool]:
    """That a stream was not deleted for itself."""
    return ~exists(select(literal(1)).select_from(erasures).where(_of(bucket, project), _e.stream == stream))


def lasts(
    bucket: int, project: str, stream: ColumnElement[str], version: ColumnElement[int] | int
) -> ColumnElement[bool]:
    """That a row, which an event of a stream wrote, is of the project as it is now, and of none deleted before."""
    deleted = select(_e.position).where(_of(bucket, project), _e.stream == WHOLE).scalar_subquery()
    return or_(deleted.is_(None), position_of(bucket, project, stream, version) > deleted)


def position_of(
    bucket: int, project: str, stream: ColumnElement[str], version: ColumnElement[int] | int
) -> ScalarSelect[int]:
    """Where the event stands that is a version of a stream; it stands there when it was erased too."""
    c = events.c
    which = (c.bucket == bucket) & (c.project == project) & (c.stream == stream) & (c.version == version)
    return select(c.position).where(which).scalar_subquery()


def shown(bucket: int, project: str) -> ColumnElement[bool]:
    """That the rows of `keywords` and `observations` are of the project as it is now.

    Until the read models come to a deletion they hold nothing of what was said behind it.
    """
    reached = select(followers.c.position).where(followers.c.bucket == bucket, followers.c.model == _MODEL)
    behind = _e.position > func.coalesce(reached.scalar_subquery(), 0)
    of = _of(bucket, project) & (_e.stream == WHOLE)
    return ~exists(select(literal(1)).select_from(erasures).where(of, behind))


def _of(bucket: int, project: str) -> ColumnElement[bool]:
    return (_e.bucket == bucket) & (_e.project == project)
