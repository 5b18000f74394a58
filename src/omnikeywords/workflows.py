"""Our sagas: what is done durably, step by step, each step harmless when repeated and with its undo.

`ImportKeywords`   accept → validate → append, chunk by chunk → follow → group → tidy
`DeriveKeywords`   derive, some keywords at a time → group
`Erase`            follow → jobs → facts, for a project or an import that was deleted; there is no way back
`DeliverWebhook`   deliver; begun by the end of an import, of webhooks/

An import that is refused, cancelled or given up is withdrawn: from that event on it counts nowhere. Once all its rows
are appended there is no way back by itself; then it can be withdrawn like any other.

Keywords are derived anew where a project was given other settings, and where another version of the analysis made them.
"""

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from io import BufferedReader
from pathlib import Path
from typing import Any, BinaryIO, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from omnikeywords.analysis.normalise import normalise_batch
from omnikeywords.catalog import erasing, follow, gone, groups, imports, log, migrate, projects, uploads
from omnikeywords.catalog.events import rows_of
from omnikeywords.catalog.keywords import MODEL, KeywordsModel, Scope
from omnikeywords.db import Connection, Database
from omnikeywords.formats import Export, open_export
from omnikeywords.formats.merge import with_parts
from omnikeywords.formats.write import extra_as_text
from omnikeywords.jobs import (
    Context,
    Job,
    Saga,
    Step,
    crash_point,
    declare_crash_points,
    erase,
    made_before,
    of_key,
    start,
)
from omnikeywords.model import Market
from omnikeywords.ops import get_logger
from omnikeywords.webhooks import Deliveries, Sender

__all__ = ["CHUNK", "ImportRequest", "Workflows"]

CHUNK = 5_000  # rows of one event
_COUNTED = ("chunks", "rows", "rejects", "unusable", "merged")  # of an import, at each checkpoint
_MOST_REJECTS = 100_000  # kept one by one; all of them are counted
_UNDER_WAY = 2  # chunks that an import is ahead of the read models
_LONGEST_WAIT = 5.0  # seconds for them, before a chunk
_PAUSE = 0.01  # seconds between looks at how far they are
_ALIVE_SECONDS = 1.0  # between signs of life of a step that goes on for long
_log = get_logger(__name__)

declare_crash_points(
    {
        "import.accepted": "an import's first step is done",
        "import.validated": "its file was recognised",
        "import.chunk.read": "a chunk of its rows was read",
        "import.chunk.appended": "a chunk of its rows is in the log",
        "import.completed": "all its rows are in the log",
        "import.followed": "its rows are in the read models",
        "import.grouped": "near-duplicates were looked for anew",
        "import.withdrawn": "it counts nowhere any more",
        "derive.part.written": "some keywords of a project were derived anew",
        "derive.completed": "all keywords of a project were derived anew",
        "erase.followed": "nothing of what was deleted is in the read models",
        "erase.jobs.erased": "some jobs of a project that was deleted are erased",
        "erase.part.erased": "some facts that were deleted are erased",
        "erase.completed": "all of them are",
    }
)


@dataclass(frozen=True, slots=True)
class ImportRequest:
    """What somebody wants imported; what is to be read lies in the uploads already."""

    project: str
    import_id: str
    name: str  # of the file, for people and as a hint to the formats
    content: str  # digest of what was uploaded, its market and period
    market: str | None = None
    period: tuple[date, date] | None = None
    actor: str = "unknown"


class _Following:
    """Moves the read models on beside an import, chunk by chunk; what fails here the step `follow` does."""

    def __init__(self, database: Database, model: KeywordsModel, context: Context) -> None:
        self._database = database
        self._follower = follow.Follower(database, model, context.bucket)
        self._bucket = context.bucket
        self._job_id = context.job_id
        self._position = 0  # of what was appended last
        self._appended, self._ending = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._work, name=f"okf-follow-{context.job_id}", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._appended.set()
        self._thread.join()

    def appended(self, position: int) -> None:
        """There is another event to follow."""
        self._position = position
        self._appended.set()

    def keep_close(self) -> None:
        """Wait until the read models are not far behind: what is acknowledged is to be found soon after.

        Not for long, where they cannot follow or have others to follow first.
        """
        until = time.monotonic() + _LONGEST_WAIT
        while self._thread.is_alive() and time.monotonic() < until:
            with self._database.read() as connection:
                if self._position - follow.position_of(connection, MODEL, self._bucket) < _UNDER_WAY:
                    return
            time.sleep(_PAUSE)

    def _work(self) -> None:
        while not self._ending.is_set():
            self._appended.wait()
            self._appended.clear()
            try:
                self._follower.advance(self._ending.is_set)
            except Exception as error:
                _log.warning("read models do not follow an import yet", job=self._job_id, error=str(error))
                return


class Workflows:
    """The sagas over one database."""

    def __init__(
        self,
        database: Database,
        language_table: Path | None = None,
        brands: tuple[str, ...] = (),
        deliveries: Deliveries | None = None,
    ) -> None:
        self.database = self._database = database
        self.deliveries = deliveries or Deliveries(database, Sender())
        self._language_table = language_table
        self.model = KeywordsModel(database, language_table, brands)
        self.import_keywords = Saga(
            "import_keywords",
            [
                Step("accept", self._accept, undo=self._withdraw),
                Step("validate", self._validate),
                Step("append", self._append, pivot=True),
                Step("follow", self._follow),
                Step("group", self._group),
                Step("tidy", self._tidy),
            ],
        )
        self.derive_keywords = Saga("derive_keywords", [Step("derive", self._derive), Step("group", self._group)])
        self.erase = Saga(
            "erase",
            [Step("follow", self._follow_deletion), Step("jobs", self._erase_jobs), Step("facts", self._erase_facts)],
            revocable=False,
        )
        self.sagas = (self.import_keywords, self.derive_keywords, self.erase, self.deliveries.saga)

    def start_import(
        self, connection: Connection, request: ImportRequest, key: str | None = None
    ) -> tuple[imports.Import, Job]:
        """Begin an import in the caller's transaction, making the project if it is not there: its first event and its
        job are there together or not at all."""
        days = [day.isoformat() for day in request.period] if request.period else None
        started = start(
            connection,
            self.import_keywords,
            {
                "import_id": request.import_id,
                "name": request.name,
                "market": request.market,
                "period": days,
                "actor": request.actor,
            },
            project=request.project,
            bucket=projects.bucket_of(request.project),
            key=key,
        )
        facts = {
            "name": request.name,
            "job_id": started.job.id,
            "market": request.market,
            "period_start": days and days[0],
            "period_end": days and days[1],
            "content": request.content,
        }
        # Others of the bucket wait from here on only; mostly the project is there, and the import is the one event.
        bucket = projects.bucket_of(request.project)
        position: int | None = log.take_turn(connection, bucket, 1)
        if not projects.exists(connection, request.project):
            log.give_back(connection, bucket, 1)
            projects.ensure(connection, request.project, request.actor)
            position = None
        begun = imports.start(connection, request.project, request.import_id, facts, request.actor, position=position)
        return begun, started.job

    def cancelled(self, connection: Connection, job: Job) -> None:
        """What is left to do, in the caller's transaction, for a job that was cancelled before anybody began it."""
        if job.kind == self.import_keywords.kind:
            import_id: str = job.input["import_id"]
            self.withdraw_import(connection, job.project, import_id, "cancelled: before it began", job.input["actor"])
            uploads.forget(connection, job.project, import_id)

    def delete_project(self, connection: Connection, name: str, actor: str) -> Job:
        """Delete a project, and begin to erase everything that was ever said in it, its jobs too."""
        return self._start_erasing(connection, name, projects.remove(connection, name, actor))

    def withdraw_import(self, connection: Connection, project: str, import_id: str, reason: str, actor: str) -> None:
        """Make an import count nowhere, and begin to tell who wants to know."""
        with self._withdrawing(connection, project, import_id):
            imports.withdraw(connection, project, import_id, reason, actor)

    def delete_import(self, connection: Connection, project: str, import_id: str, reason: str, actor: str) -> Job:
        """Make an import count nowhere, and begin to erase what it said and how it came; a job that still brings it
        ends. Again it does nothing. Raises NotFound."""
        key = f"erase/{import_id}"
        log.take_turn(connection, projects.bucket_of(project))
        begun = of_key(connection, project, key)
        if begun is not None:
            return begun
        with self._withdrawing(connection, project, import_id) as there:
            position = imports.remove(connection, project, import_id, reason, actor)
        if there is not None:
            erase(connection, project, [there.job_id])
        return self._start_erasing(connection, project, position, imports.stream_of(import_id), key)

    def _start_erasing(
        self, connection: Connection, project: str, position: int, stream: str = gone.WHOLE, key: str | None = None
    ) -> Job:
        asked = {"position": position, "stream": stream}
        bucket = projects.bucket_of(project)
        return start(connection, self.erase, asked, project=project, bucket=bucket, key=key).job

    @contextmanager
    def _withdrawing(self, connection: Connection, project: str, import_id: str) -> Iterator[imports.Import | None]:
        """Announce what becomes of an import within the block, unless it was withdrawn before; it is as it was."""
        log.take_turn(connection, projects.bucket_of(project))  # nobody else withdraws it between look and act
        before = imports.begun(connection, project, import_id)
        yield before
        after = imports.begun(connection, project, import_id)
        if after is not None and before is not None and before.state != after.state:
            self.deliveries.announce(connection, after)

    def change_project(
        self, connection: Connection, name: str, actor: str, changes: Mapping[str, Any], expected: int | None = None
    ) -> projects.Project:
        """Give a project other settings, and begin to derive its keywords by them, in the caller's transaction.

        Raises as `projects.change`.
        """
        changed = projects.change(connection, name, actor, expected=expected, changes=changes)
        if set(changes) & {"market", "brands", "weights"}:
            self._start_derive(connection, name, f"settings/{changed.version}")
        return changed

    def derive_outdated(self) -> int:
        """Begin to derive anew what other versions of the analysis made; returns of how many projects that is."""
        with self._database.read() as connection:
            outdated = follow.outdated_buckets(connection, self.model)
        begun = 0
        for bucket in outdated:
            if follow.Follower(self._database, self.model, bucket).settle_version():
                continue
            with self._database.read() as connection:
                found = self.model.outdated_projects(connection, bucket)
                position = follow.position_of(connection, MODEL, bucket)
            for name in found:
                with self._database.write(name) as connection:
                    self._start_derive(connection, name, f"{self.model.version}/{position}")
            begun += len(found)
        return begun

    def _start_derive(self, connection: Connection, project: str, why: str) -> None:
        start(
            connection,
            self.derive_keywords,
            {},
            project=project,
            bucket=projects.bucket_of(project),
            key=f"derive/{why}",
        )

    def catch_up(self, stop: Callable[[], bool] = lambda: False) -> int:
        """Move every read model on as far as the log goes; returns how many buckets had something new."""
        with self._database.read() as connection:
            behind = follow.buckets_behind(connection, MODEL)
        for bucket in behind:
            if not stop():
                follow.Follower(self._database, self.model, bucket).advance(stop)
        return len(behind)

    def lag(self) -> int:
        """Events that the read models do not hold yet, of the bucket that is furthest behind."""
        with self._database.read() as connection:
            return max(follow.buckets_behind(connection, MODEL).values(), default=0)

    def make_partitions(self, first: date, months: int) -> None:
        """See to it that the observations of the coming months have a place of their own, on PostgreSQL."""
        if self._database.dialect == "postgresql":
            migrate.make_partitions(self._database, first, months)

    def forget_abandoned_uploads(self, before: datetime) -> int:
        """Delete the uploads begun before a time that never became an import; returns how many there were."""
        return uploads.forget_abandoned(self._database, before)

    def rebuild(self, on_bucket: Callable[[int, int], None] = lambda done, of: None) -> None:
        """Make every read model anew from the log."""
        with self._database.read() as connection:
            there = follow.active_buckets(connection)
        for number, bucket in enumerate(there):
            on_bucket(number, len(there))
            follow.Follower(self._database, self.model, bucket).rebuild()
        on_bucket(len(there), len(there))
        for project in projects.list_projects(self._database):
            self.regroup(project.name)

    def regroup(self, project: str) -> int:
        """Look for the near-duplicates of a project anew; returns for how many keywords that changed something."""
        return groups.regroup(self._database, project, self._language_table)

    # ---- the steps of ImportKeywords

    def _accept(self, context: Context) -> None:
        crash_point("import.accepted")

    def _withdraw(self, context: Context) -> None:
        trouble = context.failure
        reason = f"{trouble.code}: {trouble.message}" if trouble else "withdrawn"
        uploads.forget_most(self._database, context.project, context.input["import_id"])
        with context.transaction() as connection:
            self.withdraw_import(connection, context.project, context.input["import_id"], reason, _actor(context))
            uploads.forget(connection, context.project, context.input["import_id"])
            context.record(connection)
        crash_point("import.withdrawn")

    def _validate(self, context: Context) -> dict[str, Any]:
        with self._upload(context) as file, _opened(file, context.input) as export:
            found = {
                "tool": export.tool,
                "market": str(export.market) if export.market else None,
                "period_start": export.period.start.isoformat() if export.period else None,
                "period_end": export.period.end.isoformat() if export.period else None,
            }
        context.progress(tool=export.tool)
        crash_point("import.validated")
        return found

    def _append(self, context: Context) -> None:
        """Append the rows, a chunk a transaction; a later try goes on behind the last chunk that is there."""
        project, import_id = context.project, context.input["import_id"]
        done: Mapping[str, int] = context.state or dict.fromkeys(_COUNTED, 0)
        chunks, rows, noted, unusable, merged = (done[name] for name in _COUNTED)
        named = _Named()
        with (
            self._upload(context) as file,
            _opened(file, context.input) as export,
            _Following(self._database, self.model, context) as following,
        ):
            for number, batch in enumerate(export.batches(CHUNK)):
                normalized, lost = normalise_batch(batch.frame["keyword"].to_list())
                repeated = named.again(batch.frame, normalized)
                if number < chunks:
                    continue
                crash_point("import.chunk.read")
                chunk = extra_as_text(with_parts(batch.frame))
                rejects = [(chunk["line"][i], str(error)) for i, error in lost.items()]
                chunk = chunk.select(n for n in chunk.columns if chunk[n].null_count() < chunk.height)
                data = rows_of(chunk)
                following.keep_close()
                with context.transaction() as connection:
                    position = imports.append_rows(
                        connection, project, import_id, number, rows, chunk.height, data, _actor(context)
                    )
                    imports.reject(connection, project, import_id, noted, rejects[: _MOST_REJECTS - noted])
                    chunks, rows, unusable = number + 1, rows + chunk.height, unusable + len(lost)
                    noted, merged = noted + len(rejects[: _MOST_REJECTS - noted]), merged + repeated
                    context.progress(
                        rows_read=export.rows_in,
                        rows_kept=rows - unusable,
                        rows_merged=merged,
                        rows_skipped=export.rows_in - rows + unusable,
                        share_read=uploads.share_read(file),
                    )
                    counted = (chunks, rows, noted, unusable, merged)
                    context.checkpoint(connection, dict(zip(_COUNTED, counted, strict=True)))
                crash_point("import.chunk.appended")
                following.appended(position)
            skipped = dict(export.skipped.reasons)
            rejects = [(row.line, row.reason) for row in export.skipped]
        if unusable:
            skipped["cannot be analysed"] = unusable
        with context.transaction() as connection:
            imports.reject(connection, project, import_id, noted, rejects[: max(0, _MOST_REJECTS - noted)])
            facts = {**context.outputs["validate"], "skipped": skipped}
            position = imports.complete(connection, project, import_id, facts, _actor(context))
            kept, total = rows - unusable, sum(skipped.values())
            context.progress(
                rows_read=kept + total, rows_kept=kept, rows_merged=merged, rows_skipped=total, share_read=1.0
            )
            context.record(connection, {"position": position})
        crash_point("import.completed")

    def _follow(self, context: Context) -> None:
        """Wait until the read models hold every row; whoever gets there first makes them."""
        self._follow_to(context, context.outputs["append"]["position"])
        crash_point("import.followed")

    def _follow_to(self, context: Context, position: int) -> None:
        follower = follow.Follower(self._database, self.model, context.bucket)
        alive = 0.0

        def reached() -> bool:
            nonlocal alive
            if time.monotonic() - alive < _ALIVE_SECONDS:
                return False
            context.heartbeat()
            alive = time.monotonic()
            with self._database.read() as connection:
                return follow.position_of(connection, MODEL, context.bucket) >= position

        while not reached():
            follower.advance(reached)
            alive = 0.0

    def _group(self, context: Context) -> dict[str, int]:
        changed = groups.regroup(self._database, context.project, self._language_table, context.heartbeat)
        crash_point("import.grouped")
        return {"changed": changed}

    def _derive(self, context: Context) -> None:
        """Derive keyword by keyword, in the order of their ids; a later try goes on behind the last that is done."""
        scope = Scope(context.bucket, context.project)
        follower = follow.Follower(self._database, self.model, context.bucket)
        after, done = context.state or ("", 0)
        if not after:
            # Whoever is about to write what was derived before finds out that it is no longer the newest.
            follower.amend(lambda: iter([lambda connection: None]))
            with self._database.read(context.project) as connection:
                context.progress(keywords=self.model.count(connection, scope), derived=0)
        last: str | None = after
        derived = 0

        def parts() -> Iterator[follow.Part]:
            nonlocal last, derived
            last, derived, made = self.model.derive_anew(self._database, scope, after)
            return made

        while True:
            follower.amend(parts)
            if last is None:
                break
            crash_point("derive.part.written")
            after, done = last, done + derived
            with context.transaction() as connection:
                context.progress(derived=done)
                context.checkpoint(connection, (after, done))
        follower.settle_version()
        crash_point("derive.completed")

    def _tidy(self, context: Context) -> None:
        """Forget the upload and begin to tell who wants to know; the job ends in the same transaction."""
        project, import_id = context.project, context.input["import_id"]
        uploads.forget_most(self._database, project, import_id)
        with context.transaction() as connection:
            uploads.forget(connection, project, import_id)
            log.take_turn(connection, context.bucket)  # it is not deleted between look and act
            ended = imports.begun(connection, project, import_id)
            if ended is not None and ended.state == "completed":  # it may be withdrawn by now, which was told then
                self.deliveries.announce(connection, ended)
            context.record(connection)

    # ---- the steps of Erase

    def _follow_deletion(self, context: Context) -> None:
        """Let the read models drop what was deleted; what was said since comes behind it."""
        self._follow_to(context, context.input["position"])
        crash_point("erase.followed")

    def _erase_jobs(self, context: Context) -> None:
        """Erase the jobs of a project that was deleted, but those by which imports came since."""
        if context.input["stream"] != gone.WHOLE:
            return
        project, after = context.project, context.state or ""
        while True:
            with self._database.read(project) as connection:
                found = made_before(connection, context.job_id, after)
                kept = imports.jobs_of(connection, project, found)
            if not found:
                return
            after = found[-1]
            with context.transaction() as connection:
                erase(connection, project, set(found) - kept)
                context.checkpoint(connection, after)
            crash_point("erase.jobs.erased")

    def _erase_facts(self, context: Context) -> None:
        """Erase what is left, a part a transaction; what parts there are is found out anew by a later try."""
        project, stream, position = context.project, context.input["stream"], context.input["position"]
        done: int = context.state or 0
        for part in erasing.parts(self._database, context.bucket, project, position, stream):
            with context.transaction() as connection:
                part(connection)
                done += 1
                context.progress(parts_erased=done)
                context.checkpoint(connection, done)
            crash_point("erase.part.erased")
        with context.transaction() as connection:
            gone.settle(connection, context.bucket, project, position, stream)
            context.record(connection)
        crash_point("erase.completed")

    def _upload(self, context: Context) -> BufferedReader:
        return uploads.open_upload(self._database, context.project, context.input["import_id"])


class _Named:
    """Which keywords the rows of an import named so far: eight bytes for each."""

    def __init__(self) -> None:
        self._runs: list[NDArray[np.uint64]] = []  # sorted hashes, each run twice as long as the next or longer

    def again(self, rows: pl.DataFrame, normalized: Sequence[str]) -> int:
        """How many of the next rows name a keyword that one before them named."""
        named = rows.select("market").with_columns(pl.Series("phrase", normalized)).filter(pl.col("phrase") != "")
        new = np.unique(named.hash_rows().to_numpy())
        for run in self._runs:
            new = new[run.take(np.searchsorted(run, new), mode="clip") != new]
        self._runs.append(new)
        while len(self._runs) > 1 and len(self._runs[-2]) < 2 * len(self._runs[-1]):
            last = self._runs.pop()
            self._runs[-1] = np.sort(np.concatenate((self._runs[-1], last)), kind="stable")
        return named.height - len(new)


def _actor(context: Context) -> str:
    actor: str = context.input["actor"]
    return actor


def _opened(file: BinaryIO, asked: Mapping[str, Any]) -> Export:
    market, period = asked["market"], asked["period"]
    return open_export(
        file,
        name=asked["name"],
        market=Market.parse(market) if market else None,
        period=(date.fromisoformat(period[0]), date.fromisoformat(period[1])) if period else None,
    )
