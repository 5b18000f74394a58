"""`/api/v1/webhooks` and `/api/v1/dead-letters`: whom to tell when an import has ended, and what could not be told."""

from datetime import datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from omnikeywords.api.catalogue import DATABASE_PROBLEMS, Catalogue, allowed, json_reply, part_of
from omnikeywords.api.guard import Call, Reply, read_body
from omnikeywords.api.jobs import JobObject, job_object
from omnikeywords.api.paging import Pages, page
from omnikeywords.api.reading import check_json, decode_json, read_query
from omnikeywords.api.route import Answer, Route
from omnikeywords.api.schemas import (
    BODY_PROBLEMS,
    PARTS,
    PageQuery,
    ProjectName,
    ProjectQuery,
    Total,
    TotalIsExact,
)
from omnikeywords.catalog.webhooks import Webhook, WebhookEvent
from omnikeywords.webhooks import DeadLetter

__all__ = ["webhook_routes"]

_DEAD_LETTERS = Pages("dead_letters", Annotated[str, Meta(pattern=PARTS["delivery_id"].pattern)])


class NewWebhook(Struct, frozen=True, forbid_unknown_fields=True):
    """A webhook to make."""

    url: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=2048,
            description="Where to send: https, to a public address.",
            examples=["https://hooks.example.com/okf"],
        ),
    ]
    project: Annotated[
        ProjectName | None, Meta(description="Whose imports; left out: the key's only one, else `default`.")
    ] = None
    events: Annotated[
        list[WebhookEvent], Meta(max_length=len(WebhookEvent), description="What it is told; empty: all of them.")
    ] = []


class WebhookObject(Struct, frozen=True):
    """A webhook as it stands, without its secret."""

    id: Annotated[str, Meta(examples=[PARTS["webhook_id"].example])]
    project: str
    url: str
    events: list[WebhookEvent]
    created_at: datetime


class MadeWebhook(WebhookObject, frozen=True):
    """A webhook that was just made."""

    secret: Annotated[str, Meta(description="Signs what is sent. Shown here once, and never again.")]


class WebhookList(Struct, frozen=True):
    """The webhooks of a project, the oldest first; it has so few that they are one page."""

    webhooks: list[WebhookObject]
    total: Total
    total_is_exact: TotalIsExact
    next_cursor: None


class DeadLetterObject(Struct, frozen=True):
    """A message that was tried for a day and could not be delivered."""

    id: Annotated[str, Meta(description="By which it is sent once more; its job has the same.")]
    webhook_id: str
    message_id: Annotated[str, Meta(description="`webhook-id` of the message.")]
    event: WebhookEvent
    error: Annotated[str, Meta(description="Of the last try.")]
    failed_at: datetime


class DeadLetterList(Struct, frozen=True):
    """Dead letters, the newest first."""

    dead_letters: list[DeadLetterObject]
    total: Total
    total_is_exact: TotalIsExact
    next_cursor: str | None


class Webhooks:
    """The endpoints."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._finder = catalogue.finder
        self._run = catalogue.threads.run
        self._most_bytes = catalogue.settings.max_body_bytes
        self._seconds = catalogue.seconds
        self._new = msgspec.json.Decoder(NewWebhook)

    async def list(self, call: Call) -> Reply:
        asked, _ = read_query(call, ProjectQuery)
        there = await self._run(self._finder.webhooks.all, allowed(call, "admin", asked.project))
        return json_reply(page("webhooks", [_object(one) for one in there], len(there), None))

    async def create(self, call: Call) -> Reply:
        call.caller.must("admin")
        check_json(call)
        asked = decode_json(await read_body(call, self._most_bytes, self._seconds), self._new)
        project = call.caller.project(asked.project)
        made = await self._run(self._finder.webhooks.create, project, asked.url, asked.events)
        where = f"/api/v1/webhooks/{made.id}?project={project}".encode()
        return json_reply({**_object(made), "secret": made.secret}, 201, ((b"location", where),))

    async def show(self, call: Call) -> Reply:
        return json_reply(_object(await self._run(self._finder.webhooks.find, *self._asked(call, "webhook_id"))))

    async def delete(self, call: Call) -> Reply:
        await self._run(self._finder.webhooks.delete, *self._asked(call, "webhook_id"))
        return Reply(b"", 204)

    async def dead(self, call: Call) -> Reply:
        asked, _ = read_query(call, PageQuery)
        project = allowed(call, "admin", asked.project)
        (before,) = _DEAD_LETTERS.behind(asked.cursor) or (None,)
        return await self._run(self._dead, project, asked.limit, before)

    def _dead(self, project: str, limit: int, before: str | None) -> Reply:
        found = self._finder.webhooks.dead_letters(project, limit + 1, before)
        total = self._finder.webhooks.count_dead_letters(project)
        return json_reply(
            _DEAD_LETTERS.page(found, limit, total, place=lambda letter: (letter.job_id,), shown=_dead_letter)
        )

    async def redeliver(self, call: Call) -> Reply:
        return json_reply(
            job_object(await self._run(self._finder.webhooks.redeliver, *self._asked(call, "delivery_id")))
        )

    def _asked(self, call: Call, part: str) -> tuple[str, str]:
        asked, _ = read_query(call, ProjectQuery)
        project = allowed(call, "admin", asked.project)
        return part_of(call, part), project


def _object(webhook: Webhook) -> dict[str, Any]:
    return {
        "id": webhook.id,
        "project": webhook.project,
        "url": webhook.url,
        "events": webhook.events,
        "created_at": webhook.created_at,
    }


def _dead_letter(letter: DeadLetter) -> dict[str, Any]:
    return {
        "id": letter.job_id,
        "webhook_id": letter.webhook_id,
        "message_id": letter.message_id,
        "event": letter.event,
        "error": letter.error,
        "failed_at": letter.failed_at,
    }


def webhook_routes(catalogue: Catalogue) -> list[Route]:
    """The endpoints, bound to what answers them."""
    webhooks = Webhooks(catalogue)
    one = "/api/v1/webhooks/{webhook_id}"
    asked_wrongly = ("invalid_request", *DATABASE_PROBLEMS)
    return [
        Route(
            "GET",
            "/api/v1/webhooks",
            webhooks.list,
            "listWebhooks",
            "webhooks",
            "List webhooks",
            "Of a project, the oldest first, without their secrets. Needs scope `admin`.",
            asks=ProjectQuery,
            answers={200: Answer("All of them.", WebhookList)},
            problems=asked_wrongly,
        ),
        Route(
            "POST",
            "/api/v1/webhooks",
            webhooks.create,
            "createWebhook",
            "webhooks",
            "Make a webhook",
            "The answer holds the secret that signs what is sent, this once. A project has 20 at most. Needs scope "
            "`admin`.",
            takes=NewWebhook,
            example={"url": "https://hooks.example.com/okf", "events": ["import.completed"]},
            answers={201: Answer("It is made.", MadeWebhook, headers={"location": "Where it is."})},
            problems=(*BODY_PROBLEMS, "conflict", "invalid_option", *DATABASE_PROBLEMS),
        ),
        Route(
            "GET",
            one,
            webhooks.show,
            "getWebhook",
            "webhooks",
            "Show a webhook",
            "Without its secret. Needs scope `admin`.",
            asks=ProjectQuery,
            answers={200: Answer("The webhook.", WebhookObject)},
            problems=asked_wrongly,
        ),
        Route(
            "DELETE",
            one,
            webhooks.delete,
            "deleteWebhook",
            "webhooks",
            "Delete a webhook",
            "Nothing more is sent to it, not what waits to be sent either. Needs scope `admin`.",
            asks=ProjectQuery,
            answers={204: Answer("It is gone.", media=None)},
            problems=asked_wrongly,
        ),
        Route(
            "GET",
            "/api/v1/dead-letters",
            webhooks.dead,
            "listDeadLetters",
            "webhooks",
            "List dead letters",
            "What was tried for a day and could not be delivered, the newest first. Needs scope `admin`.",
            asks=PageQuery,
            answers={200: Answer("A page of them.", DeadLetterList)},
            problems=asked_wrongly,
        ),
        Route(
            "POST",
            "/api/v1/dead-letters/{delivery_id}/redeliver",
            webhooks.redeliver,
            "redeliverDeadLetter",
            "webhooks",
            "Send a dead letter once more",
            "With all its tries before it. Needs scope `admin`.",
            asks=ProjectQuery,
            answers={200: Answer("The job that sends it.", JobObject)},
            problems=("conflict", *asked_wrongly),
        ),
    ]
