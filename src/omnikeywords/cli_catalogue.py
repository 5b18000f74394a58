"""Commands of the command line for projects, the log, and the catalogue's database."""

import os
import sys
from typing import Annotated, Any

import typer

from omnikeywords.cli import app, make_warm
from omnikeywords.cli_output import Market, note, print_json, progress
from omnikeywords.cli_session import Listed, Project, check_erased, opened, plain, print_rows, record, who
from omnikeywords.errors import InvalidOption

__all__ = ["events", "migrate", "projects", "rebuild"]

projects = typer.Typer(name="projects", help="Make, list, change and delete projects.", rich_markup_mode=None)
app.add_typer(projects)

_Name = Annotated[str, typer.Argument(metavar="NAME", help="The project.")]
_Brand = Annotated[
    list[str] | None,
    typer.Option("--brand", metavar="BRAND", help="A name that makes keywords branded; repeatable; '' for none."),
]
_Weight = Annotated[
    list[str] | None,
    typer.Option("--weight", metavar="NAME=N", help="Weight of a part of a score; repeatable; '' for the defaults."),
]
_Region = Annotated[
    str | None, typer.Option("--home-region", metavar="REGION", help="Region that its rows never leave.")
]


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


@app.command()
def rebuild() -> None:
    """Make every read model anew from the log, equal to what was there.

    Lists go on being answered, as they were, meanwhile; what was damaged is mended. Interrupted, it may be asked for
    again. Events that could not be digested are tried once more.
    """
    with opened() as finder:
        make_warm(finder, quiet=False)
        with progress(None, False) as tell:
            finder.rebuild(lambda done, of: tell("rebuilding", done, of, "buckets"))
        parked = finder.parked_events()
    note("every read model is made anew" + (f", without {len(parked)} events: `okf events --parked`" if parked else ""))


@app.command()
def events(
    project: Project = "default",
    after: Annotated[
        int | None, typer.Option("--after", metavar="POSITION", help="From there on. Default: the last there are.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=10_000, help="At most so many.")] = 50,
    parked: Annotated[
        bool, typer.Option("--parked", help="Those of any project that a read model goes without, and why.")
    ] = False,
    format: Listed = None,
) -> None:
    """List the events of a project: everything that ever happened in it, without the rows of its imports."""
    from omnikeywords.terminal_catalogue import show_events, show_parked

    with opened() as finder:
        if parked:
            rows = [record(each) for each in finder.parked_events()]
            print_rows(rows, format, show_parked, "no event is parked")
        else:
            found = finder.events(project, after=after, limit=limit)
            rows = [record(each, "data", "bucket") for each in found]
            print_rows(rows, format, show_events, f"nothing happened in project {project!r} yet")


# ---- okf projects


@projects.command("list")
def list_projects(format: Listed = None) -> None:
    """List every project."""
    from omnikeywords.terminal_catalogue import show_projects

    with opened() as finder:
        rows = [record(project) for project in finder.projects.all()]
    print_rows(rows, format, show_projects, "there are no projects")


@projects.command()
def show(name: _Name) -> None:
    """Print how a project stands, as JSON."""
    with opened() as finder:
        print_json({**plain(finder.projects.find(name)), "keywords": finder.keywords.count(name)})


@projects.command()
def create(
    name: _Name,
    market: Market = None,
    brand: _Brand = None,
    weight: _Weight = None,
    home_region: _Region = None,
    own_bucket: Annotated[
        bool, typer.Option("--own-bucket", help="For tens of millions of keywords, on several servers.")
    ] = False,
) -> None:
    """Make a project; an import makes its own where there is none."""
    given = _changes(None, brand, weight, home_region)
    with opened() as finder:
        finder.projects.create(name, who(), market, **given, own_bucket=own_bucket)
    note(f"project {name} is made")


@projects.command()
def change(
    name: _Name,
    market: Annotated[
        str | None,
        typer.Option("--market", metavar="MARKET", help="Of keywords whose file names none, as pt-BR; '' for none."),
    ] = None,
    brand: _Brand = None,
    weight: _Weight = None,
    home_region: _Region = None,
) -> None:
    """Change the settings of a project; a job analyses all its keywords anew."""
    changes = _changes(market, brand, weight, home_region)
    if not changes:
        raise InvalidOption("nothing to change: give --market, --brand, --weight or --home-region")
    with opened() as finder:
        make_warm(finder, quiet=False)
        finder.projects.change(name, who(), changes)
        finder.catch_up(name)
    note(f"project {name} is changed")


@projects.command()
def delete(
    name: _Name,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Delete a project and erase everything that was ever said in it."""
    with opened() as finder:
        keywords = finder.keywords.count(name)
        if not yes:
            if not sys.stdin.isatty():
                raise InvalidOption(f"--yes is needed to delete project {name!r} with its {keywords:,} keywords")
            typer.confirm(f"okf: delete project {name} with its {keywords:,} keywords?", abort=True, err=True)
        job = finder.projects.delete(name, who())
        finder.catch_up(name)
        check_erased(finder, job.id)
    note(f"project {name} is deleted")


def _changes(
    market: str | None, brands: list[str] | None, weights: list[str] | None, home_region: str | None
) -> dict[str, Any]:
    """What is to be changed; an empty text takes a setting away."""
    changes: dict[str, Any] = {}
    if market is not None:
        changes["market"] = market or None
    if brands is not None:
        changes["brands"] = tuple(brand for brand in brands if brand)
    if weights is not None:
        changes["weights"] = dict(_weight(text) for text in weights if text)
    if home_region is not None:
        changes["home_region"] = home_region or None
    return changes


def _weight(text: str) -> tuple[str, float]:
    name, equals, value = text.partition("=")
    try:
        if equals:
            return name.strip(), float(value)
    except ValueError:
        pass
    raise InvalidOption(f"weight {text!r} is none: write it as name=number", weight=text)
