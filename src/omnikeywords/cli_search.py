"""Commands of the command line that read search indexes: searches, completions, word groups, n-grams."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from omnikeywords.cli import app
from omnikeywords.cli_keywords import filtered
from omnikeywords.cli_output import counted, note
from omnikeywords.cli_session import Listed, Project, opened, print_rows, record

if TYPE_CHECKING:
    from omnikeywords.finder.searches import Searches
    from omnikeywords.search import Tally

__all__ = ["groups", "ngrams", "search", "suggest"]

_Most = Annotated[int, typer.Option("--limit", min=1, max=1000, help="At most so many.")]


@contextmanager
def _searches(project: str) -> "Iterator[Searches]":
    """The searches of a project, its index brought up to the catalogue."""
    with opened() as finder:
        finder.projects.find(project)
        finder.searches.catch_up(project)
        yield finder.searches


@app.command()
@filtered
def search(
    filters: Mapping[str, str],
    query: Annotated[str, typer.Argument(metavar="QUERY", help='Words; "a phrase", -without, begin*.')] = "",
    project: Project = "default",
    sort: Annotated[
        str,
        typer.Option(
            "--sort",
            help="relevance, keyword, volume, difficulty, opportunity, position, clicks, impressions, popularity.",
        ),
    ] = "relevance",
    facets: Annotated[
        str | None, typer.Option("--facets", metavar="FIELD,...", help="Count the hits by these, as intent,language.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="At most so many.")] = 20,
    cursor: Annotated[str | None, typer.Option("--cursor", help="Go on behind a page, as it told.")] = None,
    format: Listed = None,
) -> None:
    """Search the keywords of a project, the best match first.

    Accents, case and punctuation never matter; where hardly any keyword has the words, typing errors are forgiven.
    """
    from omnikeywords.search import Request
    from omnikeywords.terminal_catalogue import show_keyword_rows

    named = tuple(name.strip() for name in facets.split(",")) if facets else ()
    with _searches(project) as searches:
        found = searches.find(Request(project, query, filters, sort, named, limit, cursor))
    for remark in found.notes:
        note(remark)
    print_rows(found.hits, format, show_keyword_rows, f"no keyword of project {project!r} is like that")
    for name, counts in found.facets.items():
        note(f"{name}: " + (", ".join(f"{value} {number:,}" for value, number in counts.items()) or "no keyword"))
    if found.next_cursor:
        at_least = "" if found.total_is_exact else "at least "
        note(f"{at_least}{counted(found.total, 'keyword')}; the next: --cursor {found.next_cursor}")


@app.command()
def suggest(
    text: Annotated[str, typer.Argument(metavar="TEXT", help="How it begins; '' for the most searched of all.")],
    project: Project = "default",
    limit: Annotated[int, typer.Option("--limit", min=1, max=100, help="At most so many.")] = 10,
    format: Listed = None,
) -> None:
    """Complete a keyword: the most searched of a project that begin so, whatever their accents."""
    from omnikeywords.terminal_catalogue import show_suggestions

    with _searches(project) as searches:
        found = searches.suggest(project, text, limit)
    print_rows(found, format, show_suggestions, f"no keyword of project {project!r} begins so")


@app.command()
@filtered
def groups(
    filters: Mapping[str, str],
    query: Annotated[str, typer.Argument(metavar="WORD", help="Only keywords with it, as in a search.")] = "",
    project: Project = "default",
    limit: _Most = 50,
    format: Listed = None,
) -> None:
    """Group keywords by word: how many have it, their volume together, and the words that come with it.

    With WORD the groups are those of the keywords that have it.
    """
    from omnikeywords.search import Request
    from omnikeywords.terminal_catalogue import show_word_groups

    with _searches(project) as searches:
        tally = searches.group_tree(Request(project, query, filters, limit=limit))
    print_rows([record(each) for each in tally.groups], format, show_word_groups, _nothing(project))
    _tell_counted(tally)


@app.command()
@filtered
def ngrams(
    filters: Mapping[str, str],
    query: Annotated[str, typer.Argument(metavar="QUERY", help="Only keywords that match, as in a search.")] = "",
    project: Project = "default",
    length: Annotated[int, typer.Option("-n", "--words-each", metavar="N", help="So many words, from 1 to 5.")] = 2,
    limit: _Most = 50,
    format: Listed = None,
) -> None:
    """Count runs of words: how many keywords have each, and their volume together."""
    from omnikeywords.search import Request
    from omnikeywords.terminal_catalogue import show_ngrams

    with _searches(project) as searches:
        tally = searches.ngrams(Request(project, query, filters, limit=limit), length)
    print_rows([record(each) for each in tally.ngrams], format, show_ngrams, _nothing(project))
    _tell_counted(tally)


def _nothing(project: str) -> str:
    return f"no keyword of project {project!r} is like that"


def _tell_counted(tally: "Tally") -> None:
    if tally.tallied < tally.total:
        note(f"counted over the {tally.tallied:,} most searched of {counted(tally.total, 'keyword')}")
