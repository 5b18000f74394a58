"""Projects: a tenant's catalogue each, with the settings by which its keywords are analysed.

What happened to a project is in its stream `project`; the table `projects` holds how it stands, written in the
transaction that appends. The project `default` is always there: until something is done to it, it has no events.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Row, delete, literal, select

from omnikeywords.analysis import Weights
from omnikeywords.catalog import changes, gone, log
from omnikeywords.catalog.events import Event, EventType, NewEvent
from omnikeywords.catalog.homes import BUCKETS, bucket_of
from omnikeywords.catalog.tables import projects, webhooks
from omnikeywords.db import Connection, Database
from omnikeywords.errors import Conflict, InvalidOption, NotFound
from omnikeywords.model import Market

__all__ = [
    "BUCKETS",
    "DEFAULT_PROJECT",
    "Project",
    "apply",
    "bucket_of",
    "change",
    "check_name",
    "create",
    "find",
    "list_projects",
    "remove",
]

DEFAULT_PROJECT = "default"
STREAM = "project"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True)
class Project:
    """A project as it stands."""

    name: str
    market: Market | None = None  # of keywords whose source names none
    brands: tuple[str, ...] = ()
    weights: Mapping[str, float] = field(default_factory=dict)  # of scores, those that differ from the defaults
    home_region: str | None = None
    version: int = 0  # of its stream; 0: nothing was ever done to it
    created_at: datetime | None = None
    changed_at: datetime | None = None

    @property
    def bucket(self) -> int:
        """Where its rows are."""
        return bucket_of(self.name)

    def score_weights(self) -> Weights:
        """All weights of scores.

        Raises InvalidOption for an unknown name or a weight that cannot be.
        """
        known = {item.name for item in fields(Weights)}
        if unknown := sorted(set(self.weights) - known):
            raise InvalidOption(f"weight {unknown[0]!r} is unknown: use {', '.join(sorted(known))}", weight=unknown[0])
        return Weights(**self.weights)


def check_name(name: str) -> str:
    """The name.

    Raises InvalidOption where it cannot be one.
    """
    if not _NAME.fullmatch(name):
        raise InvalidOption(
            f"project {name!r} cannot be a name: use 1 to 64 letters, digits, dots, dashes and underscores, the first "
            "a letter or a digit",
            project=name,
        )
    return name


def find(database: Database, name: str) -> Project:
    """A project as it stands.

    Raises NotFound.
    """
    check_name(name)
    with database.read(name) as connection:
        found = _found(connection, name)
    if found is None:
        if name == DEFAULT_PROJECT:
            return Project(name)
        raise NotFound(f"project {name!r} does not exist: `okf projects list` lists those there are", project=name)
    return found


def list_projects(database: Database) -> list[Project]:
    """Every project, by name; `default` is always among them."""
    with database.read() as connection:
        there = {row.project: _project(row) for row in connection.execute(select(projects))}
    there.setdefault(DEFAULT_PROJECT, Project(DEFAULT_PROJECT))
    return [there[name] for name in sorted(there)]


def create(connection: Connection, project: Project, actor: str) -> Project:
    """Make a project, in the caller's transaction.

    Raises Conflict where it is there already, InvalidOption for what it cannot be.
    """
    check_name(project.name)
    project.score_weights()
    if _found(connection, project.name) is not None:
        raise Conflict(f"project {project.name!r} exists already", project=project.name)
    _append(connection, project, EventType.PROJECT_CREATED, actor)
    return _must(connection, project.name)


def change(
    connection: Connection,
    name: str,
    actor: str,
    *,
    expected: int | None = None,
    changes: Mapping[str, Any],
) -> Project:
    """Give a project other settings: `changes` by field; what follows from them is derived anew.

    Raises NotFound, VersionConflict where somebody changed it since version `expected`, InvalidOption.
    """
    found = _found(connection, name)
    if found is None:
        if name != DEFAULT_PROJECT:
            raise NotFound(f"project {name!r} does not exist: `okf projects list` lists those there are", project=name)
        found = Project(name)
    changed = replace(found, **changes)
    changed.score_weights()
    if changed != found:
        kind = EventType.PROJECT_CHANGED if found.version else EventType.PROJECT_CREATED
        _append(connection, changed, kind, actor, (found.version or None) if expected is None else expected)
    return _found(connection, name) or found


def exists(connection: Connection, name: str) -> bool:
    """Whether there is a project that anybody made."""
    which = (projects.c.bucket == bucket_of(name)) & (projects.c.project == name)
    return connection.execute(select(literal(1)).select_from(projects).where(which)).first() is not None


def ensure(connection: Connection, name: str, actor: str, market: Market | None = None) -> Project:
    """The project, made if it is not there, with a market if it has to be made."""
    check_name(name)
    return _found(connection, name) or create(connection, Project(name, market), actor)


def remove(connection: Connection, name: str, actor: str) -> int:
    """Delete a project: from now on nothing of it is there. Returns the position in the log, below which its facts are
    to be erased; the read models come to it by themselves."""
    bucket = bucket_of(name)
    done = log.append(connection, bucket, name, [NewEvent(STREAM, EventType.PROJECT_DELETED)], actor=actor)
    apply(connection, done.events[0])
    # A few rows, which nothing of the log tells from those that are added next.
    connection.execute(delete(webhooks).where(webhooks.c.bucket == bucket, webhooks.c.project == name))
    changes.note(connection, bucket, name, None)
    return done.position


def apply(connection: Connection, event: Event) -> None:
    """Write into the table what an event of a project says."""
    which = (projects.c.bucket == event.bucket) & (projects.c.project == event.project)
    if event.type == EventType.PROJECT_DELETED:
        connection.execute(delete(projects).where(which))
        gone.declare(connection, event.bucket, event.project, event.position)
        return
    before = connection.execute(select(projects.c.created_at).where(which)).scalar()
    values = {
        "version": event.version,
        "market": event.payload["market"],
        "brands": msgspec.json.encode(event.payload["brands"]).decode(),
        "weights": msgspec.json.encode(event.payload["weights"]).decode(),
        "home_region": event.payload["home_region"],
        "changed_at": event.recorded_at,
    }
    if before is None:
        key = {"bucket": event.bucket, "project": event.project, "created_at": event.recorded_at}
        connection.execute(projects.insert(), {**key, **values})
    else:
        connection.execute(projects.update().where(which).values(**values))


def _append(connection: Connection, project: Project, kind: str, actor: str, expected: int | None = None) -> None:
    payload = {
        "market": str(project.market) if project.market else None,
        "brands": list(project.brands),
        "weights": dict(project.weights),
        "home_region": project.home_region,
    }
    event = NewEvent(STREAM, kind, payload)
    done = log.append(connection, project.bucket, project.name, [event], actor=actor, expected=expected)
    apply(connection, done.events[0])


def _found(connection: Connection, name: str) -> Project | None:
    which = (projects.c.bucket == bucket_of(name)) & (projects.c.project == name)
    row = connection.execute(select(projects).where(which)).one_or_none()
    return None if row is None else _project(row)


def _must(connection: Connection, name: str) -> Project:
    found = _found(connection, name)
    assert found is not None
    return found


def _project(row: Row[Any]) -> Project:
    brands: Sequence[str] = msgspec.json.decode(row.brands)
    return Project(
        row.project,
        Market.parse(row.market) if row.market else None,
        tuple(brands),
        msgspec.json.decode(row.weights),
        row.home_region,
        row.version,
        log.utc(row.created_at),
        log.utc(row.changed_at),
    )
