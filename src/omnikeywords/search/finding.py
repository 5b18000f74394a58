"""Finding keywords: one page of what matches a query, best first or in another order, with totals and facets."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tantivy import Query

from omnikeywords.errors import InvalidOption
from omnikeywords.search.filters import filter_queries
from omnikeywords.search.index import NOBODY, View
from omnikeywords.search.matching import MOST, TELLING, Asked, Hit, Total, matches_of
from omnikeywords.search.paging import SORTS, Cursor, Pages, read_cursor, write_cursor
from omnikeywords.search.query import parse
from omnikeywords.search.schema import CODES, Terms

__all__ = ["FACETS", "Found", "Request", "check", "find"]

FACETS = (*CODES, "market", "source", "modifier", "tag", "words", "year")
_MOST_HITS = 1000  # of a page
_ALMOST = "no keyword has exactly these words: some are shown that are spelt almost so"
_MISSING = "no keyword has all these words: some are shown that have some of them"


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked of an index."""

    project: str
    text: str = ""
    filters: Mapping[str, str] | None = None
    sort: str = "relevance"
    facets: tuple[str, ...] = ()
    limit: int = 10
    cursor: str | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """A page of hits."""

    records: list[list[Any]]
    total: int
    total_is_exact: bool  # else there are so many at least
    facets: dict[str, dict[str, int]]
    notes: tuple[str, ...]
    next_cursor: str | None


def check(request: Request) -> None:
    """Refuse what no index could answer. Raises as `find`."""
    _check_names(request)
    if request.cursor is not None:
        read_cursor(request.cursor, request.sort)
    parse(request.text)
    filter_queries(request.filters or {}, Terms(NOBODY))


def _check_names(request: Request) -> None:
    if not 1 <= request.limit <= _MOST_HITS:
        raise InvalidOption(f"limit is {request.limit}: give a number from 1 to {_MOST_HITS}", limit=request.limit)
    if request.sort not in SORTS:
        raise InvalidOption(f"order {request.sort!r} is unknown: use {', '.join(SORTS)}", sort=request.sort)
    for name in request.facets:
        if name not in FACETS:
            raise InvalidOption(f"facet {name!r} is unknown: use {', '.join(FACETS)}", facet=name)


def find(view: View, request: Request) -> Found:
    """One page of what matches.

    Raises InvalidQuery for a query that is too long or would cost too much, InvalidOption for an unknown filter, order
    or facet and for a cursor of another list.
    """
    _check_names(request)
    search = parse(request.text)
    asked = Asked(view, request.project, search, request.filters or {})
    cursor = None if request.cursor is None else read_cursor(request.cursor, request.sort)
    notes = list(search.notes)
    limit = request.limit + 1
    at_once = cursor is None and request.sort == "relevance"
    hits: list[Hit] | None = None
    tiers: Mapping[int, Query] = {}
    total = Total(0)
    if cursor is None or not cursor.loose:
        if not at_once or not asked.has_words or asked.is_wide:
            tiers = asked.tiers()
            total = asked.total(matches_of(tiers))
        if at_once and asked.has_words and not asked.is_wide and (first := asked.first(limit)) is not None:
            hits, total = first
        elif not tiers:
            tiers = asked.tiers()
            total = asked.total(matches_of(tiers))
    loose = cursor.loose if cursor else total.matches == 0
    for almost in asked.loose_tiers() if loose else ():
        if at_once:
            hits, total = asked.first_of_each(almost, limit)
        else:
            total = Total(asked.count(asked.within([matches_of(almost)])))
        if total.matches:
            tiers = almost
            notes.append(_MISSING if tiers.keys() <= {TELLING, MOST} else _ALMOST)
            break
    if hits is None:
        hits = Pages(asked, tiers, request.sort).behind(cursor, limit)
    shown = hits[: request.limit]
    records = view.records_at([hit.address for hit in shown])
    following = None
    if len(hits) > request.limit:
        last = shown[-1]
        following = write_cursor(Cursor(request.sort, last.tier, last.value, last.place, loose))
    facets = asked.facets(matches_of(tiers or asked.tiers()), request.facets) if request.facets else {}
    return Found(records, total.matches, total.exact, facets, tuple(notes), following)
