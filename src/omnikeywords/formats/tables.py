"""Where a table begins and whose it is: the header among the first rows, and the tool that wrote it."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from omnikeywords.errors import UnreadableExport
from omnikeywords.formats import ahrefs, google_ads, google_trends, other_tools, search_console, semrush
from omnikeywords.formats.columns import Header, Recognised
from omnikeywords.formats.numbers import MISSING, read_number
from omnikeywords.formats.periods import read_day
from omnikeywords.formats.records import Block

__all__ = [
    "OWN_TOOL",
    "Found",
    "Table",
    "code_page_of_header",
    "find_in_rows",
    "no_keyword_column",
    "recognise",
    "without_header",
]

_KEYWORD_ELSEWHERE = ("ph", "keyword or list", "search category")  # names that only one tool uses so
HEADER_WITHIN = 40  # rows from the top in which a header is looked for
OWN_TOOL = "okf"
_CELLS_ASKED = 1000
# Of spreadsheets and older programs; the first is that of a text which nothing is known of.
_CODE_PAGES = (
    *("cp1252", "cp1250", "cp1251", "cp1253", "cp1254", "cp1255", "cp1256", "cp1257", "cp1258", "cp874"),
    *("cp932", "gb18030", "cp949", "big5hkscs", "mac_roman", "cp850", "koi8_r", "cp866"),
)


@dataclass(slots=True)
class Found:
    """A header among rows: its index (None where the table has none), and what it says."""

    index: int | None
    header: Header
    recognised: Recognised
    preamble: list[str] = field(default_factory=list)  # first cells of the rows above


class Table(Protocol):
    """Rows of one table, whatever holds them."""

    found: Found
    container: str  # csv, text, json lines, parquet, xlsx: what a person would call it
    encoding: str | None
    delimiter: str | None

    def blocks(self) -> Iterator[Block]:
        """The rows below the header, in order, once."""
        ...

    def warnings(self) -> list[str]:
        """What reading found out about the container."""
        ...

    def close(self) -> None:
        """Let go of files."""
        ...


def recognise(header: Header, rows: Sequence[Sequence[str]]) -> Recognised | None:
    """The tool and report that wrote a header; `plain` where only a keyword column is known; else None."""
    cells = set(header.cells)
    if {"keyword", "normalized", "id"} <= cells and ("model_version" in cells or "language_confidence" in cells):
        return Recognised(OWN_TOOL, "keywords")
    for by_family in _FAMILIES:
        found = by_family(header, rows)
        if found:
            return found
    return Recognised("plain", "keyword table") if "keyword" in header.fields else None


_FAMILIES: tuple[Callable[[Header, Sequence[Sequence[str]]], Recognised | None], ...] = (
    search_console.recognise,
    google_ads.recognise,
    ahrefs.recognise,
    semrush.recognise,
    other_tools.recognise,
)


def find_in_rows(rows: Sequence[Sequence[str]]) -> Found | None:
    """The header among the first rows of a table, recognised; None where no row names a keyword column.

    Raises UnreadableExport for a table that is known not to hold keywords.
    """
    best: tuple[int, int, Header] | None = None  # understood columns, index
    for i, row in enumerate(rows[:HEADER_WITHIN]):
        cells = [cell for cell in row if cell and cell.strip()]
        if not cells or max(map(len, cells)) > 300:
            continue
        header = Header(_trimmed(row))
        refused = other_tools.refusal(header) or google_trends.refusal(header, rows[i + 1 : i + 4])
        if refused:
            raise UnreadableExport(refused)
        if i == _first(rows) and search_console.tab_without_keywords(header):
            tab = search_console.tab_without_keywords(header)
            raise UnreadableExport(
                f"this is the {tab} table of a Search Console export, which has no keywords:"
                f" {search_console.NOT_KEYWORDS_ADVICE}",
                table=tab,
            )
        may_be = "keyword" in header.fields or header.any(_KEYWORD_ELSEWHERE)
        if not may_be or recognise(header, rows[i + 1 : i + 40]) is None:
            continue
        understood = sum(alias is not None for alias in header.aliases)
        lone = understood < 2 and not _looks_like_header(i, row, rows)
        if not lone and (best is None or understood > best[0]):
            best = (understood, i, header)
            if understood >= 3 or i == _first(rows):
                break
    if best is None:
        return None
    _, index, header = best
    found = recognise(header, rows[index + 1 : index + 40])
    assert found is not None
    # People write beside a table, in columns without a name.
    width = min(len(rows[index]), max((len(_trimmed(row)) for row in rows[index + 1 :]), default=0))
    for _ in range(len(header), width):
        header.append("")
    preamble = [cell for row in rows[:index] for cell in row[:1] if cell and cell.strip()]
    return Found(index, header, found, preamble)


def code_page_of_header(head: bytes) -> str:
    """The code page in which most known names stand among the first lines, of those names that are not ASCII.

    `head` is neither UTF-8 nor UTF-16. Windows-1252 where no other makes more sense.
    """
    lines = head.splitlines()[:HEADER_WITHIN]

    def known(codec: str) -> int:
        text = b"\n".join(line for line in lines if not line.isascii()).decode(codec, "replace")
        cells = re.split(r"[,;|\t\n]", text)
        header = Header(cell.strip('" ') for cell in cells[:_CELLS_ASKED] if not cell.isascii())
        return len(header.fields)

    return max(_CODE_PAGES, key=known)


def _trimmed(row: Sequence[str]) -> list[str]:
    """A row without the empty cells at its end."""
    cells = list(row)
    while cells and not (cells[-1] or "").strip():
        cells.pop()
    return cells


def _first(rows: Sequence[Sequence[str]]) -> int:
    return next((i for i, row in enumerate(rows) if any(cell and cell.strip() for cell in row)), 0)


def _looks_like_header(i: int, row: Sequence[str], rows: Sequence[Sequence[str]]) -> bool:
    """Whether a row with a keyword column and nothing else known is the header all the same."""
    if i == _first(rows):
        return True
    width = len(_trimmed(row))
    return width > 1 and all(len(_trimmed(r)) < width for r in rows[:i]) and len(rows) > i + 1


def without_header(rows: Sequence[Sequence[str]]) -> Found | None:
    """A table of several columns whose first row is data, or whose header is in a language not known here.

    None where the first row looks like a header that names no keyword.
    """
    start = _first(rows)
    rows = [_trimmed(row) for row in rows if any(cell and cell.strip() for cell in row)]
    if not rows:
        return None
    by_position = search_console.recognise_by_position(rows[0], rows[1:20])
    if by_position:
        return Found(start, Header(rows[0]), by_position)
    width = max(map(len, rows))
    first, rest = rows[0], rows[1:]
    numeric = [i for i in range(width) if _share(_is_number, rest or rows, i) >= 0.9]
    if not numeric or not all(i >= len(first) or _is_number(first[i]) for i in numeric):
        return None
    texts = [i for i in range(width) if _share(_is_text, rows, i) >= 0.8]
    if not texts:
        return None
    found = Recognised("plain", "keyword table without a header")
    found.fields = {i: "keyword" if i == texts[0] else None for i in range(width)}
    found.warnings.append(
        f"no header row: column {texts[0] + 1} is taken for the keyword, the others are kept as they are;"
        " give the file a header to have them read"
    )
    return Found(None, Header(f"column {i + 1}" for i in range(width)), found)


def _share(is_it: Callable[[str], bool], rows: Sequence[Sequence[str]], column: int) -> float:
    cells = [row[column] for row in rows if column < len(row) and row[column].strip()]
    return sum(map(is_it, cells)) / len(cells) if cells else 0.0


def _is_number(cell: str) -> bool:
    return cell.strip().casefold() in MISSING or read_number(cell) is not None or read_day(cell) is not None


def _is_text(cell: str) -> bool:
    return any(c.isalpha() for c in cell) and "://" not in cell and not _is_number(cell)


def no_keyword_column(cells: Sequence[str]) -> UnreadableExport:
    """The refusal of a table whose header names no keyword."""
    seen = [cell.strip() for cell in cells if cell and cell.strip()]
    shown = ", ".join(f"{name[:40]!r}" for name in seen[:8]) + (f" and {len(seen) - 8} more" if len(seen) > 8 else "")
    return UnreadableExport(
        f"no column of keywords among {shown}: name the one that holds them 'keyword'", columns=seen[:50]
    )
