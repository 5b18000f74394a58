"""What people say of keywords: tags, and corrections that go before what we think and outlive every re-analysis."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, delete, select

from omnikeywords.analysis.frequency import LANGUAGES
from omnikeywords.catalog import gone, log
from omnikeywords.catalog.events import Event, EventType, NewEvent
from omnikeywords.catalog.projects import bucket_of
from omnikeywords.catalog.tables import marks
from omnikeywords.db import Connection
from omnikeywords.errors import InvalidOption, VersionConflict
from omnikeywords.model import FUNNELS, INTENTS

__all__ = ["CORRECTABLE", "CORRECTED", "Mark", "apply", "find", "lasts", "near_duplicates", "put"]

# What a person may put right, and the values there are.
CORRECTABLE: Mapping[str, tuple[str, ...]] = {
    "intent": tuple(map(str, INTENTS)),
    "funnel": tuple(map(str, FUNNELS)),
    "language": (*LANGUAGES, "und"),
}
CORRECTED = (*CORRECTABLE, "near_duplicate_of")  # the last: a normalized keyword, or nothing: it stands alone
_TAG = re.compile(r"[^\s,|]{1,64}")
_MOST_TAGS = 50


@dataclass(frozen=True, slots=True)
class Mark:
    """What people said of one keyword."""

    tags: tuple[str, ...] = ()
    corrected: Mapping[str, str] = field(default_factory=dict)
    version: int = 0  # of the keyword's stream; 0: nobody said anything yet


def find(connection: Connection, project: str, keyword_id: str) -> Mark:
    """What people said of a keyword."""
    row = connection.execute(select(marks).where(_which(project, keyword_id), lasts(project))).one_or_none()
    if row is None:
        return Mark()
    return Mark(tuple(msgspec.json.decode(row.tags)), msgspec.json.decode(row.corrected), row.version)


def put(
    connection: Connection,
    project: str,
    keyword_id: str,
    actor: str,
    *,
    tags: Sequence[str] | None = None,
    corrected: Mapping[str, str | None] | None = None,
    expected: int | None = None,
) -> log.Appended:
    """Say something of a keyword: all its tags, or corrections by field, None taking one back.

    Raises InvalidOption for what cannot be said, VersionConflict where somebody said something since `expected`.
    """
    before = find(connection, project, keyword_id)
    if expected not in (None, before.version):
        raise VersionConflict(
            f"keyword {keyword_id!r} is at version {before.version}, not {expected}: read it again",
            stream=f"keyword/{keyword_id}",
            version=before.version,
        )
    new_tags = before.tags if tags is None else tuple(sorted(set(tags)))
    for tag in new_tags:
        if not _TAG.fullmatch(tag):
            raise InvalidOption(f"tag {tag!r} cannot be: use 1 to 64 characters without spaces, commas and |", tag=tag)
    if len(new_tags) > _MOST_TAGS:
        raise InvalidOption(f"{len(new_tags)} tags are too many: a keyword has at most {_MOST_TAGS}")
    right = dict(before.corrected)
    for name, value in (corrected or {}).items():
        if name not in CORRECTED:
            raise InvalidOption(f"{name!r} cannot be corrected: {', '.join(CORRECTED)} can", field=name)
        if value is None:
            right.pop(name, None)
        elif name in CORRECTABLE and value not in CORRECTABLE[name]:
            raise InvalidOption(f"{name} {value!r} is unknown: use {', '.join(CORRECTABLE[name])}", field=name)
        else:
            right[name] = value
    kind = EventType.KEYWORD_TAGGED if corrected is None else EventType.KEYWORD_CORRECTED
    event = NewEvent(f"keyword/{keyword_id}", kind, {"tags": list(new_tags), "corrected": right})
    # By what was just read: an edit made meanwhile must not be lost. What was said in a project of that name which was
    # deleted is erased, its versions are not.
    bucket = bucket_of(project)
    seen = before.version or log.version(connection, bucket, project, event.stream)
    done = log.append(connection, bucket, project, [event], actor=actor, expected=seen)
    apply(connection, done.events[0])
    return done


def near_duplicates(connection: Connection, project: str) -> dict[str, str]:
    """What people said that keywords are near-duplicates of, by id; nothing: of none."""
    said = (marks.c.bucket == bucket_of(project)) & (marks.c.project == project) & lasts(project)
    rows = connection.execute(
        select(marks.c.id, marks.c.corrected).where(said, marks.c.corrected.contains('"near_duplicate_of"'))
    )
    return {row.id: msgspec.json.decode(row.corrected)["near_duplicate_of"] for row in rows}


def lasts(project: str) -> ColumnElement[bool]:
    """That something was said in a project as it is now, and not in one of that name which was deleted."""
    return gone.lasts(bucket_of(project), project, "keyword/" + marks.c.id, marks.c.version)


def apply(connection: Connection, event: Event) -> None:
    """Write into the table what an event says of a keyword."""
    keyword_id = event.stream.removeprefix("keyword/")
    connection.execute(delete(marks).where(_which(event.project, keyword_id)))
    connection.execute(
        marks.insert(),
        {
            "bucket": event.bucket,
            "project": event.project,
            "id": keyword_id,
            "tags": msgspec.json.encode(event.payload["tags"]).decode(),
            "corrected": msgspec.json.encode(event.payload["corrected"], order="deterministic").decode(),
            "version": event.version,
        },
    )


def _which(project: str, keyword_id: str) -> Any:
    return (marks.c.bucket == bucket_of(project)) & (marks.c.project == project) & (marks.c.id == keyword_id)
