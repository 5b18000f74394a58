"""Speed of search inside the process, and of building its index.

    python benchmarks/bench_search.py --data DIR [--copies 1]

DIR/queries holds the keywords. Each search is of another query, so nothing is answered twice. `--copies 10` is ten
million keywords. The machine's other work counts: run it alone.
"""

import argparse
import os
import random
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from figure import Figure, report
from search_corpus import PROJECT, Built, build, keyword_rows, read_corpus

from omnikeywords.analysis import Options
from omnikeywords.search import Request, find, suggest, to_objects, to_recorded

_QUERIES = 2000
_ROUNDS = 3
_FIELDS = ("keyword", "volume")
_MILLION = 1_000_000


def measure(work: Callable[[str], object], queries: Sequence[str]) -> tuple[float, float, float]:
    """Mean, 95th and 99th of a hundred, in microseconds; of the median round."""
    rounds = []
    for _ in range(_ROUNDS):
        times = []
        for query in queries:
            begun = time.perf_counter_ns()
            work(query)
            times.append((time.perf_counter_ns() - begun) / 1000)
        times.sort()
        rounds.append((statistics.fmean(times), times[int(0.95 * len(times))], times[int(0.99 * len(times))]))
    return sorted(rounds)[_ROUNDS // 2]


def queries_of(phrases: Sequence[str]) -> tuple[list[str], list[str], list[str]]:
    """Keywords of the set, which are what people asked; some first words of each, of which the first alone is often in
    tens of thousands; and the keywords with a typing error.
    """
    dice = random.Random(5)
    chosen = dice.sample(phrases, _QUERIES)
    begun = [" ".join(words[: dice.randint(1, max(1, len(words)))]) for words in map(str.split, chosen)]
    wrong = []
    for phrase in chosen:
        letters = [at for at, letter in enumerate(phrase) if letter.isalpha()]
        at = dice.choice(letters or [0])
        wrong.append(phrase[:at] + phrase[at + 1 :])
    return chosen, begun, wrong


def figures_of(built: Built, phrases: Sequence[str]) -> Iterator[Figure]:
    view = built.view
    asked, begun, wrong = queries_of(phrases)
    big = built.keywords > 2 * _MILLION
    facets = ("intent", "language", "question")
    filters = {"intent": "informational|commercial", "min_volume": "10"}

    def plainly(query: str) -> object:
        return to_recorded(find(view, Request(PROJECT, query)).records, _FIELDS, None)

    def wholly(query: str) -> object:
        return to_objects(find(view, Request(PROJECT, query)).records, Options())

    mean, p95, p99 = measure(plainly, asked)
    yield Figure("top 10 with texts, mean", mean, None, None if big else 150, "µs")
    yield Figure("top 10 with texts, 95 %", p95, None, None, "µs")
    yield Figure("top 10 with texts, 99 %", p99, None, None if big else 1000, "µs")
    yield Figure("top 10 as whole keyword objects, mean", measure(wholly, asked)[0], None, None, "µs")
    mean, _, p99 = measure(plainly, begun)
    yield Figure("top 10 of first words, mean", mean, None, None, "µs")
    yield Figure("top 10 of first words, 99 %", p99, None, None, "µs")

    def filtered(query: str) -> object:
        return find(view, Request(PROJECT, query, filters, facets=facets))

    yield Figure("2 filters, 3 facets, 95 %", measure(filtered, asked[:500])[1] / 1000, None, None if big else 4, "ms")
    yield Figure("2 filters, 3 facets of first words, 95 %", measure(filtered, begun[:500])[1] / 1000, None, None, "ms")

    def everything(_: str) -> object:
        return find(view, Request(PROJECT, "", facets=facets))

    yield Figure(
        "everything, 3 facets, mean", measure(everything, asked[:10])[0] / 1000, None, None if big else 60, "ms"
    )
    typed = measure(plainly, wrong[:500])[1] / 1000
    yield Figure("with a typing error, 95 %", typed, None, None if big else 6, "ms")
    begins = [phrase[: 1 + number % 12] for number, phrase in enumerate(phrases[:: max(1, len(phrases) // 1000)])]

    def completed(text: str) -> object:
        return suggest(view, PROJECT, text, 10)

    mean, p95, _ = measure(completed, begins)
    yield Figure("suggest, mean", mean / 1000, None, None, "ms")
    yield Figure("suggest, 95 %", p95 / 1000, None, None if big else 1, "ms")


def main() -> int:
    parser = argparse.ArgumentParser(description="Speed of search.")
    parser.add_argument("--data", type=Path, default=os.environ.get("OKF_EVAL_DATA"), help="folder with queries/")
    parser.add_argument("--copies", type=int, default=1, help="of each keyword, told apart by a number")
    arguments = parser.parse_args()
    if arguments.data is None:
        parser.error("name the folder of the evaluation sets with --data or OKF_EVAL_DATA")
    corpus = read_corpus(arguments.data)
    rows = list(keyword_rows(corpus, arguments.copies))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with tempfile.TemporaryDirectory() as folder:
        built = build(Path(folder), rows)
        peak = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
        millions = built.keywords / _MILLION
        figures = [
            Figure("keywords", built.keywords),
            Figure("indexing a million, analysis excluded", built.seconds / millions, None, 12, "s"),
            Figure("memory of indexing, above what the rows take", peak, None, 1024, "MiB"),
            Figure("on disk", built.bytes / built.keywords, None, 120, "bytes/keyword"),
            Figure("segments", built.view.searcher.num_segments),
        ]
        phrases = [phrase for chunk in rows for phrase in chunk["normalized"].to_list()]
        del rows
        figures += figures_of(built, phrases)
    return 0 if report("search" if arguments.copies == 1 else f"search_{arguments.copies}m", figures) else 1


if __name__ == "__main__":
    sys.exit(main())
