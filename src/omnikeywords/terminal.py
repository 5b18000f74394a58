"""What people see on a terminal: progress, the summary of an analysis, tables of keywords, columns, settings,
checks.

Everything is laid out for 100 columns and still right at 80; colours carry nothing that the text does not
say.
"""

import contextlib
import shlex
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import IO, TYPE_CHECKING, Any, Protocol

from rich.console import Console, ConsoleOptions, Group, RenderableType
from rich.padding import Padding
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.rule import Rule
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from omnikeywords.bulk import FileReport, Results
    from omnikeywords.doctor import Finding
    from omnikeywords.formats import Export
    from omnikeywords.settings import SettingValue
    from omnikeywords.summary import Opportunity, Summary

__all__ = [
    "WIDTH",
    "Tell",
    "console",
    "progress_bar",
    "show_export",
    "show_findings",
    "show_keywords",
    "show_settings",
    "show_summary",
]

WIDTH = 100
_NARROW = 99  # columns; two panes of bars need that many
_BAR = 16
_COMMAND = 48  # characters; longer ones leave no room to say what they are for

TOOLS = {
    "ahrefs": "Ahrefs",
    "bing_webmaster": "Bing Webmaster Tools",
    "google_ads": "Google Ads",
    "google_keyword_planner": "Google Keyword Planner",
    "google_search_console": "Google Search Console",
    "google_trends": "Google Trends",
    "mangools": "Mangools",
    "moz": "Moz",
    "okf": "Omni Keywords Finder",
    "plain": "a plain list",
    "se_ranking": "SE Ranking",
    "semrush": "Semrush",
    "ubersuggest": "Ubersuggest",
}
LANGUAGES = {
    "ar": "Arabic", "bg": "Bulgarian", "bn": "Bengali", "cs": "Czech", "da": "Danish",
    "de": "German", "el": "Greek", "en": "English", "es": "Spanish", "fa": "Persian",
    "fi": "Finnish", "fr": "French", "he": "Hebrew", "hi": "Hindi", "hu": "Hungarian",
    "id": "Indonesian", "it": "Italian", "ja": "Japanese", "ko": "Korean", "nb": "Norwegian",
    "nl": "Dutch", "pl": "Polish", "pt": "Portuguese", "ro": "Romanian", "ru": "Russian",
    "sv": "Swedish", "ta": "Tamil", "te": "Telugu", "th": "Thai", "tr": "Turkish",
    "uk": "Ukrainian", "und": "cannot tell", "vi": "Vietnamese", "zh": "Chinese",
}  # fmt: skip
_INTENT_COLOURS = {
    "informational": "blue",
    "navigational": "magenta",
    "commercial": "yellow",
    "transactional": "green",
}


# What moves the cursor, changes colours or turns the direction of writing; line ends are laid out before.
_CONTROL = {c: None for c in (*range(32), *range(127, 160), *range(0x202A, 0x202F), *range(0x2066, 0x206A)) if c != 10}


class _Console(Console):
    """A console that files cannot steer: control characters in what is shown are left out."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterator[Segment]:
        for segment in super().render(renderable, options):
            if segment.control or segment.text.isprintable():
                yield segment
            else:
                yield Segment(segment.text.translate(_CONTROL), segment.style)


def console(file: IO[str]) -> Console:
    """A console on a stream: at most WIDTH columns on a terminal, exactly that many elsewhere."""
    made = _Console(file=file, highlight=False, emoji=False, markup=False)
    made.width = min(made.width, WIDTH) if made.is_terminal else WIDTH
    return made


# --- progress


class _Rate(ProgressColumn):
    """Rows a second so far."""

    def render(self, task: Task) -> Text:
        if not task.completed or not task.elapsed:
            return Text("")
        return Text(f"{task.completed / task.elapsed:,.0f}/s", style="dim")


class Tell(Protocol):
    """What progress is told to."""

    def __call__(self, stage: str, done: int, of: int | None, detail: str = "") -> None:
        """So many are done of so many, where that is known; `detail` is shown beside."""


@contextlib.contextmanager
def progress_bar(to: Console, total: int | None, after: float = 0.5) -> Iterator[Tell]:
    """A bar with rate and time left, shown once work has taken `after` seconds.

    `total` is a guess of all rows, for stages that do not know theirs.
    """
    bar = Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=30),
        TextColumn("{task.fields[counted]}"),
        _Rate(),
        TimeRemainingColumn(compact=True),
        console=to,
        transient=True,
    )
    begun = time.monotonic()
    stages: dict[str, Any] = {}
    shown = False

    def tell(stage: str, done: int, of: int | None, detail: str = "") -> None:
        nonlocal shown
        if not shown and time.monotonic() - begun < after:
            return
        if not shown:
            shown = True
            bar.start()
        of = of if of is not None else (max(total, done) if total else None)
        if stage not in stages:
            for earlier in stages.values():
                bar.update(earlier, visible=False)
            stages[stage] = bar.add_task(stage, total=of, counted="")
        counted = (f"{done:,} of {of:,}" if of else f"{done:,}") + (f" · {detail}" if detail else "")
        bar.update(stages[stage], completed=done, total=of, counted=counted)

    try:
        yield tell
    finally:
        if shown:
            bar.stop()


# --- the summary


def show_summary(
    to: Console,
    results: "Results",
    summary: "Summary",
    seconds: float,
    *,
    wrote: str | None,
    command: str,
    program: str = "okf",
) -> None:
    """All that a person wants to know of an analysis, ending with what to do next.

    `wrote` is the file that got the results, if one did; `command` what was analysed and `program` how this is
    called, for the lines to try next.
    """
    parts: list[RenderableType] = [_headline(summary, seconds), *(_file(f) for f in results.files)]
    if notes := _notes(results):
        parts.append(Padding(notes, (0, 0, 0, 2)))
    if summary.keywords:
        parts += ["", _panes(to, [_languages(summary), _intents(summary)])]
        parts += ["", _panes(to, [_kinds(summary), _lengths_and_questions(summary)])]
        if summary.opportunities:
            parts += ["", _title("Top opportunities"), _opportunities(to, summary.opportunities)]
        if results.near_duplicates:
            parts += ["", _near_duplicates(results, summary)]
    if skipped := [report for report in results.files if report.skipped]:
        parts += ["", _title("Skipped rows"), *(_skipped(report) for report in skipped)]
    to.print(Group(*parts))
    if summary.keywords:
        # Lines to copy are never broken by us: the terminal does that, and still copies them whole.
        to.print("", _next(to, summary, wrote, command, program), sep="\n", soft_wrap=True)


def _headline(summary: "Summary", seconds: float) -> RenderableType:
    rate = f" · {summary.keywords / seconds:,.0f} a second" if summary.keywords >= 10_000 and seconds else ""
    title = Text.assemble(
        (f"{summary.keywords:,} {_plural(summary.keywords, 'keyword')}", "bold"),
        (f" analysed in {_duration(seconds)}{rate}", "default"),
    )
    return Rule(title, align="left", characters="─", style="dim")


def _file(report: "FileReport") -> Text:
    told = [f"{TOOLS.get(report.tool, report.tool)}", *([report.report] if report.tool != "plain" else [])]
    rows = f"{report.rows:,} {_plural(report.rows, 'row')}"
    facts = [", ".join(told), *(fact for fact in (report.market, report.period) if fact), rows]
    text = Text.assemble("  ", (report.name, "bold cyan"), "  ", " · ".join(facts))
    for warning in report.warnings:
        text.append(f"\n    ! {warning}", style="yellow")
    return text


def _notes(results: "Results") -> Text | None:
    notes = []
    if results.merged_away:
        notes.append(f"{results.merged_away:,} {_plural(results.merged_away, 'row')} merged into their keyword")
    if results.errors:
        notes.append(f"{results.errors:,} cannot be analysed: `error` says why")
    return Text(" · ".join(notes), style="dim") if notes else None


def _title(text: str, detail: str = "") -> Text:
    return Text.assemble((text, "bold"), (f"  {detail}" if detail else "", "dim"))


def _panes(to: Console, panes: Sequence[RenderableType]) -> RenderableType:
    """Side by side where there is room."""
    if to.width < _NARROW:
        return _stacked(panes)
    grid = Table.grid(expand=True, padding=(0, 2, 0, 0))
    for _ in panes:
        grid.add_column(ratio=1)
    grid.add_row(*panes)
    return grid


def _stacked(panes: Sequence[RenderableType]) -> RenderableType:
    parts: list[RenderableType] = []
    for number, pane in enumerate(panes):
        parts += [""] if number else []
        parts.append(pane)
    return Group(*parts)


def _bars(title: str, rows: Sequence[tuple[str, int, str]], of: int) -> RenderableType:
    """A bar a row: (label, count, colour)."""
    grid = Table.grid(padding=(0, 1))
    grid.add_column(width=13, no_wrap=True)
    grid.add_column(width=_BAR, no_wrap=True)
    grid.add_column(justify="right", min_width=7, no_wrap=True)
    grid.add_column(justify="right", width=4, no_wrap=True)
    most = max((count for _, count, _ in rows), default=0)
    for label, count, colour in rows:
        bar = Text(_bar(count / most if most else 0), style=colour)
        grid.add_row(label, bar, f"{count:,}", Text(_share(count, of), style="dim"))
    return Group(_title(title), Padding(grid, (0, 0, 0, 2)))


def _bar(share: float, width: int = _BAR) -> str:
    eighths = round(share * width * 8)
    full, rest = divmod(max(eighths, 1 if share else 0), 8)
    return "█" * full + ("", "▏", "▎", "▍", "▌", "▋", "▊", "▉")[rest]


def _share(count: int, of: int) -> str:
    if not of or not count:
        return ""
    share = 100 * count / of
    return "<1%" if share < 0.5 else f"{share:.0f}%"


def _languages(summary: "Summary") -> RenderableType:
    known = [(code, count) for code, count in summary.languages.items() if code != "und"]
    rows = [(LANGUAGES.get(code, code), count, "cyan") for code, count in known[:5]]
    if rest := sum(count for _, count in known[5:]):
        rows.append((f"{len(known) - 5} more", rest, "cyan"))
    if unknown := summary.languages.get("und"):
        rows.append((LANGUAGES["und"], unknown, "dim"))
    return _bars("Languages", rows, summary.keywords)


def _intents(summary: "Summary") -> RenderableType:
    rows = [(name, count, _INTENT_COLOURS[name]) for name, count in summary.intents.items()]
    return _bars("Intents", rows, summary.keywords)


def _kinds(summary: "Summary") -> RenderableType:
    rows = [(name, count, "cyan") for name, count in summary.funnel.items()]
    if summary.funnel:
        rows += [("branded", summary.branded, "magenta"), ("local", summary.local, "green")]
        return _bars("Funnel, brands, places", rows, summary.keywords)
    return _bars("Length", _lengths(summary), summary.keywords)


def _lengths(summary: "Summary") -> list[tuple[str, int, str]]:
    names = {"head": "1 word", "body": "2-3 words", "long_tail": "4 and more"}
    return [(names.get(name, name), count, "cyan") for name, count in summary.lengths.items()]


def _lengths_and_questions(summary: "Summary") -> RenderableType:
    questions = sum(summary.questions.values())
    rows = [*(_lengths(summary) if summary.funnel else []), ("questions", questions, "blue")]
    asked = ", ".join(f"{word} {count:,}" for word, count in list(summary.questions.items())[:5])
    bars = _bars("Length, questions" if summary.funnel else "Questions", rows, summary.keywords)
    return Group(bars, Padding(Text(asked, style="dim"), (0, 0, 0, 2))) if asked else bars


def _opportunities(to: Console, opportunities: Sequence["Opportunity"]) -> RenderableType:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim", expand=True)
    table.add_column("keyword", no_wrap=True, overflow="ellipsis", ratio=5)
    table.add_column("score", justify="right", no_wrap=True, width=5)
    volumes = any(o.volume is not None for o in opportunities)
    table.add_column("volume" if volumes else "impr.", justify="right", no_wrap=True, width=9)
    positions = any(o.position is not None for o in opportunities)
    if positions:
        table.add_column("pos.", justify="right", no_wrap=True, width=5)
    wide = to.width >= _NARROW
    if wide:
        table.add_column("diff.", justify="right", no_wrap=True, width=5)
    table.add_column("why", no_wrap=True, overflow="ellipsis", ratio=6)
    for o in opportunities:
        demand = o.volume if o.volume is not None else o.impressions
        cells: list[RenderableType] = [
            _one_line(o.keyword),
            Text(f"{o.score:.0f}", style="bold green"),
            "" if demand is None else f"{demand:,}",
        ]
        if positions:
            cells.append("" if o.position is None else f"{o.position:.1f}")
        if wide:
            cells.append("" if o.difficulty is None else f"{o.difficulty:.0f}")
        table.add_row(*cells, Text(", ".join(_why(o)[: 3 if wide else 2]), style="dim"))
    return Padding(table, (0, 0, 0, 2))


def _why(o: "Opportunity") -> list[str]:
    """What speaks for an opportunity, in words: the parts that count for something."""
    said = []
    if "value" in o.why:
        said.append(o.intent)
    if "ease" in o.why and o.difficulty is not None:
        said.append("easy" if o.difficulty < 30 else "winnable" if o.difficulty < 60 else "hard")
    if "headroom" in o.why and o.position is not None:
        page = int((o.position - 1) // 10) + 1
        said.append("room on page 1" if page == 1 else f"page {page}, in reach")
    return said or ["much in demand"]


def _near_duplicates(results: "Results", summary: "Summary") -> RenderableType:
    if not results.members:
        return _title("Near-duplicates", "none")
    detail = f"{results.members:,} {_plural(results.members, 'keyword')} "
    detail += f"{'says' if results.members == 1 else 'say'} the same as another, in {results.groups:,} "
    lines: list[RenderableType] = [_title("Near-duplicates", detail + _plural(results.groups, "group"))]
    for group in summary.groups:
        shown = ", ".join(group.members[:3])
        more = group.size - 1 - len(group.members[:3])
        line = Text.assemble(
            "  ", group.head, (f"  = {shown}", "dim"), (f" and {more:,} more" if more > 0 else "", "dim")
        )
        line.no_wrap, line.overflow = True, "ellipsis"
        lines.append(line)
    return Group(*lines)


def _skipped(report: "FileReport") -> RenderableType:
    lines = []
    for reason, count in report.skipped.items():
        # A reason may go on, after a colon, with what is particular to a row.
        example = next((row for row in report.examples if row.reason.split(":")[0] == reason), None)
        line = Text.assemble("  ", (f"{count:,} × ", "yellow"), reason, (f"  in {report.name}", "dim"))
        if example:
            line.append(f", as line {example.line:,}: {_one_line(example.text)}", style="dim")
        line.no_wrap, line.overflow = True, "ellipsis"
        lines.append(line)
    return Group(*lines)


def _next(to: Console, summary: "Summary", wrote: str | None, command: str, program: str) -> RenderableType:
    lines = []
    if wrote is None:
        purpose = "every keyword, every column; also csv, parquet"
        lines.append((f"{program} analyze {command} -o keywords.xlsx", purpose))
    if summary.example:
        lines.append((f"{program} analyze -k {_quoted(summary.example)}", "one keyword, explained"))
    lines.append((f"{program} serve", "the same over HTTP"))
    longest = max(len(line) for line, _ in lines if len(line) <= _COMMAND)
    text = Text()
    for line, purpose in lines:
        text.append(f"\n  {line:<{longest}}", style="cyan")
        if to.width >= _NARROW and len(line) <= _COMMAND:
            text.append(f"  {purpose}", style="dim")
    return Group(_title("Next"), text[1:])


def _quoted(keyword: str) -> str:
    """A keyword as one word of a command line."""
    return shlex.quote(keyword) if any(c in keyword for c in '"$`\\!') else f'"{keyword}"'


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _plural(count: int, noun: str) -> str:
    return noun if count == 1 else f"{noun}s"


def _duration(seconds: float) -> str:
    if seconds < 0.0995:
        return f"{seconds * 1000:.0f} ms"
    return f"{seconds:.1f} s" if seconds < 99.5 else f"{seconds / 60:.1f} min"


# --- single keywords


def show_keywords(to: Console, rows: Sequence[Mapping[str, Any]]) -> None:
    """A block a keyword: what it is, and what says so."""
    for number, row in enumerate(rows):
        if number:
            to.print()
        if row.get("error"):
            to.print(Text.assemble((str(row["keyword"])[:70], "bold"), "\n  ", (row["error"]["detail"], "red")))
            continue
        to.print(Text(str(row["normalized"]), style="bold"))
        grid = Table.grid(padding=(0, 2))
        grid.add_column(style="dim", width=12)
        grid.add_column(overflow="fold")
        for name, value in _facts(row):
            grid.add_row(name, value)
        to.print(Padding(grid, (0, 0, 0, 2)))


def _facts(row: Mapping[str, Any]) -> Iterator[tuple[str, RenderableType]]:
    language = row["language"] or "und"
    sure = row["language_confidence"]
    yield (
        "language",
        LANGUAGES.get(language, language) + (f" ({sure:.0%} sure)" if sure and language != "und" else ""),
    )
    ranked = sorted(row["intents"].items(), key=lambda item: -item[1])
    text = Text()
    for name, share in ranked:
        if share >= 0.005 or name == row["intent"]:
            text.append(f"{name} {share:.0%}  ", style=_INTENT_COLOURS[name] if name == row["intent"] else "dim")
    yield "intent", text
    if row.get("evidence"):
        yield "because", ", ".join(row["evidence"])
    flags = [f"{row['words']} {_plural(row['words'], 'word')}", str(row["length"]).replace("_", " ")]
    if row["question"]:
        flags.append(f"question ({row['question']})")
    if "funnel" in row:
        flags += [name for name in ("branded", "local") if row[name]]
        flags += [str(row["year"])] if row["year"] else []
        yield "funnel", str(row["funnel"])
    yield "kind", ", ".join(flags)
    if row.get("modifiers"):
        yield "modifiers", ", ".join(f"{m['text']} ({m['type']})" for m in row["modifiers"])
    if row.get("popularity") is not None:
        yield "popularity", f"{row['popularity']:.1f} of 8, estimated from how common its words are"
    if row.get("near_duplicate_of"):
        yield "same as", str(row["near_duplicate_of"])
    yield "id", Text(str(row["id"]), style="dim")


# --- files, settings, checks


def show_export(to: Console, export: "Export", rows: int, skipped: Mapping[str, int], preview: Sequence[Any]) -> None:
    """What a file is and what was read of it."""
    told = Table.grid(padding=(0, 2))
    told.add_column(style="dim", width=12)
    told.add_column(overflow="fold")
    tool = TOOLS.get(export.tool, export.tool)
    told.add_row("what", Text(f"{tool}, {export.report}" if export.report else tool, style="bold"))
    facts = {
        "market": export.market,
        "period": export.period,
        "currency": export.currency,
        "encoding": export.encoding,
        "delimiter": {"\t": "tab", ",": "comma", ";": "semicolon"}.get(export.delimiter or "", export.delimiter),
    }
    for name, value in facts.items():
        if value:
            told.add_row(name, str(value))
    total = sum(skipped.values())
    told.add_row(
        "rows", f"{rows:,} {_plural(rows, 'keyword')} read" + (f", {total:,} skipped" if total else ", none skipped")
    )
    for reason, count in skipped.items():
        told.add_row("", Text(f"{count:,} × {reason}", style="yellow"))
    for warning in export.warnings:
        told.add_row("note", Text(warning, style="yellow"))
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    table.add_column("column", no_wrap=True, overflow="ellipsis", max_width=42)
    table.add_column("read as", no_wrap=True)
    table.add_column("note", style="dim", overflow="fold")
    for column in export.columns:
        kept = Text("kept as it is", style="dim")
        table.add_row(column.header, Text(column.field, style="green") if column.field else kept, column.note or "")
    parts: list[RenderableType] = [told, "", _title("Columns"), Padding(table, (0, 0, 0, 2))]
    if preview:
        shown = Text("\n".join(_one_line(str(keyword)) for keyword in preview))
        parts += ["", _title("First keywords"), Padding(shown, (0, 0, 0, 2))]
    to.print(Group(*parts))


def show_settings(to: Console, rows: Sequence["SettingValue"]) -> None:
    """Every setting as it stands."""
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    table.add_column("setting", no_wrap=True)
    table.add_column("value", overflow="fold", max_width=34)
    table.add_column("meaning", overflow="fold")
    for row in rows:
        value = f"{row.value} {row.unit}".strip() if row.value else "not set"
        table.add_row(
            row.name, Text(value, style="bold green" if row.given else "default"), Text(row.help, style="dim")
        )
    to.print(table)


def show_findings(to: Console, findings: Sequence["Finding"]) -> None:
    """A line a check, with what to do under each that failed."""
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for finding in findings:
        mark = Text("ok", "green") if finding.fine else Text("problem", "bold red")
        text = Text(finding.text)
        if not finding.fine:
            text.append(f"\n{finding.advice}", style="yellow")
        table.add_row(mark, finding.name, text)
    to.print(table)


def show_keys(to: Console, rows: Sequence[Mapping[str, Any]]) -> None:
    """A line an API key."""
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    for title in ("id", "name", "state", "scope", "projects", "expires", "last used"):
        table.add_column(title, no_wrap=title == "id", overflow="fold")
    for row in rows:
        table.add_row(
            row["id"],
            Text(row["name"]),
            Text(row["state"], "green" if row["state"] == "active" else "red"),
            row["scope"],
            ", ".join(row["projects"]) or Text("all", "dim"),
            row["expires_at"] or Text("never", "dim"),
            row["last_used_at"] or Text("never", "dim"),
        )
    to.print(table)
