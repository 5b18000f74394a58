"""What the commands share: where results, notes and progress go, and in which format."""

import contextlib
import os
import sys
from collections.abc import Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TextIO

import typer

from omnikeywords.errors import InvalidOption

if TYPE_CHECKING:
    from omnikeywords.settings import Settings
    from omnikeywords.terminal import Tell

__all__ = [
    "Market",
    "OutputFormat",
    "ReportFormat",
    "check_output",
    "counted",
    "is_utf8",
    "load_settings",
    "note",
    "output_format",
    "print_json",
    "program_name",
    "progress",
]

Market = Annotated[
    str | None,
    typer.Option("--market", metavar="MARKET", help="Language and region of the keywords, as pt-BR."),
]


class OutputFormat(StrEnum):
    """What results are printed or written as."""

    TABLE = "table"
    JSONL = "jsonl"
    CSV = "csv"
    PARQUET = "parquet"
    XLSX = "xlsx"


class ReportFormat(StrEnum):
    """How a report is printed."""

    TABLE = "table"
    JSON = "json"


def load_settings() -> "Settings":
    """The settings of the environment. Raises InvalidSetting."""
    from omnikeywords.settings import Settings

    return Settings.load(os.environ)


def output_format(format: OutputFormat | None, out: Path | None) -> OutputFormat:
    """What is asked for, or what the output's name or the terminal suggest."""
    if format is not None:
        if format is OutputFormat.TABLE and out is not None:
            raise InvalidOption("a table is for reading: leave out -o, or write csv, xlsx, parquet or jsonl")
        if format in (OutputFormat.PARQUET, OutputFormat.XLSX) and out is None and sys.stdout.isatty():
            raise InvalidOption(f"{format} is no text for a terminal: give -o OUT")
        return format
    if out is not None:
        if out.is_dir():
            raise InvalidOption(f"cannot write {str(out)!r}: it is a folder; name a file in it")
        suffix = out.suffix.lower().lstrip(".")
        known = {"ndjson": "jsonl", "pq": "parquet"}.get(suffix, suffix)
        if known not in ("jsonl", "csv", "parquet", "xlsx"):
            raise InvalidOption(
                f"cannot tell a format from the name {str(out)!r}: "
                "end it in .csv, .xlsx, .parquet or .jsonl, or give --format"
            )
        return OutputFormat(known)
    return OutputFormat.TABLE if sys.stdout.isatty() else OutputFormat.JSONL


def check_output(out: Path | None, names: Sequence[str]) -> None:
    """Refuse at once what would fail after all the work."""
    if out is None:
        return
    if out.is_dir():
        raise InvalidOption(f"cannot write {str(out)!r}: it is a folder; name a file in it")
    if not out.absolute().parent.is_dir():
        raise InvalidOption(f"cannot write {str(out)!r}: there is no folder {str(out.absolute().parent)!r}")
    if any(name != "-" and out.exists() and Path(name).exists() and out.samefile(name) for name in names):
        raise InvalidOption(f"{str(out)!r} is one of the files to read: write to another")


def program_name() -> str:
    """How a person calls this program: its name, or its path where the shell finds no such name."""
    import shlex
    import shutil

    called = sys.argv[0]
    found = shutil.which("okf")
    if Path(called).name != "okf" or not Path(called).exists() or (found and Path(found).samefile(called)):
        return "okf"
    return shlex.quote(called)


@contextlib.contextmanager
def progress(total: int | None, quiet: bool, after: float = 0.5) -> Iterator["Tell"]:
    """Shows progress, on a terminal, and where it is wanted."""
    if quiet or not sys.stderr.isatty():
        yield lambda stage, done, of, detail="": None
        return
    from omnikeywords.terminal import console, progress_bar

    with progress_bar(console(sys.stderr), total, after) as tell:
        yield tell


def note(text: str) -> None:
    """One line on stderr, of which a file's content cannot make two, nor a colour; a narrow terminal may."""
    one_line = "".join(c if c.isprintable() else "\ufffd" for c in " ".join(text.split()))
    print(_fitted(f"okf: {one_line}") if sys.stderr.isatty() else f"okf: {one_line}", file=sys.stderr)


def _fitted(line: str) -> str:
    """A line on as many as the terminal needs; what cannot be broken, as an address to copy, stays whole."""
    import shutil
    import textwrap

    width = shutil.get_terminal_size().columns
    return textwrap.fill(line, width, subsequent_indent="     ", break_long_words=False, break_on_hyphens=False)


def counted(number: int, noun: str) -> str:
    """A number and what there are so many of: `1 row`, `2,000 rows`."""
    return f"{number:,} {noun if number == 1 else noun + 's'}"


def print_json(value: object) -> None:
    """A value as one line of JSON, on stdout."""
    import json

    print(json.dumps(value, ensure_ascii=not is_utf8(sys.stdout)))


def is_utf8(stream: TextIO) -> bool:
    """Whether a stream takes every letter."""
    return (stream.encoding or "").lower().replace("-", "").replace("_", "") == "utf8"
