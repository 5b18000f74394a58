"""What stands before every request: its id, the limit on requests in flight, CORS, security headers, metrics,
the access log, and the answer where something went wrong.

It is plain ASGI around the application. Endpoints at fixed paths are called from here at once; the rest, and
what fits none, goes through the application's router.
"""

import asyncio
import itertools
import re
import secrets
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, MutableMapping
from contextlib import suppress
from typing import Any, NamedTuple

from omnikeywords.api.caller import LOCAL, NOBODY, Caller
from omnikeywords.api.compression import coding_for, compress, is_worth_it
from omnikeywords.api.deadline import begin, waited
from omnikeywords.api.keyring import Keyring
from omnikeywords.api.limits import Limits
from omnikeywords.api.problems import PROBLEM_CONTENT_TYPE, Problem, body_of, problem_of
from omnikeywords.ops import SharedFlag, counter, gauge, get_logger, histogram
from omnikeywords.settings import Settings

__all__ = [
    "POLICY",
    "Call",
    "ClientLeft",
    "Endpoint",
    "Guard",
    "Headers",
    "Reply",
    "encoded",
    "read_body",
    "template_pattern",
]

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = tuple[tuple[bytes, bytes], ...]

_requests = counter("http_requests_total", "Requests answered.", ("method", "endpoint", "status"))
_seconds = histogram(
    "http_request_duration_seconds",
    "Time from a request's head to the end of its answer.",
    ("method", "endpoint"),
    (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 2.5, 5.0, 10.0),
)
_in_flight = gauge("http_requests_in_flight", "Requests being answered now, as of the last beat.")
_lag = gauge(
    "okf_event_loop_lag_seconds",
    "How late the event loop was at its last beat: what every small request waits at least.",
    over_processes="livemax",
)
_shed = counter(
    "http_requests_shed_total",
    "Requests refused unread: too many in flight, too long waits for a turn (lag), or late already.",
    ("reason",),
)

_BEAT_SECONDS = 0.1
_BEATS_UNTIL_SHED = 3  # that something held up the process once is no overload
_SHED_STEP = 10  # of a hundred requests, a beat
_MOST_SHED = 90
# Answered from memory: they are the last to be refused, if their body is short.
_CHEAP = frozenset({"/api/v1/analyze", "/api/v1/search", "/api/v1/suggest"})
_CHEAP_DIGITS = 5  # of the length of a body, from 10 kB on
_MOST_DISCARDED = 64 * 1024 * 1024  # bytes
_DISCARD_SECONDS = 10.0
_LONG_DIGITS = 6  # of the length of a body, from 100 kB on

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"})
# Asked by machines that must get an answer when all else is refused.
_ALWAYS_ANSWERED = frozenset({"/health", "/ready", "/metrics"})
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._:/+=@-]{1,128}")
_TRACEPARENT = re.compile(rb"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}(-\S*)?")
_SECURITY: Headers = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
)
POLICY = (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'")
# For answers that do not say otherwise.
_STRICT: Headers = (POLICY, (b"cache-control", b"no-store"))
_LONG = 131_072  # bytes of a body from which on compressing it would hold up other requests


# Headers that a page elsewhere may send, and those that it may read.
_CORS_SENT = (
    b"authorization, content-type, x-api-key, x-request-id, traceparent, if-match, if-none-match, idempotency-key"
)
_CORS_SHOWN = b"x-request-id, retry-after, etag, location, content-disposition, ratelimit, ratelimit-policy"


class Call(NamedTuple):
    """A request as an endpoint gets it."""

    headers: Mapping[bytes, bytes]  # names in lower case
    receive: Receive
    caller: Caller = LOCAL
    path: Mapping[str, str] = {}  # parts of the path by the name in its template
    query: bytes = b""  # what stands behind the question mark


class Reply(NamedTuple):
    """An answer as an endpoint gives it."""

    body: bytes
    status: int = 200
    content_type: bytes = b"application/json"
    headers: Headers = ()
    kept: Headers = _STRICT  # what browsers may do with it and for how long
    more: AsyncGenerator[bytes, None] | None = None  # the rest of the body, made while it is sent
    coding: bytes | None = None  # of the body, where it is compressed
    note: tuple[str, int] | None = None  # of the endpoint to itself, for what it counts: a kept reply has it too


Endpoint = Callable[[Call], Awaitable[Reply]]


_CLOSE: Headers = ((b"connection", b"close"),)
_LATE = "the body is late"


_broken_off = Problem("invalid_json", "the body broke off before it was whole: send all of it")


class ClientLeft(Exception):
    """The connection was closed, or the body was cut into wrong chunks, before it was whole."""


async def read_body(call: Call, most_bytes: int, within_seconds: float) -> bytes:
    """The whole body of a request, within so many seconds since that came.

    Raises Problem for a body that is longer or does not arrive in time.
    """
    # The parts of asyncio.timeout that are needed here, at a third of its cost.
    task = asyncio.current_task()
    assert task is not None
    late = asyncio.get_running_loop().call_later(max(0.0, within_seconds - waited()), task.cancel, _LATE)
    try:
        length = call.headers.get(b"content-length")
        if length is not None and int(length) > most_bytes:
            raise _too_long(most_bytes)
        message = await call.receive()
        body: bytes = message.get("body", b"")
        while message.get("more_body"):
            message = await call.receive()
            body += message.get("body", b"")
            if len(body) > most_bytes:
                raise _too_long(most_bytes)
    except asyncio.CancelledError as error:
        if error.args != (_LATE,):
            raise
        task.uncancel()
        raise Problem(
            "body_timeout",
            f"the body did not arrive within {within_seconds:g} seconds",
            {"timeout_seconds": within_seconds},
            _CLOSE,
        ) from None
    finally:
        late.cancel()
    if message["type"] == "http.disconnect":
        raise ClientLeft
    if len(body) > most_bytes:
        raise _too_long(most_bytes)
    return body


async def encoded(reply: Reply, accepted: bytes | None, least: int) -> Reply:
    """A reply with its body compressed as a client with that Accept-Encoding likes it, where it has `least` bytes and
    is of a kind that shrinks.
    """
    if len(reply.body) < least or reply.coding is not None or reply.more is not None:
        return reply
    coding = coding_for(accepted)
    if coding is None or not is_worth_it(reply.content_type):
        return reply
    if len(reply.body) < _LONG:
        body = compress(reply.body, coding)
    else:
        body = await asyncio.to_thread(compress, reply.body, coding)
    return reply._replace(body=body, coding=coding)


class _LongBody:
    """A body that does not fit between the sockets: a client that is refused goes on sending before it reads why."""

    __slots__ = ("_receive", "_there_is_more")

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._there_is_more = True

    async def __call__(self) -> Message:
        message = await self._receive()
        self._there_is_more = message.get("more_body", False)
        return message

    async def discard(self) -> None:
        """Let a client that was answered finish sending, so that it comes to read the answer; not if that is huge."""
        left = _MOST_DISCARDED
        with suppress(TimeoutError):
            async with asyncio.timeout(_DISCARD_SECONDS):
                while self._there_is_more and left > 0:
                    left -= len((await self()).get("body", b""))


def _too_long(most_bytes: int) -> Problem:
    return Problem(
        "body_too_large",
        f"the body is longer than {most_bytes} bytes: send less in one call, or use `okf analyze` for whole files",
        {"limit_bytes": most_bytes},
    )


class Guard:
    """The application that the server calls.

    `direct` are endpoints called without the router, by method and path, which may be a template as `/jobs/{job_id}`;
    `paths` the path templates that the metrics may name: others count as "other", so that scanners make no new series.
    `keys` say who calls; without them everybody is LOCAL. `limits` say how often each key may; once
    `draining` says that the service stops, clients are told to let go of their connections.
    """

    def __init__(
        self,
        app: ASGIApp,
        settings: Settings,
        direct: Mapping[tuple[str, str], Endpoint],
        paths: frozenset[str],
        keys: Keyring | None = None,
        limits: Limits | None = None,
        draining: SharedFlag | None = None,
    ) -> None:
        self._app = app
        self._keys = keys
        self._limits = limits
        self._draining = draining
        self._direct = {key: endpoint for key, endpoint in direct.items() if "{" not in key[1]}
        self._templates = [
            (method, template_pattern(path), path, endpoint)
            for (method, path), endpoint in direct.items()
            if "{" in path
        ]
        self._paths = paths
        self._most = settings.max_in_flight
        self._few = max(1, self._most * 3 // 4) if self._most > 1 else 1  # with as many, only what is cheap is let in
        self._seconds = settings.request_timeout_ms / 1000
        self._shed_lag = settings.shed_lag_ms / 1000
        self._lagging = 0  # beats in a row
        self._shed_part = 0  # of a hundred requests, while they wait too long for their turn
        self._shed_owed = 0
        self._least = settings.compress_bytes
        self._access_log = settings.access_log
        self._cors = _Cors(settings.cors_origins) if settings.cors_origins else None
        self._log = get_logger("omnikeywords.api")
        self._now = 0  # requests in flight in this process
        self._id_head = _new_id_head()
        self._ids = itertools.count(1)
        self._counts: dict[tuple[str, str, int], Callable[[], None]] = {}
        self._times: dict[tuple[str, str], Callable[[float], None]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or begin and end the application, as ASGI says."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        headers = dict(scope["headers"])
        late = begin(headers)
        request_id = headers.get(b"x-request-id")
        if request_id is None or not _REQUEST_ID.fullmatch(request_id):
            request_id = b"%s-%x" % (self._id_head, next(self._ids))
        method: str = scope["method"]
        path: str = scope["path"]
        added: Headers = ((b"x-request-id", request_id), *_SECURITY)
        trace = headers.get(b"traceparent")
        if trace is not None and _TRACEPARENT.fullmatch(trace):
            added += ((b"traceparent", trace),)
        if self._cors is not None:
            added += self._cors.headers(headers)
        if self._draining:
            added += _CLOSE

        long_body: _LongBody | None = None
        length = headers.get(b"content-length")
        if b"transfer-encoding" in headers if length is None else len(length) >= _LONG_DIGITS:
            receive = long_body = _LongBody(receive)

        self._now += 1
        head = method == "HEAD"
        sent = _Sent()
        caller = LOCAL if self._keys is None else NOBODY
        try:
            if (self._now > self._few or self._shed_part or late > self._seconds) and path not in _ALWAYS_ANSWERED:
                self._shed_some(path, length, late, long_body is not None)
            if self._cors is not None and method == "OPTIONS" and b"access-control-request-method" in headers:
                await _write(send, sent, Reply(b"", 204), added, head)
                return
            if self._keys is not None:
                caller = self._keys.admit(path, headers, (scope.get("client") or ("",))[0])
            if self._limits is not None and caller.key:
                taken = self._limits.take(caller.key) or await self._limits.ask(caller.key)
                added += taken.headers
                if taken.problem is not None:
                    raise taken.problem
            parts: Mapping[str, str] = {}
            endpoint = self._direct.get(("GET" if head else method, path))
            if endpoint is None:
                endpoint, parts = self._at_template("GET" if head else method, path, scope)
            if endpoint is not None:
                call = Call(headers, receive, caller, parts, scope.get("query_string", b""))
                reply = await endpoint(call)
                if b"accept-encoding" in headers:
                    reply = await encoded(reply, headers[b"accept-encoding"], self._least)
                await _write(send, sent, reply, added, head)
                if reply.more is not None and not await _write_more(send, receive, reply.more, head):
                    sent.status = 499
            else:
                scope["okf.caller"] = caller
                await self._route(scope, receive, send, sent, added)
        except ClientLeft:
            # To us a body in broken chunks is the same as a client that left; the first can read an answer.
            broken = body_of(_broken_off, request_id.decode())
            with suppress(Exception):
                await _write(send, sent, Reply(broken, _broken_off.status, PROBLEM_CONTENT_TYPE), added, head)
            sent.status = 499  # what proxies log for it
        except Exception as error:
            if sent.status:
                raise  # the answer has begun: all that is left is to break the connection
            problem = problem_of(error)
            if problem.status == 500:
                self._log.error(
                    "request failed",
                    method=method,
                    path=path,
                    request_id=request_id.decode(),
                    trace_id=_trace_id(trace),
                    exc_info=error,
                )
            body = body_of(problem, request_id.decode())
            reply = Reply(body, problem.status, PROBLEM_CONTENT_TYPE, problem.headers)
            await _write(send, sent, reply, added, head)
        finally:
            self._now -= 1
            took = time.perf_counter() - began
            self._count(scope, method, path, sent.status, took)
            if self._access_log:
                self._log.info(
                    "request",
                    method=method,
                    path=path,
                    status=sent.status,
                    ms=round(took * 1000, 3),
                    request_id=request_id.decode(),
                    trace_id=_trace_id(trace),
                    client=(scope.get("client") or ("",))[0],
                    caller=caller.name,
                )
        if long_body is not None and 400 <= sent.status < 500:  # not where there is too much to do already
            await long_body.discard()

    def _at_template(self, method: str, path: str, scope: Scope) -> tuple[Endpoint | None, Mapping[str, str]]:
        """The endpoint whose template a path fits, and the parts of the path by their names."""
        for verb, pattern, template, endpoint in self._templates:
            if verb == method and (match := pattern.fullmatch(path)):
                scope["path_template"] = template
                return endpoint, match.groupdict()
        return None, {}

    def _shed_some(self, path: str, length: bytes | None, late: float, long_body: bool) -> None:
        """Refuse a request, if it is one of those that are too many now.

        Where requests wait too long for their turn there is no number that would be right: part of them goes, more
        of them as long as it lasts, and twice as many of those that cost more.
        """
        if late > self._seconds:
            _shed.labels("late").inc()
            raise Problem(
                "deadline_exceeded",
                f"it waited {late:.1f} seconds to be answered: try again",
                {"timeout_seconds": self._seconds},
                ((b"retry-after", b"1"),),
            )
        cheap = path in _CHEAP and not long_body and (length is None or len(length) < _CHEAP_DIGITS)
        if self._now > self._most or (self._now > self._few and not cheap):
            _shed.labels("in_flight").inc()
            raise _busy()
        if self._shed_part:
            self._shed_owed += self._shed_part if cheap else min(100, 2 * self._shed_part)
            if self._shed_owed >= 100:
                self._shed_owed -= 100
                _shed.labels("lag").inc()
                raise _busy()

    def heed(self, lag: float) -> None:
        """What is refused follows how long requests wait for their turn: told at each beat."""
        self._lagging = self._lagging + 1 if lag > self._shed_lag else 0
        if self._lagging >= _BEATS_UNTIL_SHED:
            self._shed_part = min(_MOST_SHED, self._shed_part + _SHED_STEP)
        elif not self._lagging:
            self._shed_part = max(0, self._shed_part - _SHED_STEP)

    async def watch(self) -> None:
        """Keep the gauges of this process current, until cancelled; called once it runs."""
        self._id_head = _new_id_head()  # those split off from one process would make the same ids
        while True:
            asked = time.perf_counter()
            await asyncio.sleep(_BEAT_SECONDS)
            lag = max(0.0, time.perf_counter() - asked - _BEAT_SECONDS)
            self.heed(lag)
            _lag.set(lag)
            _in_flight.set(self._now)

    async def _route(self, scope: Scope, receive: Receive, send: Send, sent: "_Sent", added: Headers) -> None:
        """Through the router, with our headers on its answer. HEAD is GET whose body stays here."""
        head = scope["method"] == "HEAD"
        if head:
            scope["method"] = "GET"

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                sent.status = message["status"]
                given = list(message.get("headers", ()))
                names = {name.lower() for name, _ in given}
                message["headers"] = given + [h for h in (*_STRICT, *added) if h[0] not in names]
            elif head:
                message["body"] = b""
            await send(message)

        await self._app(scope, receive, send_with_headers)

    def _count(self, scope: Scope, method: str, path: str, status: int, took: float) -> None:
        if path not in self._paths:
            template = scope.get("path_template")
            path = template if template in self._paths else "other"
        if method not in _METHODS:
            method = "other"
        count = self._counts.get((method, path, status))
        if count is None:
            count = self._counts[method, path, status] = _requests.labels(method, path, str(status)).inc
        count()
        observe = self._times.get((method, path))
        if observe is None:
            observe = self._times[method, path] = _seconds.labels(method, path).observe
        observe(took)


class _Sent:
    """How far an answer has got."""

    __slots__ = ("status",)

    def __init__(self) -> None:
        self.status = 0  # none yet


async def _write(send: Send, sent: _Sent, reply: Reply, added: Headers, head: bool) -> None:
    sent.status = reply.status
    body = reply.body
    headers = [*reply.kept, *added, *reply.headers]
    if reply.status != 304:  # which speaks of a body that is elsewhere
        headers.append((b"content-type", reply.content_type))
        if reply.more is None:  # else nobody knows yet how long it is
            headers.append((b"content-length", b"%d" % len(body)))
        if reply.coding is not None:
            headers.append((b"content-encoding", reply.coding))
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send(
        {"type": "http.response.body", "body": b"" if head else body, "more_body": reply.more is not None and not head}
    )


async def _write_more(send: Send, receive: Receive, more: AsyncGenerator[bytes, None], head: bool) -> bool:
    """Send the rest of a body as it is made; False where the client left before its end."""
    left = asyncio.ensure_future(_left(receive))
    try:
        while not head:
            piece = asyncio.ensure_future(anext(more, None))
            await asyncio.wait((piece, left), return_when=asyncio.FIRST_COMPLETED)
            if not piece.done():
                piece.cancel()
                await asyncio.wait((piece,))
                return False
            body = piece.result()
            await send({"type": "http.response.body", "body": body or b"", "more_body": body is not None})
            if body is None:
                break
        return True
    finally:
        left.cancel()
        await more.aclose()


async def _left(receive: Receive) -> None:
    """Wait until the client has left."""
    while (await receive())["type"] != "http.disconnect":
        pass


def template_pattern(path: str) -> re.Pattern[str]:
    """What matches the paths of a template, each part by its name."""
    return re.compile(re.sub(r"\\{(\w+)\\}", r"(?P<\1>[^/]+)", re.escape(path)))


def _new_id_head() -> bytes:
    return secrets.token_hex(6).encode()


def _busy() -> Problem:
    return Problem("overloaded", "too many requests at once: try again in a second", headers=((b"retry-after", b"1"),))


def _trace_id(traceparent: bytes | None) -> str | None:
    match = _TRACEPARENT.fullmatch(traceparent) if traceparent else None
    return match[1].decode() if match else None


class _Cors:
    """Which web origins may call from a browser; no cookies are ever involved, so none are allowed."""

    def __init__(self, origins: tuple[str, ...]) -> None:
        self._any = "*" in origins
        self._origins = frozenset(origin.encode() for origin in origins)

    def headers(self, request: Mapping[bytes, bytes]) -> Headers:
        origin = request.get(b"origin")
        vary = (b"vary", b"origin")
        if origin is None or not (self._any or origin in self._origins):
            return (vary,)
        allowed: Headers = (vary, (b"access-control-allow-origin", b"*" if self._any else origin))
        if b"access-control-request-method" in request:
            return (
                *allowed,
                (b"access-control-allow-methods", b"GET, HEAD, POST, PUT, PATCH, DELETE"),
                (b"access-control-allow-headers", _CORS_SENT),
                (b"access-control-max-age", b"600"),
            )
        return (*allowed, (b"access-control-expose-headers", _CORS_SHOWN))
