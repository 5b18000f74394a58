"""Google Trends: the related queries of its export; its tables of weeks and places hold no keywords."""

import csv
import re
from collections.abc import Sequence

import polars as pl

from omnikeywords.formats.columns import Header, Recognised
from omnikeywords.formats.records import Block

__all__ = ["RELATED", "by_list", "first_list", "recognised_related", "refusal"]

RELATED = ("query", "top", "rising")  # what the two lists of a related queries file become
_LISTS = ("TOP", "RISING")  # the lines they stand under, in every language of Trends
_WITHIN = 10  # lines from the top
_FIGURE = re.compile(r"\d{1,3}|<\s?1|[+-]?[\d.,\s]+\s?%|[^\W\d][^\d,]*")  # 100; +2,950%; Breakout
_TERM = re.compile(r".*\S\s?: \(.+\)")  # running shoes: (United States)
_DAY = re.compile(r"\d{4}-\d\d(?:-\d\d)?(?:T\d.*)?")
_PLACES = frozenset(
    "region country city metro subregion dma região país cidade región ciudad région pays ville land stadt regione"
    " paese città".split()
)


def refusal(header: Header, below: Sequence[Sequence[str]]) -> str | None:
    """Why a table of Trends holds no keywords, or None; `below` are the rows after the header."""
    if len(header) < 2 or not all(_TERM.fullmatch(cell.strip()) for cell in header.cells[1:]):
        return None
    first = next((row[0].strip() for row in below if row and row[0] and row[0].strip()), "")
    if header.cells[0].strip().casefold() not in _PLACES and not _DAY.fullmatch(first):
        return None
    return (
        "this is a Google Trends table of interest over time or by region: its rows are days or places, not keywords; "
        "download the related queries instead"
    )


def first_list(lines: Sequence[str]) -> int | None:
    """The index of the line that a related queries file has its first list under; None where it is none."""
    filled = [(i, line.strip()) for i, line in enumerate(lines) if line.strip()]
    for n, (i, line) in enumerate(filled[:_WITHIN]):
        if line in _LISTS:
            below = filled[n + 1][1] if n + 1 < len(filled) else None
            return i if below is None or below in _LISTS or _is_row(below) else None
    return None


def _is_row(line: str) -> bool:
    cells = next(csv.reader([line]))
    return len(cells) == 2 and bool(cells[0].strip()) and _FIGURE.fullmatch(cells[1].strip()) is not None


def recognised_related() -> Recognised:
    """What a related queries file is: its figures are kept as they are, for they count no searches."""
    found = Recognised("google_trends", "related queries")
    found.fields = {0: "keyword", 1: None, 2: None}
    found.notes = {1: "an index from 0 to 100, no number of searches", 2: "growth, no number of searches"}
    return found


def by_list(block: Block, current: str) -> tuple[Block, str]:
    """Rows of a query and its figure, as rows of RELATED; and the list that goes on after them.

    `current` is the list that the block begins in.
    """
    query, figure = block.frame["0"], block.frame["1"].fill_null("")
    begins = query.is_in(_LISTS) & (figure == "")
    frame = pl.select(
        pl.lit(query).alias("0"),
        pl.lit(figure).alias("figure"),
        pl.when(pl.lit(begins)).then(pl.lit(query)).forward_fill().fill_null(current).alias("list"),
    )
    last = frame["list"][-1] if frame.height else current
    frame = frame.filter(~begins).select(
        "0", *(pl.when(pl.col("list") == name).then("figure").alias(str(i)) for i, name in enumerate(_LISTS, 1))
    )
    return Block(frame, block.lines.filter(~begins), block.skipped), last
