"""Deliveries: a durable job for each message to each webhook, so that none is lost with the process that sends it.

A delivery is tried for the better part of a day, with growing pauses. One that failed for good is a dead letter: its
job, which has failed, is remembered as long as jobs are and can be begun again. A receiver may get a message twice, as
a process can be killed between sending and writing that down; its `webhook-id` is the same then.
"""

import time
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from omnikeywords import errors
from omnikeywords.catalog import webhooks
from omnikeywords.catalog.imports import Import
from omnikeywords.catalog.projects import bucket_of
from omnikeywords.catalog.webhooks import WebhookEvent
from omnikeywords.db import Connection, Database
from omnikeywords.errors import NotFound
from omnikeywords.jobs import Context, Job, JobState, Retry, Saga, Step, count_jobs, list_jobs, retry, start, status
from omnikeywords.webhooks.sender import Sender
from omnikeywords.webhooks.signature import signed_headers

__all__ = ["DELIVER", "PAUSES", "DeadLetter", "Deliveries"]

DELIVER = "deliver_webhook"  # the saga's kind
# 5 s, 30 s, 3 min, 18 min, 1.8 h, 6 h, 6 h, each up to a fifth shorter: a receiver may be down over a night.
PAUSES = Retry(tries=8, first_s=5, factor=6, most_s=21_600, jitter=0.2)
_USER_AGENT = "omnikeywords-webhooks/1"
_CODES = frozenset(getattr(errors, name).code for name in errors.__all__)
_EVENTS = {"completed": WebhookEvent.COMPLETED, "withdrawn": WebhookEvent.WITHDRAWN}  # by state of an import


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A delivery that failed for good."""

    job_id: str  # by which it is redelivered
    webhook_id: str
    message_id: str  # `webhook-id` of the message
    event: str
    error: str  # of the last try
    failed_at: datetime


class Deliveries:
    """The deliveries of one database."""

    def __init__(self, database: Database, sender: Sender, pauses: Retry = PAUSES) -> None:
        self._database = database
        self._sender = sender
        self.saga = Saga(DELIVER, [Step("deliver", self._deliver, retry=pauses)])

    def check(self, url: str) -> None:
        """Refuse a URL that can never be sent to. Raises InvalidOption."""
        self._sender.check(url)

    def announce(self, connection: Connection, ended: Import) -> None:
        """Begin to tell the project's webhooks that an import has ended, in the transaction in which it does."""
        event = _EVENTS[ended.state]
        message_id = f"msg_{ended.id}_{ended.state}"
        wanting = webhooks.wanting(connection, ended.project, event)
        body = _body(event, ended) if wanting else ""
        for webhook in wanting:
            start(
                connection,
                self.saga,
                {"webhook_id": webhook.id, "message_id": message_id, "event": event.value, "body": body},
                project=ended.project,
                bucket=bucket_of(ended.project),
            )

    def dead(self, project: str, limit: int = 50, before: str | None = None) -> list[DeadLetter]:
        """Deliveries of a project that failed for good, the newest first; `before` is the job of the last one of the
        page before."""
        which: dict[str, Any] = {"kinds": [DELIVER], "states": [JobState.FAILED]}
        with self._database.read(project) as connection:
            failed = list_jobs(connection, project=project, limit=limit, before=before, **which)
        return [_letter(job) for job in failed]

    def count_dead(self, project: str) -> int:
        """How many of them there are."""
        with self._database.read(project) as connection:
            return count_jobs(connection, project, kinds=[DELIVER], states=[JobState.FAILED])

    def redeliver(self, connection: Connection, project: str, job_id: str) -> Job:
        """Send a dead letter once more, with all its tries before it. Raises NotFound, Conflict where it is none."""
        if status(connection, job_id, project).kind != DELIVER:
            raise NotFound(f"job {job_id} is no delivery: `okf webhooks dead` lists those that failed", job=job_id)
        return retry(connection, job_id, project)

    def _deliver(self, context: Context) -> dict[str, Any]:
        message = context.input
        webhook = webhooks.look(self._database, context.project, message["webhook_id"])
        if webhook is None:
            return {"sent": False}  # it was deleted since, and nobody waits for this
        context.heartbeat()
        body = message["body"].encode()
        headers = {
            "content-type": "application/json",
            "user-agent": _USER_AGENT,
            **signed_headers(webhook.secret, message["message_id"], int(time.time()), body),
        }
        return {"sent": True, "status": self._sender.post(webhook.url, headers, body)}


def _body(event: WebhookEvent, ended: Import) -> str:
    """What is sent, byte for byte, however often. Nothing that a file said, nor its name: jobs outlive an import that
    is deleted."""
    data = {
        "project": ended.project,
        "import_id": ended.id,
        "job_id": ended.job_id,
        "state": ended.state,
        "reason": _reason(ended.reason),
        "rows": ended.rows,
        "skipped": ended.skipped,
        "started_at": ended.started_at,
    }
    return msgspec.json.encode({"type": event.value, "timestamp": ended.ended_at, "data": data}).decode()


def _reason(said: str | None) -> str | None:
    """Why an import counts nowhere: an error by its code alone, as its words quote files; what people said as it is."""
    code, colon, _ = (said or "").partition(": ")
    return code if colon and code in _CODES else said


def _letter(job: Job) -> DeadLetter:
    assert job.failure is not None
    assert job.ended_at is not None
    return DeadLetter(
        job_id=job.id,
        webhook_id=job.input["webhook_id"],
        message_id=job.input["message_id"],
        event=job.input["event"],
        error=job.failure.message,
        failed_at=job.ended_at,
    )
