"""Pages of what matches: hits in an order, from where the last page ended.

A cursor holds what the last hit is ordered by, so it finds what is behind it whatever came or went meanwhile.
"""

import base64
import binascii
from collections.abc import Iterator, Mapping, Sequence

import msgspec
from tantivy import DocAddress, Order, Query

from omnikeywords.analysis.normalise import normalise_batch
from omnikeywords.catalog.listing import ORDERS
from omnikeywords.errors import InvalidOption
from omnikeywords.search.filters import all_of, between, has_term
from omnikeywords.search.matching import Asked, Hit, matches_of
from omnikeywords.search.schema import BEGUN, SCHEMA
from omnikeywords.search.words import Words

__all__ = ["SORTS", "Cursor", "Pages", "read_cursor", "write_cursor"]

# Each order, and whether the largest come first: those of lists, and the best match first.
SORTS: Mapping[str, tuple[str, bool]] = {
    "relevance": ("place", True),
    **{name: order for name, order in ORDERS.items() if name != "id"},
}
_FEW = 5000  # hits that are put in order here


class Cursor(msgspec.Struct, array_like=True, frozen=True):
    """Where a page ended."""

    sort: str
    tier: int  # of the last hit
    value: int | str | None  # what it is ordered by, where that is not its place
    place: int
    loose: bool  # whether what is spelt almost so is among the hits


class Pages:
    """The matches in an order."""

    def __init__(self, asked: Asked, tiers: Mapping[int, Query], sort: str) -> None:
        self._asked = asked
        self._tiers = tiers
        self._sort = sort
        self._field, self._largest_first = SORTS[sort]

    def behind(self, cursor: Cursor | None, limit: int) -> list[Hit]:
        """The next so many behind a hit, or from the beginning."""
        if self._sort == "relevance":
            return self._by_tier(cursor, limit)
        every = matches_of(self._tiers)
        if self._sort == "keyword":
            return self._by_keyword(every, cursor, limit)
        return self._by_number(every, cursor, limit)

    def _by_tier(self, cursor: Cursor | None, limit: int) -> list[Hit]:
        hits: list[Hit] = []
        better: list[Query] = []
        for tier, query in self._tiers.items():
            if len(hits) == limit:
                break
            if cursor is None or tier >= cursor.tier:
                below = cursor.place if cursor and tier == cursor.tier else None
                within = self._asked.within([query], but=better)
                hits += self.by_place(within, tier, None, below, limit - len(hits))
            better.append(query)
        return hits

    def by_place(self, query: Query, tier: int, value: int | str | None, below: int | None, limit: int) -> list[Hit]:
        """The first matches of a query by their place, those below one."""
        if below is not None:
            query = all_of([query, between("place", below=below)])
        return [Hit(tier, value, place, address) for place, address in self._asked.by_place(query, limit, below)]

    def _by_number(self, every: Query, cursor: Cursor | None, limit: int) -> list[Hit]:
        """By a number, ties by place, those without it last."""
        field = self._field
        hits: list[Hit] = []
        further: list[Query] = []
        if cursor is not None and isinstance(cursor.value, int):
            value = cursor.value
            same = self._asked.within([every, between(field, value, value)])
            hits += self.by_place(same, 0, value, cursor.place, limit)
            further.append(between(field, below=value) if self._largest_first else between(field, value + 1))
        if len(hits) < limit and (cursor is None or cursor.value is not None):
            hits += self._ordered(self._asked.within([every, Query.exists_query(field), *further]), limit - len(hits))
        if len(hits) < limit:
            without = self._asked.within([every], but=[Query.exists_query(field)])
            below = cursor.place if cursor is not None and cursor.value is None else None
            hits += self.by_place(without, 0, None, below, limit - len(hits))
        return hits

    def _ordered(self, query: Query, limit: int) -> list[Hit]:
        """The first of a query's matches by a number; the index itself leaves ties as they come."""
        view = self._asked.view
        order = Order.Desc if self._largest_first else Order.Asc
        found = view.searcher.search(query, limit, count=False, order_by_field=self._field, order=order).hits
        if not found:
            return []
        last = found[-1][0]
        sure = [(value, address) for value, address in found if value != last]
        places = view.values("place", [address for _, address in sure])
        hits = [Hit(0, value, place, address) for (value, address), place in zip(sure, places, strict=True)]
        hits.sort(key=lambda hit: (-hit.value if self._largest_first else hit.value, -hit.place))  # type: ignore
        same = all_of([query, between(self._field, last, last)])
        return hits + self.by_place(same, 0, last, None, limit - len(hits))

    def _by_keyword(self, every: Query, cursor: Cursor | None, limit: int) -> list[Hit]:
        """By the letters of the keyword, ties by place; many are taken by the letters that they begin with."""
        behind = ("", -(2**64)) if cursor is None else (str(cursor.value), -cursor.place)
        hits: list[Hit] = []
        for query in self._alphabetically(every, behind[0]):
            most = max(1, self._asked.count(query))
            found = self._asked.view.searcher.search(query, most, count=False, order_by_field="place").hits
            ordered = sorted(self._spelt(found), key=lambda hit: (str(hit.value), -hit.place))
            hits += [hit for hit in ordered if (str(hit.value), -hit.place) > behind]
            if len(hits) >= limit:
                break
        return hits[:limit]

    def _alphabetically(self, every: Query, first: str) -> Iterator[Query]:
        """All matches in parts that follow one another in the alphabet, from the one on that `first` is in."""
        asked = self._asked
        searcher, terms = asked.view.searcher, asked.terms
        if asked.count(asked.within([every])) <= _FEW:
            yield asked.within([every])
            return
        for begin in sorted(begin for begin, _ in searcher.terms_with_prefix("term", terms.begin)):
            letters = begin.removeprefix(terms.begin)
            if len(letters) < BEGUN:
                yield asked.within([every, has_term("whole", terms.word + letters)])
            elif letters >= first[:BEGUN]:
                part = asked.within([every, has_term("term", begin)])
                if asked.count(part) <= _FEW:
                    yield part
                    continue
                wholes = sorted(whole for whole, _ in searcher.terms_with_prefix("whole", terms.word + letters))
                wholes = [whole for whole in wholes if whole >= terms.word + first]
                for at in range(0, len(wholes), _FEW):
                    yield asked.within([every, Query.term_set_query(SCHEMA, "whole", wholes[at : at + _FEW])])

    def _spelt(self, found: Sequence[tuple[int, DocAddress]]) -> list[Hit]:
        """Hits with the letters of their keywords."""
        view = self._asked.view
        records = view.records_at([address for _, address in found])
        normalized, _ = normalise_batch([record[0] for record in records])
        return [
            Hit(0, "".join(words), place, address)
            for words, (place, address) in zip(Words().split(normalized), found, strict=True)
        ]


def write_cursor(cursor: Cursor) -> str:
    """A cursor as a caller keeps it."""
    return base64.urlsafe_b64encode(msgspec.msgpack.encode(cursor)).decode().rstrip("=")


def read_cursor(text: str, sort: str) -> Cursor:
    """A cursor that a caller gives back. Raises InvalidOption for one of another list."""
    try:
        found = msgspec.msgpack.decode(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)), type=Cursor)
    except (ValueError, binascii.Error, msgspec.MsgspecError):
        found = None
    if found is None or found.sort != sort or not _can_be(found):
        raise InvalidOption("the cursor is of another list: begin again without it", cursor=text[:100])
    return found


def _can_be(cursor: Cursor) -> bool:
    """Whether a cursor may be one of ours."""
    if cursor.tier < 0 or not 0 <= cursor.place < 2**64:
        return False
    if isinstance(cursor.value, str):
        return cursor.sort == "keyword"
    return cursor.value is None or (cursor.sort != "keyword" and 0 <= cursor.value < 2**63)
