"""A key for one project finds nothing of another's, on any route that /openapi.json tells of.

The requests are made from the document alone, so an endpoint that is added is held to this without a word here.
"""

import asyncio
import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

import httpx
import pytest

from omnikeywords import service
from omnikeywords.finder import Finder
from omnikeywords.settings import Settings
from omnikeywords.webhooks import DELIVER

MINE, THEIRS, NOBODY_S = "mine", "theirs", "nowhere"
# What is of no single project.
OF_NONE = {"GET /api/v1/projects"}
# What changes nothing, though it is a POST.
READS = {"POST /api/v1/analyze"}


@dataclass(frozen=True)
class Operation:
    """What the document says of a method at a path."""

    method: str
    path: str
    query: Mapping[str, Any]  # parameter name to its example, where it must be given
    body: Any = None  # an example
    media: str = ""  # of the body
    says: frozenset[str] = field(default_factory=frozenset)  # where the project can be said: path, query, project, name

    @property
    def name(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def ids(self) -> list[str]:
        """The parts of the path that name something within a project."""
        return [part for part in re.findall(r"{(\w+)}", self.path) if part != "project"]


def operations(document: Any) -> list[Operation]:
    found = []
    for path, methods in document["paths"].items():
        for method, said in methods.items():
            if not path.startswith("/api/"):
                continue
            given = [parameter for parameter in said.get("parameters", ()) if parameter["in"] == "query"]
            says = {"query" for parameter in given if parameter["name"] == "project"}
            if "{project}" in path:
                says.add("path")
            media, body = "", None
            content = said.get("requestBody", {}).get("content", {})
            if "application/json" in content:
                media, body = "application/json", content["application/json"]["example"]
                schema = content[media]["schema"]
                schema = document["components"]["schemas"].get(schema.get("$ref", "").rpartition("/")[2], schema)
                says |= {"project"} & set(schema["properties"])
                if (method, path) == ("post", "/api/v1/projects"):
                    says.add("name")
            elif content:
                media, body = next(iter(content)), "query,clicks\nred shoes,3\n"
            query = {parameter["name"]: parameter for parameter in given if parameter.get("required")}
            found.append(Operation(method.upper(), path, query, body, media, frozenset(says)))
    return found


class Service:
    """The application over two projects that hold an import each, and keys for one of them."""

    def __init__(self, folder: Path) -> None:
        settings = Settings.load(
            {
                "OKF_DATABASE_URL": f"sqlite:///{folder / 'catalogue.sqlite3'}",
                "OKF_DATA_DIR": str(folder),
                "OKF_LANGUAGE_TABLE": str(Settings.load({}).language_table_path),
            }
        )
        self.things: dict[str, dict[str, str]] = {}  # project to what its parts of paths are
        with closing(Finder(settings)) as finder:
            for project, phrase in ((MINE, "red shoes"), (THEIRS, "blue hats")):
                finder.projects.create(project, "test")
                webhook = finder.webhooks.create(project, f"https://1.1.1.1/{project}")
                begun = finder.imports.start(f"query,clicks\n{phrase},3\n".encode(), name="a.csv", project=project)
                finder.jobs.run(begun.job_id)
                finder.searches.catch_up(project)
                (keyword,) = finder.keywords.page(project).keywords
                (delivery,) = [job.id for job in finder.jobs.newest(project) if job.kind == DELIVER]
                self.things[project] = {
                    "project": project,
                    "import_id": begun.import_id,
                    "job_id": begun.job_id,
                    "keyword_id": keyword["id"],
                    "webhook_id": webhook.id,
                    "delivery_id": delivery,
                }
            self.keys = {
                scope: finder.keys.create(scope, "test", scope=scope, projects=[MINE])[1] for scope in ("read", "admin")
            }
        self._app = service._application.__wrapped__(settings, folder, service.ROLES, False)
        self.operations = operations(self.send("GET", "/openapi.json").json())

    def send(self, method: str, path: str, **more: Any) -> httpx.Response:
        async def ask() -> httpx.Response:
            async with httpx.AsyncClient(transport=httpx.ASGITransport(self._app), base_url="http://test") as client:
                return await client.request(method, path, **more)

        return asyncio.run(ask())

    def ask(self, operation: Operation, key: str | None, project: str, of: str) -> httpx.Response:
        """An operation on things `of` one project, in the name of `project`."""
        things = {**self.things[of], "project": project}
        path = operation.path.format_map(things)
        query = {name: self._example(parameter, things) for name, parameter in operation.query.items()}
        body = operation.body
        if "query" in operation.says:
            query["project"] = project
        if body is not None and operation.media == "application/json":
            body = json.dumps({**body, **dict.fromkeys(operation.says & {"project", "name"}, project)})
        headers = {"content-type": operation.media} if operation.media else {}
        if key is not None:
            headers["authorization"] = f"Bearer {key}"
        return self.send(operation.method, path, params=query, content=body, headers=headers)

    @staticmethod
    def _example(parameter: Mapping[str, Any], things: Mapping[str, str]) -> str:
        name = parameter["name"]
        if name in {"before", "after"}:  # of a comparison
            return things["import_id"]
        return str(things.get(name) or parameter.get("example") or parameter["schema"]["examples"][0])


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    service._keyring.cache_clear()
    yield Service(tmp_path_factory.mktemp("foreign"))
    service._keyring.cache_clear()


def codes(answers: Mapping[str, httpx.Response]) -> dict[str, tuple[int, str]]:
    """Status and code of each refusal, by operation."""
    return {
        name: (answer.status_code, answer.json()["code"] if answer.status_code >= 400 else "")
        for name, answer in answers.items()
    }


def each(running: Service, ask: Callable[[Operation], httpx.Response], *, but: set[str]) -> dict[str, httpx.Response]:
    return {each.name: ask(each) for each in running.operations if each.name not in but}


def test_every_endpoint_says_whose_it_is(running: Service) -> None:
    assert {each.name for each in running.operations if not each.says} <= OF_NONE
    assert "POST /api/v1/analyze" in {each.name for each in running.operations}


def test_another_s_project_is_not_found(running: Service) -> None:
    answers = each(running, lambda each: running.ask(each, running.keys["admin"], THEIRS, THEIRS), but=OF_NONE)
    assert codes(answers) == dict.fromkeys(answers, (404, "not_found"))


def test_it_is_told_in_no_way_from_one_that_does_not_exist(running: Service) -> None:
    def said(project: str) -> dict[str, Any]:
        answers = each(running, lambda each: running.ask(each, running.keys["admin"], project, THEIRS), but=OF_NONE)
        told = {name: {**answer.json(), "request_id": ""} for name, answer in answers.items()}
        return json.loads(json.dumps(told).replace(project, "?"))  # type: ignore[no-any-return]

    assert said(THEIRS) == said(NOBODY_S)


def test_nor_is_it_for_a_key_that_could_not_do_it_in_its_own(running: Service) -> None:
    """Where the address names the project; what only the body names is not read for a key without the scope."""
    in_body = {each.name for each in running.operations if not each.says & {"path", "query"}}
    answers = each(running, lambda each: running.ask(each, running.keys["read"], THEIRS, THEIRS), but=OF_NONE | in_body)
    assert codes(answers) == dict.fromkeys(answers, (404, "not_found"))


def test_another_s_things_are_not_in_one_s_own(running: Service) -> None:
    within = [each for each in running.operations if each.ids]
    answers = {each.name: running.ask(each, running.keys["admin"], MINE, THEIRS) for each in within}
    assert codes(answers) == dict.fromkeys(answers, (404, "not_found"))


def test_lists_hold_one_s_own_alone(running: Service) -> None:
    for operation in (each for each in running.operations if each.method == "GET" and not each.ids):
        answer = running.ask(operation, running.keys["admin"], MINE, MINE)
        assert answer.status_code == 200, (operation.name, answer.text)
        theirs = chain([THEIRS, "blue hats"], (value for value in running.things[THEIRS].values()))
        assert [value for value in theirs if value in answer.text] == [], operation.name


def test_without_a_key_nothing_is_answered(running: Service) -> None:
    answers = each(running, lambda each: running.ask(each, None, MINE, MINE), but=set())
    assert codes(answers) == dict.fromkeys(answers, (401, "unauthorized"))
    assert {answer.headers["www-authenticate"] for answer in answers.values()} == {'Bearer realm="omnikeywords"'}
    assert {answer.headers["content-type"] for answer in answers.values()} == {"application/problem+json"}


def test_a_key_that_may_read_changes_nothing(running: Service) -> None:
    reading = {each.name for each in running.operations if each.method == "GET"} | READS
    answers = each(running, lambda each: running.ask(each, running.keys["read"], MINE, MINE), but=reading)
    assert codes(answers) == dict.fromkeys(answers, (403, "forbidden"))


def test_one_s_own_is_let_through(running: Service) -> None:
    """Else the rest would be shown by a service that refuses everything. What takes things away goes last."""
    order = ["GET", "PATCH", "POST", "DELETE"]
    refused = {}
    for operation in sorted(running.operations, key=lambda each: (order.index(each.method), "{project}" in each.path)):
        answer = running.ask(operation, running.keys["admin"], MINE, MINE)
        if answer.status_code in (401, 403, 404, 500):
            refused[operation.name] = answer.text
    assert refused == {}
