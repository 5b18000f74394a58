"""The catalogue on the command line as people run it: real processes, a terminal, killed half-way."""

import contextlib
import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from omnikeywords.cli import run
from tests.conftest import Place, Places

OKF = [sys.executable, "-c", "from omnikeywords.cli import main; main()"]
MAY = """Top queries,Clicks,Impressions,CTR,Position
comprar ténis de corrida,10,100,10%,4.2
how to clean running shoes,2,50,4%,8
Comprar  ténis de corrida,1,10,10%,5
,1,5,20%,9
"""
JUNE = """Top queries,Clicks,Impressions,CTR,Position
comprar ténis de corrida,30,200,15%,1.2
waterproof hiking boots,4,90,4%,6
"""

Okf = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where two exports are, beside a catalogue of their own."""
    monkeypatch.setenv("OKF_DATABASE_URL", f"sqlite:///{tmp_path / 'catalogue.sqlite3'}")
    monkeypatch.delenv("OKF_DATABASE_OWNER_URL", raising=False)
    monkeypatch.chdir(tmp_path)
    Path("may.csv").write_text(MAY, encoding="utf-8")
    Path("june.csv").write_text(JUNE, encoding="utf-8")
    return tmp_path


@pytest.fixture
def okf(folder: Path, capsys: pytest.CaptureFixture[str]) -> Okf:
    """Runs a command that ends well; returns its lines."""

    def call(*words: str) -> list[dict[str, Any]]:
        code = run(words)
        captured = capsys.readouterr()
        assert code == 0, captured.err
        return [json.loads(line) for line in captured.out.splitlines()]

    return call


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Runs a command; returns exit code, stdout and stderr."""

    def call(*words: str) -> tuple[int, str, str]:
        code = run(words)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


def rows_of(lines: list[dict[str, Any]], *names: str) -> set[tuple[Any, ...]]:
    return {tuple(line[name] for name in names) for line in lines}


class TestImport:
    def test_tells_how_it_went(self, okf: Okf) -> None:
        (told,) = okf("import", "may.csv", "--date", "2026-05", "-q", "--format", "jsonl") or [{}]
        assert told == {}
        (found,) = okf("imports", "list")
        assert (found["state"], found["name"], found["rows"], found["skipped"]) == ("completed", "may.csv", 3, 1)
        assert (found["period_start"], found["period_end"]) == ("2026-05-01", "2026-05-31")
        assert found["tool"] == "google_search_console"
        (again,) = okf("import", "may.csv", "--date", "2026-05")
        assert (again["import"], again["repeated"]) == (found["id"], True)
        counted = {name: again[f"rows_{name}"] for name in ("read", "kept", "merged", "skipped")}
        assert counted == {"read": 4, "kept": 3, "merged": 1, "skipped": 1}
        assert okf("imports", "rejects", found["id"]) == [{"line": 5, "reason": "empty keyword"}]

    def test_makes_keywords_of_every_row(self, okf: Okf) -> None:
        okf("import", "may.csv", "june.csv", "--project", "shop")
        listed = okf("keywords", "--project", "shop", "--sort", "keyword")
        assert [(row["normalized"], row["position"]) for row in listed] == [
            ("comprar ténis de corrida", 1.2),
            ("how to clean running shoes", 8),
            ("waterproof hiking boots", 6),
        ]
        assert okf("keywords") == []

    def test_another_time_only_where_it_is_asked_for(self, okf: Okf) -> None:
        okf("import", "june.csv", "--date", "2026-06-01..2026-06-30")
        (repeated,) = okf("import", "june.csv", "--date", "2026-06")
        (again,) = okf("import", "june.csv", "--date", "2026-06", "--again")
        assert (repeated["repeated"], again["repeated"]) == (True, False)
        assert len(okf("history", "waterproof hiking boots")) == 2

    def test_leaves_it_to_a_processor(self, okf: Okf) -> None:
        (begun,) = okf("import", "may.csv", "--no-wait")
        assert rows_of(okf("imports", "list"), "id", "state") == {(begun["import"], "running")}
        okf("jobs", "resume", begun["job"])
        assert rows_of(okf("imports", "list"), "id", "state") == {(begun["import"], "completed")}

    @pytest.mark.parametrize(
        ("words", "code", "error"),
        [
            (["none.csv"], 1, "no such file or directory 'none.csv'"),
            (["may.csv", "--date", "2026-13"], 2, "date '2026-13' is none: give a day as 2026-05-31"),
            (["may.csv", "--date", "2026-05-02..2026-05-01"], 2, "date '2026-05-02..2026-05-01' ends before it begins"),
            (["may.csv", "--project", "a b"], 2, "project 'a b' cannot be a name"),
            (["may.csv", "--market", "brazil"], 2, "market 'brazil'"),
            (["no.csv"], 1, "no.csv was not imported: no.csv: no column of keywords among 'a', 'b'"),
        ],
    )
    def test_what_cannot_be_imported_is_said_in_one_line(
        self, folder: Path, said: Callable[..., tuple[int, str, str]], words: list[str], code: int, error: str
    ) -> None:
        Path("no.csv").write_text("a,b\n1,2\n", encoding="utf-8")
        found, out, err = said("import", *words)
        assert (found, out) == (code, "")
        assert err.startswith(f"okf: {error}")
        assert err.count("\n") == 1

    def test_one_file_that_cannot_be_read_stops_no_other(self, okf: Okf, said: Any) -> None:
        Path("no.csv").write_text("a,b\n1,2\n", encoding="utf-8")
        code, out, _ = said("import", "no.csv", "may.csv")
        assert (code, len(out.splitlines())) == (1, 1)
        assert rows_of(okf("imports", "list"), "name", "state") == {("no.csv", "withdrawn"), ("may.csv", "completed")}


class TestKeywords:
    def test_are_filtered_sorted_and_paged(self, okf: Okf, said: Any) -> None:
        okf("import", "may.csv", "june.csv")
        found = okf("keywords", "--min-impressions", "90", "--max-position", "6", "--sort", "impressions")
        assert [row["normalized"] for row in found] == ["comprar ténis de corrida", "waterproof hiking boots"]
        assert rows_of(okf("keywords", "--language", "pt"), "normalized") == {("comprar ténis de corrida",)}
        assert rows_of(okf("keywords", "-q", "SHOES"), "normalized") == {("how to clean running shoes",)}
        _, out, err = said("keywords", "--sort", "clicks", "--limit", "2")
        assert err.startswith("okf: 3 keywords; the next: --cursor ")
        following = okf("keywords", "--sort", "clicks", "--limit", "2", "--cursor", err.split()[-1])
        assert [json.loads(line)["clicks"] for line in out.splitlines()] == [30, 4]
        assert [row["clicks"] for row in following] == [2]

    def test_are_written_that_have_a_text(self, okf: Okf) -> None:
        okf("import", "may.csv", "june.csv")
        assert rows_of(okf("export", "-q", "SHOES"), "normalized") == {("how to clean running shoes",)}

    def test_are_written_in_every_format_and_read_back_equal(self, okf: Okf) -> None:
        okf("import", "may.csv", "june.csv")
        listed = okf("export")
        for name in ("all.jsonl", "all.csv", "all.parquet", "all.xlsx"):
            okf("export", "-o", name)
        assert pl.read_parquet("all.parquet")["normalized"].to_list() == [row["normalized"] for row in listed]
        for name in ("all.jsonl", "all.csv", "all.parquet", "all.xlsx"):
            okf("import", name, "--project", "copy")
        copied = okf("export", "--project", "copy")
        told = ("normalized", "id", "intent", "clicks", "impressions", "position")
        assert rows_of(copied, *told) == rows_of(listed, *told)

    def test_have_a_history_by_phrase_and_by_id(self, okf: Okf, said: Any) -> None:
        okf("import", "june.csv", "--date", "2026-06")
        okf("import", "may.csv", "--date", "2026-05")
        told = okf("history", "  COMPRAR ténis de corrida")
        assert [(row["period_start"], row["clicks"]) for row in told] == [
            ("2026-05-01", 10),
            ("2026-05-01", 1),
            ("2026-06-01", 30),
        ]
        assert okf("history", okf("keywords", "-q", "ténis")[0]["id"]) == told
        code, _, err = said("history", "nowhere")
        assert (code, err) == (1, "okf: keyword 'nowhere' does not exist in project 'default'\n")

    def test_in_several_markets_must_be_told_apart(self, okf: Okf, said: Any) -> None:
        okf("import", "may.csv", "--market", "pt-BR")
        okf("import", "june.csv", "--market", "pt-PT")
        code, _, err = said("history", "comprar ténis de corrida")
        assert code == 2
        assert "is in several markets, pt-BR, pt-PT" in err
        assert len(okf("history", "comprar ténis de corrida", "--market", "pt-PT")) == 1

    def test_without_a_market_are_named_by_none(self, okf: Okf, said: Any) -> None:
        okf("import", "may.csv", "--market", "pt-BR")
        okf("import", "june.csv")
        code, _, err = said("history", "comprar ténis de corrida")
        assert code == 2
        assert "is in several markets, none, pt-BR" in err
        (told,) = okf("history", "comprar ténis de corrida", "--market", "none")
        assert told["clicks"] == 30
        assert said("tag", "comprar ténis de corrida", "spring", "--market", "none") == (0, "spring\n", "")
        for command in ("keywords", "search"):
            found = {row["normalized"] for row in okf(command, "--market", "none")}
            assert found == {"comprar ténis de corrida", "waterproof hiking boots"}, command
            assert len(okf(command, "--market", "none|pt-BR")) == 4, command
        code, _, err = said("history", "how to clean running shoes", "--market", "none")
        assert (code, err) == (
            1,
            "okf: keyword 'how to clean running shoes' does not exist in project 'default' without a market\n",
        )

    @pytest.mark.parametrize("command", ["keywords", "search"])
    def test_of_a_source_that_is_none_are_noted(self, okf: Okf, said: Any, command: str) -> None:
        okf("import", "june.csv")
        code, out, err = said(command, "--source", "gogle|google_search_console", "--words", "9")
        assert (code, out) == (0, "")
        assert "okf: no keyword of project 'default' is from source 'gogle'\n" in err
        assert "'google_search_console'" not in err

    def test_that_a_facet_counts_may_be_none(self, okf: Okf, said: Any) -> None:
        okf("import", "june.csv")
        code, out, err = said("search", "nowhere", "--facets", "intent")
        assert (code, out) == (0, "")
        assert "okf: intent: no keyword\n" in err

    def test_are_completed_grouped_and_counted_by_runs_of_words(self, okf: Okf, said: Any) -> None:
        rows = "keyword,volume\nrunning shoes,900\nred running shoes,100\nrunning socks,50\nhiking boots,40\n"
        Path("plain.csv").write_text(rows, encoding="utf-8")
        okf("import", "plain.csv", "--project", "shop")
        suggested = okf("suggest", "runn", "--project", "shop", "--limit", "2")
        assert [(row["keyword"], row["volume"]) for row in suggested] == [("running shoes", 900), ("running socks", 50)]
        first, *_ = grouped = okf("groups", "--project", "shop")
        assert (first["word"], first["keywords"], first["volume"]) == ("running", 3, 1050)
        assert rows_of(first["next"], "word", "keywords") == {("shoes", 2), ("red", 1), ("socks", 1)}
        assert {row["word"] for row in grouped} == {"running", "shoes", "red", "socks", "hiking", "boots"}
        under = okf("groups", "running", "--project", "shop", "--min-volume", "60")
        assert rows_of(under, "word", "keywords", "volume") == {("shoes", 2, 1000), ("red", 1, 100)}
        (pair,) = okf("ngrams", "--project", "shop", "--limit", "1")
        assert pair == {"ngram": "running shoes", "keywords": 2, "volume": 1000}
        (three,) = okf("ngrams", "-n", "3", "--project", "shop")
        assert three == {"ngram": "red running shoes", "keywords": 1, "volume": 100}
        code, out, _ = said("groups", "--project", "shop", "--format", "table")
        assert code == 0
        assert out.splitlines()[1].split() == "running 3 1,050 shoes 2, red 1, socks 1".split()
        code, _, err = said("ngrams", "-n", "6", "--project", "shop")
        assert (code, err) == (2, "okf: n is 6: give a number from 1 to 5\n")
        assert said("suggest", "x", "--project", "nope")[0] == 1

    def test_are_compared_between_two_imports(self, okf: Okf) -> None:
        okf("import", "may.csv", "june.csv")
        ids = {row["name"]: row["id"] for row in okf("imports", "list")}
        changed = okf("compare", ids["may.csv"], ids["june.csv"])
        assert rows_of(changed, "keyword", "change", "position", "position_after") == {
            ("comprar ténis de corrida", "moved", 4.2, 1.2),
            ("how to clean running shoes", "lost", 8, None),
            ("waterproof hiking boots", "new", None, 6),
        }

    def test_take_tags_and_corrections(self, okf: Okf, said: Any) -> None:
        okf("import", "june.csv")
        boots = "waterproof hiking boots"
        assert said("tag", boots, "winter", "shop")[1] == "shop\nwinter\n"
        assert said("tag", boots, "--remove", "shop")[1] == "winter\n"
        assert rows_of(okf("keywords", "--tag", "winter"), "normalized") == {(boots,)}
        assert said("correct", boots, "--intent", "navigational")[1] == "intent navigational\n"
        assert rows_of(okf("keywords", "--intent", "navigational"), "normalized") == {(boots,)}
        okf("rebuild")
        assert rows_of(okf("keywords", "--intent", "navigational", "--tag", "winter"), "normalized") == {(boots,)}
        assert said("correct", boots, "--undo", "intent")[1] == ""
        assert okf("keywords", "--intent", "navigational") == []
        code, _, err = said("correct", boots, "--intent", "buying")
        assert code == 2
        assert "intent 'buying' is unknown: use informational, " in err
        assert said("tag", boots, "--remove", "none")[::2] == (2, f"okf: keyword {boots!r} has no tag 'none'\n")


class TestTakingBack:
    @pytest.mark.parametrize("verb", ["withdraw", "delete"])
    def test_an_import_counts_nowhere_any_more(self, okf: Okf, verb: str) -> None:
        okf("import", "may.csv", "june.csv")
        ids = {row["name"]: row["id"] for row in okf("imports", "list")}
        okf("imports", verb, ids["june.csv"])
        assert rows_of(okf("keywords"), "normalized", "position") == {
            ("comprar ténis de corrida", 4.2),
            ("how to clean running shoes", 8),
        }
        types = [event["type"] for event in okf("events", "--after", "0")]
        assert ("erased" in types) == (verb == "delete")
        okf("import", "june.csv")  # as it counts nowhere, it is no repetition
        assert len(okf("keywords")) == 3

    def test_a_job_cancelled_before_it_began_withdraws_its_import(self, okf: Okf, said: Any) -> None:
        (begun,) = okf("import", "may.csv", "--no-wait")
        okf("jobs", "cancel", begun["job"])
        assert rows_of(okf("imports", "list"), "state", "reason") == {("withdrawn", "cancelled: before it began")}
        code, _, err = said("jobs", "retry", begun["job"])
        assert code == 1
        assert re.search(r"is failed: what was uploaded for import '\w+' is gone: upload it again$", err.strip())
        assert okf("import", "may.csv")[0]["state"] == "completed"

    def test_a_project_goes_with_all_that_was_said_in_it(self, okf: Okf, said: Any) -> None:
        okf("projects", "create", "shop", "--market", "pt-BR", "--brand", "acme")
        okf("import", "may.csv", "--project", "shop")
        assert rows_of(okf("keywords", "--project", "shop"), "market") == {("pt-BR",)}
        assert rows_of(okf("projects", "list"), "name", "market") == {("default", None), ("shop", "pt-BR")}
        code, _, err = said("projects", "delete", "shop")
        assert (code, err) == (2, "okf: --yes is needed to delete project 'shop' with its 2 keywords\n")
        okf("projects", "delete", "shop", "--yes")
        assert rows_of(okf("projects", "list"), "name") == {("default",)}
        code, _, err = said("keywords", "--project", "shop")
        assert code == 1
        assert "project 'shop' does not exist: `okf projects list` lists those there are" in err

    def test_settings_of_a_project_make_its_keywords_anew(self, okf: Okf, said: Any) -> None:
        okf("import", "june.csv")
        okf("projects", "change", "default", "--market", "pt-BR", "--brand", "waterproof")
        assert rows_of(okf("keywords"), "market", "normalized", "branded") == {
            ("pt-BR", "comprar ténis de corrida", False),
            ("pt-BR", "waterproof hiking boots", True),
        }
        assert said("projects", "change", "default", "--weight", "demand")[::2] == (
            2,
            "okf: weight 'demand' is none: write it as name=number\n",
        )


def on_terminal(words: list[str], columns: int) -> tuple[str, int]:
    """What a command shows on a terminal, without colours, and its exit code."""
    pid, terminal = pty.fork()
    if pid == 0:
        environment = {**os.environ, "TERM": "xterm-256color", "PYTHONUTF8": "1"}
        environment.pop("COLUMNS", None)
        os.execve(OKF[0], [*OKF, *words], environment)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    shown = b""
    with contextlib.suppress(OSError):  # the other end is closed
        while block := os.read(terminal, 65536):
            shown += block
    os.close(terminal)
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.decode()).replace("\r", "")
    return text, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_a_terminal_gets_tables_that_fit(folder: Path) -> None:
    shown, code = on_terminal(["import", "may.csv", "june.csv", "--date", "2026-05", "-q"], 80)
    assert (shown, code) == ("", 0)
    shown, code = on_terminal(["import", "may.csv", "--project", "other"], 80)
    assert code == 0
    report = shown[shown.index("may.csv imported in ") :].partition("  okf")[0]
    assert max(map(len, report.splitlines())) <= 80
    for line in (r"rows read +4", r"kept +3", r"merged +1 ", r"skipped +1 +1 × empty keyword", r"keywords +2 +in proj"):
        assert re.search(line, shown), line
    shown, _ = on_terminal(["keywords", "--sort", "position"], 80)
    assert shown.splitlines()[0].split() == ["keyword", "lang", "intent", "clicks", "impr.", "pos.", "diff.", "opp."]
    assert max(map(len, shown.splitlines())) <= 80
    shown, _ = on_terminal(["imports", "list"], 80)
    assert max(map(len, shown.splitlines())) <= 80
    listed = shown.splitlines()[1].split()
    assert re.fullmatch("i[0-9a-f]{25}", listed[0]), "an id is shown whole: people copy it"
    assert "2026-05" in listed, "a whole month is called by its name"
    shown, _ = on_terminal(["groups"], 80)
    assert shown.splitlines()[0].split() == ["word", "keywords", "with"]
    assert max(map(len, shown.splitlines())) <= 80
    source = "a_tool_that_nobody_has"
    shown, _ = on_terminal(["keywords", "--source", source, "--project", "other"], 60)
    assert shown.splitlines()[:2] == [
        "okf: no keyword of project 'other' is from source",
        f"     '{source}'",
    ]


def killed(point: str, *words: str) -> int:
    """Run a command that kills itself at a crash point; returns its exit code."""
    return subprocess.run(
        [*OKF, *words], env={**os.environ, "OKF_CRASH_AT": point}, capture_output=True, timeout=60, check=False
    ).returncode


@pytest.mark.parametrize(
    "point", ["jobs.start.after_insert", "import.chunk.appended", "saga.pivot.before_commit", "import.followed"]
)
def test_an_import_killed_on_the_way_goes_on_when_it_is_asked_for_again(okf: Okf, point: str) -> None:
    assert killed(point, "import", "may.csv") == -signal.SIGKILL
    (done,) = okf("import", "may.csv")
    assert (done["state"], done["rows"], done["rows_merged"]) == ("completed", 3, 1)
    assert len(okf("imports", "list")) == 1
    assert len(okf("history", "comprar ténis de corrida")) == 2


def test_a_crash_point_that_is_none_is_refused(folder: Path) -> None:
    done = subprocess.run(
        [*OKF, "projects", "list"], env={**os.environ, "OKF_CRASH_AT": "nowhere"}, capture_output=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr.startswith(b"okf: OKF_CRASH_AT='nowhere' names no crash point: use one of ")
    assert b" import.accepted, " in done.stderr


def test_an_interrupted_import_says_how_it_goes_on(folder: Path, okf: Okf) -> None:
    rows = "\n".join(f"keyword {i},{i}" for i in range(300_000))
    Path("large.csv").write_text(f"keyword,volume\n{rows}\n", encoding="utf-8")
    process = subprocess.Popen([*OKF, "import", "large.csv"], stderr=subprocess.PIPE, stdout=subprocess.PIPE)
    until = time.monotonic() + 30
    while time.monotonic() < until and not any(row["rows"] for row in okf("imports", "list")):
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    job = okf("jobs", "list")[0]
    assert f"okf: job {job['id']} waits: `okf jobs resume {job['id']}` goes on" in err.decode()
    okf("jobs", "cancel", job["id"])
    assert rows_of(okf("imports", "list"), "state") == {("withdrawn",)}


def test_the_doctor_looks_at_the_catalogue(folder: Path, okf: Okf, said: Any) -> None:
    assert "none yet; the first import makes it" in " ".join(said("doctor")[1].split())
    okf("import", "may.csv")
    told = " ".join(said("doctor")[1].split())
    for line in ("has the schema of this version", "ok read models up with the log", "ok events none parked"):
        assert line in told


def test_the_doctor_looks_at_role_and_partitions_of_postgresql(
    places: Places, monkeypatch: pytest.MonkeyPatch, said: Any
) -> None:
    place: Place = places.migrated("postgresql18")
    monkeypatch.setenv("OKF_DATABASE_URL", place.url)
    told = " ".join(said("doctor")[1].split())
    for line in ("ok database role okf_app is held to", "ok partitions 4 months", "ok read models up with the log"):
        assert line in told
    monkeypatch.setenv("OKF_DATABASE_URL", place.owner_url)
    assert "problem database role" in " ".join(said("doctor")[1].split())
    monkeypatch.setenv("OKF_DATABASE_URL", places.empty("postgresql18").url)
    assert re.search(r"problem catalogue .*run `okf migrate`", " ".join(said("doctor")[1].split()))
