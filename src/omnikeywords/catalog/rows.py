"""Many rows at once into a table and out of it: each database's own fastest way."""

from collections.abc import Iterator, Sequence
from typing import Any

import polars as pl
from sqlalchemy import Select, Table, case, func, select

from omnikeywords.db import Connection

__all__ = ["fetch", "fetch_parts", "put", "put_columns", "unlike"]

_FETCHED = 20_000  # rows that are Python's own at a time


def put(connection: Connection, table: Table, frame: pl.DataFrame, keep: Sequence[str] = ()) -> None:
    """Insert the rows of a frame, whose columns are the table's; where a key is there already its row is replaced.

    `keep` are columns that stay as they are in a row that is replaced. Rows that are there as they are to be are not
    written again: no page of theirs changes.
    """
    if not frame.height:
        return
    key = [column.name for column in table.primary_key]
    changed = [name for name in frame.columns if name not in key and name not in keep]
    # A column that no row fills is not sent at all: it is null by itself, in `excluded` too.
    frame = frame.select(column for column in frame.iter_columns() if column.null_count() < frame.height)
    names = frame.columns
    replace = _replacing(table, changed, "IS NOT" if connection.dialect.name == "sqlite" else "IS DISTINCT FROM")
    conflict = f"ON CONFLICT ({', '.join(map(_q, key))}) {replace}"
    columns = ", ".join(map(_q, names))
    driver = _driver(connection)
    if connection.dialect.name == "sqlite":
        statement = f"INSERT INTO {table.name} ({columns}) VALUES ({', '.join('?' * len(names))}) {conflict}"
        driver.executemany(statement, _tuples(frame))
        return
    # ON CONFLICT is not for COPY, so the rows go through a table of this transaction's own.
    with driver.cursor() as cursor:
        loading = f"okf_loading_{table.name}"
        cursor.execute(f"CREATE TEMPORARY TABLE IF NOT EXISTS {loading} (LIKE {table.name}) ON COMMIT DROP")
        cursor.execute(f"TRUNCATE {loading}")
        _copy(cursor, f"{loading} ({columns})", frame)
        cursor.execute(f"INSERT INTO {table.name} ({columns}) SELECT {columns} FROM {loading} {conflict}")


def _replacing(table: Table, columns: Sequence[str], differs: str) -> str:
    """What becomes of a row that is there."""
    if not columns:
        return "DO NOTHING"
    sets = ", ".join(f"{_q(name)} = excluded.{_q(name)}" for name in columns)
    held, given = (", ".join(f"{of}.{_q(name)}" for name in columns) for of in (table.name, "excluded"))
    return f"DO UPDATE SET {sets} WHERE ({held}) {differs} ({given})"


def put_columns(connection: Connection, table: Table, frame: pl.DataFrame) -> None:
    """Give rows that are there other values: the frame holds their key and the columns that change."""
    if not frame.height:
        return
    key = [column.name for column in table.primary_key]
    changed = [name for name in frame.columns if name not in key]
    driver = _driver(connection)
    if connection.dialect.name == "sqlite":
        values = ", ".join(f"{_q(name)} = ?" for name in changed)
        which = " AND ".join(f"{_q(name)} = ?" for name in key)
        driver.executemany(f"UPDATE {table.name} SET {values} WHERE {which}", _tuples(frame.select(*changed, *key)))
        return
    # Row by row, in one go over the network: each is found by the key, of whatever size the planner believes the table.
    values = ", ".join(f"{_q(name)} = %s" for name in changed)
    which = " AND ".join(f"{_q(name)} = %s" for name in key)
    with driver.cursor() as cursor:
        statement = f"UPDATE {table.name} SET {values} WHERE {which}"
        cursor.executemany(statement, _written(frame.select(*changed, *key)).iter_rows())


def fetch(
    connection: Connection, statement: Select[Any], schema: dict[str, Any], parameters: dict[str, Any] | None = None
) -> pl.DataFrame:
    """What a statement finds, as a frame; rows are Python's own a part at a time only."""
    return pl.concat([pl.DataFrame(schema=schema), *_parts(connection, statement, schema, parameters or {})])


def fetch_parts(connection: Connection, statement: Select[Any], schema: dict[str, Any]) -> Iterator[pl.DataFrame]:
    """What a statement finds, a frame at a time, so that there may be more of it than memory holds."""
    # SQLite gives them one by one by itself.
    streamed = connection.dialect.name != "sqlite"
    return _parts(connection, statement.execution_options(stream_results=streamed), schema, {})


def unlike(
    connection: Connection,
    frame: pl.DataFrame,
    key: str,
    statement: Select[Any],
    parameters: dict[str, Any] | None = None,
) -> pl.Series:
    """Which rows of a frame are not among those that a statement finds, whose columns are the frame's.

    `key` is a column that has another value in each row that is found.
    """
    held = _texts(connection, statement, frame.columns, parameters or {})
    given = _written(frame) if connection.dialect.name == "postgresql" else frame
    held = given.select(pl.col(key).cast(pl.String)).join(
        held, on=key, how="left", maintain_order="left", coalesce=False
    )
    there = f"{key}_right"
    wrong = held[there].is_null()
    for column in given.iter_columns():
        text = held[there if column.name == key else column.name]
        value = _read(text, column.dtype, connection.dialect.name)
        wrong |= column.ne_missing(value) | (value.is_null() & text.is_not_null())
    return wrong


def _texts(
    connection: Connection, statement: Select[Any], names: Sequence[str], parameters: dict[str, Any]
) -> pl.DataFrame:
    """What a statement finds, its columns by these names, every value as the database writes it.

    The rows come as one CSV: as Python's own values they would hold up every other thread, and cost twice as much.
    """
    if connection.dialect.name == "postgresql":
        compiled = statement.compile(dialect=connection.dialect)
        with (
            _driver(connection).cursor() as cursor,
            cursor.copy(f"COPY ({compiled}) TO STDOUT (FORMAT csv)", compiled.construct_params(parameters)) as copy,
        ):
            found, quote = b"".join(copy), '"'
    else:
        # A text is quoted, so that one without letters is not null.
        rows = statement.subquery()
        values = [case((column.is_(None), ""), else_=func.quote(column)) for column in rows.columns]
        line = func.format(",".join(["%s"] * len(values)), *values)
        listed = connection.execute(select(func.group_concat(line, "\n")), parameters).scalar()
        found, quote = (listed or "").encode(), "'"
    if not found:
        return pl.DataFrame(schema=dict.fromkeys(names, pl.String()))
    return pl.read_csv(found, has_header=False, new_columns=names, infer_schema=False, quote_char=quote)


def _read(texts: pl.Series, kind: pl.DataType, dialect: str) -> pl.Series:
    """Values as a database writes them, as values of a kind; null where one is of no such kind."""
    if kind == pl.Boolean:
        return texts.replace_strict({"t": True, "1": True, "f": False, "0": False}, default=None, return_dtype=kind)
    if isinstance(kind, pl.Datetime):
        # SQLite writes no zone: there every time is of UTC.
        zone = "%#z" if dialect == "postgresql" else ""
        times = texts.str.to_datetime(f"%Y-%m-%d %H:%M:%S%.f{zone}", time_unit="us", strict=False)
        return times.cast(kind) if zone else times.dt.replace_time_zone("UTC")
    if kind == pl.Date:
        return texts.str.to_date("%Y-%m-%d", strict=False)
    return texts.cast(kind, strict=False)


def _parts(
    connection: Connection, statement: Select[Any], schema: dict[str, Any], parameters: dict[str, Any]
) -> Iterator[pl.DataFrame]:
    # SQLite has neither days nor times: they are the texts of `_tuples`.
    texts = [name for name, kind in schema.items() if kind.is_temporal() and connection.dialect.name == "sqlite"]
    raw = schema | dict.fromkeys(texts, pl.String())
    result = connection.execute(statement, parameters)
    # Not through the result's own rows: they cost more than the values in them.
    cursor = result.cursor
    assert cursor is not None
    # Of what is streamed the result has taken the first row already, to tell whether there is any.
    streamed = result.context.execution_options.get("stream_results", False)
    first = [tuple(row) for row in result.fetchmany(1)] if streamed else []
    if streamed and not first:
        return
    while rows := [*first, *cursor.fetchmany(_FETCHED - len(first))]:
        first = []
        part = pl.DataFrame(rows, schema=raw, orient="row")
        yield part.with_columns(pl.col(name).str.strptime(schema[name], strict=True) for name in texts)
    result.close()


def _driver(connection: Connection) -> Any:
    driver = connection.connection.driver_connection
    assert driver is not None
    return driver


def _copy(cursor: Any, into: str, frame: pl.DataFrame) -> None:
    with cursor.copy(f"COPY {into} FROM STDIN (FORMAT csv)") as copy:
        copy.write(frame.write_csv(include_header=False, quote_style="non_numeric").encode())


def _q(name: str) -> str:
    return f'"{name}"'


def _tuples(frame: pl.DataFrame) -> Iterator[tuple[Any, ...]]:
    """Rows for SQLite, times and days as the texts by which SQLAlchemy keeps them there."""
    texts = frame.with_columns(
        pl.col(pl.Datetime).dt.strftime("%Y-%m-%d %H:%M:%S%.6f"),
        pl.col(pl.Date).dt.strftime("%Y-%m-%d"),
    )
    return zip(*(column.to_list() for column in texts.iter_columns()), strict=True)


def _written(frame: pl.DataFrame) -> pl.DataFrame:
    """Rows as they are on PostgreSQL, which is given numbers as they are written."""
    return frame.with_columns(pl.col(pl.Float32).cast(pl.String).cast(pl.Float64))
