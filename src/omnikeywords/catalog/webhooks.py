"""Webhooks: where a project wants word of its imports sent, and the deliveries that failed for good.

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
from sqlalchemy import ColumnElement, Row, Table, delete, func, insert, select, update

from omnikeywords.catalog import log
from omnikeywords.catalog.projects import bucket_of
from omnikeywords.catalog.tables import dead_letters, webhooks
from omnikeywords.db import Connection, Database
from omnikeywords.errors import Conflict, InvalidOption, NotFound

__all__ = [
    "DeadLetter",
    "Webhook",
    "WebhookEvent",
    "add",
    "bury",
    "disable",
    "enable",
    "events_of",
    "find",
    "list_dead_letters",
    "list_webhooks",
    "look",
    "remove",
    "take",
    "wanting",
]

_MOST = 50  # of one project: each import is sent to every one of them
_SECRET_BYTES = 32


class WebhookEvent(StrEnum):
    """What a webhook may be told."""

    COMPLETED = "import.completed"  # every row is in the catalogue and can be asked for
    WITHDRAWN = "import.withdrawn"  # cancelled, or taken back by a person: it counts nowhere
    FAILED = "import.failed"  # it could not be done, and counts nowhere


@dataclass(frozen=True, slots=True)
class Webhook:
    """A webhook as it stands."""

    id: str
    project: str
    url: str
    secret: str = field(repr=False)  # `whsec_` and base64. To be shown when it is made, and never again
    events: tuple[WebhookEvent, ...]
    created_at: datetime
    disabled_at: datetime | None = None  # nothing is sent to it since
    disabled_reason: str | None = None


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A delivery that failed for good."""

    id: str
    project: str
    webhook_id: str
    message_id: str  # by which the receiver tells it from others, however often it is sent
    event: str
    body: str  # JSON, as it was sent
    attempts: int
    error: str  # of the last of them
    failed_at: datetime


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
    with database.read(project) as connection:
        rows = connection.execute(select(webhooks).where(_of(webhooks, project)))
        return sorted((_webhook(row) for row in rows), key=lambda webhook: (webhook.created_at, webhook.id))


def find(connection: Connection, project: str, webhook_id: str) -> Webhook:
    """One webhook. Raises NotFound."""
    found = look(connection, project, webhook_id)
    if found is None:
        raise NotFound(f"webhook {webhook_id!r} does not exist in project {project!r}", webhook_id=webhook_id)
    return found


def look(connection: Connection, project: str, webhook_id: str, *, keep: bool = False) -> Webhook | None:
    """One webhook, or None; with `keep` nobody removes it before this transaction ends."""
    wanted = select(webhooks).where(_of(webhooks, project, webhook_id))
    row = connection.execute(wanted.with_for_update() if keep else wanted).one_or_none()
    return None if row is None else _webhook(row)


def wanting(connection: Connection, project: str, event: WebhookEvent) -> list[Webhook]:
    """The webhooks that are to be told of an event."""
    rows = connection.execute(select(webhooks).where(_of(webhooks, project), webhooks.c.disabled_at.is_(None)))
    return [webhook for webhook in map(_webhook, rows) if event in webhook.events]


def add(connection: Connection, project: str, url: str, events: Collection[str] = ()) -> Webhook:
    """Make a webhook with a secret of its own; the URL was checked by whoever will send to it.

    Raises InvalidOption for an unknown event, Conflict where there are too many.
    """
    wanted = events_of(events)
    there = connection.execute(select(func.count()).select_from(webhooks).where(_of(webhooks, project))).scalar_one()
    if there >= _MOST:
        raise Conflict(f"project {project!r} has {there} webhooks, the most there may be: remove one", limit=_MOST)
    key = base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()
    made = Webhook("w1" + secrets.token_hex(12), project, url, f"whsec_{key}", wanted, datetime.now(UTC))
    connection.execute(
        insert(webhooks).values(
            bucket=bucket_of(project),
            project=project,
            id=made.id,
            url=url,
            # As it is, not as a digest like a password or an API key: those only have to be recognised, with this one
            # every delivery is signed. Whoever can read the database can read it; the receiver has it anyway.
            secret=made.secret,
            events=msgspec.json.encode(wanted).decode(),
            created_at=made.created_at,
        )
    )
    return made


def remove(connection: Connection, project: str, webhook_id: str) -> None:
    """Delete a webhook with its dead letters. Raises NotFound."""
    if connection.execute(delete(webhooks).where(_of(webhooks, project, webhook_id))).rowcount == 0:
        find(connection, project, webhook_id)
    connection.execute(delete(dead_letters).where(_of(dead_letters, project), dead_letters.c.webhook_id == webhook_id))


def disable(connection: Connection, project: str, webhook_id: str, reason: str) -> None:
    """Send nothing to a webhook from now on; one that is disabled already stays as it is."""
    which = _of(webhooks, project, webhook_id) & webhooks.c.disabled_at.is_(None)
    connection.execute(update(webhooks).where(which).values(disabled_at=datetime.now(UTC), disabled_reason=reason))


def enable(connection: Connection, project: str, webhook_id: str) -> None:
    """Send to a webhook again."""
    values = {"disabled_at": None, "disabled_reason": None}
    connection.execute(update(webhooks).where(_of(webhooks, project, webhook_id)).values(values))


def bury(connection: Connection, webhook: Webhook, message_id: str, event: str, body: str, tries: int, why: str) -> str:
    """Put a delivery that failed for good on the list; returns its id there."""
    letter_id = "d1" + secrets.token_hex(12)
    connection.execute(
        insert(dead_letters).values(
            bucket=bucket_of(webhook.project),
            project=webhook.project,
            id=letter_id,
            webhook_id=webhook.id,
            message_id=message_id,
            event=event,
            body=body,
            attempts=tries,
            error=why,
            failed_at=datetime.now(UTC),
        )
    )
    return letter_id


def list_dead_letters(database: Database, project: str, most: int = 1000) -> list[DeadLetter]:
    """Deliveries of a project that failed for good, the newest first."""
    d = dead_letters.c
    wanted = select(dead_letters).where(_of(dead_letters, project)).order_by(d.failed_at.desc(), d.id).limit(most)
    with database.read(project) as connection:
        return [_letter(row) for row in connection.execute(wanted)]


def take(connection: Connection, project: str, letter_id: str) -> DeadLetter:
    """Take a delivery off the list, to be sent again in the same transaction. Raises NotFound."""
    wanted = delete(dead_letters).where(_of(dead_letters, project, letter_id)).returning(dead_letters)
    row = connection.execute(wanted).one_or_none()
    if row is None:
        raise NotFound(f"dead letter {letter_id!r} does not exist in project {project!r}", letter_id=letter_id)
    return _letter(row)


def _of(table: Table, project: str, id: str | None = None) -> ColumnElement[bool]:
    which = (table.c.bucket == bucket_of(project)) & (table.c.project == project)
    return which if id is None else which & (table.c.id == id)


def _webhook(row: Row[Any]) -> Webhook:
    return Webhook(
        id=row.id,
        project=row.project,
        url=row.url,
        secret=row.secret,
        events=msgspec.json.decode(row.events, type=tuple[WebhookEvent, ...]),
        created_at=log.utc(row.created_at),
        disabled_at=None if row.disabled_at is None else log.utc(row.disabled_at),
        disabled_reason=row.disabled_reason,
    )


def _letter(row: Row[Any]) -> DeadLetter:
    return DeadLetter(
        id=row.id,
        project=row.project,
        webhook_id=row.webhook_id,
        message_id=row.message_id,
        event=row.event,
        body=row.body,
        attempts=row.attempts,
        error=row.error,
        failed_at=log.utc(row.failed_at),
    )
