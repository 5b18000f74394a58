"""What was uploaded lies in parts, and goes in parts."""

from typing import Any

import pytest
from sqlalchemy import event, select

from omnikeywords.catalog import uploads
from omnikeywords.catalog.projects import Project, create
from omnikeywords.catalog.uploads import Keeping
from omnikeywords.db import Database


def test_what_nobody_will_read_again_is_forgotten_some_of_it_at_a_time(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "PART_BYTES", 10)
    with database.write("shop") as connection:
        create(connection, Project("shop"), "ana")
    for import_id in ("i1a", "i1b"):
        keeping = Keeping(database, "shop", import_id)
        keeping.add(b"0123456789" * 20)
        with database.write("shop") as connection:
            keeping.add(b"the end")
            keeping.finish(connection)

    def parts(import_id: str) -> list[int]:
        table = uploads.uploads
        with database.read("shop") as connection:
            which = select(table.c.part).where(table.c.import_id == import_id).order_by(table.c.part)
            return list(connection.execute(which).scalars())

    deleted: list[int] = []

    def count(connection: Any, cursor: Any, statement: str, *_: object) -> None:
        if statement.startswith("DELETE"):
            deleted.append(cursor.rowcount)

    event.listen(database._engine, "after_cursor_execute", count)
    uploads.forget_most(database, "shop", "i1a")
    assert deleted == [8, 8, 4]
    assert (parts("i1a"), parts("i1b")) == ([0], list(range(21)))
    with database.write("shop") as connection:
        uploads.forget(connection, "shop", "i1a")
    assert (parts("i1a"), parts("i1b")) == ([], list(range(21)))
