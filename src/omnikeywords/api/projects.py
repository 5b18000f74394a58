"""`/api/v1/projects`: a tenant's catalogue each, with the settings by which its keywords are analysed."""

from dataclasses import fields
from datetime import datetime
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from omnikeywords.analysis import Weights as ScoreWeights
from omnikeywords.api.catalogue import DATABASE_PROBLEMS, Catalogue, allowed, json_reply, part_of
from omnikeywords.api.guard import Call, Reply, read_body
from omnikeywords.api.paging import Pages, PlainText
from omnikeywords.api.reading import check_json, decode_json, expected_version, read_query
from omnikeywords.api.route import Answer, Route
from omnikeywords.api.schemas import BODY_PROBLEMS, Cursor, Limit, MarketText, ProjectName, Total, TotalIsExact
from omnikeywords.catalog.projects import Project
from omnikeywords.errors import VersionConflict

__all__ = ["project_routes"]

_PROJECTS = Pages("projects", PlainText)

Brands = Annotated[
    list[Annotated[str, Meta(min_length=1, max_length=100, pattern=r"^[^\x00]+$")]],
    Meta(max_length=1000, description="Names that make a keyword branded.", examples=[["acme"]]),
]
_Weight = Annotated[float, Meta(ge=0, le=1e6)]
# What each part of a score counts, where it is not the default.
Weights = msgspec.defstruct(
    "Weights",
    [(part.name, _Weight | UnsetType, UNSET) for part in fields(ScoreWeights)],
    frozen=True,
    forbid_unknown_fields=True,
)
Region = Annotated[
    str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$", description="Where its rows are kept.", examples=["eu"])
]


class NewProject(Struct, frozen=True, forbid_unknown_fields=True):
    """A project to make."""

    name: ProjectName
    market: MarketText | None = None
    brands: Brands = []
    weights: Weights = Weights()  # type: ignore[valid-type]
    home_region: Region | None = None


class ProjectChanges(Struct, frozen=True, forbid_unknown_fields=True):
    """What is to be otherwise; null takes a market or a region away. What is left out stays."""

    market: MarketText | UnsetType | None = UNSET
    brands: Brands | UnsetType = UNSET
    weights: Weights | UnsetType = UNSET  # type: ignore[valid-type]
    home_region: Region | UnsetType | None = UNSET


class ProjectObject(Struct, frozen=True):
    """A project as it stands."""

    name: str
    market: Annotated[str | None, Meta(description="Of keywords whose source names none.")]
    brands: list[str]
    weights: dict[str, float]
    home_region: str | None
    version: Annotated[int, Meta(ge=0, description="One more with each change; the ETag holds it.")]
    created_at: datetime | None
    changed_at: datetime | None


class ProjectList(Struct, frozen=True):
    """Projects by name; `default` is always there."""

    projects: list[ProjectObject]
    total: Total
    total_is_exact: TotalIsExact
    next_cursor: str | None


class ProjectsQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """Which projects."""

    limit: Limit = 50
    cursor: Cursor = None


_ETAG = {"etag": "Its version; for If-Match."}
_IF_MATCH = {"if-match": "The ETag of the version that was read: one changed since is not changed again."}


class Projects:
    """The endpoints."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._finder = catalogue.finder
        self._run = catalogue.threads.run
        self._most_bytes = catalogue.settings.max_body_bytes
        self._seconds = catalogue.seconds
        self._new = msgspec.json.Decoder(NewProject)
        self._changes = msgspec.json.Decoder(ProjectChanges)

    async def list(self, call: Call) -> Reply:
        call.caller.must("read")
        asked, _ = read_query(call, ProjectsQuery)
        (after,) = _PROJECTS.behind(asked.cursor) or ("",)
        mine = call.caller.projects
        there = await self._run(self._finder.projects.all)
        there = [project for project in there if mine is None or project.name in mine]
        behind = [project for project in there if project.name > after]
        return json_reply(
            _PROJECTS.page(behind, asked.limit, len(there), place=lambda project: (project.name,), shown=_object)
        )

    async def create(self, call: Call) -> Reply:
        call.caller.must("admin")
        check_json(call)
        asked = decode_json(await read_body(call, self._most_bytes, self._seconds), self._new)
        name = call.caller.project(asked.name)
        made = await self._run(
            self._finder.projects.create,
            name,
            call.caller.name,
            asked.market,
            brands=asked.brands,
            weights=_given(asked.weights),
            home_region=asked.home_region,
        )
        where = f"/api/v1/projects/{name}".encode()
        return json_reply(_object(made), 201, ((b"location", where), _etag(made)))

    async def show(self, call: Call) -> Reply:
        found = await self._run(self._finder.projects.find, allowed(call, "read", part_of(call, "project")))
        return json_reply(_object(found), headers=(_etag(found),))

    async def change(self, call: Call) -> Reply:
        name = allowed(call, "admin", part_of(call, "project"))
        check_json(call)
        asked = decode_json(await read_body(call, self._most_bytes, self._seconds), self._changes)
        changes = _given(asked)
        if "weights" in changes:
            changes["weights"] = _given(changes["weights"])
        changed = await self._run(self._change, call, name, changes)
        return json_reply(_object(changed), headers=(_etag(changed),))

    def _change(self, call: Call, name: str, changes: dict[str, Any]) -> Project:
        found = self._finder.projects.find(name)
        expected = expected_version(call, found.version)
        if expected is not None and expected != found.version:
            # Also where the change would change nothing.
            raise VersionConflict(
                f"project {name!r} is at version {found.version}, not {expected}: read it again",
                project=name,
                version=found.version,
            )
        return self._finder.projects.change(name, call.caller.name, changes, expected)

    async def delete(self, call: Call) -> Reply:
        name = allowed(call, "admin", part_of(call, "project"))
        await self._run(self._finder.projects.delete, name, call.caller.name)
        return Reply(b"", 204)


def _given(asked: Any) -> dict[str, Any]:
    """The fields that a request names."""
    return {name: value for name, value in msgspec.structs.asdict(asked).items() if value is not UNSET}


def _object(project: Project) -> dict[str, Any]:
    return {
        "name": project.name,
        "market": str(project.market) if project.market else None,
        "brands": project.brands,
        "weights": project.weights,
        "home_region": project.home_region,
        "version": project.version,
        "created_at": project.created_at,
        "changed_at": project.changed_at,
    }


def _etag(project: Project) -> tuple[bytes, bytes]:
    return b"etag", b'"%d"' % project.version


def project_routes(catalogue: Catalogue) -> list[Route]:
    """The endpoints, bound to what answers them."""
    projects = Projects(catalogue)
    one = "/api/v1/projects/{project}"
    return [
        Route(
            "GET",
            "/api/v1/projects",
            projects.list,
            "listProjects",
            "projects",
            "List projects",
            "By name; those that the key is for.",
            asks=ProjectsQuery,
            answers={200: Answer("A page of projects.", ProjectList)},
            problems=("invalid_request", *DATABASE_PROBLEMS),
        ),
        Route(
            "POST",
            "/api/v1/projects",
            projects.create,
            "createProject",
            "projects",
            "Make a project",
            "An import makes its project too, without settings of its own. Needs scope `admin`.",
            takes=NewProject,
            example={"name": "shop", "market": "pt-BR", "brands": ["acme"]},
            answers={
                201: Answer("It is made.", ProjectObject, headers={"location": "Where it is.", **_ETAG}),
            },
            problems=(*BODY_PROBLEMS, "conflict", "invalid_market", "invalid_option", *DATABASE_PROBLEMS),
        ),
        Route(
            "GET",
            one,
            projects.show,
            "getProject",
            "projects",
            "Show a project",
            answers={200: Answer("The project.", ProjectObject, headers=_ETAG)},
            problems=DATABASE_PROBLEMS,
        ),
        Route(
            "PATCH",
            one,
            projects.change,
            "changeProject",
            "projects",
            "Change a project's settings",
            "What follows from them, as the analysis of its keywords, is made anew behind it. Needs scope `admin`.",
            headers=_IF_MATCH,
            takes=ProjectChanges,
            example={"brands": ["acme", "acme outlet"]},
            answers={200: Answer("The project as it is now.", ProjectObject, headers=_ETAG)},
            problems=(*BODY_PROBLEMS, "version_conflict", "invalid_market", "invalid_option", *DATABASE_PROBLEMS),
        ),
        Route(
            "DELETE",
            one,
            projects.delete,
            "deleteProject",
            "projects",
            "Delete a project",
            "It is gone at once; a job then erases everything that was ever said in it. Needs scope `admin`.",
            answers={204: Answer("It is gone.", media=None)},
            problems=DATABASE_PROBLEMS,
        ),
    ]
