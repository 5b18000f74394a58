"""Commands of the command line for the servers that the catalogue lies on, where there are several."""

from typing import TYPE_CHECKING, Annotated

import typer

from omnikeywords.cli import app
from omnikeywords.cli_output import note, progress
from omnikeywords.cli_session import Listed, opened, print_rows, record, who

if TYPE_CHECKING:
    from omnikeywords.catalog.placement import Move
    from omnikeywords.fleet import Fleet

__all__ = ["servers"]

servers = typer.Typer(
    name="servers",
    help="Spread the catalogue over several PostgreSQL servers: docs/servers.md.",
    rich_markup_mode=None,
)
app.add_typer(servers)

_STEPS = {"copy": 0, "switch": 1, "purge": 2}
_Leave = Annotated[
    str | None,
    typer.Option("--leave-region", metavar="WHY", help="Let it out of its region, for this reason; it is noted."),
]


@servers.command("list")
def list_servers(format: Listed = None) -> None:
    """List the servers, their regions and how many buckets lie on each."""
    from omnikeywords.terminal_catalogue import show_servers

    with opened() as finder:
        known = finder.catalogue.fleet.placement()
        rows = [
            {"name": server.name, "region": server.region, "buckets": len(known.buckets(server.name))}
            for server in known.servers.values()
        ]
    print_rows(rows, format, show_servers, "there are no servers")


@servers.command()
def add(
    name: Annotated[str, typer.Argument(metavar="NAME", help="As OKF_DATABASE_SERVERS names it.")],
    region: Annotated[
        str | None, typer.Option("--region", metavar="REGION", help="Where it stands. Default: OKF_REGION.")
    ] = None,
) -> None:
    """Take in a server that was migrated; `okf servers balance` then gives it its share."""
    with opened() as finder:
        added = finder.catalogue.fleet.add_server(name, region or finder.settings.region)
    note(f"server {added.name} is in region {added.region}: `okf servers balance` gives it its share")


@servers.command("balance")
def balance_region(
    region: Annotated[
        str | None, typer.Option("--region", metavar="REGION", help="Whose servers. Default: OKF_REGION.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would move.")] = False,
) -> None:
    """Move as few buckets as it takes for the servers of a region to hold alike many; all is served meanwhile."""
    from omnikeywords.catalog.placement import balance

    with opened() as finder:
        waiting = balance(finder.catalogue.fleet.placement(now=True), region or finder.settings.region)
        if dry_run:
            for bucket, server in waiting:
                print(f"{bucket} {server}")
            note(f"{len(waiting):,} buckets would move")
            return
        with progress(None, False) as tell:
            tell("moving", 0, len(waiting), "buckets")
            finder.catalogue.fleet.move_all(waiting, who(), lambda done: tell("moving", done, len(waiting), "buckets"))
    note(f"{len(waiting):,} buckets were moved")


@servers.command()
def move(
    bucket: Annotated[int, typer.Argument(metavar="BUCKET", min=0, help="Its number; `okf servers where` tells it.")],
    server: Annotated[str, typer.Argument(metavar="SERVER", help="Where to.")],
    leave_region: _Leave = None,
) -> None:
    """Move one bucket to another server while it is read and written; interrupted, it goes on when given again."""
    with opened() as finder, progress(None, False) as tell:
        done = finder.catalogue.fleet.move(
            bucket,
            server,
            who(),
            leave_region=leave_region,
            on_step=lambda step: tell(step, _STEPS[step], len(_STEPS), "steps"),
        )
    note(f"bucket {done.bucket} lies on {done.target}")


@servers.command()
def where(project: Annotated[str, typer.Argument(metavar="PROJECT", help="The project.")]) -> None:
    """Print the bucket of a project, its server and its region."""
    with opened() as finder:
        bucket = finder.projects.find(project).bucket
        server = finder.catalogue.fleet.server_of(project)
    print(f"{bucket} {server.name} {server.region}")


@servers.command()
def moves(
    limit: Annotated[int, typer.Option("--limit", min=1, max=10_000, help="At most so many.")] = 50,
    format: Listed = None,
) -> None:
    """List moves of buckets, the newest first: who moved what, and why one left its region."""
    from omnikeywords.terminal_catalogue import show_moves

    with opened() as finder:
        rows = [record(each) for each in _moves_of(finder.catalogue.fleet, limit)]
    print_rows(rows, format, show_moves, "no bucket was ever moved")


def _moves_of(fleet: "Fleet", limit: int) -> "list[Move]":
    from omnikeywords.catalog.placement import list_moves

    with fleet.first.read() as connection:
        return list(list_moves(connection, limit))
