"""Imports: exports brought into a project, and what came of them."""

import io
from dataclasses import dataclass
from datetime import date, datetime
from typing import BinaryIO

from omnikeywords import jobs
from omnikeywords.catalog import imports, listing, log, projects, uploads
from omnikeywords.catalog.imports import Import
from omnikeywords.catalog.listing import Compared
from omnikeywords.catalog.uploads import Keeping
from omnikeywords.db import Connection
from omnikeywords.errors import IdempotencyConflict
from omnikeywords.finder.catalogue import DEFAULT_PROJECT, Catalogue
from omnikeywords.jobs import Job
from omnikeywords.model import Market
from omnikeywords.workflows import ImportRequest

__all__ = ["Importing", "Imports"]


@dataclass(frozen=True, slots=True)
class Importing:
    """An import that was begun, or that was there already."""

    import_: Import
    job: Job | None  # that was begun with it; None where it is repeated
    repeated: bool  # the same content was imported before, for the same project, market and period

    @property
    def import_id(self) -> str:
        """Of the import."""
        return self.import_.id

    @property
    def job_id(self) -> str:
        """Of the job by which it came."""
        return self.import_.job_id


class _ImportedBefore(Exception):
    """There is no need of another import: nothing of it is kept."""

    def __init__(self, there: Import) -> None:
        super().__init__(there.id)
        self.there = there


class Imports:
    """The imports of every project; safe to share between threads."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    def upload(self, project: str = DEFAULT_PROJECT) -> Keeping:
        """An upload to go on with as it arrives; then `start` it, or drop it. Raises InvalidOption."""
        return uploads.Keeping(self._catalogue.database_of(project), projects.check_name(project), imports.new_id())

    def start(
        self,
        source: BinaryIO | bytes | Keeping,
        *,
        name: str,
        project: str = DEFAULT_PROJECT,
        market: str | None = None,
        period: tuple[date, date] | None = None,
        again: bool = False,
        actor: str = "unknown",
        key: str | None = None,
    ) -> Importing:
        """Keep an upload and begin to import it, making the project if it is not there.

        When this returns, any process may go on with it. The same content for the same project, market and period is
        not imported twice unless `again` says so: the import that is there is answered. So is the one that was begun
        under the same idempotency `key`. An upload that arrived before is of the project that it was made for.

        Raises InvalidOption, InvalidMarket, IdempotencyConflict where the key was used for something else.
        """
        asked = str(Market.parse(market)) if market else None
        if isinstance(source, uploads.Keeping):
            upload = source
        else:
            upload = self.upload(project)
        project, import_id = upload.project, upload.import_id
        try:
            if not isinstance(source, uploads.Keeping):
                uploads.keep(upload, io.BytesIO(source) if isinstance(source, bytes) else source)
            days = "/".join(day.isoformat() for day in period) if period else ""
            content = f"{upload.digest}:{asked or ''}:{days}"
            request = ImportRequest(project, import_id, name, content, asked, period, actor)
            with self._catalogue.database_of(project).write(project) as connection:
                if key is not None:
                    self._check_key(connection, project, content, key)
                upload.finish(connection)
                begun, job = self._catalogue.workflows_of(project).start_import(connection, request, key)
                upload.check(connection)
                # Of several at once, those behind the first find it, as each has waited for its turn by now.
                there = None if again else imports.same_content(connection, project, content, but=import_id)
                if there is not None:
                    raise _ImportedBefore(there)
                return Importing(begun, job, False)
        except _ImportedBefore as found:
            upload.drop()
            return Importing(found.there, None, True)
        except BaseException:
            upload.drop()
            raise

    def _check_key(self, connection: Connection, project: str, content: str, key: str) -> None:
        """Raises _ImportedBefore where an import was begun under an idempotency key, IdempotencyConflict where
        something else was."""
        log.take_turn(connection, projects.bucket_of(project))
        job = jobs.of_key(connection, project, key)
        if job is None:
            return
        there = imports.begun(connection, project, job.input.get("import_id", ""))
        if there is None or there.content != content:
            raise IdempotencyConflict(
                f"idempotency key {key!r} was used for another import: use a new key", key=key, job=job.id
            )
        raise _ImportedBefore(there)

    def newest(
        self,
        project: str = DEFAULT_PROJECT,
        *,
        limit: int | None = None,
        before: tuple[datetime, str] | None = None,
    ) -> list[Import]:
        """Imports of a project, the newest first; `before` are start and id of the last one of the page before."""
        return imports.list_imports(self._catalogue.database_of(project), project, limit=limit, before=before)

    def count(self, project: str = DEFAULT_PROJECT) -> int:
        """How many imports a project has had."""
        return imports.count_imports(self._catalogue.database_of(project), project)

    def find(self, import_id: str, project: str = DEFAULT_PROJECT) -> Import:
        """One import. Raises NotFound."""
        return imports.find(self._catalogue.database_of(project), project, import_id)

    def rejects(
        self, import_id: str, project: str = DEFAULT_PROJECT, *, first: int = 0, limit: int | None = None
    ) -> list[tuple[int | None, str]]:
        """The rows of an import that were not taken, as (line, reason), from the `first` on. Raises NotFound."""
        self.find(import_id, project)
        return imports.list_rejects(self._catalogue.database_of(project), project, import_id, first=first, limit=limit)

    def count_rejects(self, import_id: str, project: str = DEFAULT_PROJECT) -> int:
        """How many rows of an import are listed as not taken."""
        return imports.count_rejects(self._catalogue.database_of(project), project, import_id)

    def withdraw(self, import_id: str, project: str, actor: str, reason: str = "withdrawn") -> None:
        """Make an import count nowhere; the log keeps what it said. Raises NotFound."""
        self.find(import_id, project)
        with self._catalogue.database_of(project).write(project) as connection:
            self._catalogue.workflows_of(project).withdraw_import(connection, project, import_id, reason, actor)

    def delete(self, import_id: str, project: str, actor: str, reason: str = "deleted") -> Job:
        """Make an import count nowhere; returns the job that erases what it said. Raises NotFound."""
        self.find(import_id, project)
        with self._catalogue.database_of(project).write(project) as connection:
            return self._catalogue.workflows_of(project).delete_import(connection, project, import_id, reason, actor)

    def compare(self, before: str, after: str, project: str = DEFAULT_PROJECT, *, limit: int = 1000) -> Compared:
        """What is new, lost or moved in one import against another. Raises NotFound."""
        self.find(before, project)
        self.find(after, project)
        return listing.compare(self._catalogue.reading(project), project, before, after, limit)
