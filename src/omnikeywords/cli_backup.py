"""Commands of the command line that back the embedded catalogue up and put a backup back."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from omnikeywords.cli import app
from omnikeywords.errors import InvalidOption

if TYPE_CHECKING:
    from omnikeywords.backup import Progress
    from omnikeywords.settings import Settings

__all__ = ["backup", "restore"]

_MB = 1_000_000


@app.command()
def backup(
    folder: Annotated[
        Path | None, typer.Argument(metavar="DIR", help="Where backups are kept. [OKF_BACKUP_DIR]")
    ] = None,
    keep: Annotated[
        int | None, typer.Option("--keep", metavar="N", help="Delete all but the newest N. Default: keep all.")
    ] = None,
    compress: Annotated[bool, typer.Option("--compress", help="Smaller and slower.")] = False,
) -> None:
    """Back the SQLite catalogue up into a new folder in DIR, while everything goes on; prints the folder.

    The copy is checked before older backups are deleted. PostgreSQL is backed up by its own programs: docs/backup.md.
    """
    from omnikeywords.backup import make_backup
    from omnikeywords.db import connect

    settings = _settings()
    into = folder or settings.backup_dir
    if into is None:
        raise InvalidOption("no folder to back up to: name one, or set OKF_BACKUP_DIR")
    database = connect(settings.database)
    try:
        with _progress() as tell:
            made, deleted = make_backup(database, into, keep=keep, compress=compress, progress=tell)
    finally:
        database.close()
    manifest = made.manifest
    print(made.path)
    _note(
        f"backed up {_count(manifest.keywords, 'keyword')} of {_count(manifest.projects, 'project')}, "
        f"{made.stored.bytes / _MB:,.1f} MB, as of {manifest.taken_at:%Y-%m-%d %H:%M:%S} UTC; checked"
    )
    if deleted:
        _note(f"deleted {_count(len(deleted), 'older backup')}")


@app.command()
def restore(
    backup: Annotated[Path, typer.Argument(metavar="BACKUP", help="A folder that `okf backup` printed.")],
    to: Annotated[
        Path | None, typer.Option("--to", metavar="FILE", help="Another file than the database of the settings.")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Replace the database that is there; it is kept beside the new one.")
    ] = False,
    check: Annotated[bool, typer.Option("--check", help="Only read the backup through; change nothing.")] = False,
) -> None:
    """Put a backup in the place of the SQLite catalogue; prints the file.

    It is checked, brought to the schema of this version and its keywords to its model first. Nothing may have the
    database open: stop `okf serve` before.
    """
    from omnikeywords.backup import open_backup, verify
    from omnikeywords.backup import restore as put_back
    from omnikeywords.db import connect
    from omnikeywords.finder import Finder

    settings = _settings()
    found = open_backup(backup)
    if check:
        with _progress() as tell:
            verify(found, tell)
        print(found.path)
        _note(f"whole: {_count(found.manifest.keywords, 'keyword')} of {_count(found.manifest.projects, 'project')}")
        return
    place = to or connect(settings.database).path
    if place is None:
        raise InvalidOption("the catalogue is on PostgreSQL: name a SQLite file with --to, or see docs/backup.md")
    finder = Finder(settings)
    with _progress() as tell:
        if not finder.is_warm():  # a new machine: keywords may have to be analysed
            finder.warm(lambda stage, done, of: tell(f"building the language table: {stage}", done, of))
        done = put_back(
            found,
            place,
            language_table=settings.language_table_path,
            brands=settings.brands,
            force=force,
            progress=tell,
        )
    print(done.database)
    for name in done.migrated:
        _note(f"applied {name}")
    if done.rebuilt:
        _note("keywords were analysed anew, by the model of this version")
    _note(
        f"restored {_count(found.manifest.keywords, 'keyword')} of {_count(found.manifest.projects, 'project')} as of "
        f"{found.manifest.taken_at:%Y-%m-%d %H:%M:%S} UTC"
    )
    if done.aside:
        _note(f"the database that was there is kept as {done.aside}: delete it when you do not need it")


@contextmanager
def _progress() -> Iterator["Progress"]:
    """A bar on a terminal, nothing elsewhere."""
    from omnikeywords.terminal import console, progress_bar

    if not sys.stderr.isatty():
        yield lambda stage, done, of: None
        return
    with progress_bar(console(sys.stderr), None) as tell:
        yield lambda stage, done, of: tell(stage, done, of)


def _settings() -> "Settings":
    from omnikeywords.settings import Settings

    return Settings.load(os.environ)


def _note(text: str) -> None:
    print(f"okf: {text}", file=sys.stderr)


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
