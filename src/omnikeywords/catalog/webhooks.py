"""Webhooks: where a project wants word of its imports sent.

They are settings with a secret, and no facts: nothing of the log depends on them, and what is appended to the log
cannot be taken back from whoever reads a copy of it. So they are rows alone, deleted with their project.
"""

import base64
import secrets
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Row, delete, func, insert, select

from omnikeywords.catalog import log
from omnikeywords.catalog.projects import bucket_of
from omnikeywords.catalog.tables import webhooks
from omnikeywords.db import Connection, Database
from omnikeywords.errors import Conflict, InvalidOption, NotFound

__all__ = ["Webhook", "WebhookEvent", "add", "events_of", "list_webhooks", "look", "remove", "wanting"]

_MOST = 20  # of one project: each import is told to every one of them
_SECRET_BYTES = 32


class WebhookEvent(StrEnum):
    """What a webhook may be told."""

    COMPLETED = "import.completed"  # every row is in the catalogue and can be asked for
    WITHDRAWN = "import.withdrawn"  # it could not be done, was cancelled or taken back: it counts nowhere


@dataclass(frozen=True, slots=True)
class Webhook:
    """A webhook as it stands."""

    id: str
    project: str
    url: str
    secret: str = field(repr=False)  # `whsec_` and base64. To be shown when it is made, and never again
    events: tuple[WebhookEvent, ...]
    created_at: datetime


def events_of(names: Collection[str]) -> tuple[WebhookEvent, ...]:
    """Events by their names; all there are for none.

    Raises InvalidOption for a name that is none.
    """
    known = {event.value: event for event in WebhookEvent}
    for name in names:
        if name not in known:
            raise InvalidOption(f"event {name!r} is unknown: use {', '.join(known)}", event=name)
    return tuple(event for event in WebhookEvent if event in names or not names)


def list_webhooks(database: Database, project: str) -> list[Webhook]:
    """The webhooks of a project, in the order in which they were added."""
    wanted = select(webhooks).where(_of(project)).order_by(webhooks.c.created_at, webhooks.c.id)
    with database.read(project) as connection:
        return [_webhook(row) for row in connection.execute(wanted)]


def look(database: Database, project: str, webhook_id: str) -> Webhook | None:
    """One webhook, or None."""
    with database.read(project) as connection:
        row = connection.execute(select(webhooks).where(_of(project), webhooks.c.id == webhook_id)).one_or_none()
    return None if row is None else _webhook(row)


def wanting(connection: Connection, project: str, event: WebhookEvent) -> list[Webhook]:
    """The webhooks that are to be told of an event."""
    rows = connection.execute(select(webhooks).where(_of(project)))
    return [webhook for webhook in map(_webhook, rows) if event in webhook.events]


def add(connection: Connection, project: str, url: str, events: Collection[str] = ()) -> Webhook:
    """Make a webhook with a secret of its own; the URL was checked by whoever will send to it.

    Raises InvalidOption for an unknown event, Conflict where there are too many.
    """
    wanted = events_of(events)
    there = connection.execute(select(func.count()).select_from(webhooks).where(_of(project))).scalar_one()
    if there >= _MOST:
        raise Conflict(f"project {project!r} has {there} webhooks, the most there may be: delete one", limit=_MOST)
    key = base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()
    made = Webhook("w1" + secrets.token_hex(12), project, url, f"whsec_{key}", wanted, datetime.now(UTC))
    connection.execute(
        insert(webhooks).values(
            bucket=bucket_of(project),
            project=project,
            id=made.id,
            url=url,
            # As it is, not as a digest like an API key: that only has to be recognised, with this every delivery is
            # signed. Whoever can read the database can read it; the receiver has it anyway.
            secret=made.secret,
            events=msgspec.json.encode(wanted).decode(),
            created_at=made.created_at,
        )
    )
    return made


def remove(connection: Connection, project: str, webhook_id: str) -> None:
    """Delete a webhook. Raises NotFound."""
    if connection.execute(delete(webhooks).where(_of(project), webhooks.c.id == webhook_id)).rowcount == 0:
        raise NotFound(f"webhook {webhook_id!r} does not exist in project {project!r}", webhook_id=webhook_id)


def _of(project: str) -> ColumnElement[bool]:
    return (webhooks.c.bucket == bucket_of(project)) & (webhooks.c.project == project)


def _webhook(row: Row[Any]) -> Webhook:
    return Webhook(
        id=row.id,
        project=row.project,
        url=row.url,
        secret=row.secret,
        events=msgspec.json.decode(row.events, type=tuple[WebhookEvent, ...]),
        created_at=log.utc(row.created_at),
    )
