"""Keywords imported without a file: the same import as of a file that says the same, on both databases."""

from typing import Any

import httpx
import pytest

from tests.contract.test_api import assert_problem
from tests.contract.test_catalogue_api import Api, api, kind

__all__ = ["api", "kind"]

SHOES: dict[str, Any] = {
    "keyword": "buy red shoes",
    "volume": 1300,
    "cpc": 0.8,
    "currency": "BRL",
    "difficulty": 31,
    "serp_features": ["images", "a|b"],
    "monthly_searches": {"2026-04": 1200, "2026-05": None},
    "period_start": "2026-04-01",
    "period_end": "2026-04-30",
    "extra": {"Team": "=spring"},
}


def send(api: Api, body: Any, **more: Any) -> httpx.Response:
    return api.ask("POST", "/imports", json=body, **more)


def test_phrases_and_what_is_known_of_them_become_keywords(api: Api) -> None:
    begun = send(api, {"keywords": ["blue hats", SHOES], "project": "shop", "market": "pt-BR", "date": "2026-05"})
    assert begun.status_code == 202, begun.text
    assert begun.headers["location"] == f"/api/v1/imports/{begun.json()['id']}?project=shop"
    assert begun.json()["name"] == "keywords.jsonl"
    assert api.finder.jobs.run(begun.json()["job_id"]).state == "completed"
    found = api.get(f"/imports/{begun.json()['id']}", project="shop")
    assert (found["state"], found["tool"], found["market"]) == ("completed", "okf", "pt-BR")
    assert (found["progress"]["rows_kept"], found["progress"]["rows_skipped"]) == (2, 0)
    shown = {one["keyword"]: one for one in api.get("/keywords", project="shop")["keywords"]}
    assert set(shown) == {"blue hats", "buy red shoes"}
    shoes = shown["buy red shoes"]
    assert (shoes["volume"], shoes["cpc"], shoes["currency"], shoes["market"]) == (1300, 0.8, "BRL", "pt-BR")
    assert (shoes["vendor_difficulty"], shoes["serp_features"]) == (31, ["images", "a|b"])
    assert shoes["monthly_searches"] == {"2026-04": 1200, "2026-05": None}
    assert shoes["extra"] == {"Team": "=spring"}
    days = {name: (one["period_start"], one["period_end"]) for name, one in shown.items()}
    assert days == {"blue hats": ("2026-05-01", "2026-05-31"), "buy red shoes": ("2026-04-01", "2026-04-30")}


def test_the_same_list_adds_nothing_unless_it_is_said_again(api: Api) -> None:
    body = {"keywords": [{"keyword": "red shoes", "volume": 5, "clicks": 1}]}
    first = send(api, body)
    turned = send(api, {"keywords": [{"clicks": 1, "volume": 5, "keyword": "red shoes"}]})
    assert (first.status_code, turned.status_code) == (202, 200)
    assert turned.json()["id"] == first.json()["id"]
    assert send(api, {**body, "again": True}).status_code == 202
    assert send(api, {**body, "date": "2026-05"}).status_code == 202
    assert send(api, {**body, "market": "pt-BR"}).status_code == 202


def test_a_key_that_is_sent_again_begins_nothing(api: Api) -> None:
    key = {"idempotency-key": "monday"}
    first = send(api, {"keywords": ["red shoes"]}, headers=key)
    again = send(api, {"keywords": ["red shoes"]}, headers=key)
    assert (first.status_code, again.status_code, again.json()["id"]) == (202, 200, first.json()["id"])
    assert_problem(send(api, {"keywords": ["blue hats"]}, headers=key), 422, "idempotency_conflict")


def test_what_is_no_keyword_stops_no_other(api: Api) -> None:
    begun = send(api, {"keywords": ["red shoes", "", "x" * 800, "\b"]}).json()
    assert api.finder.jobs.run(begun["job_id"]).state == "completed"
    assert [one["keyword"] for one in api.get("/keywords")["keywords"]] == ["red shoes"]
    lines = {row["line"] for row in api.get(f"/imports/{begun['id']}/rejects")["rejects"]}
    assert lines == {2, 3, 4}


def test_the_query_goes_before_the_body(api: Api) -> None:
    asked = {"project": "shop", "name": "may"}
    begun = send(api, {"keywords": ["red shoes"], "project": "shop", "name": "june"}, params=asked).json()
    assert (begun["project"], begun["name"]) == ("shop", "may")


def test_two_projects_at_once_are_refused(api: Api) -> None:
    refused = send(api, {"keywords": ["red shoes"], "project": "other"}, params={"project": "shop"})
    assert_problem(refused, 422, "invalid_request")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, None),
        ({"keywords": []}, "keywords"),
        ({"keywords": [5]}, "keywords[0]"),
        ({"keywords": [{"volume": 5}]}, "keywords[0]"),
        ({"keywords": ["a", {"keyword": "b", "volume": -1}]}, "keywords[1].volume"),
        ({"keywords": [{"keyword": "b", "colour": "red"}]}, "keywords[0]"),
        ({"keywords": [{"keyword": "b", "period_start": "2026-05-01"}]}, "keywords[0].period_start"),
        ({"keywords": ["a"], "project": "no spaces"}, "project"),
        ({"keywords": ["a"], "colour": "red"}, None),
    ],
)
def test_what_cannot_be_is_refused(api: Api, body: Any, field: str | None) -> None:
    refused = send(api, body)
    assert_problem(refused, 422, "invalid_request")
    assert refused.json()["params"]["field"] == field
    assert api.get("/imports")["total"] == 0


def test_a_body_that_is_broken_or_of_a_wrong_day_is_refused(api: Api) -> None:
    broken = api.ask("POST", "/imports", content=b'{"keywords": [', headers={"content-type": "application/json"})
    assert_problem(broken, 400, "invalid_json")
    assert_problem(send(api, {"keywords": ["a"], "date": "May"}), 422, "invalid_option")
    assert_problem(send(api, {"keywords": ["a"], "market": "brazil"}), 422, "invalid_request")
