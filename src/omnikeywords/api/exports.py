"""`GET /api/v1/export`: all keywords of a filter as one file, made while it is sent."""

import asyncio
import io
from collections.abc import AsyncGenerator
from typing import IO, Annotated, Any, Literal, cast

from msgspec import Meta

from omnikeywords.api.catalogue import DATABASE_PROBLEMS, Catalogue, allowed
from omnikeywords.api.guard import Call, Reply
from omnikeywords.api.keyword_object import KeywordFilters, filters_of
from omnikeywords.api.reading import read_query
from omnikeywords.api.route import Answer, Route

__all__ = ["export_routes"]

_PIECE = 256 * 1024  # bytes sent at a time
_AHEAD = 4  # pieces made before the client took them

Format = Literal["csv", "jsonl", "parquet", "xlsx"]
_MEDIA: dict[str, str] = {
    "csv": "text/csv; charset=utf-8",
    "jsonl": "application/jsonl",
    "parquet": "application/vnd.apache.parquet",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}


class ExportQuery(KeywordFilters, frozen=True, forbid_unknown_fields=True):
    """Which keywords, and as what."""

    format: Annotated[Format, Meta(description="The same columns whatever it is; csv and xlsx have them flat.")] = "csv"


class Exports:
    """The endpoint."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._finder = catalogue.finder
        self._run = catalogue.threads.run
        self._exports = catalogue.exports

    async def export(self, call: Call) -> Reply:
        asked, given = read_query(call, ExportQuery)
        project = allowed(call, "read", asked.project)
        frames = await self._run(self._finder.keywords.export, project, asked.q, filters_of(given))
        sent = _Sent(asyncio.get_running_loop())
        writing = asyncio.ensure_future(self._exports.run(self._write, frames, sent, asked.format))
        pieces = _pieces(writing, sent)
        try:
            # What fails before anything was written can still be told as a problem.
            first = await anext(pieces, b"")
        except BaseException:
            await pieces.aclose()
            raise
        name = f'attachment; filename="{project}.{asked.format}"'.encode()
        return Reply(
            first,
            content_type=_MEDIA[asked.format].encode(),
            headers=((b"content-disposition", name),),
            more=pieces,
        )

    @staticmethod
    def _write(frames: Any, sent: "_Sent", format: Format) -> None:
        from omnikeywords.formats.write import write_results

        with sent:
            write_results(frames, cast("IO[bytes]", sent), format)


class _Abandoned(Exception):
    """Nobody takes what is written any more."""


class _Sent(io.RawIOBase):
    """A file whose pieces an event loop takes; whoever writes waits while it is some ahead."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._held = bytearray()
        self.pieces: asyncio.Queue[bytes] = asyncio.Queue(_AHEAD)
        self.abandoned = False

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._held += data
        while len(self._held) >= _PIECE:
            self._put(bytes(self._held[:_PIECE]))
            del self._held[:_PIECE]
        return len(data)

    def close(self) -> None:
        if not self.closed and self._held and not self.abandoned:
            self._put(bytes(self._held))
            self._held.clear()
        super().close()

    def _put(self, piece: bytes) -> None:
        if self.abandoned:
            raise _Abandoned
        asyncio.run_coroutine_threadsafe(self.pieces.put(piece), self._loop).result()


async def _pieces(writing: "asyncio.Future[None]", sent: _Sent) -> AsyncGenerator[bytes, None]:
    """What is written, until it is whole."""
    try:
        while True:
            taking = asyncio.ensure_future(sent.pieces.get())
            await asyncio.wait((taking, writing), return_when=asyncio.FIRST_COMPLETED)
            if taking.done():
                yield taking.result()
                continue
            taking.cancel()
            writing.result()  # raises what went wrong
            while not sent.pieces.empty():
                yield sent.pieces.get_nowait()
            return
    finally:
        sent.abandoned = True
        while not sent.pieces.empty():  # so that whoever waits for room comes to see it
            sent.pieces.get_nowait()
        writing.add_done_callback(lambda done: done.cancelled() or done.exception())


def export_routes(catalogue: Catalogue) -> list[Route]:
    """The endpoint, bound to what answers it."""
    exports = Exports(catalogue)
    return [
        Route(
            "GET",
            "/api/v1/export",
            exports.export,
            "exportKeywords",
            "keywords",
            "Export keywords",
            "All that the filters let through, as one file that is made while it is sent: by id, with the fields of "
            "the keyword object. A connection that breaks before the end left out the rest.",
            asks=ExportQuery,
            answers={200: Answer("The file.", None, tuple(_MEDIA.values()), {"content-disposition": "Its name."})},
            problems=("invalid_request", "invalid_option", *DATABASE_PROBLEMS),
        ),
    ]
