"""Relevance of search: whether people find the keyword they mean, beside the text search of two databases.

    python benchmarks/quality_search.py --data DIR [--sample 2000] [--others 200]

DIR/queries holds a million keywords, and others that are near-duplicates of some of them: in another order, with other
punctuation or case, in the plural, with a typing error. Those are asked for, and the keyword they were made of must be
among the first three. It also holds Portuguese and Spanish keywords, which are asked for with accents and without.
PostgreSQL 15 is started for it; it and SQLite FTS5 search the same keywords, in the way their manuals show first.
"""

import argparse
import os
import re
import sqlite3
import sys
import tempfile
import time
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))

import polars as pl
import psycopg
from figure import Figure, report
from search_corpus import PROJECT, build, keyword_rows, read_corpus

from omnikeywords.analysis.normalise import normalise
from omnikeywords.search import Request, View, find
from tests.servers.postgres import postgres

_KINDS = {"dup-wordorder": 99, "dup-punct": 99, "dup-case": 99, "dup-plural": 97, "dup-typo": 95}
_FIRST = 3
_LIMIT = 10
_LONGEST = 100  # characters: the sets have whole paragraphs too

Search = Callable[[str], list[str]]  # a query to the first keywords, normalized


def shares(search: Search, queries: pl.DataFrame, name: str, *, bound: bool) -> Iterator[Figure]:
    """How many of a hundred find what they mean, by kind, and how long they take."""
    spent, asked = 0.0, 0
    for kind, least in _KINDS.items():
        found, rows = 0, queries.filter(pl.col("op") == kind)
        for query, base, _ in rows.iter_rows():
            begun = time.perf_counter()
            hits = search(query)
            spent, asked = spent + time.perf_counter() - begun, asked + 1
            found += normalise(base) in hits[:_FIRST]
        yield Figure(
            f"{name}: {kind.removeprefix('dup-')}", 100 * found / rows.height, least if bound else None, unit="%"
        )
    yield Figure(f"{name}: mean answer", 1000 * spent / asked, None, 5 if bound else None, "ms")


def ours(view: View) -> Search:
    def search(query: str) -> list[str]:
        return [normalise(record[0]) for record in find(view, Request(PROJECT, query, limit=_LIMIT)).records]

    return search


def with_fts5(path: Path, phrases: list[str]) -> Search:
    connection = sqlite3.connect(path)
    connection.execute("CREATE VIRTUAL TABLE k USING fts5(phrase, tokenize = 'porter unicode61 remove_diacritics 2')")
    connection.executemany("INSERT INTO k VALUES (?)", ((phrase,) for phrase in phrases))
    connection.commit()

    def search(query: str) -> list[str]:
        words = re.findall(r"\w+", query)
        match = " ".join(f'"{word}"' for word in words)
        if not words:
            return []
        found = connection.execute("SELECT phrase FROM k WHERE k MATCH ? ORDER BY rank LIMIT ?", (match, _LIMIT))
        return [phrase for (phrase,) in found]

    return search


def with_postgresql(connection: psycopg.Connection[tuple[str]], phrases: list[str]) -> Search:
    connection.execute("CREATE TABLE k (phrase text, words tsvector)")
    with connection.cursor() as cursor, cursor.copy("COPY k (phrase) FROM STDIN") as copy:
        for phrase in phrases:
            copy.write_row((phrase,))
    connection.execute("UPDATE k SET words = to_tsvector('english', phrase)")
    connection.execute("CREATE INDEX ON k USING gin (words)")
    connection.execute("ANALYZE k")
    asked = (
        "SELECT phrase FROM k, plainto_tsquery('english', %s) AS q WHERE words @@ q "
        "ORDER BY ts_rank(words, q) DESC LIMIT %s"
    )

    def search(query: str) -> list[str]:
        return [row[0] for row in connection.execute(asked, (query, _LIMIT))]

    return search


def accents(data: Path, folder: Path) -> Iterator[Figure]:
    """Whether keywords of two languages are found alike with accents and without."""
    for language, name in (("Portuguese", "pt"), ("Spanish", "es")):
        path = data / "queries" / f"{name}_keywords.tsv"
        lines = [line.split("\t")[0] for line in path.read_text(encoding="utf-8").splitlines()[1:]]
        rows = keyword_rows(pl.DataFrame({"keyword": lines, "op": "real"}))
        view = build(folder / name, list(rows)).view
        accented = [line for line in dict.fromkeys(lines) if not line.isascii() and len(line) <= _LONGEST]
        alike = 0
        for phrase in accented:
            plain = "".join(c for c in unicodedata.normalize("NFD", phrase) if not unicodedata.combining(c))
            one, other = (find(view, Request(PROJECT, text)) for text in (phrase, plain))
            alike += one.records == other.records != []
        note = f"{len(accented):,} keywords with accents"
        yield Figure(f"{language}, with accents as without", 100 * alike / len(accented), 100, unit="%", note=note)


def main() -> int:
    parser = argparse.ArgumentParser(description="Relevance of search.")
    parser.add_argument("--data", type=Path, default=os.environ.get("OKF_EVAL_DATA"), help="folder with queries/")
    parser.add_argument("--sample", type=int, default=2000, help="queries of each kind")
    parser.add_argument(
        "--others", type=int, default=200, help="queries of each kind for the databases; 0: leave them out"
    )
    arguments = parser.parse_args()
    if arguments.data is None:
        parser.error("name the folder of the evaluation sets with --data or OKF_EVAL_DATA")
    corpus = read_corpus(arguments.data)
    rows = list(keyword_rows(corpus))
    phrases = [phrase for chunk in rows for phrase in chunk["normalized"].to_list()]
    # What is itself one of the keywords finds that, as it should.
    there = pl.DataFrame({"keyword": phrases})
    asked = corpus.filter(pl.col("op").str.starts_with("dup-")).join(there, on="keyword", how="anti")
    by_kind = asked.partition_by("op")

    def sample(number: int) -> pl.DataFrame:
        return pl.concat([part.sample(min(number, part.height), seed=3) for part in by_kind])

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        view = build(folder / "index", rows).view
        del rows
        figures = list(shares(ours(view), sample(arguments.sample), "okf", bound=True))
        figures += accents(arguments.data, folder)
        if arguments.others:
            few = sample(arguments.others)
            figures += shares(with_fts5(folder / "k.sqlite3", phrases), few, "SQLite FTS5", bound=False)
            with postgres(15) as server:
                server.new_database("k")
                with psycopg.connect(server.admin_url("k"), autocommit=True) as connection:
                    search = with_postgresql(connection, phrases)
                    figures += shares(search, few, "PostgreSQL 15", bound=False)
    return 0 if report("quality_search", figures) else 1


if __name__ == "__main__":
    sys.exit(main())
