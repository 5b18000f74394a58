"""Speed of the API under load: POST /api/v1/analyze with 2 keywords, no two bodies alike, 64 connections.

    python benchmarks/bench_serve.py [--seconds 10] [--workers 2] [--connections 64]

Starts `okf serve` on a free port of this machine and loads it with load.py, which takes its share of the same cores.
Prints and keeps the rate, latencies, CPU time of a request and time to readiness.
"""

import argparse
import csv
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import load
from figure import Figure, report
from load import Load, Requests
from serving import await_answer, end, fetch, free_port, okf, samples
from traffic import analyze

SAMPLE = Path(__file__).parents[1] / "src" / "omnikeywords" / "sample" / "Queries.csv"
MOST = 40_000  # calls of 2 keywords a second that are prepared for; more than can be answered


def words_of_sample() -> list[str]:
    with SAMPLE.open(encoding="utf-8", newline="") as file:
        phrases = [row[0] for row in list(csv.reader(file))[1:]]
    return sorted({word for phrase in phrases for word in phrase.split() if word.isalpha()})


def calls(number: int, keywords: int, seed: int, last: str = "{:d}", key: str | None = None) -> Requests:
    """Each phrase is of three words of the sample and a number that never comes again, or a word that never does."""
    words, dice = words_of_sample(), random.Random(seed)
    phrases = (" ".join([*dice.choices(words, k=3), last.format(n)]) for n in range(number * keywords))
    bodies = [analyze([next(phrases) for _ in range(keywords)], key) for _ in range(number)]
    return Requests.distinct(bodies)


@contextmanager
def service(workers: int, environ: Mapping[str, str]) -> Iterator[tuple[int, float]]:
    """A running service: its port, and the seconds from its start to readiness."""
    port = free_port()
    command = okf("serve", "--port", str(port), "--workers", str(workers))
    begun = time.perf_counter()
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, env={**environ, "OKF_DRAIN_DELAY_MS": "0"})
    try:
        await_answer(port, "/ready", process, 180)
        yield port, time.perf_counter() - begun
    finally:
        end(process)


def cpu_seconds(port: int) -> float:
    """What the service says of itself: of all its processes, those that ended too."""
    return samples(fetch(port, "/metrics")[1], "process_cpu_seconds_total")[()]


def make_key(environ: Mapping[str, str]) -> str:
    """A new key that every worker knows: they ask for keys every two seconds."""
    command = okf("keys", "create", "--name", "bench")
    key = subprocess.run(command, check=True, capture_output=True, text=True, env=environ).stdout.strip()
    time.sleep(5)
    return key


def main() -> int:
    parser = argparse.ArgumentParser(description="Speed of the API under load.")
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--connections", type=int, default=64)
    arguments = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="okf-bench-") as folder,
        service(
            arguments.workers,
            environ := {**os.environ, "OKF_DATABASE_URL": f"sqlite:///{folder}/catalogue.sqlite3"},
        ) as (port, ready),
    ):
        seconds, connections = arguments.seconds, arguments.connections

        def loaded(requests: Requests, connections: int = connections, seconds: int = seconds) -> tuple[Load, float]:
            """What came of it, and the CPU of the service for one request in microseconds."""
            cpu = cpu_seconds(port)
            done = load.run(port, requests, connections=connections, seconds=seconds)
            return done, (cpu_seconds(port) - cpu) / max(done.count(), 1) * 1e6

        number = seconds * MOST
        # The words are learned, the frequency of the cores is up.
        loaded(calls(3 * MOST, 2, seed=1), seconds=3)
        two, two_cpu = loaded(calls(number, 2, seed=2))
        new, _ = loaded(calls(number, 2, seed=4, last="zyx{:x}"))
        many, _ = loaded(calls(seconds * MOST // 80, 1000, seed=3), connections=4)
        keyed, keyed_cpu = loaded(calls(number, 2, seed=5, key=make_key(environ)))
    figures = [
        Figure("2 keywords a call", two.rate(), at_least=8000, unit="requests/s"),
        Figure("2 keywords a call, 50th percentile", two.milliseconds(50), unit="ms"),
        Figure("2 keywords a call, 99th percentile", two.milliseconds(99), at_most=40, unit="ms"),
        Figure("2 keywords a call, CPU time of the service", two_cpu, unit="µs/request"),
        Figure("2 keywords a call, CPU time of the generator", two.generator_cores * 100, unit="% of a core"),
        Figure("2 keywords a call, with an API key", keyed.rate(), at_least=8000, unit="requests/s"),
        Figure("2 keywords a call, with an API key, CPU time of the service", keyed_cpu, unit="µs/request"),
        Figure("2 keywords a call, each with a word never seen before", new.rate(), unit="requests/s"),
        Figure("calls that failed", sum(run.wrong() for run in (two, new, many, keyed)), at_most=0),
        Figure("1,000 keywords a call, 4 connections", many.rate() * 1000, unit="keywords/s"),
        Figure("1,000 keywords a call, 99th percentile", many.milliseconds(99), unit="ms"),
        Figure("start to ready", ready, at_most=3, unit="s"),
    ]
    return 0 if report("serve", figures) else 1


if __name__ == "__main__":
    sys.exit(main())
