"""The command line as scripts meet it: results on stdout, notes on stderr, one line for an error, exit codes."""

import csv
import gzip
import io
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import typer

from omnikeywords import __version__
from omnikeywords.cli import app, run
from omnikeywords.cli_output import output_format
from omnikeywords.finder import finder
from omnikeywords.settings import Settings

SEARCH_CONSOLE = """Top queries,Clicks,Impressions,CTR,Position
comprar ténis de corrida,10,100,10%,4.2
how to clean running shoes,2,50,4%,8
,1,5,20%,9
"""
PER_PAGE = """query,page,clicks,impressions,ctr,position
ténis,https://x.pt/a,1,10,0.1,3
ténis,https://x.pt/b,3,30,0.1,7
Botas,https://x.pt/c,0,5,0,12
"""


@pytest.fixture
def export(tmp_path: Path) -> Path:
    path = tmp_path / "Queries.csv"
    path.write_text(SEARCH_CONSOLE, encoding="utf-8")
    return path


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_keywords_of_the_command_line_are_answered_in_order(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["analyze", "-k", "ténis", "-k", " ", "-k", "ténis", "--format", "jsonl"]) == 0
    first, second, third = lines(capsys.readouterr().out)
    assert (first["keyword"], first["error"]) == ("ténis", None)
    assert second["error"]["code"] == "invalid_keyword"
    assert second["normalized"] is None
    assert third["near_duplicate_of"] == "ténis"
    assert third["near_duplicate_reason"] == "same"


@pytest.mark.parametrize("first", [True, False])
def test_a_first_run_says_what_it_waits_for(
    first: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(finder.Finder, "prepare", lambda _, on_compile: on_compile() if first else None)
    said = "okf: preparing, once: compiling the analysis for this processor, which takes about half a minute\n"
    assert run(["analyze", "-k", "shoes", "--format", "jsonl"]) == 0
    assert capsys.readouterr().err == (said if first else "")
    assert run(["analyze", "-k", "shoes", "--format", "jsonl", "-q"]) == 0
    assert capsys.readouterr().err == ""


def test_a_file_is_analysed_and_nothing_is_lost(export: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["analyze", str(export)]) == 0
    captured = capsys.readouterr()
    first, second = lines(captured.out)
    assert captured.err == "okf: Queries.csv: 1 row skipped: empty keyword (line 4)\n"
    assert first["keyword"] == "comprar ténis de corrida"
    assert first["source"] == "google_search_console"
    assert (first["clicks"], first["impressions"], first["ctr"], first["position"]) == (10, 100, 0.1, 4.2)
    assert first["volume"] is None
    assert first["intent"] == "transactional"
    assert first["opportunity"]["score"] == pytest.approx(sum(first["opportunity"]["parts"].values()))
    assert second["question"] == "how"


def test_what_a_file_is_warned_of_is_told_where_no_summary_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "lojas.csv"
    path.write_bytes("keyword,volume\npão,10\n,3\ncafé,x\n,4\n".encode("cp1252"))
    told = (
        "okf: lojas.csv: not UTF-8: read as Windows-1252; if accents look wrong, save the file as UTF-8\n"
        "okf: lojas.csv: column 'volume': 1 cell is no number, as 'x' in line 4; kept in extra\n"
        "okf: lojas.csv: 2 rows skipped: empty keyword (first line 3)\n"
    )
    assert run(["analyze", str(path), "--format", "csv"]) == 0
    assert capsys.readouterr().err == told
    out = tmp_path / "out.csv"
    assert run(["analyze", str(path), "-o", str(out)]) == 0
    assert re.fullmatch(re.escape(f"{told}okf: wrote {out}: 2 keywords in ") + r"\d+\.\d s\n", capsys.readouterr().err)
    assert run(["analyze", str(path), "--format", "csv", "-q"]) == 0
    assert capsys.readouterr().err == ""


def test_rows_of_one_keyword_merge_and_scores_follow(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "pages.csv"
    path.write_text(PER_PAGE, encoding="utf-8")
    assert run(["analyze", str(path), str(path), "--format", "jsonl"]) == 0
    first, second = lines(capsys.readouterr().out)
    assert (first["keyword"], first["clicks"], first["impressions"]) == ("ténis", 4, 40)
    assert (first["position"], first["url"]) == (3.0, "https://x.pt/a")
    assert (second["normalized"], second["impressions"]) == ("botas", 5)
    alone = tmp_path / "alone.csv"
    alone.write_text("query,page,clicks,impressions,ctr,position\nténis,https://x.pt/a,4,40,0.1,3\n", "utf-8")
    assert run(["analyze", str(alone), "--format", "jsonl"]) == 0
    (same,) = lines(capsys.readouterr().out)
    assert {**same, "match_type": None} == {**first, "match_type": None}


def test_every_format_holds_the_same_keywords(export: Path, tmp_path: Path) -> None:
    found = {}
    for suffix in ("jsonl", "csv", "parquet", "xlsx"):
        out = tmp_path / f"out.{suffix}"
        assert run(["analyze", str(export), "-q", "-o", str(out)]) == 0
        match suffix:
            case "jsonl":
                found[suffix] = [row["id"] for row in lines(out.read_text("utf-8"))]
            case "csv":
                found[suffix] = [row["id"] for row in csv.DictReader(io.StringIO(out.read_text("utf-8")))]
            case "parquet":
                found[suffix] = pl.read_parquet(out)["id"].to_list()
            case "xlsx":
                found[suffix] = pl.read_excel(out, drop_empty_cols=False)["id"].to_list()
    assert len(found["jsonl"]) == 2
    assert all(ids == found["jsonl"] for ids in found.values())


def test_our_own_results_can_be_analysed_again(export: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "first.csv", tmp_path / "second.csv"
    assert run(["analyze", str(export), "-q", "-o", str(first)]) == 0
    assert run(["analyze", str(first), "-q", "-o", str(second)]) == 0
    assert second.read_text("utf-8") == first.read_text("utf-8")


def test_csv_leaves_out_observed_columns_that_nobody_filled(export: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["analyze", str(export), "--format", "csv"]) == 0
    header = next(csv.reader(io.StringIO(capsys.readouterr().out)))
    assert header[:4] == ["keyword", "normalized", "id", "market"]
    assert "impressions" in header
    assert "volume" not in header


def test_basic_analyses_end_with_the_intents(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["analyze", "-k", "ténis", "--type", "basic", "--format", "jsonl"]) == 0
    (row,) = lines(capsys.readouterr().out)
    assert "intents" in row
    assert "funnel" not in row


def test_the_market_is_part_of_the_id_and_decides_close_calls(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["analyze", "-k", "tenis", "--format", "jsonl"]) == 0
    assert run(["analyze", "-k", "tenis", "--market", "pt-br", "--format", "jsonl"]) == 0
    without, within = lines(capsys.readouterr().out)
    assert (without["market"], within["market"], within["language"]) == (None, "pt-BR", "pt")
    assert without["id"] != within["id"]


@pytest.mark.parametrize(
    ("market", "said"),
    [
        ("br", "okf: market 'br' is read as a language, and none that is known here; the country is und-BR\n"),
        ("pt", ""),
        ("und-BR", ""),
        ("zz-BR", ""),
    ],
)
def test_a_country_in_place_of_a_market_is_told_of(market: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["analyze", "-k", "ténis", "--market", market, "--format", "jsonl"]) == 0
    assert capsys.readouterr().err == said


def test_a_brand_that_is_given_is_a_brand(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["analyze", "-k", "trilho alto ténis", "--format", "jsonl"]) == 0
    assert run(["analyze", "-k", "trilho alto ténis", "--brand", "Trilho Alto", "--format", "jsonl"]) == 0
    assert [row["branded"] for row in lines(capsys.readouterr().out)] == [False, True]


def test_near_duplicates_are_looked_for_unless_told_not_to(capsys: pytest.CaptureFixture[str]) -> None:
    given = ["analyze", "-k", "running shoes", "-k", "running shoe", "--format", "jsonl"]
    assert run(given) == 0
    assert run([*given, "--no-duplicates"]) == 0
    found = [row["near_duplicate_of"] for row in lines(capsys.readouterr().out)]
    assert sum(head is not None for head in found[:2]) == 1
    assert found[2:] == [None, None]


def test_stdin_is_read_where_a_dash_is_given() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from omnikeywords.cli import main; main()", "analyze", "-"],
        input="ténis\nbotas\n".encode(),
        capture_output=True,
        check=True,
    )
    assert [row["keyword"] for row in lines(done.stdout.decode())] == ["ténis", "botas"]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["analyze"], 2, "nothing to analyse: name files, - for stdin, -k KEYWORD or --sample"),
        (["analyze", "-k", "x", "--market", "portugal"], 2, "market 'portugal' is not a language and region"),
        (["analyze", "-k", "x", "--type", "full"], 2, "'full' is not one of 'basic', 'comprehensive'"),
        (["analyze", "-k", "x", "-o", "out.docx"], 2, "cannot tell a format from the name 'out.docx'"),
        (["analyze", "-k", "x", "-o", "/nowhere/out.csv"], 2, "there is no folder '/nowhere'"),
        (["analyze", "-k", "x", "-o", "."], 2, "cannot write '.': it is a folder; name a file in it"),
        (["analyze", "-k", "x", "--format", "table", "-o", "a.csv"], 2, "a table is for reading"),
        (["analyze", "--colour"], 2, "no such option: --colour"),
        (["analyse"], 2, "no such command"),
        (["analyze", "nothing.csv"], 1, "nothing.csv does not exist"),
        (["analyze", "."], 1, ". is a folder; give the files in it"),
        (["formats", "nothing.csv"], 1, "nothing.csv does not exist"),
        (["formats", "a\x1b[31m.csv"], 1, "a\ufffd[31m.csv does not exist"),
        (["analyze", "-k", "caf\udce9"], 2, "'caf\\udce9' is no text in UTF-8"),
        (["analyze", "-k", "x", "--brand", "\udce9"], 2, "'\\udce9' is no text in UTF-8"),
        (["analyze", "-k", "x", "--format", "pdf"], 2, "invalid value for '--format': 'pdf' is not one of 'table'"),
    ],
)
def test_an_error_is_one_line_that_says_what_to_do(
    arguments: list[str], code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("okf: ")
    assert captured.err.count("\n") == 1
    assert said.lower() in captured.err.lower()


OKF = f"{shlex.quote(sys.executable)} -c 'from omnikeywords.cli import main; main()'"


def shell(line: str, **variables: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a shell's line."""
    done = subprocess.run(line, shell=True, capture_output=True, env={**os.environ, **variables}, check=False)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def test_closed_streams_are_empty_ones() -> None:
    assert shell(f"{OKF} formats - <&-") == (1, "", "okf: stdin: the file is empty: it has no bytes\n")
    assert shell(f"{OKF} analyze -k x --format csv >&-") == (0, "", "")
    assert shell(f"{OKF} formats nothing.csv 2>&-") == (1, "", "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
@pytest.mark.parametrize("format", ["csv", "xlsx", "parquet", "jsonl", "table"])
def test_a_full_disk_is_said_in_one_line(format: str) -> None:
    code, _, errors = shell(f"{OKF} analyze -k x --format {format} > /dev/full")
    assert (code, errors.count("\n")) == (1, 1)
    assert errors.startswith("okf: no space left on device: make room")


def test_a_terminal_of_another_encoding_is_no_error(export: Path) -> None:
    few = {"PYTHONIOENCODING": "ascii"}
    code, shown, errors = shell(f"{OKF} analyze {export} --format table", **few)
    assert (code, errors) == (0, "")
    assert "comprar t?nis de corrida" in shown
    code, shown, errors = shell(f"{OKF} formats {export} --format json", **few)
    assert (code, errors) == (0, "")
    assert json.loads(shown)["first_keywords"][0] == "comprar ténis de corrida"


def test_a_data_folder_that_cannot_be_made_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("OKF_LANGUAGE_TABLE", str(tmp_path / "file" / "table.okflang"))
        assert run(["warm"]) == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith(f"okf: cannot write '{tmp_path}/file/table.okflang': ")
    assert last.endswith("; set OKF_DATA_DIR to a folder that can be written")


def test_help_is_given_however_it_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["analyze", "-h"]) == 0
    short = capsys.readouterr().out
    assert run(["analyze", "--help"]) == 0
    assert capsys.readouterr().out == short


def test_nothing_is_written_where_a_file_is_no_export(
    export: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = tmp_path / "picture.csv"
    bad.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    out = tmp_path / "out.csv"
    assert run(["analyze", str(export), str(bad), "-o", str(out)]) == 1
    assert capsys.readouterr().err.startswith(f"okf: {bad}: this is a PNG image")
    assert not out.exists()


def test_damage_that_is_met_half_way_names_the_file(
    export: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = tmp_path / "more.csv.gz"
    rows = "".join(f"keyword {i * 7919 % 100_003},{i}\n" for i in range(200_000))
    bad.write_bytes(gzip.compress(f"keyword,volume\n{rows}".encode())[:-1000])
    assert run(["analyze", str(export), str(bad), "--no-duplicates"]) == 1
    assert capsys.readouterr().err == f"okf: {bad}: this archive is damaged or cut short; download it again\n"


def test_a_file_that_is_read_is_not_written_over(export: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["analyze", str(export), "-o", str(export)]) == 2
    assert "is one of the files to read" in capsys.readouterr().err
    assert export.read_text("utf-8") == SEARCH_CONSOLE


def test_an_unknown_setting_is_refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("OKF_PROT", "80")
    assert run(["settings"]) == 2
    assert capsys.readouterr().err == "okf: OKF_PROT is not a setting: did you mean OKF_PORT?\n"


def test_the_table_is_for_people(export: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["analyze", str(export), "--format", "table"]) == 0
    text = capsys.readouterr().out
    assert "2 keywords analysed in" in text
    assert "Queries.csv  Google Search Console, queries · 2 rows" in text
    assert "1 × empty keyword  in Queries.csv, as line 4" in text
    for title in ("Languages", "Intents", "Funnel", "questions", "Top opportunities", "Near-duplicates", "Next"):
        assert title in text
    laid_out, _, to_copy = text.partition("\nNext")
    assert max(map(len, laid_out.splitlines())) <= 100
    assert f"okf analyze {export} -o keywords.xlsx" in to_copy
    assert "\x1b" not in text


def test_a_keyword_alone_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["analyze", "-k", "buy running shoes", "-k", "", "--format", "table"]) == 0
    text = capsys.readouterr().out
    assert "English" in text
    assert "transactional" in text
    assert "because" in text
    assert "keyword is empty" in text


def test_no_keywords_at_all_is_no_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "none.csv"
    path.write_text("Keyword,Volume\n", encoding="utf-8")
    assert run(["analyze", str(path), "--format", "table"]) == 0
    assert "0 keywords" in capsys.readouterr().out
    assert run(["analyze", str(path), "--format", "csv"]) == 0
    assert capsys.readouterr().out.startswith("keyword,normalized,")


def test_the_sample_is_a_search_console_export(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["sample"]) == 0
    path = Path(capsys.readouterr().out.strip())
    rows = list(csv.DictReader(io.StringIO(path.read_text("utf-8"))))
    assert 450 <= len(rows) <= 600
    assert len({row["Top queries"] for row in rows}) == len(rows)
    for row in rows:
        clicks, impressions = int(row["Clicks"]), int(row["Impressions"])
        assert clicks <= impressions
        assert float(row["CTR"].rstrip("%")) == pytest.approx(100 * clicks / impressions, abs=0.006)
    assert run(["analyze", "--sample"]) == 0
    languages = [row["language"] for row in lines(capsys.readouterr().out)]
    assert all(languages.count(language) >= 100 for language in ("pt", "es", "en"))


def test_formats_says_what_a_file_is(export: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["formats", str(export)]) == 0
    text = capsys.readouterr().out
    assert "Google Search Console, queries" in text
    assert "2 keywords read, 1 skipped" in text
    assert run(["formats", str(export), "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["tool"] == "google_search_console"
    assert found["columns"][0] == {"header": "Top queries", "field": "keyword", "note": found["columns"][0]["note"]}
    assert (found["rows_in"], found["rows_kept"], found["skipped"]) == (3, 2, {"empty keyword": 1})
    assert found["first_keywords"] == ["comprar ténis de corrida", "how to clean running shoes"]


def test_settings_are_printed_with_their_meaning(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OKF_PORT", "9123")
    assert run(["settings"]) == 0
    text = capsys.readouterr().out
    assert "OKF_PORT" in text
    assert "9123" in text


def test_the_doctor_finds_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OKF_PORT", "0")
    monkeypatch.setenv("OKF_LANGUAGE_TABLE", str(tmp_path / "none.okflang"))
    monkeypatch.setenv("OKF_DATABASE_URL", f"sqlite:///{tmp_path}/catalogue.sqlite3")
    assert run(["doctor"]) == 1
    text = capsys.readouterr().out
    assert re.search(r"^problem +language table ", text, re.MULTILINE)
    assert "run `okf warm`" in text
    assert re.search(r"^ok +python ", text, re.MULTILINE)


@pytest.fixture
def another_table(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A place without a table, where building one takes no time."""
    built = Settings.load(os.environ).language_table_path
    path = tmp_path / "data" / "table.okflang"
    monkeypatch.setenv("OKF_LANGUAGE_TABLE", str(path))

    def build(path: Path, progress: object) -> None:
        path.parent.mkdir()
        shutil.copyfile(built, path)

    monkeypatch.setattr(finder, "build_table", build)
    return path


def test_a_missing_table_is_built_on_first_use(another_table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["analyze", "-k", "ténis", "--format", "jsonl"]) == 0
    captured = capsys.readouterr()
    assert captured.err == f"okf: building the language table, once: {another_table}\n"
    assert lines(captured.out)[0]["normalized"] == "ténis"


def test_warm_builds_the_table_and_says_when_it_is_there(
    another_table: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["warm"]) == 0
    assert another_table.exists()
    assert run(["warm"]) == 0
    assert capsys.readouterr().err.endswith(f"okf: the language table is ready: {another_table}\n")


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"okf {__version__}\n"


def test_help_loads_nothing_heavy() -> None:
    program = (
        "import sys; from omnikeywords.cli import run; run(['--help'])\n"
        "print([name for name in ('numpy', 'polars', 'pyarrow', 'litestar') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    ("name", "format"), [("a.CSV", "csv"), ("b.ndjson", "jsonl"), ("c.pq", "parquet"), ("d.xlsx", "xlsx")]
)
def test_what_is_written_is_told_by_the_end_of_its_name(tmp_path: Path, name: str, format: str) -> None:
    assert output_format(None, tmp_path / name) == format


def test_no_command_takes_the_same_option_for_two_things() -> None:
    def check(command: Any, called: str) -> None:
        taken = Counter(name for option in command.params for name in (*option.opts, *option.secondary_opts))
        assert [name for name, times in taken.items() if times > 1] == [], called
        for name, verb in getattr(command, "commands", {}).items():
            check(verb, f"{called} {name}")

    check(typer.main.get_command(app), "okf")
