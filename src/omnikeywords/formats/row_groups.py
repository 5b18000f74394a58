"""A Parquet file put together from row groups that were encoded side by side.

pyarrow encodes one row group of a file after another, on one core. Here each becomes a small file of its own, in
memory, by as many threads as are to work at once; what stands before its footer is then copied into the file as it is,
and the footers become one, with each place in the file moved to where the bytes went.

A footer is a `FileMetaData` in the compact protocol of Thrift. It is read without knowing more of it than the numbers
of the fields that are places: https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift
"""

import struct
from collections.abc import Iterable
from typing import IO, Any

__all__ = ["RowGroups", "read_struct", "write_struct"]

_MAGIC = b"PAR1"
_TAIL = 8  # bytes after the footer: its length and _MAGIC

# Fields by their numbers in parquet.thrift.
_ROWS, _GROUPS = 3, 4  # of FileMetaData
_COLUMNS, _GROUP_PLACE, _ORDINAL = 1, 5, 7  # of RowGroup
_COLUMN_DATA, _COLUMN_PLACES = 3, (2, 4, 6)  # of ColumnChunk
_DATA_PLACES = (9, 10, 11, 14)  # of ColumnMetaData

# Types of the compact protocol.
_TRUE, _FALSE, _BYTE, _I16, _I64, _DOUBLE, _BINARY, _LIST, _SET, _STRUCT = 1, 2, 3, 4, 6, 7, 8, 9, 10, 12

Value = Any  # a number, bytes, a list with the type of its items, or a struct
Struct = dict[int, tuple[int, Value]]  # type and value by the number of the field


class RowGroups:
    """A Parquet file being written; what it is made of are whole Parquet files of one schema."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._at = file.write(_MAGIC)
        self._footer: Struct = {}
        self._groups: list[Struct] = []

    def add(self, part: memoryview) -> None:
        """Append the row groups of a Parquet file."""
        length = int.from_bytes(part[-_TAIL:-4], "little")
        body = part[len(_MAGIC) : -_TAIL - length]
        footer, _ = read_struct(bytes(part[-_TAIL - length : -_TAIL]))
        moved = self._at - len(_MAGIC)
        for group in footer[_GROUPS][1][1]:
            _move(group, (_GROUP_PLACE,), moved)
            group[_ORDINAL] = (_I16, len(self._groups))
            for column in group[_COLUMNS][1][1]:
                _move(column, _COLUMN_PLACES, moved)
                _move(column[_COLUMN_DATA][1], _DATA_PLACES, moved)
            self._groups.append(group)
        rows = footer[_ROWS][1] + (self._footer[_ROWS][1] if self._footer else 0)
        self._footer = {**footer, _ROWS: (_I64, rows), _GROUPS: (_LIST, (_STRUCT, self._groups))}
        self._file.write(body)
        self._at += len(body)

    def close(self) -> None:
        """Write what ends the file."""
        footer = write_struct(self._footer)
        self._file.write(footer + len(footer).to_bytes(4, "little") + _MAGIC)


def _move(fields: Struct, places: Iterable[int], by: int) -> None:
    for number in places:
        kind, place = fields.get(number, (_I64, 0))
        if place:  # 0 is none: the file begins with _MAGIC
            fields[number] = (kind, place + by)


def read_struct(data: bytes, at: int = 0) -> tuple[Struct, int]:
    """The struct at a place, and the place after it."""
    fields: Struct = {}
    number = 0
    while (head := data[at]) != 0:
        at += 1
        if head >> 4:
            number += head >> 4
        else:
            number, at = _read_integer(data, at)
        kind = head & 15
        if kind in (_TRUE, _FALSE):
            fields[number] = (kind, None)
        else:
            value, at = _read_value(kind, data, at)
            fields[number] = (kind, value)
    return fields, at + 1


def _read_value(kind: int, data: bytes, at: int) -> tuple[Value, int]:
    if _I16 <= kind <= _I64:
        return _read_integer(data, at)
    if kind == _BINARY:
        length, at = _read_count(data, at)
        return data[at : at + length], at + length
    if kind == _STRUCT:
        return read_struct(data, at)
    if kind in (_LIST, _SET):
        head, at = data[at], at + 1
        count, inner = head >> 4, head & 15
        if count == 15:
            count, at = _read_count(data, at)
        items = []
        for _ in range(count):
            item, at = _read_value(inner, data, at)
            items.append(item)
        return (inner, items), at
    if kind in (_TRUE, _FALSE, _BYTE):  # in a list a boolean is a byte, too
        return data[at], at + 1
    if kind == _DOUBLE:
        return struct.unpack_from("<d", data, at)[0], at + 8
    raise ValueError(f"a Parquet footer has a value of type {kind}")


def _read_count(data: bytes, at: int) -> tuple[int, int]:
    count = shift = 0
    while True:
        byte = data[at]
        at += 1
        count |= (byte & 127) << shift
        if byte < 128:
            return count, at
        shift += 7


def _read_integer(data: bytes, at: int) -> tuple[int, int]:
    count, at = _read_count(data, at)
    return (count >> 1) ^ -(count & 1), at


def write_struct(fields: Struct) -> bytes:
    """The bytes that `read_struct` reads as these fields."""
    out = bytearray()
    _write_struct(fields, out)
    return bytes(out)


def _write_struct(fields: Struct, out: bytearray) -> None:
    last = 0
    for number, (kind, value) in sorted(fields.items()):
        if 0 < number - last < 16:
            out.append((number - last) << 4 | kind)
        else:
            out.append(kind)
            _write_count(_zigzag(number), out)
        last = number
        if kind not in (_TRUE, _FALSE):
            _write_value(kind, value, out)
    out.append(0)


def _write_value(kind: int, value: Value, out: bytearray) -> None:
    if _I16 <= kind <= _I64:
        _write_count(_zigzag(value), out)
    elif kind == _BINARY:
        _write_count(len(value), out)
        out += value
    elif kind == _STRUCT:
        _write_struct(value, out)
    elif kind in (_LIST, _SET):
        inner, items = value
        out.append(min(len(items), 15) << 4 | inner)
        if len(items) >= 15:
            _write_count(len(items), out)
        for item in items:
            _write_value(inner, item, out)
    elif kind == _DOUBLE:
        out += struct.pack("<d", value)
    else:
        out.append(value)


def _zigzag(value: int) -> int:
    return value << 1 if value >= 0 else (-value << 1) - 1


def _write_count(count: int, out: bytearray) -> None:
    while count > 127:
        out.append(count & 127 | 128)
        count >>= 7
    out.append(count)
