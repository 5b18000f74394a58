"""Reading of exports: rows skipped in real files, and rows a second of files made here.

    python benchmarks/quality_formats.py --data DIR [--rows 1000000]

DIR/formats holds exports of other tools. A row of totals is no data row.
"""

import argparse
import json
import os
import random
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from figure import Figure, report

from omnikeywords.errors import UnreadableExport
from omnikeywords.formats import open_export

_SKIPPED_AT_MOST = 0.5  # percent of a file's data rows
_ROWS = 1_000_000


def run(data: Path, rows: int = _ROWS) -> Iterator[Figure]:
    """A figure for each real file, then the rates."""
    yield from _skipped(data / "formats")
    with tempfile.TemporaryDirectory() as folder:
        for name, write in _MADE.items():
            path = Path(folder) / name
            write(path, rows)
            begun, cpu = time.perf_counter(), time.process_time()
            with open_export(path) as export:
                read = sum(len(batch) for batch in export.batches())
                tool = export.tool
            wall, cpu = time.perf_counter() - begun, time.process_time() - cpu
            note = f"as {tool}; {read / cpu:,.0f} a processor second"
            bound = 500_000 if name == "search console.csv" and rows == _ROWS else None
            yield Figure(f"rate, {name}", read / wall, bound, None, "rows/s", note)
            path.unlink()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    yield Figure("peak memory of all of it", peak, None, 700, "MiB")


def _skipped(folder: Path) -> Iterator[Figure]:
    for path in sorted(folder.rglob("*")):
        if path.suffix not in (".csv", ".xlsx"):
            continue
        name = str(path.relative_to(folder))
        try:
            with open_export(path) as export:
                kept = sum(len(batch) for batch in export.batches())
                totals = export.skipped.reasons["total row"]
                share = 100 * (1 - kept / max(1, export.rows_in - totals))
                rows = f"{kept:,} of {export.rows_in:,} rows, {totals} of totals"
                note = f"{export.tool}, {export.report}: {rows}"
            yield Figure(f"skipped, {name[-48:]}", share, None, _SKIPPED_AT_MOST, "%", note)
        except UnreadableExport as refusal:
            yield Figure(f"refused, {name[-48:]}", 1, None, None, "", str(refusal))


def _search_console(path: Path, rows: int) -> None:
    dice = random.Random(3)
    with path.open("w", encoding="utf-8") as file:
        file.write("Top queries,Clicks,Impressions,CTR,Position\n")
        for n in range(rows):
            seen = dice.randint(1, 9000)
            clicks = dice.randint(0, seen // 20 + 1)
            position = dice.uniform(1, 99)
            file.write(f"best running shoes {n},{clicks},{seen},{100 * clicks / seen:.2f}%,{position:.2f}\n")


def _ahrefs(path: Path, rows: int) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.write(
            "#,Keyword,Country,Difficulty,Volume,CPC,CPS,Parent Keyword,Last Update,SERP Features,"
            "Global volume,Intents\n"
        )
        for n in range(rows):
            file.write(
                f"{n},running shoes {n},us,{n % 100},{n % 5000},{n % 700 / 100},0.6,running shoes,"
                f"2025-07-04 03:48:18,"
                f'"People also ask,Top stories",{n % 9000},"Informational,Non-branded,Non-local"\n'
            )


def _list(path: Path, rows: int) -> None:
    path.write_text("".join(f"running shoes {n}\n" for n in range(rows)), encoding="utf-8")


def _json_lines(path: Path, rows: int) -> None:
    with path.open("w", encoding="utf-8") as file:
        for n in range(rows):
            row = {"keyword": f"running shoes {n}", "volume": n % 999, "cpc": 1.25, "note": "x"}
            file.write(json.dumps(row) + "\n")


_MADE: dict[str, Callable[[Path, int], None]] = {
    "search console.csv": _search_console,
    "ahrefs, quoted cells.csv": _ahrefs,
    "list.txt": _list,
    "objects.jsonl": _json_lines,
}


def main() -> int:
    parser = argparse.ArgumentParser(description="Reading of exports.")
    given = os.environ.get("OKF_EVAL_DATA")
    parser.add_argument("--data", type=Path, default=given, help="folder of evaluation data")
    parser.add_argument("--rows", type=int, default=_ROWS, help="rows of the files made here")
    arguments = parser.parse_args()
    if arguments.data is None or not Path(arguments.data).is_dir():
        parser.error("name the folder of the evaluation data with --data or OKF_EVAL_DATA")
    return 0 if report("quality_formats", list(run(Path(arguments.data), arguments.rows))) else 1


if __name__ == "__main__":
    sys.exit(main())
