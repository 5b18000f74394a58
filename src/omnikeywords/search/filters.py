"""Filters, as `okf keywords` and GET /keywords know them, for the index."""

import math
import re
from collections.abc import Iterable, Mapping

from tantivy import FieldType, Occur, Query

from omnikeywords.catalog.listing import FILTERS, NO_MARKET, choices_of
from omnikeywords.errors import InvalidOption
from omnikeywords.search.schema import CODES, SCALES, SCHEMA, Terms

__all__ = ["all_of", "any_of", "between", "filter_queries", "has_term"]

_MOST = 2**53  # further than any number that is counted
_MOST_CHOICES = 100  # behind one another in one filter


def has_term(field: str, value: str | int) -> Query:
    """That a text of a keyword, or a number of the fields that are indexed by it, is this one."""
    return Query.term_query(SCHEMA, field, value, "basic")


def between(field: str, least: int | None = None, most: int | None = None, *, below: int | None = None) -> Query:
    """That a number of a keyword is in a range; one that is missing is in none."""
    upper = most if below is None else below
    return Query.range_query(
        SCHEMA, field, FieldType.Unsigned, least, upper, include_upper=below is None
    )  # fmt: skip


def all_of(queries: Iterable[Query], *, but: Iterable[Query] = ()) -> Query:
    """That all of these hold, and none of the others."""
    parts = [(Occur.Must, query) for query in queries] + [(Occur.MustNot, query) for query in but]
    return Query.boolean_query(parts)


def any_of(queries: Iterable[Query]) -> Query:
    """That one of these holds at least."""
    listed = list(queries)
    return listed[0] if len(listed) == 1 else Query.boolean_query([(Occur.Should, query) for query in listed])


def filter_query(name: str, value: str, terms: Terms) -> Query:
    """The keywords that a filter lets through.

    Raises InvalidOption for an unknown filter or a value that it cannot have.
    """
    if name not in FILTERS:
        raise InvalidOption(f"filter {name!r} is unknown: use {', '.join(FILTERS)}", filter=name)
    if name.startswith(("min_", "max_")):
        return _range(name, value)
    count = value.count("|") + 1
    if count > _MOST_CHOICES:
        raise InvalidOption(
            f"filter {name} has {count} choices: give at most {_MOST_CHOICES}", filter=name, limit=_MOST_CHOICES
        )
    choices = choices_of(name, value)
    if name == "question" and "any" in choices:
        return Query.exists_query("question")
    if name in ("local", "branded") and value not in ("true", "false"):
        raise InvalidOption(f"filter {name} is {value!r}: use true or false", filter=name)
    if name in CODES:
        known = [CODES[name].index(choice) for choice in choices if choice in CODES[name]]  # a language may be new
        return any_of(has_term(name, code) for code in known) if known else Query.empty_query()
    if name in ("words", "year"):
        if not re.fullmatch(r"[0-9]{1,4}", value):
            raise InvalidOption(f"filter {name} is {value!r}: give a whole number below 10000", filter=name)
        return has_term(name, int(value))
    if name == "import":
        return any_of(has_term("term", terms.imported + choice) for choice in choices)
    if name in ("modifier", "tag"):
        return has_term(name, value)
    if name == "market":
        return any_of(_in_market(choice) for choice in choices)
    return any_of(has_term(name, choice) for choice in choices)


def _in_market(market: str) -> Query:
    if market == NO_MARKET:
        return all_of([Query.all_query()], but=[Query.exists_query("market")])
    return has_term("market", market)


def _range(name: str, value: str) -> Query:
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise InvalidOption(f"filter {name} is {value!r}: give a number", filter=name)
    field = name[4:]
    scaled = round(max(-_MOST, min(_MOST, number)) * SCALES.get(field, 1), 6)
    if name.startswith("min_"):
        return between(field, max(0, math.ceil(scaled)))
    if scaled < 0:
        return Query.empty_query()
    return between(field, 0, math.floor(scaled))


def filter_queries(given: Mapping[str, str], terms: Terms) -> list[Query]:
    """One for each filter, of a project with these terms. Raises as `filter_query`."""
    return [filter_query(name, value, terms) for name, value in given.items()]
