"""Whoever wants to know is told when an import has ended, on every database, until it is heard or given up."""

import base64
import contextlib
import hashlib
import hmac
import json
from collections.abc import Iterator

import pytest

from omnikeywords.catalog import projects
from omnikeywords.catalog.projects import Project
from omnikeywords.db import Database
from omnikeywords.errors import Conflict, InvalidOption, NotFound
from omnikeywords.finder import Finder
from omnikeywords.finder.imports import Importing
from omnikeywords.jobs import Job, JobState, Retry
from omnikeywords.settings import Settings
from omnikeywords.webhooks import DELIVER, Deliveries, Sender
from omnikeywords.workflows import Workflows
from tests.conftest import Place
from tests.servers.receiver import Receiver, receiver

CSV = b"keyword,volume\nboots,5\nshoes,7\n,1\n"


@pytest.fixture
def finder(place: Place, database: Database) -> Finder:
    """One whose deliveries are tried three times, without long pauses."""
    made = Finder(Settings.load({"OKF_DATABASE_URL": place.url, "OKF_JOB_POLL_MS": "20"}))
    made.catalogue._first = database
    quick = Deliveries(database, Sender(allow_loopback=True), Retry(tries=3, first_s=0.01))
    made.catalogue.fleet._workflows["first"] = Workflows(database, deliveries=quick)
    with database.write("shop") as connection:
        projects.create(connection, Project("shop"), "ana")
    return made


@pytest.fixture
def kept() -> Iterator[Receiver]:
    with receiver() as running:
        yield running


def bring(finder: Finder, content: bytes = CSV) -> Importing:
    given = finder.imports.start(content, name="may.csv", project="shop", actor="ana")
    assert finder.jobs.run(given.job_id).state in (JobState.COMPLETED, JobState.FAILED)
    return given


def deliver(finder: Finder) -> list[Job]:
    """Run every delivery that waits to its end; returns all there are, the oldest first."""
    waiting = [job.id for job in finder.jobs.newest("shop") if job.kind == DELIVER]
    return [finder.jobs.run(job_id) for job_id in reversed(waiting)]


def test_a_completed_import_is_told_once_and_signed(finder: Finder, kept: Receiver) -> None:
    webhook = finder.webhooks.create("shop", kept.url)
    given = bring(finder)
    assert kept.received == [], "nothing is sent before the import has ended"
    assert [job.state for job in deliver(finder)] == [JobState.COMPLETED]
    ((headers, body),) = kept.received
    assert kept.paths == ["/hook?to=ana"]
    assert headers["content-type"] == "application/json"
    assert headers["webhook-id"] == f"msg_{given.import_id}_completed"
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    key = base64.b64decode(webhook.secret.removeprefix("whsec_"))
    expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"
    told = json.loads(body)
    found = finder.imports.find(given.import_id, "shop")
    assert found.ended_at is not None
    assert told.pop("timestamp") == found.ended_at.isoformat().replace("+00:00", "Z")
    assert told["data"].pop("started_at") == found.started_at.isoformat().replace("+00:00", "Z")
    assert told == {
        "type": "import.completed",
        "data": {
            "project": "shop",
            "import_id": given.import_id,
            "job_id": given.job_id,
            "state": "completed",
            "reason": None,
            "rows": found.rows,
            "skipped": found.skipped,
        },
    }


def test_a_receiver_that_fails_is_tried_again_with_the_same_message(finder: Finder, kept: Receiver) -> None:
    finder.webhooks.create("shop", kept.url)
    bring(finder)
    kept.answers = [500, 503]
    assert [job.state for job in deliver(finder)] == [JobState.COMPLETED]
    assert len(kept.received) == 3
    assert len({(headers["webhook-id"], body) for headers, body in kept.received}) == 1
    assert finder.webhooks.dead_letters("shop") == []


def test_what_cannot_be_delivered_is_a_dead_letter_and_can_be_redelivered(finder: Finder, kept: Receiver) -> None:
    webhook = finder.webhooks.create("shop", kept.url)
    given = bring(finder)
    kept.answers = [500, 500, 500]
    assert [job.state for job in deliver(finder)] == [JobState.FAILED]
    (letter,) = finder.webhooks.dead_letters("shop")
    assert (letter.webhook_id, letter.event) == (webhook.id, "import.completed")
    assert letter.message_id == f"msg_{given.import_id}_completed"
    assert letter.error == "the receiver answered 500"
    assert finder.imports.find(given.import_id, "shop").state == "completed", "the import has nothing to do with it"

    finder.webhooks.redeliver(letter.job_id, "shop")
    assert finder.webhooks.dead_letters("shop") == []
    with pytest.raises(Conflict):
        finder.webhooks.redeliver(letter.job_id, "shop")
    assert [job.state for job in deliver(finder)] == [JobState.COMPLETED]
    assert [headers["webhook-id"] for headers, _ in kept.received] == [letter.message_id] * 4
    with pytest.raises(NotFound, match="is no delivery"):
        finder.webhooks.redeliver(given.job_id, "shop")


def test_withdrawn_imports_are_told_once_whatever_the_way(finder: Finder, kept: Receiver) -> None:
    finder.webhooks.create("shop", kept.url, ["import.withdrawn"])
    taken_back, erased = bring(finder), bring(finder, CSV + b"more,1\n")
    refused = bring(finder, b"\x89PNG\r\n\x1a\n")
    assert finder.imports.find(refused.import_id, "shop").state == "withdrawn"
    cancelled = finder.imports.start(CSV + b"other,1\n", name="june.csv", project="shop", actor="ana")
    finder.jobs.steer("cancel", cancelled.job_id)
    for take_back in (finder.imports.withdraw, finder.imports.delete, finder.imports.delete):
        take_back(taken_back.import_id, "shop", "ana", "a mistake")
    finder.imports.delete(erased.import_id, "shop", "ana")
    deliver(finder)
    told = [json.loads(body) for _, body in kept.received]
    assert {each["type"] for each in told} == {"import.withdrawn"}
    reasons = {each["data"]["import_id"]: each["data"]["reason"] for each in told}
    assert sorted(reasons) == sorted(each.import_id for each in (taken_back, erased, refused, cancelled))
    assert len(told) == 4
    assert reasons[taken_back.import_id] == "a mistake"
    assert reasons[refused.import_id] == "unreadable_export", "by its code: the words would quote the file's name"
    assert reasons[cancelled.import_id] == "cancelled: before it began"


def test_nobody_is_told_what_was_not_kept(finder: Finder, kept: Receiver, database: Database) -> None:
    finder.webhooks.create("shop", kept.url)
    given = finder.imports.start(CSV, name="may.csv", project="shop", actor="ana")
    with contextlib.suppress(ZeroDivisionError), database.write("shop") as connection:
        finder.catalogue.fleet.workflows("first").withdraw_import(
            connection, "shop", given.import_id, "a mistake", "ana"
        )
        raise ZeroDivisionError
    assert finder.imports.find(given.import_id, "shop").state == "running"
    assert deliver(finder) == []


def test_a_deleted_webhook_is_sent_nothing_more(finder: Finder, kept: Receiver) -> None:
    webhook = finder.webhooks.create("shop", kept.url)
    bring(finder)
    finder.webhooks.delete(webhook.id, "shop")
    assert [job.state for job in deliver(finder)] == [JobState.COMPLETED]
    assert kept.received == []
    with pytest.raises(NotFound):
        finder.webhooks.delete(webhook.id, "shop")


def test_an_address_that_became_private_is_given_up_at_once(finder: Finder, kept: Receiver, database: Database) -> None:
    finder.webhooks.create("shop", kept.url)
    bring(finder)
    finder.catalogue.fleet._workflows["first"] = Workflows(database, deliveries=Deliveries(database, Sender()))
    assert [job.state for job in deliver(finder)] == [JobState.FAILED]
    assert "begin with https" in finder.webhooks.dead_letters("shop")[0].error
    assert kept.received == []


def test_webhooks_are_of_their_project_and_go_with_it(finder: Finder, kept: Receiver) -> None:
    webhook = finder.webhooks.create("shop", kept.url)
    assert [each.id for each in finder.webhooks.all("shop")] == [webhook.id]
    finder.projects.create("other", "ana")
    assert finder.webhooks.all("other") == []
    finder.projects.delete("shop", "ana")
    with pytest.raises(NotFound):
        finder.webhooks.all("shop")
    finder.projects.create("shop", "ana")
    assert finder.webhooks.all("shop") == []


def test_a_webhook_needs_a_project_an_allowed_url_and_known_events(finder: Finder, kept: Receiver) -> None:
    with pytest.raises(NotFound):
        finder.webhooks.create("nowhere", kept.url)
    with pytest.raises(InvalidOption, match="not public"):
        finder.webhooks.create("shop", "https://169.254.169.254/latest/meta-data")
    with pytest.raises(InvalidOption, match=r"'import.eaten' is unknown: use import.completed, import.withdrawn"):
        finder.webhooks.create("shop", kept.url, ["import.eaten"])
    for _ in range(20):
        finder.webhooks.create("shop", kept.url)
    with pytest.raises(Conflict, match="delete one"):
        finder.webhooks.create("shop", kept.url)
