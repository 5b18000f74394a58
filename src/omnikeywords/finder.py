"""Finder: what one does with keywords, in the words of keyword research. The API, the command line and later
the web pages share these verbs; none of them knows what stands behind. No SQL, no HTTP, nothing printed.

What a verb needs is imported when it is first called, so that a process that only answers small calls never
loads the readers of files.
"""

import contextlib
import functools
import io
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, get_args

from omnikeywords.analysis import Analysis, Kind, Options, analyse
from omnikeywords.analysis.frequency import FrequencyTable, build_table
from omnikeywords.errors import IdempotencyConflict, InvalidOption, LanguageTableMissing, NotFound, NotReached
from omnikeywords.model import Market
from omnikeywords.settings import Settings

if TYPE_CHECKING:
    import polars

    from omnikeywords.bulk import Progress, Results, Source
    from omnikeywords.catalog.events import Event
    from omnikeywords.catalog.follow import Parked
    from omnikeywords.catalog.imports import Import
    from omnikeywords.catalog.keys import Key
    from omnikeywords.catalog.listing import Compared, Group, Page
    from omnikeywords.catalog.marks import Mark
    from omnikeywords.catalog.projects import Project
    from omnikeywords.catalog.uploads import Keeping
    from omnikeywords.catalog.webhooks import Webhook
    from omnikeywords.db import Connection, Database
    from omnikeywords.fleet import Fleet
    from omnikeywords.formats import Export
    from omnikeywords.jobs import Job
    from omnikeywords.search import Request
    from omnikeywords.searching import Searched, Searches
    from omnikeywords.webhooks import DeadLetter
    from omnikeywords.workflows import Workflows

__all__ = ["DEFAULT_PROJECT", "Finder", "Importing"]

DEFAULT_PROJECT = "default"
_MARKED_AT_ONCE = 50  # keywords of which something is said in one transaction
_FOLLOWED_SECONDS = 2.0  # for what a person said to be seen

TableProgress = Callable[[str, int, int], None]  # stage, done, of


@dataclass(frozen=True, slots=True)
class Importing:
    """An import that was begun, or that was there already."""

    import_: "Import"
    job: "Job | None"  # that was begun with it; None where it is repeated
    repeated: bool  # the same content was imported before, for the same project, market and period

    @property
    def import_id(self) -> str:
        """Of the import."""
        return self.import_.id

    @property
    def job_id(self) -> str:
        """Of the job by which it came."""
        return self.import_.job_id


class _ImportedBefore(Exception):
    """There is no need of another import: nothing of it is kept."""

    def __init__(self, there: "Import") -> None:
        super().__init__(there.id)
        self.there = there


class Finder:
    """Keyword research under one set of settings; safe to share between threads."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        # Calls repeat the same few kinds and markets; the options decide which loaded models are used.
        self._options_of = functools.lru_cache(maxsize=1024)(self._make_options)
        self._opening = threading.RLock()
        self._opened: Database | None = None
        self._fleet: Fleet | None = None

    def options(self, kind: str = "comprehensive", market: str | None = None, brands: Sequence[str] = ()) -> Options:
        """How to analyse: `market` as `pt-BR`, brands besides those of the settings.

        Raises InvalidMarket, InvalidOption.
        """
        return self._options_of(kind, market, tuple(brands))

    def _make_options(self, kind: str, market: str | None, brands: tuple[str, ...]) -> Options:
        for known in get_args(Kind):
            if kind == known:
                return Options(
                    kind=known,
                    market=Market.parse(market) if market else None,
                    brands=tuple(dict.fromkeys((*self.settings.brands, *brands))),
                    language_table=self.settings.language_table_path,
                )
        raise InvalidOption(f"analysis type {kind!r} is unknown: use basic or comprehensive", analysis_type=kind)

    def analyse(
        self,
        phrases: Sequence[object],
        kind: str = "comprehensive",
        market: str | None = None,
        project: str = DEFAULT_PROJECT,
    ) -> Analysis:
        """Analyse phrases in their order; one that cannot be analysed is an error of its own row.

        Projects have no settings of their own: every one is analysed by those of this finder.

        Raises InvalidMarket, InvalidOption, LanguageTableMissing.
        """
        return analyse(phrases, self.options(kind, market))

    def analyse_files(
        self,
        sources: Sequence["Source"],
        options: Options,
        *,
        phrases: Sequence[str] = (),
        near_duplicates: bool = True,
        processes: int = 1,
        progress: "Progress | None" = None,
    ) -> "Results":
        """Analyse every keyword of exports in any format, one row a keyword; `phrases` come first, as they
        are.

        The results are a context manager over a temporary folder. `progress` is told (stage, rows done, rows
        in all where known).

        Raises UnreadableExport where a source is no keyword export or is damaged, LanguageTableMissing.
        """
        from omnikeywords.bulk import analyse_sources

        return analyse_sources(
            sources,
            options,
            phrases=phrases,
            near_duplicates=near_duplicates,
            processes=processes,
            progress=progress,
        )

    def describe(self, source: "Source", market: str | None = None) -> "Export":
        """What a file is and what would be read of it: its export, recognised and open; close it after use.

        Raises UnreadableExport, InvalidMarket.
        """
        from omnikeywords.formats import open_export

        return open_export(source.data, name=source.name, market=Market.parse(market) if market else None)

    def warm(self, progress: TableProgress | None = None, *, again: bool = False) -> bool:
        """See to it that the language table is there and the loops of the analysis are compiled; True if the table had
        to be built.

        `again` builds it anew.
        """
        built = again or not self.is_warm()
        if built:
            build_table(self.settings.language_table_path, progress)
        if progress:
            progress("loops", 0, 1)
        analyse(("load", "models"), self.options()).with_near_duplicates()
        if progress:
            progress("loops", 1, 1)
        return built

    def is_warm(self) -> bool:
        """Whether the language table is there and of the right version; it is not read through."""
        try:
            FrequencyTable.load(self.settings.language_table_path)
        except LanguageTableMissing:
            return False
        return True

    def sample(self) -> Path:
        """The sample export that comes with the program: a shop's Search Console queries in three
        languages."""
        return Path(__file__).parent / "sample" / "Queries.csv"

    # ---- the catalogue

    @property
    def _database(self) -> "Database":
        """The catalogue's database, opened when it is first needed: never before a process splits off workers. SQLite
        is brought to this version's schema here; PostgreSQL by `okf migrate`.

        Raises DatabaseUnavailable, SchemaOutdated.
        """
        if self._opened is None:
            with self._opening:
                self._opened = self._opened or self._open()
        return self._opened

    def _open(self) -> "Database":
        from omnikeywords.catalog.migrate import check, migrate
        from omnikeywords.db import Limits, connect

        settings = self.settings
        limits = Limits(
            settings.statement_timeout_ms, settings.lock_timeout_ms, connections=settings.database_connections
        )
        database = connect(settings.database, limits)
        try:
            if database.dialect == "sqlite":
                migrate(database)
            else:
                check(database)
        except BaseException:
            database.close()
            raise
        return database

    @property
    def fleet(self) -> "Fleet":
        """Every database that the catalogue lies on, for whoever looks after them. Raises as `_database` does."""
        from omnikeywords.fleet import Fleet

        with self._opening:
            if self._fleet is None:
                self._fleet = Fleet(self._database, self.settings)
            return self._fleet

    def database_of(self, project: str) -> "Database":
        """The database that holds a project."""
        return self.fleet.at(project)

    def _workflows(self, project: str) -> "Workflows":
        """The sagas of the database that holds a project."""
        return self.fleet.workflows(self.fleet.server_of(project).name)

    def close(self) -> None:
        """Give the connections to databases back."""
        if self._fleet is not None:
            self._fleet.close()
        elif self._opened is not None:
            self._opened.close()

    def look_at_database(self) -> None:
        """See to it that the catalogue can be used. Raises DatabaseUnavailable, DatabaseBusy, SchemaOutdated."""
        from omnikeywords.catalog.migrate import check

        check(self._database)

    def projects(self) -> "list[Project]":
        """Every project, by name. Raises DatabaseUnavailable where a server that may hold some is away."""
        from omnikeywords.catalog import projects

        there: dict[str, Project] = {}
        for database in self.fleet.databases().values():
            for found in projects.list_projects(database):
                if found.version or found.name not in there:  # `default` is told everywhere, made or not
                    there[found.name] = found
        return [there[name] for name in sorted(there)]

    def project(self, name: str) -> "Project":
        """One project. Raises NotFound."""
        from omnikeywords.catalog import projects

        return projects.find(self.database_of(name), name)

    def create_project(
        self,
        name: str,
        actor: str,
        market: str | None = None,
        *,
        brands: Sequence[str] = (),
        weights: Mapping[str, float] | None = None,
        home_region: str | None = None,
        own_bucket: bool = False,
    ) -> "Project":
        """Make a project, in a region of the servers if one is named; a large one has better a bucket of its own.

        Raises Conflict where it is there, InvalidOption, InvalidMarket.
        """
        from omnikeywords.catalog import projects

        made = projects.Project(
            name, Market.parse(market) if market else None, tuple(brands), dict(weights or {}), home_region
        )
        projects.check_name(name)
        with self.fleet.settle(name, home_region, own_bucket=own_bucket).write(name) as connection:
            return projects.create(connection, made, actor)

    def change_project(
        self, name: str, actor: str, changes: Mapping[str, Any], expected: int | None = None
    ) -> "Project":
        """Give a project another `market`, `brands`, `weights` or `home_region`; a job derives its keywords anew.

        Raises NotFound, VersionConflict, InvalidOption, InvalidMarket.
        """
        given = dict(changes)
        if given.get("market"):
            given["market"] = Market.parse(given["market"])
        if "brands" in given:
            given["brands"] = tuple(given["brands"])
        if self.fleet.several and given.get("home_region", region := self.fleet.server_of(name).region) != region:
            raise InvalidOption(
                f"project {name!r} lies in region {region!r}: `okf servers move` takes its bucket to another",
                project=name,
            )
        with self.database_of(name).write(name) as connection:
            return self._workflows(name).change_project(connection, name, actor, given, expected)

    def delete_project(self, name: str, actor: str) -> None:
        """Delete a project and erase everything that was ever said in it. Raises NotFound."""
        self.project(name)
        with self.database_of(name).write(name, statement_ms=600_000) as connection:
            self._workflows(name).delete_project(connection, name, actor)

    def create_key(
        self,
        name: str,
        actor: str,
        *,
        scope: str = "read",
        projects: Sequence[str] = (),
        expires_at: datetime | None = None,
    ) -> "tuple[Key, str]":
        """Make an API key, for all projects unless some are named: what is known of it, and its text, which cannot be
        had again.

        Raises InvalidOption.
        """
        from omnikeywords.catalog import keys

        with self._database.write() as connection:
            return keys.create(
                connection, name, created_by=actor, scope=scope, projects=projects, expires_at=expires_at
            )

    def keys(self) -> "list[Key]":
        """Every API key without its secret, those that were revoked or have expired too, the oldest first."""
        from omnikeywords.catalog import keys

        with self._database.read() as connection:
            return keys.list_keys(connection)

    def revoke_key(self, key_id: str) -> "Key":
        """Make an API key let nobody in any more. Raises NotFound."""
        from omnikeywords.catalog import keys

        with self._database.write() as connection:
            return keys.revoke(connection, key_id)

    def upload(self, project: str = DEFAULT_PROJECT) -> "Keeping":
        """An upload to go on with as it arrives; then `start_import` it, or drop it. Raises InvalidOption."""
        from omnikeywords.catalog import imports, projects, uploads

        return uploads.Keeping(self.database_of(project), projects.check_name(project), imports.new_id())

    def start_import(
        self,
        source: "BinaryIO | bytes | Keeping",
        *,
        name: str,
        project: str = DEFAULT_PROJECT,
        market: str | None = None,
        period: tuple[date, date] | None = None,
        again: bool = False,
        actor: str = "unknown",
        key: str | None = None,
    ) -> Importing:
        """Keep an upload and begin to import it, making the project if it is not there.

        When this returns, any process may go on with it. The same content for the same project, market and period is
        not imported twice unless `again` says so: the import that is there is answered. So is the one that was begun
        under the same idempotency `key`. An upload that arrived before is of the project that it was made for.

        Raises InvalidOption, InvalidMarket, IdempotencyConflict where the key was used for something else.
        """
        from omnikeywords.catalog import imports, uploads
        from omnikeywords.workflows import ImportRequest

        asked = str(Market.parse(market)) if market else None
        if isinstance(source, uploads.Keeping):
            upload = source
        else:
            upload = self.upload(project)
        project, import_id = upload.project, upload.import_id
        try:
            if not isinstance(source, uploads.Keeping):
                uploads.keep(upload, io.BytesIO(source) if isinstance(source, bytes) else source)
            days = "/".join(day.isoformat() for day in period) if period else ""
            content = f"{upload.digest}:{asked or ''}:{days}"
            request = ImportRequest(project, import_id, name, content, asked, period, actor)
            with self.database_of(project).write(project) as connection:
                if key is not None:
                    self._check_key(connection, project, content, key)
                upload.finish(connection)
                begun, job = self._workflows(project).start_import(connection, request, key)
                # Of several at once, those behind the first find it, as each has waited for its turn by now.
                there = None if again else imports.same_content(connection, project, content, but=import_id)
                if there is not None:
                    raise _ImportedBefore(there)
                return Importing(begun, job, False)
        except _ImportedBefore as found:
            upload.drop()
            return Importing(found.there, None, True)
        except BaseException:
            upload.drop()
            raise

    def _check_key(self, connection: "Connection", project: str, content: str, key: str) -> None:
        """Raises _ImportedBefore where an import was begun under an idempotency key, IdempotencyConflict where
        something else was."""
        from omnikeywords import jobs
        from omnikeywords.catalog import imports, log, projects

        log.take_turn(connection, projects.bucket_of(project))
        job = jobs.of_key(connection, project, key)
        if job is None:
            return
        there = imports.begun(connection, project, job.input.get("import_id", ""))
        if there is None or there.content != content:
            raise IdempotencyConflict(
                f"idempotency key {key!r} was used for another import: use a new key", key=key, job=job.id
            )
        raise _ImportedBefore(there)

    def run_job(self, job_id: str, on_look: "Callable[[Job], None] | None" = None) -> "Job":
        """Run a job in this process, or follow it while another runs it, until it has ended. Raises NotFound."""
        from omnikeywords.bulk import seldom_collected
        from omnikeywords.jobs import WorkerOptions, run_until_done

        workflows = self.fleet.workflows(self._server_of_job(job_id))
        options = WorkerOptions.of(self.settings)
        with seldom_collected():
            return run_until_done(workflows.database, workflows.sagas, job_id, options, on_look=on_look)

    def imports(
        self,
        project: str = DEFAULT_PROJECT,
        *,
        limit: int | None = None,
        before: "tuple[datetime, str] | None" = None,
    ) -> "list[Import]":
        """Imports of a project, the newest first; `before` are start and id of the last one of the page before."""
        from omnikeywords.catalog import imports

        return imports.list_imports(self.database_of(project), project, limit=limit, before=before)

    def count_imports(self, project: str = DEFAULT_PROJECT) -> int:
        """How many imports a project has had."""
        from omnikeywords.catalog import imports

        return imports.count_imports(self.database_of(project), project)

    def import_(self, import_id: str, project: str = DEFAULT_PROJECT) -> "Import":
        """One import. Raises NotFound."""
        from omnikeywords.catalog import imports

        return imports.find(self.database_of(project), project, import_id)

    def rejects(
        self, import_id: str, project: str = DEFAULT_PROJECT, *, first: int = 0, limit: int | None = None
    ) -> list[tuple[int | None, str]]:
        """The rows of an import that were not taken, as (line, reason), from the `first` on. Raises NotFound."""
        from omnikeywords.catalog import imports

        self.import_(import_id, project)
        return imports.list_rejects(self.database_of(project), project, import_id, first=first, limit=limit)

    def count_rejects(self, import_id: str, project: str = DEFAULT_PROJECT) -> int:
        """How many rows of an import are listed as not taken."""
        from omnikeywords.catalog import imports

        return imports.count_rejects(self.database_of(project), project, import_id)

    def withdraw_import(
        self, import_id: str, project: str, actor: str, reason: str = "withdrawn", *, erase: bool = True
    ) -> None:
        """Make an import count nowhere, and erase what it said unless the log is to keep it. Raises NotFound."""
        found = self.import_(import_id, project)
        with self.database_of(project).write(project, statement_ms=600_000) as connection:
            if erase:
                self._workflows(project).delete_import(connection, found, reason, actor)
            else:
                self._workflows(project).withdraw_import(connection, project, import_id, reason, actor)

    def keywords(
        self,
        project: str = DEFAULT_PROJECT,
        *,
        q: str = "",
        filters: Mapping[str, str] | None = None,
        order: str = "id",
        limit: int = 50,
        cursor: str | None = None,
    ) -> "Page":
        """One page of a project's keywords. Raises NotFound, InvalidOption."""
        from omnikeywords.catalog import listing

        return listing.page(
            self.fleet.reading(project),
            project,
            self._project_options(project),
            listing.Filters(q, filters or {}),
            order=order,
            limit=limit,
            cursor=cursor,
        )

    def count_keywords(self, project: str = DEFAULT_PROJECT) -> int:
        """How many keywords a project has. Raises NotFound."""
        from omnikeywords.catalog import listing

        self.project(project)
        return listing.count(self.fleet.reading(project), project)

    def keyword(self, keyword_id: str, project: str = DEFAULT_PROJECT) -> dict[str, Any]:
        """One keyword object. Raises NotFound."""
        from omnikeywords.catalog import listing

        return listing.find(self.database_of(project), project, self._project_options(project), keyword_id)

    def keywords_of(self, ids: Sequence[str], project: str = DEFAULT_PROJECT) -> list[dict[str, Any]]:
        """The keyword objects of those ids that there are, in the order of the ids. Raises NotFound."""
        from omnikeywords.catalog import listing

        return listing.find_many(self.fleet.reading(project), project, self._project_options(project), ids)

    def keyword_named(self, text: str, project: str = DEFAULT_PROJECT, market: str | None = None) -> str:
        """The id of a keyword that a person names, by its id or as a phrase; `market` tells it from the same phrase in
        others.

        Raises NotFound, InvalidKeyword, InvalidMarket, and InvalidOption where it is in several markets.
        """
        from omnikeywords.catalog import listing

        self.project(project)
        asked = Market.parse(market) if market else None
        return listing.named(self.database_of(project), project, text, asked)

    def mark(self, keyword_id: str, project: str = DEFAULT_PROJECT) -> "Mark":
        """What people said of a keyword, and its version."""
        from omnikeywords.catalog import marks

        with self.database_of(project).read(project) as connection:
            return marks.find(connection, project, keyword_id)

    def mark_keyword(
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
        from omnikeywords.catalog import groups, listing, marks

        about = self.keyword(keyword_id, project)
        said = dict(corrected) if corrected else None
        head = None
        if said and said.get("near_duplicate_of"):
            head = listing.phrase_of(self.database_of(project), project, said["near_duplicate_of"] or "")
            if head == about["normalized"]:
                raise InvalidOption(f"keyword {head!r} cannot be a near-duplicate of itself", keyword=head)
            said["near_duplicate_of"] = head
        with self.database_of(project).write(project) as connection:
            done = marks.put(connection, project, keyword_id, actor, tags=tags, corrected=said, expected=expected)
            if said and "near_duplicate_of" in said:
                groups.put_right(connection, project, keyword_id, head)
        self._follow_shortly(project, done.position)
        return self.keyword(keyword_id, project)

    def mark_keywords(
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
        from omnikeywords.catalog import marks

        there = [row["id"] for row in self.keywords_of(ids, project)]
        position = 0
        for start in range(0, len(there), _MARKED_AT_ONCE):
            with self.database_of(project).write(project) as connection:
                for keyword_id in there[start : start + _MARKED_AT_ONCE]:
                    before = marks.find(connection, project, keyword_id).tags
                    tags = sorted({*before, *add_tags} - set(remove_tags)) if add_tags or remove_tags else None
                    done = marks.put(connection, project, keyword_id, actor, tags=tags, corrected=corrected)
                    position = done.position
        if there:
            self._follow_shortly(project, position)
        return there

    def _follow_shortly(self, project: str, position: int) -> None:
        """Let what was just said be seen, if that is soon: behind a large import it takes until that is read."""
        from omnikeywords.catalog import follow
        from omnikeywords.catalog.keywords import MODEL
        from omnikeywords.catalog.projects import bucket_of

        until = time.monotonic() + _FOLLOWED_SECONDS
        follower = follow.Follower(self.database_of(project), self._workflows(project).model, bucket_of(project))
        follower.advance(lambda: time.monotonic() > until)
        with suppress(NotReached):
            follow.wait_until(
                self.database_of(project), MODEL, bucket_of(project), position, max(0.0, until - time.monotonic())
            )

    def history(self, keyword_id: str, project: str = DEFAULT_PROJECT) -> list[dict[str, Any]]:
        """Everything that any import said of a keyword. Raises NotFound."""
        from omnikeywords.catalog import listing

        return listing.history(self.fleet.reading(project), project, keyword_id)

    def groups(self, project: str = DEFAULT_PROJECT, *, limit: int = 50, after: str = "") -> "list[Group]":
        """Groups of near-duplicates by their heads; `after` is the head of the last one of the page before.

        Raises NotFound.
        """
        from omnikeywords.catalog import listing

        self.project(project)
        return listing.groups(self.fleet.reading(project), project, limit=limit, after=after)

    def count_groups(self, project: str = DEFAULT_PROJECT) -> int:
        """How many groups of near-duplicates a project has."""
        from omnikeywords.catalog import listing

        return listing.count_groups(self.fleet.reading(project), project)

    def compare(self, before: str, after: str, project: str = DEFAULT_PROJECT, *, limit: int = 1000) -> "Compared":
        """What is new, lost or moved in one import against another. Raises NotFound."""
        from omnikeywords.catalog import listing

        self.import_(before, project)
        self.import_(after, project)
        return listing.compare(self.fleet.reading(project), project, before, after, limit)

    def export(
        self, project: str = DEFAULT_PROJECT, q: str = "", filters: Mapping[str, str] | None = None
    ) -> "Iterator[polars.DataFrame]":
        """All keywords that the filters let through, as frames of keyword objects. Raises NotFound, InvalidOption."""
        from omnikeywords.catalog import listing

        chosen = listing.Filters(q, filters or {})
        chosen.where(project)  # what is wrong with it is said before the first frame
        return listing.export(self.fleet.reading(project), project, self._project_options(project), chosen)

    @functools.cached_property
    def searches(self) -> "Searches":
        """Whatever is found in search indexes."""
        from omnikeywords.searching import Searches

        return Searches(self.settings, self)

    def locate_projects(self) -> None:
        """Learn which bucket each project is in, unless that was learnt a moment ago."""
        if self.settings.database_servers:
            self.fleet.placement()

    def search(self, request: "Request", fields: Sequence[str] | None = None) -> "Searched":
        """Keywords of a project by what people type. A cache may stand here: what is found is of a position and of the
        analysis' version.

        Raises NotFound for the project, InvalidQuery for what would cost too much, InvalidOption for an unknown filter,
        order or facet.
        """
        return self.searches.find(request, fields)

    def jobs(self, project: str | None = None, *, limit: int = 50, before: str | None = None) -> "list[Job]":
        """Jobs, the newest first, of one project or of all; `before` is the id of the last one of the page before."""
        from omnikeywords.jobs import list_jobs

        databases = self.fleet.databases().values() if project is None else [self.database_of(project)]
        found: list[Job] = []
        for database in databases:
            with database.read(project) as connection:
                found += list_jobs(connection, project=project, limit=limit, before=before)
        return sorted(found, key=lambda job: job.id, reverse=True)[:limit]

    def count_jobs(self, project: str) -> int:
        """How many jobs of a project are remembered."""
        from omnikeywords.jobs import count_jobs

        with self.database_of(project).read(project) as connection:
            return count_jobs(connection, project)

    def job(self, job_id: str, project: str | None = None) -> "Job":
        """One job with its steps. Raises NotFound."""
        from omnikeywords.jobs import status

        with self.fleet.database(self._server_of_job(job_id, project)).read(project) as connection:
            return status(connection, job_id, project)

    def jobs_of(self, ids: Sequence[str], project: str) -> "dict[str, Job]":
        """Those of the jobs that are still remembered, with their steps, by id."""
        from omnikeywords.jobs import jobs_of

        with self.database_of(project).read(project) as connection:
            return jobs_of(connection, ids)

    def steer_job(self, verb: str, job_id: str, project: str | None = None) -> "Job":
        """`cancel`, `resume` or `retry` a job. Raises NotFound, Conflict where it is past that."""
        from omnikeywords import jobs

        act = {"cancel": jobs.cancel, "resume": jobs.resume, "retry": jobs.retry}[verb]
        server = self._server_of_job(job_id, project)
        with self.fleet.database(server).write(project) as connection:
            job = act(connection, job_id, project)
            if verb == "cancel" and job.state.ended:
                self.fleet.workflows(server).cancelled(connection, job)
            return job

    def _server_of_job(self, job_id: str, project: str | None = None) -> str:
        """The server that a job is on; any where there is no such job."""
        from omnikeywords.jobs import status

        if project is not None:
            return self.fleet.server_of(project).name
        *others, last = self.fleet.databases().items()
        for name, database in others:
            with database.read() as connection, contextlib.suppress(NotFound):
                status(connection, job_id)
                return name
        return last[0]

    def create_webhook(self, project: str, url: str, events: Sequence[str] = ()) -> "Webhook":
        """Tell a URL of every import of a project that ends; `events` narrows that. Its secret cannot be had again.

        Raises NotFound, InvalidOption for a URL that is not public or an unknown event, Conflict for one too many.
        """
        from omnikeywords.catalog import webhooks

        self.project(project)
        self._workflows(project).deliveries.check(url)
        with self.database_of(project).write(project) as connection:
            return webhooks.add(connection, project, url, events)

    def webhooks(self, project: str) -> "list[Webhook]":
        """The webhooks of a project, the oldest first. Raises NotFound."""
        from omnikeywords.catalog import webhooks

        self.project(project)
        return webhooks.list_webhooks(self.database_of(project), project)

    def webhook(self, webhook_id: str, project: str) -> "Webhook":
        """One webhook. Raises NotFound."""
        from omnikeywords.catalog import webhooks

        found = webhooks.look(self.database_of(project), project, webhook_id)
        if found is None:
            raise NotFound(f"webhook {webhook_id!r} does not exist in project {project!r}", webhook_id=webhook_id)
        return found

    def delete_webhook(self, webhook_id: str, project: str) -> None:
        """Send nothing more to a webhook, not what waits to be sent either. Raises NotFound."""
        from omnikeywords.catalog import webhooks

        with self.database_of(project).write(project) as connection:
            webhooks.remove(connection, project, webhook_id)

    def dead_letters(self, project: str, limit: int = 50, before: str | None = None) -> "list[DeadLetter]":
        """Deliveries to a project's webhooks that failed for good, the newest first; `before` is the job of the last
        one of the page before. Raises NotFound."""
        self.project(project)
        return self._workflows(project).deliveries.dead(project, limit, before)

    def count_dead_letters(self, project: str) -> int:
        """How many deliveries that failed for good are remembered."""
        return self._workflows(project).deliveries.count_dead(project)

    def redeliver(self, job_id: str, project: str) -> "Job":
        """Begin to send a dead letter once more. Raises NotFound, Conflict where it is none."""
        with self.database_of(project).write(project) as connection:
            return self._workflows(project).deliveries.redeliver(connection, project, job_id)

    def rebuild(self, progress: Callable[[int, int], None] = lambda done, of: None) -> None:
        """Make every read model anew from the log."""
        from omnikeywords.bulk import seldom_collected

        with seldom_collected():
            for server in self.fleet.databases():
                self.fleet.workflows(server).rebuild(progress)

    def catch_up(self, project: str = DEFAULT_PROJECT) -> None:
        """Move the read models on as far as the log goes, where no processor does, derive what is to be derived of a
        project, and look for its near-duplicates anew."""
        workflows = self._workflows(project)
        workflows.catch_up()
        for job in self.jobs(project, limit=1000):
            if job.kind == workflows.derive_keywords.kind and not job.state.ended:
                self.run_job(job.id)
        workflows.regroup(project)

    def events(self, project: str = DEFAULT_PROJECT, *, after: int | None = None, limit: int = 50) -> "list[Event]":
        """Events of a project without their rows, in their order: the first behind a position, or the last there are.

        Raises NotFound.
        """
        from omnikeywords.catalog import log
        from omnikeywords.catalog.projects import bucket_of

        self.project(project)
        with self.database_of(project).read(project) as connection:
            return log.list_events(connection, bucket_of(project), project, after, limit)

    def parked_events(self) -> "list[Parked]":
        """The events that some read model goes without, because it could not digest them."""
        from omnikeywords.catalog import follow

        found: list[Parked] = []
        for database in self.fleet.databases().values():
            with database.read() as connection:
                found += follow.parked_events(connection)
        return found

    def _project_options(self, name: str) -> Options:
        """How a project's keywords are analysed."""
        found = self.project(name)
        return Options(
            market=found.market,
            brands=tuple(dict.fromkeys((*self.settings.brands, *found.brands))),
            weights=found.score_weights(),
            language_table=self.settings.language_table_path,
        )
