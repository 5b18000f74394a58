"""Commands of the command line that look after the catalogue's database."""

import os
import sys
from typing import Annotated

import typer

from omnikeywords.cli import app

__all__ = ["migrate"]


@app.command()
def migrate(
    pre: Annotated[
        bool, typer.Option("--pre", help="Only what adds: the version before goes on working. For before a roll-out.")
    ] = False,
) -> None:
    """Bring the database to the schema of this version; prints a line for each migration applied.

    Connects as the owner of the tables (OKF_DATABASE_OWNER_URL) and gives the role of OKF_DATABASE_URL the use of
    them. Several at once wait for each other; all of it is applied or nothing.
    """
    from omnikeywords.catalog.migrate import migrate as apply
    from omnikeywords.db import Limits, connect
    from omnikeywords.settings import Settings

    settings = Settings.load(os.environ)
    limits = Limits(lock_ms=settings.lock_timeout_ms)
    owner = connect(settings.database_owner_url or settings.database, limits)
    program = connect(settings.database)
    role = program.user if program.user != owner.user else None
    try:
        done = apply(owner, app_role=role, pre_only=pre)
    finally:
        owner.close()
        program.close()
    for name in done.applied:
        print(f"applied {name}")
    if not done.applied:
        print(f"okf: nothing to apply: {owner.shown_url} is at {done.after}", file=sys.stderr)
