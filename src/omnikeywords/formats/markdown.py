"""Tables of Markdown, as people keep them in notes and as assistants write them."""

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise

import polars as pl

from omnikeywords.formats.records import Block, SkippedRow, TextPieces
from omnikeywords.formats.tables import Found, find_in_rows, no_keyword_column

__all__ = ["LINE_END", "MarkdownTable", "has_table"]

LINE_END = re.compile(r"\r\n|\r|\n")
_BAR = re.compile(r"(?<!\\)\|")
_DASHES = re.compile(r":?-+:?")


def has_table(lines: Sequence[str]) -> bool:
    """Whether a line of dashes stands below one with bars."""
    return any("|" in above and _is_rule(line) for above, line in pairwise(lines))


def _is_rule(line: str) -> bool:
    return "|" in line and all(_DASHES.fullmatch(cell) for cell in _cells(line))


def _cells(line: str) -> list[str]:
    line = line.strip().removeprefix("|")
    cells = [cell.strip().replace("\\|", "|") for cell in _BAR.split(line)]
    return cells[:-1] if len(cells) > 1 and not cells[-1] else cells


class MarkdownTable:
    """The first table with keywords, and those below it that have the same header.

    A table ends at the first blank line; what else stands below it is skipped with its line.
    """

    def __init__(self, pieces: TextPieces, codec: str, lines: Sequence[str]) -> None:
        self.container = "markdown"
        self.encoding: str | None = codec
        self.delimiter: str | None = "|"
        self._pieces = pieces
        self.found, self._above = self._find(lines)

    @staticmethod
    def _find(lines: Sequence[str]) -> tuple[Found, int]:
        """The table, and how many lines stand above its first row."""
        rules = [i for i, (above, line) in enumerate(pairwise(lines), 1) if "|" in above and _is_rule(line)]
        for i in rules:
            found = find_in_rows([_cells(line) for line in (lines[i - 1], *lines[i + 1 : i + 80])])
            if found and found.index == 0:
                found.preamble = [line.strip() for line in lines[: i - 1] if line.strip()]
                return found, i + 1
        raise no_keyword_column(_cells(lines[rules[0] - 1]))

    def blocks(self) -> Iterator[Block]:
        """The rows, a piece of about 1 MiB of text at a time."""
        width = len(self.found.header)
        number = 0
        inside = True
        for piece in self._pieces:
            rows: list[list[str]] = []
            at: list[int] = []
            skipped: list[SkippedRow] = []
            for line in LINE_END.split(piece.removesuffix("\n").removesuffix("\r")):
                number += 1
                if number <= self._above or _is_rule(line):
                    continue
                if not line.strip():
                    inside = False
                    continue
                cells = _cells(line)
                inside = inside or cells == self.found.header.cells
                if not inside:
                    skipped.append(SkippedRow(number, "below the table", line[:200]))
                elif any(cells[width:]):
                    reason = f"unreadable row: {len(cells)} cells where the header has {width}"
                    skipped.append(SkippedRow(number, reason, line[:200]))
                else:
                    rows.append(cells[:width] + [""] * (width - len(cells)))
                    at.append(number)
            frame = pl.DataFrame(rows, schema={str(i): pl.String() for i in range(width)}, orient="row")
            yield Block(frame, pl.Series(at, dtype=pl.Int64), skipped)

    def warnings(self) -> list[str]:
        """What was odd about the encoding."""
        return self._pieces.warnings()

    def close(self) -> None:
        """Nothing of its own is open: the stream belongs to the export."""
