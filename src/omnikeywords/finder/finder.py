"""Finder: what one does with keywords, in the words of keyword research.

What a verb needs is imported when it is first called, so that a process that only answers small calls never
loads the readers of files.
"""

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from omnikeywords.analysis import Analysis, Kind, Options, analyse
from omnikeywords.analysis.compiler import told_of_compiling
from omnikeywords.analysis.frequency import FrequencyTable, build_table
from omnikeywords.errors import InvalidOption, LanguageTableMissing
from omnikeywords.finder.catalogue import DEFAULT_PROJECT, Catalogue
from omnikeywords.model import Market
from omnikeywords.settings import Settings

if TYPE_CHECKING:
    from omnikeywords.bulk import Progress, Results, Source
    from omnikeywords.catalog.events import Event
    from omnikeywords.catalog.follow import Parked
    from omnikeywords.finder.imports import Imports
    from omnikeywords.finder.jobs import Jobs
    from omnikeywords.finder.keys import Keys
    from omnikeywords.finder.keywords import Keywords
    from omnikeywords.finder.projects import Projects
    from omnikeywords.finder.searches import Searches
    from omnikeywords.finder.webhooks import Webhooks
    from omnikeywords.formats import Export

__all__ = ["Finder"]

TableProgress = Callable[[str, int, int], None]  # stage, done, of


class Finder:
    """Keyword research under one set of settings; safe to share between threads."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.catalogue = Catalogue(settings)
        # Calls repeat the same few kinds and markets; the options decide which loaded models are used.
        self._options_of = functools.lru_cache(maxsize=1024)(self._make_options)

    def close(self) -> None:
        """Give the connections to databases back."""
        self.catalogue.close()

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

        It touches no disk, so what a project is analysed by in the catalogue is not looked up: all are by the settings
        of this finder.

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

    def prepare(self, on_compile: Callable[[], object]) -> None:
        """Load what the analysis needs. `on_compile` is called if its loops must be compiled, which takes half a minute
        and is for this process and those that come after it."""
        with told_of_compiling(on_compile):
            analyse(("load", "models"), self.options()).with_near_duplicates()

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
        return Path(__file__).parent.parent / "sample" / "Queries.csv"

    @functools.cached_property
    def projects(self) -> "Projects":
        """The verbs of projects."""
        from omnikeywords.finder.projects import Projects

        return Projects(self.catalogue)

    @functools.cached_property
    def imports(self) -> "Imports":
        """The verbs of imports."""
        from omnikeywords.finder.imports import Imports

        return Imports(self.catalogue)

    @functools.cached_property
    def keywords(self) -> "Keywords":
        """The verbs of keywords that are kept."""
        from omnikeywords.finder.keywords import Keywords

        return Keywords(self.catalogue)

    @functools.cached_property
    def searches(self) -> "Searches":
        """Whatever is found in search indexes."""
        from omnikeywords.finder.searches import Searches

        return Searches(self.catalogue)

    @functools.cached_property
    def jobs(self) -> "Jobs":
        """The verbs of jobs."""
        from omnikeywords.finder.jobs import Jobs

        return Jobs(self.catalogue)

    @functools.cached_property
    def webhooks(self) -> "Webhooks":
        """The verbs of webhooks."""
        from omnikeywords.finder.webhooks import Webhooks

        return Webhooks(self.catalogue)

    @functools.cached_property
    def keys(self) -> "Keys":
        """The verbs of API keys."""
        from omnikeywords.finder.keys import Keys

        return Keys(self.catalogue)

    def rebuild(self, progress: Callable[[int, int], None] = lambda done, of: None) -> None:
        """Make every read model anew from the log."""
        from omnikeywords.bulk import seldom_collected

        with seldom_collected():
            for server in self.catalogue.fleet.databases():
                self.catalogue.fleet.workflows(server).rebuild(progress)

    def catch_up(self, project: str = DEFAULT_PROJECT) -> None:
        """Move the read models on as far as the log goes, where no processor does, derive what is to be derived of a
        project, erase what was deleted of it, and look for its near-duplicates anew."""
        from omnikeywords.bulk import seldom_collected

        workflows = self.catalogue.workflows_of(project)
        with seldom_collected():  # never for long within a transaction
            workflows.catch_up()
            for job in self.jobs.newest(project, limit=1000):
                if job.kind in (workflows.derive_keywords.kind, workflows.erase.kind) and not job.state.ended:
                    self.jobs.run(job.id)
            workflows.regroup(project)

    def events(self, project: str = DEFAULT_PROJECT, *, after: int | None = None, limit: int = 50) -> "list[Event]":
        """Events of a project without their rows, in their order: the first behind a position, or the last there are.

        Raises NotFound.
        """
        from omnikeywords.catalog import log
        from omnikeywords.catalog.projects import bucket_of

        self.catalogue.project(project)
        with self.catalogue.database_of(project).read(project) as connection:
            return log.list_events(connection, bucket_of(project), project, after, limit)

    def parked_events(self) -> "list[Parked]":
        """The events that some read model goes without, because it could not digest them."""
        from omnikeywords.catalog import follow

        found: list[Parked] = []
        for database in self.catalogue.fleet.databases().values():
            with database.read() as connection:
                found += follow.parked_events(connection)
        return found
