"""Errors as RFC 9457 problem details: the only place where a status is chosen.

    {"type": "urn:omnikeywords:problem:too_many_keywords", "title": "Too many keywords in one call",
     "status": 413, "detail": "...", "code": "too_many_keywords", "params": {"limit": 1000},
     "request_id": "..."}

`code` is what clients may rely on; `params` are the values named in `detail`, for those that write their own.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from omnikeywords.errors import (
    OmniKeywordsError,
)

__all__ = [
    "PROBLEMS",
    "PROBLEM_CONTENT_TYPE",
    "Headers",
    "Problem",
    "ProblemKind",
    "body_of",
    "problem_of",
]

PROBLEM_CONTENT_TYPE = b"application/problem+json"

Headers = tuple[tuple[bytes, bytes], ...]


class ProblemKind(NamedTuple):
    """What all problems of one code share."""

    status: int
    title: str


# By code. The codes of errors.py keep their own; those of HTTP itself are here alone.
PROBLEMS: Mapping[str, ProblemKind] = {
    "invalid_json": ProblemKind(400, "The body is not JSON"),
    "invalid_query": ProblemKind(400, "The search cannot be run"),
    "invalid_host": ProblemKind(400, "The Host header is invalid"),
    "unauthorized": ProblemKind(401, "A key is needed"),
    "forbidden": ProblemKind(403, "The key does not allow it"),
    "too_many_failures": ProblemKind(429, "Too many unknown keys"),
    "rate_limited": ProblemKind(429, "Too many requests"),
    "not_found": ProblemKind(404, "There is no such thing"),
    "method_not_allowed": ProblemKind(405, "The method is not for this path"),
    "not_acceptable": ProblemKind(406, "The answer is JSON"),
    "conflict": ProblemKind(409, "It does not fit what is there"),
    "delivery_failed": ProblemKind(502, "The receiver of a webhook did not take it"),
    "lease_lost": ProblemKind(409, "The job is another's now"),
    "version_conflict": ProblemKind(412, "It was changed meanwhile"),
    "body_timeout": ProblemKind(408, "The body did not arrive in time"),
    "body_too_large": ProblemKind(413, "The body is too long"),
    "too_many_keywords": ProblemKind(413, "Too many keywords in one call"),
    "unsupported_media_type": ProblemKind(415, "The body must be JSON"),
    "invalid_request": ProblemKind(422, "The request has a wrong field"),
    "invalid_input": ProblemKind(422, "The request cannot be used"),
    "invalid_keyword": ProblemKind(422, "The keyword cannot be used"),
    "invalid_market": ProblemKind(422, "The market cannot be used"),
    "invalid_option": ProblemKind(422, "The option cannot be used"),
    "idempotency_conflict": ProblemKind(422, "The idempotency key was used for something else"),
    "unreadable_export": ProblemKind(422, "The file is no keyword export"),
    "error": ProblemKind(500, "Something went wrong here"),
    "language_table_missing": ProblemKind(503, "The service is not set up yet"),
    "database_unavailable": ProblemKind(503, "The database cannot be used"),
    "database_busy": ProblemKind(503, "The database is busy"),
    "schema_outdated": ProblemKind(503, "The service is not set up yet"),
    "index_busy": ProblemKind(503, "The index is written elsewhere"),
    "unknown_event": ProblemKind(503, "A newer version is needed"),
    "not_reached": ProblemKind(503, "What was asked is not there yet"),
    "overloaded": ProblemKind(503, "The service is busy"),
    "deadline_exceeded": ProblemKind(503, "The answer took too long"),
}


class Problem(Exception):
    """An answer that is a problem; raised by endpoints, written by the guard."""

    def __init__(
        self, code: str, detail: str, params: Mapping[str, object] | None = None, headers: Headers = ()
    ) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.params = params or {}
        self.headers = headers

    @property
    def status(self) -> int:
        """The HTTP status of its code."""
        return PROBLEMS[self.code].status


def problem_of(error: Exception) -> Problem:
    """The problem that an error is to a client; what nobody foresaw says nothing of the inside."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, OmniKeywordsError) and error.code != OmniKeywordsError.code:
        code = error.code if error.code in PROBLEMS else "invalid_input"
        headers: Headers = ((b"retry-after", b"30"),) if PROBLEMS[code].status == 503 else ()
        return Problem(code, str(error), error.params, headers)
    detail = "an error of ours, logged under this request's id: report it with the id"
    return Problem(OmniKeywordsError.code, detail)


def body_of(problem: Problem, request_id: str | None = None) -> bytes:
    """The JSON of a problem."""
    fields: dict[str, Any] = {
        "type": f"urn:omnikeywords:problem:{problem.code}",
        "title": PROBLEMS[problem.code].title,
        "status": problem.status,
        "detail": problem.detail,
        "code": problem.code,
        "params": problem.params,
    }
    if request_id is not None:
        fields["request_id"] = request_id
    return msgspec.json.encode(fields)
