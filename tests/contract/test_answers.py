"""Answers that are ready-made: the same as made ones, to whom they belong, as long as they are right."""

import asyncio
import json
from collections.abc import Hashable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from omnikeywords import service
from omnikeywords.api.answers import Answers, Remembered
from omnikeywords.api.caller import Caller
from omnikeywords.api.guard import Call, Guard, Reply
from omnikeywords.api.problems import Problem
from omnikeywords.cache import Cache
from omnikeywords.errors import DatabaseUnavailable
from omnikeywords.finder import Finder
from omnikeywords.settings import Settings

LONG = "x" * 2000


class Index:
    """An endpoint that answers from something that changes, and counts how often it was asked."""

    def __init__(self) -> None:
        self.stamp: Hashable = 1
        self.asked = 0
        self.fails: Exception | None = None

    async def search(self, call: Call) -> Reply:
        self.asked += 1
        if self.fails is not None:
            raise self.fails
        return Reply(json.dumps({"of": self.stamp, "query": call.query.decode(), "long": LONG}).encode())

    def stamp_of(self, project: str) -> Hashable:
        return (project, self.stamp) if self.stamp is not None else None


class Kept:
    """The same endpoint behind its caches."""

    def __init__(self, *, dear: bool = False, **environ: str) -> None:
        self.index = Index()
        self.now = 0.0
        settings = Settings.load(environ)
        how: dict[str, Any] = {"policy": "lfu", "entries": 1000, "most_bytes": 10_000_000, "seconds": 60}
        answers = Answers(Cache("answers", clock=lambda: self.now, spread=lambda: 0.0, **how), settings)
        searches: Cache[bytes] = Cache("searches", clock=lambda: self.now, spread=lambda: 0.0, **how)
        self.endpoint = Remembered("/s", self.index.search, self.index.stamp_of, answers, searches, dear=dear)

    def ask(self, query: str = "q=a", caller: Caller | None = None, **headers: str) -> Reply:
        given = {name.replace("_", "-").encode(): value.encode() for name, value in headers.items()}

        async def receive() -> Any:
            raise AssertionError("a GET has no body")

        call = Call(given, receive, caller or Caller("ana"), {}, query.encode())
        return asyncio.run(self._answer(call))

    async def _answer(self, call: Call) -> Reply:
        return await self.endpoint(call)

    def settle(self, query: str = "q=a", **headers: str) -> Reply:
        """Ask until it is kept: what is asked once is not."""
        self.ask(query, **headers)
        return self.ask(query, **headers)


def header(reply: Reply, name: str) -> str | None:
    found = [value for key, value in (*reply.kept, *reply.headers) if key == name.encode()]
    return found[0].decode() if found else None


class TestKeeping:
    """From the second time on."""

    def test_what_is_asked_again_is_ready_made_and_the_same(self) -> None:
        kept = Kept()
        first, second, third = (kept.ask() for _ in range(3))
        assert kept.index.asked == 2
        assert first == second == third

    def test_another_question_or_another_coding_is_another_answer(self) -> None:
        kept = Kept()
        assert json.loads(kept.settle("q=a").body)["query"] == "q=a"
        assert json.loads(kept.settle("q=b").body)["query"] == "q=b"
        assert kept.settle(accept_encoding="gzip").coding == b"gzip"
        assert kept.ask(accept_encoding="gzip").coding == b"gzip"
        assert kept.ask(accept_encoding="br").coding is None  # not kept yet: the guard compresses it
        assert kept.ask().coding is None

    def test_when_what_it_is_of_changes_it_is_made_anew(self) -> None:
        kept = Kept()
        kept.settle()
        kept.index.stamp = 2
        assert json.loads(kept.ask().body)["of"] == 2

    def test_after_its_time_it_is_made_anew(self) -> None:
        kept = Kept()
        kept.settle()
        kept.now = 60
        kept.ask()
        assert kept.index.asked == 3

    @pytest.mark.parametrize("query", ["q=a&wait=1", "q=a&index_position=7", "q=a&q=a"])
    def test_what_asks_for_the_moment_or_is_wrong_is_not_kept(self, query: str) -> None:
        kept = Kept()
        for _ in range(4):
            kept.ask(query)
        assert kept.index.asked == 4

    def test_what_is_not_of_an_index_alone_is_asked_once_a_second_until_there_is_one(self) -> None:
        kept = Kept()
        kept.index.stamp = None
        assert [header(kept.ask(), "etag") for _ in range(5)] == [None] * 5
        assert kept.index.asked == 1
        kept.now = 1.0
        kept.ask()
        assert kept.index.asked == 2
        kept.index.stamp = 1
        assert json.loads(kept.ask().body)["of"] == 1

    @pytest.mark.parametrize("error", [DatabaseUnavailable("away"), Problem("overloaded", "busy"), ValueError("ours")])
    def test_where_none_can_be_made_the_last_one_stands_in_for_ten_minutes(self, error: Exception) -> None:
        kept = Kept()
        kept.settle()
        kept.index.stamp, kept.index.fails = 2, error
        assert json.loads(kept.ask().body)["of"] == 1
        kept.now = 60 + 599
        assert json.loads(kept.ask().body)["of"] == 1
        kept.now = 60 + 600
        with pytest.raises(type(error)):
            kept.ask()

    def test_a_mistake_of_the_client_is_told_and_not_covered_up(self) -> None:
        kept = Kept()
        kept.settle()
        kept.index.stamp, kept.index.fails = 2, Problem("invalid_query", "bad")
        with pytest.raises(Problem):
            kept.ask()

    def test_what_takes_long_is_computed_once_however_it_is_asked(self) -> None:
        kept = Kept()
        answers = [kept.ask(query).body for query in ("q=a&facets=intent", "facets=intent&q=a")]
        answers.append(kept.ask("facets=intent&q=a", accept_encoding="gzip").body)
        assert kept.index.asked == 1
        assert len(set(answers)) == 1


class TestTenants:
    """Nobody gets what is another's."""

    def test_callers_who_see_the_same_share_and_others_do_not(self) -> None:
        kept = Kept()
        one, same = Caller("ana", projects=frozenset({"shop"})), Caller("bob", projects=frozenset({"shop"}))
        other, everybody = Caller("eve", projects=frozenset({"else"})), Caller("root", "admin")
        for _ in range(2):
            kept.ask(caller=one)
        asked = kept.index.asked
        kept.ask(caller=same)
        assert kept.index.asked == asked
        for caller in (other, everybody):
            kept.ask(caller=caller)
        assert kept.index.asked == asked + 2

    @pytest.mark.parametrize("query", ["q=a&project=shop&facets=intent", "q=a&project=shop"])
    def test_who_may_not_see_a_project_is_answered_by_the_endpoint(self, query: str) -> None:
        kept = Kept()
        for _ in range(3):
            kept.ask(query, Caller("root", "admin"))
        asked = kept.index.asked
        kept.ask(query, Caller("eve", projects=frozenset({"else"})))
        assert kept.index.asked == asked + 1


class TestOthersWhoKeep:
    """Browsers and CDNs."""

    def test_they_ask_whether_theirs_is_still_right(self) -> None:
        kept = Kept()
        reply = kept.ask()
        tag = header(reply, "etag")
        assert tag is not None
        assert tag.startswith('W/"')
        assert header(reply, "cache-control") == "public, no-cache"
        assert header(reply, "vary") == "accept-encoding, authorization, x-api-key"
        for wanted in (tag, f'"other", {tag}', tag.removeprefix("W/"), "*"):
            again = kept.ask(if_none_match=wanted)
            assert (again.status, again.body, header(again, "etag")) == (304, b"", tag)
        assert kept.ask(if_none_match='W/"other"').status == 200
        kept.index.stamp = 2
        assert kept.ask(if_none_match=tag).status == 200

    def test_the_tag_is_the_same_for_every_coding(self) -> None:
        kept = Kept()
        tags = {header(kept.settle(accept_encoding=coding), "etag") for coding in ("gzip", "br", "zstd", "identity")}
        assert len(tags) == 1

    def test_a_cdn_may_be_let_answer_by_itself_for_a_while(self) -> None:
        reply = Kept(OKF_EDGE_SECONDS="2").ask()
        assert header(reply, "cache-control") == "public, max-age=0, s-maxage=2"


def test_a_304_has_no_body_and_no_length() -> None:
    async def unchanged(call: Call) -> Reply:
        return Reply(b"", 304, headers=((b"etag", b'W/"1"'),))

    async def nothing(scope: Any, receive: Any, send: Any) -> None:
        raise AssertionError("not routed")

    app = Guard(nothing, Settings.load({}), {("GET", "/x"): unchanged}, frozenset({"/x"}))
    answer = asyncio.run(_ask(app, "GET", "/x"))
    assert answer.status_code == 304
    assert answer.headers["etag"] == 'W/"1"'
    assert "content-length" not in answer.headers
    assert "content-type" not in answer.headers


async def _ask(app: Any, method: str, path: str, **more: Any) -> httpx.Response:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        return await client.request(method, path, **more)


class Shop:
    """The application over two projects with one keyword each and a key for either."""

    def __init__(self, folder: Path, **more: str) -> None:
        environ = {"OKF_DATABASE_URL": f"sqlite:///{folder / 'catalogue.sqlite3'}", "OKF_DATA_DIR": str(folder)}
        environ["OKF_LANGUAGE_TABLE"] = str(Settings.load({}).language_table_path)
        settings = Settings.load(environ | more)
        with closing(Finder(settings)) as self.finder:
            self.bring("mine", "red shoes")
            self.bring("theirs", "blue shoes")
            self.keys = {
                project: self.finder.keys.create(project, "test", scope="read", projects=[project])[1]
                for project in ("mine", "theirs")
            }
        self.app = service._application.__wrapped__(settings, folder, service.ROLES, False)

    def bring(self, project: str, phrase: str) -> None:
        begun = self.finder.imports.start(f"query,clicks\n{phrase},3\n".encode(), name="a.csv", project=project)
        self.finder.jobs.run(begun.job_id)
        self.finder.searches.catch_up(project)

    def ask(self, of: str, method: str = "GET", path: str = "/api/v1/search?q=shoes", **more: Any) -> httpx.Response:
        headers = {"authorization": f"Bearer {self.keys[of]}", **more.pop("headers", {})}
        return asyncio.run(_ask(self.app, method, path, headers=headers, **more))


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    service._keyring.cache_clear()
    yield Shop(tmp_path_factory.mktemp("answers"))
    service._keyring.cache_clear()


@pytest.fixture
def limited(tmp_path: Path) -> Iterator[Shop]:
    service._keyring.cache_clear()
    yield Shop(tmp_path, OKF_RATE_LIMIT="0.01/5")
    service._keyring.cache_clear()


def hits(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [hit["keyword"] for hit in answer.json()["hits"]]


class TestTheApplication:
    """The whole of it, by HTTP."""

    @pytest.mark.parametrize("more", ["", "&facets=intent", "&sort=keyword"])
    def test_the_same_question_has_each_tenant_s_own_answer(self, shop: Shop, more: str) -> None:
        for _ in range(4):
            assert hits(shop.ask("mine", path=f"/api/v1/search?q=shoes{more}")) == ["red shoes"]
            assert hits(shop.ask("theirs", path=f"/api/v1/search?q=shoes{more}")) == ["blue shoes"]
        refused = shop.ask("theirs", path=f"/api/v1/search?q=shoes&project=mine{more}")
        assert refused.status_code == 404

    def test_the_key_is_checked_before(self, shop: Shop) -> None:
        for _ in range(3):
            shop.ask("mine")
        wrong = shop.ask("mine", headers={"authorization": "Bearer okf_nobody"})
        assert wrong.status_code == 401

    def test_it_is_still_right_until_it_changes(self, shop: Shop) -> None:
        first = shop.ask("mine")
        again = shop.ask("mine", headers={"if-none-match": first.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"] == first.headers["etag"]
        assert shop.ask("mine", path="/api/v1/search?q=red", headers={"if-none-match": '"x"'}).status_code == 200

    def test_analyze_answers_the_same_ready_made_or_not(self, shop: Shop) -> None:
        body = {"keywords": ["comprar tenis", "", "how to run"], "market": "pt-BR"}
        answers = [shop.ask("mine", "POST", "/api/v1/analyze", json=body) for _ in range(4)]
        assert {answer.status_code for answer in answers} == {200}
        assert len({answer.content for answer in answers}) == 1
        assert [row["error"] is None for row in answers[0].json()["results"]] == [True, False, True]
        refused = shop.ask("theirs", "POST", "/api/v1/analyze", json={**body, "project": "mine"})
        assert refused.status_code == 404

    def test_what_is_ready_made_is_still_refused_where_it_may_not_be_sent(self, shop: Shop) -> None:
        content = b'{"keywords": ["comprar tenis"]}'
        for _ in range(3):
            ready = shop.ask(
                "mine", "POST", "/api/v1/analyze", content=content, headers={"content-type": "application/json"}
            )
            assert ready.status_code == 200
        for headers, status in (
            ({"content-type": "text/plain"}, 415),
            ({"content-type": "application/json", "accept": "text/html"}, 406),
            ({"content-type": "application/json", "content-encoding": "gzip"}, 415),
        ):
            answer = shop.ask("mine", "POST", "/api/v1/analyze", content=content, headers=headers)
            assert answer.status_code == status

    @pytest.mark.parametrize("coding", ["gzip", "br", "zstd"])
    def test_answers_come_compressed_as_the_client_likes(self, shop: Shop, coding: str) -> None:
        body = {"keywords": [f"compressed {number}" for number in range(20)]}
        plain = shop.ask("mine", "POST", "/api/v1/analyze", json=body, headers={"accept-encoding": "identity"})
        for _ in range(3):
            short = shop.ask("mine", "POST", "/api/v1/analyze", json=body, headers={"accept-encoding": coding})
            assert short.headers["content-encoding"] == coding
            assert int(short.headers["content-length"]) < int(plain.headers["content-length"]) / 3
        assert "content-encoding" not in plain.headers

    @pytest.mark.parametrize("coding", ["gzip", "identity"])
    def test_under_another_spelling_of_the_path_it_is_the_same(self, shop: Shop, coding: str) -> None:
        headers = {"accept-encoding": coding}
        body = {"keywords": [f"spelt {number}" for number in range(20)]}
        for method, path, more in (
            ("GET", "/api/v1/search?q=shoes", {}),
            ("POST", "/api/v1/analyze", {"json": body}),
        ):
            spelt = path.replace("?", "/?") if "?" in path else f"{path}/"
            answers = [
                shop.ask("mine", method, where, headers=headers, **more) for where in (path, path, path, spelt, spelt)
            ]
            assert {answer.status_code for answer in answers} == {200}
            assert len({answer.text for answer in answers}) == 1
        first = shop.ask("mine", headers=headers)
        again = shop.ask("mine", path="/api/v1/search/?q=shoes", headers={"if-none-match": first.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")


class TestLimits:
    """How often a key may ask, by HTTP."""

    def test_each_key_has_its_own_and_ready_made_answers_count(self, limited: Shop) -> None:
        left = [limited.ask("mine").headers["ratelimit"] for _ in range(5)]
        assert left == [f'"key";r={number};t={100 * (5 - number)}' for number in (4, 3, 2, 1, 0)]
        refused = limited.ask("mine")
        assert refused.status_code == 429
        assert refused.json()["code"] == "rate_limited"
        assert refused.headers["retry-after"] == "100"
        assert refused.headers["ratelimit"] == '"key";r=0;t=100'
        assert refused.headers["ratelimit-policy"] == '"key";q=5;w=500'
        assert limited.ask("theirs").status_code == 200

    def test_what_needs_no_key_has_no_limit(self, limited: Shop) -> None:
        answers = [asyncio.run(_ask(limited.app, "GET", "/health")) for _ in range(10)]
        assert {answer.status_code for answer in answers} == {200}
        assert "ratelimit" not in answers[0].headers


def test_keeping_changes_no_answer(tmp_path: Path) -> None:
    """Many questions, each often: what is kept is what would be computed."""
    from omnikeywords.analysis import MODEL_VERSION
    from omnikeywords.api import create_app
    from omnikeywords.ops import Health

    def application(**environ: str) -> Any:
        places = {
            "OKF_DATA_DIR": str(tmp_path),
            "OKF_DATABASE_URL": f"sqlite:///{tmp_path}/catalogue.sqlite3",
            "OKF_LANGUAGE_TABLE": str(Settings.load({}).language_table_path),
        }
        settings = Settings.load(places | environ)
        return create_app(
            Finder(settings),
            settings,
            version="1",
            model_version=MODEL_VERSION,
            warm=lambda: None,
            checks=Health(),
        )

    kept, plain = application(), application(OKF_CACHE_BYTES="0")
    bodies: list[Mapping[str, Any]] = [
        {"keywords": [f"buy shoes {one}", f"comprar tenis {two}"], "analysis_type": kind, "market": market}
        for one in range(4)
        for two in range(4)
        for kind in ("basic", "comprehensive")
        for market in (None, "pt-BR")
    ]

    async def scenario() -> None:
        for body in bodies * 3:
            answers = [await _ask(app, "POST", "/api/v1/analyze", json=body) for app in (kept, plain)]
            assert answers[0].content == answers[1].content

    asyncio.run(scenario())
