"""A catalogue for tests: imports without jobs, chunk by chunk, and whole tables to compare."""

import io
import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import polars as pl
from sqlalchemy import Table, select

from omnikeywords.analysis import Options
from omnikeywords.catalog import groups, imports, listing, projects
from omnikeywords.catalog.events import rows_of
from omnikeywords.catalog.follow import Follower
from omnikeywords.catalog.keywords import KeywordsModel
from omnikeywords.catalog.projects import Project, bucket_of
from omnikeywords.catalog.tables import keywords, marks, observations
from omnikeywords.db import Database
from omnikeywords.formats import open_export
from omnikeywords.formats.merge import with_parts
from omnikeywords.formats.write import extra_as_text
from omnikeywords.jobs import JobState, list_jobs, run_until_done
from omnikeywords.model import Market
from omnikeywords.workflows import Workflows

__all__ = ["Catalogue", "Chunk", "chunks_of", "table_of"]

READ_MODELS = (keywords, observations, marks)


@dataclass(frozen=True, slots=True)
class Chunk:
    """One chunk of an import, as its saga would append it."""

    import_id: str
    number: int
    first_row: int
    frame: pl.DataFrame


def chunks_of(
    import_id: str,
    file: bytes,
    name: str = "keywords.csv",
    *,
    size: int = 10_000,
    market: str | None = None,
    period: tuple[date, date] | None = None,
) -> list[Chunk]:
    """The rows of a file, cut into chunks."""
    made: list[Chunk] = []
    row = 0
    given = Market.parse(market) if market else None
    with open_export(io.BytesIO(file), name=name, market=given, period=period) as export:
        for batch in export.batches(size):
            frame = extra_as_text(with_parts(batch.frame))
            frame = frame.select(n for n in frame.columns if frame[n].null_count() < frame.height)
            made.append(Chunk(import_id, len(made), row, frame))
            row += frame.height
    return made


class Catalogue:
    """One project's side of a database."""

    def __init__(self, database: Database, project: str = "shop", model: KeywordsModel | None = None) -> None:
        self.database = database
        self.project = project
        self.bucket = bucket_of(project)
        self.model = model or KeywordsModel(database)

    def create(self, **settings: Any) -> None:
        with self.database.write(self.project) as connection:
            projects.create(connection, Project(self.project, **settings), "ana")

    def start(self, import_id: str, content: str = "") -> None:
        facts = {"name": f"{import_id}.csv", "job_id": "j1", "market": None, "period_start": None, "period_end": None}
        with self.database.write(self.project) as connection:
            imports.start(connection, self.project, import_id, {**facts, "content": content or import_id}, "ana")

    def append(self, *chunks: Chunk) -> None:
        with self.database.write(self.project) as connection:
            for chunk in chunks:
                place = (chunk.import_id, chunk.number, chunk.first_row, chunk.frame.height)
                imports.append_rows(connection, self.project, *place, rows_of(chunk.frame), "ana")

    def complete(self, import_id: str) -> None:
        facts = {"skipped": {}, "tool": None, "market": None, "period_start": None, "period_end": None}
        with self.database.write(self.project) as connection:
            imports.complete(connection, self.project, import_id, facts, "ana")

    def bring(self, import_id: str, file: bytes, *, follow: bool = True, **how: Any) -> None:
        """Import a file, whole."""
        self.start(import_id)
        self.append(*chunks_of(import_id, file, **how))
        self.complete(import_id)
        if follow:
            self.follow()

    def bring_shuffled(self, files: Sequence[Sequence[Chunk]], dice: random.Random, *, at_once: int = 3) -> None:
        """Several imports at the same time: their chunks in any order, the follower coming by now and then."""
        for chunks in files:
            self.start(chunks[0].import_id)
        waiting = [chunk for chunks in files for chunk in chunks]
        dice.shuffle(waiting)
        while waiting:
            n = dice.randint(1, at_once)
            self.append(*waiting[:n])
            del waiting[:n]
            if dice.random() < 0.5:
                self.follow()
        self.follow()

    def follow(self) -> int:
        return Follower(self.database, self.model, self.bucket).advance()

    def rebuild(self) -> None:
        Follower(self.database, self.model, self.bucket).rebuild()

    def regroup(self) -> None:
        groups.regroup(self.database, self.project)

    def withdraw(self, import_id: str) -> None:
        with self.database.write(self.project) as connection:
            imports.withdraw(connection, self.project, import_id, "not wanted", "ana")

    def delete(self) -> None:
        """Delete the project; what it said is erased when its jobs run."""
        with self.database.write(self.project) as connection:
            Workflows(self.database).delete_project(connection, self.project, "ana")

    def erase(self) -> None:
        """Delete the project, and erase what it said."""
        self.delete()
        self.run_jobs(Workflows(self.database))

    def change(self, **changes: Any) -> None:
        """Give the project other settings, and do what follows from them."""
        workflows = Workflows(self.database)
        with self.database.write(self.project) as connection:
            workflows.change_project(connection, self.project, "ana", changes)
        self.run_jobs(workflows)

    def run_jobs(self, workflows: Workflows) -> None:
        """Run every job of the project to its end."""
        with self.database.read(self.project) as connection:
            waiting = [job.id for job in list_jobs(connection, project=self.project) if not job.state.ended]
        for job_id in waiting:
            assert run_until_done(self.database, workflows.sagas, job_id).state is JobState.COMPLETED

    def options(self) -> Options:
        found = projects.find(self.database, self.project)
        return Options(market=found.market, brands=found.brands, weights=found.score_weights())

    def objects(self, **filters: str) -> pl.DataFrame:
        """The keyword objects of an export, by id."""
        where = listing.Filters(filters.pop("q", ""), filters)
        return pl.concat(list(listing.export(self.database, self.project, self.options(), where)))

    def page(self, **how: Any) -> listing.Page:
        where = listing.Filters(how.pop("q", ""), how.pop("filters", {}))
        return listing.page(self.database, self.project, self.options(), where, **how)

    def rows(self, *, timeless: bool = False) -> dict[str, list[tuple[Any, ...]]]:
        """Everything that the read models hold of the project, row for row.

        `timeless` leaves out when it was recorded.
        """
        left_out = {"created_at", "updated_at", "recorded_at"} if timeless else set()
        return {table.name: table_of(self.database, table, self.project, left_out) for table in READ_MODELS}


def table_of(database: Database, table: Table, project: str, left_out: set[str]) -> list[tuple[Any, ...]]:
    """The rows of a table that are of a project, in the order of its key."""
    columns = [column for column in table.columns if column.name not in {"bucket", "project", *left_out}]
    key = [column for column in table.primary_key if column.name not in left_out]
    with database.read(project) as connection:
        found = connection.execute(select(*columns).where(table.c.project == project).order_by(*key))
        return [tuple(row) for row in found]
