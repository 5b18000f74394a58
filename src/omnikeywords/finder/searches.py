"""Searches: the verbs of keyword research that read search indexes, and the catalogue's database only for a project of
which there is nothing in them."""

import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, TypeGuard

from omnikeywords.analysis import MODEL_VERSION, Options
from omnikeywords.analysis.score import Weights
from omnikeywords.catalog import changes, log
from omnikeywords.catalog.listing import choices_of, no_such_source
from omnikeywords.catalog.projects import bucket_of
from omnikeywords.errors import IndexBusy, InvalidOption, NotFound, NotReached
from omnikeywords.finder.catalogue import Catalogue
from omnikeywords.model import Market
from omnikeywords.search import (
    RECORDED,
    Builder,
    Found,
    Indexes,
    Request,
    Tally,
    View,
    check,
    find,
    group_tree,
    ngrams,
    phrase_of,
    related,
    suggest,
    to_objects,
    to_recorded,
)
from omnikeywords.search.tallying import LONGEST_NGRAM

__all__ = ["Look", "Searched", "Searches"]

_FOLLOWED_SECONDS = 2.0  # for another process to bring an index up
_NOT_YET = "the search index does not hold this project yet: ask again in a moment"
_PAUSE = 0.02  # seconds between looks at how far an index is


@dataclass(frozen=True, slots=True)
class Look:
    """What a search found, before it is shown."""

    found: Found
    fields: Sequence[str] | None  # of the keyword objects, None for all
    options: Options  # by which they were analysed
    position: int  # of the log: every event up to it is in what was searched


@dataclass(frozen=True, slots=True)
class Searched:
    """What a search found."""

    hits: list[dict[str, Any]]  # keyword objects, or those of their fields that were asked for
    total: int
    total_is_exact: bool  # else there are so many at least
    facets: dict[str, dict[str, int]]  # by field: how many matches have each value, the most frequent first
    notes: tuple[str, ...]  # what was understood in another way than it may have been meant
    next_cursor: str | None
    position: int  # of the log: every event up to it is in what was searched


class Searches:
    """Searches of every project; safe to share between threads."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._settings = catalogue.settings
        self._catalogue = catalogue
        self.indexes = Indexes(self._settings.search_folder, self._settings.open_indexes)

    def find(self, request: Request, fields: Sequence[str] | None = None) -> Searched:
        """Keywords by what people type; `fields` of the keyword objects, None for all.

        Raises NotFound for the project, InvalidQuery, InvalidOption.
        """
        return self.shown([self.look(request, fields)])[0]

    def look(self, request: Request, fields: Sequence[str] | None = None) -> Look:
        """What `find` finds, before it is shown. Raises as that."""
        view = self._view(request.project)
        if view is None:
            check(request)
            notes = (_NOT_YET,) if self._has_keywords(request.project) else ()
            return Look(Found([], 0, True, {name: {} for name in request.facets}, notes, None), fields, Options(), 0)
        found = find(view, request)
        if not found.total:
            found = replace(found, notes=(*found.notes, *_unknown_sources(view, request)))
        return Look(found, fields, self._options(view, request.project), view.marker.position)

    def shown(self, looks: Sequence[Look]) -> list[Searched]:
        """What each of several looks found; for many together it takes little longer than for one."""
        records: dict[Options, list[list[Any]]] = {}
        for look in looks:
            if not _is_recorded(look.fields):
                records.setdefault(look.options, []).extend(look.found.records)
        objects = {options: iter(to_objects(listed, options)) for options, listed in records.items()}
        return [
            Searched(
                to_recorded(look.found.records, look.fields, look.options.market)
                if _is_recorded(look.fields)
                else _chosen(islice(objects[look.options], len(look.found.records)), look.fields),
                look.found.total,
                look.found.total_is_exact,
                look.found.facets,
                look.found.notes,
                look.found.next_cursor,
                look.position,
            )
            for look in looks
        ]

    def suggest(self, project: str, text: str, limit: int = 10) -> list[dict[str, Any]]:
        """The most searched keywords that begin as somebody types: keyword, volume. Raises NotFound."""
        view = self._view(project)
        if view is None:
            return []
        return self._objects(view, project, suggest(view, project, text, limit), ("keyword", "id", "market", "volume"))

    def related(
        self, project: str, keyword_id: str, limit: int = 10, fields: Sequence[str] | None = None
    ) -> list[dict[str, Any]]:
        """Keywords that share words with one, those that share most first.

        Raises NotFound for the project, and for a keyword that is not in its index.
        """
        view = self._view(project)
        phrase = None if view is None else phrase_of(view, project, keyword_id)
        if view is None or phrase is None:
            raise NotFound(f"keyword {keyword_id!r} does not exist in project {project!r}", id=keyword_id)
        return self._objects(view, project, related(view, project, keyword_id, phrase, limit), fields)

    def group_tree(self, request: Request) -> Tally:
        """The words of what matches, each with its next words. Raises as `find`."""
        view = self._view(request.project)
        if view is None:
            check(request)
            return Tally(0, 0)
        return group_tree(view, request)

    def ngrams(self, request: Request, length: int) -> Tally:
        """The runs of so many words in what matches. Raises as `find`, and InvalidOption for the length."""
        if not 1 <= length <= LONGEST_NGRAM:
            raise InvalidOption(f"n is {length}: give a number from 1 to {LONGEST_NGRAM}", n=length)
        view = self._view(request.project)
        if view is None:
            check(request)
            return Tally(0, 0)
        return ngrams(view, request, length)

    def is_indexed(self, project: str) -> bool:
        """Whether searches of a project touch nothing but its index."""
        return self._indexed(project) is not None

    def stamp(self, project: str) -> tuple[str, ...] | None:
        """What searches of a project are answered from now, the same in every process; None where that is not its index
        alone. As long as it is the same, so are the answers.
        """
        view = self._indexed(project)
        if view is None:
            return None
        marker = view.marker
        brands = ",".join(self._settings.brands)
        return (str(marker.position), str(marker.changes), marker.model_version, MODEL_VERSION, brands)

    def wait_for(self, project: str, position: int | None, seconds: float) -> None:
        """Return once searches of a project find everything up to a position of its log, None for all of it.

        Raises NotReached where that takes longer.
        """
        if position is None:
            with self._catalogue.database_of(project).read() as connection:
                position = log.head(connection, bucket_of(project))
        until = time.monotonic() + seconds
        while True:
            view = self._newest(project)
            reached = self._nothing_up_to(project) if view is None else view.marker.position
            if reached >= position:
                return
            if time.monotonic() > until:
                raise NotReached(
                    f"the search index has not caught up within {seconds:g} seconds: ask again",
                    model="search",
                    position=reached,
                )
            time.sleep(_PAUSE)

    def _nothing_up_to(self, project: str) -> int:
        """The position up to which there is no keyword that an index could hold; 0 where there are some."""
        with self._catalogue.database_of(project).read() as connection:
            standing = changes.standing(connection, bucket_of(project))
        return 0 if standing.number else standing.position

    def _has_keywords(self, project: str) -> bool:
        with self._catalogue.database_of(project).read(project) as connection:
            return bool(changes.rows_behind(connection, bucket_of(project), project, "", 1).height)

    def catch_up(self, project: str) -> None:
        """Bring the index of a project up to the read models, where no processor does."""
        database, bucket = self._catalogue.database_of(project), bucket_of(project)
        with database.read() as connection:
            newest = changes.standing(connection, bucket)
        builder = Builder(database, self.indexes)
        try:
            builder.follow(bucket, newest)
        except IndexBusy:  # a processor is at it
            with suppress(NotReached):
                self.wait_for(project, newest.position, _FOLLOWED_SECONDS)
        finally:
            builder.close()
        self.indexes.of(bucket).view(now=True)

    def _newest(self, project: str) -> View | None:
        self._catalogue.locate_projects()
        return self.indexes.of(bucket_of(project)).view()

    def _view(self, project: str) -> View | None:
        """The index of a project, None where there is nothing of it yet. Raises NotFound."""
        view = self._indexed(project)
        if view is not None:
            return view
        project_now = self._catalogue.project(project)
        view = self._newest(project)
        if view is None or project not in view.marker.projects:
            return None
        # It was deleted, and is there: made again since, or brought back with the database of an earlier time.
        deleted = self._catalogue.deleted.since(project, view.marker.position)
        is_same = deleted is None or (project_now.created_at is not None and project_now.created_at < deleted)
        return view if is_same else None

    def _indexed(self, project: str) -> View | None:
        """The index of a project, None where it holds nothing of it or what was deleted since."""
        view = self._newest(project)
        if view is None or project not in view.marker.projects:
            return None
        return None if self._catalogue.deleted.since(project, view.marker.position) else view

    def _objects(
        self, view: View, project: str, records: list[list[Any]], fields: Sequence[str] | None
    ) -> list[dict[str, Any]]:
        options = self._options(view, project)
        if _is_recorded(fields):
            return to_recorded(records, fields, options.market)
        return _chosen(to_objects(records, options), fields)

    def _options(self, view: View, project: str) -> Options:
        """How the keywords of an index were analysed."""
        return view.remembered(("options", project), lambda: self._make_options(view, project))

    def _make_options(self, view: View, project: str) -> Options:
        known = view.marker.projects[project]
        return Options(
            market=Market.parse(known.market) if known.market else None,
            brands=tuple(dict.fromkeys((*self._settings.brands, *known.brands))),
            weights=Weights(**known.weights),
            language_table=self._settings.language_table_path,
        )


def _is_recorded(fields: Sequence[str] | None) -> TypeGuard[Sequence[str]]:
    """Whether all these fields are shown without an analysis."""
    return fields is not None and RECORDED.issuperset(fields)


def _chosen(objects: Iterable[dict[str, Any]], fields: Sequence[str] | None) -> list[dict[str, Any]]:
    """Keyword objects with these fields alone, None for all."""
    return list(objects) if fields is None else [{name: row[name] for name in fields} for row in objects]


def _unknown_sources(view: View, request: Request) -> tuple[str, ...]:
    """A note for each source asked for that no keyword of the project has: anything may be a source, a slip too."""
    asked = (request.filters or {}).get("source")
    if asked is None:
        return ()
    return tuple(
        no_such_source(name, request.project)
        for name in choices_of("source", asked)
        if not find(view, Request(request.project, filters={"source": name}, limit=1)).total
    )
