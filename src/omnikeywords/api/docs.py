"""The OpenAPI document, made from the routes and the schemas, and the page that shows it.

The page and its script come from this package; its content security policy lets a browser load nothing else.
"""

import re
from collections.abc import Sequence
from functools import cache
from importlib import resources
from typing import Any

import msgspec

from omnikeywords import __version__
from omnikeywords.api.compression import coding_for, compress
from omnikeywords.api.guard import Call, Reply
from omnikeywords.api.problems import PROBLEM_CONTENT_TYPE, PROBLEMS
from omnikeywords.api.route import Answer, Route
from omnikeywords.api.schemas import PARTS, ProblemDetails
from omnikeywords.settings import Settings

__all__ = ["docs_routes", "openapi"]

_REF = "#/components/schemas/{name}"
_EVERYWHERE = ("overloaded", "error")
_KEYED = ("unauthorized", "forbidden", "too_many_failures", "database_unavailable")  # under /api/
_KEYS = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "A key that `okf keys create` made."},
    "header": {
        "type": "apiKey",
        "in": "header",
        "name": "X-Api-Key",
        "description": "The same, for those who prefer it.",
    },
}
# The last: none, on a loopback address as long as no key was made.
_SECURITY: list[dict[str, list[str]]] = [{"bearer": []}, {"header": []}, {}]
_JSON = "application/json"
_POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    b"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_PAGE = b"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Omni Keywords Finder: API</title>
<link rel="icon" href="data:,">
<script src="/docs/rapidoc-min.js" defer></script>
</head>
<body>
<rapi-doc spec-url="/openapi.json" load-fonts="false" render-style="read" schema-style="table"
  regular-font="system-ui, sans-serif" mono-font="ui-monospace, monospace" primary-color="#0b6e4f"
  show-header="false" allow-authentication="true" allow-server-selection="false"
  allow-spec-file-download="true" show-method-in-nav-bar="as-colored-text"
  schema-description-expanded="true" show-curl-before-try="true">
</rapi-doc>
<noscript>This page needs JavaScript. What it shows is <a href="/openapi.json">/openapi.json</a>.</noscript>
</body>
</html>
"""
_DESCRIPTION = """Keyword analysis over HTTP: language, intent with its evidence, question, funnel, modifiers.

Errors are `application/problem+json` (RFC 9457) with a stable `code` and `params` beside the English text.
A key goes into `Authorization: Bearer KEY` or `X-Api-Key: KEY`. On a loopback address none is needed until the first
one is made. What belongs to projects that are not the key's answers 404, as what does not exist.

Every answer carries `X-Request-Id`, which is the one sent with the request where there was one."""


def openapi(routes: Sequence[Route], settings: Settings) -> dict[str, Any]:
    """The OpenAPI 3.1 document of these routes."""
    documented = [route for route in routes if route.documented]
    types = {ProblemDetails}
    for route in documented:
        types.update(t for t in (route.takes, route.asks, *(a.type for a in route.answers.values())) if t is not None)
    ordered = sorted(types, key=lambda t: t.__name__)
    references, schemas = msgspec.json.schema_components(ordered, ref_template=_REF)
    if "AnalyzeRequest" in schemas:
        # Beyond it the answer is 413, as for any body that is too large: no limit of the schema.
        keywords = schemas["AnalyzeRequest"]["properties"]["keywords"]
        keywords["description"] += f" At most {settings.analyze_max_keywords} in one call."
    reference = dict(zip(ordered, references, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for route in documented:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, reference, schemas)
    for route in documented:
        if route.asks is not None:
            schemas.pop(route.asks.__name__, None)  # told parameter by parameter
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Omni Keywords Finder",
            "version": __version__,
            "description": _DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": [
            {"name": "keywords", "description": "Keyword research."},
            {"name": "imports", "description": "Files and lists brought into a project."},
            {"name": "projects", "description": "A catalogue of its own each."},
            {"name": "jobs", "description": "Durable runs: what goes on whatever becomes of a process."},
            {"name": "webhooks", "description": "Whom to tell when an import has ended."},
            {"name": "system", "description": "For operators and machines."},
        ],
        "paths": paths,
        "components": {"schemas": schemas, "securitySchemes": _KEYS},
    }


def _operation(route: Route, reference: dict[Any, dict[str, Any]], schemas: dict[str, Any]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": route.name,
        "tags": [route.tag],
        "summary": route.summary,
        "responses": {str(status): _response(answer, reference) for status, answer in route.answers.items()},
    }
    if route.description:
        operation["description"] = route.description
    if route.path.startswith("/api/"):
        operation["security"] = _SECURITY
    if parameters := _parameters(route, schemas):
        operation["parameters"] = parameters
    bodies: dict[str, Any] = {media: {"schema": schema} for media, schema in route.takes_also.items()}
    if route.takes is not None:
        bodies["application/json"] = {"schema": reference[route.takes], "example": route.example}
    if bodies:
        operation["requestBody"] = {"required": True, "content": bodies}
    by_status: dict[int, list[str]] = {}
    keyed = _KEYED if route.path.startswith("/api/") else ()
    for code in dict.fromkeys((*route.problems, *keyed, *_EVERYWHERE)):
        by_status.setdefault(PROBLEMS[code].status, []).append(code)
    for status, codes in sorted(by_status.items()):
        response = operation["responses"].setdefault(str(status), {"description": ""})
        said = "; ".join(f"{PROBLEMS[code].title} (`{code}`)" for code in codes)
        response["description"] = " ".join(filter(None, (response["description"], f"{said}.")))
        response.setdefault("content", {})[PROBLEM_CONTENT_TYPE.decode()] = {
            "schema": reference[ProblemDetails],
            "examples": {code: {"value": _example(code)} for code in codes},
        }
    return operation


def _parameters(route: Route, schemas: dict[str, Any]) -> list[dict[str, Any]]:
    """The parts of the path, the query and the headers of a request."""
    found: list[dict[str, Any]] = []
    for name in re.findall(r"{(\w+)}", route.path):
        part = PARTS[name]
        schema = {"type": "string", "pattern": part.pattern}
        found.append(
            {
                "name": name,
                "in": "path",
                "required": True,
                "description": part.description,
                "schema": schema,
                "example": part.example,
            }
        )
    if route.asks is not None:
        asked = schemas[route.asks.__name__]
        required = asked.get("required", ())
        for name, schema in asked["properties"].items():
            plain = _without_null(schema)
            description = plain.pop("description", None)
            parameter = {"name": name, "in": "query", "required": name in required, "schema": plain}
            found.append(parameter | ({"description": description} if description else {}))
    for name, description in route.headers.items():
        found.append({"name": name, "in": "header", "description": description, "schema": {"type": "string"}})
    return found


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema of a parameter, which is left out where it would be null."""
    plain = {name: value for name, value in schema.items() if name != "default" or value is not None}
    kinds = [kind for kind in plain.pop("anyOf", ()) if kind != {"type": "null"}]
    if len(kinds) == 1:
        plain = kinds[0] | plain
    elif kinds:
        plain["anyOf"] = kinds
    return plain


def _response(answer: Answer, reference: dict[Any, dict[str, Any]]) -> dict[str, Any]:
    response: dict[str, Any] = {"description": answer.description}
    if answer.media is not None:
        medias = (answer.media,) if isinstance(answer.media, str) else answer.media
        response["content"] = {
            media: {"schema": reference[answer.type] if answer.type and media == _JSON else {"type": "string"}}
            for media in medias
        }
    if answer.headers:
        response["headers"] = {
            name: {"description": text, "schema": {"type": "string"}} for name, text in answer.headers.items()
        }
    return response


_DETAILS = {
    "invalid_json": ("the body is not JSON: input data was truncated", {}),
    "not_acceptable": (
        "the answer is application/json, which Accept: text/html excludes",
        {"accept": "text/html"},
    ),
    "body_timeout": ("the body did not arrive within 10 seconds", {"timeout_seconds": 10}),
    "body_too_large": (
        "the body is longer than 4194304 bytes: send less in one call, or use `okf analyze` for whole files",
        {"limit_bytes": 4194304},
    ),
    "too_many_keywords": (
        "1200 keywords in one call, at most 1000 are allowed: split them, or use `okf analyze` for whole files",
        {"keywords": 1200, "limit": 1000},
    ),
    "unsupported_media_type": (
        "the body is said to be text/plain: send JSON as application/json",
        {"content_type": "text/plain"},
    ),
    "invalid_query": (
        "a* at column 1 stands for more than 1,000 words: give more of it",
        {"column": 1, "limit": 1000},
    ),
    "not_reached": (
        "the search index has not caught up within 2 seconds: ask again",
        {"model": "search", "position": 41},
    ),
    "invalid_request": ("keywords[1]: expected str, got int", {"field": "keywords[1]"}),
    "invalid_market": (
        "market 'brazil' is not a language and region: write it as pt-BR, en or und-BR",
        {"market": "brazil"},
    ),
    "language_table_missing": ("the language table was not built yet: run `okf warm`", {}),
    "deadline_exceeded": (
        "no answer within 10 seconds: try again, or send fewer keywords a call",
        {"timeout_seconds": 10},
    ),
    "unauthorized": (
        "the key is unknown: send it as `Authorization: Bearer KEY`; `okf keys create` makes one",
        {},
    ),
    "forbidden": (
        "this needs a key with scope write, and yours has read",
        {"needed": "write", "scope": "read"},
    ),
    "not_found": ("project 'shop' does not exist", {"project": "shop"}),
    "too_many_failures": (
        "too many unknown keys from this address: try again in 1 s",
        {"retry_after_seconds": 1},
    ),
    "database_unavailable": ("the keys cannot be read, so nobody is let in: try again in some seconds", {}),
    "conflict": ("project 'shop' exists already", {"project": "shop"}),
    "version_conflict": ("project 'shop' is at version 4, not 3: read it again", {"project": "shop", "version": 4}),
    "idempotency_conflict": (
        "idempotency key 'monday' was used for another import: use a new key",
        {"key": "monday", "job": "j" + "0a" * 14},
    ),
    "invalid_option": ("the cursor is of another list: begin again without it", {"cursor": "WyJpZCJd"}),
    "database_busy": ("the database did not get to it in time: try again in some seconds", {}),
    "schema_outdated": ("the database lacks migrations: run `okf migrate`", {}),
    "overloaded": ("too many requests at once: try again in a second", {}),
    "error": ("an error of ours, logged under this request's id: report it with the id", {}),
}


def _example(code: str) -> dict[str, Any]:
    detail, params = _DETAILS[code]
    return {
        "type": f"urn:omnikeywords:problem:{code}",
        "title": PROBLEMS[code].title,
        "status": PROBLEMS[code].status,
        "detail": detail,
        "code": code,
        "params": params,
        "request_id": "3f9a1c5e7b20-1f",
    }


@cache
def _script(coding: bytes | None) -> bytes:
    data = (resources.files("omnikeywords.api") / "assets" / "rapidoc-min.js").read_bytes()
    return data if coding is None else compress(data, coding)


def docs_routes(routes: Sequence[Route], settings: Settings) -> list[Route]:
    """/openapi.json of these routes, and the page that shows it."""
    document = msgspec.json.encode(openapi(routes, settings))

    async def document_of_api(call: Call) -> Reply:
        return Reply(document)

    async def page(call: Call) -> Reply:
        return Reply(
            _PAGE,
            content_type=b"text/html; charset=utf-8",
            kept=((b"content-security-policy", _POLICY), (b"cache-control", b"no-cache")),
        )

    async def script(call: Call) -> Reply:
        coding = coding_for(call.headers.get(b"accept-encoding"))
        return Reply(
            _script(coding),
            content_type=b"text/javascript; charset=utf-8",
            kept=((b"cache-control", b"public, max-age=86400"), (b"vary", b"accept-encoding")),
            coding=coding,
        )

    return [
        Route(
            "GET",
            "/openapi.json",
            document_of_api,
            "openapi",
            "system",
            "This API as OpenAPI",
            documented=False,
        ),
        Route("GET", "/docs", page, "docs", "system", "This API to read and try", documented=False),
        Route("GET", "/docs/rapidoc-min.js", script, "docsScript", "system", "Its script", documented=False),
    ]
