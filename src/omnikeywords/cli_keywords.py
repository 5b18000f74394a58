"""Commands of the command line for keywords: lists, exports, their history, and what people say of them."""

import functools
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from omnikeywords.cli import app
from omnikeywords.cli_output import OutputFormat, check_output, counted, note, output_format, progress
from omnikeywords.cli_session import Listed, Project, is_jsonl, opened, print_lines, print_rows, who
from omnikeywords.errors import InvalidOption

if TYPE_CHECKING:
    import polars as pl

__all__ = ["compare", "correct", "export", "filtered", "history", "keywords", "tag"]

# Every filter of a list, and how its value is written.
_FILTERS: Mapping[str, str] = {
    "market": "As pt-BR, or none; several by |.",
    "language": "As pt; several by |.",
    "intent": "informational, navigational, commercial, transactional; several by |.",
    "funnel": "awareness, consideration, decision; several by |.",
    "question": "how, what, which, who, when, where, why, can, other; or any.",
    "modifier": "A type, as price or comparison.",
    "tag": "A tag that a person gave.",
    "source": "A tool, as google_search_console; several by |.",
    "import": "An import's id; several by |.",
    "words": "How many words.",
    "year": "A year in the keyword.",
    "local": "true or false.",
    "branded": "true or false.",
    **{
        f"{end}_{name}": f"{'At least' if end == 'min' else 'At most'} so much {name}."
        for name in ("volume", "difficulty", "opportunity", "position", "clicks", "impressions")
        for end in ("min", "max")
    },
}
_Text = Annotated[str, typer.Option("-q", "--query", metavar="TEXT", help="Part of the keyword.")]
_ItsMarket = Annotated[
    str | None,
    typer.Option("--market", metavar="MARKET", help="Which of several: as pt-BR, or none for that without a market."),
]
_Keyword = Annotated[str, typer.Argument(metavar="KEYWORD", help="The keyword, as a phrase or by its id.")]


def filtered(command: Callable[..., None]) -> Callable[..., None]:
    """A command with an option for each filter; those given reach it as `filters`."""

    @functools.wraps(command)
    def with_filters(**given: Any) -> None:
        chosen = {name: given.pop(f"by_{name}") for name in _FILTERS}
        command(**given, filters={name: value for name, value in chosen.items() if value is not None})

    own = [
        parameter
        for parameter in inspect.signature(command, eval_str=True).parameters.values()
        if parameter.name != "filters"
    ]
    options = [
        inspect.Parameter(
            f"by_{name}",
            inspect.Parameter.KEYWORD_ONLY,
            default=None,
            annotation=Annotated[str | None, typer.Option(f"--{name.replace('_', '-')}", metavar="VALUE", help=text)],
        )
        for name, text in _FILTERS.items()
    ]
    kept = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own]
    with_filters.__signature__ = inspect.Signature([*kept, *options])  # type: ignore[attr-defined]
    with_filters.__annotations__ = {each.name: each.annotation for each in (*kept, *options)}
    return with_filters


@app.command()
@filtered
def keywords(
    filters: Mapping[str, str],
    project: Project = "default",
    query: _Text = "",
    sort: Annotated[
        str,
        typer.Option(
            "--sort", help="id, keyword, volume, difficulty, opportunity, position, clicks, impressions, popularity."
        ),
    ] = "id",
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="At most so many.")] = 50,
    cursor: Annotated[str | None, typer.Option("--cursor", help="Go on behind a list, as it told.")] = None,
    format: Listed = None,
) -> None:
    """List the keywords of a project that every filter lets through.

    `okf export` writes all of them.
    """
    from omnikeywords.terminal_catalogue import show_keyword_rows

    with opened() as finder:
        page = finder.keywords.page(project, q=query, filters=filters, order=sort, limit=limit, cursor=cursor)
    for remark in page.notes:
        note(remark)
    print_rows(page.keywords, format, show_keyword_rows, f"no keyword of project {project!r} is like that")
    if page.next_cursor:
        from omnikeywords.catalog.listing import MOST_COUNTED

        many = f"{'at least ' if page.total >= MOST_COUNTED else ''}{counted(page.total, 'keyword')}"
        note(f"{many}; the next: --cursor {page.next_cursor}")


@app.command()
@filtered
def export(
    filters: Mapping[str, str],
    project: Project = "default",
    query: _Text = "",
    format: Annotated[
        OutputFormat | None, typer.Option("--format", help="What to write. Default: as OUT is called, else jsonl.")
    ] = None,
    out: Annotated[Path | None, typer.Option("-o", "--out", metavar="OUT", help="File to write to.")] = None,
    bom: Annotated[bool, typer.Option("--bom", help="Begin csv with a byte order mark, for Excel.")] = False,
) -> None:
    """Write all keywords of a project that every filter lets through, with every column."""
    from omnikeywords.formats.write import FORMATS, write_results

    if format is OutputFormat.TABLE:
        raise InvalidOption("a table is for a page of keywords: `okf keywords` prints one")
    asked = output_format(format, out) if format or out else OutputFormat.JSONL
    check_output(out, ())
    chosen = next(name for name in FORMATS if name == asked)
    with opened() as finder, progress(finder.keywords.count(project), False) as tell:

        def frames() -> "Iterator[pl.DataFrame]":
            done = 0
            for frame in finder.keywords.export(project, query, filters):
                yield frame
                done += frame.height
                tell("writing", done, None)

        written = write_results(frames(), out if out is not None else sys.stdout.buffer, chosen, bom=bom)
    sys.stdout.flush()
    for remark in written.notes:
        note(remark)
    if out is not None:
        note(f"wrote {out}: {counted(written.rows, 'keyword')}")


@app.command()
def history(keyword: _Keyword, project: Project = "default", market: _ItsMarket = None, format: Listed = None) -> None:
    """Print everything that any import said of a keyword, by period."""
    from omnikeywords.terminal_catalogue import show_history

    with opened() as finder:
        rows = finder.keywords.history(finder.keywords.named(keyword, project, market), project)
    print_rows(rows, format, show_history, f"no import says anything of {keyword!r}")


@app.command()
def compare(
    before: Annotated[str, typer.Argument(metavar="IMPORT", help="The earlier one.")],
    after: Annotated[str, typer.Argument(metavar="IMPORT", help="The later one.")],
    project: Project = "default",
    limit: Annotated[int, typer.Option("--limit", min=1, max=100_000, help="At most so many keywords.")] = 50,
    format: Listed = None,
) -> None:
    """Compare two imports: which keywords are new, lost, or at another position; the largest moves first."""
    with opened() as finder:
        found = finder.imports.compare(before, after, project, limit=limit)
    if is_jsonl(format):
        print_lines(found.rows)
        return
    from omnikeywords.terminal import console
    from omnikeywords.terminal_catalogue import show_comparison

    counts = {"new": found.new, "lost": found.lost, "moved": found.moved}
    show_comparison(console(sys.stdout), counts, found.rows)
    if (total := sum(counts.values())) > len(found.rows):
        note(f"{len(found.rows):,} of {total:,} changes: --limit shows more")


@app.command()
def tag(
    keyword: _Keyword,
    tags: Annotated[list[str] | None, typer.Argument(metavar="TAG", help="Tags to give.")] = None,
    remove: Annotated[
        list[str] | None, typer.Option("--remove", metavar="TAG", help="A tag to take away; repeatable.")
    ] = None,
    project: Project = "default",
    market: _ItsMarket = None,
) -> None:
    """Give a keyword tags or take them away; prints those it has, one a line."""
    with opened() as finder:
        keyword_id = finder.keywords.named(keyword, project, market)
        before = finder.keywords.mark_of(keyword_id, project)
        missing = sorted(set(remove or ()) - set(before.tags))
        if missing:
            raise InvalidOption(f"keyword {keyword!r} has no tag {missing[0]!r}", tag=missing[0])
        now = sorted({*before.tags, *(tags or ())} - set(remove or ()))
        if now != sorted(before.tags):
            finder.keywords.mark(keyword_id, project, who(), tags=now, expected=before.version)
    for each in now:
        print(each)


@app.command()
def correct(
    keyword: _Keyword,
    intent: Annotated[str | None, typer.Option("--intent", help="The right intent.")] = None,
    funnel: Annotated[str | None, typer.Option("--funnel", help="The right stage of the funnel.")] = None,
    language: Annotated[str | None, typer.Option("--language", help="The right language, as pt.")] = None,
    near_duplicate_of: Annotated[
        str | None,
        typer.Option(
            "--near-duplicate-of", metavar="KEYWORD", help="What it says the same as; '' where it stands alone."
        ),
    ] = None,
    undo: Annotated[
        list[str] | None, typer.Option("--undo", metavar="FIELD", help="Take a correction back; repeatable.")
    ] = None,
    project: Project = "default",
    market: _ItsMarket = None,
) -> None:
    """Say what a keyword really is.

    That goes before what the analysis says, now and after every re-analysis; without options it prints what was
    corrected.
    """
    given = {"intent": intent, "funnel": funnel, "language": language, "near_duplicate_of": near_duplicate_of}
    said: dict[str, str | None] = {name: value for name, value in given.items() if value is not None}
    said |= dict.fromkeys(undo or ())
    with opened() as finder:
        keyword_id = finder.keywords.named(keyword, project, market)
        if said:
            finder.keywords.mark(keyword_id, project, who(), corrected=said)
        for name, value in sorted(finder.keywords.mark_of(keyword_id, project).corrected.items()):
            print(f"{name} {value}")
