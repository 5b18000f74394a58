"""`GET /api/v1/search` and its kin: keywords by what people type, completions, related ones, groups by word, n-grams.

What only reads an index, and little of it, is answered on the event loop; what counts facets, goes through everything
or waits for the index to catch up goes to threads, with a deadline that covers the queue.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import unquote_plus

import msgspec
from msgspec import Meta, Struct

from omnikeywords.analysis import MODEL_VERSION
from omnikeywords.api.batching import Batches
from omnikeywords.api.catalogue import DATABASE_PROBLEMS, allowed, json_reply, part_of
from omnikeywords.api.guard import Call, Reply
from omnikeywords.api.keyword_object import KeywordFilters, KeywordObject, field_names, filters_of, shown_object
from omnikeywords.api.problems import Problem
from omnikeywords.api.reading import read_query
from omnikeywords.api.route import Answer, Route
from omnikeywords.api.schemas import Cursor, ProjectName, TotalIsExact
from omnikeywords.api.threads import Threads
from omnikeywords.finder import Finder
from omnikeywords.finder.searches import Searched
from omnikeywords.search import FACETS, Group, NGram, Request
from omnikeywords.search.tallying import LONGEST_NGRAM, MOST_TALLIED
from omnikeywords.settings import Settings

__all__ = ["Search", "search_routes"]

_Sort = Literal[
    "relevance", "keyword", "volume", "difficulty", "opportunity", "position", "clicks", "impressions", "popularity"
]
_MOST_WAIT = 10.0
_SHOWN_TOGETHER = 128  # hits: more gain little, and hold up the other calls
_Position = Annotated[
    int, Meta(ge=0, le=2**62, description="Answer when the index is as far as the `position` of an earlier answer.")
]
_Wait = Annotated[
    float,
    Meta(
        ge=0,
        le=_MOST_WAIT,
        description="Seconds to wait for the index to hold all that was written before this request, or to come to "
        "`index_position`.",
    ),
]


class SearchQuery(KeywordFilters, frozen=True, forbid_unknown_fields=True):
    """What is searched for, among which keywords, in which order."""

    q: Annotated[
        str,
        Meta(
            description='Words, all of which a keyword has; `"side by side"`, `-without`, `begin*`. Accents, case and '
            "punctuation never matter. At most 500 characters and 32 words. Empty: every keyword.",
            examples=["running shoes"],
        ),
    ] = ""
    sort: Annotated[
        _Sort,
        Meta(
            description="The largest first for volume, opportunity, clicks, impressions, popularity; else the smallest."
        ),
    ] = "relevance"
    facets: Annotated[
        str | None,
        Meta(description=f"Count the hits by these, with commas: {', '.join(FACETS)}.", examples=["intent,language"]),
    ] = None
    fields: Annotated[
        str | None,
        Meta(description="Of the keyword objects, by comma; left out: all.", examples=["id,keyword,volume"]),
    ] = None
    limit: Annotated[int, Meta(ge=1, le=1000)] = 10
    cursor: Cursor = None
    index_position: _Position = 0
    wait: _Wait = 0


class SearchAnswer(Struct, frozen=True):
    """What was found, the best first; with `fields` each hit has those alone."""

    query: str
    total: Annotated[int, Meta(ge=0)]
    total_is_exact: TotalIsExact
    hits: list[KeywordObject]
    facets: Annotated[
        dict[str, dict[str, int]],
        Meta(description="By field: how many of all hits have each value; the 100 most frequent."),
    ]
    notes: Annotated[
        list[str], Meta(description="What was understood in another way than it may have been meant, for people.")
    ]
    next_cursor: str | None
    position: Annotated[int, Meta(description="How far the index is, for `index_position` of a later request.")]
    model_version: str


class SuggestQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """How a keyword begins."""

    q: Annotated[str, Meta(max_length=500, description="As somebody types; empty: the most searched keywords.")] = ""
    project: ProjectName | None = None
    limit: Annotated[int, Meta(ge=1, le=100)] = 10


class Suggestion(Struct, frozen=True):
    """A keyword that begins so."""

    keyword: str
    id: str
    market: str | None
    volume: int | None


class SuggestAnswer(Struct, frozen=True):
    """The most searched keywords that begin so, each phrase once."""

    query: str
    suggestions: list[Suggestion]


class RelatedQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """How much of it."""

    project: ProjectName | None = None
    fields: Annotated[str | None, Meta(description="Of the keyword objects, by comma; left out: all.")] = None
    limit: Annotated[int, Meta(ge=1, le=100)] = 10


class RelatedAnswer(Struct, frozen=True):
    """Keywords that share words with it, those that share most first; with `fields` each has those alone."""

    keywords: list[KeywordObject]


class WordGroupsQuery(KeywordFilters, frozen=True, forbid_unknown_fields=True):
    """Of which keywords."""

    q: Annotated[str, Meta(description="As in a search; its words are no groups.", examples=["shoes"])] = ""
    limit: Annotated[int, Meta(ge=1, le=1000)] = 50


class NGramsQuery(WordGroupsQuery, frozen=True, forbid_unknown_fields=True):
    """Of which keywords, and how long."""

    n: Annotated[int, Meta(ge=1, le=LONGEST_NGRAM, description="Words.")] = 2


_Tallied = TypeVar("_Tallied", bound=WordGroupsQuery)
_Total = Annotated[int, Meta(ge=0, description="Keywords that match.")]
_Counted = Annotated[
    int, Meta(ge=0, description=f"Of them, those that were counted: the {MOST_TALLIED:,} most searched at most.")
]


class WordGroupsAnswer(Struct, frozen=True):
    """The words of what matches, the most frequent first."""

    groups: list[Group]
    total: _Total
    tallied: _Counted


class NGramsAnswer(Struct, frozen=True):
    """The runs of words in what matches, the most frequent first."""

    ngrams: list[NGram]
    total: _Total
    tallied: _Counted


class Search:
    """The endpoints."""

    def __init__(self, finder: Finder, settings: Settings) -> None:
        self.stamp = finder.searches.stamp  # what an answer is made from
        self._searches = finder.searches
        self._shown = Batches(finder.searches.shown, _SHOWN_TOGETHER, lambda look: len(look.found.records))
        self._seconds = settings.request_timeout_ms / 1000
        self._threads = Threads(
            "search", settings.threads, settings.queue, self._seconds, busy="too many wide searches", advice=""
        )

    async def search(self, call: Call) -> Reply:
        """Answer one call.

        Raises Problem for a wrong parameter, NotFound for a project that is not the caller's, InvalidQuery.
        """
        _check_names(call)
        asked, given = read_query(call, SearchQuery)
        project = allowed(call, "read", asked.project)
        fields = None if asked.fields is None else field_names(asked.fields)
        facets = tuple(name.strip() for name in asked.facets.split(",")) if asked.facets else ()
        request = Request(project, asked.q, filters_of(given), asked.sort, facets, asked.limit, asked.cursor)
        waits = asked.wait > 0 or asked.index_position > 0
        wide = waits or facets or not asked.q.strip() or asked.sort != "relevance" or asked.limit > 100
        if wide or not self._searches.is_indexed(project):
            return await self._threads.run(self._slowly, request, fields, asked)
        return _reply(await self._shown.run(self._searches.look(request, fields)), request, fields)

    def _slowly(self, request: Request, fields: tuple[str, ...] | None, asked: SearchQuery) -> Reply:
        if asked.wait > 0 or asked.index_position > 0:
            seconds = min(self._seconds, asked.wait or _MOST_WAIT)
            self._searches.wait_for(request.project, asked.index_position or None, seconds)
        return _reply(self._searches.find(request, fields), request, fields)

    async def suggest(self, call: Call) -> Reply:
        """Answer one call. Raises Problem for a wrong parameter, NotFound."""
        asked, _ = read_query(call, SuggestQuery)
        project = allowed(call, "read", asked.project)
        if self._searches.is_indexed(project):
            return self._suggest(project, asked)
        return await self._threads.run(self._suggest, project, asked)

    def _suggest(self, project: str, asked: SuggestQuery) -> Reply:
        found = self._searches.suggest(project, asked.q, asked.limit)
        return json_reply({"query": asked.q, "suggestions": found})

    async def related(self, call: Call) -> Reply:
        """Answer one call. Raises Problem for a wrong parameter, NotFound."""
        asked, _ = read_query(call, RelatedQuery)
        project = allowed(call, "read", asked.project)
        keyword_id = part_of(call, "keyword_id")
        fields = None if asked.fields is None else field_names(asked.fields)
        return await self._threads.run(self._related, project, keyword_id, asked.limit, fields)

    def _related(self, project: str, keyword_id: str, limit: int, fields: tuple[str, ...] | None) -> Reply:
        found = self._searches.related(project, keyword_id, limit, fields)
        return json_reply({"keywords": found if fields is not None else [shown_object(row) for row in found]})

    async def word_groups(self, call: Call) -> Reply:
        """Answer one call. Raises Problem for a wrong parameter, NotFound, InvalidQuery."""
        return await self._threads.run(self._word_groups, self._tally_of(call, WordGroupsQuery)[0])

    def _word_groups(self, request: Request) -> Reply:
        found = self._searches.group_tree(request)
        return json_reply({"groups": found.groups, "total": found.total, "tallied": found.tallied})

    async def ngrams(self, call: Call) -> Reply:
        """Answer one call. Raises Problem for a wrong parameter, NotFound, InvalidQuery."""
        request, asked = self._tally_of(call, NGramsQuery)
        return await self._threads.run(self._ngrams, request, asked.n)

    def _ngrams(self, request: Request, length: int) -> Reply:
        found = self._searches.ngrams(request, length)
        return json_reply({"ngrams": found.ngrams, "total": found.total, "tallied": found.tallied})

    def _tally_of(self, call: Call, kind: type[_Tallied]) -> tuple[Request, _Tallied]:
        asked, given = read_query(call, kind)
        project = allowed(call, "read", asked.project)
        return Request(project, asked.q, filters_of(given), limit=asked.limit), asked

    def close(self) -> None:
        """Let running calls end and drop those that wait."""
        self._threads.close()


def _reply(found: Searched, request: Request, fields: tuple[str, ...] | None) -> Reply:
    hits: list[Any] = found.hits if fields is not None else [shown_object(hit) for hit in found.hits]
    return json_reply(
        {
            "query": request.text,
            "total": found.total,
            "total_is_exact": found.total_is_exact,
            "hits": hits,
            "facets": found.facets,
            "notes": found.notes,
            "next_cursor": found.next_cursor,
            "position": found.position,
            "model_version": MODEL_VERSION,
        }
    )


_KNOWN: Mapping[str, object] = {field.encode_name: field for field in msgspec.structs.fields(SearchQuery)}


def _check_names(call: Call) -> None:
    """Refuse a filter that there is not, and say where it stands."""
    column = 1
    for pair in call.query.split(b"&") if call.query else ():
        name = unquote_plus(pair.partition(b"=")[0].decode("latin-1"))
        if pair and name not in _KNOWN:
            raise Problem(
                "invalid_query",
                f"filter {name[:100]!r} at column {column} of the query is unknown: known are {', '.join(_KNOWN)}",
                {"column": column, "filter": name[:100]},
            )
        column += len(pair) + 1


def search_routes(search: Search) -> list[Route]:
    """The endpoints, bound to what answers them."""
    asked_wrongly = ("invalid_query", "invalid_request", "invalid_option", *DATABASE_PROBLEMS)
    return [
        Route(
            "GET",
            "/api/v1/search",
            search.search,
            "search",
            "search",
            "Search keywords",
            "The best match first: the phrase itself, its words and no others, all its words, all its words in any "
            "form, and, where that is too little, what is spelt almost so. Pages go on where the last one ended, also "
            "while imports run.",
            asks=SearchQuery,
            answers={200: Answer("A page of hits.", SearchAnswer)},
            problems=("invalid_query", "invalid_request", "invalid_option", "not_reached", *DATABASE_PROBLEMS),
        ),
        Route(
            "GET",
            "/api/v1/suggest",
            search.suggest,
            "suggest",
            "search",
            "Complete a keyword",
            "The most searched keywords that begin as somebody types, whatever their accents.",
            asks=SuggestQuery,
            answers={200: Answer("The keywords.", SuggestAnswer)},
            problems=("invalid_request", *DATABASE_PROBLEMS),
        ),
        Route(
            "GET",
            "/api/v1/keywords/{keyword_id}/related",
            search.related,
            "relatedKeywords",
            "search",
            "List related keywords",
            "Those that share at least half of its telling words.",
            asks=RelatedQuery,
            answers={200: Answer("The keywords.", RelatedAnswer)},
            problems=("invalid_request", *DATABASE_PROBLEMS),
        ),
        Route(
            "GET",
            "/api/v1/word-groups",
            search.word_groups,
            "wordGroups",
            "search",
            "Group what matches by word",
            "For each word how many keywords have it and what volume they have together, and the same for the words "
            "that most of them have besides.",
            asks=WordGroupsQuery,
            answers={200: Answer("The groups.", WordGroupsAnswer)},
            problems=asked_wrongly,
        ),
        Route(
            "GET",
            "/api/v1/ngrams",
            search.ngrams,
            "ngrams",
            "search",
            "Count runs of words in what matches",
            "For each run of `n` words how many keywords have it and what volume they have together.",
            asks=NGramsQuery,
            answers={200: Answer("The n-grams.", NGramsAnswer)},
            problems=asked_wrongly,
        ),
    ]
