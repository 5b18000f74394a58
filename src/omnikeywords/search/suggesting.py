"""Keywords that are offered: what begins as somebody types, and what is close to a keyword."""

from collections.abc import Sequence
from typing import Any

from tantivy import Occur, Query

from omnikeywords.analysis.normalise import normalise
from omnikeywords.analysis.stop_words import STOP_INSIDE
from omnikeywords.errors import InvalidKeyword
from omnikeywords.search.filters import all_of, any_of, has_term
from omnikeywords.search.index import View
from omnikeywords.search.matching import Asked
from omnikeywords.search.paging import Pages
from omnikeywords.search.query import MOST_CHARACTERS, Search
from omnikeywords.search.schema import BEGUN, SCHEMA, key_of
from omnikeywords.search.words import alike, split

__all__ = ["phrase_of", "related", "suggest"]

_SPARSE = 2000  # keywords that begin alike: so many are gone through one by one
_MOST_WORDS = 200  # that a word which is being typed may become
_FIRST_LOOK = 50  # of what might begin so, the most searched


def suggest(view: View, project: str, text: str, limit: int) -> list[list[Any]]:
    """The records of the most searched keywords that begin as somebody types, each phrase once.

    Spaces do not count; but where many begin with the letters that were typed, those come that have their words too.
    """
    asked = Asked(view, project, Search(text), {})
    words = _split(text)
    whole = "".join(words)
    every = has_term("term", asked.terms.begin + whole[:BEGUN] if whole else asked.terms.all)
    if len(whole) <= BEGUN:
        return _first(view, asked, every, "", limit)
    if view.searcher.doc_freq("term", asked.terms.begin + whole[:BEGUN]) > _SPARSE:
        begun = view.searcher.terms_with_prefix("text", asked.terms.word + words[-1], limit=_MOST_WORDS)
        if begun:
            typed = any_of(has_term("text", term) for term, _ in begun)
            before = [has_term("text", asked.terms.word + word) for word in words[:-1]]
            asked.most = sum(count for _, count in begun)
            found = _first(view, asked, all_of([every, *before, typed]), whole, limit)
            if len(found) == limit:
                return found
    prefix = Query.fuzzy_term_query(SCHEMA, "whole", asked.terms.word + whole, 0, prefix=True)
    asked.most = 0
    return _first(view, asked, all_of([every, prefix]), "", limit)


def _first(view: View, asked: Asked, query: Query, whole: str, limit: int) -> list[list[Any]]:
    """The most searched matches that begin so, looking at more and more of them."""
    looked, found = 0, dict[str, list[Any]]()
    most = max(_FIRST_LOOK, 2 * limit)
    while True:
        hits = asked.by_place(query, most)
        for record in view.records.read(view.values("at", [address for _, address in hits[looked:]])):
            phrase = normalise(record[0])
            if phrase not in found and (not whole or "".join(split(phrase)).startswith(whole)):
                found[phrase] = record
                if len(found) == limit:
                    return list(found.values())
        if len(hits) < most:
            return list(found.values())
        looked, most = most, most * 8


def related(view: View, project: str, keyword_id: str, phrase: str, limit: int) -> list[list[Any]]:
    """The records of keywords that share words with one, those that share more of them first.

    Words that every phrase may have do not count, and a keyword shares half of the others at least.
    """
    asked = Asked(view, project, Search(phrase), {})
    words = list(dict.fromkeys(_split(phrase)))
    telling = [word for word in words if word not in STOP_INSIDE] or words
    shared = [(Occur.Should, _forms(asked, word)) for word in telling]
    tiers = [
        Query.boolean_query(shared, minimum_number_should_match=number)
        for number in range(len(telling), (len(telling) - 1) // 2, -1)
    ]
    itself = Query.term_query(SCHEMA, "key", key_of(project, keyword_id), "basic")
    others = {number: all_of([tier], but=[itself]) for number, tier in enumerate(tiers)}
    asked.most = 0
    hits = Pages(asked, others, "relevance").behind(None, limit)
    return view.records.read(view.values("at", [hit.address for hit in hits]))


def phrase_of(view: View, project: str, keyword_id: str) -> str | None:
    """The normalized phrase of a keyword of the index; None where it has none of that id."""
    itself = Query.term_query(SCHEMA, "key", key_of(project, keyword_id), "basic")
    query = all_of([has_term("term", view.terms(project).all), itself])
    hits = view.searcher.search(query, 1, count=False).hits
    records = view.records.read(view.values("at", [address for _, address in hits]))
    return normalise(records[0][0]) if records else None


def _forms(asked: Asked, word: str) -> Query:
    return any_of(has_term("term", asked.terms.stem + stem) for stem in alike(word))


def _split(text: str) -> Sequence[str]:
    try:
        return split(normalise(text[:MOST_CHARACTERS]))
    except InvalidKeyword:
        return ()
