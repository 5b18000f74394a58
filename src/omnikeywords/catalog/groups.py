"""Near-duplicate groups of a project: a field of a set of keywords, not of one.

They are looked for among all keywords of the project, by the same code as in a file, and what changed is written: so
they are what a full run over the project gives, in whatever order its imports came.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import polars as pl
from sqlalchemy import select

from omnikeywords.analysis.frequency import default_table_path
from omnikeywords.catalog import changes, marks
from omnikeywords.catalog.derive import Told, near_duplicates
from omnikeywords.catalog.packed import Packed
from omnikeywords.catalog.projects import bucket_of
from omnikeywords.catalog.rows import fetch_parts, put_columns
from omnikeywords.catalog.tables import keywords
from omnikeywords.db import Connection, Database

__all__ = ["CORRECTED_REASON", "put_right", "regroup"]

CORRECTED_REASON = "corrected"  # of a near-duplicate: a person said so

_PART = 1200  # rows in one transaction


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
    held: list[Packed] = []

    def parts() -> Iterator[pl.DataFrame]:
        for part in fetch_parts(connection, select(*columns).where(which), schema):
            held.append(Packed(part.select("id", "normalized", "near_duplicate_of", "near_duplicate_reason")))
            yield part

    with database.read(project, statement_ms=600_000) as connection:
        # Without volumes, impressions tell which of two spellings people use.
        told = Told.of(parts(), ["volume", "impressions"])
        said = marks.near_duplicates(connection, project)
    attend()
    if not held:
        return 0
    now = near_duplicates(told, language_table or default_table_path()).columns
    del told
    attend()
    now = now.rename({"near_duplicate_of": "of", "near_duplicate_reason": "why"})
    if said:
        frame = pl.concat([part.frame().select("id", "normalized") for part in held])
        now = _overruled(now.with_columns(frame["id"]), frame["normalized"], said)
        del frame
    changed = _changed(held, now)
    held.clear()
    del now
    key = {"bucket": pl.lit(bucket_of(project), pl.Int32), "project": pl.lit(project)}
    changed = changed.with_columns(**key)
    for part in changed.iter_slices(_PART):
        with database.write(project, durable=False) as connection:
            changes.note(connection, bucket_of(project), project, part["id"])
            put_columns(connection, keywords, part)
        attend()
    return changed.height


def _changed(held: Sequence[Packed], now: pl.DataFrame) -> pl.DataFrame:
    """The keywords of parts whose head, or the reason for it, is another `now`; by the columns of the table."""
    changed = []
    first = 0
    for part in held:
        was = part.frame()
        of, why = now["of"].slice(first, was.height), now["why"].slice(first, was.height)
        other = of.ne_missing(was["near_duplicate_of"]) | why.ne_missing(was["near_duplicate_reason"])
        becomes = was.select("id", of.alias("near_duplicate_of"), why.alias("near_duplicate_reason"))
        changed.append(becomes.filter(other))
        first += was.height
    return pl.concat(changed)


def _overruled(now: pl.DataFrame, normalized: pl.Series, said: Mapping[str, str]) -> pl.DataFrame:
    """The heads `of` keywords with what people said in their place, for as long as what they named is there.

    Whose head became a near-duplicate itself follows it to its new head.
    """
    heads = dict(zip(normalized, now["of"], strict=True))
    named = {
        row["id"]: (phrase, said[row["id"]])
        for row, phrase in zip(now.iter_rows(named=True), normalized, strict=True)
        if row["id"] in said and (not said[row["id"]] or said[row["id"]] in heads)
    }
    heads |= dict(named.values())
    moved = {phrase: heads.get(of) or of for phrase, of in named.values() if of}
    of = {keyword_id: moved.get(phrase) for keyword_id, (phrase, _) in named.items()}
    theirs = pl.DataFrame(
        {"id": list(of), "said": list(of.values()), "put_right": True},
        schema={"id": pl.String(), "said": pl.String(), "put_right": pl.Boolean()},
    )
    ours = pl.col("of").replace(moved)
    why = pl.when(pl.col("said").is_not_null()).then(pl.lit(CORRECTED_REASON))
    # A head that was told to follow one of its own members would be its own.
    return (
        now.join(theirs, on="id", how="left", maintain_order="left")
        .with_columns(
            pl.when("put_right").then("said").otherwise(ours).alias("of"),
            pl.when("put_right").then(why).otherwise("why").alias("why"),
        )
        .with_columns(pl.when(pl.col("of") != normalized).then(pl.col("of", "why")))
        .select("id", "of", "why")
    )


def put_right(connection: Connection, project: str, keyword_id: str, of: str | None) -> None:
    """Show at once what a person said that a keyword is a near-duplicate of; the rest follows with the next groups."""
    which = (keywords.c.bucket == bucket_of(project)) & (keywords.c.project == project) & (keywords.c.id == keyword_id)
    reason = CORRECTED_REASON if of else None
    changes.note(connection, bucket_of(project), project, pl.Series("id", [keyword_id]))
    connection.execute(
        keywords.update().where(which).values(near_duplicate_of=of or None, near_duplicate_reason=reason)
    )
