"""The read model of keywords: what is known of each, from all observations of it that count.

`observations` holds every row of every import that was not withdrawn. A row of `keywords` is a pure function of the
observations of its id, merged by the rule of `formats.merge`, of the project's settings and of what people said of it
(`marks`): so it does not matter in which order imports came, and a rebuild makes the same rows.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
from sqlalchemy import Table, delete, select, text, tuple_

from omnikeywords.analysis import Options
from omnikeywords.catalog import projects
from omnikeywords.catalog.derive import STORED_SCHEMA, analysed, keywords_of, merged, stored, unstored
from omnikeywords.catalog.events import Event, EventType, frame_of
from omnikeywords.catalog.follow import Part
from omnikeywords.catalog.rows import put
from omnikeywords.catalog.tables import keywords, marks, observations
from omnikeywords.db import Connection, Database

__all__ = ["CORRECTABLE", "MODEL", "KeywordsModel"]

MODEL = "keywords"
CORRECTABLE = ("intent", "language", "funnel")  # what a person may put right
_PART = 1500  # rows in one transaction, which on SQLite makes it some 50 ms


@dataclass(frozen=True, slots=True)
class _Digest:
    """A chunk of rows, analysed."""

    chunk: pl.DataFrame  # as the event has it, with `id` and `row`; without rows that cannot be analysed
    rows: pl.DataFrame  # of the table `keywords`, were each row the only one of its keyword
    options: Options


class KeywordsModel:
    """Follows the log into the tables `observations` and `keywords`."""

    name = MODEL

    def __init__(self, database: Database, language_table: Path | None = None, brands: Sequence[str] = ()) -> None:
        self._database = database
        self._language_table = language_table
        self._brands = tuple(brands)  # of every project

    def digest(self, event: Event) -> _Digest | None:
        """Analyse the rows of an event."""
        if event.type != EventType.ROWS_APPENDED or event.data is None:
            return None
        options = self._options(event.project)
        chunk = frame_of(event.data).with_row_index("row", event.payload["first_row"]).cast({"row": pl.Int64})
        analysis = analysed(chunk, options)
        usable = analysis["id"].is_not_null()
        chunk, analysis = chunk.filter(usable), analysis.filter(usable)
        return _Digest(chunk.with_columns(analysis["id"]), keywords_of(chunk, analysis), options)

    def _options(self, project: str) -> Options:
        found = projects.find(self._database, project)
        return Options(
            market=found.market,
            brands=tuple(dict.fromkeys((*self._brands, *found.brands))),
            weights=found.score_weights(),
            language_table=self._language_table,
        )

    def parts(self, database: Database, event: Event, digest: _Digest | None, row: int) -> Iterator[Part]:
        """What is written for an event, transaction by transaction."""
        match event.type:
            case EventType.ROWS_APPENDED:
                if digest is not None and digest.chunk.height:
                    yield from self._append(database, event, digest, row)
            case EventType.IMPORT_WITHDRAWN:
                yield from self._withdraw(database, event, row)
            case EventType.PROJECT_CHANGED:
                yield from self._derive_anew(database, event, row)
            case EventType.PROJECT_DELETED:
                yield from self._delete_project(database, event, row)
            case _:
                return

    def clear(self, connection: Connection, bucket: int) -> bool:
        """Delete some of the rows of a bucket; returns whether there are more."""
        for table in (keywords, observations):
            key = list(table.primary_key)
            some = select(*key).where(table.c.bucket == bucket).limit(_PART).subquery()
            done = connection.execute(delete(table).where(tuple_(*key).in_(select(*some.columns))))
            if done.rowcount:
                return True
        return False

    # ---- what each event does

    def _append(self, database: Database, event: Event, digest: _Digest, row: int) -> Iterator[Part]:
        added = stored(digest.chunk).with_columns(
            digest.chunk["id"],
            digest.chunk["row"],
            pl.lit(event.bucket).alias("bucket"),
            pl.lit(event.project).alias("project"),
            pl.lit(_import_of(event)).alias("import_id"),
            pl.lit(event.recorded_at, _TIME).alias("recorded_at"),
        )
        ids = digest.chunk["id"]
        with database.read(event.project) as connection:
            known = _observed(connection, event, ids)
            said = _marks(connection, event, ids)
        # Some of these rows may be there already, if a process died half-way.
        known = known.join(added, on=["import_id", "row"], how="anti")
        several = ids.is_duplicated() | ids.is_in(known["id"].implode())
        alone = digest.rows.filter(~several).with_columns(
            pl.lit(event.recorded_at, _TIME).alias("created_at"), pl.lit(event.recorded_at, _TIME).alias("updated_at")
        )
        together = _state(pl.concat([known, added.filter(several).select(known.columns)]), digest.options)
        first_rows = digest.chunk.group_by("id").agg(pl.col("row").min().alias("_row"))
        state = _finished(pl.concat([alone, together]), event, said).join(first_rows, on="id")
        first = event.payload["first_row"]
        for start in range(first + row, first + event.payload["rows"], _PART):
            some = pl.col("row").is_between(start, start + _PART - 1)
            rows = added.filter(some)
            their_state = state.filter(pl.col("_row").is_between(start, start + _PART - 1)).drop("_row")
            yield Part(start + _PART - first, partial(_write, rows=rows, state=their_state))

    def _withdraw(self, database: Database, event: Event, row: int) -> Iterator[Part]:
        """Take out the observations of an import; its keywords are what the others say of them, or gone."""
        options = self._options(event.project)
        import_id = _import_of(event)
        of_import = observations.c.import_id == import_id
        while True:
            with database.read(event.project) as connection:
                ids = _ids(connection, event, observations, of_import)
                known = _observed(connection, event, ids)
                said = _marks(connection, event, ids)
            if not len(ids):
                return
            left = known.filter(pl.col("import_id") != import_id)
            state = _finished(_state(left, options), event, said)
            row += len(ids)
            yield Part(row, partial(_replace, event=event, ids=ids, drop=of_import, rows=left.clear(), state=state))

    def _derive_anew(self, database: Database, event: Event, row: int) -> Iterator[Part]:
        """Analyse every keyword of a project by its new settings.

        A new market gives new ids to keywords whose source names none: their observations move with them.
        """
        options = self._options(event.project)
        after = ""
        while True:
            with database.read(event.project) as connection:
                ids = _ids(connection, event, keywords, keywords.c.id > after)
                if not len(ids):
                    return
                known = _observed(connection, event, ids)
                known = known.with_columns(analysed(unstored(known), options)["id"].alias("id_now"))
                moved = known.filter(pl.col("id_now") != pl.col("id"))
                there = _observed(connection, event, moved["id_now"].unique())
                said = _marks(connection, event, pl.concat([ids, moved["id_now"]]))
            after = ids[-1]
            now = pl.concat([known.drop("id").rename({"id_now": "id"}).select(there.columns), there])
            now = now.unique(["import_id", "row"], keep="first", maintain_order=True)
            state = _finished(_state(now, options), event, said)
            row += len(ids)
            everything = observations.c.id.is_not(None)
            yield Part(row, partial(_replace, event=event, ids=ids, drop=everything, rows=now, state=state))

    def _delete_project(self, database: Database, event: Event, row: int) -> Iterator[Part]:
        for table in (keywords, observations, marks):
            while True:
                with database.read(event.project) as connection:
                    ids = _ids(connection, event, table, table.c.id.is_not(None))
                if not len(ids):
                    break
                row += len(ids)
                yield Part(row, partial(_delete, event=event, table=table, ids=ids))


_TIME = pl.Datetime("us", "UTC")
_KEY_SCHEMA: dict[str, Any] = {
    "bucket": pl.Int32(),
    "project": pl.String(),
    "id": pl.String(),
    "import_id": pl.String(),
    "row": pl.Int64(),
    "recorded_at": _TIME,
}


def _import_of(event: Event) -> str:
    return event.stream.removeprefix("import/")


def _state(rows: pl.DataFrame, options: Options) -> pl.DataFrame:
    """What observations make of their keywords: rows of the table `keywords` by their columns KEYWORD_SCHEMA."""
    times = rows.group_by("id").agg(
        pl.col("recorded_at").min().alias("created_at"), pl.col("recorded_at").max().alias("updated_at")
    )
    chunk = merged(unstored(rows))
    return keywords_of(chunk, analysed(chunk, options)).join(times, on="id")


def _finished(state: pl.DataFrame, event: Event, said: pl.DataFrame) -> pl.DataFrame:
    """Rows of `keywords` with their key and with what people said of them, which goes before what we think."""
    state = state.join(said, on="id", how="left").with_columns(
        pl.lit(event.bucket).alias("bucket"),
        pl.lit(event.project).alias("project"),
        pl.col("tags").fill_null("[]"),
        pl.col("corrected").fill_null("{}"),
    )
    for field in CORRECTABLE:
        theirs = pl.col("corrected").str.json_path_match(f"$.{field}")
        state = state.with_columns(pl.coalesce(theirs, field).alias(field))
    return state


def _write(connection: Connection, rows: pl.DataFrame, state: pl.DataFrame) -> None:
    put(connection, observations, rows)
    put(connection, keywords, state)


def _replace(
    connection: Connection, event: Event, ids: pl.Series, drop: Any, rows: pl.DataFrame, state: pl.DataFrame
) -> None:
    """Put rows and states in the place of the keywords `ids` and of those of their observations that are to go."""
    of_ids = _among(connection, observations, ids)
    connection.execute(
        delete(observations).where(_of_project(event, observations), of_ids, drop), {"ids": _given(connection, ids)}
    )
    gone = ids.filter(~ids.is_in(state["id"].implode()))
    _delete(connection, event, keywords, gone)
    _write(connection, rows, state)


def _delete(connection: Connection, event: Event, table: Table, ids: pl.Series) -> None:
    connection.execute(
        delete(table).where(_of_project(event, table), _among(connection, table, ids)), {"ids": _given(connection, ids)}
    )


def _observed(connection: Connection, event: Event, ids: pl.Series) -> pl.DataFrame:
    """Every observation of these keywords."""
    found = connection.execute(
        select(observations).where(_of_project(event, observations), _among(connection, observations, ids)),
        {"ids": _given(connection, ids)},
    ).all()
    kinds = {**_KEY_SCHEMA, **STORED_SCHEMA}
    schema = {column.name: kinds[column.name] for column in observations.columns}
    return pl.DataFrame([tuple(row) for row in found], schema=schema, orient="row")


def _marks(connection: Connection, event: Event, ids: pl.Series) -> pl.DataFrame:
    """What people said of these keywords."""
    found = connection.execute(
        select(marks.c.id, marks.c.tags, marks.c.corrected).where(
            _of_project(event, marks), _among(connection, marks, ids)
        ),
        {"ids": _given(connection, ids)},
    ).all()
    schema = {"id": pl.String(), "tags": pl.String(), "corrected": pl.String()}
    return pl.DataFrame([tuple(row) for row in found], schema=schema, orient="row")


def _ids(connection: Connection, event: Event, table: Table, which: Any) -> pl.Series:
    """Ids of some keywords with such rows, in order."""
    found = connection.execute(
        select(table.c.id).where(_of_project(event, table), which).distinct().order_by(table.c.id).limit(_PART)
    )
    return pl.Series("id", found.scalars().all(), pl.String())


def _of_project(event: Event, table: Table) -> Any:
    return (table.c.bucket == event.bucket) & (table.c.project == event.project)


def _among(connection: Connection, table: Table, ids: pl.Series) -> Any:
    """That a row is of one of the keywords given as `ids`: thousands of them as one parameter."""
    if connection.dialect.name == "sqlite":
        return text(f"{table.name}.id IN (SELECT value FROM json_each(:ids))")
    return text(f"{table.name}.id = ANY(CAST(:ids AS text[]))")


def _given(connection: Connection, ids: pl.Series) -> Any:
    """The parameter that `_among` asks for."""
    listed = ids.unique().to_list()
    return msgspec.json.encode(listed).decode() if connection.dialect.name == "sqlite" else listed
