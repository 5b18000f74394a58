"""How soon what was acknowledged is found: lists of 100,000 keywords are imported over HTTP while searches go on.

    python benchmarks/bench_fresh.py --data DIR [--runs 5] [--keywords 100000]

An import is appended to the log chunk by chunk; a chunk is acknowledged once its event is there, which the log says to
the microsecond. Every search says up to which position of the log it was answered. So a chunk's lag lasts from its
event to the last search that did not know of it, whichever worker answered that. Two ways to run it: everything in one
`okf serve` on SQLite; and, on PostgreSQL, one that imports beside one that indexes and searches.
"""

import argparse
import http.client
import json
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))

import traffic
from bench_import import p95
from figure import Figure, report
from serving import environment, fetch, service

from omnikeywords.catalog import log
from omnikeywords.catalog.events import EventType
from omnikeywords.catalog.migrate import migrate
from omnikeywords.catalog.projects import bucket_of
from omnikeywords.db import Database, connect
from tests.servers.postgres import postgres

PROJECT = "default"
PAUSE = 0.01  # seconds between searches
MOST_LAG = 2.0  # seconds, at the 95th percentile
LONGEST = 120.0  # seconds that an import may take


class Searches(threading.Thread):
    """Asks again and again, and notes when which position was known."""

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self._port = port
        self._done = threading.Event()
        self.seen: list[tuple[float, int]] = []  # seconds since 1970 when a search was sent, and what it knew

    def run(self) -> None:
        while not self._done.wait(PAUSE):
            sent = time.time()
            status, text = fetch(self._port, "/api/v1/search?q=shoes&limit=1&fields=id")  # a connection each
            if status != 200:
                sys.exit(f"a search while an import runs answered {status}: {text[:200]}")
            self.seen.append((sent, json.loads(text)["position"]))

    def end(self) -> None:
        """Ask no more."""
        self._done.set()
        self.join()

    def lag(self, position: int, since: float) -> float:
        """Seconds from a moment to the last search that did not know of a position."""
        return max((sent - since for sent, known in self.seen if known < position), default=0.0)


def import_list(port: int, phrases: Sequence[str], name: str) -> None:
    """Import keywords over HTTP, and wait until all of them are in the log."""
    body = "keyword\n" + "\n".join(f'"{phrase}"' for phrase in phrases)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("POST", f"/api/v1/imports?name={name}.csv", body.encode(), {"Content-Type": "text/csv"})
    answer = connection.getresponse()
    begun = json.loads(answer.read())
    if answer.status != 202:
        sys.exit(f"an import of {len(phrases):,} keywords answered {answer.status}: {begun}")
    deadline = time.monotonic() + LONGEST
    while time.monotonic() < deadline:
        state = json.loads(fetch(port, f"/api/v1/imports/{begun['id']}")[1])
        if state["job_state"] == "completed":
            return
        if state["job_state"] not in ("queued", "running"):
            sys.exit(f"an import of {len(phrases):,} keywords ended so: {state}")
        time.sleep(0.05)
    sys.exit(f"an import of {len(phrases):,} keywords is not done after {LONGEST:g} s: {state}")


def measure(
    name: str, database: Database, importing: int, searching: int, lists: Sequence[Sequence[str]]
) -> Iterator[Figure]:
    """The lags of the chunks of some imports, one after the other."""
    import_list(importing, ["running shoes", "red shoes"], "first")  # from here on there is an index
    lags: list[float] = []
    for number, phrases in enumerate(lists):
        with database.read() as connection:
            before = log.head(connection, bucket_of(PROJECT))
        searches = Searches(searching)
        searches.start()
        import_list(importing, phrases, f"list{number}")
        with database.read() as connection:
            events = log.list_events(connection, bucket_of(PROJECT), PROJECT, before, limit=1000)
        while not searches.seen or searches.seen[-1][1] < events[-1].position:
            time.sleep(PAUSE)
        time.sleep(1)  # for a worker that looks later than the other
        searches.end()
        chunks = [event for event in events if event.type == EventType.ROWS_APPENDED]
        lags += [searches.lag(event.position, event.recorded_at.timestamp()) for event in chunks]
    title = f"{name}: from acknowledged to searchable"
    note = f"{len(lags)} chunks of {len(lists)} imports of {len(lists[0]):,} keywords"
    yield Figure(f"{title}, median", statistics.median(lags), unit="s")
    yield Figure(f"{title}, 95th percentile", p95(lags), at_most=MOST_LAG, unit="s", note=note)
    yield Figure(f"{title}, longest", max(lags), unit="s")


def main() -> int:
    parser = argparse.ArgumentParser(description="How soon what was acknowledged is found.")
    parser.add_argument("--data", type=Path, required=True, help="the folder of the evaluation data")
    parser.add_argument("--runs", type=int, default=5, help="imports, each of other keywords")
    parser.add_argument("--keywords", type=int, default=100_000, help="of each import")
    given = parser.parse_args()
    listed = traffic.keywords(given.data, given.runs * given.keywords)
    lists = [listed[at : at + given.keywords] for at in range(0, len(listed), given.keywords)]
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="okf-bench-") as folder:
        environ = environment(Path(folder))
        with service(environ) as port:
            database = connect(environ["OKF_DATABASE_URL"])
            figures += measure("one service, SQLite", database, port, port, lists)
            database.close()
        with postgres(15) as server:
            owner = connect(server.url())
            migrate(owner, app_role="okf_app")
            owner.close()
            environ["OKF_DATABASE_URL"] = server.app_url()
            database = connect(environ["OKF_DATABASE_URL"])
            with (
                service(environ, "--roles", "analyzer,processor") as importing,
                service(environ, "--roles", "search") as searching,
            ):
                figures += measure("indexer of its own, PostgreSQL 15", database, importing, searching, lists)
            database.close()
    whole = given.runs * given.keywords >= 500_000
    return 0 if report("fresh", figures, keep=whole) else 1


if __name__ == "__main__":
    sys.exit(main())
