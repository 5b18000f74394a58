"""`POST /api/v1/analyze`: keywords in, the same keywords analysed out, in their order.

What was asked before is kept twice: a small call's whole answer, and each keyword's part of one. What is left is
analysed. Up to 50 keywords are, on the event loop, together with all others that arrived meanwhile: what analysis
costs is mostly per batch, so the busier the service, the cheaper a call; one that is alone waits for nobody. More go
to a few threads, with a deadline and a bounded queue: they delay nobody.
"""

from collections.abc import Sequence
from itertools import islice
from typing import Any, Protocol

import msgspec
from msgspec import UNSET

from omnikeywords.api.answers import Answers
from omnikeywords.api.batching import Batches
from omnikeywords.api.guard import Call, Reply, read_body
from omnikeywords.api.reading import check_json, check_takes_json, decode_json
from omnikeywords.api.schemas import AnalyzeRequest
from omnikeywords.api.threads import Threads
from omnikeywords.cache import Cache
from omnikeywords.errors import TooManyKeywords
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
        self._together = Batches(self._analyse_together, _MOST_TOGETHER, lambda call: len(call[0]))
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
            made = await self._together.run((missing, options)) if missing else []
        else:
            made = await self._threads.run(self._analyse, missing, options)
        for phrase, text in zip(missing, made, strict=True):
            self._keywords.put((phrase, *options), text, len(text), version)
        new = iter(made)
        return [next(new) if known is None else known for known in objects]

    def _analyse(self, phrases: list[str], options: "_Options") -> list[bytes]:
        return [self._encode(row) for row in self._analyst.analyse(phrases, *options).rows()]

    def _analyse_together(self, calls: Sequence[tuple[list[str], "_Options"]]) -> list[list[bytes]]:
        phrases: dict[_Options, list[str]] = {}
        for listed, options in calls:
            phrases.setdefault(options, []).extend(listed)
        made = {options: iter(self._analyse(listed, options)) for options, listed in phrases.items()}
        return [list(islice(made[options], len(listed))) for listed, options in calls]

    def _body(self, asked: AnalyzeRequest, objects: list[bytes]) -> bytes:
        return b'%s,"results":[%s]}' % (self._heads[asked.analysis_type], b",".join(objects))


_Options = tuple[str, str | None, str]  # kind, market, project
