"""`okf analyze` as people run it: on a terminal, in pipes, on large files, stopped half-way."""

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
import tempfile
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from omnikeywords import bulk
from omnikeywords.bulk import Source
from omnikeywords.finder import Finder
from omnikeywords.settings import Settings

OKF = [sys.executable, "-c", "from omnikeywords.cli import main; main()"]
# The same with worker processes where there would not be work enough for them.
OKF_SHARED = [OKF[0], "-c", "from omnikeywords import bulk; bulk.BATCH, bulk.FEW_BATCHES = 1000, 2; " + OKF[2]]
MANY = 9_000


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Many keywords, one in nine of them twice, in two markets."""
    path = tmp_path_factory.mktemp("large") / "large.csv"
    things = ("running shoes", "ténis de corrida", "zapatillas running", "hiking boots", "botas de montanha")
    rows = (f"{things[i % 5]} {i % 8_000},{i % 1000},{i % 100},{'br' if i % 2 else 'us'}" for i in range(MANY))
    path.write_text("Keyword,Volume,Difficulty,Country\n" + "\n".join(rows), encoding="utf-8")
    return path


def on_terminal(arguments: list[str], columns: int, **variables: str) -> tuple[str, int]:
    """What a command shows on a terminal of so many columns, and its exit code."""
    pid, terminal = pty.fork()
    if pid == 0:
        environment = {**os.environ, "TERM": "xterm-256color", "PYTHONUTF8": "1", **variables}
        environment.pop("COLUMNS", None)
        os.execve(OKF[0], [*OKF, *arguments], environment)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    shown = b""
    while True:
        try:
            block = os.read(terminal, 65536)
        except OSError:  # the other end is closed
            break
        if not block:
            break
        shown += block
    os.close(terminal)
    return shown.decode(), os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def plain(shown: str) -> list[str]:
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown).replace("\r", "").splitlines()


def test_a_terminal_gets_a_summary_that_fits() -> None:
    shown, code = on_terminal(["analyze", "--sample", "-q"], 80)
    assert code == 0
    lines = plain(shown)
    assert max(map(len, lines)) <= 80
    text = "\n".join(lines)
    assert re.search(r"^\d{3} keywords analysed in ", text)
    for said in ("Google Search Console", "Portuguese", "transactional", "Top opportunities", "okf serve"):
        assert said in text
    assert "\x1b[" in shown


def test_a_wide_terminal_gets_a_hundred_columns_and_no_colours_where_nobody_wants_them() -> None:
    shown, code = on_terminal(["analyze", "--sample", "-q"], 140, NO_COLOR="1")
    assert code == 0
    assert 80 < max(map(len, plain(shown))) <= 100
    assert not re.search(r"\x1b\[3\d", shown)


def test_processes_change_nothing_but_the_time(large: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "BATCH", 1000)
    monkeypatch.setattr(bulk, "FEW_BATCHES", 2)
    finder = Finder(Settings.load(os.environ))
    found = []
    for processes in (1, 2):
        results = finder.analyse_files([Source(large, large.name)], finder.options(), processes=processes)
        with results:
            assert results.rows_read == MANY
            found.append(pl.concat(list(results.frames())))
    assert_frame_equal(found[0], found[1])
    assert found[0]["id"].n_unique() == found[0].height == 8_000


def test_a_large_file_goes_through_a_pipe_whole(large: Path) -> None:
    done = subprocess.run(
        [*OKF, "analyze", str(large), "--format", "jsonl", "--no-duplicates"], capture_output=True, check=True
    )
    lines = done.stdout.splitlines()
    assert len(lines) == 8_000
    assert json.loads(lines[-1])["volume"] is not None
    assert done.stderr == b""


@pytest.mark.parametrize(("format", "begin"), [("jsonl", b'{"keyword":'), ("csv", b"keyword,")])
def test_a_reader_that_goes_away_is_no_error(format: str, begin: bytes, large: Path) -> None:
    process = subprocess.Popen(
        [*OKF, "analyze", str(large), "--format", format, "--no-duplicates"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.readline().startswith(begin)
    process.stdout.close()
    errors = process.stderr.read()
    process.stderr.close()
    assert process.wait() == 128 + signal.SIGPIPE
    assert errors == b""


@pytest.fixture
def temporary(tmp_path: Path) -> Iterator[dict[str, str]]:
    """An environment whose temporary files can be looked at."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    yield {**os.environ, "TMPDIR": str(folder)}
    assert os.listdir(folder) == []


@pytest.mark.parametrize(("okf", "number"), [(OKF_SHARED, signal.SIGINT), (OKF, signal.SIGTERM), (OKF, signal.SIGHUP)])
def test_stopped_half_way_it_leaves_nothing(
    okf: list[str], number: signal.Signals, large: Path, tmp_path: Path, temporary: dict[str, str]
) -> None:
    out = tmp_path / "out.csv"
    process = subprocess.Popen(
        [*okf, "analyze", str(large), "-o", str(out)], env=temporary, stderr=subprocess.PIPE, text=True
    )
    # Once results lie in the temporary folder, the workers are at it.
    while not list(Path(temporary["TMPDIR"]).rglob("*.arrow")):
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.05)
            break
    process.send_signal(number)
    _, errors = process.communicate()
    assert process.returncode == 130
    assert errors == "okf: interrupted\n"
    assert not out.exists()


def test_numbers_of_a_merge_are_scored_as_merged() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "positions.csv"
        path.write_text(
            "Keyword,Position,Search Volume,Keyword Difficulty,URL\n"
            "hiking boots,12,1000,40,/a\nHiking Boots,5,1000,40,/b\n",
            encoding="utf-8",
        )
        finder = Finder(Settings.load(os.environ))
        with finder.analyse_files([Source(path, path.name)], finder.options()) as results:
            assert (results.rows_read, results.merged_away, results.keywords) == (2, 1, 1)
            (row,) = next(results.frames()).to_dicts()
    assert (row["volume"], row["position"], row["url"]) == (1000, 5.0, "/b")
    # 40 % demand at log10(1001)/5, 15 % headroom of position 5: 1 - 1/5.
    assert row["opportunity"]["parts"]["demand"] == pytest.approx(24.0, abs=0.01)
    assert row["opportunity"]["parts"]["headroom"] == pytest.approx(12.0, abs=0.01)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks for child processes in /proc")
def test_workers_end_when_their_parent_is_killed(large: Path, tmp_path: Path) -> None:
    process = subprocess.Popen(
        [*OKF_SHARED, "analyze", str(large), "-o", str(tmp_path / "out.csv")],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stderr=subprocess.DEVNULL,
    )
    while not list(tmp_path.rglob("*.arrow")):  # the workers are at it
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.05)
            break
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    assert len(children) >= 2
    process.kill()
    process.wait()
    limit = time.monotonic() + 20
    while any(Path(f"/proc/{pid}").exists() for pid in children):
        assert time.monotonic() < limit, "workers live on"
        time.sleep(0.05)
