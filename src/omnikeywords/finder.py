"""Finder: what one does with keywords, in the words of keyword research. The API, the command line and later
the web pages share these verbs; none of them knows what stands behind. No SQL, no HTTP, nothing printed.

What a verb needs is imported when it is first called, so that a process that only answers small calls never
loads the readers of files.
"""

import functools
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, get_args

from omnikeywords.analysis import Analysis, Kind, Options, analyse
from omnikeywords.analysis.frequency import FrequencyTable, build_table
from omnikeywords.errors import InvalidOption, LanguageTableMissing
from omnikeywords.model import Market
from omnikeywords.settings import Settings

if TYPE_CHECKING:
    import polars

    from omnikeywords.bulk import Progress, Results, Source
    from omnikeywords.catalog.events import Event
    from omnikeywords.catalog.follow import Parked
    from omnikeywords.catalog.imports import Import
    from omnikeywords.catalog.listing import Compared, Page
    from omnikeywords.catalog.marks import Mark
    from omnikeywords.catalog.projects import Project
    from omnikeywords.db import Database
    from omnikeywords.formats import Export
    from omnikeywords.jobs import Job
    from omnikeywords.workflows import Workflows

__all__ = ["DEFAULT_PROJECT", "Finder", "Importing"]

DEFAULT_PROJECT = "default"

TableProgress = Callable[[str, int, int], None]  # stage, done, of


@dataclass(frozen=True, slots=True)
class Importing:
    """An import that was begun, or that was there already."""

    import_id: str
    job_id: str
    repeated: bool  # the same content was imported before, for the same project, market and period


class Finder:
    """Keyword research under one set of settings; safe to share between threads."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        # Calls repeat the same few kinds and markets; the options decide which loaded models are used.
        self._options_of = functools.lru_cache(maxsize=1024)(self._make_options)

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

    @functools.cached_property
    def _database(self) -> "Database":
        """The catalogue's database. SQLite is brought to this version's schema here; PostgreSQL by `okf migrate`.

        Raises DatabaseUnavailable, SchemaOutdated.
        """
        from omnikeywords.catalog.migrate import check, migrate
        from omnikeywords.db import Limits, connect

        settings = self.settings
        limits = Limits(
            settings.statement_timeout_ms, settings.lock_timeout_ms, connections=settings.database_connections
        )
        database = connect(settings.database, limits)
        if database.dialect == "sqlite":
            migrate(database)
        else:
            check(database)
        return database

    @functools.cached_property
    def workflows(self) -> "Workflows":
        """The sagas, for whoever runs them."""
        from omnikeywords.workflows import Workflows

        return Workflows(self._database, self.settings.language_table_path, self.settings.brands)

    def close(self) -> None:
        """Give the database's connections back."""
        if "_database" in self.__dict__:
            self._database.close()

    def projects(self) -> "list[Project]":
        """Every project, by name."""
        from omnikeywords.catalog import projects

        return projects.list_projects(self._database)

    def project(self, name: str) -> "Project":
        """One project. Raises NotFound."""
        from omnikeywords.catalog import projects

        return projects.find(self._database, name)

    def create_project(self, name: str, actor: str, market: str | None = None) -> "Project":
        """Make a project. Raises Conflict where it is there, InvalidOption, InvalidMarket."""
        from omnikeywords.catalog import projects

        with self._database.write(name) as connection:
            return projects.create(connection, projects.Project(name, Market.parse(market) if market else None), actor)

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
        with self._database.write(name) as connection:
            return self.workflows.change_project(connection, name, actor, given, expected)

    def delete_project(self, name: str, actor: str) -> None:
        """Delete a project and erase everything that was ever said in it. Raises NotFound."""
        self.project(name)
        with self._database.write(name, statement_ms=600_000) as connection:
            self.workflows.delete_project(connection, name, actor)

    def start_import(
        self,
        source: BinaryIO | bytes,
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
        not imported twice unless `again` says so: the import that is there is answered.

        Raises InvalidOption, InvalidMarket, IdempotencyConflict.
        """
        from omnikeywords.catalog import imports, projects, uploads
        from omnikeywords.workflows import ImportRequest

        projects.check_name(project)
        asked = str(Market.parse(market)) if market else None
        import_id = imports.new_id()
        digest = uploads.keep(
            self._database, project, import_id, io.BytesIO(source) if isinstance(source, bytes) else source
        )
        days = "/".join(day.isoformat() for day in period) if period else ""
        content = f"{digest}:{asked or ''}:{days}"
        with self._database.write(project) as connection:
            there = None if again else imports.same_content(connection, project, content)
            if there is not None:
                uploads.forget(connection, project, import_id)
                return Importing(there.id, there.job_id, True)
            projects.ensure(connection, project, actor)
            request = ImportRequest(project, import_id, name, content, asked, period, actor)
            started = self.workflows.start_import(connection, request, key)
            return Importing(import_id, started.job.id, False)

    def run_job(self, job_id: str, on_look: "Callable[[Job], None] | None" = None) -> "Job":
        """Run a job in this process, or follow it while another runs it, until it has ended. Raises NotFound."""
        from omnikeywords.jobs import WorkerOptions, run_until_done

        return run_until_done(
            self._database, self.workflows.sagas, job_id, WorkerOptions.of(self.settings), on_look=on_look
        )

    def imports(self, project: str = DEFAULT_PROJECT) -> "list[Import]":
        """Every import of a project, the newest first."""
        from omnikeywords.catalog import imports

        return imports.list_imports(self._database, project)

    def import_(self, import_id: str, project: str = DEFAULT_PROJECT) -> "Import":
        """One import. Raises NotFound."""
        from omnikeywords.catalog import imports

        return imports.find(self._database, project, import_id)

    def rejects(self, import_id: str, project: str = DEFAULT_PROJECT) -> list[tuple[int | None, str]]:
        """The rows of an import that were not taken, as (line, reason). Raises NotFound."""
        from omnikeywords.catalog import imports

        self.import_(import_id, project)
        return imports.list_rejects(self._database, project, import_id)

    def withdraw_import(
        self, import_id: str, project: str, actor: str, reason: str = "withdrawn", *, erase: bool = True
    ) -> None:
        """Make an import count nowhere, and erase what it said unless the log is to keep it. Raises NotFound."""
        from omnikeywords.catalog import imports

        found = self.import_(import_id, project)
        with self._database.write(project, statement_ms=600_000) as connection:
            if erase:
                self.workflows.delete_import(connection, found, reason, actor)
            else:
                imports.withdraw(connection, project, import_id, reason, actor)

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
            self._database,
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
        return listing.count(self._database, project)

    def keyword(self, keyword_id: str, project: str = DEFAULT_PROJECT) -> dict[str, Any]:
        """One keyword object. Raises NotFound."""
        from omnikeywords.catalog import listing

        return listing.find(self._database, project, self._project_options(project), keyword_id)

    def keyword_named(self, text: str, project: str = DEFAULT_PROJECT, market: str | None = None) -> str:
        """The id of a keyword that a person names, by its id or as a phrase; `market` tells it from the same phrase in
        others.

        Raises NotFound, InvalidKeyword, InvalidMarket, and InvalidOption where it is in several markets.
        """
        from omnikeywords.catalog import listing

        self.project(project)
        asked = Market.parse(market) if market else None
        return listing.named(self._database, project, text, asked)

    def mark(self, keyword_id: str, project: str = DEFAULT_PROJECT) -> "Mark":
        """What people said of a keyword, and its version."""
        from omnikeywords.catalog import marks

        with self._database.read(project) as connection:
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
        from omnikeywords.catalog import follow, marks
        from omnikeywords.catalog.keywords import MODEL
        from omnikeywords.catalog.projects import bucket_of

        self.keyword(keyword_id, project)
        with self._database.write(project) as connection:
            done = marks.put(connection, project, keyword_id, actor, tags=tags, corrected=corrected, expected=expected)
        follow.Follower(self._database, self.workflows.model, bucket_of(project)).advance()
        follow.wait_until(self._database, MODEL, bucket_of(project), done.position, 5)
        return self.keyword(keyword_id, project)

    def history(self, keyword_id: str, project: str = DEFAULT_PROJECT) -> list[dict[str, Any]]:
        """Everything that any import said of a keyword. Raises NotFound."""
        from omnikeywords.catalog import listing

        return listing.history(self._database, project, keyword_id)

    def compare(self, before: str, after: str, project: str = DEFAULT_PROJECT, *, limit: int = 1000) -> "Compared":
        """What is new, lost or moved in one import against another. Raises NotFound."""
        from omnikeywords.catalog import listing

        self.import_(before, project)
        self.import_(after, project)
        return listing.compare(self._database, project, before, after, limit)

    def export(
        self, project: str = DEFAULT_PROJECT, q: str = "", filters: Mapping[str, str] | None = None
    ) -> "Iterator[polars.DataFrame]":
        """All keywords that the filters let through, as frames of keyword objects. Raises NotFound, InvalidOption."""
        from omnikeywords.catalog import listing

        chosen = listing.Filters(q, filters or {})
        chosen.where(project)  # what is wrong with it is said before the first frame
        return listing.export(self._database, project, self._project_options(project), chosen)

    def jobs(self, project: str | None = None, *, limit: int = 50, before: str | None = None) -> "list[Job]":
        """Jobs, the newest first, of one project or of all; `before` is the id of the last one of the page before."""
        from omnikeywords.jobs import list_jobs

        with self._database.read(project) as connection:
            return list(list_jobs(connection, project=project, limit=limit, before=before))

    def job(self, job_id: str, project: str | None = None) -> "Job":
        """One job with its steps. Raises NotFound."""
        from omnikeywords.jobs import status

        with self._database.read(project) as connection:
            return status(connection, job_id, project)

    def steer_job(self, verb: str, job_id: str, project: str | None = None) -> "Job":
        """`cancel`, `resume` or `retry` a job. Raises NotFound, Conflict where it is past that."""
        from omnikeywords import jobs

        act = {"cancel": jobs.cancel, "resume": jobs.resume, "retry": jobs.retry}[verb]
        with self._database.write(project) as connection:
            job = act(connection, job_id, project)
            if verb == "cancel" and job.state.ended:
                self.workflows.cancelled(connection, job)
            return job

    def rebuild(self, progress: Callable[[int, int], None] = lambda done, of: None) -> None:
        """Make every read model anew from the log."""
        self.workflows.rebuild(progress)

    def catch_up(self, project: str = DEFAULT_PROJECT) -> None:
        """Move the read models on as far as the log goes, where no processor does, and look for the near-duplicates of
        a project anew."""
        self.workflows.catch_up()
        self.workflows.regroup(project)

    def events(self, project: str = DEFAULT_PROJECT, *, after: int | None = None, limit: int = 50) -> "list[Event]":
        """Events of a project without their rows, in their order: the first behind a position, or the last there are.

        Raises NotFound.
        """
        from omnikeywords.catalog import log
        from omnikeywords.catalog.projects import bucket_of

        self.project(project)
        with self._database.read(project) as connection:
            return log.list_events(connection, bucket_of(project), project, after, limit)

    def parked_events(self) -> "list[Parked]":
        """The events that some read model goes without, because it could not digest them."""
        from omnikeywords.catalog import follow

        with self._database.read() as connection:
            return follow.parked_events(connection)

    def _project_options(self, name: str) -> Options:
        """How a project's keywords are analysed."""
        found = self.project(name)
        return Options(
            market=found.market,
            brands=tuple(dict.fromkeys((*self.settings.brands, *found.brands))),
            weights=found.score_weights(),
            language_table=self.settings.language_table_path,
        )
