"""Google Search Console: the queries table of its export, two periods compared, the API's tables."""

from collections.abc import Sequence

from omnikeywords.formats.columns import ALIASES, NO_KEYWORDS, Header, Recognised
from omnikeywords.formats.numbers import read_number

__all__ = ["NOT_KEYWORDS_ADVICE", "recognise", "recognise_by_position", "tab_without_keywords"]

TOOL = "google_search_console"
_METRICS = ("clicks", "impressions", "ctr", "position")
NOT_KEYWORDS_ADVICE = "give the queries table, or the whole zip"


def recognise(header: Header, rows: Sequence[Sequence[str]]) -> Recognised | None:
    """The queries table, in any language whose headers are known; the tables of the API and of BigQuery."""
    if header.aliases and header.aliases[0] and header.aliases[0][0] == "keyword" and len(header) >= 9:
        compared = _compared(header)
        if compared:
            return compared
    if not header.fields.issuperset({"keyword", *_METRICS}):
        return None
    fields = [alias[0] if alias else None for alias in header.aliases]
    if len(header) == 5 and fields[1:] == list(_METRICS):
        return Recognised(TOOL, "queries", row_limit=1000)
    dimension = header.find("page", "url", "site url")
    if dimension is None and not header.any(("date", "device", "country", "search type")):
        return None
    found = Recognised(TOOL, "search analytics")
    if dimension is not None:
        found.fields[dimension] = "url"
    return found


def _compared(header: Header) -> Recognised | None:
    """Two periods side by side: of each metric, the first column is of the period asked for."""
    found = Recognised(TOOL, "queries, two periods", row_limit=1000)
    for field in _METRICS:
        columns = [i for i, folded in enumerate(header.folded[1:], 1) if _names_metric(folded, field)]
        if len(columns) < 2:
            return None
        found.fields[columns[0]] = field
        for column in columns[1:]:
            found.fields[column] = None
            found.notes[column] = "the period compared with, or the change: kept as it is"
    return found


def _names_metric(folded: str, field: str) -> bool:
    words = folded.split(" ")
    beginnings = (" ".join(words[:n]) for n in range(1, min(3, len(words)) + 1))
    endings = (" ".join(words[-n:]) for n in range(1, min(3, len(words)) + 1))
    return any(ALIASES.get(part, ("", 0))[0] == field for part in (*beginnings, *endings))


def recognise_by_position(cells: Sequence[str], rows: Sequence[Sequence[str]]) -> Recognised | None:
    """The queries table in a language nobody listed: a text, two counts, a percentage, a position.

    `rows` are the first rows after these cells. Raises nothing; None where any row speaks against it.
    """
    if len(cells) != 5 or not rows or any(read_number(cell) for cell in cells[1:] if cell.strip()):
        return None
    if not all(cell.strip() for cell in cells):
        return None
    percent = False
    for row in rows:
        if len(row) != 5 or not row[0].strip() or "://" in row[0]:
            return None
        numbers = [read_number(cell) for cell in row[1:]]
        if any(number is None or number.value is None for number in numbers):
            return None
        clicks, impressions, ctr, position = (number.value or 0.0 for number in numbers if number)
        percent |= "%" in row[3]
        share = clicks / impressions if impressions else 0.0
        if clicks > impressions or not 0 <= ctr <= 1 or position < 1 or abs(share - ctr) > 0.006 + share * 0.1:
            return None
    if not percent:
        return None
    found = Recognised(TOOL, "queries", row_limit=1000)
    found.fields = dict(enumerate(("keyword", *_METRICS)))
    found.notes[0] = "taken by its place: its header is in a language not known here"
    return found


def tab_without_keywords(header: Header) -> str | None:
    """What a Search Console table lists instead of queries: pages, countries, devices, dates, ..."""
    if not header.folded or "keyword" in header.fields:
        return None
    listed = NO_KEYWORDS.get(header.folded[0])
    if listed == "filters":
        return listed if len(header) == 2 else None
    return listed if listed and {"clicks", "impressions"} <= header.fields else None
