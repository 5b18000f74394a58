"""Ahrefs: Keywords Explorer (UTF-8 with commas or UTF-16 with tabs) and Site Explorer's organic keywords."""

import re
from collections.abc import Sequence

from omnikeywords.formats.columns import INTENT_FLAGS, Header, Recognised
from omnikeywords.formats.periods import months_between

__all__ = ["market_of_name", "recognise"]


def recognise(header: Header, rows: Sequence[Sequence[str]]) -> Recognised | None:
    """A table of Ahrefs, by columns that no other tool has together."""
    if "keyword" not in header.names:
        return None
    if header.any(("current position", "previous position")) and header.any(
        ("current organic traffic", "organic traffic", "previous organic traffic", "organic traffic change")
    ):
        return _site_explorer(header)
    own = header.names & {
        "cps",
        "parent keyword",
        "parent topic",
        "global volume",
        "traffic potential",
        "sv trend",
        "first seen",
        "return rate",
        "last update",
        "global traffic potential",
    }
    if "country" not in header.names or len(own) < 2 or not header.any(("difficulty", "kd", "volume")):
        return None
    found = Recognised("ahrefs", "keywords explorer")
    for i, (cell, folded) in enumerate(zip(header.cells, header.folded, strict=True)):
        if folded.startswith("sv trend"):
            months = months_between(cell)
            if months:
                found.trends[i] = months
                found.keep.add(i)
        elif folded == "clicks":
            # Clicks on any result of the search, not on a site of one's own.
            found.fields[i] = None
            found.notes[i] = "clicks of all searchers on any result: kept as it is"
    return found


def _site_explorer(header: Header) -> Recognised:
    found = Recognised("ahrefs", "organic keywords")
    position, url = header.find("current position", "position"), header.find("current url", "url")
    for i, folded in enumerate(header.folded):
        if folded in INTENT_FLAGS:
            found.flags[i] = folded
        elif folded.startswith("previous "):
            found.fields[i] = None
    if position is not None:
        found.fields[position] = "position"
    if url is not None:
        found.fields[url] = "url"
    return found


_NAME = re.compile(
    r"^google_([a-z]{2})_(.+?)_(matching-terms|related-terms|search-suggestions|questions|overview|\w+)_20\d\d",
    re.I,
)


def market_of_name(name: str) -> tuple[str | None, str | None]:
    """The country and the report in a file name such as `google_us_shoes_matching-terms_2025-07-08.csv`."""
    match = _NAME.match(name)
    return (match[1].upper(), match[3].replace("-", " ").lower()) if match else (None, None)
