"""How long others wait while much goes away: a project of a million keywords, and an import of a million rows.

    python benchmarks/bench_erase.py [--rows 1000000] [--data DIR] [--only sqlite|postgresql]

Two projects are made from the rows of bench_cli.py. Of one its import is deleted, the other is deleted as a whole, by
one `okf` process each, which ends when the last fact is erased; small lists are accepted meanwhile as in
bench_import.py, and turns to write are measured as there.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))

from bench_cli import ENVIRONMENT, OKF, queries, write_corpus
from bench_import import TIMED, SmallImports, p95
from bench_log import DURABLE
from figure import Figure, report

from omnikeywords.catalog.imports import list_imports
from omnikeywords.catalog.migrate import migrate
from omnikeywords.db import connect
from tests.servers.postgres import postgres


def measure(name: str, url: str, corpus: Path, rows: int) -> Iterator[Figure]:
    """Both ways for much to go away, in a database that was empty."""
    environment = {**ENVIRONMENT, "OKF_DATABASE_URL": url}
    for project in ("one", "other"):
        subprocess.run([*OKF, "import", str(corpus), "--project", project, "-q"], env=environment, check=True)
    database = connect(url)
    (brought,) = list_imports(database, "one")
    database.close()
    ways = {
        f"deleting an import of {rows:,} rows": ["imports", "delete", brought.id, "--project", "one"],
        f"deleting {rows:,} keywords": ["projects", "delete", "other", "--yes"],
    }
    longest = corpus.parent / "longest"
    for what, command in ways.items():
        small = SmallImports(url)
        small.start()
        begun = time.perf_counter()
        subprocess.run(
            [sys.executable, "-c", TIMED, str(longest), *command],
            env=environment,
            check=True,
            stderr=subprocess.DEVNULL,
        )
        seconds = time.perf_counter() - begun
        small.done.set()
        small.join()
        bound = 100 if name == "SQLite" else None
        yield Figure(f"{name}: {what}: longest turn to write", float(longest.read_text()) * 1000, None, bound, "ms")
        note = f"of {len(small.seconds)}, at most {max(small.seconds) * 1000:.0f} ms"
        title = f"{name}: {what}: ten rows accepted meanwhile, p95"
        yield Figure(title, p95(small.seconds) * 1000, None, 300, "ms", note)
        yield Figure(f"{name}: {what}: until the last fact is erased", seconds, unit="s")


def main() -> int:
    parser = argparse.ArgumentParser(description="How long others wait while much goes away.")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--data", type=Path, default=os.environ.get("OKF_EVAL_DATA"))
    parser.add_argument("--only", choices=["sqlite", "postgresql"])
    arguments = parser.parse_args()
    subprocess.run([*OKF, "warm"], check=True, env=ENVIRONMENT)
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory() as folder:
        corpus = Path(folder) / "corpus.csv"
        write_corpus(corpus, queries(Path(arguments.data) if arguments.data else None, arguments.rows))
        if arguments.only in (None, "sqlite"):
            url = f"sqlite:///{folder}/catalogue.sqlite3"
            migrate(connect(url))
            figures += measure("SQLite", url, corpus, arguments.rows)
        if arguments.only in (None, "postgresql"):
            with postgres(15, {**DURABLE, "autovacuum": "on"}) as server:
                owner = connect(server.url(server.new_database("erase")))
                migrate(owner, app_role="okf_app")
                owner.close()
                figures += measure("PostgreSQL 15", server.app_url("erase"), corpus, arguments.rows)
    return 0 if report("erase", figures) else 1


if __name__ == "__main__":
    sys.exit(main())
