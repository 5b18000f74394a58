"""Delimited text to columns of strings, a piece at a time, forgiving and exact about lines.

`read_record` is the definition of how a record is read: quoted cells with doubled quotes, line ends inside
them, and the damage that exports really have (quotes that nobody escaped, quotes that nobody closed). It is
slow, so `Records` gives it only the lines that need it: a line without a quote, or whose quotes are regular
within it, is a record by itself, and polars splits those at once.
"""

import codecs
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import BinaryIO

import numpy as np
import polars as pl

from omnikeywords.errors import UnreadableExport
from omnikeywords.formats.sniff import Encoding

__all__ = ["Block", "Records", "SkippedRow", "TextPieces", "as_text", "read_record"]

PIECE = 1 << 20  # bytes read at a time
_LONGEST_LINE = 8 << 20  # bytes; beyond, it is no table
_LONGEST_CELL_LINES = 1000  # line ends inside the quotes of a record, beyond which one was never meant to open a cell
_LONGEST_RECORD = 1 << 20  # characters of a record of several lines, likewise
_LOOK_FIRST = 64  # lines ahead, for most quotes are closed soon
_FIGURE = re.compile(r"\s*\d[\d.,]*%?\s*")


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

    def warnings(self) -> list[str]:
        """What was odd about the encoding, once all is read."""
        if self._encoding.codec == "cp1252":
            return ["not UTF-8: read as Windows-1252; if accents look wrong, save the file as UTF-8"]
        if not self._encoding.codec.startswith("utf"):
            return [
                f"not UTF-8: read as {self._encoding.codec}, in which its header makes sense;"
                " if letters look wrong, save the file as UTF-8"
            ]
        if self.patched:
            return [f"lines that are not UTF-8, read as Windows-1252: {self.patched:,}"]
        return []

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
    lines: Sequence[str], at: int, delimiter: str, cells: int, *, final: bool = True, multiline: bool = True
) -> tuple[list[str], int] | None:
    """The record that begins at `lines[at]`, and the index of the line after it; None if it needs more lines.

    `lines` have no `\\n`, and `\\r` where one stood before it. `cells` is how many a record should have: it
    decides between readings where quotes are not regular. A quote opens a cell only at its start, and closes
    it only before a delimiter or a line end; any other is text, and so is one that is never closed.
    """
    return _RecordReader(lines, delimiter, cells, final=final, multiline=multiline).read(at)


@dataclass(frozen=True, slots=True)
class _Close:
    """What follows where a cell that an earlier line left open is closed."""

    cells: int  # of the record from there on
    end: int  # index of the line after the record
    regular: bool  # no quote stands where a writer of CSV would have doubled it


class _RecordReader:
    """`read_record` for the lines of one text, asked in order: what lies ahead is looked at once for all of them."""

    def __init__(self, lines: Sequence[str], delimiter: str, cells: int, *, final: bool, multiline: bool) -> None:
        self._lines = lines
        self._delimiter = delimiter
        self._cells = cells
        self._final = final
        self._multiline = multiline
        self._from = self._to = 0  # the lines that were looked at
        self._closes: list[_Close | None] = []  # of a cell that is open where a line begins; None: not in these lines
        self._sizes: list[int] = []  # characters of the lines looked at, added up

    def read(self, at: int) -> tuple[list[str], int] | None:
        """The record that begins at a line, and the index of the line after it; None if it needs more lines."""
        first = self._lines[at].removesuffix("\r")
        read, opened, regular = _split(first, 0, self._delimiter)
        after = at + 1
        count = len(read)
        if opened is not None:
            close = self._close(at) if self._multiline else None
            if close is None and self._multiline and not self._final and not self._is_far(at, len(self._lines)):
                return None
            if close is None or self._is_far(at, close.end):
                count = 0  # never closed: the quote is text
            else:
                count, after, regular = count + close.cells, close.end, regular and close.regular
        several = after > at + 1
        literal = first.split(self._delimiter)
        # Several lines, but perhaps rows of their own: the quotes are not as a program writes them, or the next line
        # is a row too.
        doubtful = several and (not regular or self._separate(at))
        if count != self._cells or doubtful:
            # Not what was expected: any other way to read the first line alone that has the right number of cells.
            if first.startswith('"') and first.endswith('"'):
                split = first[1:-1].split(f'"{self._delimiter}"')
                if len(split) == self._cells:
                    return split, at + 1
            if not count or (several and len(literal) == self._cells):
                return literal, at + 1
        return (self._over_lines(at, after) if several else read), after

    def _separate(self, at: int) -> bool:
        """Whether two lines are full rows by themselves, so that the quote left open in the first is text.

        Such a quote is the only one in its line, and the next line begins with a cell and has no quote left open.
        Of two cells the second must be a number in both: anybody may write two lines with a comma in each.
        """
        lines = self._lines[at : at + 2]
        if self._cells < 2 or len(lines) < 2 or lines[0].count('"') != 1 or lines[1].count('"') % 2:
            return False
        first, second = (line.removesuffix("\r").split(self._delimiter) for line in lines)
        if not (len(first) == len(second) == self._cells and second[0].strip('" ') and first[-1] != '"'):
            return False
        return self._cells > 2 or all(_FIGURE.fullmatch(row[1]) for row in (first, second))

    def _is_far(self, at: int, end: int) -> bool:
        """Whether a record to that line would be longer than any."""
        if end - at - 1 > _LONGEST_CELL_LINES:
            return True
        return end - at > 1 and self._sizes[end - self._from] - self._sizes[at - self._from] > _LONGEST_RECORD

    def _close(self, at: int) -> _Close | None:
        """Where a cell that is open at the end of a line is closed; None where no line at hand that may belong to
        it does so."""
        for ahead in (_LOOK_FIRST, 2 * _LONGEST_CELL_LINES + 2):
            if not self._from <= at < self._to:
                self._look(at, ahead)
            close = self._closes[at + 1 - self._from] if at + 1 < self._to else None
            if close is not None or self._to == len(self._lines) or self._to - at > _LONGEST_CELL_LINES + 1:
                return close
            self._to = 0  # look again, farther
        raise AssertionError

    def _look(self, at: int, ahead: int) -> None:
        """Find out, from the last line to the first, where a cell open at a line's beginning is closed."""
        self._from, self._to = at, min(len(self._lines), at + ahead)
        texts = self._lines[self._from : self._to]
        self._sizes = list(accumulate(map(len, texts), initial=0))
        self._closes = [None] * len(texts)
        nearest: _Close | None = None
        regular = True  # whether the lines from here to the nearest close have regular quotes
        for i in range(len(texts) - 1, -1, -1):
            if '"' in texts[i]:
                text = texts[i].removesuffix("\r")
                closed, tidy = _closing(text, 0, self._delimiter)
                if closed < 0:
                    regular = regular and tidy
                elif closed + 1 == len(text):
                    nearest, regular = _Close(1, self._from + i + 1, tidy), True
                else:
                    rest, opened, orderly = _split(text, closed + 2, self._delimiter)
                    orderly = orderly and tidy
                    if opened is None:
                        nearest = _Close(1 + len(rest), self._from + i + 1, orderly)
                    elif nearest is not None:
                        orderly = orderly and regular and nearest.regular
                        nearest = _Close(1 + len(rest) + nearest.cells, nearest.end, orderly)
                    regular = True
            if nearest is not None:
                self._closes[i] = nearest if regular else _Close(nearest.cells, nearest.end, False)

    def _over_lines(self, at: int, after: int) -> list[str]:
        """The cells of a record of several lines, whose end is known."""
        text = "\n".join(self._lines[at:after]).removesuffix("\r")
        cells: list[str] = []
        start = 0
        while True:
            if not text.startswith('"', start):
                # No quote is open here, so that a line end would be the record's: there is none before its last line.
                end = text.find(self._delimiter, start)
                if end < 0:
                    return [*cells, text[start:]]
                cells.append(text[start:end])
                start = end + 1
                continue
            end, _ = _closing(text, start + 1, self._delimiter)
            cells.append(text[start + 1 : end].replace('""', '"'))
            if end + 1 == len(text):
                return cells
            start = end + 2


def _closing(text: str, scan: int, delimiter: str) -> tuple[int, bool]:
    """Where the quote stands that closes a cell (-1: nowhere), and whether no other is left undoubled before it."""
    regular = True
    while (quote := text.find('"', scan)) >= 0:
        after = text[quote + 1 : quote + 2]
        if after == '"':
            scan = quote + 2
        elif after in ("", delimiter):
            return quote, regular
        else:
            regular = False
            scan = quote + 1
    return -1, regular


def _split(text: str, start: int, delimiter: str) -> tuple[list[str], int | None, bool]:
    """The cells of a line from `start` on; where one begins whose quote is not closed, if one does (it is not among
    the cells); and whether the quotes in quoted cells are all doubled."""
    cells: list[str] = []
    regular = True
    while True:
        if not text.startswith('"', start):
            end = text.find(delimiter, start)
            if end < 0:
                return [*cells, text[start:]], None, regular
            cells.append(text[start:end])
            start = end + 1
            continue
        end, tidy = _closing(text, start + 1, delimiter)
        regular = regular and tidy
        if end < 0:
            return cells, start, regular
        cells.append(text[start + 1 : end].replace('""', '"'))
        if end + 1 == len(text):
            return cells, None, regular
        start = end + 2


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
            reader = _RecordReader(raw, self._delimiter, self._cells, final=final, multiline=self._multiline)
            for i in doubtful.arg_true():
                if i < read_to:
                    continue
                record = reader.read(i)
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
        whole: list[str] = []
        open_quotes = 0
        for part in body.split("\r"):
            whole.append(part)
            open_quotes += part.count('"')
            if open_quotes % 2 == 0:
                yield "\r".join(whole)
                whole = []
                open_quotes = 0
        if whole:
            yield "\r".join(whole)
