"""The catalogue over HTTP: every endpoint as it is meant to be used and as it is not, on SQLite and on PostgreSQL."""

import asyncio
import io
import json
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import polars as pl
import pytest
from sqlalchemy import func, select

from omnikeywords.api import Catalogue, Search, create_app
from omnikeywords.catalog.tables import uploads
from omnikeywords.db import connect
from omnikeywords.finder import Finder
from omnikeywords.ops import Health
from omnikeywords.settings import Settings
from omnikeywords.workflows import Workflows
from tests.conftest import Place
from tests.contract.test_api import assert_problem

MAY = b"Top queries,Clicks,Impressions,CTR,Position\r\n" + b"".join(
    [
        b"trail running shoes,40,1000,4%,7.5\r\n",
        b"running shoes trail,5,100,5%,9\r\n",
        b"buy running shoes,30,500,6%,3\r\n",
        b"how to lace shoes,2,300,0.67%,12\r\n",
    ]
)
JUNE = b"Top queries,Clicks,Impressions,CTR,Position\r\n" + b"".join(
    [
        b"trail running shoes,60,1100,5.45%,4.5\r\n",
        b"running shoes trail,5,100,5%,9\r\n",
        b"how to lace shoes,2,300,0.67%,12\r\n",
        b"waterproof hiking boots,1,20,5%,15\r\n",
    ]
)


@pytest.fixture(params=["sqlite", "postgresql18"])
def kind(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


class Api:
    """The API over one database, and a processor that runs when it is told to."""

    def __init__(self, place: Place, **environ: str) -> None:
        loaded = Settings.load({"OKF_DATABASE_URL": place.url, "OKF_JOB_POLL_MS": "10", **environ})
        self.url = place.url
        self.finder = Finder(loaded)
        self.checks = Health()
        self.app = create_app(
            self.finder,
            loaded,
            version="1.2.3",
            model_version="test",
            warm=lambda: None,
            checks=self.checks,
            catalogue=Catalogue(self.finder, loaded),
            search=Search(self.finder, loaded),
        )

    def ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        async def asked() -> httpx.Response:
            transport = httpx.ASGITransport(self.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://test/api/v1") as client:
                return await client.request(method, path, **more)

        return asyncio.run(asked())

    def get(self, path: str, **parameters: Any) -> Any:
        """What an endpoint answers well."""
        answer = self.ask("GET", path, params=parameters or None)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def upload(self, content: bytes = MAY, **parameters: Any) -> dict[str, Any]:
        answer = self.ask("POST", "/imports", content=content, params={"name": "Queries.csv", **parameters})
        assert answer.status_code == 202, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def imported(self, content: bytes = MAY, **parameters: Any) -> str:
        """The id of an import that is complete."""
        begun = self.upload(content, **parameters)
        assert self.finder.jobs.run(begun["job_id"]).state == "completed"
        found: str = begun["id"]
        return found

    def id_of(self, phrase: str) -> str:
        (one,) = [k["id"] for k in self.get("/keywords", q=phrase)["keywords"] if k["keyword"] == phrase]
        found: str = one
        return found


@pytest.fixture
def api(place: Place) -> Iterator[Api]:
    made = Api(place)
    yield made
    made.finder.close()


class TestProjects:
    """A tenant's catalogue each."""

    def test_a_project_is_made_shown_changed_and_deleted(self, api: Api) -> None:
        made = api.ask("POST", "/projects", json={"name": "shop", "market": "pt-BR", "brands": ["acme"]})
        assert made.status_code == 201
        assert made.headers["location"] == "/api/v1/projects/shop"
        assert made.headers["etag"] == '"1"'
        assert (made.json()["market"], made.json()["brands"], made.json()["weights"]) == ("pt-BR", ["acme"], {})
        assert api.get("/projects/shop") == made.json()
        changed = api.ask("PATCH", "/projects/shop", json={"market": None}, headers={"if-match": '"1"'})
        assert (changed.json()["market"], changed.json()["brands"]) == (None, ["acme"])
        assert changed.headers["etag"] == '"2"'
        assert api.ask("DELETE", "/projects/shop").status_code == 204
        assert_problem(api.ask("GET", "/projects/shop"), 404, "not_found")

    def test_projects_are_listed_page_by_page(self, api: Api) -> None:
        for name in ("b", "a"):
            api.ask("POST", "/projects", json={"name": name})
        first = api.get("/projects", limit=2)
        assert [p["name"] for p in first["projects"]] == ["a", "b"]
        assert first["total"] == 3
        rest = api.get("/projects", limit=2, cursor=first["next_cursor"])
        assert [p["name"] for p in rest["projects"]] == ["default"]
        assert rest["next_cursor"] is None

    def test_what_cannot_be_is_refused(self, api: Api) -> None:
        api.ask("POST", "/projects", json={"name": "shop"})
        assert_problem(api.ask("POST", "/projects", json={"name": "shop"}), 409, "conflict")
        assert_problem(api.ask("POST", "/projects", json={"name": "no spaces"}), 422, "invalid_request")
        assert_problem(api.ask("POST", "/projects", json={"name": "a", "colour": 1}), 422, "invalid_request")
        assert_problem(api.ask("POST", "/projects", json={"name": "a", "weights": {"x": 1}}), 422, "invalid_request")
        nothing = {"competition": 0, "cpc": 0, "results": 0, "position": 0}
        assert_problem(api.ask("POST", "/projects", json={"name": "a", "weights": nothing}), 422, "invalid_option")
        stale = api.ask("PATCH", "/projects/shop", json={"brands": ["b"]}, headers={"if-match": '"7"'})
        assert_problem(stale, 412, "version_conflict")
        assert_problem(api.ask("PATCH", "/projects/none", json={}), 404, "not_found")
        assert_problem(api.ask("DELETE", "/projects/none"), 404, "not_found")
        assert_problem(api.ask("GET", "/projects/%00"), 404, "not_found")
        assert_problem(api.ask("GET", "/projects", params={"cursor": "WyJqb2JzIiwieCJd"}), 422, "invalid_request")


class TestImporting:
    """POST /imports."""

    def test_a_file_is_accepted_imported_and_shown(self, api: Api) -> None:
        answer = api.ask(
            "POST", "/imports", content=MAY, params={"project": "shop", "name": "Queries.csv", "date": "2026-05"}
        )
        assert answer.status_code == 202
        begun = answer.json()
        assert answer.headers["location"] == f"/api/v1/imports/{begun['id']}?project=shop"
        assert (begun["state"], begun["job_state"], begun["project"]) == ("running", "queued", "shop")
        assert begun["progress"]["rows_read"] is None
        api.finder.jobs.run(begun["job_id"])
        done = api.get(answer.headers["location"].removeprefix("/api/v1"))
        assert (done["state"], done["job_state"], done["tool"]) == ("completed", "completed", "google_search_console")
        assert (done["period_start"], done["period_end"]) == ("2026-05-01", "2026-05-31")
        progress = done["progress"]
        assert (progress["rows_read"], progress["rows_kept"], progress["rows_skipped"]) == (4, 4, 0)
        assert progress["rows_per_second"] > 0
        assert progress["seconds_left"] == 0

    def test_a_form_may_hold_the_file(self, api: Api) -> None:
        answer = api.ask(
            "POST",
            "/imports",
            data={"project": "shop", "market": "en-GB"},
            files={"file": ("Queries.csv", MAY, "text/csv")},
        )
        assert answer.status_code == 202
        assert (answer.json()["project"], answer.json()["name"]) == ("shop", "Queries.csv")
        api.finder.jobs.run(answer.json()["job_id"])
        assert {k["market"] for k in api.get("/keywords", project="shop")["keywords"]} == {"en-GB"}
        twice = api.ask("POST", "/imports", params={"again": "false"}, data={"again": "true"}, files={"file": MAY})
        assert_problem(twice, 422, "invalid_request")

    def test_the_same_content_is_imported_once_unless_it_is_asked_for_again(self, api: Api) -> None:
        first = api.imported()
        again = api.ask("POST", "/imports", content=MAY)
        assert (again.status_code, again.json()["id"]) == (200, first)
        assert api.upload(date="2026-04")["id"] != first
        assert api.upload(again="true")["id"] != first

    def test_a_request_sent_again_with_its_key_begins_nothing(self, api: Api) -> None:
        key = {"idempotency-key": "monday"}
        first = api.ask("POST", "/imports", content=MAY, params={"again": "true"}, headers=key)
        second = api.ask("POST", "/imports", content=MAY, params={"again": "true"}, headers=key)
        assert (first.status_code, second.status_code) == (202, 200)
        assert second.json()["id"] == first.json()["id"]
        assert second.headers["location"] == first.headers["location"]
        assert_problem(api.ask("POST", "/imports", content=JUNE, headers=key), 422, "idempotency_conflict")
        assert api.get("/imports")["total"] == 1

    def test_what_cannot_be_taken_is_refused_and_nothing_is_kept_of_it(self, api: Api) -> None:
        def refused(code: str, status: int = 422, **more: Any) -> None:
            assert_problem(api.ask("POST", "/imports", **more), status, code)

        refused("invalid_request", content=b"")
        refused("invalid_request", content=MAY, params={"markt": "en"})
        refused("invalid_request", content=MAY, params={"market": "brazil"})
        refused("invalid_option", content=MAY, params={"date": "2026-13"})
        refused("invalid_request", content=MAY, params={"project": "no spaces"})
        refused("invalid_request", content=MAY, headers={"idempotency-key": ""})
        refused("unsupported_media_type", 415, content=MAY, headers={"content-encoding": "gzip"})
        refused("unsupported_media_type", 415, content=MAY, headers={"content-type": "multipart/form-data"})
        form = {"content-type": "multipart/form-data; boundary=x"}
        refused("invalid_request", content=b"--y\r\n\r\n", headers=form)
        refused("invalid_request", files={"file": ("a", MAY)}, data={"markt": "en"})
        refused("invalid_request", files=[("file", ("a", MAY)), ("file", ("b", JUNE))])
        refused("invalid_option", files={"file": ("a", MAY * 8000)}, data={"date": "2026-13"})
        refused("invalid_request", data={"market": "en"}, files={"other": (None, b"not a file")})
        late = b"--x\r\ncontent-disposition: form-data; name=file; filename=a\r\n\r\nkeyword\na\n\r\n--x\r\n"
        late += b"content-disposition: form-data; name=project\r\n\r\nshop\r\n--x--\r\n"
        pieces = [late[:80], late[80:]]
        refused("invalid_request", content=_arriving(pieces), headers=form)
        assert api.get("/imports")["total"] == 0
        assert _uploads(api) == 0

    def test_an_upload_that_is_too_long_is_refused(self, place: Place) -> None:
        api = Api(place, OKF_MAX_UPLOAD_BYTES="1024")
        assert_problem(api.ask("POST", "/imports", content=b"a\n" * 600), 413, "body_too_large")
        assert_problem(api.ask("POST", "/imports", content=_arriving([b"a\n" * 300] * 2)), 413, "body_too_large")
        assert _uploads(api) == 0
        api.finder.close()

    def test_nothing_is_kept_of_an_upload_whose_client_left(self, api: Api) -> None:
        messages = [
            {"type": "http.request", "body": b"x" * 1_500_000, "more_body": True},
            {"type": "http.disconnect"},
        ]
        kept = []

        async def receive() -> dict[str, Any]:
            if len(messages) == 1:
                kept.append(_uploads(api))
            return messages.pop(0)

        async def send(message: Any) -> None:
            pass

        scope = {"type": "http", "method": "POST", "path": "/api/v1/imports", "headers": [], "query_string": b""}
        asyncio.run(api.app(scope, receive, send))
        assert kept == [1]
        assert _uploads(api) == 0
        assert api.get("/imports")["total"] == 0

    def test_an_upload_that_never_became_an_import_is_forgotten(self, api: Api, place: Place) -> None:
        begun = api.upload()
        left = api.finder.imports.upload("shop")  # by a process that dies now
        left.add(b"x" * 1_500_000)
        assert _uploads(api) == 2
        database = connect(place.url)
        workflows = Workflows(database)
        now = datetime.now(UTC)
        assert workflows.forget_abandoned_uploads(now - timedelta(hours=1)) == 0  # it may still be on its way
        assert workflows.forget_abandoned_uploads(now + timedelta(hours=1)) == 1
        assert _uploads(api) == 1
        assert api.finder.jobs.run(begun["job_id"]).state == "completed"
        database.close()

    def test_an_upload_that_stops_coming_is_refused(self, place: Place) -> None:
        api = Api(place, OKF_REQUEST_TIMEOUT_MS="300")

        async def stalling() -> AsyncIterator[bytes]:
            yield b"keyword\n"
            await asyncio.sleep(2)
            yield b"shoes\n"

        assert_problem(api.ask("POST", "/imports", content=stalling()), 408, "body_timeout")
        api.finder.close()

    def test_a_file_that_is_no_export_fails_and_says_why(self, api: Api) -> None:
        begun = api.upload(b"\x00\x01\x02" * 100)
        api.finder.jobs.run(begun["job_id"])
        found = api.get(f"/imports/{begun['id']}")
        assert (found["state"], found["job_state"]) == ("withdrawn", "failed")
        assert found["failure"]["code"] == "unreadable_export"


async def _arriving(pieces: list[bytes]) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


def _uploads(api: Api) -> int:
    """Parts of uploads that are kept."""
    database = connect(api.url)
    try:
        with database.read() as connection:
            return int(connection.execute(select(func.count()).select_from(uploads)).scalar_one())
    finally:
        database.close()


class TestImports:
    """What was imported."""

    def test_one_of_a_market_and_a_period_is_taken(self, api: Api) -> None:
        begun = api.upload(b"keyword,volume\nred shoes,5\n", market="und-001", date="2026-05-01..2026-05-28")
        assert (begun["market"], begun["period_start"], begun["period_end"]) == ("und-001", "2026-05-01", "2026-05-28")

    def test_they_are_listed_the_newest_first(self, api: Api) -> None:
        first, second = api.imported(MAY), api.imported(JUNE)
        page = api.get("/imports", limit=1)
        assert [one["id"] for one in page["imports"]] == [second]
        assert page["imports"][0]["progress"]["rows_kept"] == 4
        rest = api.get("/imports", limit=1, cursor=page["next_cursor"])
        assert [one["id"] for one in rest["imports"]] == [first]
        assert (rest["next_cursor"], rest["total"]) == (None, 2)

    def test_rows_that_were_not_taken_are_told_with_line_and_reason(self, api: Api) -> None:
        content = b'keyword,volume\nshoes,10\n,20\n"a, ""b"" c",5\n' + b"x" * 800 + b",1\n"
        import_id = api.imported(content)
        found = api.get(f"/imports/{import_id}/rejects", limit=1)
        assert (found["total"], len(found["rejects"])) == (2, 1)
        rest = api.get(f"/imports/{import_id}/rejects", cursor=found["next_cursor"])
        lines = {row["line"]: row["reason"] for row in found["rejects"] + rest["rejects"]}
        assert set(lines) == {3, 5}
        assert "700" in lines[5]
        file = api.ask("GET", f"/imports/{import_id}/rejects", params={"format": "csv"})
        assert file.headers["content-type"] == "text/csv; charset=utf-8"
        assert f'filename="rejects-{import_id}.csv"' in file.headers["content-disposition"]
        assert dict(pl.read_csv(io.BytesIO(file.content)).iter_rows()) == lines

    def test_one_that_waits_is_cancelled_and_counts_nowhere(self, api: Api) -> None:
        begun = api.upload()
        cancelled = api.ask("POST", f"/imports/{begun['id']}/cancel")
        assert (cancelled.status_code, cancelled.json()["job_state"]) == (200, "cancelled")
        assert api.get("/keywords")["total"] == 0
        assert_problem(api.ask("POST", f"/imports/{begun['id']}/resume"), 409, "conflict")

    def test_one_that_waits_can_be_told_to_go_on(self, api: Api) -> None:
        begun = api.upload()
        assert api.ask("POST", f"/imports/{begun['id']}/resume").json()["job_state"] == "queued"

    def test_one_that_is_complete_can_neither_be_cancelled_nor_run_again(self, api: Api) -> None:
        import_id = api.imported()
        for verb in ("cancel", "resume", "retry"):
            assert_problem(api.ask("POST", f"/imports/{import_id}/{verb}"), 409, "conflict")

    def test_one_that_is_withdrawn_stays_listed_and_counts_nowhere(self, api: Api) -> None:
        api.imported(MAY)
        second = api.imported(JUNE)
        answer = api.ask("POST", f"/imports/{second}/withdraw")
        assert (answer.status_code, answer.json()["state"]) == (200, "withdrawn")
        api.finder.catch_up()
        assert api.get("/keywords")["total"] == 4
        assert api.get(f"/imports/{second}")["state"] == "withdrawn"

    def test_one_that_is_withdrawn_before_it_was_read_is_not_read_any_more(self, api: Api) -> None:
        begun = api.upload()
        answer = api.ask("POST", f"/imports/{begun['id']}/withdraw").json()
        assert (answer["state"], answer["job_state"]) == ("withdrawn", "cancelled")
        assert _uploads(api) == 0

    def test_one_that_is_deleted_is_gone_from_every_list(self, api: Api) -> None:
        import_id = api.imported()
        assert api.ask("DELETE", f"/imports/{import_id}").status_code == 204
        api.finder.catch_up()
        assert api.get("/keywords")["total"] == 0

    def test_one_that_is_deleted_before_it_was_read_is_not_read_any_more(self, api: Api) -> None:
        begun = api.upload()
        assert api.ask("DELETE", f"/imports/{begun['id']}").status_code == 204
        assert_problem(api.ask("GET", f"/jobs/{begun['job_id']}"), 404, "not_found")
        assert api.ask("POST", "/imports", content=MAY).status_code == 202  # it counts nowhere, so it is new
        assert _uploads(api) == 2
        api.finder.catch_up()
        assert _uploads(api) == 1

    def test_what_is_not_there_is_not_found(self, api: Api) -> None:
        other = api.imported(project="shop")
        for path in ("", "/rejects"):
            assert_problem(api.ask("GET", f"/imports/i1{'0' * 24}{path}"), 404, "not_found")
            assert_problem(api.ask("GET", f"/imports/{other}{path}"), 404, "not_found")  # it is another project's
            assert_problem(api.ask("GET", f"/imports/rubbish{path}"), 404, "not_found")
        for verb in ("cancel", "resume", "retry", "withdraw"):
            assert_problem(api.ask("POST", f"/imports/{other}/{verb}"), 404, "not_found")
        assert_problem(api.ask("DELETE", f"/imports/{other}"), 404, "not_found")
        assert_problem(api.ask("GET", "/imports", params={"project": "none"}), 404, "not_found")
        assert_problem(api.ask("GET", "/imports", params={"limit": 0}), 422, "invalid_request")


class TestKeywords:
    """Lists, one keyword, corrections and tags."""

    def test_they_are_listed_by_filter_and_order(self, api: Api) -> None:
        api.imported()
        found = api.get("/keywords", sort="clicks", min_clicks=5, fields="keyword,clicks")
        assert found["keywords"] == [
            {"keyword": "trail running shoes", "clicks": 40},
            {"keyword": "buy running shoes", "clicks": 30},
            {"keyword": "running shoes trail", "clicks": 5},
        ]
        assert (found["total"], found["total_is_exact"], found["next_cursor"]) == (3, True, None)
        assert [k["keyword"] for k in api.get("/keywords", intent="transactional")["keywords"]] == ["buy running shoes"]
        assert [k["keyword"] for k in api.get("/keywords", question="how")["keywords"]] == ["how to lace shoes"]
        assert [k["keyword"] for k in api.get("/keywords", question="any")["keywords"]] == ["how to lace shoes"]
        assert api.get("/keywords", language="EN")["total"] == api.get("/keywords", language="en")["total"] > 0
        assert api.get("/keywords", q="\b")["keywords"] == [], "nothing that a keyword could hold"
        assert api.get("/keywords", market="none|pt-BR", source="google_search_console")["notes"] == []
        assert api.get("/keywords", source="gogle")["notes"] == [
            "no keyword of project 'default' is from source 'gogle'"
        ]

    def test_pages_follow_each_other_without_a_gap(self, api: Api) -> None:
        api.imported()
        names: list[str] = []
        cursor: dict[str, str] = {}
        while True:
            page = api.get("/keywords", sort="position", limit=1, **cursor)
            names += [k["keyword"] for k in page["keywords"]]
            if page["next_cursor"] is None:
                break
            cursor = {"cursor": page["next_cursor"]}
        assert names == ["buy running shoes", "trail running shoes", "running shoes trail", "how to lace shoes"]

    def test_they_are_listed_while_an_import_runs(self, api: Api) -> None:
        note = b"x" * 200
        begun = api.upload(
            b"keyword,note\n" + b"".join(b"trail shoes number %d,%s\n" % (i, note) for i in range(30_000))
        )
        listed, left = False, []
        with ThreadPoolExecutor(1) as running:
            job = running.submit(api.finder.jobs.run, begun["job_id"])
            while not job.done():
                some = bool(api.get("/keywords", limit=1)["keywords"])
                # A job that has not ended after the list was read had not ended while it was.
                listed |= some and api.get(f"/jobs/{begun['job_id']}")["state"] == "running"
                found = api.get(f"/imports/{begun['id']}")
                if found["job_state"] != "completed":
                    left.append(found["progress"]["seconds_left"])
        assert job.result().state == "completed"
        assert listed
        assert 0 not in left, "not before all is done: rows that were read are not keywords yet"
        assert api.get(f"/imports/{begun['id']}")["progress"]["seconds_left"] == 0
        assert api.get("/keywords", limit=1, q="number 29999")["total"] == 1

    def test_one_has_what_was_observed_beside_what_is_thought_of_it(self, api: Api) -> None:
        api.imported(b"Keyword,Volume,My column\nbuy running shoes,1200,red\n")
        answer = api.ask("GET", f"/keywords/{api.id_of('buy running shoes')}")
        found = answer.json()
        assert answer.headers["etag"] == '"0"'
        assert (found["volume"], found["intent"], found["tags"]) == (1200, "transactional", [])
        assert found["extra"] == {"My column": "red"}
        assert found["corrected"] == dict.fromkeys(("intent", "funnel", "language", "near_duplicate_of"))
        assert found["created_at"].endswith("Z")

    def test_a_correction_goes_before_what_is_thought_and_can_be_taken_back(self, api: Api) -> None:
        api.imported()
        path = f"/keywords/{api.id_of('buy running shoes')}"
        said = api.ask("PATCH", path, json={"intent": "commercial", "tags": ["spring"]}, headers={"if-match": '"0"'})
        assert said.status_code == 200, said.text
        assert (said.json()["intent"], said.json()["tags"], said.headers["etag"]) == ("commercial", ["spring"], '"1"')
        assert (said.json()["corrected"]["intent"], said.json()["corrected"]["funnel"]) == ("commercial", None)
        assert [k["keyword"] for k in api.get("/keywords", tag="spring")["keywords"]] == ["buy running shoes"]
        assert api.get(path)["intent"] == "commercial"
        api.imported(JUNE)
        assert api.get(path)["intent"] == "commercial"
        back = api.ask("PATCH", path, json={"intent": None})
        assert (back.json()["intent"], back.json()["tags"]) == ("transactional", ["spring"])

    def test_what_cannot_be_said_is_refused(self, api: Api) -> None:
        api.imported()
        path = f"/keywords/{api.id_of('buy running shoes')}"
        assert_problem(api.ask("PATCH", path, json={"intent": "buying"}), 422, "invalid_request")
        assert_problem(api.ask("PATCH", path, json={"language": "xx"}), 422, "invalid_option")
        assert_problem(api.ask("PATCH", path, json={"tags": ["a b"]}), 422, "invalid_request")
        assert_problem(api.ask("PATCH", path, json={"volume": 3}), 422, "invalid_request")
        assert_problem(
            api.ask("PATCH", path, content=b"{", headers={"content-type": "application/json"}), 400, "invalid_json"
        )
        stale = api.ask("PATCH", path, json={"intent": "commercial"}, headers={"if-match": '"3"'})
        assert_problem(stale, 412, "version_conflict")
        assert_problem(api.ask("PATCH", f"/keywords/k1{'a' * 24}", json={"tags": []}), 404, "not_found")

    def test_several_are_fetched_and_tagged_at_once(self, api: Api) -> None:
        api.imported()
        one, two, none = api.id_of("buy running shoes"), api.id_of("how to lace shoes"), f"k1{'a' * 24}"
        got = api.ask("POST", "/keywords:batch", json={"ids": [two, none, one]})
        assert [k["keyword"] for k in got.json()["keywords"]] == ["how to lace shoes", "buy running shoes"]
        assert got.json()["missing"] == [none]
        changes = {"add_tags": ["a", "b"], "intent": "commercial"}
        tagged = api.ask("POST", "/keywords:batch", json={"ids": [one, two], "changes": changes}).json()
        assert [(k["tags"], k["intent"]) for k in tagged["keywords"]] == [(["a", "b"], "commercial")] * 2
        api.ask("POST", "/keywords:batch", json={"ids": [one], "changes": {"remove_tags": ["a"]}})
        assert api.get(f"/keywords/{one}")["tags"] == ["b"]
        assert_problem(api.ask("POST", "/keywords:batch", json={"ids": []}), 422, "invalid_request")
        assert_problem(api.ask("POST", "/keywords:batch", json={"ids": ["x"]}), 422, "invalid_request")
        assert_problem(api.ask("POST", "/keywords:batch", json={"ids": [one], "project": "none"}), 404, "not_found")

    def test_history_tells_what_each_import_said(self, api: Api) -> None:
        first, second = api.imported(MAY, date="2026-05"), api.imported(JUNE, date="2026-06")
        path = f"/keywords/{api.id_of('trail running shoes')}/history"
        told = api.get(path)
        said = [(row["import_id"], row["period_start"], row["position"]) for row in told["history"]]
        assert said == [(first, "2026-05-01", 7.5), (second, "2026-06-01", 4.5)]
        page = api.get(path, limit=1)
        assert api.get(path, limit=1, cursor=page["next_cursor"])["history"] == told["history"][1:]
        assert_problem(api.ask("GET", f"/keywords/k1{'a' * 24}/history"), 404, "not_found")

    def test_near_duplicates_are_listed_by_group(self, api: Api) -> None:
        api.imported()
        found = api.get("/groups")
        assert found["total"] == 1
        (group,) = found["groups"]
        assert group["head"] == "trail running shoes"
        assert [(m["keyword"], m["reason"]) for m in group["members"]] == [
            ("trail running shoes", None),
            ("running shoes trail", "word order"),
        ]
        assert_problem(api.ask("GET", "/groups", params={"project": "none"}), 404, "not_found")

    def test_a_person_says_what_is_a_near_duplicate_and_what_is_none(self, api: Api) -> None:
        api.imported()
        alone, lace = (f"/keywords/{api.id_of(phrase)}" for phrase in ("running shoes trail", "how to lace shoes"))
        said = api.ask("PATCH", alone, json={"near_duplicate_of": ""}).json()
        assert (said["near_duplicate_of"], said["corrected"]["near_duplicate_of"]) == (None, "")
        said = api.ask("PATCH", lace, json={"near_duplicate_of": "Buy  running shoes"}).json()
        assert (said["near_duplicate_of"], said["near_duplicate_reason"]) == ("buy running shoes", "corrected")
        api.imported(JUNE, date="2026-06")  # which looks for groups anew
        (group,) = api.get("/groups")["groups"]
        assert [m["keyword"] for m in group["members"]] == ["buy running shoes", "how to lace shoes"]
        assert_problem(api.ask("PATCH", lace, json={"near_duplicate_of": "no such thing"}), 404, "not_found")
        assert_problem(api.ask("PATCH", lace, json={"near_duplicate_of": "how to lace shoes"}), 422, "invalid_option")
        api.ask("PATCH", alone, json={"near_duplicate_of": None})
        api.finder.catch_up()
        assert api.get(alone)["near_duplicate_of"] == "trail running shoes"
        # Whose head follows another goes with it.
        head = f"/keywords/{api.id_of('trail running shoes')}"
        api.ask("PATCH", head, json={"near_duplicate_of": "how to lace shoes"})
        api.finder.catch_up()
        assert {k["near_duplicate_of"] for k in (api.get(alone), api.get(head), api.get(lace))} == {"buy running shoes"}

    def test_filters_that_cannot_be_are_refused(self, api: Api) -> None:
        for parameters in (
            {"colour": "red"},
            {"min_volume": "many"},
            {"intent": "buying"},
            {"funnel": "decision|loyalty"},
            {"question": ""},
            {"words": "null"},
            {"sort": "luck"},
            {"limit": 1001},
            {"fields": "keyword,price"},
        ):
            assert_problem(api.ask("GET", "/keywords", params=parameters), 422, "invalid_request")
        assert_problem(api.ask("GET", "/keywords", params={"cursor": "abc"}), 422, "invalid_option")
        assert_problem(api.ask("GET", "/keywords", params={"min_volume": "nan"}), 422, "invalid_option")
        assert_problem(api.ask("GET", "/keywords", params={"project": "none"}), 404, "not_found")
        assert_problem(api.ask("GET", "/keywords/rubbish"), 404, "not_found")
        assert_problem(api.ask("GET", f"/keywords/k1{'a' * 24}"), 404, "not_found")


class TestCompare:
    """Two imports beside each other."""

    def test_what_is_new_lost_or_moved_is_told(self, api: Api) -> None:
        before, after = api.imported(MAY), api.imported(JUNE)
        found = api.get("/compare", before=before, after=after)
        assert (found["new"], found["lost"], found["moved"]) == (1, 1, 1)
        assert {row["keyword"]: row["change"] for row in found["keywords"]} == {
            "trail running shoes": "moved",
            "buy running shoes": "lost",
            "waterproof hiking boots": "new",
        }
        moved = next(row for row in found["keywords"] if row["change"] == "moved")
        assert (moved["position"], moved["position_after"]) == (7.5, 4.5)

    def test_imports_that_are_not_there_are_not_found(self, api: Api) -> None:
        there, none = api.imported(), f"i1{'0' * 24}"
        assert_problem(api.ask("GET", "/compare", params={"before": there, "after": none}), 404, "not_found")
        assert_problem(api.ask("GET", "/compare", params={"before": there}), 422, "invalid_request")


class TestExport:
    """GET /export."""

    def test_each_format_holds_what_the_filter_lets_through(self, api: Api) -> None:
        api.imported()
        files = {}
        for format in ("csv", "jsonl", "parquet", "xlsx"):
            answer = api.ask("GET", "/export", params={"format": format, "min_clicks": 5})
            assert answer.status_code == 200, answer.text
            assert answer.headers["content-disposition"] == f'attachment; filename="default.{format}"'
            files[format] = io.BytesIO(answer.content)
        rows = {
            "csv": pl.read_csv(files["csv"]),
            "jsonl": pl.read_ndjson(files["jsonl"]),
            "parquet": pl.read_parquet(files["parquet"]),
            "xlsx": pl.read_excel(files["xlsx"].getvalue(), engine="calamine"),
        }
        for format, frame in rows.items():
            found = dict(frame.select("keyword", "clicks").iter_rows())
            assert found == {"trail running shoes": 40, "running shoes trail": 5, "buy running shoes": 30}, format

    def test_nothing_to_export_is_a_file_all_the_same(self, api: Api) -> None:
        answer = api.ask("GET", "/export")
        assert answer.status_code == 200
        assert answer.text.startswith("keyword,normalized,id,")

    def test_what_cannot_be_exported_is_refused(self, api: Api) -> None:
        assert_problem(api.ask("GET", "/export", params={"format": "pdf"}), 422, "invalid_request")
        assert_problem(api.ask("GET", "/export", params={"min_clicks": "inf"}), 422, "invalid_option")
        assert_problem(api.ask("GET", "/export", params={"project": "none"}), 404, "not_found")


class TestJobs:
    """Durable runs."""

    def test_they_are_listed_and_shown(self, api: Api) -> None:
        api.imported()
        begun = api.upload(JUNE)
        page = api.get("/jobs", limit=1)
        assert ([job["id"] for job in page["jobs"]], page["total"]) == ([begun["job_id"]], 2)
        rest = api.get("/jobs", limit=1, cursor=page["next_cursor"])
        (done,) = rest["jobs"]
        assert rest["next_cursor"] is None, "a full page that is the last one"
        assert (done["state"], done["kind"], done["progress"]["rows_kept"]) == ("completed", "import_keywords", 4)
        assert api.get(f"/jobs/{done['id']}") == done
        assert [step["name"] for step in done["steps"]] == ["accept", "validate", "append", "follow", "group", "tidy"]

    def test_they_are_steered(self, api: Api) -> None:
        job_id = api.upload()["job_id"]
        assert api.ask("POST", f"/jobs/{job_id}/resume").json()["state"] == "queued"
        assert api.ask("POST", f"/jobs/{job_id}/cancel").json()["state"] == "cancelled"
        assert_problem(api.ask("POST", f"/jobs/{job_id}/cancel"), 409, "conflict")
        assert_problem(api.ask("POST", f"/jobs/{job_id}/resume"), 409, "conflict")
        assert api.ask("POST", f"/jobs/{job_id}/retry").json()["run"] == 2

    def test_what_is_not_there_is_not_found(self, api: Api) -> None:
        other, none = api.upload(project="shop")["job_id"], f"j{'0' * 28}"
        for job_id in (other, none, "rubbish"):
            for path in ("", "/stream"):
                assert_problem(api.ask("GET", f"/jobs/{job_id}{path}"), 404, "not_found")
            for verb in ("cancel", "resume", "retry"):
                assert_problem(api.ask("POST", f"/jobs/{job_id}/{verb}"), 404, "not_found")
        assert_problem(api.ask("GET", "/jobs", params={"cursor": "abc"}), 422, "invalid_request")

    def test_a_stream_tells_the_end_and_ends(self, api: Api) -> None:
        job_id = api.upload()["job_id"]
        api.finder.jobs.run(job_id)
        answer = api.ask("GET", f"/jobs/{job_id}/stream")
        assert answer.headers["content-type"] == "text/event-stream"
        ((name, _, told),) = _events(answer.text)
        assert (name, told["state"], told["id"]) == ("end", "completed", job_id)

    def test_a_stream_tells_what_happens_and_what_was_told_before_is_not_told_again(self, api: Api) -> None:
        job_id = api.upload()["job_id"]

        async def followed(**headers: str) -> str:
            async with httpx.AsyncClient(transport=httpx.ASGITransport(api.app), base_url="http://test") as client:
                asking = client.get(f"/api/v1/jobs/{job_id}/stream", headers=headers)
                answer, _ = await asyncio.gather(asking, _soon(api, job_id))
                return answer.text

        events = _events(asyncio.run(followed()))
        assert [name for name, _, _ in events][:1] == ["progress"]
        assert (events[0][2]["state"], events[-1][0], events[-1][2]["state"]) == ("queued", "end", "completed")
        job_id = api.upload(JUNE)["job_id"]
        number = int(1000 * api.finder.jobs.find(job_id).updated_at.timestamp())
        assert "queued" not in [e[2]["state"] for e in _events(asyncio.run(followed(**{"last-event-id": str(number)})))]

    def test_a_stream_says_that_nothing_is_new(self, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("omnikeywords.api.jobs._HEARTBEAT_SECONDS", 0.2)
        monkeypatch.setattr("omnikeywords.api.jobs._MOST_SECONDS", 1.2)
        job_id = api.upload()["job_id"]
        answer = api.ask("GET", f"/jobs/{job_id}/stream")
        assert [name for name, _, _ in _events(answer.text)] == ["progress"]  # it ended for its time
        assert ": nothing new\n\n" in answer.text


async def _soon(api: Api, job_id: str) -> None:
    """Run a job once somebody follows it."""
    await asyncio.sleep(0.2)
    await asyncio.to_thread(api.finder.jobs.run, job_id)


def _events(text: str) -> list[tuple[str, str, dict[str, Any]]]:
    """Name, id and data of each event."""
    found = []
    for block in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if "event" in fields:
            found.append((fields["event"], fields["id"], json.loads(fields["data"])))
    return found
