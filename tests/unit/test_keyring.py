"""Who is let in with which key, for how long, and what happens when the keys cannot be read."""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from omnikeywords.api.caller import LOCAL, Caller
from omnikeywords.api.keyring import Keyring
from omnikeywords.api.problems import Problem
from omnikeywords.catalog.keys import Key, Stamp, hash_of
from omnikeywords.errors import DatabaseUnavailable
from omnikeywords.ops import SharedFlag, render_metrics

ANALYZE, PROJECTS = "/api/v1/analyze", "/api/v1/projects"
NOW = datetime(2026, 9, 1, 12, tzinfo=UTC)
# Written down as `okf keys create` printed them.
TEXT = "okf_ktrfr5fv22_YNOBPQDl2UrhUOoCQ0CghZi0pmrE1CddPbot7ZCE3S54MRsKT"
KEY = Key("ktrfr5fv22", "shop reader", "read", frozenset({"shop"}), "ana", NOW, hash=hash_of(TEXT.encode()))
HERE = {b"host": b"127.0.0.1:8080"}


class Shelf:
    """A store in memory that counts how often it is asked and can be away."""

    def __init__(self, *keys: Key) -> None:
        self.keys = list(keys)
        self.away: Exception | None = None
        self.asked = 0
        self.used: list[Mapping[str, float]] = []
        self.closed = 0

    def changes(self, since: Stamp | None) -> tuple[Stamp, list[Key]] | None:
        self.asked += 1
        if self.away is not None:
            raise self.away
        stamp = (len(self.keys), sum(key.revoked_at is not None for key in self.keys), None)
        return None if stamp == since else (stamp, list(self.keys))

    def note_used(self, used: Mapping[str, float]) -> None:
        self.asked += 1
        if self.away is not None:
            raise self.away
        self.used.append(used)

    def close(self) -> None:
        self.closed += 1


class Ring:
    """A keyring whose clocks stand still until they are moved."""

    def __init__(self, folder: Path, *keys: Key, local: bool = False, origins: Sequence[str] = ()) -> None:
        self.shelf = Shelf(*keys)
        self.flag = SharedFlag(folder / "keyed")
        self.seconds = 1000.0
        self.ring = Keyring(
            self.shelf,
            local=local,
            keyed=self.flag,
            origins=origins,
            clock=lambda: self.seconds,
            wall=lambda: NOW.timestamp() + self.seconds - 1000,
        )
        self.look = self.ring.look

    def caller(self, path: str = PROJECTS, client: str = "192.0.2.7", **headers: str) -> Caller:
        given = {name.replace("_", "-").encode(): value.encode() for name, value in headers.items()}
        return self.ring.admit(path, {**HERE, **given}, client)

    def refused(self, *given: Any, **headers: str) -> Problem:
        with pytest.raises(Problem) as caught:
            self.caller(*given, **headers)
        return caught.value


@pytest.fixture
def keyed(tmp_path: Path) -> Ring:
    made = Ring(tmp_path, KEY)
    made.look()
    return made


def counted(reason: str) -> float:
    for line in render_metrics().decode().splitlines():
        if line.startswith(f'okf_key_failures_total{{reason="{reason}"}}'):
            return float(line.rpartition(" ")[2])
    return 0.0


class TestWithAKey:
    """A key lets in whom it was made for."""

    @pytest.mark.parametrize(
        "headers",
        [
            {"authorization": f"Bearer {TEXT}"},
            {"authorization": f"bearer  {TEXT} "},
            {"x_api_key": TEXT},
            {"authorization": "Basic YTpi", "x_api_key": TEXT},
        ],
    )
    def test_it_comes_in_either_header(self, keyed: Ring, headers: dict[str, str]) -> None:
        assert keyed.caller(**headers) == Caller("shop reader (ktrfr5fv22)", "read", frozenset({"shop"}), "ktrfr5fv22")

    def test_one_without_projects_is_for_all(self, tmp_path: Path) -> None:
        ring = Ring(tmp_path, replace(KEY, projects=frozenset(), scope="admin"))
        ring.look()
        assert ring.caller(x_api_key=TEXT) == Caller("shop reader (ktrfr5fv22)", "admin", None, "ktrfr5fv22")

    def test_what_is_none_is_told_from_one_that_nobody_knows(self, keyed: Ring) -> None:
        other = "okf_ktrfr5fv23_YNOBPQDl2UrhUOoCQ0CghZi0pmrE1CddPbot7ZCE3S54MRsKT"
        for text in ("", "x", TEXT[:-1], TEXT + "x", TEXT.replace("YNOB", "YNBO"), other, "é" * 64):
            assert keyed.refused(x_api_key=text).detail.startswith("the key is mistyped or not whole")
        nobody_s = "okf_aaaaaaaaaa_" + "0" * 43
        assert keyed.refused(x_api_key=nobody_s + checksum(nobody_s)).detail == (
            "the key is unknown: send it as `Authorization: Bearer KEY`; `okf keys create` makes one"
        )

    def test_the_id_of_a_key_with_another_secret_is_unknown(self, keyed: Ring) -> None:
        text = "okf_ktrfr5fv22_" + "0" * 43
        assert keyed.refused(x_api_key=text + checksum(text)).detail.startswith("the key is unknown")

    def test_a_revoked_one_says_so_to_whoever_has_it(self, keyed: Ring) -> None:
        keyed.shelf.keys = [replace(KEY, revoked_at=NOW)]
        keyed.look()
        assert keyed.refused(x_api_key=TEXT).detail.startswith("the key was revoked")

    def test_it_ends_at_its_time_whether_the_database_is_there_or_not(self, tmp_path: Path) -> None:
        ring = Ring(tmp_path, replace(KEY, expires_at=NOW + timedelta(seconds=60)))
        ring.look()
        ring.seconds += 59.9
        ring.caller(x_api_key=TEXT)
        ring.seconds += 0.1
        assert ring.refused(x_api_key=TEXT).detail.startswith("the key has expired")

    @pytest.mark.parametrize(("given", "more"), [({}, ""), ({"x_api_key": "x"}, ', error="invalid_token"')])
    def test_every_refusal_says_how_to_come_in(self, keyed: Ring, given: dict[str, str], more: str) -> None:
        problem = keyed.refused(**given)
        assert (problem.status, problem.code) == (401, "unauthorized")
        assert dict(problem.headers)[b"www-authenticate"].decode() == f'Bearer realm="omnikeywords"{more}'
        assert "`Authorization: Bearer KEY`" in problem.detail

    def test_a_check_asks_the_database_nothing(self, keyed: Ring) -> None:
        asked = keyed.shelf.asked
        for _ in range(1000):
            keyed.caller(x_api_key=TEXT)
            keyed.refused()
        assert keyed.shelf.asked == asked

    def test_use_is_noted_together_later(self, keyed: Ring) -> None:
        for _ in range(3):
            keyed.seconds += 1
            keyed.caller(x_api_key=TEXT)
        assert keyed.shelf.used == []
        keyed.ring.note_used()
        assert keyed.shelf.used == [{"ktrfr5fv22": NOW.timestamp() + 3}]
        keyed.ring.note_used()
        assert len(keyed.shelf.used) == 1

    def test_use_that_could_not_be_noted_is_noted_later(self, keyed: Ring) -> None:
        keyed.caller(x_api_key=TEXT)
        keyed.shelf.away = DatabaseUnavailable("away")
        keyed.ring.note_used()
        keyed.shelf.away = None
        keyed.ring.note_used()
        assert keyed.shelf.used == [{"ktrfr5fv22": NOW.timestamp()}]

    @pytest.mark.parametrize(
        "path", ["/health", "/ready", "/metrics", "/docs", "/docs/rapidoc-min.js", "/openapi.json"]
    )
    @pytest.mark.parametrize("given", [{}, {"x_api_key": "wrong"}])
    def test_what_is_for_all_needs_none_and_is_nobody_s(self, keyed: Ring, path: str, given: dict[str, str]) -> None:
        assert keyed.caller(path, **given).projects == frozenset()

    @pytest.mark.parametrize(
        "path", ["/", "/health/x", "/healthy", "/docs/", "/api/v1/analyze", "/API/v1/x", "//health"]
    )
    def test_everything_else_needs_one(self, keyed: Ring, path: str) -> None:
        assert keyed.refused(path).code == "unauthorized"


def checksum(text: str) -> str:
    """The last six signs of a key, by the rule in the documentation and none of the program's code."""
    signs = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    rest = 0xFFFFFFFF
    for byte in text.encode():
        rest ^= byte
        for _ in range(8):
            rest = rest >> 1 ^ (0xEDB88320 if rest & 1 else 0)
    number, out = rest ^ 0xFFFFFFFF, ""
    for _ in range(6):
        number, sign = divmod(number, 62)
        out = signs[sign] + out
    return out


class TestOnLoopback:
    """No key is needed there as long as there never was one."""

    def test_everything_works_without_a_key(self, tmp_path: Path) -> None:
        ring = Ring(tmp_path, local=True)
        ring.look()
        assert ring.caller() == LOCAL
        assert ring.ring.check() is None

    def test_the_first_key_ends_that_and_revoking_it_does_not_bring_it_back(self, tmp_path: Path) -> None:
        ring = Ring(tmp_path, local=True)
        ring.look()
        ring.shelf.keys = [KEY]
        ring.look()
        assert ring.refused().code == "unauthorized"
        assert ring.caller(x_api_key=TEXT).name == "shop reader (ktrfr5fv22)"
        ring.shelf.keys = [replace(KEY, revoked_at=NOW)]
        ring.look()
        assert ring.refused().code == "unauthorized"
        ring.shelf.keys = []
        ring.look()
        assert ring.refused().code == "unauthorized"

    def test_one_process_tells_the_others(self, tmp_path: Path) -> None:
        first, second = Ring(tmp_path, local=True), Ring(tmp_path, KEY, local=True)
        first.look()
        assert first.caller() == LOCAL
        second.look()
        assert first.refused().code == "unauthorized"

    def test_elsewhere_one_is_needed_from_the_start(self, tmp_path: Path) -> None:
        ring = Ring(tmp_path)
        ring.look()
        assert ring.refused().code == "unauthorized"

    def test_a_key_that_is_given_must_be_right_even_there(self, tmp_path: Path) -> None:
        ring = Ring(tmp_path, local=True)
        ring.look()
        assert ring.refused(x_api_key=TEXT).detail.startswith("the key is unknown")

    @pytest.mark.parametrize(
        "headers",
        [
            {"host": "localhost"},
            {"host": "LOCALHOST:8080"},
            {"host": "[::1]:8080"},
            {"host": "127.0.0.2"},
            {"host": "okf.localhost:80"},
            {"origin": "http://localhost:3000"},
            {"origin": "http://127.0.0.1:8080"},
            {"origin": "https://app.example.com"},
        ],
    )
    def test_programs_and_pages_of_this_machine_call_freely(self, tmp_path: Path, headers: dict[str, str]) -> None:
        ring = Ring(tmp_path, local=True, origins=["https://app.example.com"])
        ring.look()
        assert ring.caller(**headers) == LOCAL

    @pytest.mark.parametrize(
        "headers",
        [
            {"host": "evil.example:8080"},
            {"host": "localhost.evil.example"},
            {"host": "192.0.2.1"},
            {"host": ""},
            {"origin": "https://evil.example"},
            {"origin": "https://localhost.evil.example"},
            {"origin": "null"},
            {"x_forwarded_for": "192.0.2.1"},
            {"forwarded": "for=192.0.2.1"},
        ],
    )
    def test_pages_of_others_and_those_behind_a_proxy_need_a_key(self, tmp_path: Path, headers: dict[str, str]) -> None:
        ring = Ring(tmp_path, local=True, origins=["https://app.example.com"])
        ring.look()
        assert ring.refused(**headers).code == "unauthorized"


class TestAway:
    """The database cannot be read."""

    def test_known_keys_stay_valid_for_fifteen_minutes_and_then_nobody_is_let_in(self, keyed: Ring) -> None:
        keyed.shelf.away = DatabaseUnavailable("away")
        for _ in range(9):
            keyed.seconds += 100
            keyed.look()
        assert keyed.caller(x_api_key=TEXT).name == "shop reader (ktrfr5fv22)"
        assert keyed.ring.check() is None
        keyed.seconds += 0.5
        problem = keyed.refused(x_api_key=TEXT)
        assert (problem.status, problem.code) == (503, "database_unavailable")
        assert dict(problem.headers)[b"retry-after"] == b"5"
        assert keyed.ring.check() is not None
        assert keyed.refused().code == "unauthorized"

    def test_they_are_valid_again_when_it_is_back(self, keyed: Ring) -> None:
        keyed.shelf.away = DatabaseUnavailable("away")
        keyed.seconds += 5000
        keyed.look()
        keyed.shelf.away = None
        keyed.look()
        assert keyed.caller(x_api_key=TEXT).name == "shop reader (ktrfr5fv22)"
        assert keyed.ring.trouble is None

    def test_a_look_that_finds_nothing_new_renews_them(self, keyed: Ring) -> None:
        for _ in range(20):
            keyed.seconds += 100
            keyed.look()
        assert keyed.caller(x_api_key=TEXT).name == "shop reader (ktrfr5fv22)"

    def test_a_fault_of_ours_counts_as_away(self, keyed: Ring) -> None:
        keyed.shelf.away = ValueError("a fault")
        keyed.look()
        assert keyed.ring.trouble == "ValueError: a fault"
        keyed.seconds += 901
        assert keyed.refused(x_api_key=TEXT).code == "database_unavailable"

    def test_on_loopback_analyze_alone_is_answered_where_no_key_was_ever_known(self, tmp_path: Path) -> None:
        ring = Ring(tmp_path, local=True)
        ring.shelf.away = DatabaseUnavailable("away")
        ring.look()
        assert ring.caller(ANALYZE) == LOCAL
        assert ring.ring.check() is None
        assert ring.refused(PROJECTS).code == "database_unavailable"
        assert ring.refused(ANALYZE, host="evil.example").code == "unauthorized"
        assert ring.refused(ANALYZE, x_api_key=TEXT).code == "database_unavailable"

    def test_it_is_not_where_another_process_knows_of_one(self, tmp_path: Path) -> None:
        ring = Ring(tmp_path, local=True)
        ring.shelf.away = DatabaseUnavailable("away")
        ring.look()
        ring.flag.set()
        assert ring.refused(ANALYZE).code == "unauthorized"
        assert ring.ring.check() is not None

    def test_an_open_service_stays_as_it_is_while_the_database_is_away(self, tmp_path: Path) -> None:
        ring = Ring(tmp_path, local=True)
        ring.look()
        ring.shelf.away = DatabaseUnavailable("away")
        ring.seconds += 5000
        ring.look()
        assert ring.caller(ANALYZE) == LOCAL

    def test_elsewhere_nobody_is_let_in_until_the_keys_are_known(self, tmp_path: Path) -> None:
        ring = Ring(tmp_path, KEY)
        ring.shelf.away = DatabaseUnavailable("away")
        ring.look()
        assert ring.refused(ANALYZE).code == "unauthorized"
        assert ring.refused(ANALYZE, x_api_key=TEXT).code == "database_unavailable"
        assert ring.ring.check() == "the keys are not known: the database cannot be read"


class TestGuesses:
    """Keys that nobody has are counted, and who sends too many is held up."""

    def test_after_sixty_one_has_to_wait(self, keyed: Ring) -> None:
        before = counted("malformed"), counted("limited")
        codes = [keyed.refused(x_api_key="x").code for _ in range(62)]
        assert codes == ["unauthorized"] * 60 + ["too_many_failures"] * 2
        problem = keyed.refused(x_api_key="x")
        assert (problem.status, dict(problem.headers)[b"retry-after"]) == (429, b"1")
        assert (counted("malformed"), counted("limited")) == (before[0] + 60, before[1] + 3)
        keyed.seconds += 1
        assert [keyed.refused(x_api_key="x").code for _ in range(2)] == ["unauthorized", "too_many_failures"]

    def test_a_key_that_works_is_never_held_up(self, keyed: Ring) -> None:
        for _ in range(70):
            keyed.refused(x_api_key="x")
        assert keyed.caller(x_api_key=TEXT).name == "shop reader (ktrfr5fv22)"

    def test_one_that_was_revoked_is_no_guess(self, keyed: Ring) -> None:
        keyed.shelf.keys = [replace(KEY, revoked_at=NOW)]
        keyed.look()
        assert {keyed.refused(x_api_key=TEXT).code for _ in range(70)} == {"unauthorized"}

    def test_other_addresses_are_not(self, keyed: Ring) -> None:
        for _ in range(70):
            keyed.refused(PROJECTS, "2001:db8::1", x_api_key="x")
        assert keyed.refused(PROJECTS, "192.0.2.1", x_api_key="x").code == "unauthorized"
        assert keyed.refused(PROJECTS, "2001:db8:0:1::1", x_api_key="x").code == "unauthorized"
        # One machine has all of its network of 64 bits.
        assert keyed.refused(PROJECTS, "2001:db8::2", x_api_key="x").code == "too_many_failures"

    def test_to_have_no_key_is_counted_and_not_held_up(self, keyed: Ring) -> None:
        before = counted("missing")
        assert {keyed.refused().code for _ in range(70)} == {"unauthorized"}
        assert counted("missing") == before + 70

    def test_the_table_of_addresses_is_bounded(self, keyed: Ring) -> None:
        for one, two in itertools.product(range(110), range(100)):
            keyed.refused(PROJECTS, f"10.0.{one}.{two}", x_api_key="x")
        assert len(keyed.ring._guesses) == 10_000


def test_the_clocks_of_a_ring_are_those_of_the_system_unless_told_otherwise(tmp_path: Path) -> None:
    ring = Keyring(Shelf(KEY), local=False, keyed=SharedFlag(tmp_path / "keyed"), look_every=math.inf)
    ring.look()
    assert ring.usable == 1
    assert ring.admit(PROJECTS, {b"x-api-key": TEXT.encode()}, "").name == "shop reader (ktrfr5fv22)"


def test_stopping_keeps_what_was_used_last_and_closes_the_store(tmp_path: Path) -> None:
    shelf = Shelf(KEY)
    ring = Keyring(shelf, local=False, keyed=SharedFlag(tmp_path / "keyed"))
    ring.look()
    ring.start()
    ring.admit(PROJECTS, {b"x-api-key": TEXT.encode()}, "")
    ring.stop()
    assert [set(used) for used in shelf.used] == [{"ktrfr5fv22"}]
    assert shelf.closed == 1
