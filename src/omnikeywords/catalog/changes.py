"""Which keywords were written last: what a search index follows.

An index holds what the table `keywords` holds, and that changes by more than events: near-duplicates are looked for
anew, a project gets other settings, a model is rebuilt. So whoever writes the table notes in the same transaction
whose rows it wrote. Notes of a bucket are numbered in the order in which they become visible; old ones are dropped, and
an index that is further behind is made anew.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl
from sqlalchemy import ColumnElement, bindparam, case, delete, insert, select, update

from omnikeywords.catalog.gone import shown
from omnikeywords.catalog.rows import fetch
from omnikeywords.catalog.tables import followers, keyword_changes, keywords
from omnikeywords.db import Connection

__all__ = ["Change", "Standing", "newest", "note", "projects_of", "rows_behind", "rows_of", "since", "standing"]

_MODEL = "keywords"
_KEPT = 200  # notes of a bucket: 300,000 keywords of an import
_c = keyword_changes.c


@dataclass(frozen=True, slots=True)
class Change:
    """Some keywords of a project were written."""

    number: int
    project: str
    ids: tuple[str, ...] | None  # None: all of them


@dataclass(frozen=True, slots=True)
class Standing:
    """How far the table is. Whoever reads rows after this reads what it says, or what is newer."""

    position: int  # of the log
    number: int  # of the last note; 0: none


def note(connection: Connection, bucket: int, project: str, ids: pl.Series | None) -> None:
    """Note that rows are being written. To be called before they are: writers of a bucket take turns from here on."""
    # A series begins at the time, so that numbers of a bucket that was moved here are none of this server's.
    begin = time.time_ns() // 1000
    number = connection.execute(_TURN, {"b": bucket, "begin": begin}).scalar()
    if number is None:  # nothing is followed here, so there is no row to write
        return
    listed = None if ids is None else " ".join(ids.to_list())
    connection.execute(_PUT, {"bucket": bucket, "number": number, "project": project, "ids": listed})
    connection.execute(_DROP, {"b": bucket, "n": number - _KEPT})


def standing(connection: Connection, bucket: int) -> Standing:
    """How far the table is in a bucket."""
    found = connection.execute(_STANDING, {"b": bucket}).one_or_none()
    return Standing(0, 0) if found is None else Standing(found.position, found.changes)


def since(connection: Connection, bucket: int, number: int, limit: int) -> list[Change] | None:
    """The notes behind a number, in their order; None where they are not all there, or it is of another series."""
    found = connection.execute(_SINCE, {"b": bucket, "n": number, "k": limit + 1}).all()
    if not found or found[0].number != number:
        return None
    return [Change(row.number, row.project, None if row.ids is None else tuple(row.ids.split())) for row in found[1:]]


def newest(connection: Connection) -> dict[int, Standing]:
    """How far the table is in every bucket."""
    return {row.bucket: Standing(row.position, row.changes) for row in connection.execute(_EACH)}


def rows_of(connection: Connection, bucket: int, project: str, ids: Sequence[str]) -> pl.DataFrame:
    """The rows of `keywords` that there are of these ids."""
    which = _of_project(bucket, project) & keywords.c.id.in_(ids)
    return fetch(connection, select(*_COLUMNS).where(which), _SCHEMA)


def projects_of(connection: Connection, bucket: int) -> list[str]:
    """The projects of a bucket that have keywords."""
    found = select(keywords.c.project).where(keywords.c.bucket == bucket).distinct().order_by(keywords.c.project)
    return list(connection.execute(found).scalars())


def rows_behind(connection: Connection, bucket: int, project: str, after: str, limit: int) -> pl.DataFrame:
    """The next rows of a project's `keywords` behind an id, by id."""
    which = _of_project(bucket, project) & (keywords.c.id > after)
    return fetch(connection, select(*_COLUMNS).where(which).order_by(keywords.c.id).limit(limit), _SCHEMA)


def _of_project(bucket: int, project: str) -> ColumnElement[bool]:
    return (keywords.c.bucket == bucket) & (keywords.c.project == project) & shown(bucket, project)


_KINDS: dict[str, Any] = {
    **dict.fromkeys(("words", "year", "volume", "clicks", "impressions"), pl.Int64()),
    **dict.fromkeys(("popularity", "difficulty", "opportunity", "cpc", "competition", "position"), pl.Float64()),
    **dict.fromkeys(("local", "branded"), pl.Boolean()),
    **dict.fromkeys(("created_at", "updated_at"), pl.Datetime("us", "UTC")),
}
_COLUMNS = [column for column in keywords.columns if column.name not in ("bucket", "project", "model_version")]
_SCHEMA = {column.name: _KINDS.get(column.name, pl.String()) for column in _COLUMNS}
_OF_BUCKET = _c.bucket == bindparam("b")
_f = followers.c
_HERE = (_f.bucket == bindparam("b")) & (_f.model == _MODEL)
_TURN = (
    update(followers)
    .where(_HERE)
    .values(changes=case((_f.changes == 0, bindparam("begin")), else_=_f.changes + 1))
    .returning(_f.changes)
)
_PUT = insert(keyword_changes)
_DROP = delete(keyword_changes).where(_OF_BUCKET, _c.number <= bindparam("n"))
_STANDING = select(_f.position, _f.changes).where(_HERE)
_SINCE = select(_c.number, _c.project, _c.ids).where(_OF_BUCKET, _c.number >= bindparam("n")).order_by(_c.number).limit(
    bindparam("k")
)  # fmt: skip
_EACH = select(_f.bucket, _f.position, _f.changes).where(_f.model == _MODEL)
