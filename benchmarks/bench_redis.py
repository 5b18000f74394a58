"""Searches while Redis is in trouble: slow, away, emptied, a cluster that fails over; beside the same with Redis well.

    python benchmarks/bench_redis.py --data DIR [--runs 3] [--seconds 10] [--keywords 50000]

Requests come at random moments, far fewer than a service can answer, so what Redis holds up is what is seen: searches
of which no two are alike, the same few again and again, and, one in ten, searches with facets, which alone ask Redis.
Trouble begins when a fifth of the time is over and lasts to its end. Beside the load every kind of search is asked
whose answer is known, from a service without caches. A single server is reached by a proxy, which can be slow; a
cluster of six nodes loses a primary, and its replica takes over.

The 95th percentile of a plain search may be a quarter and 2 ms more than with Redis well: so far apart are two runs of
the same, and a search that waits for Redis waits 50 ms.
"""

import argparse
import asyncio
import http.client
import json
import statistics
import sys
import tempfile
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
import traffic
from bench_fresh import import_list
from figure import Figure, report
from load import Load, Requests, get, run
from serving import environment, fetch, free_port, samples, service

from tests.servers.redis import RedisServers, redis_cluster, redis_server, until

RATE = 200  # requests a second
CONNECTIONS = 32
DISTINCT, AGAIN, FACETS = range(3)
KINDS = {"no two alike": DISTINCT, "the same again": AGAIN, "with facets": FACETS}
SHARES = (0.45, 0.45, 0.1)
REPEATED = 20  # searches that come again and again
WARM = 3.0  # seconds before anything is measured
PAUSE = 0.02  # seconds between searches whose answers are known
DELAY = 2.0  # seconds, of a slow Redis
WIDER, LONGER = 1.25, 2.0  # times and milliseconds that the 95th percentile in trouble may be above that without


class Proxy:
    """A way to a Redis, in a thread; each byte comes `delay` seconds late."""

    def __init__(self, behind: int) -> None:
        self.port = free_port()
        self.delay = 0.0
        self._behind = behind
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        """Listen."""
        self._thread.start()
        self._ready.wait()

    def stop(self) -> None:
        """Listen no more, and leave whoever is connected."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _run(self) -> None:
        self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", self.port))
        self._ready.set()
        self._loop.run_forever()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there = await asyncio.open_connection("127.0.0.1", self._behind)
        except OSError:
            writer.close()
            return
        await asyncio.gather(self._pass(reader, there[1]), self._pass(there[0], writer))

    async def _pass(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        try:
            while data := await source.read(65_536):
                await asyncio.sleep(self.delay)
                target.write(data)
        except OSError:
            pass
        finally:
            target.close()


@dataclass(frozen=True, slots=True)
class Trouble:
    """What happens to Redis."""

    name: str
    begin: Callable[[], None]
    end: Callable[[], None]


@dataclass(slots=True)
class Asked:
    """What is asked next: no search of a kind that is to be new comes twice."""

    plain: Iterator[str]
    known: Iterator[tuple[str, str]]  # a path and its right answer
    seed: int = 0

    def requests(self, number: int, again: Sequence[bytes]) -> Requests:
        """So many, of all kinds at random."""
        self.seed += 1
        kinds = np.random.default_rng(self.seed).choice(len(SHARES), number, p=SHARES)
        texts, of = list(again), [AGAIN] * len(again)
        order = np.zeros(number, dtype=np.int64)
        for place, kind in enumerate(kinds.tolist()):
            if kind == AGAIN:
                order[place] = place % len(again)
                continue
            query = next(self.plain)
            order[place] = len(texts)
            texts.append(traffic.search(query) if kind == DISTINCT else get(faceted(query)))
            of.append(kind)
        return Requests(texts, of, order)


@dataclass(slots=True)
class Checks:
    """Answers beside those that are known."""

    right: int = 0
    wrong: int = 0
    done: threading.Event = field(default_factory=threading.Event)

    def ask(self, port: int, known: Iterator[tuple[str, str]]) -> None:
        while not self.done.wait(PAUSE):
            path, answer = next(known)
            try:
                same = fetch(port, path) == (200, answer)
            except (OSError, http.client.HTTPException):
                same = False
            self.right, self.wrong = self.right + same, self.wrong + (not same)


def faceted(query: str) -> str:
    return f"/api/v1/search?q={quote(query)}&facets=intent,language"


def measure(port: int, asked: Asked, again: Sequence[bytes], seconds: float, trouble: Trouble) -> tuple[Load, Checks]:
    """One run, in which Redis comes into trouble and out of it again."""
    checks = Checks()
    checker = threading.Thread(target=checks.ask, args=(port, asked.known))
    beginning = threading.Timer(seconds / 5, trouble.begin)
    requests = asked.requests(int(seconds * RATE * 1.5) + 100, again)
    checker.start()
    beginning.start()
    done = run(port, requests, connections=CONNECTIONS, seconds=seconds, rate=RATE)
    beginning.join()
    checks.done.set()
    checker.join()
    trouble.end()
    return done, checks


@contextmanager
def single() -> Iterator[tuple[str, list[Trouble]]]:
    """Where a single server is found, and what can happen to it."""
    with redis_server() as servers:
        (node,) = servers.nodes
        proxy = Proxy(node.port)
        proxy.start()
        flushing = threading.Event()

        def flush() -> None:
            def work() -> None:
                while not flushing.wait(0.2):
                    servers.flush()

            flushing.clear()
            threading.Thread(target=work, daemon=True).start()

        def slow(seconds: float) -> Callable[[], None]:
            return lambda: setattr(proxy, "delay", seconds)

        yield (
            f"redis://127.0.0.1:{proxy.port}",
            [
                Trouble("slow: 2 s each way", slow(DELAY), slow(0.0)),
                Trouble("away", node.kill, node.start),
                Trouble("emptied five times a second", flush, flushing.set),
            ],
        )
        proxy.stop()


@contextmanager
def cluster() -> Iterator[tuple[str, list[Trouble]]]:
    """Where a cluster is found, and what can happen to it."""
    with redis_cluster() as servers:
        lost = []

        def lose() -> None:
            lost.append(servers.primaries()[0])
            lost[-1].kill()

        def mend() -> None:
            lost[-1].start()
            until(lambda: whole(servers), 60)

        yield ",".join(servers.urls), [Trouble("a cluster that fails over", lose, mend)]


def whole(servers: RedisServers) -> bool:
    """Whether a cluster serves all slots, with a replica for whoever may be lost next."""
    return servers.healthy() and len(servers.primaries()) == 3


def known_answers(port: int, queries: Sequence[str]) -> list[tuple[str, str]]:
    """Searches of every kind and the answers of a service that keeps none."""
    found = []
    for at, query in enumerate(queries):
        path = faceted(query) if at % 2 else f"/api/v1/search?q={quote(query)}"
        path += "&fields=keyword,volume"  # and not what is still derived after an import
        status, answer = fetch(port, path)
        if status != 200:
            sys.exit(f"{path} answered {status} without a cache: {answer[:200]}")
        found.append((path, answer))
    return found


def figures(measured: Mapping[tuple[str, str], list[tuple[Load, Checks]]]) -> Iterator[Figure]:
    """Medians over the runs beside those of the same Redis while it was well; all that went wrong."""
    for (kept, name), runs in measured.items():
        title = f"{kept}, {name}"
        for kind, number in KINDS.items():
            middle = statistics.median(load.milliseconds(95, number) for load, _ in runs)
            well = statistics.median(load.milliseconds(95, number) for load, _ in measured[kept, "well"])
            most = None if name == "well" or number == FACETS else WIDER * well + LONGER
            note = f"99th: {statistics.median(load.milliseconds(99, number) for load, _ in runs):.3g} ms"
            yield Figure(f"{title}: {kind}, 95th percentile", middle, at_most=most, unit="ms", note=note)
        refused = sum(load.wrong() for load, _ in runs)
        asked = sum(len(load.kinds) for load, _ in runs)
        yield Figure(f"{title}: not answered by 200", refused, at_most=0, unit="requests", note=f"of {asked:,}")
        wrong = sum(checks.wrong for _, checks in runs)
        checked = sum(checks.right for _, checks in runs) + wrong
        yield Figure(f"{title}: answered wrongly", wrong, at_most=0, unit="requests", note=f"of {checked:,}")


def linked(port: int) -> bool:
    """Whether every worker has its link to Redis."""
    return sum(samples(fetch(port, "/metrics")[1], "okf_redis_up").values()) >= 1


def main() -> int:
    parser = argparse.ArgumentParser(description="Searches while Redis is in trouble.")
    parser.add_argument("--data", type=Path, required=True, help="the folder of the evaluation data")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=10, help="of each state in a run")
    parser.add_argument("--keywords", type=int, default=50_000)
    given = parser.parse_args()
    listed = traffic.keywords(given.data, given.keywords)
    queries = traffic.queries(listed, 3)
    again = [traffic.search(query) for query in queries[:REPEATED]]
    measured: dict[tuple[str, str], list[tuple[Load, Checks]]] = defaultdict(list)
    with tempfile.TemporaryDirectory(prefix="okf-bench-") as folder:
        environ = environment(Path(folder))
        with service(environ, "--workers", "1") as port:
            import_list(port, listed, "list")
            until(lambda: json.loads(fetch(port, f"/api/v1/search?q={quote(listed[-1])}")[1])["total"] > 0, 60)
        checked = int((given.runs * 6 * given.seconds + 2 * WARM) / PAUSE)
        with service({**environ, "OKF_CACHE_BYTES": "0"}, "--workers", "1", "--roles", "search") as port:
            known = known_answers(port, queries[-checked:])
        asked = Asked(iter(queries[REPEATED:-checked]), iter(known))
        for kept, redis in (("one server", single), ("cluster", cluster)):
            with ExitStack() as stack:
                url, troubles = stack.enter_context(redis())
                port = stack.enter_context(
                    service({**environ, "OKF_REDIS_URL": url}, "--workers", "1", "--roles", "search")
                )
                well = Trouble("well", lambda: None, lambda: None)
                measure(port, asked, again, WARM, well)
                for number in range(given.runs):
                    for trouble in (well, *troubles):
                        until(lambda: linked(port), 60)  # noqa: B023
                        measured[kept, trouble.name].append(measure(port, asked, again, given.seconds, trouble))
                    print(f"{kept}: run {number + 1} of {given.runs}", file=sys.stderr)
    conditions = [
        Figure("keywords", len(listed)),
        Figure("runs", given.runs),
        Figure("seconds of each", given.seconds),
        Figure("requests a second", RATE, note=f"on {CONNECTIONS} connections"),
    ]
    return 0 if report("redis", [*conditions, *figures(measured)], keep=given.runs >= 3) else 1


if __name__ == "__main__":
    sys.exit(main())
