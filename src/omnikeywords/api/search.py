"""`GET /api/v1/search`: keywords by what people type.

What only reads an index, and little of it, is answered on the event loop; what counts facets, goes through everything
or waits for the index to catch up goes to threads, with a deadline that covers the queue.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal
from urllib.parse import unquote_plus

import msgspec
from msgspec import Meta, Struct

from omnikeywords.analysis import MODEL_VERSION
from omnikeywords.api.catalogue import DATABASE_PROBLEMS, Catalogue, allowed, json_reply
from omnikeywords.api.guard import Call, Reply
from omnikeywords.api.keywords import KeywordFilters, KeywordObject, field_names, filters_of, shown_object
from omnikeywords.api.problems import Problem
from omnikeywords.api.reading import read_query
from omnikeywords.api.route import Answer, Route
from omnikeywords.api.schemas import Cursor, TotalIsExact
from omnikeywords.api.threads import Threads
from omnikeywords.search import FACETS, Request
from omnikeywords.searching import Searched

__all__ = ["search_routes"]

_Sort = Literal[
    "relevance", "keyword", "volume", "difficulty", "opportunity", "position", "clicks", "impressions", "popularity"
]
_MOST_WAIT = 10.0
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
    index_position: _Position | None = None
    wait: _Wait | None = None


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


class Search:
    """The endpoint."""

    def __init__(self, catalogue: Catalogue) -> None:
        settings = catalogue.settings
        self._finder = catalogue.finder
        self._seconds = catalogue.seconds
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
        waits = asked.wait is not None or asked.index_position is not None
        wide = waits or facets or not asked.q.strip() or asked.sort != "relevance" or asked.limit > 100
        if wide or not self._finder.searches.is_indexed(project):
            return await self._threads.run(self._slowly, request, fields, asked)
        return _reply(self._finder.search(request, fields), request, fields)

    def _slowly(self, request: Request, fields: tuple[str, ...] | None, asked: SearchQuery) -> Reply:
        if asked.wait is not None or asked.index_position is not None:
            seconds = min(self._seconds, _MOST_WAIT if asked.wait is None else asked.wait)
            self._finder.searches.wait_for(request.project, asked.index_position, seconds)
        return _reply(self._finder.search(request, fields), request, fields)


def _reply(found: Searched, request: Request, fields: tuple[str, ...] | None) -> Reply:
    hits: list[Any] = found.hits if fields is not None else [shown_object(hit) for hit in found.hits]
    return json_reply(
        {
            "query": request.text,
            "total": found.total,
            "total_is_exact": True,
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


def search_routes(catalogue: Catalogue) -> list[Route]:
    """The endpoint, bound to what answers it."""
    search = Search(catalogue)
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
    ]
