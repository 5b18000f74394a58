"""The catalogue as the verbs reach it: its databases, opened when the first of them is needed, and what each project
lies on and is analysed by.

What opens them is imported then too, so that a process that only analyses never loads the drivers.
"""

import threading
from typing import TYPE_CHECKING

from omnikeywords.analysis import Options
from omnikeywords.finder.deleted import Deleted
from omnikeywords.settings import Settings

if TYPE_CHECKING:
    from omnikeywords.catalog.projects import Project
    from omnikeywords.db import Database
    from omnikeywords.fleet import Fleet
    from omnikeywords.workflows import Workflows

__all__ = ["DEFAULT_PROJECT", "Catalogue"]

DEFAULT_PROJECT = "default"


class Catalogue:
    """The databases of one set of settings; safe to share between threads."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.deleted = Deleted(settings.search_folder)
        self._opening = threading.RLock()
        self._first: Database | None = None
        self._fleet: Fleet | None = None

    @property
    def first(self) -> "Database":
        """The first database, opened when it is first needed: never before a process splits off workers. SQLite is
        brought to this version's schema here; PostgreSQL by `okf migrate`.

        Raises DatabaseUnavailable, SchemaOutdated.
        """
        if self._first is None:
            with self._opening:
                self._first = self._first or self._open()
        return self._first

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
        """Every database, for whoever looks after them. Raises as `first` does."""
        from omnikeywords.fleet import Fleet

        with self._opening:
            if self._fleet is None:
                self._fleet = Fleet(self.first, self.settings)
            return self._fleet

    def close(self) -> None:
        """Give the connections to databases back."""
        if self._fleet is not None:
            self._fleet.close()
        elif self._first is not None:
            self._first.close()

    def check(self) -> None:
        """See to it that the catalogue can be used. Raises DatabaseUnavailable, DatabaseBusy, SchemaOutdated."""
        from omnikeywords.catalog.migrate import check

        check(self.first)

    def database_of(self, project: str) -> "Database":
        """The database that holds a project."""
        return self.fleet.at(project)

    def reading(self, project: str) -> "Database":
        """A database that knows all of a project, which may be a copy of the one that holds it."""
        return self.fleet.reading(project)

    def workflows_of(self, project: str) -> "Workflows":
        """The sagas of the database that holds a project."""
        return self.fleet.workflows(self.fleet.server_of(project).name)

    def locate_projects(self) -> None:
        """Learn which bucket each project is in, unless that was learnt a moment ago."""
        if self.settings.database_servers:
            self.fleet.placement()

    def project(self, name: str) -> "Project":
        """One project. Raises NotFound."""
        from omnikeywords.catalog import projects

        return projects.find(self.database_of(name), name)

    def options_of(self, project: str) -> Options:
        """How a project's keywords are analysed. Raises NotFound."""
        found = self.project(project)
        return Options(
            market=found.market,
            brands=tuple(dict.fromkeys((*self.settings.brands, *found.brands))),
            weights=found.score_weights(),
            language_table=self.settings.language_table_path,
        )
