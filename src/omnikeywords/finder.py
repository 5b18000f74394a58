"""Finder: what one does with keywords, in the words of keyword research. The API, the command line and later
the web pages share these verbs; none of them knows what stands behind. No SQL, no HTTP, nothing printed.

What a verb needs is imported when it is first called, so that a process that only answers small calls never
loads the readers of files.
"""

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from omnikeywords.analysis import Analysis, Kind, Options, analyse
from omnikeywords.analysis.frequency import FrequencyTable, build_table
from omnikeywords.errors import InvalidOption, LanguageTableMissing
from omnikeywords.model import Market
from omnikeywords.settings import Settings

if TYPE_CHECKING:
    from omnikeywords.bulk import Progress, Results, Source
    from omnikeywords.formats import Export

__all__ = ["DEFAULT_PROJECT", "Finder"]

DEFAULT_PROJECT = "default"

TableProgress = Callable[[str, int, int], None]  # stage, done, of


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
        analyse(("load", "models"), self.options()).with_near_duplicates()
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
