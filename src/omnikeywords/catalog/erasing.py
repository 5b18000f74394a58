"""Erasing what was deleted: its facts are taken out of every table, a short transaction at a time.

What takes them away is found anew from what is still there, so that it may stop anywhere and begin again; it is to be
asked for when the read models have come to the deletion. Events keep their places: in the order nothing is missing.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from sqlalchemy import ColumnElement, Delete, Select, delete, exists, select, true, tuple_

from omnikeywords.catalog import gone, log
from omnikeywords.catalog.imports import made_at
from omnikeywords.catalog.tables import events, imports, marks, parked, rejects
from omnikeywords.catalog.tables import uploads as uploaded
from omnikeywords.db import Connection, Database

__all__ = ["Part", "parts"]

_ROWS = 500  # of rejects or marks, in one transaction
_UPLOADED = 2  # parts of an upload, a mebibyte each

Part = Callable[[Connection], object]  # what one transaction takes away


def parts(database: Database, bucket: int, project: str, position: int, stream: str = gone.WHOLE) -> Iterator[Part]:
    """What takes away all that stands below the position of a deletion, of a project or of one import's stream."""
    if stream == gone.WHOLE:
        yield from _imports(database, bucket, project, position)
        yield from _marks(database, bucket, project, position)
    else:
        yield from _of_import(database, bucket, project, stream.removeprefix("import/"))
    after = 0
    while True:
        with database.read(project) as connection:
            found = log.erasable(connection, bucket, project, position, after, stream or None)
        if not found:
            return
        yield partial(_erase, bucket, found)
        after = found[-1]


def _imports(database: Database, bucket: int, project: str, position: int) -> Iterator[Part]:
    i, u = imports.c, uploaded.c
    of_project = (i.bucket == bucket) & (i.project == project)
    below = gone.position_of(bucket, project, "import/" + i.import_id, 1) < position
    while (found := _first(database, project, select(i.import_id).where(of_project, below).limit(1))) is not None:
        yield from _of_import(database, bucket, project, found)
        yield partial(_execute, delete(imports).where(of_project, i.import_id == found))
    # Uploads of which no import had come. Whoever still brings one is told that it is gone.
    at = select(events.c.recorded_at).where(events.c.bucket == bucket, events.c.position == position)
    deleted_at = log.utc(_first(database, project, at))
    of_none = (u.bucket == bucket) & (u.project == project) & ~_has_import()
    with database.read(project) as connection:
        left = connection.execute(select(u.import_id).where(of_none).distinct()).scalars().all()
    for import_id in left:
        if made_at(import_id) < deleted_at:
            yield from _upload(database, bucket, project, import_id, ~_has_import())


def _has_import() -> ColumnElement[bool]:
    i, u = imports.c, uploaded.c
    return exists().where(i.bucket == u.bucket, i.project == u.project, i.import_id == u.import_id)


def _of_import(database: Database, bucket: int, project: str, import_id: str) -> Iterator[Part]:
    """What was uploaded for an import, and what of it was not taken."""
    yield from _upload(database, bucket, project, import_id)
    r = rejects.c
    which = (r.bucket == bucket) & (r.project == project) & (r.import_id == import_id)
    while (first := _first(database, project, select(r.number).where(which).order_by(r.number).limit(1))) is not None:
        yield partial(_execute, delete(rejects).where(which, r.number < first + _ROWS))


def _upload(
    database: Database, bucket: int, project: str, import_id: str, but: ColumnElement[bool] | None = None
) -> Iterator[Part]:
    """The parts of an upload, the last first, for as long as it is so."""
    u = uploaded.c
    which = (u.bucket == bucket) & (u.project == project) & (u.import_id == import_id)
    which &= true() if but is None else but
    behind = select(u.part).where(which).order_by(u.part.desc())
    while (last := _first(database, project, behind.limit(1))) is not None:

        def some(connection: Connection, last: int = last) -> None:
            log.take_turn(connection, bucket)  # nobody makes an import of it meanwhile
            connection.execute(delete(uploaded).where(which, u.part > last - _UPLOADED))

        yield some


def _marks(database: Database, bucket: int, project: str, position: int) -> Iterator[Part]:
    """What people said of keywords."""
    m = marks.c
    of_project = (m.bucket == bucket) & (m.project == project)
    below = gone.position_of(bucket, project, "keyword/" + m.id, m.version) < position
    after = ""
    while True:
        some = select(m.id, m.version).where(of_project, m.id > after, below).order_by(m.id).limit(_ROWS)
        with database.read(project) as connection:
            found = [tuple(row) for row in connection.execute(some)]
        if not found:
            return
        # By their versions: of a keyword something else may have been said since.
        yield partial(_execute, delete(marks).where(of_project, tuple_(m.id, m.version).in_(found)))
        after = found[-1][0]


def _erase(bucket: int, positions: Sequence[int], connection: Connection) -> None:
    log.erase(connection, bucket, positions)
    connection.execute(delete(parked).where(parked.c.bucket == bucket, parked.c.position.in_(positions)))


def _first(database: Database, project: str, statement: Select[Any]) -> Any:
    with database.read(project) as connection:
        return connection.execute(statement).scalar()


def _execute(statement: Delete, connection: Connection) -> None:
    connection.execute(statement)
