"""Delimited text to columns of strings, a piece at a time, forgiving and exact about lines.

`read_record` is the definition of how a record is read: quoted cells with doubled quotes, line ends inside
them, and the damage that exports really have (quotes that nobody escaped, quotes that nobody closed). It is
slow, so `Records` gives it only the lines that need it: a line without a quote, or whose quotes are regular
within it, is a record by itself, and polars splits those at once.
"""

import codecs
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

import numpy as np
import polars as pl

from omnikeywords.errors import UnreadableExport
from omnikeywords.formats.sniff import Encoding

__all__ = ["Block", "Records", "SkippedRow", "TextPieces", "as_text", "read_record"]

PIECE = 1 << 20  # bytes read at a time
_LONGEST_LINE = 8 << 20  # bytes; beyond, it is no table
_LONGEST_CELL_LINES = 1000  # line ends inside one quoted cell, beyond which the quote was never meant to open one
_LONGEST_CELL = 1 << 20  # characters


@dataclass(frozen=True, slots=True)
class SkippedRow:
    """A row that was not read: its line (row of a sheet), why, and the beginning of it (200 characters)."""

    line: int
    reason: str
    text: str


@dataclass(slots=True)
class Block:
    """Rows of a table in file order: columns `0`, `1`, ... and the line each row begins at."""

    frame: pl.DataFrame
    lines: pl.Series  # Int64
    skipped: list[SkippedRow] = field(default_factory=list)


def as_text(series: pl.Series) -> pl.Series:
    """A column as text; whole numbers without a decimal point, as people and files write them."""
    if series.dtype == pl.String:
        return series
    text = series.cast(pl.String, strict=False)
    if not series.dtype.is_float():
        return text
    whole = (series == series.round()) & (series.abs() < 1e15)
    return pl.select(
        pl.when(whole).then(series.cast(pl.Int64, strict=False).cast(pl.String)).otherwise(text)
    ).to_series()


class TextPieces:
    """A byte stream as pieces of text that end at line ends; counts lines that were not in its encoding."""

    def __init__(self, stream: BinaryIO, encoding: Encoding, old_mac: bool = False) -> None:
        self._stream = stream
        self._encoding = encoding
        self._end = "\r" if old_mac else "\n"
        self.patched = 0  # lines of a UTF-8 file that were read as cp1252

    def __iter__(self) -> Iterator[str]:
        pieces = self._utf8() if self._encoding.codec == "utf-8" else self._decoded()
        first = True
        for piece in pieces:
            if first:
                piece = piece.lstrip("\ufeff")
                first = False
            if piece:
                yield piece

    def _utf8(self) -> Iterator[str]:
        end = self._end.encode()
        kept = b""
        while data := self._stream.read(PIECE):
            cut = data.rfind(end) + 1
            if not cut:
                kept += data
                if len(kept) > _LONGEST_LINE:
                    raise _line_too_long()
                continue
            yield self._text(kept + data[:cut])
            kept = data[cut:]
        if kept:
            yield self._text(kept)

    def _text(self, data: bytes) -> str:
        try:
            return data.decode()
        except UnicodeDecodeError:
            lines = []
            for line in data.split(b"\n"):
                try:
                    lines.append(line.decode())
                except UnicodeDecodeError:
                    self.patched += 1
                    lines.append(line.decode("cp1252", "replace"))
            return "\n".join(lines)

    def _decoded(self) -> Iterator[str]:
        decoder = codecs.getincrementaldecoder(self._encoding.codec)("replace")
        kept = ""
        while data := self._stream.read(PIECE):
            text = decoder.decode(data)
            cut = text.rfind(self._end) + 1
            if not cut:
                kept += text
                if len(kept) > _LONGEST_LINE:
                    raise _line_too_long()
                continue
            yield kept + text[:cut]
            kept = text[cut:]
        if kept:
            # Half a character at the very end is dropped: nothing can be known of it.
            yield kept


def _line_too_long() -> UnreadableExport:
    return UnreadableExport("a line is longer than 8 MiB: this is no table of keywords")


def read_record(
    lines: list[str], at: int, delimiter: str, cells: int, *, final: bool = True, multiline: bool = True
) -> tuple[list[str], int] | None:
    """The record that begins at `lines[at]`, and the index of the line after it; None if it needs more lines.

    `lines` have no `\\n`, and `\\r` where one stood before it. `cells` is how many a record should have: it
    decides between readings where quotes are not regular. A quote opens a cell only at its start, and closes
    it only before a delimiter or a line end; any other is text, and so is one that is never closed.
    """
    first = lines[at].removesuffix("\r")
    record = _quoted_record(lines, at, delimiter, final, multiline)
    if record is None:
        return None
    read, after = record
    if len(read) == cells and not (after > at + 1 and _separate(lines[at : at + 2], delimiter, cells)):
        return read, after
    # Not what was expected: any other way to read the first line alone that has the right number of cells.
    if first.startswith('"') and first.endswith('"'):
        split = first[1:-1].split(f'"{delimiter}"')
        if len(split) == cells:
            return split, at + 1
    literal = first.split(delimiter)
    if not read or (after > at + 1 and len(literal) == cells):
        return literal, at + 1
    return read, after


def _separate(lines: list[str], delimiter: str, cells: int) -> bool:
    """Whether two lines are full rows by themselves, so that the quote left open in the first is text.

    Such a quote is the only one in its line, and the next line begins with a cell and has no quote left open.
    """
    if cells < 3 or len(lines) < 2 or lines[0].count('"') != 1 or lines[1].count('"') % 2:
        return False
    first, second = (line.split(delimiter) for line in lines)
    return len(first) == len(second) == cells and bool(second[0].strip()) and first[-1].rstrip("\r") != '"'


def _quoted_record(
    lines: list[str], at: int, delimiter: str, final: bool, multiline: bool
) -> tuple[list[str], int] | None:
    """The record by its quotes; an empty list of cells where a quote is never closed."""
    line = at
    text = lines[at].removesuffix("\r")
    cells: list[str] = []
    start = 0
    while True:
        if not text.startswith('"', start):
            end = text.find(delimiter, start)
            if end < 0:
                cells.append(text[start:])
                return cells, line + 1
            cells.append(text[start:end])
            start = end + 1
            continue
        parts: list[str] = []
        scan = start + 1
        while True:
            quote = text.find('"', scan)
            if quote < 0:
                too_long = line - at >= _LONGEST_CELL_LINES or len(text) - start > _LONGEST_CELL
                if not multiline or too_long or (final and line + 1 >= len(lines)):
                    return [], at + 1
                if line + 1 >= len(lines):
                    return None
                ending = "\r\n" if lines[line].endswith("\r") else "\n"
                line += 1
                parts.append(text[scan:] + ending)
                text = lines[line].removesuffix("\r")
                start = scan = 0
                continue
            after = text[quote + 1 : quote + 2]
            if after == '"':
                parts.append(text[scan : quote + 1])
                scan = quote + 2
            elif after in ("", delimiter):
                parts.append(text[scan:quote])
                break
            else:
                parts.append(text[scan : quote + 1])
                scan = quote + 1
        cells.append("".join(parts))
        if after == "":
            return cells, line + 1
        start = quote + 2


class Records:
    """The records of a delimited text, as blocks of columns.

    `delimiter` None: every line is one cell. `quotes` False: quotes are text. Blank lines are no rows.
    """

    def __init__(
        self, delimiter: str | None, cells: int, *, line: int = 1, multiline: bool = True, quotes: bool = True
    ) -> None:
        self._delimiter = delimiter or "\x1f"
        self._cells = cells
        self._line = line  # of the next line to come
        self._multiline = multiline
        self._quotes = quotes
        self._kept = ""
        sep = re.escape(self._delimiter)
        cell = f'(?:"(?:[^"]|"")*"|[^"{sep}]*)'
        # A line whose quotes are regular and that has all its cells; beyond 200 the pattern is too large.
        self._regular = f"^{cell}(?:{sep}{cell}){{{cells - 1}}}$" if cells <= 200 else ""
        self._names = [str(i) for i in range(cells)]

    def read(self, text: str, *, final: bool) -> Block:
        """The records of the next piece of text; only the last (`final`) may end within a line."""
        if self._kept:
            text = self._kept + text
            self._kept = ""
        lone_returns = "\r" in text and text.count("\r") != text.count("\r\n")
        if not self._quotes or '"' not in text:
            if "\r" in text:
                text = text.replace("\r\n", "\n").replace("\r", "\n")
            lines = _lines(text)
            line = self._line
            self._line += len(lines)
            numbers = pl.int_range(line, line + len(lines), eager=True, dtype=pl.Int64)
            return self._plain(lines, numbers)
        if lone_returns:
            # Lone carriage returns end lines too, except inside quotes, where they are text.
            text = "\n".join(part.rstrip("\n") for part in _outside_quotes(text))
        return self._quoted(text, final)

    def _plain(self, lines: pl.Series, numbers: pl.Series) -> Block:
        """Lines without quotes: each is a record."""
        blank = lines == ""
        if blank.any():
            lines, numbers = lines.filter(~blank), numbers.filter(~blank)
        if self._cells == 1 and self._delimiter == "\x1f":
            return Block(lines.alias("0").to_frame(), numbers)
        wide = lines.str.count_matches(self._delimiter, literal=True) >= self._cells
        skipped: list[SkippedRow] = []
        if wide.any():
            good = []
            for row, number in zip(lines.filter(wide), numbers.filter(wide), strict=True):
                surplus = row.split(self._delimiter)[self._cells :]
                good.append(not any(cell.strip() for cell in surplus))
                if not good[-1]:
                    skipped.append(self._surplus(number, row, self._cells + len(surplus)))
            if skipped:
                rows = (~wide).to_numpy().copy()
                rows[wide.arg_true().to_numpy()] = good
                keep = pl.Series(rows)
                lines, numbers = lines.filter(keep), numbers.filter(keep)
        if self._cells == 1:
            frame = lines.str.split(self._delimiter).list.first().alias("0").to_frame()
        else:
            frame = lines.str.split_exact(self._delimiter, self._cells - 1).struct.unnest()
            frame.columns = self._names
        return Block(frame, numbers, skipped)

    def _quoted(self, text: str, final: bool) -> Block:
        lines = _lines(text)
        start = self._line
        bare = lines.str.strip_suffix("\r") if "\r" in text else lines
        has_quote = lines.str.contains('"', literal=True)
        regular = bare.str.contains(self._regular) if self._regular else ~has_quote
        if self._cells > 1 and regular.all():
            frame = self._read_regular(text.encode(), len(lines))
            if frame is not None:
                self._line += len(lines)
                return Block(frame, pl.int_range(start, start + len(lines), eager=True, dtype=pl.Int64))
        doubtful = has_quote & ~regular
        numbers = pl.int_range(start, start + len(lines), eager=True, dtype=pl.Int64)
        rows: list[list[str]] = []
        at: list[int] = []
        skipped: list[SkippedRow] = []
        consumed: list[int] = []
        read_to = 0
        end = len(lines)
        if doubtful.any():
            raw = lines.to_list()
            for i in doubtful.arg_true():
                if i < read_to:
                    continue
                record = read_record(raw, i, self._delimiter, self._cells, final=final, multiline=self._multiline)
                if record is None:
                    self._kept = "\n".join(raw[i:]) + "\n"
                    end = i
                    break
                cells, read_to = record
                consumed.extend(range(i, read_to))
                surplus = cells[self._cells :]
                if any(cell.strip() for cell in surplus):
                    skipped.append(self._surplus(start + i, self._delimiter.join(cells), len(cells)))
                else:
                    rows.append(cells[: self._cells] + [""] * (self._cells - len(cells)))
                    at.append(start + i)
        self._line = start + end
        still = np.ones(len(lines), bool)
        still[consumed] = False
        still[end:] = False
        left = pl.Series(still)
        plain = self._plain(bare.filter(left & ~has_quote), numbers.filter(left & ~has_quote))
        blocks = [plain] if len(plain.lines) else []
        quoted = left & has_quote
        if quoted.any():
            blocks.append(Block(self._regular_frame(bare.filter(quoted)), numbers.filter(quoted)))
        if rows:
            columns = list(zip(*rows, strict=True))
            frame = pl.DataFrame(
                {name: pl.Series(c, dtype=pl.String) for name, c in zip(self._names, columns, strict=True)}
            )
            blocks.append(Block(frame, pl.Series(at, dtype=pl.Int64)))
        skipped += plain.skipped
        skipped.sort(key=lambda row: row.line)
        if len(blocks) < 2:
            only = blocks[0] if blocks else plain
            return Block(only.frame, only.lines, skipped)
        lines_of = pl.concat([block.lines.alias("line") for block in blocks])
        frame = pl.concat([block.frame for block in blocks])
        order = lines_of.arg_sort()
        return Block(frame[order], lines_of.gather(order), skipped)

    def _regular_frame(self, lines: pl.Series) -> pl.DataFrame:
        """Lines with regular quotes and the right number of cells: what polars reads as anyone does."""
        if self._cells == 1:
            cell = lines.str.slice(1, lines.str.len_chars() - 2).str.replace_all('""', '"', literal=True)
            return cell.alias("0").to_frame()
        texts = lines.to_list()
        frame = self._read_regular("\n".join(texts).encode(), len(texts))
        if frame is not None:
            return frame
        rows = [record[0] for line in texts if (record := read_record([line], 0, self._delimiter, self._cells))]
        return pl.DataFrame(rows, schema=dict.fromkeys(self._names, pl.String()), orient="row")

    def _read_regular(self, data: bytes, rows: int) -> pl.DataFrame | None:
        """Regular lines by polars; None where it does not find as many rows as there are lines."""
        frame = pl.read_csv(
            io.BytesIO(data),
            has_header=False,
            schema=dict.fromkeys(self._names, pl.String()),
            separator=self._delimiter,
            quote_char='"',
        )
        return frame if frame.height == rows else None

    def _surplus(self, line: int, row: str, cells: int) -> SkippedRow:
        return SkippedRow(line, f"unreadable row: {cells} cells where the header has {self._cells}", row[:200])


def _lines(text: str) -> pl.Series:
    return pl.Series("line", [text.removesuffix("\n")], dtype=pl.String).str.split("\n").explode()


def _outside_quotes(text: str) -> Iterator[str]:
    """Lines by any line end, but not cut inside a quoted cell that closes on the same line by line feeds."""
    for line in text.removesuffix("\n").split("\n"):
        body = line.removesuffix("\r")
        if "\r" not in body:
            yield line
            continue
        parts = body.split("\r")
        whole = parts[0]
        for part in parts[1:]:
            if whole.count('"') % 2:
                whole += "\r" + part
            else:
                yield whole
                whole = part
        yield whole
