"""Speed of the API under load: POST /api/v1/analyze with 2 keywords, no two bodies alike, 64 connections.

    python benchmarks/bench_serve.py [--seconds 10] [--workers 2] [--connections 64]

Starts `okf serve` on a free port of this machine and loads it with wrk (apt install wrk), which takes its
share of the same cores. Prints and keeps the rate, latencies, CPU time of a request and time to readiness.
"""

import argparse
import csv
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from figure import Figure, report

SAMPLE = Path(__file__).parents[1] / "src" / "omnikeywords" / "sample" / "Queries.csv"

# Each phrase is of three words of the sample and a number that never comes again, or a word that never does.
LUA = """
local words = {%(words)s}
local count, n = #words, 0
local headers = {["Content-Type"] = "application/json", ["Authorization"] = %(authorization)s}
local random, format, concat = math.random, string.format, table.concat
function init() math.randomseed(%(seed)d) end
local function phrase()
  n = n + 1
  local last = format("%(last)s", n)
  return concat({words[random(count)], words[random(count)], words[random(count)], last}, " ")
end
function request()
  local keywords = {}
  for i = 1, %(keywords)d do keywords[i] = phrase() end
  local body = '{"keywords": ["' .. concat(keywords, '", "') .. '"], "analysis_type": "comprehensive"}'
  return wrk.format("POST", "/api/v1/analyze", headers, body)
end
"""


@dataclass(frozen=True, slots=True)
class Load:
    """What one run of wrk saw."""

    rate: float  # requests/s
    p50_ms: float
    p99_ms: float
    refused: int  # answers that were not 2xx or 3xx
    broken: int  # connections that failed, timed out
    cpu_us: float  # of the service, a request


def words_of_sample() -> list[str]:
    with SAMPLE.open(encoding="utf-8", newline="") as file:
        phrases = [row[0] for row in list(csv.reader(file))[1:]]
    return sorted({word for phrase in phrases for word in phrase.split() if word.isalpha()})


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def get(port: int, path: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


@contextmanager
def service(workers: int, environ: Mapping[str, str]) -> Iterator[tuple[int, float]]:
    """A running service: its port, and the seconds from its start to readiness."""
    port = free_port()
    command = [
        str(Path(sys.executable).with_name("okf")),
        "serve",
        "--port",
        str(port),
        "--workers",
        str(workers),
    ]
    begun = time.perf_counter()
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, env={**environ, "OKF_DRAIN_DELAY_MS": "0"})
    try:
        while True:
            if process.poll() is not None:
                sys.exit(f"bench_serve: `{' '.join(command)}` ended with {process.returncode}: run it to see why")
            try:
                if get(port, "/ready")[0] == 200:
                    break
            except OSError:
                pass
            time.sleep(0.01)
        yield port, time.perf_counter() - begun
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def cpu_seconds(port: int) -> float:
    found = re.search(r"^process_cpu_seconds_total (\S+)$", get(port, "/metrics")[1], re.MULTILINE)
    return float(found[1]) if found else float("nan")


def make_key(environ: Mapping[str, str]) -> str:
    """A new key that every worker knows: they ask for keys every two seconds."""
    command = [str(Path(sys.executable).with_name("okf")), "keys", "create", "--name", "bench"]
    key = subprocess.run(command, check=True, capture_output=True, text=True, env=environ).stdout.strip()
    time.sleep(5)
    return key


def load(
    port: int, keywords: int, seconds: int, connections: int, seed: int, last: str = "%d", key: str | None = None
) -> Load:
    words = ", ".join(json.dumps(word, ensure_ascii=False) for word in words_of_sample())
    with tempfile.NamedTemporaryFile("w", suffix=".lua", encoding="utf-8") as script:
        script.write(
            LUA
            % {
                "words": words,
                "keywords": keywords,
                "seed": seed,
                "last": last,
                "authorization": json.dumps(f"Bearer {key}") if key else "nil",
            }
        )
        script.flush()
        before = cpu_seconds(port)
        said = subprocess.run(
            [
                *("wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "-s", script.name),
                f"http://127.0.0.1:{port}",
            ],
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        cpu = cpu_seconds(port) - before
    requests = int(_number(r"(\d+) requests in", said))
    errors = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", said)
    return Load(
        rate=_number(r"Requests/sec:\s+([\d.]+)", said),
        p50_ms=_milliseconds(r"50%\s+([\d.]+)(us|ms|s)", said),
        p99_ms=_milliseconds(r"99%\s+([\d.]+)(us|ms|s)", said),
        refused=int(_number(r"Non-2xx or 3xx responses: (\d+)", said)) if "Non-2xx" in said else 0,
        broken=sum(map(int, errors.groups())) if errors else 0,
        cpu_us=cpu / requests * 1e6,
    )


def _number(pattern: str, said: str) -> float:
    found = re.search(pattern, said)
    if found is None:
        sys.exit(f"bench_serve: wrk said something new:\n{said}")
    return float(found[1])


def _milliseconds(pattern: str, said: str) -> float:
    found = re.search(pattern, said)
    if found is None:
        sys.exit(f"bench_serve: wrk said something new:\n{said}")
    return float(found[1]) * {"us": 0.001, "ms": 1.0, "s": 1000.0}[found[2]]


def main() -> int:
    parser = argparse.ArgumentParser(description="Speed of the API under load.")
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--connections", type=int, default=64)
    arguments = parser.parse_args()
    if shutil.which("wrk") is None:
        sys.exit("bench_serve: wrk is missing: install it with `apt install wrk`")
    with (
        tempfile.TemporaryDirectory(prefix="okf-bench-") as folder,
        service(
            arguments.workers,
            environ := {**os.environ, "OKF_DATABASE_URL": f"sqlite:///{folder}/catalogue.sqlite3"},
        ) as (port, ready),
    ):
        load(port, 2, 3, arguments.connections, seed=1)  # the words are learned, the frequency of the cores is up
        two = load(port, 2, arguments.seconds, arguments.connections, seed=2)
        new = load(port, 2, arguments.seconds, arguments.connections, seed=4, last="zyx%x")
        many = load(port, 1000, arguments.seconds, 4, seed=3)
        keyed = load(port, 2, arguments.seconds, arguments.connections, seed=5, key=make_key(environ))
    figures = [
        Figure("2 keywords a call", two.rate, at_least=8000, unit="requests/s"),
        Figure("2 keywords a call, 50th percentile", two.p50_ms, unit="ms"),
        Figure("2 keywords a call, 99th percentile", two.p99_ms, at_most=40, unit="ms"),
        Figure("2 keywords a call, CPU time of the service", two.cpu_us, unit="µs/request"),
        Figure("2 keywords a call, with an API key", keyed.rate, at_least=8000, unit="requests/s"),
        Figure("2 keywords a call, with an API key, CPU time of the service", keyed.cpu_us, unit="µs/request"),
        Figure("2 keywords a call, each with a word never seen before", new.rate, unit="requests/s"),
        Figure("calls that failed", sum(run.refused + run.broken for run in (two, new, many, keyed)), at_most=0),
        Figure("1,000 keywords a call, 4 connections", many.rate * 1000, unit="keywords/s"),
        Figure("1,000 keywords a call, 99th percentile", many.p99_ms, unit="ms"),
        Figure("start to ready", ready, at_most=3, unit="s"),
    ]
    return 0 if report("serve", figures) else 1


if __name__ == "__main__":
    sys.exit(main())
