"""/openapi.json is true: whatever it allows is answered as it says, whatever it forbids is refused."""

import asyncio
import json
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance

from omnikeywords.api import Catalogue, Search, create_app
from omnikeywords.api.guard import Guard
from omnikeywords.api.problems import PROBLEMS
from omnikeywords.api.schemas import AnalyzeRequest
from omnikeywords.finder import Finder
from omnikeywords.ops import Health
from omnikeywords.settings import Settings

DOCS = Path(__file__).parents[2] / "docs"


FOLDER = tempfile.TemporaryDirectory(prefix="okf-openapi-")


@pytest.fixture(scope="module", autouse=True)
def _cleaned() -> Iterator[None]:
    """Not left to the end of the process, which may be abrupt where tests run in several."""
    yield
    FOLDER.cleanup()


def application() -> Guard:
    # Who waits for an index that nobody builds waits a second.
    loaded = Settings.load(
        {
            "OKF_DATABASE_URL": f"sqlite:///{FOLDER.name}/catalogue.sqlite3",
            "OKF_DATA_DIR": FOLDER.name,
            "OKF_LANGUAGE_TABLE": str(Settings.load({}).language_table_path),
            "OKF_REQUEST_TIMEOUT_MS": "1000",
        }
    )
    finder = Finder(loaded)
    checks = Health()
    app = create_app(
        finder,
        loaded,
        version="1.2.3",
        model_version="test",
        warm=lambda: None,
        checks=checks,
        catalogue=Catalogue(finder, loaded),
        search=Search(finder, loaded),
    )
    checks.register("models", lambda: None)  # as once it has started, which a test client does not do
    return app


def get(path: str) -> httpx.Response:
    async def ask() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(APP), base_url="http://test") as client:
            return await client.get(path)

    return asyncio.run(ask())


APP = application()
DOCUMENT: dict[str, Any] = get("/openapi.json").json()
SCHEMA = schemathesis.openapi.from_asgi("/openapi.json", APP)
# No text of the catalogue holds U+0000, which PostgreSQL has no place for; a schema has no word for that.
SCHEMA.config.generation.update(modes=[GenerationMode.POSITIVE, GenerationMode.NEGATIVE], allow_x00=False)


# What is refused by what it means, whatever it looks like: parameters, weights that add up to nothing, and URLs that
# nothing may be sent to.
BY_MEANING = {"cursor", "facets", "fields", "date", "if-match", "POST /api/v1/projects", "POST /api/v1/webhooks"}


@SCHEMA.parametrize()
@settings(
    max_examples=30,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.generate],
)
def test_what_is_promised_is_kept(case: schemathesis.Case) -> None:
    if case.media_type == "multipart/form-data" and isinstance(case.body, dict) and None in case.body.values():
        return  # a form has no null: it would be the word
    asked = {case.operation.label, *(parameter.name for parameter in case.operation.iter_parameters())}
    excluded = [positive_data_acceptance] if asked & BY_MEANING else []
    if set(case.query or ()) & {"wait", "index_position"}:
        excluded.append(not_a_server_error)  # nobody builds an index here, so that whoever waits for it does in vain
    case.call_and_validate(excluded_checks=excluded)


def test_every_endpoint_has_a_summary_an_answer_and_its_problems() -> None:
    for path, operations in DOCUMENT["paths"].items():
        for method, operation in operations.items():
            assert operation["summary"], (method, path)
            assert {"500", "503"} <= set(operation["responses"]), (method, path)
            assert any(status.startswith("2") for status in operation["responses"]), (method, path)


def test_examples_of_problems_are_as_problems_are() -> None:
    shown = set()
    for operations in DOCUMENT["paths"].values():
        for operation in operations.values():
            for status, response in operation["responses"].items():
                examples = response.get("content", {}).get("application/problem+json", {}).get("examples", {})
                for code, example in examples.items():
                    value = example["value"]
                    assert (str(value["status"]), value["code"]) == (status, code)
                    assert value["title"] == PROBLEMS[code].title
                    shown.add(code)
    assert "too_many_keywords" in shown


def test_the_example_of_a_call_is_one() -> None:
    shown = DOCUMENT["paths"]["/api/v1/analyze"]["post"]["requestBody"]["content"]["application/json"]["example"]
    assert msgspec.convert(shown, AnalyzeRequest).keywords
    fields = DOCUMENT["components"]["schemas"]["AnalyzeRequest"]["properties"]
    assert fields["keywords"]["examples"]
    assert fields["keywords"]["description"].endswith("At most 1000 in one call.")
    assert fields["analysis_type"]["default"] == "comprehensive"


def test_the_document_names_nothing_outside() -> None:
    # But for the example of a webhook's URL, at a name that is nobody's.
    assert set(re.findall(r"https?://[^\"\s]*", json.dumps(DOCUMENT))) == {"https://hooks.example.com/okf"}


@pytest.mark.parametrize("path", [*DOCUMENT["paths"], "/docs", "/openapi.json"])
def test_every_endpoint_is_in_the_page_of_the_api(path: str) -> None:
    text = (DOCS / "api.md").read_text(encoding="utf-8")
    assert f"`{path}`" in text or f" {path}`" in text


@pytest.mark.parametrize("code", sorted(set(PROBLEMS)))
def test_every_code_is_in_the_page_of_the_api(code: str) -> None:
    assert f"| `{code}` | {PROBLEMS[code].status} |" in (DOCS / "api.md").read_text(encoding="utf-8")
