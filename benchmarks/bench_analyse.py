"""Speed of `analyse`: keywords a second on one core, a call of two keywords, linearity up to ten million.

    python benchmarks/bench_analyse.py [--data DIR] [--ten-million]

Phrases are real queries where DIR has them, else made from the shipped sample.
"""

import argparse
import gzip
import os
import random
import statistics
import sys
import time
import timeit
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from figure import Figure, report

from omnikeywords.analysis import Options, analyse, load_models

BATCH = 10_000


def phrases(data: Path | None, count: int) -> list[str]:
    """`count` distinct-looking phrases: the million-keyword corpus where there is one, else seeded combinations."""
    path = data / "queries" / "derived_1_17M_keywords.tsv.gz" if data else None
    if path is not None and path.exists():
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            next(lines)
            found = [line.split("\t", 1)[0] for line in lines]
    else:
        sample = Path(__file__).parents[1] / "src/omnikeywords/sample/Queries.csv"
        words = sorted(
            {w for line in sample.read_text(encoding="utf-8").splitlines()[1:] for w in line.split(",")[0].split()}
        )
        dice = random.Random(7)
        found = [" ".join(dice.choices(words, k=dice.randint(2, 5))) for _ in range(min(count, 1_000_000))]
    while len(found) < count:
        # Numbered copies: new phrases with mostly known words, as large lists are.
        found += [f"{phrase} {len(found) % 9973}" for phrase in found[: count - len(found)]]
    return found[:count]


def rate(batch: list[str], repeat: int) -> float:
    """Keywords a second over `batch` in calls of 10,000: the median of `repeat` passes."""
    rates = []
    for _ in range(repeat):
        begun = time.process_time()
        for start in range(0, len(batch), BATCH):
            analyse(batch[start : start + BATCH])
        rates.append(len(batch) / (time.process_time() - begun))
    return statistics.median(rates)


def main() -> int:
    parser = argparse.ArgumentParser(description="Speed of analyse.")
    parser.add_argument("--data", type=Path, default=os.environ.get("OKF_EVAL_DATA"))
    parser.add_argument("--ten-million", action="store_true", help="also time 10,000,000 keywords")
    arguments = parser.parse_args()
    load_models()
    large = phrases(
        Path(arguments.data) if arguments.data else None, 10_000_000 if arguments.ten_million else 1_000_000
    )
    sizes = [10_000, 100_000, 1_000_000] + ([10_000_000] if arguments.ten_million else [])
    rates = {size: rate(large[:size], 5 if size < 1_000_000 else 3 if size == 1_000_000 else 1) for size in sizes}
    pairs = [large[i : i + 2] for i in range(0, 20_000, 2)]
    comprehensive = Options()
    calls = iter(pairs * 50)
    two = statistics.median(timeit.repeat(lambda: analyse(next(calls), comprehensive), number=2000, repeat=9)) / 2000
    figures = [
        Figure(
            "1,000,000 keywords in batches of 10,000, one core", rates[1_000_000], at_least=200_000, unit="keywords/s"
        ),
        Figure("a call of 2 keywords", two * 1e6, at_most=100, unit="µs"),
        *(Figure(f"{size:,} keywords", value, unit="keywords/s") for size, value in rates.items()),
        Figure(
            f"rate at {sizes[-1]:,} to rate at {sizes[1]:,}",
            rates[sizes[-1]] / rates[sizes[1]],
            at_least=0.8,
            note="linear is 1",
        ),
    ]
    return 0 if report("analyse", figures) else 1


if __name__ == "__main__":
    sys.exit(main())
