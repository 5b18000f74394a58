"""What people see of the catalogue on a terminal: imports, keywords, projects, jobs, events."""

from calendar import monthrange
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from omnikeywords.terminal import TOOLS

__all__ = [
    "ImportReport",
    "show_comparison",
    "show_dead_letters",
    "show_events",
    "show_history",
    "show_import",
    "show_imports",
    "show_job",
    "show_jobs",
    "show_keyword_rows",
    "show_moves",
    "show_ngrams",
    "show_parked",
    "show_projects",
    "show_rejects",
    "show_servers",
    "show_suggestions",
    "show_webhooks",
    "show_word_groups",
]

Row = Mapping[str, Any]

_NARROWEST = 16  # characters of a column that is cut
_GOOD = ("completed", "done", "new")
_BAD = ("failed", "stuck", "withdrawn", "cancelled", "lost")


@dataclass(frozen=True, slots=True)
class _Column:
    """A column of a table."""

    title: str
    cell: Callable[[Row], RenderableType | None]
    right: bool = False
    wide: bool = False  # takes the room that others leave, and is cut to it
    whole: bool = False  # half of it is of no use, as of an id
    spare: bool = False  # left out where the terminal is too narrow for all


def _table(to: Console, rows: Sequence[Row], columns: Sequence[_Column]) -> None:
    """A line a row; columns in which no row has anything are left out, then spare ones while there is no room."""
    filled = {}
    for column in columns:
        cells = ["" if (cell := column.cell(row)) is None else cell for row in rows]
        if any(cells):
            filled[column] = cells
    widths = {column: max(len(str(cell)) for cell in (column.title, *cells)) for column, cells in filled.items()}
    left = to.width - sum(width + 2 for column, width in widths.items() if not column.wide)
    for column in [column for column in filled if column.spare][::-1]:
        if left < _NARROWEST:
            left += widths[column] + 2
            del filled[column]
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    for column in filled:
        table.add_column(
            column.title,
            justify="right" if column.right else "left",
            no_wrap=True,
            overflow="ellipsis",
            width=min(widths[column], max(left, _NARROWEST)) if column.wide else widths[column],
            min_width=widths[column] if column.whole else None,
        )
    for line in zip(*filled.values(), strict=True):
        table.add_row(*line)
    to.print(table)


def _text(name: str, style: str = "") -> Callable[[Row], RenderableType | None]:
    return lambda row: None if row[name] is None else Text(" ".join(str(row[name]).split()), style=style)


def _number(name: str, places: int = 0) -> Callable[[Row], RenderableType | None]:
    def cell(row: Row) -> RenderableType | None:
        value = row[name]
        value = value["score"] if isinstance(value, Mapping) else value
        return None if value is None else f"{value:,.{places}f}"

    return cell


def _state(name: str) -> Callable[[Row], RenderableType | None]:
    return lambda row: Text(str(row[name]), "green" if row[name] in _GOOD else "red" if row[name] in _BAD else "yellow")


def _time(name: str) -> Callable[[Row], RenderableType | None]:
    """To the minute, in UTC."""
    return lambda row: None if row[name] is None else f"{row[name]:%Y-%m-%d %H:%M}"


def _period(row: Row) -> str | None:
    start, end = row["period_start"], row["period_end"]
    if start is None:
        return None
    if start == end:
        return f"{start}"
    whole_month = start.day == 1 and end == start.replace(day=monthrange(start.year, start.month)[1])
    return f"{start:%Y-%m}" if whole_month else f"{start} to {end}"


# ---- imports


@dataclass(frozen=True, slots=True)
class ImportReport:
    """How an import went, for a person."""

    name: str
    tool: str | None
    market: str | None
    period: str | None
    project: str
    import_id: str
    rows_read: int
    rows_kept: int
    rows_merged: int
    rows_skipped: int
    skipped: Mapping[str, int]  # by reason, of those that are listed
    keywords: int  # of the project now
    seconds: float


def show_import(to: Console, report: ImportReport, program: str = "okf") -> None:
    """What came of an import, ending with what to do next."""
    rate = f" · {report.rows_read / report.seconds:,.0f} rows a second" if report.rows_read >= 10_000 else ""
    title = Text.assemble((report.name, "bold cyan"), f" imported in {_duration(report.seconds)}{rate}")
    tool = TOOLS.get(report.tool or "", report.tool)
    told = Text("  " + " · ".join(fact for fact in (tool, report.market, report.period) if fact))
    grid = Table.grid(padding=(0, 2))
    grid.add_column(width=10)
    grid.add_column(justify="right", min_width=9)
    grid.add_column(style="dim", overflow="fold")
    grid.add_row("rows read", f"{report.rows_read:,}", "")
    grid.add_row("kept", Text(f"{report.rows_kept:,}", "bold green"), "each with every column: `okf history KEYWORD`")
    if report.rows_merged:
        grid.add_row("merged", f"{report.rows_merged:,}", "say more of a keyword that an earlier row named")
    if report.rows_skipped:
        grid.add_row("skipped", Text(f"{report.rows_skipped:,}", "yellow"), _reasons(report))
    grid.add_row("keywords", Text(f"{report.keywords:,}", "bold"), f"in project {report.project} now")
    project = "" if report.project == "default" else f" --project {report.project}"
    following = [
        (f"{program} keywords{project} --sort opportunity", "what to go for first"),
        (f"{program} export{project} -o keywords.xlsx", "every keyword, every column"),
    ]
    if report.rows_skipped:
        following.append((f"{program} imports rejects {report.import_id}{project}", "each skipped row, and why"))
    to.print(Group(Rule(title, align="left", characters="─", style="dim"), told, Padding(grid, (1, 0, 1, 2))))
    longest = max(len(line) for line, _ in following)
    for line, purpose in following:
        room = len(line) <= to.width - 34
        shown = Text.assemble("  ", (f"{line:<{longest}}", "cyan"), (f"  {purpose}" if room else "", "dim"))
        to.print(shown, soft_wrap=True)


def _reasons(report: ImportReport) -> str:
    return ", ".join(f"{count:,} × {reason}" for reason, count in list(report.skipped.items())[:4])


def _duration(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 99.5 else f"{seconds / 60:.1f} min"


def show_imports(to: Console, rows: Sequence[Row]) -> None:
    """A line an import."""
    columns = [
        _Column("id", _text("id", "dim"), whole=True),
        _Column("state", _state("state")),
        _Column("rows", _number("rows"), right=True),
        _Column("skipped", _number("skipped"), right=True),
        _Column("period", _period),
        _Column("started (UTC)", _time("started_at"), spare=True),
        _Column("name", _text("name"), wide=True),
    ]
    _table(to, rows, columns)


def show_rejects(to: Console, rows: Sequence[Row]) -> None:
    """A line a row that was not taken."""
    _table(to, rows, [_Column("line", _number("line"), right=True), _Column("why", _text("reason"), wide=True)])


_COMPARED = (("pos.", "position", 1), ("clicks", "clicks", 0), ("impr.", "impressions", 0), ("volume", "volume", 0))


def show_comparison(to: Console, counts: Mapping[str, int], rows: Sequence[Row]) -> None:
    """What changed from one import to another."""
    to.print(Text(" · ".join(f"{count:,} {change}" for change, count in counts.items()), style="bold"))
    columns = [_Column("", _state("change")), _Column("keyword", _text("keyword"), wide=True)]
    for title, name, places in _COMPARED:
        columns.append(_Column(title, _number(name, places), right=True))
        columns.append(_Column(f"→ {title}", _number(f"{name}_after", places), right=True))
    if rows:
        _table(to, rows, columns)


# ---- keywords


def show_keyword_rows(to: Console, rows: Sequence[Row]) -> None:
    """A line a keyword."""
    columns = [
        _Column("keyword", _text("normalized"), wide=True),
        _Column("lang", _text("language")),
        _Column("intent", _text("intent")),
        _Column("volume", _number("volume"), right=True),
        _Column("clicks", _number("clicks"), right=True),
        _Column("impr.", _number("impressions"), right=True),
        _Column("pos.", _number("position", 1), right=True),
        _Column("diff.", _number("difficulty"), right=True),
        _Column("opp.", _number("opportunity"), right=True),
        _Column("tags", lambda row: Text(" ".join(row["tags"] or ()), "magenta") if row["tags"] else None),
    ]
    _table(to, rows, columns)


def show_history(to: Console, rows: Sequence[Row]) -> None:
    """A line an observation."""
    columns = [
        _Column("period", _period),
        _Column("recorded (UTC)", _time("recorded_at"), spare=True),
        _Column("source", lambda row: TOOLS.get(row["source"], row["source"])),
        _Column("volume", _number("volume"), right=True),
        _Column("cpc", _number("cpc", 2), right=True),
        _Column("clicks", _number("clicks"), right=True),
        _Column("impr.", _number("impressions"), right=True),
        _Column("pos.", _number("position", 1), right=True),
        _Column("url", _text("url", "dim"), wide=True),
    ]
    _table(to, rows, columns)


# ---- projects, jobs, events


def show_projects(to: Console, rows: Sequence[Row]) -> None:
    """A line a project."""
    columns = [
        _Column("name", _text("name", "bold")),
        _Column("market", _text("market")),
        _Column("brands", lambda row: ", ".join(row["brands"])),
        _Column("weights", lambda row: ", ".join(f"{name} {value:g}" for name, value in row["weights"].items())),
        _Column("home region", _text("home_region")),
        _Column("changed (UTC)", _time("changed_at"), spare=True),
    ]
    _table(to, rows, columns)


def show_jobs(to: Console, rows: Sequence[Row]) -> None:
    """A line a job."""
    columns = [
        _Column("id", _text("id", "dim"), whole=True),
        _Column("state", _state("state")),
        _Column("step", lambda row: None if row["state"].ended else Text(row["step"] or "")),
        _Column("project", _text("project")),
        _Column("rows", lambda row: f"{row['progress']['rows_read']:,}" if "rows_read" in row["progress"] else None),
        _Column("made (UTC)", _time("created_at"), spare=True),
        _Column("why", _why, wide=True),
    ]
    _table(to, rows, columns)


def _why(row: Row) -> RenderableType | None:
    trouble = row["failure"] or row["trouble"]
    return None if trouble is None else Text(" ".join(trouble.message.split()), style="red")


def show_job(to: Console, row: Row) -> None:
    """A job with its steps."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", width=12)
    grid.add_column(overflow="fold")
    for name in ("id", "kind", "project"):
        grid.add_row(name, Text(str(row[name])))
    state = _state("state")(row)
    grid.add_row("state", state if state is not None else "")
    if row["run"] > 1:
        grid.add_row("run", f"{row['run']}")
    for name, value in row["progress"].items():
        grid.add_row(name.replace("_", " "), f"{value:,}" if isinstance(value, int) else Text(str(value)))
    if (why := _why(row)) is not None:
        grid.add_row("why", why)
    for name in ("created_at", "started_at", "ended_at"):
        if row[name] is not None:
            grid.add_row(name.removesuffix("_at"), f"{row[name]:%Y-%m-%d %H:%M:%S} UTC")
    to.print(grid, "")
    columns = [
        _Column("step", _text("name")),
        _Column("state", _state("state")),
        _Column("begun (UTC)", _time("begun_at")),
        _Column("done (UTC)", _time("done_at")),
    ]
    if row["steps"]:
        _table(to, row["steps"], columns)


def show_events(to: Console, rows: Sequence[Row]) -> None:
    """A line an event."""
    columns = [
        _Column("position", _number("position"), right=True),
        _Column("recorded (UTC)", _time("recorded_at")),
        _Column("type", _text("type")),
        _Column("by", _text("actor")),
        _Column("stream", _text("stream", "dim"), wide=True),
    ]
    _table(to, rows, columns)


def show_parked(to: Console, rows: Sequence[Row]) -> None:
    """A line an event that a read model goes without."""
    columns = [
        _Column("bucket", _number("bucket"), right=True),
        _Column("position", _number("position"), right=True),
        _Column("model", _text("model")),
        _Column("parked (UTC)", _time("parked_at")),
        _Column("why", _text("error", "red"), wide=True),
    ]
    _table(to, rows, columns)


# ---- servers


def show_servers(to: Console, rows: Sequence[Row]) -> None:
    """A line a server."""
    columns = [
        _Column("name", _text("name", "bold")),
        _Column("region", _text("region")),
        _Column("buckets", _number("buckets"), right=True),
    ]
    _table(to, rows, columns)


def show_moves(to: Console, rows: Sequence[Row]) -> None:
    """A line a move of a bucket."""
    columns = [
        _Column("bucket", _number("bucket"), right=True),
        _Column("from", _text("source")),
        _Column("to", _text("target")),
        _Column("state", _text("state")),
        _Column("begun (UTC)", _time("started_at")),
        _Column("ended (UTC)", _time("ended_at")),
        _Column("by", _text("actor")),
        _Column("left its region because", _text("reason"), wide=True),
    ]
    _table(to, rows, columns)


def show_webhooks(to: Console, rows: Sequence[Row]) -> None:
    """A line a webhook."""
    columns = [
        _Column("id", _text("id", "bold"), whole=True),
        _Column("url", _text("url"), wide=True),
        _Column("events", lambda row: Text(", ".join(row["events"]))),
        _Column("created (UTC)", _time("created_at")),
    ]
    _table(to, rows, columns)


def show_dead_letters(to: Console, rows: Sequence[Row]) -> None:
    """A line a delivery that failed for good."""
    columns = [
        _Column("job", _text("job_id", "bold"), whole=True),
        _Column("webhook", _text("webhook_id")),
        _Column("event", _text("event")),
        _Column("failed (UTC)", _time("failed_at")),
        _Column("error", _text("error"), wide=True),
    ]
    _table(to, rows, columns)


# ---- what searches find besides keywords


def show_suggestions(to: Console, rows: Sequence[Row]) -> None:
    """Keywords that begin as somebody typed."""
    columns = [_Column("keyword", _text("keyword"), wide=True), _Column("volume", _number("volume"), right=True)]
    _table(to, rows, [*columns, _Column("market", _text("market", "dim"))])


def show_word_groups(to: Console, rows: Sequence[Row]) -> None:
    """Words, each with how much has it and the words that come with it."""

    def beside(row: Row) -> Text:
        return Text(", ".join(f"{each.word} {each.keywords:,}" for each in row["next"]), "dim")

    _table(to, rows, [_Column("word", _text("word")), *_COUNTED, _Column("with", beside, wide=True)])


def show_ngrams(to: Console, rows: Sequence[Row]) -> None:
    """Runs of words, each with how much has it."""
    _table(to, rows, [_Column("n-gram", _text("ngram"), wide=True), *_COUNTED])


_COUNTED = (
    _Column("keywords", _number("keywords"), right=True),
    _Column("volume", _number("volume"), right=True),
)
