"""What is said of an endpoint: one record, from which the guard, the router and /openapi.json are made."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from omnikeywords.api.guard import Endpoint

__all__ = ["RETRY", "Answer", "Route"]

RETRY = {"retry-after": "Seconds after which to try again."}


@dataclass(frozen=True, slots=True)
class Answer:
    """What an endpoint answers with one status."""

    description: str
    type: Any = None  # a struct, for JSON
    media: str | tuple[str, ...] | None = "application/json"  # None: there is no body
    headers: Mapping[str, str] = field(default_factory=dict)  # name to description


@dataclass(frozen=True, slots=True)
class Route:
    """One endpoint."""

    method: str
    path: str  # with parts in braces, which PARTS of schemas.py describes
    endpoint: Endpoint
    name: str  # operationId
    tag: str
    summary: str
    description: str = ""
    asks: Any = None  # a struct, as the query parameters
    headers: Mapping[str, str] = field(default_factory=dict)  # that a request may have: name to description
    takes: Any = None  # a struct, as the JSON body
    takes_also: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # other bodies: media type to schema
    example: Any = None  # of such a body
    answers: Mapping[int, Answer] = field(default_factory=dict)
    problems: tuple[str, ...] = ()  # codes; every route may also answer `overloaded` and `error`
    documented: bool = True  # in /openapi.json
