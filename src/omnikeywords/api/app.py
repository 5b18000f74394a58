"""The application: routes behind the guard, with the router for all that is at no fixed path."""

import asyncio
import gc
import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import Any, NoReturn, cast

from litestar import Litestar, Request, Response
from litestar.enums import HttpMethod
from litestar.exceptions import HTTPException
from litestar.handlers import HTTPRouteHandler
from litestar.response import Stream

from omnikeywords.api.analyze import Analyst, Analyze
from omnikeywords.api.caches import Caches
from omnikeywords.api.catalogue import Catalogue
from omnikeywords.api.docs import docs_routes
from omnikeywords.api.guard import Call, Endpoint, Guard, Receive, Reply, template_pattern
from omnikeywords.api.keyring import Keyring
from omnikeywords.api.limits import Limits, LocalLedger
from omnikeywords.api.problems import Problem
from omnikeywords.api.route import Route
from omnikeywords.api.routes import routes
from omnikeywords.api.search import Search
from omnikeywords.errors import OmniKeywordsError
from omnikeywords.ops import Health, gauge, get_logger
from omnikeywords.settings import Settings

__all__ = ["create_app"]

# What of searches mostly takes less than a way to Redis and back; and all that is answered from an index alone.
_QUICK = frozenset({"/api/v1/search", "/api/v1/suggest", "/api/v1/keywords/{keyword_id}/related"})
_REMEMBERED = _QUICK | {"/api/v1/word-groups", "/api/v1/ngrams"}

_build = gauge("okf_build_info", "What runs here; always 1.", ("version", "model_version"), over_processes="max")


def create_app(
    analyst: Analyst,
    settings: Settings,
    *,
    version: str,
    model_version: str,
    warm: Callable[[], None],
    checks: Health,
    keys: Keyring | None = None,
    catalogue: Catalogue | None = None,
    ledger: LocalLedger | None = None,
    search: Search | None = None,
) -> Guard:
    """The ASGI application of one process; with the endpoints of the `catalogue` and of `search` if it serves
    them.

    `keys` say who calls; without them everybody may do everything. `ledger` is what the keys spent on this machine;
    without it each process keeps the limits by itself.

    `warm` loads what analysis needs; it runs in a thread once the application starts, and /ready says no
    until it is done.
    """
    caches = Caches(settings)
    analyze = Analyze(analyst, model_version, settings, caches.analyze_answers, caches.keywords)
    listed = routes(analyze, checks, catalogue, search)
    if search is not None:
        stamp = search.stamp
        listed = [
            caches.remember(route, stamp, dear=route.path not in _QUICK) if route.path in _REMEMBERED else route
            for route in listed
        ]
    listed += docs_routes(listed, settings)
    _build.labels(version, model_version).set(1)
    models = _Models(warm)
    checks.register("models", models.check)
    if keys is not None:
        checks.register("keys", keys.check)

    @asynccontextmanager
    async def life(_: Litestar) -> AsyncIterator[None]:
        loading = asyncio.get_running_loop().run_in_executor(None, models.load)
        watching = asyncio.create_task(guard.watch())
        telling = asyncio.create_task(caches.run())
        if keys is not None:
            # What was known when this process was split off may be of long ago.
            await asyncio.to_thread(keys.look)
            keys.start()
        try:
            yield
        finally:
            watching.cancel()
            telling.cancel()
            await loading
            if keys is not None:
                await asyncio.to_thread(keys.stop)
            analyze.close()
            if catalogue is not None:
                catalogue.close()
            if search is not None:
                search.close()

    allowed = _allowed(listed)
    router = Litestar(
        [_handler(route) for route in listed],
        lifespan=[life],
        openapi_config=None,  # ours is made from the same list of routes, and says more
        exception_handlers={HTTPException: _refuse, Exception: _pass_on},
        logging_config=None,
    )
    router.state.allowed = [(template_pattern(path), names) for path, names in allowed.items()]
    guard = Guard(
        router,  # type: ignore[arg-type]
        settings,
        {
            **{(route.method, route.path): route.endpoint for route in listed},
            **{("OPTIONS", path): _options(names) for path, names in allowed.items()},
        },
        frozenset(allowed),
        keys,
        Limits(settings, ledger, caches.link) if settings.rate_limit or settings.rate_limits else None,
        checks.draining,
    )
    return guard


class _Models:
    """Whether what analysis needs is loaded."""

    def __init__(self, warm: Callable[[], None]) -> None:
        self._warm = warm
        self._trouble: str | None = "loading"

    def load(self) -> None:
        try:
            self._warm()
            # What is loaded now stays: a collection that went through it each time would hold up every request.
            gc.collect()
            gc.freeze()
            # A request makes hundreds of objects and leaves none in a circle: rarer looks cost a tenth less of it.
            gc.set_threshold(5000, 20, 20)
        except OmniKeywordsError as error:
            self._trouble = str(error)
            get_logger("omnikeywords.api").error("models not loaded", reason=str(error))
        else:
            self._trouble = None

    def check(self) -> str | None:
        return self._trouble


def _allowed(listed: Sequence[Route]) -> dict[str, str]:
    """Path to what an Allow header says there."""
    methods: dict[str, set[str]] = {}
    for route in listed:
        methods.setdefault(route.path, {"OPTIONS"}).add(route.method)
        if route.method == "GET":
            methods[route.path].add("HEAD")
    return {path: ", ".join(sorted(names)) for path, names in methods.items()}


def _options(allow: str) -> Endpoint:
    """What may be done at a path: the router's own answer knows one method of several."""

    async def answer(_: Call) -> Reply:
        return Reply(b"", 204, headers=((b"allow", allow.encode()),))

    return answer


def _handler(route: Route) -> HTTPRouteHandler:
    """The same endpoint for the router, which finds it under other spellings of its path."""

    async def answer(request: Request[Any, Any, Any]) -> Response[Any]:
        receive = cast("Receive", request.receive)
        scope: Any = request.scope
        scope["path_template"] = route.path
        call = Call(
            dict(scope["headers"]), receive, scope["okf.caller"], dict(request.path_params), scope["query_string"]
        )
        reply = await route.endpoint(call)
        coded = () if reply.coding is None else ((b"content-encoding", reply.coding),)
        headers = {name.decode(): value.decode() for name, value in (*reply.kept, *reply.headers, *coded)}
        media = reply.content_type.decode()
        if reply.more is not None:
            return Stream(_whole(reply.body, reply.more), status_code=reply.status, media_type=media, headers=headers)
        return Response(reply.body, status_code=reply.status, media_type=media, headers=headers)

    handler = HTTPRouteHandler(
        route.path.replace("}", ":str}"),
        http_method=HttpMethod(route.method),
        name=route.name,
        status_code=200,  # every answer says its own
        include_in_schema=False,
    )
    return handler(answer)


async def _whole(body: bytes, more: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    """All of a body that is made while it is sent."""
    async with aclosing(more):
        yield body
        async for piece in more:
            yield piece


def _refuse(request: Request[Any, Any, Any], error: HTTPException) -> NoReturn:
    """What the router refuses, as a problem; the guard writes it."""
    path = request.scope["path"]
    if error.status_code == 404:
        raise Problem("not_found", f"nothing is at {path}: /docs lists what there is", {"path": path}) from error
    if error.status_code == 405:
        method = request.scope["method"]
        known: list[tuple[re.Pattern[str], str]] = request.app.state.allowed
        allow = next((names for pattern, names in known if pattern.fullmatch(path.rstrip("/"))), "OPTIONS")
        raise Problem(
            "method_not_allowed",
            f"{method} is not for {path}: use {allow}",
            {"method": method, "allow": allow.split(", ")},
            ((b"allow", allow.encode()),),
        ) from error
    if error.status_code == 400:
        raise Problem("invalid_host", "the Host header is not a host name and port") from error
    raise error


def _pass_on(_: Request[Any, Any, Any], error: Exception) -> NoReturn:
    """To the guard, which knows what each error is to a client."""
    raise error
