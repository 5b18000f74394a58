"""Near-duplicate groups of a project: a field of a set of keywords, not of one.

They are looked for among all keywords of the project, by the same code as in a file, and what changed is written: so
they are what a full run over the project gives, in whatever order its imports came.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray
from sqlalchemy import select

from omnikeywords.analysis import duplicates
from omnikeywords.analysis.duplicates import REASONS
from omnikeywords.analysis.frequency import default_table_path
from omnikeywords.analysis.language import LANGUAGES, LanguageModel
from omnikeywords.catalog.projects import bucket_of
from omnikeywords.catalog.rows import fetch, put_columns
from omnikeywords.catalog.tables import keywords
from omnikeywords.db import Database

__all__ = ["regroup"]

_PART = 2000  # rows in one transaction


@dataclass(frozen=True, slots=True)
class _Keywords:
    """What near-duplicates are told from."""

    normalized: list[str]
    language: NDArray[np.int8]
    popularity: NDArray[np.float32]


def regroup(
    database: Database,
    project: str,
    language_table: Path | None = None,
    attend: Callable[[], object] = lambda: None,
) -> int:
    """Find the groups of a project and write those that changed; returns how many keywords that is.

    `attend` is called now and then, for whoever must show signs of life.
    """
    c = keywords.c
    columns = [c.id, c.normalized, c.language, c.popularity, c.volume, c.impressions]
    columns += [c.near_duplicate_of, c.near_duplicate_reason]
    which = (c.bucket == bucket_of(project)) & (c.project == project)
    schema = {
        **dict.fromkeys(("id", "normalized", "language"), pl.String()),
        "popularity": pl.Float32(),
        **dict.fromkeys(("volume", "impressions"), pl.Float64()),
        **dict.fromkeys(("near_duplicate_of", "near_duplicate_reason"), pl.String()),
    }
    with database.read(project, statement_ms=600_000) as connection:
        frame = fetch(connection, select(*columns).where(which), schema)
    attend()
    if not frame.height:
        return 0
    # Without volumes, impressions tell which of two spellings people use.
    asked = "volume" if frame["volume"].count() else "impressions"
    codes = {name: code for code, name in enumerate(LANGUAGES)}
    told = _Keywords(
        frame["normalized"].to_list(),
        frame["language"].replace_strict(codes, default=-1, return_dtype=pl.Int8).to_numpy(),
        frame["popularity"].fill_null(float("nan")).to_numpy(),
    )
    model = LanguageModel.load(language_table or default_table_path())
    groups = duplicates(told, volume=frame[asked].fill_null(float("nan")).to_numpy(), model=model)
    attend()
    joined = pl.Series(groups.head != np.arange(frame.height))
    now = frame.select(
        "id",
        pl.when(joined).then(frame["normalized"].gather(pl.Series(groups.head.astype(np.int64)))).alias("of"),
        pl.when(joined).then(pl.Series(REASONS).gather(pl.Series(groups.reason.astype(np.int64)))).alias("why"),
    )
    changed = now.filter(
        now["of"].ne_missing(frame["near_duplicate_of"]) | now["why"].ne_missing(frame["near_duplicate_reason"])
    )
    key = {"bucket": pl.lit(bucket_of(project), pl.Int32), "project": pl.lit(project)}
    changed = changed.rename({"of": "near_duplicate_of", "why": "near_duplicate_reason"}).with_columns(**key)
    for part in changed.iter_slices(_PART):
        with database.write(project, durable=False) as connection:
            put_columns(connection, keywords, part)
        attend()
    return changed.height
