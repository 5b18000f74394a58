"""Many rows at once into a table: each database's own fastest way."""

from collections.abc import Sequence

import polars as pl
from sqlalchemy import Table

from omnikeywords.db import Connection

__all__ = ["put"]


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
    driver = connection.connection.driver_connection
    assert driver is not None
    cursor = driver.cursor()
    try:
        if connection.dialect.name == "sqlite":
            statement = f"INSERT INTO {table.name} ({columns}) VALUES ({', '.join('?' * len(names))}) {conflict}"
            cursor.executemany(statement, _for_sqlite(frame).iter_rows())
        else:
            # ON CONFLICT is not for COPY, so the rows go through a table of this transaction's own.
            loading = f"okf_loading_{table.name}"
            cursor.execute(f"CREATE TEMPORARY TABLE IF NOT EXISTS {loading} (LIKE {table.name}) ON COMMIT DROP")
            cursor.execute(f"TRUNCATE {loading}")
            with cursor.copy(f"COPY {loading} ({columns}) FROM STDIN (FORMAT csv)") as copy:
                copy.write(frame.write_csv(include_header=False, quote_style="non_numeric").encode())
            cursor.execute(f"INSERT INTO {table.name} ({columns}) SELECT {columns} FROM {loading} {conflict}")
    finally:
        cursor.close()


def _q(name: str) -> str:
    return f'"{name}"'


def _for_sqlite(frame: pl.DataFrame) -> pl.DataFrame:
    """Times and days as the texts by which SQLAlchemy keeps them there."""
    return frame.with_columns(
        pl.col(pl.Datetime).dt.strftime("%Y-%m-%d %H:%M:%S%.6f"),
        pl.col(pl.Date).dt.strftime("%Y-%m-%d"),
    )
