"""Uploads as they arrive, as a raw body or as a form: never more of one in memory than a part of it."""

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Any

from multipart import MultipartError, MultipartSegment, PushMultipartParser, parse_options_header

from omnikeywords.api.guard import Call, ClientLeft
from omnikeywords.api.problems import Problem
from omnikeywords.api.reading import media_of, printable

__all__ = ["Form", "pieces"]

_MOST_FIELD_BYTES = 4096
_MOST_FIELDS = 16
_MOST_NAME = 255  # characters of the name of a file


async def pieces(call: Call, most_bytes: int, idle_seconds: float) -> AsyncIterator[bytes]:
    """A body piece by piece.

    Raises Problem where it is longer than `most_bytes`, or where nothing more of it comes for `idle_seconds`.
    """
    length = call.headers.get(b"content-length")
    if length is not None and length.isdigit() and int(length) > most_bytes:
        raise _too_long(most_bytes)
    size = 0
    more = True
    while more:
        try:
            message = await asyncio.wait_for(call.receive(), idle_seconds)
        except TimeoutError:
            raise Problem(
                "body_timeout",
                f"nothing more of the body arrived for {idle_seconds:g} seconds",
                {"timeout_seconds": idle_seconds},
                ((b"connection", b"close"),),
            ) from None
        if message["type"] == "http.disconnect":
            raise ClientLeft
        piece: bytes = message.get("body", b"")
        size += len(piece)
        if size > most_bytes:
            raise _too_long(most_bytes)
        more = message.get("more_body", False)
        if piece:
            yield piece


def _too_long(most_bytes: int) -> Problem:
    return Problem(
        "body_too_large",
        f"the upload is longer than {most_bytes} bytes: split it, or raise OKF_MAX_UPLOAD_BYTES",
        {"limit_bytes": most_bytes},
        ((b"connection", b"close"),),  # what is still on its way is not read
    )


class Form:
    """A multipart/form-data body: `fields` that came so far, and the pieces of the one part that is a file."""

    def __init__(self, call: Call) -> None:
        """Raises Problem where the header names no boundary."""
        media, options = parse_options_header(call.headers[b"content-type"].decode("latin-1"))
        boundary = options.get("boundary", "")
        if not re.fullmatch(r"[\x20-\x7e]{1,200}", boundary):
            raise Problem(
                "unsupported_media_type",
                f"the body is said to be {media} without a boundary: let your client make the header",
                {"content_type": printable(call.headers[b"content-type"])},
            )
        self.fields: dict[str, str] = {}
        self.file_name: str | None = None
        self.has_file = False
        self._parser = PushMultipartParser(boundary, max_segment_count=_MOST_FIELDS)
        self._name: str | None = None  # of the field that is being read; None: it is the file
        self._value = bytearray()

    @staticmethod
    def is_one(call: Call) -> bool:
        """Whether a body is said to be a form."""
        return media_of(call) == b"multipart/form-data"

    def read(self, piece: bytes) -> list[bytes]:
        """Go on with the body, or end it with an empty piece; returns what came of the file.

        Raises Problem where it is not a form, or has two files.
        """
        found: list[bytes] = []
        try:
            for event in self._parser.parse(piece):
                if isinstance(event, MultipartSegment):
                    self._begin(event)
                elif event is None:
                    self._end()
                elif self._name is None:
                    found.append(bytes(event))
                else:
                    self._value += event
                    if len(self._value) > _MOST_FIELD_BYTES:
                        raise _wrong(self._name, f"it is longer than {_MOST_FIELD_BYTES} bytes")
        except MultipartError as error:
            said = str(error)
            raise Problem(
                "invalid_request",
                f"the body is not the form that it is said to be: {said[:1].lower()}{said[1:]}",
                {"field": None},
            ) from None
        return found

    def _begin(self, segment: Any) -> None:
        if segment.filename is None:
            self._name = segment.name
            return
        if self.has_file:
            raise _wrong(segment.name, "there are two files: send one a request")
        self.has_file = True
        self.file_name = "".join(filter(str.isprintable, segment.filename))[-_MOST_NAME:] or None
        self._name = None

    def _end(self) -> None:
        if self._name is None:
            return
        try:
            text = self._value.decode()
        except UnicodeDecodeError:
            text = "\0"
        if "\0" in text:
            raise _wrong(self._name, "it is not text in UTF-8")
        if self._name in self.fields:
            raise _wrong(self._name, "it is given twice: give it once")
        self.fields[self._name] = text
        self._value.clear()


def _wrong(field: str, why: str) -> Problem:
    return Problem("invalid_request", f"{field}: {why}", {"field": field})
