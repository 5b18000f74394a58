"""Text, JSON lines and Parquet as tables: delimited, one keyword a line, one object a line."""

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

import msgspec
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from omnikeywords.errors import UnreadableExport
from omnikeywords.formats import google_trends
from omnikeywords.formats.archive import Peeked
from omnikeywords.formats.columns import Header, Recognised
from omnikeywords.formats.keys import Keys
from omnikeywords.formats.markdown import LINE_END, MarkdownTable, has_table
from omnikeywords.formats.records import Block, Records, SkippedRow, TextPieces, read_record
from omnikeywords.formats.sniff import Encoding, refuse_junk, sniff_encoding
from omnikeywords.formats.tables import (
    Found,
    code_page_of_header,
    find_in_rows,
    no_keyword_column,
    recognise,
    without_header,
)

__all__ = ["HEAD", "JsonTable", "ParquetTable", "TextTable", "open_text"]

HEAD = 1 << 18  # bytes looked at before anything is read
MAX_COLUMNS = 16_384  # what a spreadsheet can hold
_MAX_JSON_ARRAY = 64 << 20  # bytes; longer ones must come as one object a line
_JSON_COLUMNS = 256  # unless objects have more keys than that
_PROSE = 150  # characters; a list whose middle line is longer is none of keywords
_DELIMITERS = (",", "\t", ";", "|")


def open_text(stream: Peeked) -> "TextTable | MarkdownTable | JsonTable":
    """The table in a stream of text: delimited, one keyword a line, or JSON lines.

    Raises UnreadableExport where it is no text, or has no keywords.
    """
    head = stream.peek(HEAD)
    whole = len(head) < HEAD
    encoding = sniff_encoding(head, whole)
    if encoding.codec == "utf-8":
        text = head.decode("utf-8", "replace" if _has_bad_lines(head, whole) else "ignore")
    else:
        text = head.decode(encoding.codec, "ignore")
    text = text.lstrip("\ufeff")
    refuse_junk(head, encoding, text)
    if encoding.codec == "cp1252":
        encoding = Encoding(code_page_of_header(head), False)
        text = head.decode(encoding.codec, "ignore")
    start = text.lstrip()[:2000]
    if start.startswith("{") and _is_json(text):
        return JsonTable(stream, encoding)
    if re.match(r'\[\s*(?:[{"]|\])', start):
        rows = _json_array(stream, encoding)
        if rows is not None:
            return JsonTable(None, encoding, rows)
    lines = LINE_END.split(text)
    if not whole and len(lines) > 1:
        lines.pop()  # it may be cut
    pieces = TextPieces(stream, encoding, old_mac="\n" not in text and "\r" in text)  # type: ignore[arg-type]
    kind = MarkdownTable if has_table(lines[:400]) else TextTable
    table = kind(pieces, encoding.codec, lines[:400])
    if len(table.found.header) > MAX_COLUMNS:
        raise UnreadableExport(f"the header has more than the {MAX_COLUMNS:,} columns a table may have")
    return table


def _has_bad_lines(head: bytes, whole: bool) -> bool:
    try:
        head[: len(head) if whole else -4].decode()
    except UnicodeDecodeError as error:
        return error.end < len(head) - 4
    return False


def _is_json(text: str) -> bool:
    line = LINE_END.split(text.lstrip(), maxsplit=1)[0]
    try:
        return isinstance(json.loads(line), dict)
    except RecursionError:
        return True  # a row as others, to be skipped with its reason
    except ValueError:
        pass
    try:
        decoded, _ = json.JSONDecoder().raw_decode(text.lstrip())
    except (ValueError, RecursionError):
        return False
    raise UnreadableExport(
        f"this is one JSON object over several lines, with the keys {', '.join(list(decoded)[:5])};"
        " write one object a line (JSON lines), each with a 'keyword'"
    )


def _json_array(stream: Peeked, encoding: Encoding) -> list[Any] | None:
    data = stream.peek(_MAX_JSON_ARRAY + 1)
    if len(data) > _MAX_JSON_ARRAY:
        raise UnreadableExport("this JSON array is longer than 64 MiB; write one object a line (JSON lines)")
    try:
        text = data.decode(encoding.codec).lstrip("\ufeff")
        rows = json.loads(text)
    except RecursionError:
        raise UnreadableExport("this JSON is nested too deeply for a table; write one object a line") from None
    except ValueError as error:
        # A list of exact matches begins with a bracket too, but not with one and a brace.
        if data.decode(encoding.codec, "ignore").lstrip("\ufeff \t\r\n")[1:].lstrip().startswith("{"):
            raise UnreadableExport("this JSON array is damaged or cut short; download it again") from error
        return None
    return rows if isinstance(rows, list) else None


class TextTable:
    """A delimited table, or a list of one keyword a line."""

    def __init__(self, pieces: TextPieces, codec: str, lines: list[str]) -> None:
        self._pieces = pieces
        self._list: str | None = None  # of a related queries file of Google Trends
        self.encoding: str | None = codec
        self._multiline = self._quotes = True
        self.delimiter: str | None = None
        self.container = "csv"
        self._skip_lines = 0
        self.found = self._find(lines)

    def _find(self, lines: list[str]) -> Found:
        trends = google_trends.first_list(lines)
        if trends is not None:
            self.delimiter, self._skip_lines, self._list = ",", trends + 1, lines[trends].strip()
            return Found(None, Header(google_trends.RELATED), google_trends.recognised_related())
        best: tuple[int, str, Found, int] | None = None
        for delimiter in _DELIMITERS:
            rows, ends = _rows(lines[:80], delimiter)
            found = find_in_rows(rows)
            if found and found.index is not None:
                understood = sum(alias is not None for alias in found.header.aliases) * 100 + len(found.header)
                if best is None or understood > best[0]:
                    best = (understood, delimiter, found, ends[found.index])
        if best:
            _, self.delimiter, found, self._skip_lines = best
            if len(found.header) == 1 and all(d not in found.header.cells[0] for d in _DELIMITERS):
                self.delimiter = None
                self.container = "text"
            return found
        return self._without_known_header(lines)

    def _without_known_header(self, lines: list[str]) -> Found:
        for delimiter in ("\t", ";", ",", "|"):
            rows = [row for row in _rows(lines, delimiter)[0] if any(cell.strip() for cell in row)][:200]
            if not _even(rows) or (delimiter == "," and all(", " in line for line in lines if "," in line)):
                continue
            found = without_header(rows)
            if found is None:
                raise no_keyword_column(rows[0])
            self.delimiter = delimiter
            if found.index is not None:
                self._skip_lines = next(i for i, line in enumerate(lines) if line.strip()) + 1
            return found
        filled = [line.strip() for line in lines if line.strip()]
        urls = sum(bool(re.match(r"(?:https?://|www\.)\S+$", line, re.IGNORECASE)) for line in filled)
        if urls > 0.5 * len(filled) and len(filled) > 1:
            raise UnreadableExport("this is a list of addresses (URLs), not of keywords; give one keyword a line")
        numbers = sum(not any(c.isalpha() for c in line) for line in filled)
        if numbers == len(filled) and len(filled) > 3:
            raise UnreadableExport("this is a list of numbers, not of keywords; give one keyword a line")
        if sorted(map(len, filled))[len(filled) // 2] > _PROSE:
            raise UnreadableExport("this is running text, not a list of keywords; give one keyword a line")
        self.container = "text"
        self._multiline = False
        # Quotes around some lines are match types, around all of them the habit of a program.
        self._quotes = all(line[0] == line[-1] == '"' for line in filled)
        return Found(None, Header(["keyword"]), Recognised("plain", "keyword list", ads_syntax=True))

    def blocks(self) -> Iterator[Block]:
        """The rows below the header, a piece of about 1 MiB of text at a time."""
        records = Records(
            self.delimiter,
            2 if self._list else len(self.found.header),
            line=self._skip_lines + 1,
            multiline=self._multiline,
            quotes=self._quotes,
        )
        skip = self._skip_lines
        last: str | None = None
        for piece in self._pieces:
            if skip:
                ends = [match.end() for match, _ in zip(LINE_END.finditer(piece), range(skip), strict=False)]
                skip -= len(ends)
                piece = piece[ends[-1] :] if ends and skip == 0 else ""
            if last:
                yield self._listed(records.read(last, final=False))
            last = piece
        if last:
            yield self._listed(records.read(last, final=True))

    def _listed(self, block: Block) -> Block:
        if self._list:
            block, self._list = google_trends.by_list(block, self._list)
        return block

    def warnings(self) -> list[str]:
        """What was odd about the encoding."""
        return self._pieces.warnings()

    def close(self) -> None:
        """Nothing of its own is open: the stream belongs to the export."""


def _rows(lines: list[str], delimiter: str) -> tuple[list[list[str]], list[int]]:
    """Records of lines that are all there is, and the line each ends before."""
    rows, ends, i = [], [], 0
    while i < len(lines):
        record = read_record(lines, i, delimiter, 0)
        assert record is not None
        row, i = record
        rows.append(row)
        ends.append(i)
    return rows, ends


def _even(rows: Sequence[Sequence[str]]) -> bool:
    """Whether nearly all rows have the same number of cells, and more than one."""
    widths = [len(row) for row in rows]
    common = max(set(widths), key=widths.count) if widths else 0
    return common > 1 and widths.count(common) >= 0.9 * len(widths)


class JsonTable:
    """JSON lines: an object a line, each with its own keys; or the items of an array."""

    def __init__(self, stream: Peeked | None, encoding: Encoding, items: list[Any] | None = None) -> None:
        self.container = "json lines" if items is None else "json"
        self.encoding: str | None = encoding.codec
        self.delimiter: str | None = None
        self._keys = Keys(_JSON_COLUMNS)
        self._line = 1
        self._items = items
        self._pieces = iter(TextPieces(stream, encoding)) if stream else iter(())  # type: ignore[arg-type]
        self._first = self._next()
        if self._first is None:
            raise UnreadableExport("this JSON holds no keywords: it is empty")
        header = Header(self._keys.names)
        if not header.cells:
            raise UnreadableExport("this JSON holds no objects with a 'keyword'; write one object a line")
        recognised = recognise(header, [])
        if recognised is None:
            raise no_keyword_column(header.cells)
        if recognised.tool == "plain":
            recognised.report = "keyword objects"
        self.found = Found(0, header, recognised)

    @property
    def names(self) -> list[str]:
        """The columns of all keys seen so far."""
        return self._keys.names

    def _next(self) -> Block | None:
        if self._items is not None:
            items, self._items = self._items, []
            whole: list[tuple[int, Any]] = []
            halves: list[SkippedRow] = []
            for n, item in enumerate(items, 1):
                if _is_text(item):
                    whole.append((n, item))
                else:
                    halves.append(SkippedRow(n, "unreadable row: half a character", json.dumps(item)[:200]))
            return self._block(whole, halves) if items else None
        text = next(self._pieces, None)
        if text is None:
            return None
        lines = text.removesuffix("\n").split("\n")
        start = self._line
        self._line += len(lines)
        numbered = [(n, line) for n, line in enumerate(lines, start) if line and not line.isspace()]
        try:
            # One call for all lines, where all are well.
            items = msgspec.json.decode("[" + ",".join(line for _, line in numbered) + "]")
            if len(items) == len(numbered):
                return self._block([(n, item) for (n, _), item in zip(numbered, items, strict=True)], [])
        except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
            pass
        rows: list[tuple[int, Any]] = []
        skipped: list[SkippedRow] = []
        for n, line in numbered:
            try:
                rows.append((n, msgspec.json.decode(line)))
            except (msgspec.DecodeError, UnicodeEncodeError, RecursionError) as error:
                skipped.append(SkippedRow(n, f"unreadable row: {error}", line[:200]))
        return self._block(rows, skipped)

    def _block(self, rows: list[tuple[int, Any]], skipped: list[SkippedRow]) -> Block:
        objects: list[dict[str, Any]] = []
        lines: list[int] = []
        for number, item in rows:
            if isinstance(item, str):
                item = {"keyword": item}
            if isinstance(item, dict):
                objects.append(item)
                lines.append(number)
            else:
                skipped.append(SkippedRow(number, "unreadable row: no JSON object", str(item)[:200]))
        self._keys.add(objects)
        frame = pl.DataFrame({str(i): _json_column(cells) for i, cells in enumerate(self._keys.values(objects))})
        return Block(frame, pl.Series(lines, dtype=pl.Int64), sorted(skipped, key=lambda row: row.line))

    def blocks(self) -> Iterator[Block]:
        """The objects of a piece of about 1 MiB of text at a time."""
        block = self._first
        self._first = None
        while block is not None:
            yield block
            block = self._next()

    def warnings(self) -> list[str]:
        """Nothing to warn of."""
        return []

    def close(self) -> None:
        """Nothing of its own is open: the stream belongs to the export."""


def _json_column(values: list[Any]) -> pl.Series:
    """Numbers as numbers, all else as text; what is nested as the JSON it was."""
    kinds = {type(value) for value in values}
    kinds.discard(type(None))
    if kinds == {int}:
        try:
            return pl.Series(values, dtype=pl.Int64)
        except (OverflowError, TypeError):
            pass
    elif kinds and kinds <= {int, float}:
        with suppress(OverflowError):
            return pl.Series([None if value is None else float(value) for value in values], dtype=pl.Float64)
    elif kinds <= {str}:
        return pl.Series(values, dtype=pl.String)
    return pl.Series([_json_text(value) for value in values], dtype=pl.String)


def _is_text(item: Any) -> bool:
    """Whether all characters of an item are whole: JSON can escape halves of them."""
    try:
        json.dumps(item, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def _json_text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | float) else json.dumps(value, ensure_ascii=False)


class ParquetTable:
    """A Parquet file, by row groups."""

    def __init__(self, source: Any) -> None:
        self.container = "parquet"
        self.encoding: str | None = None
        self.delimiter: str | None = None
        try:
            self._file = pq.ParquetFile(source)
        except Exception as error:
            raise UnreadableExport(f"this Parquet file cannot be read: {_first_line(error)}") from error
        header = Header(self._file.schema_arrow.names)
        recognised = recognise(header, [])
        if recognised is None:
            raise no_keyword_column(header.cells)
        if len(header) > MAX_COLUMNS:
            raise UnreadableExport(
                f"the file has {len(header):,} columns, more than the {MAX_COLUMNS:,} a table may have"
            )
        self.found = Found(0, header, recognised)

    def blocks(self) -> Iterator[Block]:
        """Rows, 16,384 at a time; a row's line is its number from 1."""
        row = 1
        try:
            for batch in self._file.iter_batches(batch_size=16_384):
                frame = pl.DataFrame([_arrow_column(str(i), column) for i, column in enumerate(batch.columns)])
                lines = pl.int_range(row, row + frame.height, eager=True, dtype=pl.Int64)
                row += frame.height
                yield Block(frame, lines)
        except (OSError, pa.ArrowException) as error:
            raise UnreadableExport(f"this Parquet file is damaged: {_first_line(error)}") from error

    def warnings(self) -> list[str]:
        """Nothing to warn of."""
        return []

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _arrow_column(name: str, column: Any) -> pl.Series:
    """A column as numbers where it is of numbers, else as text."""
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if any(is_kind(kind) for is_kind in _ONE_BY_ONE):
        return pl.Series(name, [_json_text(_jsonable(value)) for value in column.to_pylist()], dtype=pl.String)
    series = pl.Series(name, column)
    if series.dtype.is_nested():
        return pl.Series(name, [_json_text(_jsonable(value)) for value in series.to_list()], dtype=pl.String)
    if series.dtype.is_numeric() or series.dtype == pl.String:
        return series
    return series.cast(pl.String, strict=False).alias(name)


# Types that polars has no text for, or does not know.
_ONE_BY_ONE = (
    pa.types.is_binary,
    pa.types.is_large_binary,
    pa.types.is_binary_view,
    pa.types.is_fixed_size_binary,
    pa.types.is_duration,
    pa.types.is_interval,
    pa.types.is_decimal256,
)


def _jsonable(value: Any) -> Any:
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return value.decode("cp1252", "replace")  # as lines of text files are
    if isinstance(value, dict):
        return {key: _jsonable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_jsonable(item) for item in value]
    return value if value is None or isinstance(value, str | int | float | bool) else str(value)


def _first_line(error: Exception) -> str:
    return str(error).split("\n")[0][:200]
