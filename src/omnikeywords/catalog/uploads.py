"""Uploads: what was given to import, in the database until it is imported, so that any process may go on with it.

They are kept in parts of at most a mebibyte, a short transaction each.
"""

import hashlib
import io
from collections.abc import Iterator
from typing import BinaryIO

from sqlalchemy import ColumnElement, delete, func, select

from omnikeywords.catalog import log
from omnikeywords.catalog.projects import bucket_of
from omnikeywords.catalog.tables import uploads
from omnikeywords.db import Connection, Database
from omnikeywords.errors import NotFound

__all__ = ["PART_BYTES", "Upload", "forget", "keep", "keep_part", "open_upload"]

PART_BYTES = 1 << 20


def keep(database: Database, project: str, import_id: str, source: BinaryIO) -> str:
    """Keep everything that a stream holds; returns its digest."""
    digest = hashlib.blake2b(digest_size=20)
    for number, part in enumerate(_parts(source)):
        digest.update(part)
        keep_part(database, project, import_id, number, part)
    return digest.hexdigest()


def keep_part(database: Database, project: str, import_id: str, number: int, part: bytes) -> None:
    """Keep one part of an upload."""
    bucket = bucket_of(project)
    row = {"bucket": bucket, "project": project, "import_id": import_id, "part": number, "data": part}
    with database.write(project) as connection:
        log.enter(connection, bucket)
        connection.execute(uploads.insert(), row)


def open_upload(database: Database, project: str, import_id: str) -> BinaryIO:
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
    return io.BufferedReader(Upload(database, project, import_id, [size for _, size in sizes]), PART_BYTES)


def forget(connection: Connection, project: str, import_id: str) -> None:
    """Delete an upload, in the caller's transaction."""
    connection.execute(delete(uploads).where(_of(project, import_id)))


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

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: sum(self._sizes)}[whence]
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


def _parts(source: BinaryIO) -> Iterator[bytes]:
    while part := source.read(PART_BYTES):
        yield part


def _of(project: str, import_id: str) -> ColumnElement[bool]:
    return (
        (uploads.c.bucket == bucket_of(project)) & (uploads.c.project == project) & (uploads.c.import_id == import_id)
    )
