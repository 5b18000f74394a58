"""The rows of a table that hold a keyword, told from totals, repeated headers and empty ones."""

import re
from collections.abc import Sequence

import polars as pl

from omnikeywords.formats.columns import Header
from omnikeywords.formats.numbers import read_number
from omnikeywords.formats.records import Block, SkippedRow, as_text

__all__ = ["KeywordRows"]

_TOTAL = re.compile(
    r"\s*(?:grand )?(?:totals?|totales|total general|gesamt|insgesamt|totale|totaal|razem|toplam|celkem"
    r"|totalt|итого|합계|合計|总计)"
    r"\s*[:：]",
    re.IGNORECASE,
)


class KeywordRows:
    """The rows of a table whose keywords are in one `column`.

    `totals` says that the tool writes total rows, whose word may stand in another of the first columns; `preamble` is
    what stands above the header, which some tools repeat.
    """

    def __init__(self, header: Header, column: int, *, totals: bool, preamble: Sequence[str]) -> None:
        self._header = header
        self._column = column
        self._totals = totals
        self._preamble = {cell for cell in preamble if cell.strip()}

    def of(self, block: Block) -> tuple[pl.DataFrame, pl.Series, list[SkippedRow]]:
        """The rows that hold a keyword; and the others, each with its reason."""
        frame, lines = block.frame, block.lines
        keyword = as_text(frame[str(self._column)])
        empty = keyword.is_null() | (keyword.str.strip_chars().str.len_bytes() == 0)
        name = self._header.cells[self._column]
        repeated = (keyword == name).fill_null(False)
        drop = empty | repeated
        firsts: list[pl.Series] = []
        if self._totals:
            # The word is in one of the first columns, and the keyword may be empty or be that word.
            firsts = [as_text(frame[str(i)]) for i in range(min(5, len(self._header)))]
            for texts in firsts:
                drop |= texts.str.contains("(?i)^" + _TOTAL.pattern).fill_null(False)
        else:
            drop |= keyword.str.contains("(?i)^" + _TOTAL.pattern).fill_null(False)
        if self._preamble:
            drop |= keyword.is_in(list(self._preamble)).fill_null(False)
        if not drop.any():
            return frame, lines, block.skipped
        skipped = list(block.skipped)
        keep = ~drop
        rows = frame.filter(drop)
        cells = rows.select(pl.all().cast(pl.String, strict=False)).rows()
        back: list[int] = []
        for row, line in zip(cells, lines.filter(drop), strict=True):
            reason = self._reason([cell or "" for cell in row])
            if reason is None:
                back.append(line)
            else:
                skipped.append(SkippedRow(line, reason, ",".join(cell or "" for cell in row).strip(",")[:200]))
        if back:
            keep |= lines.is_in(back)
        skipped.sort(key=lambda row: row.line)
        return frame.filter(keep), lines.filter(keep), skipped

    def _reason(self, row: list[str]) -> str | None:
        keyword = row[self._column]
        if self._totals:
            if any(_TOTAL.match(cell) for cell in row[:5]):
                return "total row"
        elif _TOTAL.match(keyword) and not any(cell and read_number(cell) is None for cell in row[self._column + 1 :]):
            return "total row"
        if not keyword.strip():
            return "empty keyword"
        if row[: len(self._header)] == self._header.cells[: len(row)]:
            return "repeated header"
        if keyword in self._preamble and not any(cell.strip() for cell in row[self._column + 1 :]):
            return "repeated header"
        return None
