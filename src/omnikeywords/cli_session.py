"""What every command of the catalogue needs: the finder, who runs it, and rows printed for people or for scripts."""

import getpass
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import fields, is_dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from omnikeywords.cli_output import is_utf8, load_settings, note

if TYPE_CHECKING:
    from rich.console import Console

    from omnikeywords.finder import Finder

__all__ = [
    "ListFormat",
    "Listed",
    "Project",
    "Wait",
    "check_erased",
    "is_jsonl",
    "opened",
    "plain",
    "print_lines",
    "print_rows",
    "record",
    "who",
]

Project = Annotated[str, typer.Option("--project", metavar="P", help="The project.")]
Wait = Annotated[bool, typer.Option("--wait/--no-wait", help="Run it here until it has ended, or leave it to others.")]


class ListFormat(StrEnum):
    """How a list is printed."""

    TABLE = "table"
    JSONL = "jsonl"


Listed = Annotated[
    ListFormat | None,
    typer.Option("--format", help="How to print it. Default: table on a terminal, else jsonl."),
]


@contextmanager
def opened() -> "Iterator[Finder]":
    """The finder under the settings of the environment; what the commands find out they say themselves, not by logs."""
    import structlog

    from omnikeywords.finder import Finder

    structlog.configure(logger_factory=structlog.ReturnLoggerFactory(), processors=[_drop])
    with closing(Finder(load_settings())) as finder:
        yield finder


def _drop(logger: object, method: str, event: object) -> Any:
    import structlog

    raise structlog.DropEvent


def who() -> str:
    """Who runs this, as the system knows them."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a number without a name, as in a container
        return f"user {os.getuid()}"


def record(found: Any, *left_out: str) -> dict[str, Any]:
    """The fields of a record by name."""
    return {field.name: getattr(found, field.name) for field in fields(found) if field.name not in left_out}


def check_erased(finder: "Finder", job_id: str) -> None:
    """End the command unless a job has erased what it was to erase."""
    job = finder.jobs.find(job_id)
    if not job.state.ended:
        note(f"it is gone, but not erased yet: job {job_id} is {job.state}: `okf jobs resume {job_id}` goes on with it")
        raise typer.Exit(1)


def plain(value: Any) -> Any:
    """A record or a value as JSON has it: times in UTC, markets and days as text."""
    match value:
        case datetime():
            return value.strftime("%Y-%m-%dT%H:%M:%SZ")
        case date():
            return value.isoformat()
        case Mapping():
            return {name: plain(inner) for name, inner in value.items()}
        case tuple() | list():
            return [plain(inner) for inner in value]
        case None | bool() | int() | float() | str():
            return value
        case _ if is_dataclass(value) and "__str__" not in type(value).__dict__:
            return plain(record(value))
        case _:
            return str(value)


def is_jsonl(format: ListFormat | None) -> bool:
    """What is asked for, or what suits stdout."""
    return (format or (ListFormat.TABLE if sys.stdout.isatty() else ListFormat.JSONL)) is ListFormat.JSONL


def print_lines(rows: Iterable[Mapping[str, Any]]) -> None:
    """Rows as JSON, one a line."""
    import json

    for row in rows:
        print(json.dumps(plain(row), ensure_ascii=not is_utf8(sys.stdout)))


def print_rows(
    rows: Sequence[Mapping[str, Any]],
    format: ListFormat | None,
    show: "Callable[[Console, Sequence[Mapping[str, Any]]], None]",
    empty: str,
) -> None:
    """Rows as JSON lines, or for people by `show`; `empty` tells people that there are none."""
    if is_jsonl(format):
        print_lines(rows)
    elif not rows:
        note(empty)
    else:
        from omnikeywords.terminal import console

        show(console(sys.stdout), rows)
