"""Keywords that are offered: what begins as somebody types, and what is close to a keyword."""

from collections.abc import Sequence
from typing import Any

from tantivy import Occur, Query

from omnikeywords.analysis.normalise import normalise, normalise_batch
from omnikeywords.errors import InvalidKeyword
from omnikeywords.search.filters import all_of, any_of, has_term
from omnikeywords.search.index import View
from omnikeywords.search.matching import Asked
from omnikeywords.search.paging import Pages
from omnikeywords.search.query import MOST_CHARACTERS, Search
from omnikeywords.search.schema import BEGUN, SCHEMA, key_of
from omnikeywords.search.words import Words, alike, split, telling

__all__ = ["phrase_of", "related", "suggest"]

_SPARSE = 2000  # keywords that begin alike: so many are gone through one by one
_FIRST_LOOK = 50  # of what might begin so, the most searched


def suggest(view: View, project: str, text: str, limit: int) -> list[list[Any]]:
    """The records of the most searched keywords that begin as somebody types, each phrase once; spaces do not count."""
    asked = Asked(view, project, Search(text), {})
    words = _split(text)
    whole = "".join(words)
    begin = asked.terms.begin + whole[:BEGUN] if whole else asked.terms.all
    every = has_term("term", begin)
    asked.most = view.searcher.doc_freq("term", begin)
    if len(whole) <= BEGUN:
        return _first(view, asked, every, "", limit)
    if asked.most > _SPARSE:
        # Where many begin so, they are among the most searched that have the words before the one being typed.
        before = [has_term("text", asked.terms.word + word) for word in words[:-1]]
        found = _first(view, asked, all_of([every, *before]), whole, limit, look_on=False)
        if len(found) == limit:
            return found
    prefix = Query.fuzzy_term_query(SCHEMA, "whole", asked.terms.word + whole, 0, prefix=True)
    asked.most = 0
    return _first(view, asked, all_of([every, prefix]), "", limit)


def _first(view: View, asked: Asked, query: Query, whole: str, limit: int, *, look_on: bool = True) -> list[list[Any]]:
    """The most searched matches that begin so, looking at more and more of them."""
    looked, found = 0, dict[str, list[Any]]()
    most = max(_FIRST_LOOK if whole else 0, limit + limit // 2)
    while True:
        hits = asked.by_place(query, most)
        records = view.records_at([address for _, address in hits[looked:]])
        phrases, _ = normalise_batch([record[0] for record in records])
        begins = [not whole or "".join(split).startswith(whole) for split in Words().split(phrases)]
        for record, phrase, begins_so in zip(records, phrases, begins, strict=True):
            if begins_so:
                found.setdefault(phrase, record)
        if len(found) >= limit or len(hits) < most or not look_on:
            return list(found.values())[:limit]
        looked, most = most, most * 8


def related(view: View, project: str, keyword_id: str, phrase: str, limit: int) -> list[list[Any]]:
    """The records of keywords that share words with one, those that share more of them first.

    Words that only hold others together do not count, and a keyword shares half of the others at least.
    """
    asked = Asked(view, project, Search(phrase), {})
    words = telling(dict.fromkeys(_split(phrase)))
    shared = [(Occur.Should, _forms(asked, word)) for word in words]
    tiers = [
        Query.boolean_query(shared, minimum_number_should_match=number)
        for number in range(len(words), (len(words) - 1) // 2, -1)
    ]
    itself = Query.term_query(SCHEMA, "key", key_of(project, keyword_id), "basic")
    others = {number: all_of([tier], but=[itself]) for number, tier in enumerate(tiers)}
    asked.most = 0
    hits = Pages(asked, others, "relevance").behind(None, limit)
    return view.records_at([hit.address for hit in hits])


def phrase_of(view: View, project: str, keyword_id: str) -> str | None:
    """The normalized phrase of a keyword of the index; None where it has none of that id."""
    itself = Query.term_query(SCHEMA, "key", key_of(project, keyword_id), "basic")
    query = all_of([has_term("term", view.terms(project).all), itself])
    hits = view.searcher.search(query, 1, count=False).hits
    records = view.records_at([address for _, address in hits])
    return normalise(records[0][0]) if records else None


def _forms(asked: Asked, word: str) -> Query:
    return any_of(has_term("term", asked.terms.stem + stem) for stem in alike(word))


def _split(text: str) -> Sequence[str]:
    try:
        return split(normalise(text[:MOST_CHARACTERS]))
    except InvalidKeyword:
        return ()
