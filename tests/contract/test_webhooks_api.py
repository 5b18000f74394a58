"""Webhooks over HTTP: made, listed, deleted, and what could not be delivered sent once more, on both databases."""

from collections.abc import Iterator

import pytest

from omnikeywords.jobs import Retry
from omnikeywords.webhooks import DELIVER, Deliveries, Sender
from omnikeywords.workflows import Workflows
from tests.conftest import Place
from tests.contract.test_api import assert_problem
from tests.contract.test_catalogue_api import Api, kind
from tests.servers.receiver import Receiver, receiver

__all__ = ["kind"]

NONE = "w1" + "0" * 24


@pytest.fixture
def api(place: Place) -> Iterator[Api]:
    made = Api(place, OKF_WEBHOOK_ALLOW_LOOPBACK="on")
    yield made
    made.finder.close()


@pytest.fixture
def kept() -> Iterator[Receiver]:
    with receiver() as running:
        yield running


def test_one_is_made_shown_listed_and_deleted(api: Api) -> None:
    made = api.ask("POST", "/webhooks", json={"url": "https://1.1.1.1/hook", "events": ["import.withdrawn"]})
    assert made.status_code == 201, made.text
    found = made.json()
    assert found.pop("secret").startswith("whsec_")
    assert (found["project"], found["url"], found["events"]) == (
        "default",
        "https://1.1.1.1/hook",
        ["import.withdrawn"],
    )
    assert made.headers["location"] == f"/api/v1/webhooks/{found['id']}?project=default"
    assert api.get(f"/webhooks/{found['id']}") == found, "without its secret"
    every = api.ask("POST", "/webhooks", json={"url": "https://1.1.1.1/all"}).json()
    assert every["events"] == ["import.completed", "import.withdrawn"]
    listed = api.get("/webhooks")
    assert [one["id"] for one in listed["webhooks"]] == [found["id"], every["id"]]
    assert (listed["total"], listed["total_is_exact"], listed["next_cursor"]) == (2, True, None)
    assert "whsec_" not in str(listed)
    assert api.ask("DELETE", f"/webhooks/{found['id']}").status_code == 204
    assert_problem(api.ask("GET", f"/webhooks/{found['id']}"), 404, "not_found")
    assert_problem(api.ask("DELETE", f"/webhooks/{found['id']}"), 404, "not_found")


def test_what_cannot_be_is_refused(api: Api) -> None:
    for url in ("https://10.0.0.1/hook", "ftp://1.1.1.1/", "hook"):
        assert_problem(api.ask("POST", "/webhooks", json={"url": url}), 422, "invalid_option")
    wrong = api.ask("POST", "/webhooks", json={"url": "https://1.1.1.1/", "events": ["import.begun"]})
    assert_problem(wrong, 422, "invalid_request")
    assert wrong.json()["detail"].endswith("use import.completed, import.withdrawn")
    assert_problem(api.ask("POST", "/webhooks", json={}), 422, "invalid_request")
    elsewhere = api.ask("POST", "/webhooks", json={"url": "https://1.1.1.1/", "project": "none"})
    assert_problem(elsewhere, 404, "not_found")
    assert_problem(api.ask("GET", "/webhooks", params={"project": "none"}), 404, "not_found")
    assert_problem(api.ask("GET", f"/webhooks/{NONE}"), 404, "not_found")
    assert_problem(api.ask("GET", "/webhooks/rubbish"), 404, "not_found")
    for number in range(20):
        assert api.ask("POST", "/webhooks", json={"url": f"https://1.1.1.1/{number}"}).status_code == 201
    assert_problem(api.ask("POST", "/webhooks", json={"url": "https://1.1.1.1/21"}), 409, "conflict")


def test_dead_letters_are_listed_page_by_page_and_sent_once_more(api: Api, kept: Receiver) -> None:
    database = api.finder.catalogue.database_of("default")
    quick = Deliveries(database, Sender(allow_loopback=True), Retry(tries=1, first_s=0.01))
    api.finder.catalogue.fleet._workflows["first"] = Workflows(database, deliveries=quick)
    webhook = api.ask("POST", "/webhooks", json={"url": kept.url}).json()
    first, second = api.imported(b"keyword\nboots\n"), api.imported(b"keyword\nshoes\n")
    assert api.get("/dead-letters")["dead_letters"] == [], "nothing was tried yet"
    kept.answers = [500, 503]
    waiting = [job.id for job in api.finder.jobs.newest("default") if job.kind == DELIVER]
    for job_id in reversed(waiting):
        api.finder.jobs.run(job_id)
    page = api.get("/dead-letters", limit=1)
    (letter,) = page["dead_letters"]
    assert letter.pop("failed_at").endswith("Z")
    assert letter == {
        "id": waiting[0],
        "webhook_id": webhook["id"],
        "message_id": f"msg_{second}_completed",
        "event": "import.completed",
        "error": "the receiver answered 503",
    }
    rest = api.get("/dead-letters", limit=1, cursor=page["next_cursor"])
    assert [one["message_id"] for one in rest["dead_letters"]] == [f"msg_{first}_completed"]
    assert (rest["total"], rest["next_cursor"]) == (2, None)

    again = api.ask("POST", f"/dead-letters/{waiting[0]}/redeliver")
    assert (again.status_code, again.json()["id"], again.json()["state"]) == (200, waiting[0], "queued")
    api.finder.jobs.run(waiting[0])
    assert kept.received[-1][0]["webhook-id"] == f"msg_{second}_completed"
    assert [one["id"] for one in api.get("/dead-letters")["dead_letters"]] == [waiting[1]]
    assert_problem(api.ask("POST", f"/dead-letters/{waiting[0]}/redeliver"), 409, "conflict")


def test_what_is_no_dead_letter_is_not_sent(api: Api) -> None:
    begun = api.upload()
    assert_problem(api.ask("POST", f"/dead-letters/{begun['job_id']}/redeliver"), 404, "not_found")
    assert_problem(api.ask("POST", "/dead-letters/rubbish/redeliver"), 404, "not_found")
    assert_problem(api.ask("GET", "/dead-letters", params={"cursor": "xyz"}), 422, "invalid_request")
