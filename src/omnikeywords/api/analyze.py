"""`POST /api/v1/analyze`: keywords in, the same keywords analysed out, in their order.

What was asked before is kept twice: a small call's whole answer, and each keyword's part of one. What is left is
analysed. Up to 50 keywords are, on the event loop, together with all others that arrived meanwhile: what analysis
costs is mostly per batch, so the busier the service, the cheaper a call; one that is alone waits for nobody. More go
to a few threads, with a deadline and a bounded queue: they delay nobody.
"""

import asyncio
from collections.abc import Sequence
from itertools import chain
from typing import Any, Protocol

import msgspec
from msgspec import UNSET

from omnikeywords.api.answers import Answers
from omnikeywords.api.guard import Call, Reply, read_body
from omnikeywords.api.reading import check_json, check_takes_json, decode_json
from omnikeywords.api.schemas import AnalyzeRequest
from omnikeywords.api.threads import Threads
from omnikeywords.cache import Cache
from omnikeywords.errors import OmniKeywordsError, TooManyKeywords
from omnikeywords.ops import counter
from omnikeywords.settings import Settings

__all__ = ["INLINE_KEYWORDS", "Analyst", "Analyze", "Analyzed"]

INLINE_KEYWORDS = 50  # the most that are analysed on the event loop

_SMALL_BODY = 4096  # bytes, of calls whose whole answer is kept
_MOST_TOGETHER = 256  # keywords: about a millisecond and a half, in which the event loop does nothing else

Row = dict[str, Any]  # one keyword object

_analysed = counter("okf_keywords_analysed_total", "Keywords answered by analyze.", ("analysis_type",))


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

    def __init__(
        self, analyst: Analyst, model_version: str, settings: Settings, answers: Answers, keywords: Cache[bytes]
    ) -> None:
        """`keywords` keeps keyword objects as JSON, `answers` whole answers."""
        self._analyst = analyst
        self._answers = answers
        self._keywords = keywords
        self._together = _Together(analyst)
        self._model_version = model_version
        self._most_keywords = settings.analyze_max_keywords
        self._most_bytes = settings.max_body_bytes
        self._seconds = settings.request_timeout_ms / 1000
        self._decoder = msgspec.json.Decoder(AnalyzeRequest)
        self._encode = msgspec.json.Encoder().encode
        self._threads = Threads(
            "analyze",
            settings.threads,
            settings.queue,
            self._seconds,
            busy="too many large calls",
            advice=", or send fewer keywords a call",
        )
        self._heads = {
            kind: self._encode({"analysis_type": kind, "model_version": model_version})[:-1]
            for kind in ("basic", "comprehensive")
        }
        self._count = {kind: _analysed.labels(kind).inc for kind in ("basic", "comprehensive")}

    async def __call__(self, call: Call) -> Reply:
        """Answer one call.

        Raises Problem for what cannot be read or used, NotFound for a project that is not the caller's,
        TooManyKeywords, InvalidMarket.
        """
        check_json(call)
        check_takes_json(call)
        body = await read_body(call, self._most_bytes, self._seconds)
        small = len(body) <= _SMALL_BODY
        if small and (ready := self._answers.find(call, body, self._model_version)) is not None:
            assert ready.note is not None
            kind, number = ready.note
            self._count[kind](number)
            return ready
        asked = decode_json(body, self._decoder)
        project = call.caller.project(None if asked.project is UNSET else asked.project)
        number = len(asked.keywords)
        if number > self._most_keywords:
            raise TooManyKeywords(
                f"{number} keywords in one call, at most {self._most_keywords} are allowed: "
                "split them, or use `okf analyze` for whole files",
                keywords=number,
                limit=self._most_keywords,
            )
        objects = await self._objects(asked, project)
        reply = Reply(self._body(asked, objects), note=(asked.analysis_type, number))
        self._count[asked.analysis_type](number)
        if small:
            return await self._answers.keep(call, body, self._model_version, reply, self._keywords.seconds)
        return reply

    def close(self) -> None:
        """Let running calls end and drop those that wait."""
        self._threads.close()

    async def _objects(self, asked: AnalyzeRequest, project: str) -> list[bytes]:
        """The JSON of each keyword's object, in their order."""
        options = (asked.analysis_type, asked.market, project)
        version = self._model_version
        objects = [self._keywords.get((phrase, *options), version) for phrase in asked.keywords]
        missing = [phrase for phrase, known in zip(asked.keywords, objects, strict=True) if known is None]
        if len(missing) <= INLINE_KEYWORDS:
            made = [self._encode(row) for row in await self._together.analyse(missing, options)] if missing else []
        else:
            made = await self._threads.run(self._analyse, missing, options)
        for phrase, text in zip(missing, made, strict=True):
            self._keywords.put((phrase, *options), text, len(text), version)
        new = iter(made)
        return [next(new) if known is None else known for known in objects]

    def _analyse(self, phrases: list[str], options: "_Options") -> list[bytes]:
        return [self._encode(row) for row in self._analyst.analyse(phrases, *options).rows()]

    def _body(self, asked: AnalyzeRequest, objects: list[bytes]) -> bytes:
        return b'%s,"results":[%s]}' % (self._heads[asked.analysis_type], b",".join(objects))


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

    async def analyse(self, phrases: list[str], options: _Options) -> list[Row]:
        loop = asyncio.get_running_loop()
        calls = self._waiting.get(options)
        if calls is None:
            calls = self._waiting[options] = []
            # It runs after everything that is ready now, the calls that have arrived among it.
            loop.call_soon(self._run, options)
        rows: asyncio.Future[list[Row]] = loop.create_future()
        calls.append((phrases, rows))
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
