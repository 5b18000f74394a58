"""Speed and memory of `okf import`: a CSV of a million rows until every keyword is there for SQL.

    python benchmarks/bench_import.py [--rows 1000000] [--data DIR] [--only sqlite|postgresql|accept]

The rows are those of bench_cli.py. While they are imported, by one `okf` process, small lists of ten rows are accepted
into another project of the same database, four a second. Memory is what all processes of the command hold together.
How long write transactions last is measured inside the command, from the lock to the end of the commit: for so long
no other can begin on SQLite. PostgreSQL 15 is started for it, with its default care for the disk and statistics.
"""

import argparse
import http.client
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))

from bench_cli import ENVIRONMENT, OKF, Memory, queries, write_corpus
from bench_log import DURABLE
from figure import Figure, report
from sqlalchemy import create_engine, text

from omnikeywords.catalog.migrate import migrate
from omnikeywords.db import connect
from omnikeywords.finder import Finder
from omnikeywords.settings import Settings
from tests.servers.ports import free_port
from tests.servers.postgres import postgres

PAUSE = 0.25  # seconds between small imports
CLIENTS = 16
ACCEPTING = 10.0  # seconds

# `okf`, which writes to the file that its first argument names how long it held the turn to write, at most.
TIMED = """
import sys, threading, time
from contextlib import contextmanager
from omnikeywords import db
longest, write, checkpoint = 0.0, db.Database.write, db.Database._checkpoint
turn = threading.local()
def ended(self, *args, **kwargs):
    note()
    checkpoint(self, *args, **kwargs)
def note():
    global longest
    if turn.begun is not None:
        longest = max(longest, time.perf_counter() - turn.begun)
    turn.begun = None
@contextmanager
def timed(self, *args, **kwargs):
    turn.begun = None
    try:
        with write(self, *args, **kwargs) as connection:
            turn.begun = time.perf_counter()
            yield connection
    finally:
        note()
db.Database.write, db.Database._checkpoint = timed, ended
from omnikeywords.cli import run
path = sys.argv.pop(1)
code = run(sys.argv[1:])
with open(path, "w") as file:
    file.write(str(longest))
sys.exit(code)
"""


class Watch(threading.Thread):
    """Notes when every keyword of a project is there, as SQL tells it."""

    def __init__(self, url: str) -> None:
        super().__init__(daemon=True)
        self.url = url
        self.done = threading.Event()
        self.at = 0.0  # when the number of keywords grew last
        self.found = 0

    def run(self) -> None:
        engine = create_engine(self.url.replace("postgresql:", "postgresql+psycopg:"))
        # A count of all of them would take from what is measured.
        counted = text("SELECT set_config('okf.project', '*', false)") if "postgresql" in self.url else text("SELECT 1")
        reached = text("SELECT sum(position) FROM followers")
        while not self.done.wait(0.1):
            with engine.connect() as connection:
                found = connection.execute(reached).scalar() or 0
                if found != self.found:
                    self.found, self.at = found, time.perf_counter()
        with engine.connect() as connection:
            connection.execute(counted)
            which = "SELECT count(*) FROM keywords WHERE project = 'bench'"
            self.keywords = int(connection.execute(text(which)).scalar() or 0)
        engine.dispose()


class SmallImports(threading.Thread):
    """Accepts ten rows at a time, and notes how long each takes."""

    def __init__(self, url: str) -> None:
        super().__init__(daemon=True)
        self.finder = Finder(Settings.load({**ENVIRONMENT, "OKF_DATABASE_URL": url}))
        self.done = threading.Event()
        self.seconds: list[float] = []

    def run(self) -> None:
        while not self.done.wait(PAUSE):
            begun = time.perf_counter()
            self.finder.imports.start(ten_rows("small", len(self.seconds)), name="ten.csv", project="small")
            self.seconds.append(time.perf_counter() - begun)
        self.finder.close()


def ten_rows(who: str, number: int) -> bytes:
    """A list that nobody gave before."""
    return ("keyword,volume\n" + "\n".join(f"{who} shoes {number} {i},{i}" for i in range(10))).encode()


def p95(seconds: list[float]) -> float:
    return statistics.quantiles(seconds, n=20)[-1] if len(seconds) > 1 else sum(seconds)


def measure(name: str, url: str, corpus: Path, rows: int, most: float) -> Iterator[Figure]:
    """One import into an empty database, and a rebuild of it."""
    # Starting up is no small part of a small import.
    bounds = (most * rows / 1e6, 30 * rows / 1e6) if rows >= 1_000_000 else (None, None)
    environment = {**ENVIRONMENT, "OKF_DATABASE_URL": url}
    longest = corpus.parent / "longest"
    watch, small = Watch(url), SmallImports(url)
    watch.start()
    small.start()
    begun = time.perf_counter()
    command = [sys.executable, "-c", TIMED, str(longest), "import", str(corpus), "--project", "bench", "-q"]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    memory = Memory(process.pid)
    memory.start()
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = code = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - begun
    for helper in (memory, small, watch):
        helper.done.set()
        helper.join()
    if code:
        raise SystemExit(f"okf import failed with exit code {code}")
    title = f"{name}: okf import of {rows:,} rows CSV"
    yield Figure(f"{title}, every keyword queryable", watch.at - begun, at_most=bounds[0], unit="s")
    yield Figure(f"{title}, near-duplicates too", seconds, unit="s", note=f"{watch.keywords:,} keywords")
    processor = used.ru_utime + used.ru_stime
    yield Figure(f"{title}: processor time", processor, unit="s", note="less moved by what else runs")
    yield Figure(f"{title}: memory of all processes", memory.most / 1e9, at_most=1.0, unit="GB")
    note = f"of {len(small.seconds)}, at most {max(small.seconds) * 1000:.0f} ms"
    yield Figure(f"{name}: ten rows accepted meanwhile, p95", p95(small.seconds) * 1000, None, 300, "ms", note)
    bound = 100 if name == "SQLite" else None
    yield Figure(f"{name}: longest turn to write", float(longest.read_text()) * 1000, at_most=bound, unit="ms")
    begun = time.perf_counter()
    subprocess.run([*OKF, "rebuild"], env=environment, check=True, stderr=subprocess.DEVNULL)
    took = time.perf_counter() - begun
    yield Figure(f"{name}: okf rebuild of {watch.keywords:,} keywords", took, at_most=bounds[1], unit="s")


@contextmanager
def served(environment: Mapping[str, str]) -> Iterator[int]:
    """`okf serve`, ready; its port."""
    port = free_port()
    process = subprocess.Popen([*OKF, "serve", "--port", str(port)], env=environment, stderr=subprocess.DEVNULL)
    try:
        until = time.monotonic() + 60
        while True:
            try:
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
                connection.request("GET", "/ready")
                if connection.getresponse().status == 200:
                    break
            except OSError:
                pass
            if time.monotonic() > until:
                raise SystemExit("okf serve was not ready within a minute")
            time.sleep(0.1)
        yield port
    finally:
        process.terminate()
        process.wait(60)


def accept(url: str) -> Iterator[Figure]:
    """Small imports posted by many clients at once."""
    environment = {**ENVIRONMENT, "OKF_DATABASE_URL": url, "OKF_LOG_LEVEL": "error"}
    with served(environment) as port:
        until = time.perf_counter() + ACCEPTING

        def client(number: int) -> list[float]:
            taken = []
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
            path = f"/api/v1/imports?project=p{number}"
            while (begun := time.perf_counter()) < until:
                body = json.dumps({"keywords": [f"shoes {number} {len(taken)} {i}" for i in range(10)]})
                connection.request("POST", path, body, {"content-type": "application/json"})
                answer = connection.getresponse()
                said = answer.read()
                if answer.status != 202:
                    raise SystemExit(f"POST {path} answered {answer.status}: {said.decode()[:300]}")
                taken.append(time.perf_counter() - begun)
            return taken

        with ThreadPoolExecutor(CLIENTS) as clients:
            taken = [seconds for each in clients.map(client, range(CLIENTS)) for seconds in each]
    note = f"p95 {p95(taken) * 1000:.0f} ms; the processor imports them meanwhile"
    title = f"PostgreSQL 15: imports of ten rows accepted over HTTP, {CLIENTS} clients"
    yield Figure(title, len(taken) / ACCEPTING, at_least=300, unit="/s", note=note)


def main() -> int:
    parser = argparse.ArgumentParser(description="Speed and memory of okf import.")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--data", type=Path, default=os.environ.get("OKF_EVAL_DATA"))
    parser.add_argument("--only", choices=["sqlite", "postgresql", "accept"])
    arguments = parser.parse_args()
    subprocess.run([*OKF, "warm"], check=True, env=ENVIRONMENT)
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory() as folder:
        corpus = Path(folder) / "corpus.csv"
        if arguments.only != "accept":
            write_corpus(corpus, queries(Path(arguments.data) if arguments.data else None, arguments.rows))
        if arguments.only in (None, "sqlite"):
            url = f"sqlite:///{folder}/catalogue.sqlite3"
            migrate(connect(url))
            figures += measure("SQLite", url, corpus, arguments.rows, 45)
        if arguments.only in (None, "postgresql", "accept"):
            with postgres(15, {**DURABLE, "autovacuum": "on"}) as server:
                for what in ("import", "accept"):
                    owner = connect(server.url(server.new_database(what)))
                    migrate(owner, app_role="okf_app")
                    owner.close()
                if arguments.only != "accept":
                    figures += measure("PostgreSQL 15", server.app_url("import"), corpus, arguments.rows, 60)
                if arguments.only != "postgresql":
                    figures += accept(server.app_url("accept"))
    return 0 if report("import", figures) else 1


if __name__ == "__main__":
    sys.exit(main())
