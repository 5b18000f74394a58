"""What callers ask: the guide's mix, and searches of which no two are alike.

Keywords are the rows of the evaluation data that are no near-duplicates of others. Queries are what a person would type
to find some of them: one to three words that stand side by side in one of them.
"""

import gzip
import json
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

import numpy as np
from load import Requests, get, post
from numpy.typing import NDArray

__all__ = ["ANALYZE", "HEALTH", "KINDS", "SEARCH", "analyze", "keywords", "mix", "queries", "search", "zipf"]

ANALYZE, SEARCH, HEALTH = range(3)
KINDS = {"analyze": ANALYZE, "search": SEARCH, "health": HEALTH}
SHARES = (3, 2, 1)  # of the guide's Locust user, in that order
POPULAR = 100_000  # queries, and keywords of analyze, that the mix draws from

_OPS = {"real", "prefix", "suffix"}


def keywords(data: Path, most: int | None = None) -> list[str]:
    """The first keywords of the evaluation data, of all that are real, or are longer than a real one by a word."""
    with gzip.open(data / "queries" / "derived_1_17M_keywords.tsv.gz", "rt", encoding="utf-8") as lines:
        next(lines)
        rows = (line.rstrip("\n").split("\t") for line in lines)
        found = [row[0] for row in rows if row[2] in _OPS]
    return found if most is None else found[:most]


def queries(of: Sequence[str], seed: int, words: Sequence[int] = (1, 2, 3)) -> list[str]:
    """Every distinct run of so many words within one keyword, shuffled."""
    found: set[str] = set()
    for keyword in of:
        parts = keyword.split()
        for count in words:
            for start in range(len(parts) - count + 1):
                run = parts[start : start + count]
                if all(map(str.isalnum, run)):  # no operators of anybody's query language
                    found.add(" ".join(run))
    listed = np.array(sorted(found), dtype=object)
    np.random.default_rng(seed).shuffle(listed)
    return list(listed)


def search(query: str) -> bytes:
    """The call that finds it."""
    return get(f"/api/v1/search?q={quote(query)}")


def analyze(phrases: Sequence[str], key: str | None = None) -> bytes:
    """The call that analyses them, of a caller with that API key."""
    body = {"keywords": list(phrases), "analysis_type": "comprehensive"}
    return post("/api/v1/analyze", json.dumps(body).encode(), key)


def zipf(number: int, of: int, dice: np.random.Generator) -> NDArray[np.int64]:
    """Ranks, of which the n-th is drawn 1/n as often as the first."""
    share = np.cumsum(1 / np.arange(1, of + 1))
    return np.searchsorted(share, dice.random(number) * share[-1], side="right")


def mix(number: int, phrases: Sequence[str], asked: Sequence[str], seed: int) -> Requests:
    """The guide's mix: 3 analyze of 2 keywords to 2 searches to 1 health, at random.

    Every query and every keyword is drawn for itself, by Zipf's law, from the first `POPULAR` of those given.
    """
    dice = np.random.default_rng(seed)
    phrases, asked = phrases[:POPULAR], asked[:POPULAR]
    kinds = dice.choice(len(SHARES), number, p=np.array(SHARES) / sum(SHARES))
    pairs = zipf(2 * int(np.count_nonzero(kinds == ANALYZE)), len(phrases), dice).reshape(-1, 2).tolist()
    bodies = [analyze((phrases[first], phrases[second])) for first, second in pairs]
    order = np.zeros(number, dtype=np.int64)
    order[kinds == ANALYZE] = np.arange(len(bodies))
    searches = zipf(int(np.count_nonzero(kinds == SEARCH)), len(asked), dice)
    order[kinds == SEARCH] = len(bodies) + searches
    order[kinds == HEALTH] = len(bodies) + len(asked)
    texts = [*bodies, *map(search, asked), get("/health")]
    return Requests(texts, [ANALYZE] * len(bodies) + [SEARCH] * len(asked) + [HEALTH], order)
