"""What matches a search, as queries of an index.

What matches falls into tiers, the better one first: the phrase itself; its words and no others; all its words; all its
words in any form; where the project has nothing of that, what is spelt almost so; and where it has nothing of that
either, those that have most of the words. Within a tier keywords go by
their place (schema.py). So an order is two integers a keyword, which no other keyword changes.

Every tier is of the project's keywords alone: it has terms of `schema.Terms`, which begin with the number of the
project, and where it is made of anything else, the project's term stands beside that.
"""

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import tantivy
from tantivy import Occur, Query

from omnikeywords.errors import InvalidQuery
from omnikeywords.search.filters import all_of, any_of, filter_queries, has_term
from omnikeywords.search.index import View
from omnikeywords.search.query import Part, PartKind, Search
from omnikeywords.search.schema import CODES, SCHEMA, SET, band_of
from omnikeywords.search.words import alike, set_of, telling

__all__ = ["ANY_FORM", "MOST", "TELLING", "Asked", "Hit", "Total", "matches_of"]

# Tiers, the best first.
ITSELF, NO_OTHERS, EXACT, ANY_FORM, WHOLE_ALMOST, UNKNOWN_ALMOST, WORDS_ALMOST, TELLING, WHOLE_TWICE, MOST = range(10)
# Scores tell tiers. What is worth less is lost in the rounding of what is worth more (24 bits), so all of a tier have
# the same, and times the logarithm of a place, which is from 1 to 64, those of a tier stay below those of a better one.
_ITSELF_SCORE, _NO_OTHERS_SCORE, _EXACT_SCORE, _SCORE = 2.0**58, 2.0**32, 2.0**7, 1.0
_BUCKETS = 100  # values of a facet
_MOST_EXPANSIONS = 1000  # words that a prefix may stand for
_MOST_COST = 20_000_000  # documents that the lists of a query's terms may have, all together
_WIDE = 3000  # matches from which on it costs less to go from the best ones down
_MOST_SHARED = 1_000_000  # documents of all its words together of a query of which some words may be missing
_MOST_COUNTED = 100_000  # matches that are counted
_YEAR = 4  # digits of a number that is as it is meant
_SHORT, _LONG = 4, 8  # letters: from here on a word or phrase may have one error, and a phrase two


@dataclass(frozen=True, slots=True)
class Total:
    """How many match: exactly so many, or so many at least."""

    matches: int
    exact: bool = True


@dataclass(frozen=True, slots=True)
class Hit:
    """A match, and what it is ordered by."""

    tier: int
    value: int | str | None
    place: int  # 0 where all matches are on one page: then nobody asks for it
    address: tantivy.DocAddress


class _Sought(NamedTuple):
    """Those who have a part of what was asked."""

    form: Query  # in any form
    stems: Sequence[str]  # its forms, of a word
    documents: int  # that have it, those counted twice that have it in two forms
    word: Query | None = None  # as it is, of a word
    differ: bool = False  # whether there are more of the former


def matches_of(tiers: Mapping[int, Query]) -> Query:
    """All that some tiers have; those between the first and the last of the strict ones are parts of the last."""
    if ANY_FORM in tiers:
        return any_of([tiers[tier] for tier in (ITSELF, ANY_FORM) if tier in tiers])
    return any_of(tiers.values())


class Asked:
    """What was asked, as queries of an index."""

    def __init__(self, view: View, project: str, search: Search, filters: Mapping[str, str]) -> None:
        self.view = view
        self.terms = view.terms(project)
        self.filters = filter_queries(filters, self.terms)
        self._search = search
        self._cost = 0
        self.most = self._keywords  # matches, as far as is known
        self.unwanted = [self._part(part).form for part in search.unwanted]
        self._wanted = [self._part(part) for part in search.wanted]

    @property
    def has_words(self) -> bool:
        """Whether anything is wanted, not every keyword."""
        return bool(self._wanted)

    @property
    def is_wide(self) -> bool:
        """Whether so many may match that they are not to be gone through."""
        return self.most > _WIDE

    def within(self, queries: Sequence[Query], but: Sequence[Query] = ()) -> Query:
        """What matches these, of which one at least is of the project alone, and what else was asked."""
        return all_of([*queries, *self.filters], but=[*self.unwanted, *but])

    def count(self, query: Query) -> int:
        """How many have these matches."""
        found: int = self.view.searcher.search(query, 1).count  # type: ignore[attr-defined]
        return found

    def total(self, query: Query) -> Total:
        """How many match; of very many, so many at least."""
        if self.most <= _MOST_COUNTED:
            self.most = self.count(self.within([query]))
            return Total(self.most)
        matches = 0
        for bands in self._bands(None, _MOST_COUNTED):
            matches += self.count(self.within([query, bands]))
            if matches >= _MOST_COUNTED:
                return Total(matches, exact=False)
        self.most = matches
        return Total(matches)

    def by_place(self, query: Query, limit: int, below: int | None = None) -> list[tuple[int, tantivy.DocAddress]]:
        """The places and addresses of the first matches of a query that is within what was asked, those below a place.

        What many match is looked for among the keywords of the best ranks first, and so on downwards.
        """
        search = self.view.searcher.search
        if not self.is_wide:
            return search(query, limit, count=False, order_by_field="place").hits
        found: list[tuple[int, tantivy.DocAddress]] = []
        for bands in self._bands(below, limit * self._keywords // max(1, self.most)):
            within = all_of([query, bands])
            found += search(within, limit - len(found), count=False, order_by_field="place").hits
            if len(found) == limit:
                break
        return found

    def _bands(self, below: int | None, keywords: int) -> Iterable[Query]:
        """Bands of ranks from the best down, so many together as have that many keywords, then ever more."""
        there = self.view.bands(self.terms)
        if below is not None:
            last = f"{self.terms.band}{band_of(below)}"
            there = there[next((at for at, (name, _) in enumerate(there) if name == last), 0) :]
        together: list[Query] = []
        gathered, wanted = 0, max(_WIDE, 2 * keywords)
        for name, count in there:
            together.append(has_term("term", name))
            gathered += count
            if gathered >= wanted:
                yield any_of(together)
                together, gathered, wanted = [], 0, 4 * wanted
        if together:
            yield any_of(together)

    def tiers(self) -> dict[int, Query]:
        """What matches, the best first, by the number of the tier; a keyword is in the first that has it."""
        if not self._wanted:
            # What is nothing but quotes is in no keyword.
            nothing = self._search.text.strip() and not self._search.unwanted
            return {ANY_FORM: Query.empty_query() if nothing else self._project}
        tiers = {}
        if self._search.plain:
            tiers[ITSELF] = self._itself
            tiers[NO_OTHERS] = self._no_others if self._few else all_of([self._any_form, self._no_others])
        if any(part.word is not None for part in self._wanted):
            tiers[EXACT] = self._exact
        return {**tiers, ANY_FORM: self._any_form}

    @property
    def _keywords(self) -> int:
        """How many keywords the project has."""
        every = self.terms.all
        return self.view.remembered(every, lambda: self.view.searcher.doc_freq("term", every))

    @property
    def _project(self) -> Query:
        return has_term("term", self.terms.all)

    @property
    def _any_form(self) -> Query:
        return all_of([part.form for part in self._wanted])

    @property
    def _exact(self) -> Query:
        return all_of([part.form if part.word is None else part.word for part in self._wanted])

    @property
    def _whole(self) -> str:
        return "".join(self._search.plain)

    @property
    def _itself(self) -> Query:
        return has_term("whole", self.terms.word + self._whole)

    @property
    def _few(self) -> bool:
        return len(self._search.plain) == len(self._wanted) <= SET

    @property
    def _no_others(self) -> Query:
        """Of few words, the keywords that have these in any form and no others; else those that have so many."""
        if self._few:
            sets = {set_of(stems) for stems in itertools.product(*[part.stems for part in self._wanted])}
            return any_of(has_term("term", self.terms.set + one) for one in sets)
        return has_term("term", f"{self.terms.size}{len(self._search.plain)}")

    def first(self, limit: int) -> tuple[list[Hit], Total] | None:
        """The best matches and how many there are, in one look; None where that does not tell which are the best."""
        differing = [part.word for part in self._wanted if part.word is not None and part.differ]
        words = any(part.word is not None for part in self._wanted)
        parts = [(Occur.Must, _scoring(part.form, 0.0)) for part in self._wanted[1:]]
        parts.append((Occur.Must, _scoring(self._wanted[0].form, _SCORE if differing or not words else _EXACT_SCORE)))
        if differing:
            parts.append((Occur.Should, _scoring(all_of(differing), _EXACT_SCORE)))
        query = Query.boolean_query(parts)
        if self._search.plain:
            parts.append((Occur.Should, _scoring(self._no_others, _NO_OTHERS_SCORE)))
            itself = (Occur.Should, _scoring(self._itself, _ITSELF_SCORE))
            query = Query.boolean_query([itself, (Occur.Should, Query.boolean_query(parts))])
        if self.filters or self.unwanted:
            narrowed = [(Occur.Must, _scoring(each, 0.0)) for each in self.filters]
            narrowed += [(Occur.MustNot, each) for each in self.unwanted]
            query = Query.boolean_query([(Occur.Must, query), *narrowed])
        # The score times the logarithm of the place: the tier first, then the place as well as 24 bits tell it.
        result = self.view.searcher.search(query, limit, weight_by_field="place")
        scores = [score for score, _ in result.hits]
        total = Total(result.count)  # type: ignore[attr-defined]
        if len(set(scores)) == len(scores) and total.matches < limit:
            return [Hit(_tier_of(score), None, 0, address) for score, address in result.hits], total
        if len(scores) == limit and scores[-1] == scores[-2]:
            return None
        places = self.view.values("place", [address for _, address in result.hits])
        hits = [
            Hit(_tier_of(score), None, place, address)
            for (score, address), place in zip(result.hits, places, strict=True)
        ]
        hits.sort(key=lambda hit: (hit.tier, -hit.place))
        return hits, total

    def loose_tiers(self) -> Iterator[dict[int, Query]]:
        """What is close to what was asked, in steps: the next is for where there is nothing of the one before.

        There are none where only filters leave nothing.
        """
        if (self.filters or self.unwanted) and self.count(matches_of(self.tiers())):
            return
        for step in (self._with_errors, self._without_others, self._with_two_errors, self._with_words_missing):
            if tiers := step():
                yield tiers

    def _with_errors(self) -> dict[int, Query]:
        """One error in the whole phrase; one in each word that no keyword has, as those that some have may be right;
        one in any word.
        """
        tiers = {}
        if len(self._whole) >= _SHORT:
            tiers[WHOLE_ALMOST] = any_of([self._whole_almost(1), *self._joined()])
        parts = list(zip(self._search.wanted, self._wanted, strict=True))
        unknown = [part for part, found in parts if not found.documents]
        if 0 < len(unknown) < len(parts) and all(map(_may_err, unknown)):
            tiers[UNKNOWN_ALMOST] = all_of(
                found.form if found.documents else self._almost(part) for part, found in parts
            )
        if any(_may_err(part) for part, _ in parts):
            tiers[WORDS_ALMOST] = all_of(
                any_of([found.form, self._almost(part)]) if _may_err(part) else found.form for part, found in parts
            )
        return tiers

    def _without_others(self) -> dict[int, Query]:
        """All words but those that only hold others together, where there are some of both."""
        shared, others, left_out = self._telling()
        return {TELLING: all_of([*(found.form for found in shared.values()), *others])} if shared and left_out else {}

    def _with_two_errors(self) -> dict[int, Query]:
        """Two errors in a whole phrase that is long and has a word that no keyword has."""
        if len(self._whole) < _LONG or all(found.documents for found in self._wanted):
            return {}
        return {WHOLE_TWICE: self._whole_almost(2)}

    def _with_words_missing(self) -> dict[int, Query]:
        """More than half of the words, or the one beside a number, without those that only hold others together."""
        shared, others, _ = self._telling()
        if sum(found.documents for found in shared.values()) > _MOST_SHARED:
            return {}
        if len(shared) > 2:
            should = [(Occur.Should, found.form) for found in shared.values()]
            most = Query.boolean_query(should, minimum_number_should_match=len(shared) // 2 + 1)
            return {MOST: all_of([most, *others])}
        words = [word for word in shared if not _has_digit(word)]
        return {MOST: all_of([shared[words[0]].form, *others])} if len(shared) == 2 and len(words) == 1 else {}

    def _telling(self) -> tuple[dict[str, _Sought], list[Query], bool]:
        """Who has each of the words that say what is looked for, who has what is no word, and if there are others."""
        parts = list(zip(self._search.wanted, self._wanted, strict=True))
        words = {part.words[0]: found for part, found in parts if part.kind is PartKind.WORD}
        others = [found.form for part, found in parts if part.kind is not PartKind.WORD]
        kept = {word: words[word] for word in telling(words)}
        return kept, others, len(kept) < len(words)

    def first_of_each(self, tiers: Mapping[int, Query], limit: int) -> tuple[list[Hit], Total]:
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
        return hits[:limit], Total(total)

    def _fuzzy(self, field: str, word: str, errors: int) -> Query:
        """The project's keywords that have a word with so many errors: one might be in the number of the project."""
        return all_of([self._project, Query.fuzzy_term_query(SCHEMA, field, self.terms.word + word, errors)])

    def _whole_almost(self, errors: int) -> Query:
        """The phrase with so many errors, none of them in a short number or in signs: a 5 is no 3."""
        sure = [self._word(word) for word in self._search.plain if _is_sure(word)]
        return all_of([self._fuzzy("whole", self._whole, errors), *sure])

    def _joined(self) -> list[Query]:
        """Two words that stand side by side as one, as people write them too: wi fi is wifi."""
        words = self._search.plain
        if self._search.parts and len(words) == len(self._wanted):
            forms = [part.form for part in self._wanted]
            return [
                all_of([*forms[:at], self._word(words[at] + words[at + 1]), *forms[at + 2 :]])
                for at in range(len(words) - 1)
            ]
        return []

    def _almost(self, part: Part) -> Query:
        """A word with a typing error in it."""
        return self._fuzzy("text", part.words[0], 1)

    def _word(self, word: str) -> Query:
        return has_term("text", self.terms.word + word)

    def _part(self, part: Part) -> _Sought:
        match part.kind:
            case PartKind.PHRASE:
                found = self._phrase(part.words)
            case PartKind.PREFIX:
                found = self._prefix(part)
            case PartKind.WORD:
                (word,) = part.words
                found = self.view.remembered((self.terms.all, word), lambda: self._forms(word))
        self._pay(part, found.documents)
        return found

    def _phrase(self, words: Sequence[str]) -> _Sought:
        named = [self.terms.word + word for word in words]
        documents = min(self.view.searcher.doc_freq("text", word) for word in named)
        if len(named) == 1:
            return _Sought(has_term("text", named[0]), (), documents)
        return _Sought(Query.phrase_query(SCHEMA, "text", named), (), documents)  # type: ignore[arg-type]

    def _forms(self, word: str) -> _Sought:
        frequency = self.view.searcher.doc_freq
        counted = {stem: frequency("term", self.terms.stem + stem) for stem in alike(word)}
        there = [stem for stem, documents in counted.items() if documents]
        if not there:
            return _Sought(Query.empty_query(), there, 0, Query.empty_query())
        documents = sum(counted.values())
        form = any_of([has_term("term", self.terms.stem + stem) for stem in there])
        return _Sought(form, there, documents, self._word(word), frequency("text", self.terms.word + word) != documents)

    def _prefix(self, part: Part) -> _Sought:
        (word,) = part.words
        terms = self.view.searcher.terms_with_prefix("text", self.terms.word + word, limit=_MOST_EXPANSIONS + 1)
        if len(terms) > _MOST_EXPANSIONS:
            raise InvalidQuery(
                f"{word}* at column {part.column} stands for more than {_MOST_EXPANSIONS:,} words: give more of it",
                column=part.column,
                limit=_MOST_EXPANSIONS,
            )
        if not terms:
            return _Sought(Query.empty_query(), (), 0)
        return _Sought(any_of(has_term("text", term) for term, _ in terms), (), sum(count for _, count in terms))

    def _pay(self, part: Part, documents: int) -> None:
        self._cost += documents
        if not part.excluded:
            self.most = min(self.most, documents)
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


def _may_err(part: Part) -> bool:
    """Whether a part is a word that is long enough to be meant where it is spelt in another way, and no number."""
    word = part.words[0]
    return part.kind is PartKind.WORD and len(word) >= _SHORT and not _has_digit(word)


def _is_sure(word: str) -> bool:
    """Whether a word is another where it is spelt in another way: 5, 2020, c++."""
    return (word.isdecimal() and len(word) <= _YEAR) or (word.isascii() and not word.isalnum())


def _has_digit(word: str) -> bool:
    return any(map(str.isdecimal, word))


def _tier_of(score: float) -> int:
    if score >= _ITSELF_SCORE:
        return ITSELF
    if score >= _NO_OTHERS_SCORE:
        return NO_OTHERS
    return EXACT if score > 64 * _SCORE else ANY_FORM


def _scoring(query: Query, score: float) -> Query:
    return Query.const_score_query(query, score)


def _shown(key: Any) -> str:
    return key if isinstance(key, str) else str(int(key))
