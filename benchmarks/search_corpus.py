"""An index of the keywords of DIR/queries/derived_1_17M, as the processor would build it, for the search benchmarks.

Keywords are those of the real, prefix and suffix rows; `dup-` rows are queries only. Their volumes are made up: a power
law over two thirds of them, from a hash of the keyword.
"""

import gzip
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import polars as pl

from omnikeywords.analysis import Options
from omnikeywords.catalog.derive import analysed, keywords_of
from omnikeywords.search.index import Index, ProjectSettings, View, Writer, publish

__all__ = ["PROJECT", "Built", "build", "keyword_rows", "read_corpus"]

PROJECT = "default"
_CHUNK = 10_000
_FILE = "queries/derived_1_17M_keywords.tsv.gz"


@dataclass(frozen=True, slots=True)
class Built:
    """An index, and what it took to build it."""

    view: View
    seconds: float  # from rows that are analysed to a commit and its merges
    keywords: int
    bytes: int  # on disk


def read_corpus(data: Path) -> pl.DataFrame:
    """Rows with keyword, base, op."""
    with gzip.open(data / _FILE, "rt", encoding="utf-8") as file:
        rows = [line.rstrip("\n").split("\t") for line in file][1:]
    return pl.DataFrame(rows, schema=["keyword", "base", "op"], orient="row")


def keyword_rows(corpus: pl.DataFrame, copies: int = 1) -> Iterator[pl.DataFrame]:
    """Rows of the table `keywords` for those that are no duplicates; further copies with a number behind each."""
    seen: set[str] = set()
    indexed = corpus.filter(~pl.col("op").str.starts_with("dup-"))["keyword"]
    now = datetime.now(UTC)
    for copy in range(copies):
        for chunk in indexed.to_frame().iter_slices(_CHUNK):
            if copy:
                chunk = chunk.select(pl.col("keyword") + f" {copy + 1}")
            dice = chunk["keyword"].hash(7)
            share = (dice % 100_000).cast(pl.Float64) / 100_000 + 1e-6
            volume = (5 * share**-1.2).cast(pl.Int64)
            chunk = chunk.with_columns(
                pl.when(dice % 3 != 0).then(volume).alias("volume"), pl.lit("plain").alias("source")
            )
            rows = keywords_of(chunk, analysed(chunk, Options())).filter(pl.col("id").is_not_null())
            rows = rows.unique("id", maintain_order=True)
            rows = rows.filter(pl.Series([keyword_id not in seen for keyword_id in rows["id"]], dtype=pl.Boolean))
            seen.update(rows["id"])
            yield rows.drop("model_version").with_columns(
                pl.lit("i101a212f7bbbb6a6ff8474d52/1").alias("rows"),
                *(pl.lit(None, pl.String).alias(name) for name in ("tags", "corrected")),
                *(pl.lit(None, pl.String).alias(name) for name in ("near_duplicate_of", "near_duplicate_reason")),
                pl.lit(now).alias("created_at"),
                pl.lit(now).alias("updated_at"),
            )


def build(folder: Path, rows: list[pl.DataFrame]) -> Built:
    """Index rows that are analysed."""
    begun = time.perf_counter()
    writer = Writer(folder / "1", threads=2)
    for chunk in rows:
        writer.put(PROJECT, chunk, new=True)
    writer.commit(1, 1, {PROJECT: ProjectSettings()})
    writer.close()
    publish(writer.folder)
    seconds = time.perf_counter() - begun
    view = Index(folder).view()
    assert view is not None
    size = sum(file.stat().st_size for file in writer.folder.iterdir())
    return Built(view, seconds, sum(chunk.height for chunk in rows), size)
