"""Commands of the command line for webhooks: whom to tell when an import of a project has ended."""

from typing import Annotated

import typer

from omnikeywords.cli import app
from omnikeywords.cli_output import note
from omnikeywords.cli_session import Listed, Project, opened, print_rows, record

__all__ = ["create", "dead", "delete", "list_", "redeliver"]

webhooks = typer.Typer(
    name="webhooks",
    help="Tell other programs when imports have ended: docs/webhooks.md.",
    rich_markup_mode=None,
)
app.add_typer(webhooks)


@webhooks.command()
def create(
    url: Annotated[str, typer.Argument(metavar="URL", help="Where to send: https, to a public address.")],
    project: Project = "default",
    event: Annotated[
        list[str] | None,
        typer.Option(
            "--event", metavar="E", help="import.completed or import.withdrawn; may be repeated. Default: both."
        ),
    ] = None,
) -> None:
    """Tell a URL of a project's imports, and print the secret that signs what it is sent, once: it cannot be shown
    again."""
    with opened() as finder:
        made = finder.webhooks.create(project, url, event or [])
    print(made.secret)
    note(f"webhook {made.id} is told {' and '.join(made.events)}; keep its secret now: it is not shown again")


@webhooks.command("list")
def list_(project: Project = "default", format: Listed = None) -> None:
    """List the webhooks of a project, without their secrets."""
    from omnikeywords.terminal_catalogue import show_webhooks

    with opened() as finder:
        rows = [record(each, "secret") for each in finder.webhooks.all(project)]
    print_rows(rows, format, show_webhooks, f"project {project!r} has no webhooks")


@webhooks.command()
def delete(
    webhook_id: Annotated[str, typer.Argument(metavar="ID", help="As `okf webhooks list` prints it.")],
    project: Project = "default",
) -> None:
    """Send nothing more to a webhook, not what waits to be sent either."""
    with opened() as finder:
        finder.webhooks.delete(webhook_id, project)
    note(f"webhook {webhook_id} was deleted")


@webhooks.command()
def dead(
    project: Project = "default",
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="At most so many.")] = 50,
    format: Listed = None,
) -> None:
    """List dead letters, the newest first: what was tried for a day and could not be delivered.

    They are remembered as long as other jobs that have ended: OKF_JOB_RETENTION_DAYS.
    """
    from omnikeywords.terminal_catalogue import show_dead_letters

    with opened() as finder:
        rows = [record(each) for each in finder.webhooks.dead_letters(project, limit)]
    print_rows(rows, format, show_dead_letters, f"every message of project {project!r} was delivered, or still may be")


@webhooks.command()
def redeliver(
    job_id: Annotated[str, typer.Argument(metavar="JOB", help="As `okf webhooks dead` prints it.")],
    project: Project = "default",
) -> None:
    """Send a dead letter once more, with all its tries before it; a running `okf serve` does it."""
    with opened() as finder:
        job = finder.webhooks.redeliver(job_id, project)
    note(f"job {job.id} is {job.state}: a processor sends it, and `okf jobs resume {job.id}` sends it here")
