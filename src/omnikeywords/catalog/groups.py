"""Near-duplicate groups of a project: a field of a set of keywords, not of one.

They are looked for among all keywords of the project, by the same code as in a file, and what changed is written: so
they are what a full run over the project gives, in whatever order its imports came.
"""

from collections.abc import Callable
from pathlib import Path

import polars as pl
from sqlalchemy import select

from omnikeywords.analysis.frequency import default_table_path
from omnikeywords.catalog.derive import near_duplicates
from omnikeywords.catalog.projects import bucket_of
from omnikeywords.catalog.rows import fetch, put_columns
from omnikeywords.catalog.tables import keywords
from omnikeywords.db import Database

__all__ = ["regroup"]

_PART = {"sqlite": 2500, "postgresql": 20_000}  # rows in one transaction


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
    now = near_duplicates(frame, asked, language_table or default_table_path()).columns
    attend()
    differs = [now[name].ne_missing(frame[name]) for name in now.columns]
    changed = now.with_columns(
        frame["id"], pl.lit(bucket_of(project), pl.Int32).alias("bucket"), pl.lit(project).alias("project")
    ).filter(differs[0] | differs[1])
    del frame, now
    for part in changed.iter_slices(_PART[database.dialect]):
        with database.write(project, durable=False) as connection:
            put_columns(connection, keywords, part)
        attend()
    return changed.height
