"""Finding keywords: what matches a query, in which order, page by page.

What matches falls into tiers, the better one first: the phrase itself; its words and no others; all its words; all its
words in any form; and only where there is nothing of that, what is spelt almost so. Within a tier keywords go by their
place (schema.py). So an order is two integers a keyword, which no other keyword changes, and a cursor that holds those
of the last hit finds what is behind it, whatever came or went meanwhile.

The project is one condition of every query made here, put there by `Asked` and nowhere else.
"""

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import tantivy
from tantivy import Occur, Order, Query

from omnikeywords.errors import InvalidOption, InvalidQuery
from omnikeywords.search.filters import all_of, any_of, between, filter_queries, has_term
from omnikeywords.search.index import View
from omnikeywords.search.query import Part, PartKind, Search, parse
from omnikeywords.search.schema import CODES, SCHEMA, SIZE
from omnikeywords.search.words import alike

__all__ = ["FACETS", "SORTS", "Asked", "Found", "Pages", "Request", "check", "find", "matches_of"]

# Each order, and whether the largest come first.
SORTS: Mapping[str, tuple[str, bool]] = {
    "relevance": ("place", True),
    "volume": ("volume", True),
    "difficulty": ("difficulty", False),
    "opportunity": ("opportunity", True),
    "position": ("position", False),
    "clicks": ("clicks", True),
    "impressions": ("impressions", True),
    "popularity": ("popularity", True),
    "keyword": ("whole", False),
}
FACETS = (*CODES, "market", "source", "modifier", "tag", "words", "year")
_MOST_HITS = 1000  # of a page
_BUCKETS = 100  # values of a facet
_MOST_EXPANSIONS = 1000  # words that a prefix may stand for
_MOST_COST = 20_000_000  # documents that the lists of a query's terms may have, all together
# Tiers, the best first.
_ITSELF, _NO_OTHERS, _EXACT, _ANY_FORM, _WHOLE_ALMOST, _WORDS_ALMOST = range(6)
# What adds up to a score that tells the tier: the best two alone, and a little for each word that is there as it is.
_ITSELF_SCORE, _NO_OTHERS_SCORE, _WORD_SCORE = 4.0, 2.0, 1 / 64
_NARROW = 3000  # documents
_SHORT, _LONG = 4, 8  # letters: from here on a word or phrase may have one error, and a phrase two


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
    facets: dict[str, dict[str, int]]
    notes: tuple[str, ...]
    next_cursor: str | None


class _Cursor(msgspec.Struct, array_like=True, frozen=True):
    """Where a page ended."""

    sort: str
    tier: int  # of the last hit
    value: int | str | None  # what it is ordered by, where that is not its place
    place: int
    loose: bool  # whether what is spelt almost so is among the hits


def check(request: Request) -> None:
    """Refuse what no index could answer. Raises as `find`."""
    _check_names(request)
    if request.cursor is not None:
        _read_cursor(request.cursor, request.sort)
    parse(request.text)
    filter_queries(request.filters or {})


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
    cursor = None if request.cursor is None else _read_cursor(request.cursor, request.sort)
    notes = list(search.notes)
    tiers = asked.tiers()
    limit = request.limit + 1
    first_page = cursor is None and request.sort == "relevance"
    hits: list[Hit] | None = None
    total = 0
    if cursor is None or not cursor.loose:
        hits, total = asked.first(tiers, limit) if first_page else (None, asked.count(matches_of(tiers)))
    loose = cursor.loose if cursor else total == 0
    if loose and (almost := asked.loose_tiers()):
        tiers = almost
        hits, total = asked.first_of_each(tiers, limit) if first_page else (None, asked.count(matches_of(tiers)))
        if total:
            notes.append("no keyword has exactly these words: some are shown that are spelt almost so")
    if hits is None:
        hits = Pages(asked, tiers, request.sort).behind(cursor, limit)
    shown = hits[: request.limit]
    records = view.records.read(view.values("at", [hit.address for hit in shown]))
    following = None
    if len(hits) > request.limit:
        last = shown[-1]
        following = _write_cursor(_Cursor(request.sort, last.tier, last.value, last.place, loose))
    facets = asked.facets(matches_of(tiers), request.facets)
    return Found(records, total, facets, tuple(notes), following)


def matches_of(tiers: Mapping[int, Query]) -> Query:
    """All that some tiers have; those between the first and the last of the strict ones are parts of the last."""
    if _ANY_FORM in tiers:
        return any_of([tiers[tier] for tier in (_ITSELF, _ANY_FORM) if tier in tiers])
    return any_of(tiers.values())


@dataclass(frozen=True, slots=True)
class Hit:
    """A match, and what it is ordered by."""

    tier: int
    value: int | str | None
    place: int
    address: tantivy.DocAddress


class Asked:
    """What was asked, as queries of an index; everything that is looked up goes through `within`."""

    def __init__(self, view: View, project: str, search: Search, filters: Mapping[str, str]) -> None:
        self.view = view
        self._search = search
        self._project = has_term("scope", f"p:{project}")
        self._filters = filter_queries(filters)
        self._cost = 0
        self._narrowest = _MOST_COST  # documents that have the part which fewest have
        self._unwanted = [self._part(part)[0] for part in search.unwanted]
        self._wanted = [self._part(part) for part in search.wanted]

    def within(self, queries: Sequence[Query], but: Sequence[Query] = ()) -> Query:
        """What matches these among the keywords of the project that the filters let through."""
        return all_of([self._project, *self._filters, *queries], but=[*self._unwanted, *but])

    def count(self, query: Query) -> int:
        """How many match."""
        found: int = self.view.searcher.search(self.within([query]), 1).count  # type: ignore[attr-defined]
        return found

    def tiers(self) -> dict[int, Query]:
        """What matches, the best first, by the number of the tier; a keyword is in the first that has it."""
        if not self._wanted:
            # What is nothing but quotes is in no keyword.
            nothing = self._search.text.strip() and not self._search.unwanted
            return {_ANY_FORM: Query.empty_query() if nothing else Query.all_query()}
        any_form = all_of([form for form, _ in self._wanted])
        tiers = {}
        if self._search.plain:
            tiers[_ITSELF] = has_term("whole", self._whole)
            tiers[_NO_OTHERS] = all_of([any_form, self._no_others])
        if any(word is not None for _, word in self._wanted):
            tiers[_EXACT] = all_of([form if word is None else word for form, word in self._wanted])
        return {**tiers, _ANY_FORM: any_form}

    def first(self, tiers: Mapping[int, Query], limit: int) -> tuple[list["Hit"], int]:
        """The best matches, and how many there are in all."""
        total: int
        search = self.view.searcher.search
        if len(tiers) == 1:
            result = search(self.within(list(tiers.values())), limit, order_by_field="place")
            found = [Hit(_ANY_FORM, None, place, address) for place, address in result.hits]
            return found, result.count  # type: ignore[attr-defined]
        if self._narrowest > _NARROW:  # the first tiers fill a page, so it costs less to stop behind them
            total = self.count(matches_of(tiers))
            return Pages(self, tiers, "relevance").behind(None, limit), total
        # All tiers in one go, told apart by scores; those of a tier come as they lie, so the last is asked for again.
        result = search(self._scored(), limit)
        total = result.count  # type: ignore[attr-defined]
        places = self.view.values("place", [address for _, address in result.hits])
        hits = [
            Hit(self._tier_of(score), None, place, address)
            for (score, address), place in zip(result.hits, places, strict=True)
        ]
        hits.sort(key=lambda hit: (hit.tier, -hit.place))
        if total > len(hits):
            last = hits[-1].tier
            hits = [hit for hit in hits if hit.tier < last]
            better = [query for tier, query in tiers.items() if tier < last]
            hits += Pages(self, tiers, "relevance").by_place(
                self.within([tiers[last]], but=better), last, None, None, limit - len(hits)
            )
        return hits, total

    def _scored(self) -> Query:
        """Everything that matches, with a score that tells its tier."""
        parts = [(Occur.Must, _scoring(form, 0.0)) for form, _ in self._wanted]
        parts += [(Occur.Should, _scoring(word, _WORD_SCORE)) for _, word in self._wanted if word is not None]
        if not self._search.plain:
            return self._unscored(Query.boolean_query(parts))
        parts.append((Occur.Should, _scoring(self._no_others, _NO_OTHERS_SCORE)))
        itself = _scoring(has_term("whole", self._whole), _ITSELF_SCORE)
        return self._unscored(Query.boolean_query([(Occur.Should, itself), (Occur.Should, Query.boolean_query(parts))]))

    def _unscored(self, query: Query) -> Query:
        """A query within what was asked, whose score is its own alone."""
        rest = Query.boolean_query(
            [
                *((Occur.Must, each) for each in (self._project, *self._filters)),
                *((Occur.MustNot, each) for each in self._unwanted),
            ]
        )
        return Query.boolean_query([(Occur.Must, query), (Occur.Must, _scoring(rest, 0.0))])

    def _tier_of(self, score: float) -> int:
        if score >= _ITSELF_SCORE:
            return _ITSELF
        if score >= _NO_OTHERS_SCORE:
            return _NO_OTHERS
        words = sum(word is not None for _, word in self._wanted)
        return _EXACT if words and score >= words * _WORD_SCORE else _ANY_FORM

    @property
    def _whole(self) -> str:
        return "".join(self._search.plain)

    @property
    def _no_others(self) -> Query:
        return has_term("scope", f"{SIZE}{len(self._search.plain)}")

    def first_of_each(self, tiers: Mapping[int, Query], limit: int) -> tuple[list["Hit"], int]:
        """The same as `first` for tiers that cost much and have few: each is looked up once."""
        hits: list[Hit] = []
        better: list[Query] = []
        total = 0
        for tier, query in tiers.items():
            wanted = max(1, limit - len(hits))
            result = self.view.searcher.search(self.within([query], but=better), wanted, order_by_field="place")
            hits += [Hit(tier, None, place, address) for place, address in result.hits]
            total += result.count  # type: ignore[attr-defined]
            better.append(query)
        return hits[:limit], total

    def loose_tiers(self) -> dict[int, Query]:
        """What is spelt almost so, the better one first."""
        tiers = {}
        whole = self._whole
        if len(whole) >= _SHORT:
            tiers[_WHOLE_ALMOST] = any_of([Query.fuzzy_term_query(SCHEMA, "whole", whole, 1), *self._joined()])
            if len(whole) >= _LONG and not self.count(tiers[_WHOLE_ALMOST]):
                tiers[_WHOLE_ALMOST] = Query.fuzzy_term_query(SCHEMA, "whole", whole, 2)
        wanted = self._search.wanted
        if any(part.kind is PartKind.WORD and len(part.words[0]) >= _SHORT for part in wanted):
            almost = [self._almost(part, form) for part, (form, _) in zip(wanted, self._wanted, strict=True)]
            tiers[_WORDS_ALMOST] = all_of(almost)
        return tiers

    def _joined(self) -> list[Query]:
        """Two words that stand side by side as one, as people write them too: wi fi is wifi."""
        words = self._search.plain
        if self._search.parts and len(words) == len(self._wanted):
            forms = [form for form, _ in self._wanted]
            return [
                all_of([*forms[:at], has_term("text", words[at] + words[at + 1]), *forms[at + 2 :]])
                for at in range(len(words) - 1)
            ]
        return []

    def _almost(self, part: Part, exact: Query) -> Query:
        """A part with a typing error in it, where it is long enough."""
        word = part.words[0]
        if part.kind is not PartKind.WORD or len(word) < _SHORT:
            return exact
        return any_of([exact, Query.fuzzy_term_query(SCHEMA, "text", word, 1)])

    def _part(self, part: Part) -> tuple[Query, Query | None]:
        """The keywords that have a part: in any form and, if it is a word, as it is."""
        match part.kind:
            case PartKind.PHRASE:
                words = list(part.words)
                self._pay(part, min(self.view.searcher.doc_freq("text", word) for word in words))
                if len(words) == 1:
                    return has_term("text", words[0]), None
                return Query.phrase_query(SCHEMA, "text", words), None  # type: ignore[arg-type]
            case PartKind.PREFIX:
                return self._prefix(part), None
            case PartKind.WORD:
                (word,) = part.words
                frequency = self.view.searcher.doc_freq
                there = {term: documents for term in alike(word) if (documents := frequency("text", term))}
                self._pay(part, sum(there.values()))
                if not there:
                    return Query.empty_query(), Query.empty_query()
                return any_of([has_term("text", term) for term in there]), has_term("text", word)

    def _prefix(self, part: Part) -> Query:
        (word,) = part.words
        terms = self.view.searcher.terms_with_prefix("text", word, limit=_MOST_EXPANSIONS + 1)
        if len(terms) > _MOST_EXPANSIONS:
            raise InvalidQuery(
                f"{word}* at column {part.column} stands for more than {_MOST_EXPANSIONS:,} words: give more of it",
                column=part.column,
                limit=_MOST_EXPANSIONS,
            )
        self._pay(part, sum(count for _, count in terms))
        if not terms:
            return Query.empty_query()
        return any_of(has_term("text", term) for term, _ in terms)

    def _pay(self, part: Part, documents: int) -> None:
        self._cost += documents
        if not part.excluded:
            self._narrowest = min(self._narrowest, documents)
        if self._cost > _MOST_COST:
            raise InvalidQuery(
                f"the search is too wide from column {part.column} on: leave out words that most keywords have",
                column=part.column,
            )

    def facets(self, query: Query, names: Sequence[str]) -> dict[str, dict[str, int]]:
        """How many of the matches have each value of some fields, the most frequent first."""
        if not names:
            return {}
        asked = {name: {"terms": {"field": name, "size": _BUCKETS}} for name in names}
        found = self.view.searcher.aggregate(self.within([query]), asked)
        counted: dict[str, dict[str, int]] = {}
        for name in names:
            values = CODES.get(name)
            counted[name] = {
                values[int(bucket["key"])] if values else _shown(bucket["key"]): bucket["doc_count"]
                for bucket in found[name]["buckets"]
            }
        return counted


def _scoring(query: Query, score: float) -> Query:
    return Query.const_score_query(query, score)


def _shown(key: Any) -> str:
    return key if isinstance(key, str) else str(int(key))


class Pages:
    """The matches in an order."""

    def __init__(self, asked: Asked, tiers: Mapping[int, Query], sort: str) -> None:
        self._asked = asked
        self._tiers = tiers
        self._sort = sort
        self._field, self._largest_first = SORTS[sort]

    def behind(self, cursor: _Cursor | None, limit: int) -> list[Hit]:
        """The next so many behind a hit, or from the beginning."""
        if self._sort == "relevance":
            return self._by_tier(cursor, limit)
        every = matches_of(self._tiers)
        if self._sort == "keyword":
            return self._by_keyword(every, cursor, limit)
        return self._by_number(every, cursor, limit)

    def _by_tier(self, cursor: _Cursor | None, limit: int) -> list[Hit]:
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
        found = self._asked.view.searcher.search(query, limit, count=False, order_by_field="place").hits
        return [Hit(tier, value, place, address) for place, address in found]

    def _by_number(self, every: Query, cursor: _Cursor | None, limit: int) -> list[Hit]:
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

    def _by_keyword(self, every: Query, cursor: _Cursor | None, limit: int) -> list[Hit]:
        """By the letters of the keyword, ties by place; there is no range of texts, so what is before is read too."""
        view = self._asked.view
        query = self._asked.within([every])
        behind = None if cursor is None else (str(cursor.value), -cursor.place)
        asked = limit
        while True:
            found = view.searcher.search(query, asked, count=False, order_by_field="whole", order=Order.Asc).hits
            places = view.values("place", [address for _, address in found])
            hits = [Hit(0, whole, place, address) for (whole, address), place in zip(found, places, strict=True)]
            hits.sort(key=lambda hit: (str(hit.value), -hit.place))
            if len(found) == asked:
                # Of the last ones that are alike some may be missing.
                hits = [hit for hit in hits if hit.value != found[-1][0]]
            fresh = [hit for hit in hits if behind is None or (str(hit.value), -hit.place) > behind]
            if len(fresh) >= limit or len(found) < asked:
                return fresh[:limit]
            asked *= 4


def _write_cursor(cursor: _Cursor) -> str:
    return base64.urlsafe_b64encode(msgspec.msgpack.encode(cursor)).decode().rstrip("=")


def _read_cursor(text: str, sort: str) -> _Cursor:
    try:
        found = msgspec.msgpack.decode(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)), type=_Cursor)
    except (ValueError, binascii.Error, msgspec.MsgspecError):
        found = None
    if found is None or found.sort != sort or not _can_be(found):
        raise InvalidOption("the cursor is of another list: begin again without it", cursor=text[:100])
    return found


def _can_be(cursor: _Cursor) -> bool:
    """Whether a cursor may be one of ours."""
    if cursor.tier < 0 or not 0 <= cursor.place < 2**64:
        return False
    if isinstance(cursor.value, str):
        return cursor.sort == "keyword"
    return cursor.value is None or (cursor.sort != "keyword" and 0 <= cursor.value < 2**63)
