"""Commands of the command line for API keys."""

import getpass
import os
import re
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from omnikeywords.cli import app
from omnikeywords.cli_output import ReportFormat
from omnikeywords.errors import InvalidOption

if TYPE_CHECKING:
    from omnikeywords.catalog.keys import Key
    from omnikeywords.finder import Finder

__all__ = ["create", "list_", "revoke"]

keys = typer.Typer(name="keys", help="Make, list and revoke the API keys that callers of `okf serve` need.")
app.add_typer(keys)


class Scope(StrEnum):
    """What a key allows; each what those before it do."""

    READ = "read"
    WRITE = "write"
    ADMIN = "admin"


@keys.command()
def create(
    name: Annotated[str, typer.Option("--name", metavar="NAME", help="Who or what it is for; logs and events say it.")],
    scope: Annotated[
        Scope, typer.Option("--scope", help="read; write: import, tag, correct too; admin: change projects too.")
    ] = Scope.READ,
    project: Annotated[
        list[str] | None,
        typer.Option("--project", metavar="P", help="Only this project; may be repeated. Default: all."),
    ] = None,
    expires: Annotated[
        str | None,
        typer.Option("--expires", metavar="WHEN", help="90d, 12h, or a day as 2027-06-30, the last on which it works."),
    ] = None,
) -> None:
    """Make a key and print it, once: it cannot be shown again.

    A running service knows it within five seconds.
    """
    until = _time(expires) if expires is not None else None
    with _finder() as finder:
        key, text = finder.keys.create(name, _who(), scope=scope, projects=project or [], expires_at=until)
        missing = sorted(key.projects - {each.name for each in finder.projects.all()})
    print(text)
    allowed = f"projects {', '.join(sorted(key.projects))}" if key.projects else "all projects"
    ends = f" until {_shown(key.expires_at)}" if key.expires_at else ""
    _note(f"key {key.id} ({key.name}) may {_MAY[key.scope]} in {allowed}{ends}; keep it now: it is not shown again")
    for each in missing:
        _note(f"project {each!r} does not exist yet")


_MAY = {"read": "read", "write": "read and write", "admin": "do everything"}


@keys.command("list")
def list_(
    format: Annotated[ReportFormat, typer.Option("--format", help="How to print it.")] = ReportFormat.TABLE,
) -> None:
    """List all keys, without their secrets: what they allow, whether they work, when they were last used.

    The time of last use is kept once a minute.
    """
    with _finder() as finder:
        found = finder.keys.all()
    now = datetime.now(UTC)
    if format is ReportFormat.JSON:
        import json

        print(json.dumps([_facts(key, now) for key in found], ensure_ascii=False, indent=1))
        return
    from omnikeywords.terminal import console, show_keys

    if not found:
        _note("there are no keys: `okf keys create --name NAME` makes one")
        return
    times = [{"expires_at": _shown(key.expires_at), "last_used_at": _shown(key.last_used_at)} for key in found]
    show_keys(console(sys.stdout), [{**_facts(key, now), **shown} for key, shown in zip(found, times, strict=True)])


@keys.command()
def revoke(
    key_id: Annotated[str, typer.Argument(metavar="ID", help="As `okf keys list` prints it, or the key itself.")],
) -> None:
    """Make a key work no more, for good.

    A running service refuses it within five seconds.
    """
    # Whoever has to revoke a key that got out has the key at hand.
    from omnikeywords.catalog.keys import id_of

    text = key_id.strip()
    with _finder() as finder:
        key = finder.keys.revoke(id_of(text.encode()).decode() if text.startswith("okf_") else text)
    _note(f"key {key.id} ({key.name}) was revoked at {_shown(key.revoked_at)}")


@contextmanager
def _finder() -> "Iterator[Finder]":
    """The finder under the settings of the environment."""
    from omnikeywords.finder import Finder
    from omnikeywords.settings import Settings

    with closing(Finder(Settings.load(os.environ))) as finder:
        yield finder


def _who() -> str:
    """Who runs this, as the system knows them."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a number without a name, as in a container
        return f"user {os.getuid()}"


def _time(text: str) -> datetime:
    """When a key ends: so many days or hours from now, or the end of a day in UTC."""
    span = re.fullmatch(r"(\d{1,6})([dh])", text.strip())
    if span:
        return datetime.now(UTC) + timedelta(**{{"d": "days", "h": "hours"}[span[2]]: int(span[1])})
    try:
        day = datetime.strptime(text.strip(), "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        raise InvalidOption(
            f"expiry {text!r} is no time: give days as 90d, hours as 12h, or a day as 2027-06-30", expires=text
        ) from None
    try:
        return day + timedelta(days=1)
    except OverflowError:  # the last day of the calendar
        return day


def _facts(key: "Key", now: datetime) -> dict[str, str | list[str] | None]:
    times = {name: getattr(key, name) for name in ("created_at", "expires_at", "revoked_at", "last_used_at")}
    return {
        "id": key.id,
        "name": key.name,
        "state": key.state(now),
        "scope": key.scope,
        "projects": sorted(key.projects),
        "created_by": key.created_by,
        **{name: time.strftime("%Y-%m-%dT%H:%M:%SZ") if time else None for name, time in times.items()},
    }


def _shown(time: datetime | None) -> str | None:
    return time.strftime("%Y-%m-%d %H:%M UTC") if time else None


def _note(text: str) -> None:
    print(f"okf: {text}", file=sys.stderr)
