"""The command line: `okf ...`. It parses, calls the finder once, and prints.

Results go to stdout, progress and notes to stderr. Exit 0 is done, 1 failed, 2 a wrong use; an error is one
line that says what is wrong and what to do. What a command needs is imported when it runs, so that `okf
--help` is quick.
"""

import errno
import io
import os
import re
import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any

import typer

from omnikeywords import __version__
from omnikeywords.cli_output import (
    Market,
    OutputFormat,
    ReportFormat,
    check_output,
    counted,
    is_utf8,
    load_settings,
    note,
    output_format,
    print_json,
    program_name,
    progress,
)
from omnikeywords.errors import InvalidInput, InvalidOption, OmniKeywordsError

if TYPE_CHECKING:
    from omnikeywords.analysis import Options
    from omnikeywords.bulk import Results, Source
    from omnikeywords.finder import Finder
    from omnikeywords.formats import Export

__all__ = ["app", "guess_rows", "help_pages", "main", "make_warm", "run", "source_of"]

_MOST_SHOWN = 50  # keywords of -k that are shown one by one; more are summed up

app = typer.Typer(
    name="okf",
    help="Omni Keywords Finder: reads any keyword export, analyses every keyword, explains every score.",
    epilog="Start with: okf analyze --sample",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


class AnalysisType(StrEnum):
    """How much is analysed."""

    BASIC = "basic"
    COMPREHENSIVE = "comprehensive"


def main() -> None:
    """The `okf` command."""
    _mend_streams()
    # To be told to end does what Ctrl-C does: temporary files go too. So does closing the terminal.
    signal.signal(signal.SIGTERM, _interrupt)
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signal.signal(signal.SIGHUP, _interrupt)
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run one command line; returns the exit code. Errors are printed, as one line."""
    try:
        _arm_crash_point()
        # Not by `app(...)`, which has its own ideas of interruptions and broken pipes.
        command = typer.main.get_command(app)
        with command.make_context("okf", list(arguments) or ["--help"]) as context:
            command.invoke(context)
        sys.stdout.flush()
        return 0
    except typer.Exit as exit:
        return exit.exit_code
    except KeyboardInterrupt:
        return _failed("interrupted", 130)
    except InvalidInput as error:
        return _failed(str(error), 2)
    except OmniKeywordsError as error:
        return _failed(str(error), 1)
    except OSError as error:
        return _failed_by_system(error)
    except MemoryError:
        return _failed("out of memory: analyse fewer keywords at a time", 1)
    except Exception as error:
        # The writer of spreadsheets has what went wrong within its own error.
        if error.args and isinstance(error.args[0], OSError):
            return _failed_by_system(error.args[0])
        # What the parser of arguments raises, whichever version of it is installed, can show itself.
        if not hasattr(error, "format_message"):
            raise
        message = error.format_message().replace("Value error, ", "")
        path = getattr(getattr(error, "ctx", None), "command_path", "okf")
        return _failed(f"{message[:1].lower()}{message[1:].rstrip('.')} (see {path} --help)", 2)


def _arm_crash_point() -> None:
    """For tests: where OKF_CRASH_AT names a point, this process kills itself there."""
    if os.environ.get("OKF_CRASH_AT"):
        from omnikeywords import backup, workflows  # noqa: F401  (they declare their points)
        from omnikeywords.jobs import arm_crash_point

        arm_crash_point(load_settings().crash_at)


def _mend_streams() -> None:
    """Streams that can be used, whatever the shell did: closed ones read and write nothing, and a terminal that
    has no sign for a character shows `?`."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115
    if isinstance(sys.stdout, io.TextIOWrapper) and not is_utf8(sys.stdout):
        sys.stdout.reconfigure(errors="replace")


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt


def _failed(message: str, code: int) -> int:
    note(message)
    return code


def _failed_by_system(error: OSError) -> int:
    """What the operating system refused. Libraries tell the number of its error in words at times."""
    said = error.strerror or str(error)
    told = re.search(r" \(os error (\d+)\)$", said)
    number = error.errno or (int(told[1]) if told else 0)
    if number == errno.EPIPE:
        # Whoever read our output has gone. Nothing may be written any more, at exit neither.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    message = (said[: told.start()] if told else said).lower()
    if error.filename:
        message += f" {error.filename!r}"
    if number == errno.ENOSPC:
        message += ": make room, or write elsewhere; TMPDIR names the folder for temporary files"
        # Writers that could not be closed try again when they are thrown away, and complain again.
        sys.unraisablehook = lambda _: None
    return _failed(message, 1)


def _version(asked: bool) -> None:
    if asked:
        print(f"okf {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    pass


@app.command()
def analyze(
    files: Annotated[
        list[str] | None, typer.Argument(metavar="FILE", help="Exports in any known format; - reads stdin.")
    ] = None,
    keyword: Annotated[
        list[str] | None,
        typer.Option("-k", "--keyword", metavar="KEYWORD", help="A keyword to analyse; repeatable."),
    ] = None,
    sample: Annotated[bool, typer.Option("--sample", help="Analyse the sample export.")] = False,
    format: Annotated[
        OutputFormat | None,
        typer.Option(
            "--format",
            help="What to print or write. Default: as OUT is called, else table on a terminal, else jsonl.",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", metavar="OUT", help="File to write the results to.")
    ] = None,
    market: Market = None,
    type: Annotated[
        AnalysisType, typer.Option("--type", help="basic ends with the intents.")
    ] = AnalysisType.COMPREHENSIVE,
    duplicates: Annotated[bool, typer.Option("--duplicates/--no-duplicates", help="Look for near-duplicates.")] = True,
    brand: Annotated[
        list[str] | None,
        typer.Option("--brand", metavar="BRAND", help="A name that makes keywords branded; repeatable."),
    ] = None,
    bom: Annotated[bool, typer.Option("--bom", help="Begin csv with a byte order mark, for Excel.")] = False,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="No progress, notes or summary.")] = False,
) -> None:
    """Analyse keywords of exports, of stdin and of the command line.

    Rows of one keyword in files become one; keywords given by -k are answered one each. Without -o results go
    to stdout; on a terminal that is a summary, or the keywords themselves where they were given by -k.
    """
    names = list(files or [])
    keywords = list(keyword or [])
    if not (names or keywords or sample):
        raise InvalidOption("nothing to analyse: name files, - for stdin, -k KEYWORD or --sample")
    for text in (*keywords, *(brand or ())):
        _check_text(text)
    asked = output_format(format, out)
    from omnikeywords.finder import Finder

    finder = Finder(load_settings())
    options = finder.options(type, market, tuple(brand or ()))
    if not quiet:
        _doubt(options)
    if sample:
        names.insert(0, str(finder.sample()))
    sources = [source_of(name) for name in names]
    check_output(out, names)
    make_warm(finder, quiet)
    begun = time.perf_counter()
    with _analysed(finder, sources, options, keywords, duplicates, quiet) as results:
        command = _command(files or [], keywords, sample)
        if asked is OutputFormat.TABLE:
            _show(results, sources, time.perf_counter() - begun, None, command, sys.stdout)
        else:
            _write(results, asked, out, bom, quiet)
            if quiet:
                return
            seconds = time.perf_counter() - begun
            if out is not None and sys.stderr.isatty() and sources:
                _show(results, sources, seconds, str(out), command, sys.stderr)
            else:
                _tell_of_files(results)
            if out is not None:
                note(f"wrote {out}: {counted(results.keywords, 'keyword')} in {seconds:.1f} s")


def _tell_of_files(results: "Results") -> None:
    """What a person should know of the files, where no summary says it: warnings, and rows not read."""
    for report in results.files:
        for warning in report.warnings:
            note(f"{report.name}: {warning}")
        for reason, count in report.skipped.items():
            line = next((row.line for row in report.examples if row.reason.split(":")[0] == reason), None)
            where = "" if line is None else f" ({'' if count == 1 else 'first '}line {line:,})"
            note(f"{report.name}: {counted(count, 'row')} skipped: {reason}{where}")


def _doubt(options: "Options") -> None:
    """Say how a market was read that was probably meant as a country."""
    from omnikeywords.analysis.language import LANGUAGES

    given = options.market
    if given is not None and given.region is None and given.language not in (*LANGUAGES, "und"):
        country = "" if len(given.language) == 3 else f"; the country is und-{given.language.upper()}"
        note(f"market {str(given)!r} is read as a language, and none that is known here{country}")


def _check_text(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InvalidOption(f"{text!r} is no text in UTF-8: mend the terminal's encoding, or give a file") from None


def source_of(name: str) -> "Source":
    """The file of a name given on the command line; `-` is stdin."""
    from omnikeywords.bulk import Source

    if name == "-":
        return Source(sys.stdin.buffer, "stdin")
    return Source(Path(name), name)


def _command(files: Sequence[str], keywords: Sequence[str], sample: bool) -> str:
    """The part of the command line that says what to analyse, for lines to try next."""
    import shlex

    words = ["--sample"] if sample else []
    words += [shlex.quote(name) for name in files[:3]] + (["..."] if len(files) > 3 else [])
    words += [f"-k {shlex.quote(keyword)}" for keyword in keywords[:1]]
    return " ".join(words)


def make_warm(finder: "Finder", quiet: bool) -> None:
    """Build the language table and compile the loops of the analysis if this is the first use, and say so."""
    if not finder.is_warm():
        _build_table(finder, quiet)
    else:
        finder.prepare(lambda: None if quiet else note(_COMPILING))


_COMPILING = "preparing, once: compiling the analysis for this processor, which takes about half a minute"


def _build_table(finder: "Finder", quiet: bool, again: bool = False) -> bool:
    path = finder.settings.language_table_path
    if not quiet:
        note(f"building the language table, once: {path}")
    try:
        with progress(None, quiet, after=0.0) as tell:
            return finder.warm(lambda stage, done, of: tell(f"building {stage}", done, of), again=again)
    except OSError as error:
        raise OmniKeywordsError(
            f"cannot write {str(path)!r}: {(error.strerror or str(error)).lower()};"
            " set OKF_DATA_DIR to a folder that can be written"
        ) from error


def _analysed(
    finder: "Finder",
    sources: Sequence["Source"],
    options: "Options",
    keywords: Sequence[str],
    duplicates: bool,
    quiet: bool,
) -> "Results":
    from omnikeywords.settings import available_cores

    with progress(guess_rows(sources), quiet) as tell:
        return finder.analyse_files(
            sources,
            options,
            phrases=keywords,
            near_duplicates=duplicates,
            processes=available_cores(),
            progress=tell,
        )


def guess_rows(sources: Sequence["Source"]) -> int | None:
    """About how many rows text files hold, by their lines; None where another kind of source is among
    them."""
    rows = 0
    for source in sources:
        if not isinstance(source.data, Path) or not source.data.is_file():
            return None
        with source.data.open("rb") as file:
            if file.read(2) == b"PK" or source.data.suffix.lower() in (".parquet", ".pq", ".xlsx", ".zip"):
                return None
            while block := file.read(1 << 20):
                rows += block.count(b"\n")
    return rows or None


def _write(results: "Results", format: OutputFormat, out: Path | None, bom: bool, quiet: bool) -> None:
    from omnikeywords.formats.write import FORMATS, write_results

    to: Path | IO[bytes] = out if out is not None else sys.stdout.buffer
    chosen = next(name for name in FORMATS if name == format)
    with progress(results.keywords, quiet) as tell:

        def frames() -> Iterator[Any]:
            done = 0
            for frame in results.tables() if chosen == "parquet" else results.frames():
                yield frame
                done += len(frame)
                tell("writing", done, results.keywords)

        written = write_results(frames(), to, chosen, omit=results.empty, bom=bom)
    if out is None:
        sys.stdout.buffer.flush()
    for remark in written.notes:
        if not quiet:
            note(remark)


def _show(
    results: "Results",
    sources: Sequence["Source"],
    seconds: float,
    wrote: str | None,
    command: str,
    file: IO[str],
) -> None:
    from omnikeywords.terminal import console, show_keywords, show_summary

    if not sources and results.keywords <= _MOST_SHOWN:
        show_keywords(console(file), [row for frame in results.frames() for row in frame.iter_rows(named=True)])
        return
    from omnikeywords.summary import summarise

    show_summary(
        console(file), results, summarise(results), seconds, wrote=wrote, command=command, program=program_name()
    )


@app.command()
def formats(
    file: Annotated[str, typer.Argument(metavar="FILE", help="The file to look at; - reads stdin.")],
    market: Market = None,
    format: Annotated[ReportFormat, typer.Option("--format", help="How to print it.")] = ReportFormat.TABLE,
) -> None:
    """Say what a file is and what would be read of it.

    Names the tool, which columns are understood and which are kept as they are, and how many rows would be
    skipped and why.
    """
    from omnikeywords.finder import Finder
    from omnikeywords.terminal import console, show_export

    with Finder(load_settings()).describe(source_of(file), market) as export:
        preview = [row["keyword"] for row in export.preview(5).to_dicts()]
        for _ in export.batches():
            pass
        skipped = export.skipped.reasons
        if format is ReportFormat.TABLE:
            show_export(console(sys.stdout), export, export.rows_kept, skipped, preview)
        else:
            print_json(_export_facts(export, preview, skipped))


def _export_facts(export: "Export", preview: Sequence[str], skipped: Mapping[str, int]) -> dict[str, Any]:
    return {
        "tool": export.tool,
        "report": export.report,
        "market": str(export.market) if export.market else None,
        "period": str(export.period) if export.period else None,
        "currency": export.currency,
        "encoding": export.encoding,
        "delimiter": export.delimiter,
        "columns": [{"header": c.header, "field": c.field, "note": c.note} for c in export.columns],
        "rows_in": export.rows_in,
        "rows_kept": export.rows_kept,
        "rows_skipped": export.rows_skipped,
        "skipped": dict(skipped),
        "warnings": list(export.warnings),
        "first_keywords": list(preview),
    }


@app.command()
def sample() -> None:
    """Print where the sample export is.

    It has some 500 Search Console queries of an outdoor and running shop, in Portuguese, Spanish and English.
    """
    from omnikeywords.finder import Finder

    print(Finder(load_settings()).sample())


@app.command()
def settings() -> None:
    """Print every setting as it stands, with its meaning.

    Settings are OKF_ variables of the environment.
    """
    from omnikeywords.terminal import console, show_settings

    show_settings(console(sys.stdout), load_settings().rows())


@app.command()
def doctor() -> None:
    """Check this machine and set-up, and say what to mend.

    Exit 1 if there is a problem.
    """
    from omnikeywords.doctor import examine
    from omnikeywords.terminal import console, show_findings

    findings = list(examine(load_settings()))
    show_findings(console(sys.stdout), findings)
    if not all(finding.fine for finding in findings):
        raise typer.Exit(1)


@app.command()
def warm(
    again: Annotated[bool, typer.Option("--again", help="Build the table anew even if it is there.")] = False,
) -> None:
    """Build the language table and compile the loops of the analysis, unless they are there.

    Analysis does this itself on first use; images and services do it beforehand. Needs no network.
    """
    from omnikeywords.finder import Finder

    finder = Finder(load_settings())
    if again or not finder.is_warm():
        _build_table(finder, quiet=False, again=again)
    else:
        with progress(None, quiet=False) as tell:
            finder.warm(lambda stage, done, of: tell(f"compiling {stage}", done, of))
    note(f"the language table is ready: {finder.settings.language_table_path}")


@app.command()
def serve(
    host: Annotated[str | None, typer.Option("--host", help="Address to listen on. [OKF_HOST]")] = None,
    port: Annotated[int | None, typer.Option("--port", help="Port to listen on. [OKF_PORT]")] = None,
    workers: Annotated[
        int | None, typer.Option("--workers", help="Processes that answer requests. [OKF_WORKERS]")
    ] = None,
    roles: Annotated[str | None, typer.Option("--roles", help="What to run here, by comma. Default: all.")] = None,
) -> None:
    """Serve the HTTP API until stopped.

    SIGTERM lets requests in flight finish.
    """
    from omnikeywords import service
    from omnikeywords.finder import Finder

    loaded = load_settings()
    finder = Finder(loaded)
    if not finder.is_warm():
        _build_table(finder, quiet=False)
    service.serve(loaded, host=host, port=port, workers=workers, roles=roles, program=program_name())


def help_pages() -> dict[str, str]:
    """The help of each command as printed on 100 columns, by how it is called; for docs/cli.md."""
    from typer.testing import CliRunner

    def page(*words: str) -> str:
        return CliRunner().invoke(app, [*words, "--help"], prog_name="okf", terminal_width=100).output.strip()

    def names(of: typer.Typer) -> list[str]:
        return [command.name or command.callback.__name__ for command in of.registered_commands if command.callback]

    pages = {"okf": page(), **{f"okf {name}": page(name) for name in names(app)}}
    for group in app.registered_groups:
        assert group.typer_instance is not None
        name = str(group.typer_instance.info.name)
        pages[f"okf {name}"] = page(name)
        pages |= {f"okf {name} {verb}": page(name, verb) for verb in names(group.typer_instance)}
    return pages


from omnikeywords import (  # noqa: E402, F401  (more commands)
    cli_backup,
    cli_catalogue,
    cli_imports,
    cli_keys,
    cli_keywords,
    cli_search,
    cli_servers,
    cli_webhooks,
)
