"""The API as its clients see it: what they may send, what comes back, and how each refusal looks."""

import asyncio
import json
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omnikeywords.api import create_app
from omnikeywords.api.schemas import AnalyzeAnswer, KeywordResult
from omnikeywords.errors import LanguageTableMissing
from omnikeywords.finder import Finder
from omnikeywords.model import Market
from omnikeywords.ops import Health, SharedFlag
from omnikeywords.settings import Settings

ANALYZE = "/api/v1/analyze"
JSON = {"content-type": "application/json"}
Answerer = Callable[[Sequence[str], str, str | None, str], None]


class Echo:
    """A finder whose analysis is what it was asked; `meanwhile` runs in each call."""

    def __init__(self, meanwhile: Answerer = lambda *asked: None) -> None:
        self.meanwhile = meanwhile
        self.asked: list[tuple[Sequence[str], str, str | None, str]] = []

    def analyse(self, phrases: Sequence[str], kind: str, market: str | None, project: str) -> "Echo.Rows":
        self.asked.append((phrases, kind, market, project))
        if market is not None:
            Market.parse(market)
        self.meanwhile(phrases, kind, market, project)
        return Echo.Rows(phrases)

    class Rows:
        def __init__(self, phrases: Sequence[str]) -> None:
            self._phrases = phrases

        def rows(self) -> list[dict[str, Any]]:
            return [{"keyword": phrase} for phrase in self._phrases]


def application(
    finder: Any = None, warm: Callable[[], None] = lambda: None, checks: Health | None = None, **environ: str
) -> Any:
    return create_app(
        Echo() if finder is None else finder,
        Settings.load(environ),
        version="1.2.3",
        model_version="test",
        warm=warm,
        checks=checks or Health(),
    )


async def send(app: Any, method: str, path: str, **more: Any) -> httpx.Response:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        return await client.request(method, path, **more)


def ask(app: Any, method: str, path: str, **more: Any) -> httpx.Response:
    return asyncio.run(send(app, method, path, **more))


def analyze(body: Any, app: Any = None, **more: Any) -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return ask(app or application(), "POST", ANALYZE, content=content, headers=JSON, **more)


def assert_problem(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """The one check of what every refusal must be."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = answer.json()
    assert set(problem) == {"type", "title", "status", "detail", "code", "params", "request_id"}
    assert problem["type"] == f"urn:omnikeywords:problem:{code}"
    assert (problem["status"], problem["code"]) == (status, code)
    assert problem["request_id"] == answer.headers["x-request-id"]
    assert problem["title"]
    assert problem["detail"]
    assert not problem["detail"].endswith(".")
    return problem


class TestAnalyze:
    """A call that is as it should be."""

    def test_results_come_in_the_order_of_the_keywords(self) -> None:
        answer = analyze({"keywords": ["b", "a", "b"]})
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "application/json"
        assert answer.json() == {
            "analysis_type": "comprehensive",
            "model_version": "test",
            "results": [{"keyword": "b"}, {"keyword": "a"}, {"keyword": "b"}],
        }

    def test_what_is_left_out_has_its_default(self) -> None:
        finder = Echo()
        analyze({"keywords": ["a"]}, application(finder))
        assert finder.asked == [(["a"], "comprehensive", None, "default")]

    def test_what_is_given_reaches_the_finder(self) -> None:
        finder = Echo()
        body = {"keywords": ["a"], "analysis_type": "basic", "market": "pt-BR", "project": "shop-1"}
        assert analyze(body, application(finder)).json()["analysis_type"] == "basic"
        assert finder.asked == [(["a"], "basic", "pt-BR", "shop-1")]

    def test_a_market_may_be_null(self) -> None:
        assert analyze({"keywords": ["a"], "market": None}).status_code == 200

    @pytest.mark.parametrize("content_type", ["application/json; charset=utf-8", "application/vnd.api+json", None])
    def test_json_may_be_named_in_other_ways_or_not_at_all(self, content_type: str | None) -> None:
        headers = {} if content_type is None else {"content-type": content_type}
        answer = ask(application(), "POST", ANALYZE, content=b'{"keywords": ["a"]}', headers=headers)
        assert answer.status_code == 200

    @pytest.mark.parametrize(
        "accept", ["*/*", "application/json", "text/html, application/*;q=0.8", "text/html, */*; q=0.1", ""]
    )
    def test_json_may_be_asked_for_in_other_ways(self, accept: str) -> None:
        answer = ask(application(), "POST", ANALYZE, content=b'{"keywords": ["a"]}', headers={"accept": accept})
        assert answer.status_code == 200

    def test_a_slash_at_the_end_is_forgiven(self) -> None:
        answer = ask(application(), "POST", ANALYZE + "/", json={"keywords": ["a"]})
        assert answer.json()["results"] == [{"keyword": "a"}]
        assert answer.headers["content-type"] == "application/json"
        assert "x-request-id" in answer.headers

    def test_as_many_keywords_as_allowed_are_answered(self) -> None:
        keywords = [f"keyword {i}" for i in range(1000)]
        results = analyze({"keywords": keywords}).json()["results"]
        assert [result["keyword"] for result in results] == keywords

    def test_large_calls_leave_the_event_loop_free(self) -> None:
        threads: dict[int, str] = {}
        finder = Echo(lambda phrases, *rest: threads.update({len(phrases): threading.current_thread().name}))
        app = application(finder)
        analyze({"keywords": [f"a {number}" for number in range(50)]}, app)
        analyze({"keywords": [f"b {number}" for number in range(51)]}, app)
        assert threads[50] == threading.current_thread().name
        assert threads[51].startswith("analyze")


class TestRefusals:
    """What is wrong is said once, with a code, and never as a 500."""

    @pytest.mark.parametrize(
        ("body", "said"),
        [
            (b"", "the body is not JSON: it is empty"),
            (b"{", "the body is not JSON: input data was truncated"),
            (b"keywords=a", "the body is not JSON: invalid character"),
            (b'{"keywords": ["a"]} x', "the body is not JSON: trailing characters"),
            (b'{"keywords": ["\xff"]}', "the body is not JSON: 'utf-8' codec can't decode"),
        ],
    )
    def test_what_is_not_json(self, body: bytes, said: str) -> None:
        assert assert_problem(analyze(body), 400, "invalid_json")["detail"].startswith(said)

    @pytest.mark.parametrize(
        ("body", "field", "said"),
        [
            ({}, None, "object missing required field keywords"),
            ([], None, "expected object, got array"),
            ({"keywords": []}, "keywords", "expected array of length >= 1"),
            ({"keywords": "a"}, "keywords", "expected array, got str"),
            ({"keywords": ["a", 1]}, "keywords[1]", "expected str, got int"),
            ({"keywords": [None]}, "keywords[0]", "expected str, got null"),
            (
                {"keywords": ["a"], "analysis_type": "deep"},
                "analysis_type",
                "invalid enum value 'deep': use basic or comprehensive",
            ),
            ({"keywords": ["a"], "analysis_type": 1}, "analysis_type", "expected str, got int"),
            (
                {"keywords": ["a"], "analyse": 1},
                None,
                "object contains unknown field analyse: known are keywords, analysis_type, market, project",
            ),
            ({"keywords": ["a"], "market": "brazil"}, "market", "not a language and region: write it as pt-BR"),
            ({"keywords": ["a"], "market": 5}, "market", "expected str | null, got int"),
            ({"keywords": ["a"], "project": "a b"}, "project", "no name of a project: use up to 64"),
            ({"keywords": ["a"], "project": None}, "project", "expected str, got null"),
        ],
    )
    def test_what_has_a_wrong_field(self, body: Any, field: str | None, said: str) -> None:
        problem = assert_problem(analyze(body), 422, "invalid_request")
        assert problem["params"] == {"field": field}
        assert said in problem["detail"]
        if field is not None:
            assert problem["detail"].startswith(f"{field}: ")

    def test_more_keywords_than_allowed(self) -> None:
        problem = assert_problem(analyze({"keywords": ["a"] * 1001}), 413, "too_many_keywords")
        assert problem["detail"] == (
            "1001 keywords in one call, at most 1000 are allowed: split them, or use `okf analyze` for whole files"
        )
        assert problem["params"] == {"keywords": 1001, "limit": 1000}

    def test_the_limit_is_a_setting(self) -> None:
        app = application(OKF_ANALYZE_MAX_KEYWORDS="2")
        assert_problem(analyze({"keywords": ["a"] * 3}, app), 413, "too_many_keywords")

    def test_a_body_longer_than_allowed(self) -> None:
        app = application(OKF_MAX_BODY_BYTES="1024")
        problem = assert_problem(analyze({"keywords": ["a" * 1024]}, app), 413, "body_too_large")
        assert problem["params"] == {"limit_bytes": 1024}
        assert "okf analyze" in problem["detail"]

    @pytest.mark.parametrize("media", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "x"])
    def test_a_body_that_says_it_is_not_json(self, media: str) -> None:
        answer = ask(application(), "POST", ANALYZE, content=b'{"keywords": ["a"]}', headers={"content-type": media})
        assert assert_problem(answer, 415, "unsupported_media_type")["params"] == {"content_type": media}
        assert answer.headers["accept"] == "application/json"

    def test_a_compressed_body(self) -> None:
        answer = ask(application(), "POST", ANALYZE, content=b"x", headers={"content-encoding": "gzip"})
        assert_problem(answer, 415, "unsupported_media_type")

    @pytest.mark.parametrize("accept", ["text/html", "application/json;q=0", "image/*", "application/json;q=0, */*"])
    def test_a_client_that_takes_no_json(self, accept: str) -> None:
        answer = ask(application(), "POST", ANALYZE, content=b'{"keywords": ["a"]}', headers={"accept": accept})
        assert_problem(answer, 406, "not_acceptable")

    @pytest.mark.parametrize("path", ["/", "/api/v1/analyse", "/api/v2/analyze", "/docs/../x", "/schema"])
    def test_a_path_where_nothing_is(self, path: str) -> None:
        assert_problem(ask(application(), "GET", path), 404, "not_found")

    @pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "TRACE", "HEAD"])
    def test_a_method_that_is_not_for_the_path(self, method: str) -> None:
        answer = ask(application(), method, ANALYZE)
        assert answer.status_code == 405
        assert answer.headers["allow"] == "OPTIONS, POST"
        if method != "HEAD":
            assert_problem(answer, 405, "method_not_allowed")

    def test_what_methods_there_are_can_be_asked(self) -> None:
        answer = ask(application(), "OPTIONS", ANALYZE)
        assert answer.status_code == 204
        assert {method.strip() for method in answer.headers["allow"].split(",")} == {"OPTIONS", "POST"}

    def test_a_host_that_is_none(self) -> None:
        assert_problem(ask(application(), "GET", "/nothing", headers={"host": "a b"}), 400, "invalid_host")

    def test_a_service_without_its_table(self) -> None:
        def missing(*asked: Any) -> None:
            raise LanguageTableMissing("the table is missing: run `okf warm`")

        answer = analyze({"keywords": ["a"]}, application(Echo(missing)))
        assert assert_problem(answer, 503, "language_table_missing")["detail"].endswith("run `okf warm`")
        assert answer.headers["retry-after"] == "30"

    @pytest.mark.parametrize("number", [1, 51])
    def test_an_error_of_ours(self, number: int) -> None:
        def fail(*asked: Any) -> None:
            raise RuntimeError("secret")

        answer = analyze({"keywords": ["a"] * number}, application(Echo(fail)))
        assert "secret" not in answer.text
        assert_problem(answer, 500, "error")


class TestLargeCalls:
    """Calls of more than 50 keywords wait for a thread, not for ever and not without end."""

    LARGE = json.dumps({"keywords": ["a"] * 51}).encode()

    def test_one_that_takes_too_long_is_given_up(self) -> None:
        leave = threading.Event()
        app = application(Echo(lambda *asked: leave.wait() and None), OKF_REQUEST_TIMEOUT_MS="50")
        answer = analyze(self.LARGE, app)
        leave.set()
        assert_problem(answer, 503, "deadline_exceeded")
        assert answer.headers["retry-after"] == "1"

    def test_more_than_may_wait_are_refused_and_room_comes_back(self) -> None:
        leave = threading.Event()

        def hold_large_ones(phrases: Sequence[str], *rest: Any) -> None:
            if len(phrases) > 50:
                leave.wait()

        app = application(Echo(hold_large_ones), OKF_THREADS="1", OKF_QUEUE="1")

        async def large() -> httpx.Response:
            return await send(app, "POST", ANALYZE, content=self.LARGE, headers=JSON)

        async def scenario() -> tuple[httpx.Response, list[httpx.Response]]:
            calls = [asyncio.create_task(large()) for _ in range(3)]
            (refused,), held = await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
            small = await send(app, "POST", ANALYZE, content=b'{"keywords": ["a"]}', headers=JSON)
            leave.set()
            return refused.result(), [small, *[await call for call in held], await large()]

        refused, served = asyncio.run(scenario())
        assert_problem(refused, 503, "overloaded")
        assert refused.headers["retry-after"] == "1"
        assert [answer.status_code for answer in served] == [200, 200, 200, 200]


class TestSmallCalls:
    """Calls that arrive together are analysed together, and nobody can tell."""

    @staticmethod
    def all_at_once(app: Any, *bodies: Any) -> list[httpx.Response]:
        async def scenario() -> list[httpx.Response]:
            return await asyncio.gather(
                *(send(app, "POST", ANALYZE, content=json.dumps(body).encode(), headers=JSON) for body in bodies)
            )

        return asyncio.run(scenario())

    def test_each_gets_its_own_keywords_in_their_order(self) -> None:
        finder = Echo()
        bodies = [{"keywords": [f"{i}-{j}" for j in range(i % 4 + 1)]} for i in range(100)]
        answers = self.all_at_once(application(finder), *bodies)
        for body, answer in zip(bodies, answers, strict=True):
            assert [row["keyword"] for row in answer.json()["results"]] == body["keywords"]
        assert len(finder.asked) < 20

    def test_only_calls_with_the_same_options_share_a_batch(self) -> None:
        finder = Echo()
        options = [{}, {"market": "pt-BR"}, {"analysis_type": "basic"}, {"project": "shop"}]
        self.all_at_once(application(finder), *({"keywords": ["a"], **given} for given in options * 5))
        for phrases, *_ in finder.asked:
            assert set(phrases) == {"a"}
        asked = {tuple(given) for _, *given in finder.asked}
        assert asked == {
            ("comprehensive", None, "default"),
            ("comprehensive", "pt-BR", "default"),
            ("basic", None, "default"),
            ("comprehensive", None, "shop"),
        }
        assert sum(len(phrases) for phrases, *_ in finder.asked) == 20

    def test_a_batch_holds_the_event_loop_for_no_more_than_256_keywords(self) -> None:
        finder = Echo()
        answers = self.all_at_once(application(finder), *[{"keywords": ["a"] * 50}] * 20)
        assert {answer.status_code for answer in answers} == {200}
        assert max(len(phrases) for phrases, *_ in finder.asked) <= 256
        assert sum(len(phrases) for phrases, *_ in finder.asked) == 1000

    def test_an_error_of_ours_over_one_phrase_is_that_call_s_alone(self) -> None:
        def fail(phrases: Sequence[str], *rest: Any) -> None:
            if "poison" in phrases:
                raise RuntimeError

        bodies = [{"keywords": ["good"]}, {"keywords": ["poison"]}, {"keywords": ["fine"]}]
        answers = self.all_at_once(application(Echo(fail)), *bodies)
        assert [answer.status_code for answer in answers] == [200, 500, 200]

    def test_an_error_of_the_options_is_everybody_s(self) -> None:
        def missing(*asked: Any) -> None:
            raise LanguageTableMissing("the table is missing: run `okf warm`")

        finder = Echo(missing)
        answers = self.all_at_once(application(finder), *[{"keywords": ["a"]}] * 3)
        assert [answer.status_code for answer in answers] == [503, 503, 503]


class TestSystem:
    """What probes, Prometheus and readers ask for."""

    def test_alive_is_alive_whatever_else_is_wrong(self) -> None:
        checks = Health()
        checks.register("disk", lambda: "full")
        answer = ask(application(checks=checks), "GET", "/health")
        assert answer.status_code == 200
        assert answer.json()["status"] == "alive"

    def test_it_is_not_ready_before_it_has_started(self) -> None:
        answer = ask(application(), "GET", "/ready")
        assert answer.status_code == 503
        assert answer.json() == {"status": "not_ready", "checks": {"models": "loading"}}
        assert answer.headers["retry-after"] == "1"

    def test_it_is_ready_once_models_are_loaded_and_not_while_draining(self, tmp_path: Path) -> None:
        loaded = threading.Event()
        draining = SharedFlag(tmp_path / "draining")
        app = application(warm=loaded.set, checks=Health(draining))

        async def scenario() -> list[httpx.Response]:
            async with started(app):
                while (first := await send(app, "GET", "/ready")).status_code != 200:
                    assert first.json()["checks"] == {"models": "loading"}
                SharedFlag(tmp_path / "draining").set()  # as another process would
                return [first, await send(app, "GET", "/ready"), await send(app, "GET", "/health")]

        ready, drained, alive = asyncio.run(scenario())
        assert loaded.is_set()
        assert ready.json() == {"status": "ready", "checks": {"models": None}}
        assert drained.status_code == 503
        assert drained.json()["checks"]["draining"] == "the service is stopping: send requests elsewhere"
        assert alive.status_code == 200

    def test_it_says_why_it_cannot_be_ready(self) -> None:
        def missing() -> None:
            raise LanguageTableMissing("the table is missing: run `okf warm`")

        app = application(warm=missing)

        async def scenario() -> httpx.Response:
            async with started(app):
                while (answer := await send(app, "GET", "/ready")).json()["checks"] == {"models": "loading"}:
                    pass
                return answer

        answer = asyncio.run(scenario())
        assert answer.status_code == 503
        assert answer.json()["checks"] == {"models": "the table is missing: run `okf warm`"}

    def test_metrics_tell_of_requests_and_keywords(self) -> None:
        app = application()
        keywords = 'okf_keywords_analysed_total{analysis_type="basic"}'
        before = metric(app, keywords)
        analyze({"keywords": ["a", "b", "c"], "analysis_type": "basic"}, app)
        analyze({"keywords": []}, app)
        assert metric(app, keywords) == before + 3
        assert metric(app, f'http_requests_total{{endpoint="{ANALYZE}",method="POST",status="200"}}') > 0
        assert metric(app, f'http_requests_total{{endpoint="{ANALYZE}",method="POST",status="422"}}') > 0
        assert metric(app, 'okf_build_info{model_version="test",version="1.2.3"}') == 1

    def test_metrics_are_prometheus_text(self) -> None:
        answer = ask(application(), "GET", "/metrics")
        assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
        assert "# TYPE http_request_duration_seconds histogram" in answer.text
        assert "process_resident_memory_bytes" in answer.text

    @pytest.mark.parametrize("path", ["/health", "/metrics", "/docs", "/openapi.json"])
    def test_what_can_be_got_can_be_asked_for_by_head(self, path: str) -> None:
        answer = ask(application(), "HEAD", path)
        assert answer.status_code == 200
        assert answer.content == b""
        assert int(answer.headers["content-length"]) > 0


class TestDocs:
    """The page of the API needs nothing but this server."""

    def test_the_page_loads_its_script_and_document_from_here(self) -> None:
        app = application()
        page = ask(app, "GET", "/docs")
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        assert re.findall(r"(?:src|href|spec-url)=\"([^\"]*)\"", page.text) == [
            "data:,",
            "/docs/rapidoc-min.js",
            "/openapi.json",
            "/openapi.json",
        ]
        script = ask(app, "GET", "/docs/rapidoc-min.js")
        assert script.headers["content-type"] == "text/javascript; charset=utf-8"
        assert b"RapiDoc" in script.content

    def test_a_browser_may_load_nothing_from_elsewhere(self) -> None:
        policy = ask(application(), "GET", "/docs").headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "http" not in policy
        assert "*" not in policy
        assert "unsafe-eval" not in policy

    def test_the_script_is_compressed_for_those_who_take_it(self) -> None:
        app = application()
        packed = ask(app, "GET", "/docs/rapidoc-min.js", headers={"accept-encoding": "gzip"})
        plain = ask(app, "GET", "/docs/rapidoc-min.js", headers={"accept-encoding": "identity"})
        assert packed.headers["content-encoding"] == "gzip"
        assert "content-encoding" not in plain.headers
        assert int(packed.headers["content-length"]) < int(plain.headers["content-length"]) / 3
        assert packed.content == plain.content

    def test_what_is_shown_is_licensed_and_small(self) -> None:
        import omnikeywords.api

        assets = Path(omnikeywords.api.__file__).parent / "assets"
        assert (assets / "rapidoc-min.js.LICENSE.txt").read_text().startswith("MIT License")
        assert sum(file.stat().st_size for file in assets.iterdir()) < 1_000_000


@pytest.fixture(scope="module")
def app() -> Any:
    return application(Finder(Settings.load({})))


class TestRealAnalysis:
    """The same with the real finder behind it: the answer is what the document says."""

    @pytest.mark.parametrize("kind", ["basic", "comprehensive"])
    def test_every_field_is_declared_and_of_its_type(self, app: Any, kind: str) -> None:
        keywords = [
            "comprar ténis de corrida",
            "nike air max 2024 price",
            "",
            "facebook login",
            "x" * 701,
            "24/7",
        ]
        answer = analyze({"keywords": keywords, "analysis_type": kind, "market": "pt-PT"}, app)
        decoded = msgspec.json.decode(answer.content, type=AnalyzeAnswer)
        # An over-long one comes back as long as one may be.
        assert [result.keyword for result in decoded.results] == [keyword[:700] for keyword in keywords]
        declared = set(KeywordResult.__struct_fields__)
        required = {name for name in declared if name in msgspec_required(KeywordResult)}
        for result in answer.json()["results"]:
            assert required <= set(result) <= declared
            assert (set(result) == declared) is (kind == "comprehensive")

    def test_a_bad_keyword_is_answered_in_its_place(self, app: Any) -> None:
        first, bad, last = analyze({"keywords": ["buy shoes", " \u0000 ", "how to run"]}, app).json()["results"]
        assert first["error"] is None
        assert last["error"] is None
        assert bad["keyword"] == " \u0000 "
        assert bad["error"]["code"] == "invalid_keyword"
        assert {value for name, value in bad.items() if name not in ("keyword", "error", "model_version")} == {None}

    def test_the_guide_s_own_calls_work_unchanged(self, app: Any) -> None:
        body = {"keywords": ["python", "docker"], "analysis_type": "comprehensive"}
        assert ask(app, "POST", ANALYZE, json=body).status_code == 200
        assert ask(app, "POST", ANALYZE, json={"keywords": ["test"]}).status_code == 200
        assert ask(app, "GET", "/health").status_code == 200

    @settings(max_examples=40, deadline=None)
    @given(st.lists(st.text(), min_size=1, max_size=8))
    def test_no_text_is_an_error_of_ours_and_none_moves(self, app: Any, keywords: list[str]) -> None:
        answer = analyze({"keywords": keywords}, app)
        assert answer.status_code == 200
        assert [result["keyword"] for result in answer.json()["results"]] == keywords


class started:
    """The application between start-up and shut-down, as a server runs it."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self._events: asyncio.Queue[Mapping[str, Any]] = asyncio.Queue()
        self._said: asyncio.Queue[Mapping[str, Any]] = asyncio.Queue()

    async def __aenter__(self) -> None:
        scope = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}
        self._life = asyncio.create_task(self._app(scope, self._events.get, self._said.put))
        await self._events.put({"type": "lifespan.startup"})
        assert (await self._said.get())["type"] == "lifespan.startup.complete"

    async def __aexit__(self, *error: object) -> None:
        await self._events.put({"type": "lifespan.shutdown"})
        assert (await self._said.get())["type"] == "lifespan.shutdown.complete"
        await self._life


def metric(app: Any, line_start: str) -> float:
    for line in ask(app, "GET", "/metrics").text.splitlines():
        if line.startswith(line_start + " "):
            return float(line.rpartition(" ")[2])
    return 0.0


def msgspec_required(struct: type[msgspec.Struct]) -> set[str]:
    return {field.encode_name for field in msgspec.structs.fields(struct) if field.required}
