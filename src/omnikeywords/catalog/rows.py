"""Many rows at once into a table and out of it: each database's own fastest way."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
import polars as pl
from sqlalchemy import Select, Table, text

from omnikeywords.db import Connection

__all__ = ["fetch", "put", "put_columns"]

_FETCHED = 50_000  # rows that are Python's own at a time


def put(connection: Connection, table: Table, frame: pl.DataFrame, keep: Sequence[str] = ()) -> None:
    """Insert the rows of a frame, whose columns are the table's; where a key is there already its row is replaced.

    `keep` are columns that stay as they are in a row that is replaced.
    """
    if not frame.height:
        return
    names = frame.columns
    key = [column.name for column in table.primary_key]
    changed = [name for name in names if name not in key and name not in keep]
    replace = f"DO UPDATE SET {', '.join(f'{_q(n)} = excluded.{_q(n)}' for n in changed)}" if changed else "DO NOTHING"
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


def put_columns(connection: Connection, table: Table, of: Mapping[str, Any], frame: pl.DataFrame) -> None:
    """Give rows that are there other texts: the frame holds their `id` and the columns that change; `of` is the rest of
    their key, the same for all."""
    if not frame.height:
        return
    changed = [name for name in frame.columns if name != "id"]
    which = " AND ".join(f"{_q(name)} = :of_{name}" for name in of)
    parameters = {f"of_{name}": value for name, value in of.items()}
    if connection.dialect.name == "sqlite":
        values = ", ".join(f"{_q(name)} = :{name}" for name in changed)
        statement = text(f"UPDATE {table.name} SET {values} WHERE {which} AND id = :id")
        connection.execute(statement, [row | parameters for row in frame.iter_rows(named=True)])
        return
    # Not joined with a table of the new texts: before anyone has counted rows, PostgreSQL goes through that table for
    # each row of the project.
    values = ", ".join(f"{_q(name)} = new.texts -> {table.name}.id ->> {i}" for i, name in enumerate(changed))
    statement = text(
        f"UPDATE {table.name} SET {values} FROM (SELECT CAST(:texts AS jsonb) AS texts) AS new "
        f"WHERE {which} AND id = ANY(CAST(:ids AS text[]))"
    )
    texts = dict(zip(frame["id"], frame.select(changed).iter_rows(), strict=True))
    parameters |= {"texts": msgspec.json.encode(texts).decode(), "ids": list(texts)}
    connection.execute(statement, parameters)


def fetch(
    connection: Connection, statement: Select[Any], schema: dict[str, Any], parameters: dict[str, Any] | None = None
) -> pl.DataFrame:
    """What a statement finds, as a frame; rows are Python's own a part at a time only."""
    # SQLite has neither days nor times: they are the texts of `_tuples`.
    texts = [name for name, kind in schema.items() if kind.is_temporal() and connection.dialect.name == "sqlite"]
    raw = schema | dict.fromkeys(texts, pl.String())
    parts = [pl.DataFrame(schema=raw)]
    result = connection.execute(statement, parameters or {})
    # Not through the result's own rows: they cost more than the values in them.
    cursor = result.cursor
    assert cursor is not None
    while rows := cursor.fetchmany(_FETCHED):
        parts.append(pl.DataFrame(rows, schema=raw, orient="row"))
    result.close()
    return pl.concat(parts).with_columns(pl.col(name).str.strptime(schema[name], strict=True) for name in texts)


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
