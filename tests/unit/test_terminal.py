"""What is shown on a terminal: it fits, it can be copied, and no file can steer the terminal."""

import io
import re
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from omnikeywords.bulk import FileReport
from omnikeywords.formats import SkippedRow
from omnikeywords.summary import Group, Opportunity, Summary
from omnikeywords.terminal import console, show_summary

MANY = 19_876_543
EVIL = "\x1b[2J\x1b]0;title\x07best\u202e shoes\nnow"


def shown(width: int, *, command: str = "--sample", program: str = "okf", text: str = "trail shoes") -> list[str]:
    """The lines of a summary of very many keywords."""
    kinds = {"informational": MANY, "navigational": 10, "commercial": 1, "transactional": 0}
    summary = Summary(
        keywords=MANY,
        languages={"pt": MANY, "en": 2, "und": 1},
        intents=kinds,
        funnel={"awareness": MANY, "consideration": 1, "decision": 1},
        lengths={"head": 1, "body": 1, "long_tail": MANY},
        questions={"how": MANY},
        branded=MANY,
        local=1,
        opportunities=[Opportunity(text, 80.0, "commercial", 1000, None, 3.0, 20.0, ["value", "ease"])],
        groups=[Group(text, [text], 2)],
        example=text,
    )
    skipped = FileReport(text, "plain", "keyword list", None, None, [text], 1, {text: 1}, [SkippedRow(4, text, text)])
    results: Any = SimpleNamespace(files=[skipped], merged_away=0, errors=0, near_duplicates=True, members=1, groups=1)
    to: Console = console(io.StringIO())
    to.width = width
    show_summary(to, results, summary, 1.0, wrote=None, command=command, program=program)
    assert isinstance(to.file, io.StringIO)
    return to.file.getvalue().splitlines()


@pytest.mark.parametrize("width", range(60, 101, 4))
def test_large_counts_are_shown_whole_with_their_share(width: int) -> None:
    lines = shown(width)
    for label in ("Portuguese", "informational", "awareness", "branded", "4 and more", "questions"):
        assert any(re.search(rf"{label} +█{{16}} +19,876,543 100%", line) for line in lines), label


def test_lines_to_copy_are_not_broken() -> None:
    files = " ".join(f"exports/of/the/year/2025/month-{month:02}.csv" for month in range(1, 4))
    assert f"  okf analyze {files} -o keywords.xlsx" in [line.rstrip() for line in shown(80, command=files)]


def test_lines_to_copy_call_the_program_as_it_was_called_and_quote_keywords() -> None:
    lines = [line.rstrip() for line in shown(80, program=".venv/bin/okf", text='the "best" $shoes')]
    assert lines[-3:] == [
        "  .venv/bin/okf analyze --sample -o keywords.xlsx",
        "  .venv/bin/okf analyze -k 'the \"best\" $shoes'",
        "  .venv/bin/okf serve",
    ]


def test_no_file_can_steer_the_terminal() -> None:
    text = "\n".join(shown(100, text=EVIL))
    assert "\x1b" not in text
    assert "\x07" not in text
    assert "\u202e" not in text
    assert "[2J]0;titlebest shoes now" in text
