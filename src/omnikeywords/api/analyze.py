"""`POST /api/v1/analyze`: keywords in, the same keywords analysed out, in their order.

A call of up to 50 keywords is answered on the event loop, together with all others that arrived meanwhile.
What analysis costs is mostly per batch, so the busier the service, the cheaper a call; one that is alone
waits for nobody. A larger call goes to a few threads, with a deadline and a bounded queue: it delays nobody.
"""

import asyncio
import re
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from itertools import chain
from typing import Any, Protocol

import msgspec
from msgspec import UNSET

from omnikeywords.api.guard import Call, Reply, read_body
from omnikeywords.api.problems import Problem
from omnikeywords.api.schemas import AnalyzeRequest
from omnikeywords.errors import OmniKeywordsError, TooManyKeywords
from omnikeywords.ops import counter
from omnikeywords.settings import Settings

__all__ = ["INLINE_KEYWORDS", "Analyst", "Analyze", "Analyzed"]

INLINE_KEYWORDS = 50  # the most that are analysed on the event loop

_MOST_TOGETHER = 256  # keywords: about a millisecond and a half, in which the event loop does nothing else

Row = dict[str, Any]  # one keyword object

_analysed = counter("okf_keywords_analysed_total", "Keywords answered by analyze.", ("analysis_type",))
_calls_waiting = Problem(
    "overloaded",
    "too many large calls at once: try again in a second, or send fewer keywords a call",
    headers=((b"retry-after", b"1"),),
)


class Analyzed(Protocol):
    """What the finder gives back, as far as HTTP needs it."""

    def rows(self) -> list[Row]:
        """One keyword object a phrase, in their order."""
        ...


class Analyst(Protocol):
    """The finder, as far as this endpoint needs it."""

    def analyse(self, phrases: Sequence[str], kind: str, market: str | None, project: str) -> Analyzed:
        """Analyse phrases, in their order."""
        ...


class Analyze:
    """The endpoint."""

    def __init__(self, analyst: Analyst, model_version: str, settings: Settings) -> None:
        self._analyst = analyst
        self._together = _Together(analyst)
        self._model_version = model_version
        self._most_keywords = settings.analyze_max_keywords
        self._most_bytes = settings.max_body_bytes
        self._seconds = settings.request_timeout_ms / 1000
        self._decode = msgspec.json.Decoder(AnalyzeRequest).decode
        self._encode = msgspec.json.Encoder().encode
        self._threads = settings.threads
        self._pool: ThreadPoolExecutor | None = None  # made with the first large call
        self._room = settings.threads + settings.queue  # for large calls, running and waiting
        self._count = {kind: _analysed.labels(kind).inc for kind in ("basic", "comprehensive")}

    async def __call__(self, call: Call) -> Reply:
        """Answer one call.

        Raises Problem for what cannot be read or used, NotFound for a project that is not the caller's,
        TooManyKeywords, InvalidMarket.
        """
        _check_types(call)
        asked = self._read(await read_body(call, self._most_bytes, self._seconds))
        project = call.caller.project(None if asked.project is UNSET else asked.project)
        number = len(asked.keywords)
        if number > self._most_keywords:
            raise TooManyKeywords(
                f"{number} keywords in one call, at most {self._most_keywords} are allowed: "
                "split them, or use `okf analyze` for whole files",
                keywords=number,
                limit=self._most_keywords,
            )
        if number <= INLINE_KEYWORDS:
            body = self._body(asked, await self._together.analyse(asked, project))
        else:
            body = await self._answer_in_thread(asked, project)
        self._count[asked.analysis_type](number)
        return Reply(body)

    def close(self) -> None:
        """Let running calls end and drop those that wait."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._pool = None

    def _read(self, body: bytes) -> AnalyzeRequest:
        try:
            return self._decode(body)
        except msgspec.ValidationError as error:
            raise _wrong_field(str(error)) from None
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            said = "it is empty" if not body.strip() else _lower(str(error).removeprefix("JSON is malformed: "))
            raise Problem("invalid_json", f"the body is not JSON: {said}") from None
        except RecursionError:
            raise Problem("invalid_json", "the body is nested too deeply") from None

    def _answer(self, asked: AnalyzeRequest, project: str) -> bytes:
        analysis = self._analyst.analyse(asked.keywords, asked.analysis_type, asked.market, project)
        return self._body(asked, analysis.rows())

    def _body(self, asked: AnalyzeRequest, rows: list[Row]) -> bytes:
        return self._encode(
            {"analysis_type": asked.analysis_type, "model_version": self._model_version, "results": rows}
        )

    async def _answer_in_thread(self, asked: AnalyzeRequest, project: str) -> bytes:
        if self._room == 0:
            raise _calls_waiting
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="analyze")
        self._room -= 1
        loop = asyncio.get_running_loop()
        job = self._pool.submit(self._answer, asked, project)

        def make_room(_: Future[bytes]) -> None:
            # When the thread is done, not when the client stops waiting: the deadline frees no thread.
            with suppress(RuntimeError):  # the loop is closed: the process is ending
                loop.call_soon_threadsafe(self._add_room)

        job.add_done_callback(make_room)
        try:
            return await asyncio.wait_for(asyncio.wrap_future(job), self._seconds)
        except TimeoutError:
            job.cancel()
            raise Problem(
                "deadline_exceeded",
                f"no answer within {self._seconds:g} seconds: try again, or send fewer keywords a call",
                {"timeout_seconds": self._seconds},
                ((b"retry-after", b"1"),),
            ) from None

    def _add_room(self) -> None:
        self._room += 1


_Options = tuple[str, str | None, str]  # kind, market, project
_Waiting = tuple[list[str], "asyncio.Future[list[Row]]"]


class _Together:
    """Small calls that arrive in one turn of the event loop, analysed as one batch.

    An analysis depends on its phrase and the options alone, never on its neighbours, so the answers are those
    of calls made one by one.
    """

    def __init__(self, analyst: Analyst) -> None:
        self._analyst = analyst
        self._waiting: dict[_Options, list[_Waiting]] = {}

    async def analyse(self, asked: AnalyzeRequest, project: str) -> list[Row]:
        loop = asyncio.get_running_loop()
        options = (asked.analysis_type, asked.market, project)
        calls = self._waiting.get(options)
        if calls is None:
            calls = self._waiting[options] = []
            # It runs after everything that is ready now, the calls that have arrived among it.
            loop.call_soon(self._run, options)
        rows: asyncio.Future[list[Row]] = loop.create_future()
        calls.append((asked.keywords, rows))
        return await rows

    def _run(self, options: _Options) -> None:
        calls = self._waiting.pop(options)
        taken, keywords = 0, 0
        for phrases, _ in calls:
            keywords += len(phrases)
            if taken and keywords > _MOST_TOGETHER:
                # The rest in the next turn, so that others get theirs.
                self._waiting[options] = calls[taken:]
                asyncio.get_running_loop().call_soon(self._run, options)
                break
            taken += 1
        self._answer(options, calls[:taken])

    def _answer(self, options: _Options, calls: list[_Waiting]) -> None:
        phrases = calls[0][0] if len(calls) == 1 else list(chain.from_iterable(call[0] for call in calls))
        try:
            rows = self._analyst.analyse(phrases, *options).rows()
        except Exception as error:
            if len(calls) > 1 and not isinstance(error, OmniKeywordsError):
                # An error of ours, over one phrase perhaps: it must not become that of the others.
                for call in calls:
                    self._answer(options, [call])
                return
            for _, waiting in calls:
                if not waiting.done():
                    waiting.set_exception(error)
            return
        start = 0
        for keywords, waiting in calls:
            if not waiting.done():  # else the client has left
                waiting.set_result(rows[start : start + len(keywords)])
            start += len(keywords)


def _check_types(call: Call) -> None:
    """Refuse a body that is said not to be JSON, and a client that takes no JSON."""
    given = call.headers.get(b"content-type")
    if given is not None and given != b"application/json":
        media = given.partition(b";")[0].strip().lower()
        if media != b"application/json" and not (media.startswith(b"application/") and media.endswith(b"+json")):
            raise Problem(
                "unsupported_media_type",
                f"the body is said to be {_printable(given)}: send JSON as application/json",
                {"content_type": _printable(given)},
                ((b"accept", b"application/json"),),
            )
    coding = call.headers.get(b"content-encoding")
    if coding is not None and coding.strip().lower() != b"identity":
        raise Problem(
            "unsupported_media_type",
            f"the body is encoded as {_printable(coding)}: send it as it is",
            {"content_encoding": _printable(coding)},
            ((b"accept-encoding", b"identity"),),
        )
    accept = call.headers.get(b"accept")
    if accept is not None and accept != b"*/*" and not _takes_json(accept):
        raise Problem(
            "not_acceptable",
            f"the answer is application/json, which Accept: {_printable(accept)} excludes",
            {"accept": _printable(accept)},
        )


def _takes_json(accept: bytes) -> bool:
    """Whether an Accept header allows JSON: its most specific range that fits decides."""
    best, taken = 0, False
    for item in accept.decode("latin-1").lower().split(","):
        media, _, parameters = item.partition(";")
        rank = {"*/*": 1, "application/*": 2, "application/json": 3}.get(media.strip(), 0)
        if rank > best:
            quality = re.search(r"(?:^|;)\s*q\s*=\s*([0-9.]+)", parameters)
            best, taken = rank, not (quality and quality[1].strip("0.") == "")
    return taken or not accept.strip()


def _printable(header: bytes) -> str:
    return header[:100].decode("ascii", "replace")


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]


# What to say in place of a pattern.
_SHAPES = {
    "market": "this is not a language and region: write it as pt-BR, en or und-BR",
    "project": "this is no name of a project: use up to 64 letters, digits, points, dashes and underscores",
}
_PLACE = re.compile(r" - at `(?:key in )?\$\.?(.*)`$")


def _wrong_field(said: str) -> Problem:
    """The decoder's words, with the field in front of them."""
    place = _PLACE.search(said)
    field = place[1] if place else ""
    text = _lower(_PLACE.sub("", said).replace("`", ""))
    if text.startswith("object contains unknown field"):
        text += ": known are keywords, analysis_type, market, project"
    elif field == "analysis_type":
        text += ": use basic or comprehensive"
    elif "matching regex" in text and field in _SHAPES:
        text = _SHAPES[field]
    return Problem("invalid_request", f"{field}: {text}" if field else text, {"field": field or None})
