"""Semrush: organic positions, keyword gap, Keyword Magic Tool, Strategy Builder, the API's tables."""

import re
from collections.abc import Sequence

from omnikeywords.formats.columns import Header, Recognised

__all__ = ["market_of_name", "recognise"]

INTENT_CODES = {"0": "commercial", "1": "informational", "2": "navigational", "3": "transactional"}
_API = {
    "ph": "keyword",
    "po": "position",
    "nq": "volume",
    "cp": "cpc",
    "co": "competition",
    "nr": "results",
    "kd": "difficulty",
    "ur": "url",
    "in": "vendor_intent",
}
_API_KEPT = frozenset({"pp", "pd", "td", "tr", "tc", "ts", "fp", "fk", "dn", "db", "dt", "tg", "rr", "rh", "om", "or"})
_DOMAIN = re.compile(r"(?:[\w-]+\.)+[a-z]{2,}(?:/\S*)?", re.IGNORECASE)


def recognise(header: Header, rows: Sequence[Sequence[str]]) -> Recognised | None:
    """A table of Semrush, by its columns."""
    if header.has("ph") and header.names <= _API.keys() | _API_KEPT:
        found = Recognised("semrush", "api", intent_codes=INTENT_CODES, competition_scale=1.0)
        found.fields = {i: _API.get(name) for i, name in enumerate(header.folded)}
        return found
    if "keyword" not in header.names:
        return None
    if header.has("keyword", "position", "previous position", "search volume"):
        return _positions(header)
    gap = _gap(header)
    if gap:
        return gap
    if header.has("seed keyword", "topic") or header.has("database", "page type"):
        found = Recognised("semrush", "keyword strategy", competition_scale=1.0)
        page = header.find("page")
        if page is not None:
            found.notes[page] = "the name of the page planned, not an address"
        return found
    of_api = header.any(("keyword difficulty index", "competition density")) or header.has(
        "number of results", "trends"
    )
    if of_api and header.any(("search volume", "position")):
        return Recognised("semrush", "api", intent_codes=INTENT_CODES, competition_scale=1.0)
    own = header.names & {
        "intent",
        "trend",
        "competitive density",
        "serp features",
        "number of results",
        "cpc",
    }
    if header.has("volume", "keyword difficulty") and len(own) >= 2:
        return Recognised("semrush", "keyword magic", competition_scale=1.0)
    return None


def _positions(header: Header) -> Recognised:
    found = Recognised("semrush", "organic positions", competition_scale=1.0)
    for i, folded in enumerate(header.folded):
        if folded == "competition":
            found.fields[i] = "competition"
        elif folded in ("traffic", "traffic (%)", "traffic cost"):
            found.fields[i] = None
    return found


def _gap(header: Header) -> Recognised | None:
    """Keyword gap: the compared domains are column names, each with a `(pages)` twin."""
    twins = {name.removesuffix(" (pages)") for name in header.cells if name.endswith(" (pages)")}
    domains = [i for i, name in enumerate(header.cells) if _DOMAIN.fullmatch(name.strip())]
    if not header.has("keyword", "volume") or not (twins & {header.cells[i] for i in domains} or len(domains) > 1):
        return None
    found = Recognised("semrush", "keyword gap", competition_scale=1.0)
    for i in domains:
        found.fields[i] = None
        found.notes[i] = (
            f"position of {header.cells[i]}, 0 where it does not rank: the file does not say which is yours"
        )
    return found


_NAME = re.compile(
    r"_(broad-match|phrase-match|exact-match|related|questions|all-keywords)_([a-z]{2})_20\d\d|Positions-([a-z]{2})-20\d\d",
    re.I,
)


def market_of_name(name: str) -> str | None:
    """The country in a file name such as `shoes_broad-match_us_2026-05-01.csv`."""
    match = _NAME.search(name)
    return (match[2] or match[3]).upper() if match else None
