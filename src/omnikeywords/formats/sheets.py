"""Spreadsheets: the sheet that holds keywords, and the sheets that carry it on."""

import logging
from collections.abc import Iterator
from pathlib import Path

import fastexcel
import numpy as np
import polars as pl

from omnikeywords.errors import UnreadableExport
from omnikeywords.formats import search_console
from omnikeywords.formats.columns import Header
from omnikeywords.formats.records import Block
from omnikeywords.formats.tables import OWN_TOOL, Found, find_in_rows, no_keyword_column, without_header

__all__ = ["SheetTable"]

_ROWS_A_BLOCK = 20_000


class SheetTable:
    """A spreadsheet (xlsx, xls, ods) as one table: a sheet, then every sheet with the same header."""

    def __init__(self, source: Path | bytes) -> None:
        self.container = "xlsx"
        self.encoding: str | None = None
        self.delimiter: str | None = None
        self.other_sheets: list[str] = []  # without keywords
        self.more_sheets: list[str] = []  # with keywords, but not in the table that is read
        # It warns of every column without a cell, which is nothing to warn of.
        logging.getLogger("fastexcel").setLevel(logging.ERROR)
        try:
            self._book = fastexcel.read_excel(source if isinstance(source, bytes) else str(source))
        except Exception as error:
            raise UnreadableExport(f"this spreadsheet cannot be read: {_reason(error)}") from error
        names = self._book.sheet_names
        self._sheets: list[str] = []
        self._hidden: set[str] = set()
        tables: dict[str, Found] = {}
        refused: UnreadableExport | None = None
        seen: list[str] = []
        for name in names:
            rows = self._head(name)
            if not any(cell for row in rows for cell in row):
                continue
            seen = seen or [cell for row in rows[:1] for cell in row]
            try:
                there = find_in_rows(rows)
            except UnreadableExport as error:
                refused = refused or error
                there = None
            if there is None:
                self.other_sheets.append(name)
            else:
                tables[name] = there
        found = self._choose(tables)
        if found is None and len(names) > 0 and refused is None:
            found = self._without_known_header(names)
        if found is None:
            if refused:
                raise refused
            if not seen:
                raise UnreadableExport("the spreadsheet is empty: no sheet has a cell")
            raise no_keyword_column(seen)
        self.found = found

    def _choose(self, tables: dict[str, Found]) -> Found | None:
        """The table to read, of which sheets with the same header are parts; hidden ones only for want of
        others."""
        seen = {name: there for name, there in tables.items() if name not in self._hidden} or tables
        found: Found | None = None
        for there in seen.values():
            if found is None or _better(there, found):
                found = there
        if found is not None:
            self._sheets = [name for name, there in seen.items() if _named(there) == _named(found)]
        self.more_sheets = [name for name in tables if name not in self._sheets]
        return found

    def _without_known_header(self, names: list[str]) -> Found | None:
        for name in names:
            rows = self._head(name)
            found = without_header(rows)
            if found is None and rows and all(len([c for c in row if c]) <= 1 for row in rows):
                found = _keyword_list()
            if found:
                self._sheets = [name]
                self.other_sheets = [other for other in names if other != name]
                return found
        return None

    def _load(self, name: str, *, rows: int | None = None, skip: int = 0) -> pl.DataFrame:
        """Rows of a sheet: the first as text, or all below `skip` with columns of numbers as numbers."""
        try:
            sheet = self._book.load_sheet(
                name,
                header_row=None,
                n_rows=rows,
                skip_rows=skip,
                schema_sample_rows=None,
                dtypes="string" if rows else None,
                skip_whitespace_tail_rows=True,
            )
            if sheet.visible != "visible":
                self._hidden.add(name)
            return sheet.to_polars()
        except Exception as error:
            if "empty" in str(error).lower() or "no data" in str(error).lower():
                return pl.DataFrame()
            raise UnreadableExport(f"sheet {name!r} cannot be read: {_reason(error)}") from error

    def _head(self, name: str) -> list[list[str]]:
        return [[cell or "" for cell in row] for row in self._load(name, rows=60).rows()]

    def blocks(self) -> Iterator[Block]:
        """Rows of the sheets in order; a row's line is its row in its sheet."""
        width = len(self.found.header)
        names = [str(i) for i in range(width)]
        for name in self._sheets:
            start = self.found.index + 1 if self.found.index is not None else 0
            frame = self._load(name, skip=start)
            if frame.width < width:
                frame = frame.with_columns(
                    pl.lit(None, dtype=pl.String).alias(f"missing {i}") for i in range(width - frame.width)
                )
            frame = frame[:, :width]
            frame.columns = names
            lines = pl.int_range(start + 1, start + 1 + frame.height, eager=True, dtype=pl.Int64)
            filled = frame.select(
                pl.any_horizontal(
                    pl.col(n).is_not_null() & (pl.col(n) != "") if kind == pl.String else pl.col(n).is_not_null()
                    for n, kind in frame.schema.items()
                )
            ).to_series()
            if not filled.all():
                frame, lines = frame.filter(filled), lines.filter(filled)
            if self.found.recognised.tool != OWN_TOOL:
                frame = frame.with_columns(_unsingled(series) for series in frame)
            for at in range(0, frame.height, _ROWS_A_BLOCK):
                yield Block(frame.slice(at, _ROWS_A_BLOCK), lines.slice(at, _ROWS_A_BLOCK))

    def warnings(self) -> list[str]:
        """Sheets that were left out."""
        told = []
        if self.other_sheets:
            told.append(f"sheets without keywords were left out: {', '.join(self.other_sheets)}")
        if self.more_sheets:
            told.append(f"more sheets with keywords were left out: {', '.join(self.more_sheets)}; save each as a file")
        return told

    def close(self) -> None:
        """Let go of the book."""
        del self._book


def _keyword_list() -> Found:
    from omnikeywords.formats.columns import Recognised

    return Found(None, Header(["keyword"]), Recognised("plain", "keyword list", ads_syntax=True))


def _named(table: Found) -> list[str]:
    """The columns of a table, without those at its end that have no name."""
    cells = list(table.header.cells)
    while cells and not cells[-1].strip():
        cells.pop()
    return cells


def _better(one: Found, other: Found) -> bool:
    """Whether one sheet's table tells more than the other's: a known tool's before any other."""
    if one.recognised.tool == search_console.TOOL:
        return other.recognised.tool != search_console.TOOL
    return (one.recognised.tool != "plain") > (other.recognised.tool != "plain")


def _unsingled(series: pl.Series) -> pl.Series:
    """Numbers that were stored in 32 bits as their writer meant them: 0.7699999809265137 was 0.77."""
    if series.dtype != pl.Float64:
        return series
    values = series.to_numpy()
    singles = values.astype(np.float32)
    exact = (singles == values) & (values != np.round(values, 3))
    if not exact.any():
        return series
    distinct = np.unique(singles[exact])
    # The shortest text that gives the same 32 bits is what was meant, if it is short.
    meant = {float(single): float(str(single)) for single in distinct if len(str(single)) <= 8}
    return series.replace(meant)


def _reason(error: Exception) -> str:
    text = str(error).split("\n")[0]
    if "password" in text.lower() or "encrypt" in text.lower():
        return "it is encrypted with a password; save it without one"
    return text[:200]
