"""The read model of keywords: what is known of each, from all observations of it that count.

`observations` holds every row of every import that was not withdrawn. A row of `keywords` is a pure function of the
observations of its id, merged by the rule of `formats.merge`, of the project's settings and of what people said of it
(`marks`): so it does not matter in which order imports came, and a rebuild makes the same rows.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import polars as pl
from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    Select,
    Table,
    Text,
    bindparam,
    cast,
    delete,
    func,
    literal_column,
    select,
    text,
    true,
)

from omnikeywords.analysis import MODEL_VERSION, Options
from omnikeywords.catalog import changes, gone, projects
from omnikeywords.catalog.derive import STORED_SCHEMA, analysed, keywords_of, merged, unstored
from omnikeywords.catalog.digest import PLACE, TIME, Digest, Digester
from omnikeywords.catalog.events import Event, EventType
from omnikeywords.catalog.follow import Part
from omnikeywords.catalog.marks import CORRECTABLE, lasts
from omnikeywords.catalog.rows import fetch, fetch_parts, put, unlike
from omnikeywords.catalog.tables import imports, keywords, marks, observations
from omnikeywords.db import Connection, Database

__all__ = ["MODEL", "KeywordsModel", "Scope", "at_places", "places_of"]

MODEL = "keywords"
_PART = 1500  # rows that are read or replaced in one transaction
_TAKEN = 750  # rows of a table that are deleted in one
_SORTED = 80_000  # of those, so many are put in order, for a transaction to touch pages that lie together
_WRITTEN = {"sqlite": 1200, "postgresql": 20_000}  # rows written in one, which on SQLite makes it some 15 ms
_NO_END = 2**62  # behind every row of an import
_LONG_MS = 600_000  # for what reads a whole bucket


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose rows are meant."""

    bucket: int
    project: str


class KeywordsModel:
    """Follows the log into the tables `observations` and `keywords`."""

    name = MODEL
    version = MODEL_VERSION

    def __init__(self, database: Database, language_table: Path | None = None, brands: Sequence[str] = ()) -> None:
        self._database = database
        self._language_table = language_table
        self._brands = tuple(brands)  # of every project
        self._digester = Digester()

    def digest(self, event: Event) -> Digest | None:
        """Analyse the rows of an event."""
        if event.type != EventType.ROWS_APPENDED or event.data is None or self._is_gone(event):
            return None
        return self._digester.digest(event, self._options(event.project))

    def _is_gone(self, event: Event) -> bool:
        """Whether what an event says was deleted since; what is to be done of it follows with the deletion."""
        with self._database.read(event.project) as connection:
            return gone.is_gone(connection, event)

    def _options(self, project: str) -> Options:
        found = projects.find(self._database, project)
        return Options(
            market=found.market,
            brands=tuple(dict.fromkeys((*self._brands, *found.brands))),
            weights=found.score_weights(),
            language_table=self._language_table,
        )

    def parts(self, database: Database, events: list[Event], digests: list[Digest | None]) -> Iterator[Part]:
        """What is written for an event, or for several chunks of rows, transaction by transaction."""
        event = events[0]
        match event.type:
            case EventType.ROWS_APPENDED:
                yield from self._append(database, events, [digest for digest in digests if digest is not None])
            case EventType.IMPORT_WITHDRAWN if not self._is_gone(event):
                yield from self._without_rows(database, event, _import_of(event))
            case EventType.KEYWORD_TAGGED | EventType.KEYWORD_CORRECTED if not self._is_gone(event):
                yield from self._restate(database, event)
            case EventType.PROJECT_DELETED:
                yield from self._delete_project(database, event)
            case _:
                return

    def without(self, database: Database, event: Event) -> Iterator[Part]:
        """Take out what was written for an event that turned out to be indigestible."""
        if event.type == EventType.ROWS_APPENDED:
            first = event.payload["first_row"]
            behind = first + event.payload["rows"]
            yield from self._without_rows(database, event, _import_of(event), first, behind)

    def again(self, database: Database, events: list[Event], digests: list[Digest | None]) -> Iterator[Part]:
        """Chunks of rows once more, as they are to be now: none of an import that was withdrawn since."""
        event = events[0]
        if event.type != EventType.ROWS_APPENDED:
            return
        with database.read(event.project) as connection:
            counted = _counted_imports(connection, event)
        there = [(one, made) for one, made in zip(events, digests, strict=True) if _import_of(one) in counted]
        options = self._options(event.project) if there else None
        # The project may have other settings by now.
        kept = [made if made is None or made.options == options else self.digest(one) for one, made in there]
        # The database and whoever compares have something to do at any time.
        with ThreadPoolExecutor(2, thread_name_prefix="compare") as threads:
            wrong = list(threads.map(partial(_wrong, database), [one for one, _ in there], kept))
        yield from self._append(
            database, [one for one, _ in there], [made for made in wrong if made and made.rows.height]
        )

    def outdated(self, connection: Connection, bucket: int) -> bool:
        """Whether any keyword of a bucket was derived by another version of the analysis."""
        other = (keywords.c.bucket == bucket) & (keywords.c.model_version != self.version)
        return connection.execute(select(keywords.c.id).where(other).limit(1)).first() is not None

    def sweep(self, database: Database, bucket: int) -> Iterator[Callable[[], Iterator[Part]]]:
        """Take out of a bucket what no event says: each time what parts are to be written, found anew with each call.

        To be called when every event was applied `again`.
        """
        with database.read(statement_ms=_LONG_MS) as connection:
            brought = connection.execute(
                select(observations.c.project, observations.c.import_id).where(observations.c.bucket == bucket)
                .distinct()
            ).all()  # fmt: skip
            there = connection.execute(
                select(keywords.c.project).where(keywords.c.bucket == bucket).distinct()
            ).scalars().all()  # fmt: skip
        for project, import_id in brought:
            yield partial(self._without_import, database, Scope(bucket, project), import_id)
        for project in there:
            of = Scope(bucket, project)
            with database.read(project, statement_ms=_LONG_MS) as connection:
                wrong = _misnaming(connection, of)
            for start in range(0, len(wrong), _PART):
                yield partial(self._mend, database, of, wrong[start : start + _PART])

    def outdated_projects(self, connection: Connection, bucket: int) -> list[str]:
        """The projects of a bucket that have keywords derived by another version of the analysis."""
        other = (keywords.c.bucket == bucket) & (keywords.c.model_version != self.version)
        found = connection.execute(select(keywords.c.project).where(other).distinct().order_by(keywords.c.project))
        return list(found.scalars())

    def count(self, connection: Connection, of: Scope) -> int:
        """How many keywords a project has."""
        counted = select(func.count()).select_from(keywords).where(_of_project(of, keywords))
        return connection.execute(counted).scalar_one()

    def derive_anew(self, database: Database, of: Scope, after: str) -> tuple[str | None, int, Iterator[Part]]:
        """Analyse the next keywords behind an id once more; returns the last of them (None: there is none) and how
        many there are.

        A new market gives new ids to keywords whose source names none: their observations go with them.
        """
        options = self._options(of.project)
        with database.read(of.project) as connection:
            ids = _ids_behind(connection, of, keywords, after)
            if not len(ids):
                return None, 0, iter(())
            known = _observed(connection, of, ids)
            known = known.with_columns(analysed(unstored(known), options)["id"].alias("id_now"))
            moved = known.filter(pl.col("id_now") != pl.col("id"))
            there = _observed(connection, of, moved["id_now"])
            said = _marks(connection, of, pl.concat([ids, moved["id_now"].alias("id")]))
        now = pl.concat([known.drop("id").rename({"id_now": "id"}).select(there.columns), there])
        now = now.unique(["import_id", "row"], keep="first", maintain_order=True)
        state = _finished(_state(now, options), of, said)
        return ids[-1], len(ids), iter([partial(_replace, of, known.clear(), ids, now, state)])

    # ---- what each event does

    def _append(self, database: Database, events: list[Event], digests: list[Digest]) -> Iterator[Part]:
        if not digests:
            return
        event = events[0]
        added = pl.concat([digest.rows for digest in digests])
        ids = added["id"]
        with database.read(event.project) as connection:
            # Some of these rows may be there already, if a process died half-way.
            known = _observed(connection, event, ids, besides=added)
            said = _marks(connection, event, ids)
        known = known.filter(pl.col("id").is_in(ids.implode()))
        several = ids.is_duplicated() | ids.is_in(known["id"].implode())
        alone = pl.concat([digest.state for digest in digests]).filter(~several)
        together = _state(pl.concat([known, added.filter(several).select(known.columns)]), digests[0].options)
        state = _finished(pl.concat([alone, together]), event, said).sort("id")
        # Each table in the order of its key: a transaction then touches pages that lie together.
        for rows in added.iter_slices(_WRITTEN[database.dialect]):
            yield partial(_put_rows, rows)
        for keywords_ in state.iter_slices(_WRITTEN[database.dialect]):
            yield partial(_put_state, keywords_, event)

    def _without_import(self, database: Database, of: Scope, import_id: str) -> Iterator[Part]:
        """Take out an import unless it counts."""
        with database.read(of.project) as connection:
            counts = import_id in _counted_imports(connection, of)
        if not counts:
            yield from self._without_rows(database, of, import_id)

    def _without_rows(
        self, database: Database, of: Event | Scope, import_id: str, first: int = 0, behind: int = _NO_END
    ) -> Iterator[Part]:
        """Take out rows of an import; its keywords are what their other observations say of them, or gone."""
        options: Options | None = None
        goes = (pl.col("import_id") == import_id) & pl.col("row").is_between(first, behind, closed="left")
        while True:
            with database.read(of.project) as connection:
                places = _places_of_import(connection, of, import_id, first, behind)
            if not places.height:
                return
            ids = places["id"].unique().sort()
            options = options or self._options(of.project)
            for start in range(0, len(ids), _TAKEN):
                some = ids[start : start + _TAKEN]
                with database.read(of.project) as connection:
                    left = _observed(connection, of, some).filter(~goes)
                    said = _marks(connection, of, some)
                none = left.clear()
                yield partial(_replace, of, none, some, none, _finished(_state(left, options), of, said))
            # No keyword names them any more.
            for rows in places.iter_slices(_TAKEN):
                yield partial(_drop_rows, of, rows)

    def _mend(self, database: Database, of: Scope, ids: pl.Series) -> Iterator[Part]:
        """Make right those of the keywords `ids` that name observations which are not theirs."""
        with database.read(of.project) as connection:
            named = _rows_of(connection, of, ids)
            key = {name: _KEY_SCHEMA[name] for name in ("import_id", "row", "id")}
            found = _at(connection, of, named["rows"].str.split(" ").explode(), key)
            own = found.group_by("id").agg(PLACE.sort().str.join(" "))
            wrong = named.join(own, on=["id", "rows"], how="anti")["id"]
            known = _observed(connection, of, wrong)
            said = _marks(connection, of, wrong)
        if len(wrong):
            left = known.filter(pl.col("id").is_in(wrong.implode()))
            state = _finished(_state(left, self._options(of.project)), of, said)
            yield partial(_replace, of, left.clear(), wrong, left.clear(), state)

    def _restate(self, database: Database, event: Event) -> Iterator[Part]:
        """Say again what one keyword is, now that a person said something of it."""
        ids = pl.Series("id", [event.stream.removeprefix("keyword/")])
        with database.read(event.project) as connection:
            known = _observed(connection, event, ids)
            said = _marks(connection, event, ids)
        if known.height:
            state = _finished(_state(known, self._options(event.project)), event, said)
            yield partial(_put_state, state, event)

    def _delete_project(self, database: Database, event: Event) -> Iterator[Part]:
        after = ""
        while True:
            with database.read(event.project) as connection:
                ids = _ids_in_place(connection, event, after)
            if not len(ids):
                break
            for start in range(0, len(ids), _TAKEN):
                some = ids[start : start + _TAKEN]
                with database.read(event.project) as connection:
                    _rows_of(connection, event, some)  # so that the disk is not waited for in the transaction
                yield partial(_drop, event, some)
            after = max(ids)
        while True:
            with database.read(event.project) as connection:
                rows = _places(connection, event, _of_project(event, observations), _TAKEN)
            if not rows.height:
                break
            yield partial(_drop_rows, event, rows)


_KEY_SCHEMA: dict[str, Any] = {
    "bucket": pl.Int32(),
    "project": pl.String(),
    "import_id": pl.String(),
    "row": pl.Int64(),
    "recorded_at": TIME,
    "id": pl.String(),
}


def _state(rows: pl.DataFrame, options: Options) -> pl.DataFrame:
    """What observations make of their keywords: rows of the table `keywords` by their columns KEYWORD_SCHEMA."""
    times = rows.group_by("id").agg(
        PLACE.sort().str.join(" "),
        pl.col("recorded_at").min().alias("created_at"),
        pl.col("recorded_at").max().alias("updated_at"),
    )
    chunk = merged(unstored(rows))
    return keywords_of(chunk, analysed(chunk, options)).join(times, on="id")


def _wrong(database: Database, event: Event, made: Digest | None) -> Digest | None:
    """The rows of a chunk that the tables do not hold as they are to be, were each the only one of its keyword."""
    if made is None:
        return None
    rows, derived = made.rows, made.state  # unpacked once
    ids = rows["id"]
    first = event.payload["first_row"]
    o = observations.c
    chunk = _of_project(event, observations) & (o.import_id == _import_of(event))
    chunk &= o.row.between(first, first + event.payload["rows"] - 1)
    with database.read(event.project) as connection:
        wrong = unlike(connection, rows, "row", select(*(o[name] for name in rows.columns)).where(chunk))
        state = _finished(derived, event, _marks(connection, event, ids))
        there = _of_ids(connection, event, keywords, state.columns)
        wrong |= unlike(connection, state, "id", there, _listed(connection, ids))
    return Digest(rows.filter(wrong), derived.filter(wrong), made.options)


def _finished(state: pl.DataFrame, of: Event | Scope, said: pl.DataFrame) -> pl.DataFrame:
    """Rows of `keywords` with their key and with what people said of them, which goes before what we think."""
    state = state.join(said, on="id", how="left", maintain_order="left").with_columns(
        pl.lit(of.bucket).alias("bucket"),
        pl.lit(of.project).alias("project"),
    )
    for field in CORRECTABLE:
        theirs = pl.col("corrected").str.json_path_match(f"$.{field}")
        state = state.with_columns(pl.coalesce(theirs, field).alias(field))
    return state


def _put_rows(rows: pl.DataFrame, connection: Connection) -> None:
    put(connection, observations, rows)


def _put_state(state: pl.DataFrame, of: Event | Scope, connection: Connection) -> None:
    changes.note(connection, of.bucket, of.project, state["id"])
    put(connection, keywords, state)


def _replace(
    of: Event | Scope,
    drop: pl.DataFrame,
    ids: pl.Series,
    rows: pl.DataFrame,
    state: pl.DataFrame,
    connection: Connection,
) -> None:
    """Take observations out, put others in, and the states of the keywords `ids` in the place of what they were."""
    changes.note(connection, of.bucket, of.project, pl.concat([ids.alias("id"), state["id"]]).unique())
    if drop.height:
        _drop_rows(of, drop, connection)
    without = ids.filter(~ids.is_in(state["id"].implode()))
    if len(without):
        among = _among(connection, keywords)
        connection.execute(delete(keywords).where(_of_project(of, keywords), among), _listed(connection, without))
    put(connection, observations, rows)
    put(connection, keywords, state)


def _drop(of: Event | Scope, ids: pl.Series, connection: Connection) -> None:
    """Take keywords out."""
    changes.note(connection, of.bucket, of.project, ids)
    among = _among(connection, keywords)
    connection.execute(delete(keywords).where(_of_project(of, keywords), among), _listed(connection, ids))


def _drop_rows(of: Event | Scope, rows: pl.DataFrame, connection: Connection) -> None:
    """Take observations out, by import and row."""
    places = places_of(connection, of, rows.select(PLACE).to_series())
    connection.execute(delete(observations).where(_of_places(connection)), places)


def _observed(
    connection: Connection, of: Event | Scope, ids: pl.Series, besides: pl.DataFrame | None = None
) -> pl.DataFrame:
    """Every observation of these keywords; none at a place that `besides` has."""
    places = _rows_of(connection, of, ids)["rows"].str.split(" ").explode()
    if besides is not None:
        places = places.filter(~places.is_in(besides.select(PLACE).to_series().implode()))
    kinds = {**_KEY_SCHEMA, **STORED_SCHEMA}
    schema = {column.name: kinds[column.name] for column in observations.columns}
    return _at(connection, of, places, schema)


def _at(connection: Connection, of: Event | Scope, places: pl.Series, schema: dict[str, Any]) -> pl.DataFrame:
    """The observations at these places, by the columns of a schema."""
    if not len(places):
        return pl.DataFrame(schema=schema)
    return fetch(connection, at_places(connection, list(schema)), schema, places_of(connection, of, places))


def _marks(connection: Connection, of: Event | Scope, ids: pl.Series) -> pl.DataFrame:
    """What people said of these keywords."""
    schema = {"id": pl.String(), "tags": pl.String(), "corrected": pl.String()}
    if connection.execute(select(marks.c.id).where(_of_project(of, marks)).limit(1)).first() is None:
        return pl.DataFrame(schema=schema)
    there = _of_ids(connection, of, marks, list(schema), lasts(of.project))
    return fetch(connection, there, schema, _listed(connection, ids))


def _rows_of(connection: Connection, of: Event | Scope, ids: pl.Series) -> pl.DataFrame:
    """Which observations these keywords name."""
    schema = {"id": pl.String(), "rows": pl.String()}
    return fetch(connection, _of_ids(connection, of, keywords, list(schema)), schema, _listed(connection, ids))


def _misnaming(connection: Connection, of: Scope) -> pl.Series:
    """The keywords of a project that name an observation which is not there or not theirs.

    Both tables are gone through once; what is kept of each observation are eight bytes.
    """
    o, text_ = observations.c, {"id": pl.String(), "rows": pl.String()}
    there = select(o.id, o.import_id + "/" + cast(o.row, Text)).where(_of_project(of, observations))
    held = [part.select("id", "rows").hash_rows().to_numpy() for part in fetch_parts(connection, there, text_)]
    known = np.sort(np.concatenate([np.empty(0, np.uint64), *held]))
    wrong = []
    named = select(keywords.c.id, keywords.c.rows).where(_of_project(of, keywords))
    for part in fetch_parts(connection, named, text_):
        places = part.with_columns(pl.col("rows").str.split(" ")).explode("rows")
        hashes = places.hash_rows().to_numpy()
        found = known.take(np.searchsorted(known, hashes), mode="clip") == hashes if len(known) else hashes != hashes
        wrong.append(places["id"].filter(pl.Series(~found)).unique())
    return pl.concat([pl.Series("id", [], pl.String()), *wrong])


def _places_of_import(
    connection: Connection, of: Event | Scope, import_id: str, first: int, behind: int
) -> pl.DataFrame:
    """Some rows of an import, with their keywords."""
    o = observations.c
    which = _of_project(of, observations) & (o.import_id == import_id) & (o.row >= first) & (o.row < behind)
    return _places(connection, of, which, _SORTED)


def _places(connection: Connection, of: Event | Scope, which: ColumnElement[bool], limit: int) -> pl.DataFrame:
    """The first of some observations by import and row, with their keywords."""
    o = observations.c
    schema = {name: _KEY_SCHEMA[name] for name in ("import_id", "row", "id")}
    first = select(o.import_id, o.row, o.id).where(which).order_by(o.import_id, o.row).limit(limit)
    return fetch(connection, first, schema)


def _counted_imports(connection: Connection, of: Event | Scope) -> frozenset[str]:
    """The imports of a project that were not withdrawn."""
    counts = _of_project(of, imports) & (imports.c.state != "withdrawn")
    counts &= gone.lasts(of.bucket, of.project, "import/" + imports.c.import_id, 1)
    return frozenset(connection.execute(select(imports.c.import_id).where(counts)).scalars())


def _import_of(event: Event) -> str:
    return event.stream.removeprefix("import/")


def _ids_behind(connection: Connection, of: Event | Scope, table: Table, after: str) -> pl.Series:
    """The next keywords by id."""
    behind = _of_project(of, table) & (table.c.id > after)
    found = connection.execute(select(table.c.id).where(behind).order_by(table.c.id).limit(_PART))
    return pl.Series("id", found.scalars().all(), pl.String())


def _ids_in_place(connection: Connection, of: Event | Scope, after: str) -> pl.Series:
    """The next keywords by id, in the order in which they lie in the table where it has one."""
    place: ColumnElement[int] = literal_column("rowid" if connection.dialect.name == "sqlite" else "0")
    behind = _of_project(of, keywords) & (keywords.c.id > after)
    found = select(keywords.c.id, place).where(behind).order_by(keywords.c.id).limit(_SORTED)
    return fetch(connection, found, {"id": pl.String(), "place": pl.Int64()}).sort("place", maintain_order=True)["id"]


def _of_project(of: Event | Scope, table: Table) -> Any:
    return (table.c.bucket == of.bucket) & (table.c.project == of.project)


# Thousands of ids or places as one parameter: SQLite takes them as JSON, PostgreSQL as arrays.


def _among(connection: Connection, table: Table) -> Any:
    """That a row is of one of the keywords of `_listed`."""
    if connection.dialect.name == "sqlite":
        return text(f"{table.name}.id IN (SELECT value FROM json_each(:ids))")
    return text(f"{table.name}.id = ANY(CAST(:ids AS text[]))")


def _listed(connection: Connection, ids: pl.Series) -> dict[str, Any]:
    listed = ids.unique().sort().to_list()  # in the order of the key
    return {"ids": msgspec.json.encode(listed).decode() if connection.dialect.name == "sqlite" else listed}


def _of_ids(
    connection: Connection, of: Event | Scope, table: Table, names: Sequence[str], *such: ColumnElement[bool]
) -> Select[Any]:
    """Columns of the rows of a table that are of the keywords of `_listed`, those `such` as are wanted."""
    columns = [table.c[name] for name in names]
    if connection.dialect.name == "sqlite":
        return select(*columns).where(_of_project(of, table), _among(connection, table), *such)
    # Each by the key. Left to itself PostgreSQL would go through the whole project, until somebody counts its rows.
    wanted = func.unnest(bindparam("ids", type_=ARRAY(Text))).table_valued("id", name="wanted").render_derived()
    which = _of_project(of, table) & (table.c.id == wanted.c.id)
    one = select(*columns).where(which, *such).offset(literal_column("0")).lateral("one")
    return select(*one.c).select_from(wanted.join(one, true()))


def at_places(connection: Connection, names: Sequence[str]) -> Select[Any]:
    """Columns of the observations at `places_of`."""
    columns = [observations.c[name] for name in names]
    if connection.dialect.name == "sqlite":
        return select(*columns).where(_of_places(connection))
    # As in `_of_ids`.
    imports_, rows = (bindparam(name, type_=ARRAY(kind)) for name, kind in (("imports", Text), ("rows", BigInteger)))
    wanted = func.unnest(imports_, rows).table_valued("import_id", "row", name="wanted").render_derived()
    o = observations.c
    which = (o.bucket == bindparam("of_bucket")) & (o.project == bindparam("of_project"))
    which &= (o.import_id == wanted.c.import_id) & (o.row == wanted.c.row)
    one = select(*columns).where(which).offset(literal_column("0")).lateral("one")
    return select(*one.c).select_from(wanted.join(one, true()))


def _of_places(connection: Connection) -> Any:
    """That a row of `observations` is at one of `places_of`, and of their project."""
    if connection.dialect.name == "sqlite":
        # Row by row by the key: left to itself it would go through whole imports.
        return text(
            "observations.rowid IN (SELECT o.rowid FROM json_each(:places) AS place CROSS JOIN observations AS o "
            "ON o.bucket = :of_bucket AND o.project = :of_project AND o.import_id = json_extract(place.value, '$[0]') "
            "AND o.\"row\" = json_extract(place.value, '$[1]'))"
        )
    pairs = "SELECT * FROM unnest(CAST(:imports AS text[]), CAST(:rows AS bigint[]))"
    return text(
        "observations.bucket = :of_bucket AND observations.project = :of_project "
        f"AND (observations.import_id, observations.row) IN ({pairs})"
    )


def places_of(connection: Connection, of: Event | Scope, rows: Iterable[str]) -> dict[str, Any]:
    """The parameters for `at_places`, from values of the column `rows` of a project."""
    named = dict.fromkeys(place for several in rows for place in several.split(" "))
    places = [place.rsplit("/", 1) for place in named]
    key = {"of_bucket": of.bucket, "of_project": of.project}
    if connection.dialect.name == "sqlite":
        listed = msgspec.json.encode([(import_id, int(row)) for import_id, row in places]).decode()
        return {"places": listed, **key}
    return {**key, "imports": [import_id for import_id, _ in places], "rows": [int(row) for _, row in places]}
