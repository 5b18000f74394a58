"""Projects, and what may be done with them as a whole."""

from collections.abc import Mapping, Sequence
from typing import Any

from omnikeywords.catalog import log, projects
from omnikeywords.catalog.projects import Project, bucket_of
from omnikeywords.errors import InvalidOption
from omnikeywords.finder.catalogue import Catalogue
from omnikeywords.jobs import Job
from omnikeywords.model import Market

__all__ = ["Projects"]


class Projects:
    """Every project of the catalogue; safe to share between threads."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    def all(self) -> list[Project]:
        """Every project, by name. Raises DatabaseUnavailable where a server that may hold some is away."""
        there: dict[str, Project] = {}
        for database in self._catalogue.fleet.databases().values():
            for found in projects.list_projects(database):
                if found.version or found.name not in there:  # `default` is told everywhere, made or not
                    there[found.name] = found
        return [there[name] for name in sorted(there)]

    def find(self, name: str) -> Project:
        """One project. Raises NotFound."""
        return projects.find(self._catalogue.database_of(name), name)

    def create(
        self,
        name: str,
        actor: str,
        market: str | None = None,
        *,
        brands: Sequence[str] = (),
        weights: Mapping[str, float] | None = None,
        home_region: str | None = None,
        own_bucket: bool = False,
    ) -> Project:
        """Make a project, in a region of the servers if one is named; a large one has better a bucket of its own.

        Raises Conflict where it is there, InvalidOption, InvalidMarket.
        """
        made = projects.Project(
            name, Market.parse(market) if market else None, tuple(brands), dict(weights or {}), home_region
        )
        projects.check_name(name)
        with self._catalogue.fleet.settle(name, home_region, own_bucket=own_bucket).write(name) as connection:
            return projects.create(connection, made, actor)

    def change(self, name: str, actor: str, changes: Mapping[str, Any], expected: int | None = None) -> Project:
        """Give a project another `market`, `brands`, `weights` or `home_region`; a job derives its keywords anew.

        Raises NotFound, VersionConflict, InvalidOption, InvalidMarket.
        """
        given = dict(changes)
        if given.get("market"):
            given["market"] = Market.parse(given["market"])
        if "brands" in given:
            given["brands"] = tuple(given["brands"])
        fleet = self._catalogue.fleet
        if fleet.several and given.get("home_region", region := fleet.server_of(name).region) != region:
            raise InvalidOption(
                f"project {name!r} lies in region {region!r}: `okf servers move` takes its bucket to another",
                project=name,
            )
        with self._catalogue.database_of(name).write(name) as connection:
            return self._catalogue.workflows_of(name).change_project(connection, name, actor, given, expected)

    def delete(self, name: str, actor: str) -> Job:
        """Delete a project: from now on nothing of it is there, and its name may be used again. Returns the job that
        erases everything that was ever said in it. Raises NotFound."""
        self._catalogue.project(name)
        with self._catalogue.database_of(name).write(name) as connection:
            job = self._catalogue.workflows_of(name).delete_project(connection, name, actor)
            position = log.head(connection, bucket_of(name))
        self._catalogue.deleted.tell(name, position)
        return job
