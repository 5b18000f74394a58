"""Keywords: those of a project, what was observed of them and what people say of them."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

import polars

from omnikeywords.catalog import follow, groups, listing, marks
from omnikeywords.catalog.keywords import MODEL
from omnikeywords.catalog.listing import Group, Page
from omnikeywords.catalog.marks import Mark
from omnikeywords.catalog.projects import bucket_of
from omnikeywords.errors import InvalidOption, NotReached
from omnikeywords.finder.catalogue import DEFAULT_PROJECT, Catalogue

__all__ = ["Keywords"]

_MARKED_AT_ONCE = 50  # keywords of which something is said in one transaction
_FOLLOWED_SECONDS = 2.0  # for what a person said to be seen


class Keywords:
    """The keywords of every project; safe to share between threads."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    def page(
        self,
        project: str = DEFAULT_PROJECT,
        *,
        q: str = "",
        filters: Mapping[str, str] | None = None,
        order: str = "id",
        limit: int = 50,
        cursor: str | None = None,
    ) -> Page:
        """One page of a project's keywords. Raises NotFound, InvalidOption."""
        return listing.page(
            self._catalogue.reading(project),
            project,
            self._catalogue.options_of(project),
            listing.Filters(q, filters or {}),
            order=order,
            limit=limit,
            cursor=cursor,
        )

    def count(self, project: str = DEFAULT_PROJECT) -> int:
        """How many keywords a project has. Raises NotFound."""
        self._catalogue.project(project)
        return listing.count(self._catalogue.reading(project), project)

    def find(self, keyword_id: str, project: str = DEFAULT_PROJECT) -> dict[str, Any]:
        """One keyword object. Raises NotFound."""
        return listing.find(
            self._catalogue.database_of(project), project, self._catalogue.options_of(project), keyword_id
        )

    def find_many(self, ids: Sequence[str], project: str = DEFAULT_PROJECT) -> list[dict[str, Any]]:
        """The keyword objects of those ids that there are, in the order of the ids. Raises NotFound."""
        return listing.find_many(self._catalogue.reading(project), project, self._catalogue.options_of(project), ids)

    def named(self, text: str, project: str = DEFAULT_PROJECT, market: str | None = None) -> str:
        """The id of a keyword that a person names, by its id or as a phrase; `market` tells it from the same phrase in
        others, `none` that without one.

        Raises NotFound, InvalidKeyword, InvalidMarket, and InvalidOption where it is in several markets.
        """
        self._catalogue.project(project)
        return listing.named(self._catalogue.database_of(project), project, text, market or None)

    def mark_of(self, keyword_id: str, project: str = DEFAULT_PROJECT) -> Mark:
        """What people said of a keyword, and its version."""
        with self._catalogue.database_of(project).read(project) as connection:
            return marks.find(connection, project, keyword_id)

    def mark(
        self,
        keyword_id: str,
        project: str,
        actor: str,
        *,
        tags: Sequence[str] | None = None,
        corrected: Mapping[str, str | None] | None = None,
        expected: int | None = None,
    ) -> dict[str, Any]:
        """Say something of a keyword, which goes before what we think of it; returns how it stands then.

        Raises NotFound, InvalidOption, VersionConflict.
        """
        about = self.find(keyword_id, project)
        said = dict(corrected) if corrected else None
        head = None
        if said and said.get("near_duplicate_of"):
            head = listing.phrase_of(self._catalogue.database_of(project), project, said["near_duplicate_of"] or "")
            if head == about["normalized"]:
                raise InvalidOption(f"keyword {head!r} cannot be a near-duplicate of itself", keyword=head)
            said["near_duplicate_of"] = head
        with self._catalogue.database_of(project).write(project) as connection:
            done = marks.put(connection, project, keyword_id, actor, tags=tags, corrected=said, expected=expected)
            if said and "near_duplicate_of" in said:
                groups.put_right(connection, project, keyword_id, head)
        self._follow_shortly(project, done.position)
        return self.find(keyword_id, project)

    def mark_many(
        self,
        ids: Sequence[str],
        project: str,
        actor: str,
        *,
        add_tags: Sequence[str] = (),
        remove_tags: Sequence[str] = (),
        corrected: Mapping[str, str | None] | None = None,
    ) -> list[str]:
        """Say the same of several keywords; returns the ids of those that there are.

        Raises NotFound for the project, InvalidOption before anything is said.
        """
        there = [row["id"] for row in self.find_many(ids, project)]
        position = 0
        for start in range(0, len(there), _MARKED_AT_ONCE):
            with self._catalogue.database_of(project).write(project) as connection:
                for keyword_id in there[start : start + _MARKED_AT_ONCE]:
                    before = marks.find(connection, project, keyword_id).tags
                    tags = sorted({*before, *add_tags} - set(remove_tags)) if add_tags or remove_tags else None
                    done = marks.put(connection, project, keyword_id, actor, tags=tags, corrected=corrected)
                    position = done.position
        if there:
            self._follow_shortly(project, position)
        return there

    def history(self, keyword_id: str, project: str = DEFAULT_PROJECT) -> list[dict[str, Any]]:
        """Everything that any import said of a keyword. Raises NotFound."""
        return listing.history(self._catalogue.reading(project), project, keyword_id)

    def groups(self, project: str = DEFAULT_PROJECT, *, limit: int = 50, after: str = "") -> list[Group]:
        """Groups of near-duplicates by their heads; `after` is the head of the last one of the page before.

        Raises NotFound.
        """
        self._catalogue.project(project)
        return listing.groups(self._catalogue.reading(project), project, limit=limit, after=after)

    def count_groups(self, project: str = DEFAULT_PROJECT) -> int:
        """How many groups of near-duplicates a project has."""
        return listing.count_groups(self._catalogue.reading(project), project)

    def export(
        self, project: str = DEFAULT_PROJECT, q: str = "", filters: Mapping[str, str] | None = None
    ) -> Iterator[polars.DataFrame]:
        """All keywords that the filters let through, as frames of keyword objects. Raises NotFound, InvalidOption."""
        chosen = listing.Filters(q, filters or {})
        chosen.where(project)  # what is wrong with it is said before the first frame
        return listing.export(self._catalogue.reading(project), project, self._catalogue.options_of(project), chosen)

    def _follow_shortly(self, project: str, position: int) -> None:
        """Let what was just said be seen, if that is soon: behind a large import it takes until that is read."""
        until = time.monotonic() + _FOLLOWED_SECONDS
        database, bucket = self._catalogue.database_of(project), bucket_of(project)
        follower = follow.Follower(database, self._catalogue.workflows_of(project).model, bucket)
        follower.advance(lambda: time.monotonic() > until)
        with suppress(NotReached):
            follow.wait_until(database, MODEL, bucket, position, max(0.0, until - time.monotonic()))
