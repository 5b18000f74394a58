"""What every answer carries, what is refused before any work, and what is counted."""

import asyncio
import json
import logging
import re
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any

import httpx
import pytest
import structlog

from omnikeywords.api.guard import Call, Endpoint, Guard, Reply, read_body
from omnikeywords.api.problems import Problem
from omnikeywords.api.threads import Threads
from omnikeywords.ops import configure_logs, render_metrics
from omnikeywords.settings import Settings


async def hello(call: Call) -> Reply:
    return Reply(b'"hello"')


async def nothing_routed(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 204, "headers": [(b"x-made-by", b"router")]})
    await send({"type": "http.response.body", "body": b""})


def guard(endpoint: Endpoint = hello, method: str = "GET", **environ: str) -> Guard:
    return Guard(nothing_routed, Settings.load(environ), {(method, "/x"): endpoint}, frozenset({"/x"}))


async def ask_async(
    app: Guard, method: str = "GET", path: str = "/x", headers: Mapping[str, str] | None = None, **more: Any
) -> httpx.Response:
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        return await client.request(method, path, headers=headers, **more)


def ask(app: Guard, *given: Any, **more: Any) -> httpx.Response:
    return asyncio.run(ask_async(app, *given, **more))


def counted(line_start: str) -> float:
    """The value of the metric line that begins so; 0 where there is none yet."""
    for line in render_metrics().decode().splitlines():
        if line.startswith(line_start):
            return float(line.rpartition(" ")[2])
    return 0.0


def test_every_answer_has_an_id_and_security_headers() -> None:
    answer = ask(guard())
    assert answer.json() == "hello"
    assert re.fullmatch(r"[0-9a-f]{12}-[0-9a-f]+", answer.headers["x-request-id"])
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["content-length"] == "7"
    assert "access-control-allow-origin" not in answer.headers


def test_what_the_router_answers_has_them_too() -> None:
    answer = ask(guard(), "GET", "/elsewhere")
    assert answer.status_code == 204
    assert answer.headers["x-made-by"] == "router"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "x-request-id" in answer.headers


def test_ids_differ() -> None:
    app = guard()
    assert ask(app).headers["x-request-id"] != ask(app).headers["x-request-id"]


def test_a_request_keeps_the_id_and_the_trace_it_came_with() -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    answer = ask(guard(), headers={"X-Request-Id": "order-7.a", "traceparent": trace})
    assert answer.headers["x-request-id"] == "order-7.a"
    assert answer.headers["traceparent"] == trace


@pytest.mark.parametrize("bad", ["a b", "x" * 129, "{}", '"'])
def test_an_id_that_could_spoil_a_log_is_replaced(bad: str) -> None:
    assert ask(guard(), headers={"X-Request-Id": bad}).headers["x-request-id"] != bad


def test_a_trace_that_is_none_is_dropped() -> None:
    assert "traceparent" not in ask(guard(), headers={"traceparent": "00-zz-1"}).headers


def test_head_is_get_without_the_body() -> None:
    answer = ask(guard(), "HEAD")
    assert answer.status_code == 200
    assert answer.content == b""
    assert answer.headers["content-length"] == "7"


def test_a_problem_is_answered_as_one() -> None:
    async def refuse(call: Call) -> Reply:
        raise Problem("invalid_request", "no", {"field": "a"}, ((b"x-more", b"1"),))

    answer = ask(guard(refuse), headers={"X-Request-Id": "r1"})
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["x-more"] == "1"
    assert answer.json() == {
        "type": "urn:omnikeywords:problem:invalid_request",
        "title": "The request has a wrong field",
        "status": 422,
        "detail": "no",
        "code": "invalid_request",
        "params": {"field": "a"},
        "request_id": "r1",
    }


def test_an_unforeseen_error_is_logged_and_told_without_its_inside(caplog: pytest.LogCaptureFixture) -> None:
    async def fail(call: Call) -> Reply:
        raise ValueError("secret")

    answer = ask(guard(fail), headers={"X-Request-Id": "r2"})
    assert answer.status_code == 500
    assert answer.json()["code"] == "error"
    assert "secret" not in answer.text


def test_more_requests_than_allowed_are_shed_before_their_body_is_read() -> None:
    shed_before = counted('http_requests_shed_total{reason="in_flight"}')
    outcomes: list[httpx.Response] = []

    async def scenario() -> None:
        entered, leave = asyncio.Event(), asyncio.Event()

        async def slow(call: Call) -> Reply:
            entered.set()
            await leave.wait()
            return Reply(b"{}")

        app = guard(slow, OKF_MAX_IN_FLIGHT="1")
        first = asyncio.create_task(ask_async(app))
        await entered.wait()

        async def body() -> Any:
            raise AssertionError("the body was read")
            yield b""

        outcomes.append(await ask_async(app, "POST", "/x", content=body()))
        leave.set()
        outcomes.append(await first)
        outcomes.append(await ask_async(app))

    asyncio.run(scenario())
    shed, served, later = outcomes
    assert shed.status_code == 503
    assert shed.headers["retry-after"] == "1"
    assert shed.json()["code"] == "overloaded"
    assert served.status_code == 200
    assert later.status_code == 200
    assert counted('http_requests_shed_total{reason="in_flight"}') == shed_before + 1


def test_probes_are_answered_however_busy_it_is() -> None:
    async def scenario() -> int:
        entered, leave = asyncio.Event(), asyncio.Event()

        async def slow(call: Call) -> Reply:
            entered.set()
            await leave.wait()
            return Reply(b"{}")

        endpoints = {("GET", "/x"): slow, ("GET", "/health"): hello}
        app = Guard(nothing_routed, Settings.load({"OKF_MAX_IN_FLIGHT": "1"}), endpoints, frozenset())
        first = asyncio.create_task(ask_async(app))
        await entered.wait()
        status = (await ask_async(app, "GET", "/health")).status_code
        leave.set()
        await first
        return status

    assert asyncio.run(scenario()) == 200


class TestLongBodies:
    """A client that sends much is refused at once, and what it still sends is let through for it to read why."""

    @staticmethod
    def events(endpoint: Endpoint, chunks: int, headers: Mapping[str, str]) -> list[str]:
        """What happens in turn: pieces of a body that are read, parts of the answer that are sent."""
        happened: list[str] = []

        async def receive() -> dict[str, Any]:
            happened.append("read")
            more = happened.count("read") < chunks
            return {"type": "http.request", "body": b"x" * 1_000_000, "more_body": more}

        async def send(message: Any) -> None:
            happened.append(str(message.get("status", "sent")))

        named = [(name.encode(), value.encode()) for name, value in headers.items()]
        scope = {"type": "http", "method": "POST", "path": "/x", "headers": named}
        asyncio.run(guard(endpoint, "POST")(scope, receive, send))
        return happened

    @pytest.mark.parametrize("headers", [{"content-length": "3000000"}, {"transfer-encoding": "chunked"}])
    def test_one_that_is_not_wanted_is_let_through_after_the_answer(self, headers: Mapping[str, str]) -> None:
        async def refuse(call: Call) -> Reply:
            raise Problem("forbidden", "no")

        assert self.events(refuse, 3, headers) == ["403", "sent", "read", "read", "read"]

    def test_one_that_was_read_in_part_is_let_through_to_its_end(self) -> None:
        async def refuse(call: Call) -> Reply:
            await read_body(call, 1_500_000, 1.0)
            raise AssertionError

        happened = self.events(refuse, 4, {"transfer-encoding": "chunked"})
        assert happened == ["read", "read", "413", "sent", "read", "read"]

    def test_one_that_was_read_is_over(self) -> None:
        async def refuse(call: Call) -> Reply:
            await read_body(call, 5_000_000, 1.0)
            raise Problem("forbidden", "no")

        assert self.events(refuse, 2, {"content-length": "2000000"}) == ["read", "read", "403", "sent"]

    def test_one_without_end_is_broken_off(self) -> None:
        async def refuse(call: Call) -> Reply:
            raise Problem("forbidden", "no")

        assert self.events(refuse, 10**9, {"content-length": "999999999"}).count("read") == 68  # of a million bytes

    def test_a_short_one_is_left_to_the_server(self) -> None:
        async def refuse(call: Call) -> Reply:
            raise Problem("forbidden", "no")

        assert self.events(refuse, 1, {"content-length": "99999"}) == ["403", "sent"]


class TestReadBody:
    """`read_body` takes what is allowed, whole, and no more."""

    @staticmethod
    def read(*messages: dict[str, Any], length: int | None = None, most: int = 10) -> bytes:
        rest = iter(messages)

        async def receive() -> dict[str, Any]:
            message = next(rest, None)
            if message is None:
                await asyncio.Event().wait()
                raise AssertionError
            return message

        headers = {} if length is None else {b"content-length": str(length).encode()}
        return asyncio.run(read_body(Call(headers, receive), most, 0.05))

    def test_chunks_are_joined(self) -> None:
        chunks = [
            {"type": "http.request", "body": b"abc", "more_body": True},
            {"type": "http.request", "body": b"de"},
        ]
        assert self.read(*chunks) == b"abcde"

    def test_a_length_that_is_too_long_is_refused_unread(self) -> None:
        with pytest.raises(Problem) as caught:
            self.read(length=10**9)
        assert (caught.value.code, caught.value.params) == ("body_too_large", {"limit_bytes": 10})

    def test_chunks_without_a_length_are_refused_once_too_long(self) -> None:
        chunk = {"type": "http.request", "body": b"123456", "more_body": True}
        with pytest.raises(Problem, match="longer than 10 bytes"):
            self.read(chunk, chunk)

    def test_a_body_that_does_not_come_is_given_up(self) -> None:
        with pytest.raises(Problem) as caught:
            self.read({"type": "http.request", "body": b"1", "more_body": True})
        assert caught.value.status == 408
        assert (b"connection", b"close") in caught.value.headers

    def test_a_body_that_breaks_off_is_answered_in_case_anyone_listens(self) -> None:
        async def body(call: Call) -> Reply:
            return Reply(await read_body(call, 10, 1.0))

        async def receive() -> dict[str, Any]:
            return {"type": "http.disconnect"}

        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)
            if len(sent) == 2:
                raise RuntimeError("nobody there")

        scope = {"type": "http", "method": "POST", "path": "/x", "headers": []}
        before = counted('http_requests_total{endpoint="/x",method="POST",status="499"}')
        asyncio.run(guard(body, "POST")(scope, receive, send))
        assert counted('http_requests_total{endpoint="/x",method="POST",status="499"}') == before + 1
        assert sent[0]["status"] == 400
        assert json.loads(sent[1]["body"])["detail"] == "the body broke off before it was whole: send all of it"


def test_requests_are_counted_by_endpoint_and_status() -> None:
    line = 'http_requests_total{endpoint="/x",method="GET",status="200"}'
    seconds = 'http_request_duration_seconds_count{endpoint="/x",method="GET"}'
    before, timed = counted(line), counted(seconds)
    app = guard()
    ask(app)
    ask(app)
    assert counted(line) == before + 2
    assert counted(seconds) == timed + 2


def test_paths_and_methods_of_scanners_make_no_new_series() -> None:
    before = counted('http_requests_total{endpoint="other",method="GET",status="204"}')
    ask(guard(), "GET", "/wp-login.php")
    ask(guard(), "GET", "/.env")
    ask(guard(), "BREW", "/x")
    assert counted('http_requests_total{endpoint="other",method="GET",status="204"}') == before + 2
    text = render_metrics().decode()
    assert "wp-login" not in text
    assert "BREW" not in text
    assert 'method="other"' in text


class TestCors:
    """Browsers may call from named origins, and from nowhere unless some are named."""

    ORIGIN = "https://app.example.com"

    def test_a_named_origin_may_read_the_answer(self) -> None:
        answer = ask(guard(OKF_CORS_ORIGINS=self.ORIGIN), headers={"Origin": self.ORIGIN})
        assert answer.headers["access-control-allow-origin"] == self.ORIGIN
        assert answer.headers["vary"] == "origin"
        assert "access-control-allow-credentials" not in answer.headers

    def test_another_origin_may_not(self) -> None:
        answer = ask(guard(OKF_CORS_ORIGINS=self.ORIGIN), headers={"Origin": "https://evil.example"})
        assert answer.status_code == 200
        assert "access-control-allow-origin" not in answer.headers

    def test_a_preflight_is_answered_here(self) -> None:
        answer = ask(
            guard(OKF_CORS_ORIGINS="*"),
            "OPTIONS",
            headers={"Origin": self.ORIGIN, "Access-Control-Request-Method": "POST"},
        )
        assert answer.status_code == 204
        assert answer.headers["access-control-allow-origin"] == "*"
        assert "POST" in answer.headers["access-control-allow-methods"]
        assert "content-type" in answer.headers["access-control-allow-headers"]

    def test_problems_can_be_read_too(self) -> None:
        async def refuse(call: Call) -> Reply:
            raise Problem("invalid_json", "no")

        answer = ask(guard(refuse, OKF_CORS_ORIGINS="*"), headers={"Origin": self.ORIGIN})
        assert answer.status_code == 400
        assert answer.headers["access-control-allow-origin"] == "*"


@pytest.fixture
def _no_logs_afterwards() -> Iterator[None]:
    yield
    root = logging.getLogger()
    root.handlers = [handler for handler in root.handlers if handler.get_name() != "omnikeywords"]
    structlog.reset_defaults()


@pytest.mark.usefixtures("_no_logs_afterwards")
def test_the_access_log_has_a_line_a_request(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("info", "json")
    ask(guard(OKF_ACCESS_LOG="on"), headers={"X-Request-Id": "r3"})
    ask(guard(), headers={"X-Request-Id": "r4"})
    (line,) = capsys.readouterr().err.splitlines()
    logged = json.loads(line)
    assert logged["event"] == "request"
    assert (logged["method"], logged["path"], logged["status"]) == ("GET", "/x", 200)
    assert logged["request_id"] == "r3"
    assert logged["ms"] >= 0


class TestTooMuch:
    """What is refused unread while there is more to do than can be done."""

    ENDPOINTS = ("/api/v1/analyze", "/api/v1/imports")

    def guard(self, endpoint: Endpoint = hello, **environ: str) -> Guard:
        endpoints = {(method, path): endpoint for path in (*self.ENDPOINTS, "/health") for method in ("GET", "POST")}
        return Guard(nothing_routed, Settings.load(environ), endpoints, frozenset())

    def test_what_costs_little_is_refused_last_and_health_never(self) -> None:
        async def scenario() -> list[int]:
            leave = asyncio.Event()

            async def slow(call: Call) -> Reply:
                if not leave.is_set():
                    await leave.wait()
                return Reply(b"{}")

            app = self.guard(slow, OKF_MAX_IN_FLIGHT="4")
            asking = [asyncio.create_task(ask_async(app, "GET", "/api/v1/analyze")) for _ in range(3)]
            await asyncio.sleep(0)
            costly = await ask_async(app, "POST", "/api/v1/imports")
            long = await ask_async(app, "POST", "/api/v1/analyze", content=b"x" * 10_000)
            asking.append(asyncio.create_task(ask_async(app, "GET", "/api/v1/analyze")))
            await asyncio.sleep(0)
            cheap = await ask_async(app, "GET", "/api/v1/analyze")
            health = asyncio.create_task(ask_async(app, "GET", "/health"))
            await asyncio.sleep(0)
            leave.set()
            answered = [answer.status_code for answer in await asyncio.gather(*asking, health)]
            return [costly.status_code, long.status_code, cheap.status_code, *answered]

        assert asyncio.run(scenario()) == [503, 503, 503, 200, 200, 200, 200, 200]

    def test_while_requests_wait_too_long_a_growing_part_is_refused_and_then_less_again(self) -> None:
        app = self.guard(OKF_SHED_LAG_MS="500")

        def refused(path: str) -> int:
            return sum(ask(app, "GET", path).status_code == 503 for _ in range(20))

        app.heed(0.6)
        app.heed(0.6)
        assert refused("/api/v1/analyze") == 0  # it may have been nothing
        app.heed(0.6)
        assert refused("/api/v1/analyze") == 2
        app.heed(0.6)
        app.heed(0.6)
        assert refused("/api/v1/analyze") == 6
        assert refused("/api/v1/imports") == 12
        assert refused("/health") == 0
        for _ in range(20):
            app.heed(0.6)
        assert refused("/api/v1/analyze") == 18  # who gets through shows how it is
        for _ in range(9):
            app.heed(0.0)
        assert refused("/api/v1/analyze") == 0


class TestDeadline:
    """It counts from when a request came, not from when its turn came."""

    @pytest.mark.parametrize("unit", ["{:.3f}", "t={:.3f}"])
    def test_one_that_waited_too_long_before_it_is_not_begun(self, unit: str) -> None:
        app = guard(OKF_REQUEST_TIMEOUT_MS="2000")
        late = ask(app, headers={"x-request-start": unit.format(time.time() - 3)})
        assert late.status_code == 503
        assert late.json()["code"] == "deadline_exceeded"
        assert late.headers["retry-after"] == "1"

    @pytest.mark.parametrize(
        "said",
        ["t=9999999999.5", "nonsense", "", "-5", f"t={time.time():.3f}"],
        ids=["future", "words", "empty", "negative", "now"],
    )
    def test_what_was_said_of_the_future_or_makes_no_sense_counts_for_nothing(self, said: str) -> None:
        assert ask(guard(OKF_REQUEST_TIMEOUT_MS="600000"), headers={"x-request-start": said}).status_code == 200

    def test_milliseconds_and_microseconds_are_understood(self) -> None:
        app = guard(OKF_REQUEST_TIMEOUT_MS="2000")
        long_ago = time.time() - 3
        for said in (f"t={long_ago * 1e3:.0f}", f"t={long_ago * 1e6:.0f}"):
            assert ask(app, headers={"x-request-start": said}).status_code == 503

    def test_a_body_has_what_is_left_of_it(self) -> None:
        async def read(call: Call) -> Reply:
            return Reply(await read_body(call, 100, 600))

        async def scenario() -> httpx.Response:
            async def never() -> Any:
                yield b"a"
                await asyncio.Event().wait()

            headers = {"x-request-start": f"t={time.time() - 599.9:.3f}"}
            app = guard(read, "POST", OKF_REQUEST_TIMEOUT_MS="600000")
            return await ask_async(app, "POST", headers=headers, content=never())

        assert asyncio.run(scenario()).json()["code"] == "body_timeout"

    def test_so_has_what_needs_a_thread(self) -> None:
        threads = Threads("test", 1, 1, 600, busy="busy", advice="")
        done = threading.Event()

        async def work(call: Call) -> Reply:
            await threads.run(done.wait, 30)
            return Reply(b"{}")

        headers = {"x-request-start": f"t={time.time() - 599.9:.3f}"}
        answer = ask(guard(work, OKF_REQUEST_TIMEOUT_MS="600000"), headers=headers)
        done.set()
        threads.close()
        assert answer.json()["code"] == "deadline_exceeded"
