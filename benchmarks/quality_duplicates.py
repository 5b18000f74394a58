"""Near-duplicates: recall on generated variants of real queries, size of groups, judged precision, hard
pairs.

    python benchmarks/quality_duplicates.py --data DIR

DIR/queries/derived_1_17M_keywords.tsv.gz has columns keyword, base, op; rows whose op begins with `dup-` are
variants of
their base, prefix and suffix rows are other keywords. Precision is read from results/duplicate_precision.tsv,
which was
judged by hand; `--sample FILE` draws such pairs anew (random, seeded) for judging.
"""

import argparse
import csv
import gzip
import os
import random
import sys
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from omnikeywords.analysis import analyse, load_models
from omnikeywords.analysis.duplicates import REASONS, Duplicates

CORPUS = "queries/derived_1_17M_keywords.tsv.gz"
HARD = Path(__file__).parent.parent / "tests" / "data" / "hard_pairs.tsv"
JUDGED = Path(__file__).parent / "results" / "duplicate_precision.tsv"
RECALL = {"dup-wordorder": 0.99, "dup-punct": 0.99, "dup-case": 0.99, "dup-plural": 0.97, "dup-typo": 0.82}
SAMPLED = 300
SEED = 20261124

Row = tuple[str, float, float]


def read_corpus(data: Path) -> tuple[list[str], list[str], list[str]]:
    """Keywords, their bases and how they were made."""
    with gzip.open(data / CORPUS, "rt", encoding="utf-8") as file:
        next(file)
        keywords, bases, ops = zip(*(line.rstrip("\n").split("\t") for line in file), strict=True)
    return list(keywords), list(bases), list(ops)


def group(keywords: list[str]) -> tuple[list[str], Duplicates, float]:
    """Normalized keywords, their near-duplicates, and the seconds that finding these took."""
    analysis = analyse(keywords)
    begin = time.perf_counter()
    found = analysis.with_near_duplicates().near_duplicates
    assert found is not None
    return analysis.normalized, found, time.perf_counter() - begin


def base_rows(keywords: list[str], bases: list[str]) -> NDArray[np.intp]:
    """The row of each row's base."""
    row = {keyword: i for i, keyword in reversed(list(enumerate(keywords)))}
    return np.fromiter((row[base] for base in bases), np.intp, len(bases))


def hard_pairs() -> list[tuple[str, str, str]]:
    """Pairs that must not merge: the two, and their language."""
    with HARD.open(encoding="utf-8", newline="") as file:
        return [(row["a"], row["b"], row["language"]) for row in csv.DictReader(file, delimiter="\t")]


def merged_hard_pairs() -> list[tuple[str, str, str]]:
    """The hard pairs that were merged, each pair looked at alone, with the reason."""
    merged = []
    for a, b, _ in hard_pairs():
        found = analyse([a, b]).with_near_duplicates().near_duplicates
        assert found is not None
        if found.head[0] == found.head[1]:
            merged.append((a, b, REASONS[int(found.reason.max())]))
    return merged


def run(data: Path) -> list[Row]:
    """Each figure with its bound: (name, value, at least), or at most where the name says so by `at most`."""
    load_models()
    keywords, bases, ops = read_corpus(data)
    _, found, seconds = group(keywords)
    of_base = base_rows(keywords, bases)
    kind = np.array(ops)
    together = found.head == found.head[of_base]
    rows: list[Row] = [(f"recall {op}", float(together[kind == op].mean()), bound) for op, bound in RECALL.items()]
    other = np.char.startswith(kind, "prefix") | np.char.startswith(kind, "suffix")
    rows.append(("prefix and suffix rows apart from their base", float(1 - together[other].mean()), 1.0))
    rows.append(("groups of at most 150", float(np.bincount(found.head).max() <= 150), 1.0))
    if JUDGED.exists():
        with JUDGED.open(encoding="utf-8", newline="") as file:
            verdicts = [row["verdict"] for row in csv.DictReader(file, delimiter="\t")]
        rows.append((f"precision of {len(verdicts)} judged pairs", verdicts.count("right") / len(verdicts), 0.98))
    hard = hard_pairs()
    rows.append((f"hard pairs apart, of {len(hard)}", 1 - len(merged_hard_pairs()) / len(hard), 1.0))
    rows.append((f"keywords a second, {len(keywords):,} in one run", len(keywords) / seconds, 145_000))
    return rows


def sample(data: Path, target: Path) -> None:
    """Draw pairs of member and head at random for judging; a phrase that is there twice is no pair."""
    keywords, _, _ = read_corpus(data)
    normalized, found, _ = group(keywords)
    pairs = sorted(
        {
            (normalized[i], normalized[head], REASONS[int(found.reason[i])])
            for i, head in enumerate(found.head.tolist())
            if normalized[i] != normalized[head]
        }
    )
    with target.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter="\t", lineterminator="\n")
        writer.writerow(["member", "head", "reason"])
        writer.writerows(random.Random(SEED).sample(pairs, SAMPLED))


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure near-duplicates against their bounds.")
    parser.add_argument(
        "--data",
        type=Path,
        default=os.environ.get("OKF_EVAL_DATA"),
        required="OKF_EVAL_DATA" not in os.environ,
    )
    parser.add_argument("--sample", type=Path, help="write pairs to judge here instead")
    arguments = parser.parse_args()
    if arguments.sample:
        sample(Path(arguments.data), arguments.sample)
        return 0
    missed = False
    for name, value, bound in run(Path(arguments.data)):
        missed |= value < bound
        print(f"{'ok  ' if value >= bound else 'MISS'} {name:<50} {value:>12,.4f}  ≥ {bound:,g}")
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
