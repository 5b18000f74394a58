"""`/api/v1/keywords` and what is made of them: lists, corrections and tags, history, groups, imports compared."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from omnikeywords.api.catalogue import DATABASE_PROBLEMS, Catalogue, allowed, json_reply, part_of
from omnikeywords.api.guard import Call, Reply, read_body
from omnikeywords.api.keyword_object import (
    Corrected,
    KeywordFilters,
    KeywordObject,
    Observed,
    field_names,
    filters_of,
    shown_object,
)
from omnikeywords.api.paging import Offset, Pages, PlainText, page
from omnikeywords.api.reading import check_json, decode_json, expected_version, read_query
from omnikeywords.api.route import Answer, Route
from omnikeywords.api.schemas import (
    BODY_PROBLEMS,
    PARTS,
    Cursor,
    Limit,
    PageQuery,
    ProjectName,
    ProjectQuery,
    Total,
    TotalIsExact,
)
from omnikeywords.catalog.listing import MOST_COUNTED
from omnikeywords.errors import VersionConflict

__all__ = ["keyword_routes"]

_HISTORY = Pages("history", Offset)
_GROUPS = Pages("groups", PlainText)

_ImportId = Annotated[str, Meta(pattern=PARTS["import_id"].pattern, description="Id of an import.")]
KeywordId = Annotated[str, Meta(pattern=PARTS["keyword_id"].pattern, examples=["k1" + "a" * 24])]


Sort = Literal[
    "id", "keyword", "volume", "difficulty", "opportunity", "position", "clicks", "impressions", "popularity"
]


class KeywordsQuery(KeywordFilters, frozen=True, forbid_unknown_fields=True):
    """Which keywords, in which order."""

    sort: Annotated[
        Sort,
        Meta(
            description="The largest first for volume, opportunity, clicks, impressions, popularity; else the smallest."
        ),
    ] = "id"
    fields: Annotated[
        str | None,
        Meta(description="Of the keyword objects, by comma; left out: all.", examples=["id,keyword,volume"]),
    ] = None
    limit: Limit = 50
    cursor: Cursor = None


class KeywordList(Struct, frozen=True):
    """Keywords; with `fields` each has those alone."""

    keywords: list[KeywordObject]
    total: Annotated[int, Meta(ge=0, description=f"In all; beyond {MOST_COUNTED} there are at least that many.")]
    total_is_exact: TotalIsExact
    next_cursor: str | None
    notes: Annotated[list[str], Meta(description="Why there may be nothing, for people.")]


# Without spaces and control characters of any kind, commas and |.
_Tag = Annotated[
    str,
    Meta(
        pattern="^[^\\u0000-\\u0020\\u007f-\\u00a0\\u1680\\u2000-\\u200b\\u2028\\u2029\\u202f\\u205f\\u3000,|]{1,64}$"
    ),
]
_Tags = Annotated[list[_Tag], Meta(max_length=50)]
_Intent = Literal["informational", "navigational", "commercial", "transactional"]
_Funnel = Literal["awareness", "consideration", "decision"]
_Language = Annotated[str, Meta(pattern=r"^[a-z]{2,3}$", description="ISO 639 code, or `und`.")]


class KeywordChanges(Struct, frozen=True, forbid_unknown_fields=True):
    """What a person says of a keyword. It goes before what we think and outlives every re-analysis; null takes a
    correction back. What is left out stays."""

    intent: _Intent | UnsetType | None = UNSET
    funnel: _Funnel | UnsetType | None = UNSET
    language: _Language | UnsetType | None = UNSET
    near_duplicate_of: Annotated[
        Annotated[str, Meta(max_length=700)] | UnsetType | None,
        Meta(description="A keyword of the project, by its phrase; empty: it stands alone."),
    ] = UNSET
    tags: Annotated[_Tags | UnsetType, Meta(description="All its tags.")] = UNSET


class BatchChanges(Struct, frozen=True, forbid_unknown_fields=True):
    """What a person says of several keywords at once."""

    intent: _Intent | UnsetType | None = UNSET
    funnel: _Funnel | UnsetType | None = UNSET
    language: _Language | UnsetType | None = UNSET
    add_tags: _Tags = []
    remove_tags: _Tags = []


class BatchRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """Keywords by their ids, and what is said of all of them, if anything."""

    ids: Annotated[list[KeywordId], Meta(min_length=1, max_length=1000)]
    changes: BatchChanges | None = None
    project: ProjectName | None = None


class BatchAnswer(Struct, frozen=True):
    """The keywords, in the order of the ids."""

    keywords: list[KeywordObject]
    missing: Annotated[list[str], Meta(description="Ids that the project has no keyword of.")]


class History(Struct, frozen=True):
    """Everything that imports said of a keyword, by period and then by import."""

    history: list[Observed]
    total: Total
    total_is_exact: TotalIsExact
    next_cursor: str | None


class GroupMember(Struct, frozen=True):
    """A keyword of a group."""

    id: str
    keyword: str
    market: str | None
    volume: int | None
    impressions: int | None
    reason: Annotated[str | None, Meta(description="How it differs from the head; null: it is the head.")]


class GroupObject(Struct, frozen=True):
    """A keyword and its near-duplicates."""

    head: Annotated[str, Meta(description="The one that people use most; `near_duplicate_of` of the others.")]
    members: list[GroupMember]


class GroupList(Struct, frozen=True):
    """Groups of near-duplicates, by their heads."""

    groups: list[GroupObject]
    total: Total
    total_is_exact: TotalIsExact
    next_cursor: str | None


class CompareQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """Which imports."""

    before: _ImportId
    after: _ImportId
    project: ProjectName | None = None
    limit: Annotated[int, Meta(ge=1, le=10_000, description="Most keywords listed; the counts are of all.")] = 1000


class ComparedRow(Struct, frozen=True):
    """What one keyword was and is."""

    id: str
    keyword: str | None
    change: Literal["new", "lost", "moved"]
    position: float | None
    position_after: float | None
    clicks: int | None
    clicks_after: int | None
    impressions: int | None
    impressions_after: int | None
    volume: int | None
    volume_after: int | None


class CompareAnswer(Struct, frozen=True):
    """What changed from one import to another, the largest moves first."""

    new: Annotated[int, Meta(ge=0)]
    lost: Annotated[int, Meta(ge=0)]
    moved: Annotated[int, Meta(ge=0)]
    keywords: list[ComparedRow]


class Keywords:
    """The endpoints."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._finder = catalogue.finder
        self._run = catalogue.threads.run
        self._most_bytes = catalogue.settings.max_body_bytes
        self._seconds = catalogue.seconds
        self._changes = msgspec.json.Decoder(KeywordChanges)
        self._batch = msgspec.json.Decoder(BatchRequest)

    async def list(self, call: Call) -> Reply:
        asked, given = read_query(call, KeywordsQuery)
        project = allowed(call, "read", asked.project)
        fields = None if asked.fields is None else field_names(asked.fields)
        return await self._run(self._list, project, asked, filters_of(given), fields)

    def _list(
        self, project: str, asked: KeywordsQuery, filters: Mapping[str, str], fields: tuple[str, ...] | None
    ) -> Reply:
        found = self._finder.keywords.page(
            project, q=asked.q, filters=filters, order=asked.sort, limit=asked.limit, cursor=asked.cursor
        )
        shown = [shown_object(row) for row in found.keywords]
        if fields is not None:
            shown = [{name: row[name] for name in fields} for row in shown]
        listed = page("keywords", shown, found.total, found.next_cursor, found.total < MOST_COUNTED)
        return json_reply({**listed, "notes": found.notes})

    async def show(self, call: Call) -> Reply:
        keyword_id, project = self._asked(call, "read")
        return await self._run(self._show, keyword_id, project)

    def _show(self, keyword_id: str, project: str) -> Reply:
        version = self._finder.keywords.mark_of(keyword_id, project).version  # first: an older one at worst
        return _reply(self._finder.keywords.find(keyword_id, project), version)

    async def change(self, call: Call) -> Reply:
        keyword_id, project = self._asked(call, "write")
        check_json(call)
        asked = decode_json(await read_body(call, self._most_bytes, self._seconds), self._changes)
        return await self._run(self._change, call, keyword_id, project, asked)

    def _change(self, call: Call, keyword_id: str, project: str, asked: KeywordChanges) -> Reply:
        before = self._finder.keywords.mark_of(keyword_id, project)
        expected = expected_version(call, before.version)
        if expected is not None and expected != before.version:
            raise VersionConflict(
                f"keyword {keyword_id!r} is at version {before.version}, not {expected}: read it again",
                id=keyword_id,
                version=before.version,
            )
        corrected = corrections_of(asked)
        if not isinstance(asked.near_duplicate_of, UnsetType):
            corrected["near_duplicate_of"] = asked.near_duplicate_of
        tags = None if asked.tags is UNSET else asked.tags
        if tags is None and not corrected:
            return _reply(self._finder.keywords.find(keyword_id, project), before.version)
        found = self._finder.keywords.mark(
            keyword_id, project, call.caller.name, tags=tags, corrected=corrected or None, expected=expected
        )
        mark = self._finder.keywords.mark_of(keyword_id, project)
        # What was just said holds, also where the rows of a large import are to be read before.
        found |= {"tags": list(mark.tags)} | {name: value or None for name, value in mark.corrected.items()}
        found["corrected"] = {name: mark.corrected.get(name) for name in Corrected.__struct_fields__}
        return _reply(found, mark.version)

    async def batch(self, call: Call) -> Reply:
        call.caller.must("read")
        check_json(call)
        asked = decode_json(await read_body(call, self._most_bytes, self._seconds), self._batch)
        project = allowed(call, "read" if asked.changes is None else "write", asked.project)
        return await self._run(self._find_many, call, project, asked)

    def _find_many(self, call: Call, project: str, asked: BatchRequest) -> Reply:
        changes = asked.changes
        if changes is not None:
            corrected = corrections_of(changes)
            if corrected or changes.add_tags or changes.remove_tags:
                self._finder.keywords.mark_many(
                    asked.ids,
                    project,
                    call.caller.name,
                    add_tags=changes.add_tags,
                    remove_tags=changes.remove_tags,
                    corrected=corrected or None,
                )
        found = self._finder.keywords.find_many(asked.ids, project)
        there = {row["id"] for row in found}
        missing = [one for one in dict.fromkeys(asked.ids) if one not in there]
        return json_reply({"keywords": [shown_object(row) for row in found], "missing": missing})

    async def history(self, call: Call) -> Reply:
        asked, _ = read_query(call, PageQuery)
        project = allowed(call, "read", asked.project)
        keyword_id = part_of(call, "keyword_id")
        (first,) = _HISTORY.behind(asked.cursor) or (0,)
        rows = await self._run(self._finder.keywords.history, keyword_id, project)
        return json_reply(
            _HISTORY.page(
                rows[first : first + asked.limit + 1],
                asked.limit,
                len(rows),
                place=lambda _: (first + asked.limit,),
                shown=shown_object,
            )
        )

    async def groups(self, call: Call) -> Reply:
        asked, _ = read_query(call, PageQuery)
        project = allowed(call, "read", asked.project)
        (after,) = _GROUPS.behind(asked.cursor) or ("",)
        return await self._run(self._groups, project, asked.limit, after)

    def _groups(self, project: str, limit: int, after: str) -> Reply:
        found = self._finder.keywords.groups(project, limit=limit + 1, after=after)
        total = self._finder.keywords.count_groups(project)
        return json_reply(
            _GROUPS.page(
                found,
                limit,
                total,
                place=lambda group: (group.head,),
                shown=lambda group: {"head": group.head, "members": group.members},
            )
        )

    async def compare(self, call: Call) -> Reply:
        asked, _ = read_query(call, CompareQuery)
        project = allowed(call, "read", asked.project)
        found = await self._run(self._finder.imports.compare, asked.before, asked.after, project, limit=asked.limit)
        return json_reply({"new": found.new, "lost": found.lost, "moved": found.moved, "keywords": found.rows})

    def _asked(self, call: Call, scope: Any) -> tuple[str, str]:
        asked, _ = read_query(call, ProjectQuery)
        project = allowed(call, scope, asked.project)
        return part_of(call, "keyword_id"), project


def corrections_of(asked: KeywordChanges | BatchChanges) -> dict[str, str | None]:
    """What a person puts right, by field; None takes it back."""
    given = {"intent": asked.intent, "funnel": asked.funnel, "language": asked.language}
    return {name: value for name, value in given.items() if not isinstance(value, UnsetType)}


def _reply(row: dict[str, Any], version: int) -> Reply:
    return json_reply(shown_object(row), headers=((b"etag", b'"%d"' % version),))


_ETAG = {"etag": "The version of what people said of it; for If-Match."}
_IF_MATCH = {"if-match": "The ETag that was read: a keyword of which something was said since is not changed."}


def keyword_routes(catalogue: Catalogue) -> list[Route]:
    """The endpoints, bound to what answers them."""
    keywords = Keywords(catalogue)
    one = "/api/v1/keywords/{keyword_id}"
    asked_wrongly = ("invalid_request", *DATABASE_PROBLEMS)
    return [
        Route(
            "GET",
            "/api/v1/keywords",
            keywords.list,
            "listKeywords",
            "keywords",
            "List keywords",
            "Of a project, by filters and order, also while imports run. Pages go on where the last one ended, "
            "whatever comes or goes meanwhile.",
            asks=KeywordsQuery,
            answers={200: Answer("A page of keywords.", KeywordList)},
            problems=("invalid_option", *asked_wrongly),
        ),
        Route(
            "POST",
            "/api/v1/keywords:batch",
            keywords.batch,
            "batchKeywords",
            "keywords",
            "Get several keywords, or say something of all of them",
            "Changes need scope `write`. Those in large batches are seen at once or, behind a large import, soon.",
            takes=BatchRequest,
            example={"ids": ["k1" + "a" * 24], "changes": {"add_tags": ["spring"]}},
            answers={200: Answer("The keywords.", BatchAnswer)},
            problems=(*BODY_PROBLEMS, "invalid_option", *DATABASE_PROBLEMS),
        ),
        Route(
            "GET",
            one,
            keywords.show,
            "getKeyword",
            "keywords",
            "Show a keyword",
            asks=ProjectQuery,
            answers={200: Answer("The keyword.", KeywordObject, headers=_ETAG)},
            problems=asked_wrongly,
        ),
        Route(
            "PATCH",
            one,
            keywords.change,
            "changeKeyword",
            "keywords",
            "Correct or tag a keyword",
            "What a person says goes before what we think, and outlives every re-analysis. Needs scope `write`.",
            asks=ProjectQuery,
            headers=_IF_MATCH,
            takes=KeywordChanges,
            example={"intent": "transactional", "tags": ["spring", "landing-page"]},
            answers={200: Answer("The keyword as it is now.", KeywordObject, headers=_ETAG)},
            problems=(*BODY_PROBLEMS, "version_conflict", "invalid_option", *DATABASE_PROBLEMS),
        ),
        Route(
            "GET",
            f"{one}/history",
            keywords.history,
            "listHistory",
            "keywords",
            "List what imports said of a keyword",
            asks=PageQuery,
            answers={200: Answer("A page of it.", History)},
            problems=asked_wrongly,
        ),
        Route(
            "GET",
            "/api/v1/groups",
            keywords.groups,
            "listGroups",
            "keywords",
            "List groups of near-duplicates",
            "Of a project, as they were after the last import that is complete.",
            asks=PageQuery,
            answers={200: Answer("A page of groups.", GroupList)},
            problems=asked_wrongly,
        ),
        Route(
            "GET",
            "/api/v1/compare",
            keywords.compare,
            "compareImports",
            "imports",
            "Compare two imports",
            "What is new, lost or has another position in `after` against `before`.",
            asks=CompareQuery,
            answers={200: Answer("What changed.", CompareAnswer)},
            problems=asked_wrongly,
        ),
    ]
