"""Serving under the guide's own mix of calls, ours and the guide's own stack, with a million keywords.

    python benchmarks/bench_mix.py --data DIR [--runs 5] [--seconds 60] [--keywords N] [--only ours|baseline]

Each stack is started and filled, then measured `--runs` times from cold caches; figures are medians. The generator
(load.py) takes its share of the same cores; the share is stated. A run is:

- the mix from cold caches, for half of `--seconds`; then the same, measured
- searches of which no two are alike: one word, as the guide's clients ask; one to three words; whole keywords
- one search, one analyze of 2 keywords and one of 500, again and again
- ours alone: the mix through HAProxy on the same cores; the mix in an open loop at 50, 70 and 90 % of the rate that the
  closed loop reached
"""

import argparse
import json
import signal
import statistics
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

sys.path.insert(0, str(Path(__file__).parent))

import serving
import traffic
from baseline.stack import Baseline
from figure import Figure, report
from load import Load, Requests, run
from stacks import Ours, Stack, started

CONNECTIONS = 64
OPEN_CONNECTIONS = 256
MOST = 40_000  # requests a second that are prepared for: more than any service here can answer
KNEE = (50, 70, 90)  # per cent
LARGE = 500  # keywords of the large analyze call

# What ours is to reach, and how often what the guide's stack does.
AT_LEAST = {"mix": 14_000, "mix, through HAProxy": 8_000, "search, 1 to 3 words, all distinct": 4_500}
AT_MOST = {
    "mix: 95th percentile": 15,
    "mix: 99th percentile": 40,
    "search, 1 to 3 words, all distinct: 95th percentile": 30,
}
RATIOS = {
    "search, 1 word, all distinct": None,
    "search, 1 to 3 words, all distinct": 80,
    "search, whole keywords, all distinct": None,
    "mix": 25,
    "search, the same again": None,
    "analyze, the same 2 keywords again": None,
    f"analyze, the same {LARGE} keywords again": None,
}


@dataclass(frozen=True, slots=True)
class Corpus:
    """What a stack holds, and what it is asked."""

    keywords: Sequence[str]
    words: Sequence[str]  # queries of one word
    queries: Sequence[str]  # of one to three


@dataclass(slots=True)
class Measured:
    """The values of each figure of one stack, one a run."""

    values: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    units: dict[str, str] = field(default_factory=dict)

    def add(self, name: str, value: float, unit: str = "") -> None:
        self.values[name].append(value)
        self.units[name] = unit

    def median(self, name: str) -> float:
        return statistics.median(self.values[name])


def measure(stack: Stack, corpus: Corpus, seconds: float, seed: int, into: Measured) -> None:
    """One run from cold caches."""
    short = seconds / 6
    popular = min(traffic.POPULAR, len(corpus.queries) // 2)  # the rest was never asked before

    def loaded(name: str, requests: Requests, span: float, connections: int = CONNECTIONS) -> Load:
        cpu, asked = stack.cpu_seconds(), stack.lookups()
        done = run(stack.port, requests, connections=connections, seconds=span)
        note(into, name, done)
        into.add(f"{name}: CPU of the service", (stack.cpu_seconds() - cpu) / max(done.count(), 1) * 1e6, "µs/request")
        for cache, share in hit_rates(asked, stack.lookups(), least=done.count() / 50).items():
            into.add(f"{name}: found in {cache}", share * 100, "%")
        return done

    def mixed(span: float, part: int) -> Requests:
        return traffic.mix(int(span * MOST), corpus.keywords, corpus.queries[:popular], seed=100 * seed + part)

    loaded("mix, from cold", mixed(seconds / 2, 0), seconds / 2)
    knee = loaded("mix", mixed(seconds, 1), seconds).rate()
    if isinstance(stack, Ours):
        for per_cent in KNEE:
            rate = knee * per_cent / 100
            done = run(
                stack.port,
                mixed(seconds / 4, per_cent),
                connections=OPEN_CONNECTIONS,
                seconds=seconds / 4,
                rate=rate,
            )
            note(into, f"mix, open loop at {per_cent} % of the knee", done)
        with serving.proxied(stack.port) as (port, _):
            run(port, mixed(1, 2), connections=CONNECTIONS, seconds=1)
            note(into, "mix, through HAProxy", run(port, mixed(short, 3), connections=CONNECTIONS, seconds=short))
    for name, asked in (
        ("search, 1 word, all distinct", corpus.words),
        ("search, 1 to 3 words, all distinct", corpus.queries[popular:]),
        ("search, whole keywords, all distinct", corpus.keywords[::-1]),
    ):
        loaded(name, Requests.distinct([traffic.search(query) for query in asked[: int(short * MOST)]]), short)
    for name, text, connections in (
        ("search, the same again", traffic.search("python"), CONNECTIONS),
        ("analyze, the same 2 keywords again", traffic.analyze(["python", "docker"]), CONNECTIONS),
        (f"analyze, the same {LARGE} keywords again", traffic.analyze(corpus.keywords[:LARGE]), 4),
    ):
        loaded(name, Requests.repeated(text, int(short * MOST)), short, connections)


def check(stack: Stack, corpus: Corpus) -> None:
    """End the program where the service does not do its work: fast nonsense is not to be measured."""
    found = serving.fetch(stack.port, f"/api/v1/search?q={quote(corpus.keywords[0])}")
    analysed = serving.fetch(stack.port, "/api/v1/analyze", json.dumps({"keywords": corpus.keywords[:2]}).encode())
    if found[0] != 200 or not json.loads(found[1])["hits"]:
        sys.exit(f"{stack.name} does not find {corpus.keywords[0]!r}, which it holds: {found}")
    if analysed[0] != 200 or len(json.loads(analysed[1])["results"]) != 2:
        sys.exit(f"{stack.name} does not analyse {corpus.keywords[:2]}: {analysed}")


def note(into: Measured, name: str, done: Load) -> None:
    """What came of a run, as figures."""
    into.add(name, done.rate(), "requests/s")
    for percentile in (50, 95, 99):
        into.add(f"{name}: {percentile}th percentile", done.milliseconds(percentile), "ms")
    into.add(f"{name}: wrong", done.wrong(), "requests")
    into.add(f"{name}: CPU of the generator", done.generator_cores * 100, "% of a core")
    if name == "mix":
        for kind, number in traffic.KINDS.items():
            into.add(f"mix: {kind}, 95th percentile", done.milliseconds(95, number), "ms")


def hit_rates(
    before: Mapping[tuple[str, ...], float], after: Mapping[tuple[str, ...], float], least: float
) -> dict[str, float]:
    """Of what was asked in between of each cache, the part that it had; of those asked more than `least` times.

    Workers publish their counters a moment late, so a few look-ups belong to what was measured before.
    """
    asked: dict[str, float] = defaultdict(float)
    missed: dict[str, float] = defaultdict(float)
    for (cache, result), count in after.items():
        new = count - before.get((cache, result), 0.0)
        asked[cache] += new
        missed[cache] += new if result in ("miss", "error") else 0.0
    return {cache: 1 - missed[cache] / count for cache, count in asked.items() if count > least}


def figures(measured: Mapping[str, Measured], runs: int) -> list[Figure]:
    """All of them, medians with their spread, what went wrong as a sum; and the ratios between the stacks."""
    found: list[Figure] = []
    for stack, values in measured.items():
        for name, each in values.values.items():
            least, most = (AT_LEAST.get(name), AT_MOST.get(name)) if stack == Ours.name else (None, None)
            middle = statistics.median(each)
            if name.endswith(": wrong"):
                most, middle = 0, sum(each)
            spread = f"{min(each):.4g} to {max(each):.4g} in {runs} runs" if runs > 1 else ""
            found.append(Figure(f"{stack}: {name}", middle, least, most, values.units[name], spread))
    if len(measured) == 2:
        for name, least in RATIOS.items():
            ratio = measured[Ours.name].median(name) / max(measured[Baseline.name].median(name), 1e-9)
            found.append(Figure(f"ours to baseline: {name}", ratio, least, unit="times"))
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description="Serving under the guide's mix of calls, ours and its own stack.")
    parser.add_argument("--data", type=Path, required=True, help="the folder of the evaluation data")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=60, help="of the measured mix; the rest is in proportion")
    parser.add_argument("--keywords", type=int, help="only so many, and nothing is kept")
    parser.add_argument("--only", choices=("ours", "baseline"), help="one stack, and nothing is kept")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("bench_mix: ended by SIGTERM"))  # and so are all servers
    listed = traffic.keywords(given.data, given.keywords)
    corpus = Corpus(listed, traffic.queries(listed, 1, words=(1,)), traffic.queries(listed, 2))
    measured: dict[str, Measured] = {}
    for stack in (Baseline(), Ours()):
        if given.only in (None, stack.name):
            measured[stack.name] = Measured()
            with started(stack):
                stack.load(corpus.keywords)
                check(stack, corpus)
                for number in range(given.runs):
                    stack.restart()
                    measure(stack, corpus, given.seconds, number, measured[stack.name])
                    print(f"{stack.name}: run {number + 1} of {given.runs}", file=sys.stderr)
    conditions = [
        Figure("keywords in each stack", len(listed)),
        Figure("runs", given.runs),
        Figure("seconds of the measured mix", given.seconds),
    ]
    whole = given.keywords is None and given.only is None
    return 0 if report("mix", [*conditions, *figures(measured, given.runs)], keep=whole) else 1


if __name__ == "__main__":
    sys.exit(main())
