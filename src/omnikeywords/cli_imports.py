"""Commands of the command line for imports and the jobs by which they come."""

import sys
import time
from collections import Counter
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO

import typer

from omnikeywords.cli import app, guess_rows, make_warm, source_of
from omnikeywords.cli_output import Market, ReportFormat, note, print_json, program_name, progress
from omnikeywords.cli_session import (
    Listed,
    ListFormat,
    Project,
    Wait,
    check_erased,
    is_jsonl,
    opened,
    plain,
    print_lines,
    print_rows,
    record,
    who,
)
from omnikeywords.model import days_of

if TYPE_CHECKING:
    from omnikeywords.finder import Finder
    from omnikeywords.finder.imports import Importing
    from omnikeywords.jobs import Job
    from omnikeywords.terminal import Tell

__all__ = ["cancel", "import_", "jobs", "resume", "retry"]

imports = typer.Typer(name="imports", help="List, look into and take back what was imported.", rich_markup_mode=None)
jobs = typer.Typer(name="jobs", help="List, look into and steer what runs or ran.", rich_markup_mode=None)
app.add_typer(imports)
app.add_typer(jobs)

ImportId = Annotated[str, typer.Argument(metavar="IMPORT", help="Its id, as `okf imports list` prints it.")]
JobId = Annotated[str, typer.Argument(metavar="JOB", help="Its id, as `okf jobs list` prints it.")]


@app.command("import")
def import_(
    files: Annotated[list[str], typer.Argument(metavar="FILE", help="Exports in any known format; - reads stdin.")],
    project: Annotated[
        str, typer.Option("--project", metavar="P", help="The project; it is made if it is not there.")
    ] = "default",
    market: Market = None,
    date: Annotated[
        str | None,
        typer.Option(
            "--date",
            metavar="DATE",
            help="What the files speak of: a day 2026-05-31, a month 2026-05, or 2026-05-01..2026-05-28.",
        ),
    ] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Import what was imported before once more, as a new observation.")
    ] = False,
    wait: Wait = True,
    format: Listed = None,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="No progress, notes or summary.")] = False,
) -> None:
    """Import keyword exports into the catalogue, row by row with every column, an import a file.

    Rows that cannot be read are skipped and listed: `okf imports rejects`. What was imported already, for the same
    project, market and period, is not imported twice. Killed on the way it goes on when the same command is given
    again.
    """
    from omnikeywords.ops import keep_little_memory

    keep_little_memory()
    period = days_of(date) if date else None
    for name in files:
        _check_file(name)
    failed = False
    with opened() as finder:
        make_warm(finder, quiet)
        begun = [(name, _begin(finder, name, project, market, period, again)) for name in files]
        if not wait:
            print_lines([{"import": one.import_id, "job": one.job_id, "repeated": one.repeated} for _, one in begun])
            if not quiet:
                note("it waits for a processor: `okf serve` is one, and `okf jobs resume JOB` does it here")
            return
        for name, one in begun:
            failed |= not _finish(finder, name, project, one, format, quiet)
    if failed:
        raise typer.Exit(1)


def _check_file(name: str) -> None:
    if name != "-":
        with Path(name).open("rb"):  # what cannot be opened is said before anything is imported
            pass


def _begin(
    finder: "Finder",
    name: str,
    project: str,
    market: str | None,
    period: tuple[date, date] | None,
    again: bool,
) -> "Importing":
    def begin(file: BinaryIO, called: str) -> "Importing":
        return finder.imports.start(
            file, name=called, project=project, market=market, period=period, again=again, actor=who()
        )

    if name == "-":
        return begin(sys.stdin.buffer, "stdin")
    with Path(name).open("rb") as file:
        return begin(file, Path(name).name)


def _finish(
    finder: "Finder", name: str, project: str, one: "Importing", format: ListFormat | None, quiet: bool
) -> bool:
    """Run an import to its end and tell how it went; returns whether it did well."""
    started = time.monotonic()
    job = _remembered(finder, one.job_id)
    done = job is None or job.state.ended
    if one.repeated and not quiet:
        then = "--again imports it once more" if done else "it was not done and goes on"
        note(f"{name} was imported before, as {one.import_id}: {then}")
    if job is None:
        return True
    if not done:
        job = _run(finder, one.job_id, quiet, guess_rows([source_of(name)]), Path(name).name)
    if job.state != "completed":
        then = f"; mend that, then `okf jobs resume {job.id}`" if job.state == "stuck" else ""
        note(f"{name} was not imported: {_reason(job)}{then}")
        return False
    if not quiet:
        _tell(finder, job, project, one, format, time.monotonic() - started)
    return True


def _run(finder: "Finder", job_id: str, quiet: bool, rows: int | None = None, name: str = "") -> "Job":
    """Run a job here, or follow it where another runs it, with progress."""
    with progress(rows, quiet) as tell:
        try:
            return finder.jobs.run(job_id, on_look=_looked(tell, name))
        except KeyboardInterrupt:
            note(f"job {job_id} waits: `okf jobs resume {job_id}` goes on, `okf jobs cancel {job_id}` undoes it")
            raise


_STAGES = {"accept": "reading", "validate": "reading", "append": "reading", "follow": "analysing", "group": "comparing"}


def _looked(tell: "Tell", name: str) -> "Callable[[Job], None]":
    def look(job: "Job") -> None:
        counted: dict[str, Any] = dict(job.progress)
        if job.backwards:
            tell("undoing", 0, None)
        elif job.step == "follow" and "chunks" in counted:
            tell("analysing", counted["chunks"] - counted.get("chunks_left", 0), counted["chunks"], "chunks")
        elif counted.get("rows_read") and job.step == "append":
            kept, merged, skipped = (counted.get(f"rows_{what}", 0) for what in ("kept", "merged", "skipped"))
            detail = f"{kept:,} kept, {merged:,} merged, {skipped:,} skipped"
            # A guess from how much of the file is read, which a bar makes the time left of.
            share = counted.get("share_read")
            of = round(counted["rows_read"] / share) if share else None
            tell(f"reading {name}".strip(), counted["rows_read"], of, detail)
        else:
            tell(_STAGES.get(job.step or "", "finishing"), 0, None)

    return look


def _reason(job: "Job") -> str:
    trouble = job.failure or job.trouble
    return trouble.message if trouble else job.state


def _tell(
    finder: "Finder", job: "Job", project: str, one: "Importing", format: ListFormat | None, seconds: float
) -> None:
    found = finder.imports.find(one.import_id, project)
    counted = {name: job.progress.get(name, 0) for name in ("rows_read", "rows_kept", "rows_merged", "rows_skipped")}
    if is_jsonl(format):
        print_lines([{"import": one.import_id, **record(found, "id", "content"), **counted, "repeated": one.repeated}])
        return
    from omnikeywords.formats import Period
    from omnikeywords.terminal import console
    from omnikeywords.terminal_catalogue import ImportReport, show_import

    reasons = Counter(reason.split(":")[0] for _, reason in finder.imports.rejects(one.import_id, project))
    start, end = found.period_start, found.period_end
    report = ImportReport(
        name=found.name or "",
        tool=found.tool,
        market=found.market,
        period=str(Period.of(start, end, "file")) if start and end else None,
        project=project,
        import_id=found.id,
        **counted,
        skipped=dict(reasons.most_common()),
        keywords=finder.keywords.count(project),
        seconds=seconds,
    )
    show_import(console(sys.stdout), report, program_name())


# ---- okf imports


@imports.command("list")
def list_imports(project: Project = "default", format: Listed = None) -> None:
    """List the imports of a project, the newest first."""
    from omnikeywords.terminal_catalogue import show_imports

    with opened() as finder:
        rows = [record(found, "content") for found in finder.imports.newest(project)]
    print_rows(rows, format, show_imports, f"nothing was imported into project {project!r}: `okf import FILE` does")


@imports.command("show")
def show_import_(import_id: ImportId, project: Project = "default") -> None:
    """Print all that is known of an import, as JSON."""
    with opened() as finder:
        found = finder.imports.find(import_id, project)
        job = _remembered(finder, found.job_id)
        print_json({**plain(found), "progress": None if job is None else plain(job.progress)})


def _remembered(finder: "Finder", job_id: str) -> "Job | None":
    """A job; None where it is forgotten, as ended ones are after a while."""
    from omnikeywords.errors import NotFound

    try:
        return finder.jobs.find(job_id)
    except NotFound:
        return None


@imports.command()
def rejects(import_id: ImportId, project: Project = "default", format: Listed = None) -> None:
    """List the rows of an import that were not taken, with line and reason."""
    from omnikeywords.terminal_catalogue import show_rejects

    with opened() as finder:
        rows = [{"line": line, "reason": reason} for line, reason in finder.imports.rejects(import_id, project)]
    print_rows(rows, format, show_rejects, f"every row of import {import_id} was taken")


@imports.command()
def withdraw(
    import_id: ImportId,
    project: Project = "default",
    reason: Annotated[str, typer.Option("--reason", help="Why; kept in the log.")] = "withdrawn",
) -> None:
    """Make an import count nowhere from now on; the log keeps what it said."""
    with opened() as finder:
        make_warm(finder, quiet=False)
        finder.imports.withdraw(import_id, project, who(), reason)
        finder.catch_up(project)
    note(f"import {import_id} counts nowhere any more")


@imports.command()
def delete(
    import_id: ImportId,
    project: Project = "default",
    reason: Annotated[str, typer.Option("--reason", help="Why; kept in the log.")] = "deleted",
) -> None:
    """Make an import count nowhere and erase everything that it said, also from the log."""
    with opened() as finder:
        make_warm(finder, quiet=False)
        job = finder.imports.delete(import_id, project, who(), reason)
        finder.catch_up(project)
        check_erased(finder, job.id)
    note(f"import {import_id} counts nowhere any more, and what it said is erased")


# ---- okf jobs


@jobs.command("list")
def list_jobs(
    project: Annotated[str | None, typer.Option("--project", metavar="P", help="Only of this project.")] = None,
    limit: Annotated[int, typer.Option("--limit", help="At most so many.")] = 50,
    format: Listed = None,
) -> None:
    """List jobs, the newest first."""
    from omnikeywords.terminal_catalogue import show_jobs

    with opened() as finder:
        found = finder.jobs.newest(project, limit=limit)
    print_rows([record(job) for job in found], format, show_jobs, "there are no jobs: `okf import FILE` makes one")


@jobs.command("show")
def show_job_(
    job_id: JobId,
    format: Annotated[ReportFormat, typer.Option("--format", help="How to print it.")] = ReportFormat.TABLE,
) -> None:
    """Print a job with its steps."""
    with opened() as finder:
        job = finder.jobs.find(job_id)
    if format is ReportFormat.JSON:
        print_json(plain(job))
        return
    from omnikeywords.terminal import console
    from omnikeywords.terminal_catalogue import show_job

    show_job(console(sys.stdout), {**record(job), "steps": [record(step) for step in job.steps]})


@jobs.command()
def cancel(job_id: JobId, wait: Wait = True) -> None:
    """Turn a job back: what it did is undone.

    A job that is past the point of no return goes on; an import is then taken back by `okf imports withdraw`.
    """
    _steer("cancel", job_id, wait, "cancelled")


@jobs.command()
def resume(job_id: JobId, wait: Wait = True) -> None:
    """Let a job that is stuck or waits go on where it is."""
    _steer("resume", job_id, wait, "completed")


@jobs.command()
def retry(job_id: JobId, wait: Wait = True) -> None:
    """Run a job that failed or was cancelled once more, from its beginning."""
    _steer("retry", job_id, wait, "completed")


def _steer(verb: str, job_id: str, wait: bool, wanted: str) -> None:
    from omnikeywords.ops import keep_little_memory

    keep_little_memory()
    with opened() as finder:
        job = finder.jobs.steer(verb, job_id)
        if wait and not job.state.ended:
            make_warm(finder, quiet=False)
            job = _run(finder, job_id, quiet=False)
    if not wait and not job.state.ended:
        note(f"job {job_id} is {job.state}: a processor goes on with it")
        return
    note(f"job {job_id} is {job.state}" + ("" if job.state in (wanted, "completed") else f": {_reason(job)}"))
    if job.state != wanted:
        raise typer.Exit(1)
