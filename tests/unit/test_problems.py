"""Every error has one status, one code, and says nothing of the inside."""

import json

import pytest

from omnikeywords import errors
from omnikeywords.api.problems import PROBLEMS, Problem, body_of, problem_of


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (errors.TooManyKeywords("1200 keywords", limit=1000), 413, "too_many_keywords"),
        (errors.InvalidMarket("market 'x'", market="x"), 422, "invalid_market"),
        (errors.InvalidOption("option 'x'"), 422, "invalid_option"),
        (errors.InvalidKeyword("empty"), 422, "invalid_keyword"),
        (errors.InvalidInput("no"), 422, "invalid_input"),
        (errors.UnreadableExport("no export"), 422, "unreadable_export"),
        (errors.LanguageTableMissing("run okf warm"), 503, "language_table_missing"),
    ],
)
def test_our_errors_keep_their_words_their_code_and_their_values(
    error: errors.OmniKeywordsError, status: int, code: str
) -> None:
    problem = problem_of(error)
    assert (problem.status, problem.code) == (status, code)
    assert problem.detail == str(error)
    assert problem.params == error.params


def test_a_class_of_input_error_that_is_not_listed_is_the_client_s_still() -> None:
    class InvalidFuture(errors.InvalidInput):
        code = "invalid_future"

    assert problem_of(InvalidFuture("no")).status == 422


def test_a_service_that_is_not_set_up_says_when_to_come_back() -> None:
    assert problem_of(errors.LanguageTableMissing("x")).headers == ((b"retry-after", b"30"),)


@pytest.mark.parametrize("error", [ValueError("secret"), KeyError("secret"), errors.OmniKeywordsError("secret")])
def test_what_nobody_foresaw_keeps_its_words_to_itself(error: Exception) -> None:
    problem = problem_of(error)
    assert problem.status == 500
    assert b"secret" not in body_of(problem)


def test_a_problem_stays_itself() -> None:
    problem = Problem("not_found", "x")
    assert problem_of(problem) is problem


def test_the_body_has_the_members_of_the_standard_and_ours() -> None:
    assert json.loads(body_of(Problem("not_found", "nothing is at /x", {"path": "/x"}), "id-1")) == {
        "type": "urn:omnikeywords:problem:not_found",
        "title": "There is no such thing",
        "status": 404,
        "detail": "nothing is at /x",
        "code": "not_found",
        "params": {"path": "/x"},
        "request_id": "id-1",
    }
    assert "request_id" not in json.loads(body_of(Problem("not_found", "x")))


def test_every_class_of_errors_py_has_a_status() -> None:
    def below(kind: type[errors.OmniKeywordsError]) -> set[str]:
        return {kind.code}.union(
            *(below(child) for child in kind.__subclasses__() if child.__module__ == kind.__module__)
        )

    # A wrong setting stops the program before it serves, and backups are no matter of a client.
    assert below(errors.OmniKeywordsError) - {"invalid_setting", "damaged_backup"} <= set(PROBLEMS)


def test_every_status_is_that_of_an_error() -> None:
    assert all(400 <= kind.status < 600 for kind in PROBLEMS.values())
