"""Events: what is written to the log, and how it is read back however old it is.

An event has a type, a name of ours that never changes, and a schema version. Where the payload of a type gets another
shape its version goes up and an upcaster is added here, which makes the newer payload of the older one; stored events
are never rewritten. Rows of an import lie in `data`, an Arrow stream with every row and column.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec
import polars as pl
import pyarrow as pa
import pyarrow.ipc

from omnikeywords.errors import OmniKeywordsError

__all__ = ["SCHEMA_VERSIONS", "Event", "EventType", "NewEvent", "UnknownEvent", "frame_of", "rows_of", "upcast"]

Payload = Mapping[str, Any]


class EventType:
    """The names of all events."""

    PROJECT_CREATED = "project.created"
    PROJECT_CHANGED = "project.changed"  # market, brands, weights or home region
    PROJECT_DELETED = "project.deleted"
    IMPORT_STARTED = "import.started"
    ROWS_APPENDED = "import.rows_appended"  # up to 10,000 of them
    IMPORT_COMPLETED = "import.completed"
    IMPORT_WITHDRAWN = "import.withdrawn"  # it counts nowhere from now on
    KEYWORD_TAGGED = "keyword.tagged"
    KEYWORD_CORRECTED = "keyword.corrected"
    ERASED = "erased"  # what stood here was deleted; its place in the order stays


# The newest schema of each type, and how a payload of the version before becomes one of this.
SCHEMA_VERSIONS: Mapping[str, int] = {
    EventType.PROJECT_CREATED: 1,
    EventType.PROJECT_CHANGED: 1,
    EventType.PROJECT_DELETED: 1,
    EventType.IMPORT_STARTED: 1,
    EventType.ROWS_APPENDED: 1,
    EventType.IMPORT_COMPLETED: 1,
    EventType.IMPORT_WITHDRAWN: 1,
    EventType.KEYWORD_TAGGED: 1,
    EventType.KEYWORD_CORRECTED: 1,
    EventType.ERASED: 1,
}
_UPCASTERS: Mapping[tuple[str, int], Callable[[dict[str, Any]], dict[str, Any]]] = {}


class UnknownEvent(OmniKeywordsError):
    """An event that this version of the program cannot read: a newer one wrote it."""

    code = "unknown_event"


@dataclass(frozen=True, slots=True)
class NewEvent:
    """Something that happened, about to be appended."""

    stream: str  # what it is about, as import/i1abc
    type: str  # of EventType
    payload: Payload = field(default_factory=dict)
    data: bytes | None = None  # rows, as `rows_of` makes them

    def fingerprint(self) -> bytes:
        """What tells it from another event that claims the same idempotency key; rows are told by their payload."""
        digest = hashlib.blake2b(digest_size=16)
        for part in (self.stream.encode(), self.type.encode(), encode(self.payload)):
            digest.update(len(part).to_bytes(8, "little") + part)
        return digest.digest()


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened, as the log has it; its payload is of the newest schema."""

    bucket: int
    position: int
    project: str
    stream: str
    version: int  # within the stream
    type: str
    payload: Payload
    data: bytes | None
    actor: str
    recorded_at: datetime


def encode(payload: Payload) -> bytes:
    """A payload as the log keeps it."""
    return msgspec.json.encode(payload, order="deterministic")


def upcast(type: str, schema_version: int, payload: bytes) -> dict[str, Any]:
    """A stored payload in its newest schema.

    Raises UnknownEvent for a type or a version that this program does not know.
    """
    newest = SCHEMA_VERSIONS.get(type)
    if newest is None or schema_version > newest:
        raise UnknownEvent(
            f"event {type!r} of schema {schema_version} was written by a newer version: update this program",
            type=type,
            schema_version=schema_version,
        )
    found: dict[str, Any] = msgspec.json.decode(payload)
    for version in range(schema_version, newest):
        found = _UPCASTERS[type, version](found)
    return found


def rows_of(frame: pl.DataFrame) -> bytes:
    """Rows as an event keeps them: every column, compressed."""
    table = frame.to_arrow(compat_level=pl.CompatLevel.oldest())
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as writer:
        writer.write_table(table)
    data: bytes = sink.getvalue().to_pybytes()
    return data


def frame_of(data: bytes) -> pl.DataFrame:
    """The rows that an event keeps."""
    with pa.ipc.open_stream(data) as reader:
        frame = pl.from_arrow(reader.read_all())
    assert isinstance(frame, pl.DataFrame)
    return frame
