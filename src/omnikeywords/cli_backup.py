"""Commands of the command line that back the embedded catalogue up and put a backup back."""

from pathlib import Path
from typing import Annotated

import typer

from omnikeywords.cli import app
from omnikeywords.cli_output import counted, load_settings, note, progress
from omnikeywords.cli_session import opened
from omnikeywords.errors import InvalidOption

__all__ = ["backup", "restore"]

_MB = 1_000_000
_TIME = "%Y-%m-%d %H:%M:%S UTC"


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

    settings = load_settings()
    into = folder or settings.backup_dir
    if into is None:
        raise InvalidOption("no folder to back up to: name one, or set OKF_BACKUP_DIR")
    database = connect(settings.database)
    try:
        with progress(None, quiet=False) as tell:
            made, deleted = make_backup(database, into, keep=keep, compress=compress, progress=tell)
    finally:
        database.close()
    said = made.manifest
    print(made.path)
    note(
        f"backed up {counted(said.keywords, 'keyword')} of {counted(said.projects, 'project')}, "
        f"{made.stored.bytes / _MB:,.1f} MB, as of {said.taken_at:{_TIME}}; checked"
    )
    if deleted:
        note(f"deleted {counted(len(deleted), 'older backup')}")


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

    found = open_backup(backup)
    said = found.manifest
    held = f"{counted(said.keywords, 'keyword')} of {counted(said.projects, 'project')}, as of {said.taken_at:{_TIME}}"
    if check:
        with progress(None, quiet=False) as tell:
            verify(found, tell)
        print(found.path)
        note(f"whole: {held}")
        return
    with opened() as finder, progress(None, quiet=False) as tell:
        settings = finder.settings
        place = to or connect(settings.database).path
        if place is None:
            raise InvalidOption("the catalogue is on PostgreSQL: name a SQLite file with --to, or see docs/backup.md")
        if not finder.is_warm():  # a new machine: keywords may have to be analysed
            finder.warm(lambda stage, done, of: tell(f"language table: {stage}", done, of))
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
        note(f"applied {name}")
    if done.rebuilt:
        note("keywords were analysed anew, by the model of this version")
    note(f"restored {held}")
    if done.aside:
        note(f"the database that was there is kept as {done.aside}: delete it when you do not need it")
