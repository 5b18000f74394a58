"""API keys as an operator uses them: made on the command line, obeyed by every worker of a real service."""

import http.client
import json
import os
import re
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from omnikeywords.catalog import keys
from omnikeywords.cli import run
from omnikeywords.db import connect
from omnikeywords.doctor import examine
from omnikeywords.errors import OmniKeywordsError
from omnikeywords.service import serve
from omnikeywords.settings import Settings
from tests.acceptance.test_serve import ANALYZE, OKF, Service, refused, serving, until

WORKERS = 2
ONE = ("--roles", "analyzer", "--workers", "1")
ASKED = {"keywords": ["comprar ténis de corrida"]}
BEARER = 'Bearer realm="omnikeywords"'


class Said(NamedTuple):
    """What a command printed."""

    out: str
    error: str


class Catalogue:
    """A database, and the command line that works on it."""

    def __init__(self, url: str, printed: pytest.CaptureFixture[str]) -> None:
        self.url = url
        self._printed = printed

    def keys(self, *words: str, exit: int = 0) -> Said:
        """Run a command of `okf keys`."""
        self._printed.readouterr()
        code = run(["keys", *words])
        said = Said(*self._printed.readouterr())
        assert code == exit, said.error
        return said

    def create(self, name: str, *options: str) -> str:
        """The text of a new key."""
        (key,) = self.keys("create", "--name", name, *options).out.splitlines()
        return key

    def listed(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self.keys("list", "--format", "json").out)
        return found


@pytest.fixture
def catalogue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Catalogue:
    url = f"sqlite:///{tmp_path / 'catalogue.sqlite3'}"
    monkeypatch.setenv("OKF_DATABASE_URL", url)
    return Catalogue(url, capsys)


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: dict[str, Any]


def ask(service: Service, key: str | None = None, body: Any = None, path: str = ANALYZE, **headers: str) -> Answer:
    """POST on a connection of its own, so that either worker may get it."""
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=20)
    try:
        given = {"content-type": "application/json", **headers}
        if key is not None:
            given["authorization"] = f"Bearer {key}"
        connection.request("POST", path, json.dumps(ASKED if body is None else body).encode(), given)
        answer = connection.getresponse()
        return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, json.loads(answer.read()))
    finally:
        connection.close()


def by_every_worker(service: Service, key: str | None, status: int) -> bool:
    """Whether so many connections in a row, spread over the workers by the system, were answered with that."""
    return all(ask(service, key).status == status for _ in range(12 * WORKERS))


# ---- on a loopback address


@pytest.fixture
def service(catalogue: Catalogue) -> Iterator[Service]:
    with serving("--roles", "analyzer", "--workers", str(WORKERS), OKF_DATABASE_URL=catalogue.url) as running:
        yield running


def test_the_life_of_a_key_as_every_worker_sees_it(service: Service, catalogue: Catalogue) -> None:
    assert ask(service).status == 200  # there is no key yet, so none is needed

    key = catalogue.create("shop reader", "--project", "shop")
    began = time.monotonic()
    until(lambda: by_every_worker(service, None, 401) and by_every_worker(service, key, 200), 5)
    assert time.monotonic() - began < 5

    missing = ask(service)
    assert (missing.headers["content-type"], missing.headers["www-authenticate"]) == (
        "application/problem+json",
        BEARER,
    )
    assert (missing.body["code"], missing.body["status"]) == ("unauthorized", 401)

    foreign = ask(service, key, {**ASKED, "project": "blog"})
    assert (foreign.status, foreign.body["code"]) == (404, "not_found")
    assert ask(service, key, {**ASKED, "project": "shop"}).status == 200

    catalogue.keys("revoke", key[4:14])
    began = time.monotonic()
    until(lambda: by_every_worker(service, key, 401), 5)
    assert time.monotonic() - began < 5
    gone = ask(service, key)
    assert gone.headers["www-authenticate"] == f'{BEARER}, error="invalid_token"'
    assert gone.body["detail"].startswith("the key was revoked: ")
    assert by_every_worker(service, None, 401)  # nor is it open again

    (shown,) = catalogue.listed()
    assert (shown["name"], shown["state"], shown["projects"]) == ("shop reader", "revoked", ["shop"])


def test_a_key_is_refused_before_its_body_is_read(service: Service, catalogue: Catalogue) -> None:
    catalogue.create("any")
    until(lambda: by_every_worker(service, None, 401), 5)
    with socket.create_connection(("127.0.0.1", service.port), timeout=5) as connection:
        head = f"POST {ANALYZE} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100000\r\n\r\n"
        connection.sendall(head.encode())
        assert connection.recv(100).startswith(b"HTTP/1.1 401 ")
    # Whoever sends the whole of it still comes to read the answer.
    assert ask(service, body={"keywords": ["x" * 20_000_000]}).status == 401


def test_a_key_works_until_its_time_and_no_longer(service: Service, catalogue: Catalogue) -> None:
    catalogue.create("any")  # makes the database
    database = connect(catalogue.url)
    ends = datetime.now(UTC) + timedelta(seconds=5)
    with database.write() as connection:
        _, key = keys.create(connection, "short", created_by="test", expires_at=ends)
    database.close()
    until(lambda: by_every_worker(service, key, 200), 5)
    until(lambda: by_every_worker(service, key, 401), 10)
    assert datetime.now(UTC) >= ends
    expired = ask(service, key)
    assert expired.headers["www-authenticate"] == f'{BEARER}, error="invalid_token"'
    assert expired.body["detail"].startswith("the key has expired: ")
    assert [each["state"] for each in catalogue.listed()] == ["active", "expired"]


def test_no_key_is_in_any_log(catalogue: Catalogue) -> None:
    works, never = catalogue.create("any"), "okf_aaaaaaaaaa_" + "s" * 49
    loud = {"OKF_ACCESS_LOG": "on", "OKF_LOG_LEVEL": "debug"}
    with serving(*ONE, OKF_DATABASE_URL=catalogue.url, **loud) as service:
        assert ask(service, works).status == 200
        assert ask(service, never).status == 401
        assert ask(service, path=f"/nothing/{'x' * 20}", **{"x-api-key": works}).status == 404
        service.stop()
        calls = [event for event in service.events() if event.get("path") == ANALYZE]
        assert [(call["status"], call["caller"]) for call in calls] == [
            (200, f"any ({works[4:14]})"),
            (401, "nobody"),
        ]
        assert not any(secret in line for line in service.said for secret in (works[15:], never[15:]))


def test_every_call_needs_a_key_where_the_setting_says_so(catalogue: Catalogue) -> None:
    with serving(*ONE, OKF_DATABASE_URL=catalogue.url, OKF_REQUIRE_KEY="always") as service:
        assert ask(service).status == 401
        (event,) = [event for event in service.events() if event["level"] == "warning"]
        assert event["advice"] == f"make one with `{OKF} keys create --name NAME`"
        key = catalogue.create("any")
        until(lambda: ask(service, key).status == 200, 5)


# ---- elsewhere


def test_an_address_that_others_reach_is_refused_without_a_key(catalogue: Catalogue) -> None:
    said = refused("--host", "0.0.0.0", "--port", "0", exit=1, OKF_DATABASE_URL=catalogue.url)
    assert said == (
        "okf: host 0.0.0.0 can be reached from elsewhere and there is no API key: make one with "
        f"`{OKF} keys create --name NAME`, or listen on 127.0.0.1"
    )


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_a_key_that_works_no_more_is_no_key(catalogue: Catalogue, host: str) -> None:
    catalogue.keys("revoke", catalogue.create("gone"))
    with pytest.raises(OmniKeywordsError, match="there is no API key"):
        serve(Settings.load({"OKF_DATABASE_URL": catalogue.url}), host=host, port=0, workers=1, roles="analyzer")


def test_with_a_key_it_is_served_to_who_has_it(catalogue: Catalogue) -> None:
    key = catalogue.create("any")
    with serving("--host", "0.0.0.0", *ONE, OKF_DATABASE_URL=catalogue.url) as service:
        assert (ask(service).status, ask(service, key).status) == (401, 200)
        assert [service.status(path) for path in ("/health", "/ready", "/metrics", "/docs")] == [200] * 4


def test_while_the_database_is_away_it_starts_and_lets_nobody_in() -> None:
    process = subprocess.Popen(
        [str(OKF), "serve", "--host", "0.0.0.0", "--port", "0", "--workers", "1", "--roles", "analyzer"],
        env={
            **os.environ,
            "OKF_LOG_FORMAT": "json",
            "OKF_DATABASE_URL": "postgresql://okf@127.0.0.1:1/okf",
            "OKF_DRAIN_TIMEOUT_MS": "5000",  # within which it ends, whatever a worker that just starts makes of it
        },
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        event = json.loads(process.stderr.readline())
        assert (event["event"], event["consequence"]) == ("the keys cannot be read", "nobody is let in")
        assert process.poll() is None
    finally:
        process.terminate()
        process.wait(30)
        process.stderr.close()  # type: ignore[union-attr]


# ---- the commands


def test_a_key_is_shown_once(catalogue: Catalogue) -> None:
    made = catalogue.keys("create", "--name", "shop reader", "--scope", "write", "--project", "shop")
    assert re.fullmatch(r"okf_[a-z2-7]{10}_[0-9A-Za-z]{49}\n", made.out)
    key = made.out.strip()
    assert made.error.splitlines() == [
        f"okf: key {key[4:14]} (shop reader) may read and write in projects shop; keep it now: it is not shown again",
        "okf: project 'shop' does not exist yet",
    ]
    listed = catalogue.keys("list")
    assert key[4:14] in listed.out
    assert "shop reader" in listed.out
    assert key[15:] not in listed.out + listed.error


def test_a_key_can_be_revoked_by_itself(catalogue: Catalogue) -> None:
    key = catalogue.create("got out")
    assert f"key {key[4:14]} (got out) was revoked at " in catalogue.keys("revoke", key).error
    assert catalogue.keys("revoke", "okf_aaaaaaaaaa_x", exit=1).error == (
        "okf: key 'aaaaaaaaaa' does not exist: `okf keys list` lists those there are\n"
    )


def test_where_there_are_none_it_says_how_to_make_one(catalogue: Catalogue) -> None:
    assert catalogue.keys("list").error == "okf: there are no keys: `okf keys create --name NAME` makes one\n"
    assert catalogue.listed() == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--expires", "soon"], "expiry 'soon' is no time: give days as 90d, hours as 12h, or a day as 2027-06-30"),
        (["--expires", "0d"], "would never work: name a later day"),
        (["--expires", "2020-01-01"], "a key that expires at 2020-01-02 00:00 UTC would never work: name a later day"),
        (["--project", "a/b"], "project 'a/b' cannot be a name"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(catalogue: Catalogue, options: list[str], said: str) -> None:
    (line,) = catalogue.keys("create", "--name", "any", *options, exit=2).error.splitlines()
    assert said in line


def test_the_last_day_of_the_calendar_is_a_day(catalogue: Catalogue) -> None:
    catalogue.create("for ever", "--expires", "9999-12-31")
    (shown,) = catalogue.listed()
    assert shown["expires_at"] == "9999-12-31T00:00:00Z"


def test_the_doctor_says_whether_there_is_a_key_where_one_is_needed(catalogue: Catalogue) -> None:
    def found(**environ: str) -> tuple[bool, str]:
        settings = Settings.load({"OKF_DATABASE_URL": catalogue.url, **environ})
        (finding,) = [each for each in examine(settings) if each.name == "API keys"]
        return finding.fine, finding.text

    assert found() == (True, "none, and 127.0.0.1 needs none until the first is made")
    assert found(OKF_HOST="0.0.0.0") == found(OKF_REQUIRE_KEY="always") == (False, "none can be used")
    key = catalogue.create("any")
    assert found(OKF_HOST="0.0.0.0") == (True, "1 of 1 can be used")
    catalogue.keys("revoke", key)
    assert found() == (False, "none can be used")
    away = found(OKF_DATABASE_URL="postgresql://okf@127.0.0.1:1/okf")
    assert (away[0], away[1][:15]) == (False, "cannot be read:")
