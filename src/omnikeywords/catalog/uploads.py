"""Uploads: what was given to import, in the database until it is imported, so that any process may go on with it.

They are kept in parts of at most a mebibyte, a short transaction each.
"""

import hashlib
import io
from datetime import datetime
from io import BufferedReader
from typing import BinaryIO, cast

from sqlalchemy import ColumnElement, delete, exists, func, select, text

from omnikeywords.catalog import log
from omnikeywords.catalog.imports import made_at
from omnikeywords.catalog.projects import bucket_of
from omnikeywords.catalog.tables import imports, uploads
from omnikeywords.db import Connection, Database
from omnikeywords.errors import Conflict, NotFound

__all__ = [
    "PART_BYTES",
    "Keeping",
    "Upload",
    "forget",
    "forget_abandoned",
    "forget_most",
    "keep",
    "keep_part",
    "open_upload",
    "share_read",
]

PART_BYTES = 1 << 20
_FORGOTTEN = 8  # parts in one transaction


class Keeping:
    """An upload while it arrives: kept part by part, in memory for no more than one."""

    def __init__(self, database: Database, project: str, import_id: str) -> None:
        self.project = project
        self.import_id = import_id
        self.size = 0  # bytes so far
        self._database = database
        self._digest = hashlib.blake2b(digest_size=20)
        self._parts = 0
        self._rest = bytearray()

    @property
    def digest(self) -> str:
        """Of everything so far."""
        return self._digest.hexdigest()

    def add(self, data: bytes) -> None:
        """Go on with it; whole parts are kept at once, a short transaction each."""
        self.size += len(data)
        self._digest.update(data)
        self._rest += data
        while len(self._rest) >= PART_BYTES:
            part = bytes(self._rest[:PART_BYTES])
            with self._database.write(self.project) as connection:
                keep_part(connection, self.project, self.import_id, self._parts, part)
            del self._rest[:PART_BYTES]
            self._parts += 1

    def finish(self, connection: Connection) -> None:
        """Keep what is left, in the caller's transaction, in which it must take its turn to append."""
        if self._rest:
            _insert(connection, self.project, self.import_id, self._parts, bytes(self._rest))

    def check(self, connection: Connection) -> None:
        """See to it that all of it is there, once the caller's transaction has its turn: the project may have been
        deleted while it arrived. Raises Conflict."""
        if self._parts:
            which = _of(self.project, self.import_id) & (uploads.c.part < self._parts)
            there = connection.execute(select(func.count()).select_from(uploads).where(which)).scalar_one()
            if there < self._parts:
                raise Conflict(f"project {self.project!r} was deleted during the upload: upload it again")

    def drop(self) -> None:
        """Keep nothing of it."""
        if self._parts:
            forget_most(self._database, self.project, self.import_id)
            with self._database.write(self.project) as connection:
                forget(connection, self.project, self.import_id)


def keep(upload: Keeping, source: BinaryIO) -> None:
    """Go on with an upload by everything that a stream holds."""
    while part := source.read(PART_BYTES):
        upload.add(part)


def keep_part(connection: Connection, project: str, import_id: str, number: int, part: bytes) -> None:
    """Keep one part of an upload, in the caller's transaction."""
    log.enter(connection, bucket_of(project))
    _insert(connection, project, import_id, number, part)


def _insert(connection: Connection, project: str, import_id: str, number: int, part: bytes) -> None:
    if connection.dialect.name == "sqlite":
        # Its cache would come to hold the parts before, which nobody reads again here.
        connection.execute(text("PRAGMA shrink_memory"))
    row = {"bucket": bucket_of(project), "project": project, "import_id": import_id, "part": number, "data": part}
    connection.execute(uploads.insert(), row)


def open_upload(database: Database, project: str, import_id: str) -> BufferedReader:
    """What was uploaded, as a binary file open for reading.

    Raises NotFound where nothing was, or it was forgotten since.
    """
    which = _of(project, import_id)
    with database.read(project) as connection:
        sizes = connection.execute(
            select(uploads.c.part, func.length(uploads.c.data)).where(which).order_by(uploads.c.part)
        ).all()
    if not sizes:
        raise NotFound(f"what was uploaded for import {import_id!r} is gone: upload it again", import_id=import_id)
    return BufferedReader(Upload(database, project, import_id, [size for _, size in sizes]), PART_BYTES)


def share_read(file: BufferedReader) -> float:
    """How much of an upload was read, 0 to 1; it says little of one that is not read from front to back."""
    return round(file.tell() / max(1, cast("Upload", file.raw).size), 4)


def forget(connection: Connection, project: str, import_id: str) -> None:
    """Delete an upload, in the caller's transaction."""
    connection.execute(delete(uploads).where(_of(project, import_id)))


def forget_most(database: Database, project: str, import_id: str) -> None:
    """Delete an upload but for its first part, some of it at a time: nobody waits long for what is written meanwhile.

    For when nobody will read it again; `forget` does the rest.
    """
    u = uploads.c
    while True:
        with database.write(project) as connection:
            behind = select(u.part).where(_of(project, import_id), u.part > 0).order_by(u.part.desc())
            some = connection.execute(behind.limit(_FORGOTTEN)).scalars().all()
            if not some:
                return
            connection.execute(delete(uploads).where(_of(project, import_id), u.part.in_(some)))


def forget_abandoned(database: Database, before: datetime) -> int:
    """Delete the uploads begun before a time of which no import came, as where their process died; returns how many."""
    u = uploads.c
    of_import = (imports.c.bucket == u.bucket) & (imports.c.project == u.project) & (imports.c.import_id == u.import_id)
    left = select(u.project, u.import_id).where(~exists().where(of_import)).distinct()
    with database.read() as connection:
        found = [(row.project, row.import_id) for row in connection.execute(left) if made_at(row.import_id) < before]
    for project, import_id in found:
        forget_most(database, project, import_id)
        with database.write(project) as connection:
            forget(connection, project, import_id)
    return len(found)


class Upload(io.RawIOBase):
    """An upload as a file: read part by part from the database."""

    def __init__(self, database: Database, project: str, import_id: str, sizes: list[int]) -> None:
        self._database = database
        self._project = project
        self._import_id = import_id
        self._sizes = sizes
        self._at = 0
        self._loaded = -1, b""  # the part read last

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    @property
    def size(self) -> int:
        """Bytes in all."""
        return sum(self._sizes)

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self.size}[whence]
        self._at = max(0, start + offset)
        return self._at

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # any buffer, says the base class
        before = 0
        for number, size in enumerate(self._sizes):
            if self._at < before + size:
                data = self._part(number)[self._at - before :][: len(buffer)]
                buffer[: len(data)] = data
                self._at += len(data)
                return len(data)
            before += size
        return 0

    def _part(self, number: int) -> bytes:
        if self._loaded[0] != number:
            with self._database.read(self._project) as connection:
                which = _of(self._project, self._import_id) & (uploads.c.part == number)
                self._loaded = number, connection.execute(select(uploads.c.data).where(which)).scalar_one()
        return self._loaded[1]


def _of(project: str, import_id: str) -> ColumnElement[bool]:
    return (
        (uploads.c.bucket == bucket_of(project)) & (uploads.c.project == project) & (uploads.c.import_id == import_id)
    )
