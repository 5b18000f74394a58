"""Streams and archives: looking at a beginning, the tables in a zip file, whether unpacking is safe."""

import functools
import gzip
import io
import lzma
import re
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import IO, BinaryIO, cast

from omnikeywords.errors import UnreadableExport

__all__ = [
    "Member",
    "Peeked",
    "check_spreadsheet",
    "is_spreadsheet",
    "members",
    "open_archive",
    "open_member",
    "text_of",
    "unpack_gzip",
]

_MOST_BYTES = 16 << 30  # unpacked, in all: text is read as it comes
_MOST_SHEET_BYTES = 2 << 30  # unpacked, of a spreadsheet: it is held in memory
_SMALL = 100 << 20  # below this any ratio is harmless
_RATIO = 150  # times the packed size; text of exports is 5 to 30
_DEFLATE_AT_MOST = 1032  # times: what deflate can do at best
_MOST_CELLS = 100_000_000  # of a sheet, empty ones too: 3 GB
_ROW = re.compile(rb'<row[^>]* r="(\d{1,9})"')
_FAR_COLUMN = re.compile(rb'<c r="([A-Z]{2,3})\d')  # beyond Z
# What the libraries raise for archives whose bytes are wrong.
_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    NotImplementedError,
    OSError,
    RuntimeError,
    ValueError,
)
_TABLES = (".csv", ".tsv", ".txt", ".jsonl", ".ndjson", ".json", ".xlsx", ".xls", ".parquet", ".tab")


class Peeked:
    """A byte stream whose beginning can be looked at first."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._head = b""

    def peek(self, size: int) -> bytes:
        """The first `size` bytes (fewer at the end of the stream), which are still to be read."""
        while len(self._head) < size and (data := self._stream.read(size - len(self._head))):
            self._head += data
        return self._head[:size]

    def read(self, size: int = -1) -> bytes:
        """The next bytes."""
        if not self._head:
            return self._stream.read(size)
        if size < 0:
            data, self._head = self._head + self._stream.read(), b""
            return data
        data, self._head = self._head[:size], self._head[size:]
        return data

    def close(self) -> None:
        """Close the stream beneath."""
        self._stream.close()


@dataclass(frozen=True, slots=True)
class Member:
    """A file in an archive that may hold a table."""

    name: str
    info: zipfile.ZipInfo


def open_archive(stream: BinaryIO) -> zipfile.ZipFile:
    """A zip file, checked: its directory is whole, nothing is encrypted, it does not unpack beyond reason.

    Raises UnreadableExport otherwise.
    """
    try:
        archive = zipfile.ZipFile(stream)
    except _DAMAGE as error:
        raise UnreadableExport("this zip file is damaged or cut short; download it again") from error
    infos = archive.infolist()
    if any(info.flag_bits & 1 for info in infos):
        raise UnreadableExport("this zip file is encrypted; unpack it with its password and give the file inside")
    total = sum(info.file_size for info in infos)
    packed = sum(info.compress_size for info in infos)
    if total > _MOST_BYTES or (total > _SMALL and total > _RATIO * max(1, packed)):
        raise _bomb(total, packed)
    for info in infos:
        if info.file_size > _SMALL and info.file_size > _RATIO * max(1, info.compress_size):
            raise _bomb(info.file_size, info.compress_size)
    return archive


def _bomb(total: int, packed: int) -> UnreadableExport:
    return UnreadableExport(f"this archive would unpack {max(1, packed):,} bytes to {total:,}: that is no export")


def is_spreadsheet(archive: zipfile.ZipFile) -> bool:
    """Whether a zip file is an Excel workbook or an OpenDocument sheet."""
    names = set(archive.namelist())
    if "mimetype" in names:
        try:
            with archive.open("mimetype") as file:
                return b"opendocument.spreadsheet" in file.read(100)
        except _DAMAGE:
            return False
    return "[Content_Types].xml" in names and any(
        name.startswith("xl/workbook.") or name == "xl/workbook.xml" for name in names
    )


def check_spreadsheet(archive: zipfile.ZipFile) -> None:
    """Raise UnreadableExport where a workbook unpacks beyond reason, whatever its directory says of sizes, or
    where a sheet reaches so far that its empty cells would fill the memory."""
    _check_sizes(archive)
    for info in archive.infolist():
        if info.filename.startswith("xl/worksheets/") and info.filename.endswith(".xml"):
            _check_reach(archive, info)


def _check_reach(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> None:
    rows, far = 0, {b"Z"}
    last = b""
    try:
        with archive.open(info) as file:
            while data := file.read(1 << 20):
                data = last + data
                if found := _ROW.findall(data):
                    rows = max(rows, int(found[-1]))
                far.update(_FAR_COLUMN.findall(data))
                last = data[-64:]
    except _DAMAGE as error:
        raise UnreadableExport(f"this spreadsheet is damaged ({info.filename}); download it again") from error
    column = max(far, key=lambda name: (len(name), name))
    columns = functools.reduce(lambda number, letter: number * 26 + letter - 64, column, 0)
    if rows * columns > _MOST_CELLS:
        raise UnreadableExport(
            f"a sheet reaches to column {column.decode()} and row {rows:,}: delete the stray cells far from the table,"
            " or export it as CSV"
        )


def _check_sizes(archive: zipfile.ZipFile) -> None:
    total = 0
    for info in archive.infolist():
        if info.compress_size * _DEFLATE_AT_MOST < _SMALL:
            # Too little to do harm, even if the directory lies.
            total += info.file_size
            continue
        try:
            with archive.open(info) as file:
                raw = 0
                while data := file.read(1 << 20):
                    raw += len(data)
                    if raw > _MOST_SHEET_BYTES or (raw > _SMALL and raw > _RATIO * max(1, info.compress_size)):
                        raise _bomb(raw, info.compress_size)
        except _DAMAGE as error:
            raise UnreadableExport(f"this spreadsheet is damaged ({info.filename}); download it again") from error
        total += raw
    if total > _MOST_SHEET_BYTES:
        raise UnreadableExport(
            f"this spreadsheet unpacks to {total:,} bytes, more than the 2 GiB read of one: export it as CSV"
        )


def members(archive: zipfile.ZipFile) -> Sequence[Member]:
    """The files that may hold a table, by name; folders, hidden files and what macOS adds left out."""
    found = []
    for info in archive.infolist():
        path = PurePosixPath(_name(info))
        hidden = any(part.startswith((".", "__MACOSX")) for part in path.parts)
        if not info.filename.endswith("/") and not hidden and path.suffix.lower() in _TABLES:
            found.append(Member(_name(info), info))
    return found


def _name(info: zipfile.ZipInfo) -> str:
    """The member's name; names in UTF-8 whose flag is not set are read as what they are."""
    if info.flag_bits & 0x800:
        return info.filename
    try:
        return info.filename.encode("cp437").decode("utf-8")
    except (UnicodeEncodeError, UnicodeDecodeError):
        return info.filename


def open_member(archive: zipfile.ZipFile, member: Member) -> BinaryIO:
    """A member's bytes as they are unpacked.

    Raises UnreadableExport, on opening or reading, for a damaged archive or a way of packing not known here.
    """
    try:
        return cast(BinaryIO, _Bounded(archive.open(member.info), member.info.compress_size))
    except _DAMAGE as error:
        raise UnreadableExport(f"{member.name} in this zip file cannot be unpacked; download it again") from error


def text_of(archive: zipfile.ZipFile, member: Member) -> str:
    """The first 1 MiB of a member as text."""
    with open_member(archive, member) as file:
        return file.read(1 << 20).decode("utf-8", "replace").lstrip("\ufeff")


def unpack_gzip(packed: Peeked) -> BinaryIO:
    """The bytes inside a gzip stream, read as they come."""
    return cast(BinaryIO, _Bounded(cast(BinaryIO, gzip.GzipFile(fileobj=cast(BinaryIO, packed))), None))


class _Bounded(io.RawIOBase):
    """Bytes as they are unpacked; damage is said in one line, and what unpacks beyond reason is cut off."""

    def __init__(self, file: IO[bytes], packed: int | None) -> None:
        self._file = file
        self._packed = packed
        self._read = 0

    def readable(self) -> bool:
        """It can be read."""
        return True

    def seekable(self) -> bool:
        """It is read forwards only."""
        return False

    def read(self, size: int = -1) -> bytes:
        """The next bytes.

        Raises UnreadableExport where the archive is damaged, or unpacks beyond reason.
        """
        try:
            data = self._file.read(size)
        except _DAMAGE as error:
            raise UnreadableExport("this archive is damaged or cut short; download it again") from error
        self._read += len(data)
        packed = self._packed
        if self._read > _MOST_BYTES or (
            packed is not None and self._read > _SMALL and self._read > _RATIO * max(1, packed)
        ):
            raise _bomb(self._read, packed or 0)
        return data

    def close(self) -> None:
        """Close what is beneath."""
        self._file.close()
        super().close()
