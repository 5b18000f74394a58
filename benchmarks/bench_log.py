"""Speed of the event log: rows of an export appended in chunks of 10,000, encoding included.

    python benchmarks/bench_log.py [--rows 1000000]

The rows are those of a seeded Search Console export, read beforehand. One writer; each chunk is a transaction of its
own that waits for the disk. PostgreSQL 15 is started for it, with its default care for the disk.
"""

import argparse
import csv
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))

import polars as pl
from bench_cli import made_up
from figure import Figure, report

from omnikeywords.catalog import log
from omnikeywords.catalog.events import NewEvent, frame_of, rows_of
from omnikeywords.catalog.migrate import migrate
from omnikeywords.db import Database, connect
from omnikeywords.formats import open_export
from tests.servers.postgres import postgres

CHUNK = 10_000
ROUNDS = 3
DURABLE = {"fsync": "on", "full_page_writes": "on"}


def write_export(path: Path, rows: int) -> None:
    """A Search Console export: clicks, impressions, their share and the position."""
    dice = random.Random(11)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["Top queries", "Clicks", "Impressions", "CTR", "Position"])
        for keyword in made_up(rows):
            impressions = int(10 ** dice.uniform(0, 4))
            clicks = int(impressions * dice.random() ** 3 / 2)
            share = f"{100 * clicks / impressions:.2f}%"
            writer.writerow([keyword, clicks, impressions, share, f"{dice.uniform(1, 80):.2f}"])


def append_all(database: Database, chunks: Sequence[pl.DataFrame], run: str) -> float:
    """Observations appended a second."""
    stream = f"import/{run}"
    begun = time.perf_counter()
    for number, chunk in enumerate(chunks):
        payload = {"number": number, "first_row": number * CHUNK, "rows": chunk.height}
        event = NewEvent(stream, "import.rows_appended", payload, rows_of(chunk))
        with database.write("shop") as connection:
            log.append(connection, 7, "shop", [event], actor="bench", idempotency_key=f"{run}/{number}")
    return sum(chunk.height for chunk in chunks) / (time.perf_counter() - begun)


def measure(database: Database, chunks: Sequence[pl.DataFrame]) -> float:
    """The median of some rounds, after the last of which everything is there."""
    rate = statistics.median(append_all(database, chunks, f"i{i}") for i in range(ROUNDS))
    with database.read("shop") as connection:
        head = log.head(connection, 7)
        assert head == ROUNDS * len(chunks)
        (last,) = log.read(connection, 7, after=head - 1)
    assert last.data is not None
    assert frame_of(last.data).equals(chunks[-1])
    return rate


def main() -> int:
    parser = argparse.ArgumentParser(description="Speed of the event log.")
    parser.add_argument("--rows", type=int, default=1_000_000)
    arguments = parser.parse_args()
    figures = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "Queries.csv"
        write_export(path, arguments.rows)
        with open_export(path) as export:
            chunks = [batch.frame.rechunk() for batch in export.batches(CHUNK)]
        begun = time.perf_counter()
        stored = sum(len(rows_of(chunk)) for chunk in chunks)
        encoding = arguments.rows / (time.perf_counter() - begun)
        figures.append(Figure("encoding alone", encoding, unit="observations/s"))
        figures.append(Figure("stored", stored / arguments.rows, unit="bytes/observation"))
        database = connect(f"sqlite:///{folder}/catalogue.sqlite3")
        migrate(database)
        rate = measure(database, chunks)
        figures.append(Figure("append, SQLite", rate, at_least=500_000, unit="observations/s"))
        database.close()
        with postgres(15, DURABLE) as server:
            owner = connect(server.url())
            migrate(owner, app_role="okf_app")
            owner.close()
            database = connect(server.app_url())
            rate = measure(database, chunks)
            figures.append(Figure("append, PostgreSQL 15", rate, at_least=300_000, unit="observations/s"))
            database.close()
    return 0 if report("log", figures) else 1


if __name__ == "__main__":
    sys.exit(main())
