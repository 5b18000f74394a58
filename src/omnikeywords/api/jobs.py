"""`/api/v1/jobs`: durable runs, how far they are, and what can be done with them."""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from omnikeywords.api.catalogue import DATABASE_PROBLEMS, Catalogue, allowed, json_reply, part_of
from omnikeywords.api.guard import Call, Reply
from omnikeywords.api.paging import Pages, PlainText
from omnikeywords.api.problems import Problem, body_of, problem_of
from omnikeywords.api.reading import read_query
from omnikeywords.api.route import Answer, Route
from omnikeywords.api.schemas import PageQuery, ProjectQuery, Total, TotalIsExact
from omnikeywords.jobs import Job, JobState, Trouble
from omnikeywords.ops import Health

__all__ = ["JobObject", "Progress", "TroubleObject", "failure_of", "job_object", "job_routes", "progress_of"]

_JOBS = Pages("jobs", PlainText)
_LOOK_SECONDS = 0.5  # between looks at a job that somebody follows
_HEARTBEAT_SECONDS = 15.0
_MOST_SECONDS = 600.0  # of one stream; clients come again by themselves
_MOST_STREAMS = 100  # of one process


class TroubleObject(Struct, frozen=True):
    """What went wrong."""

    code: str
    message: str
    step: str | None
    params: dict[str, Any]


class StepObject(Struct, frozen=True):
    """A step that was begun."""

    name: str
    state: Annotated[str, Meta(description="begun, done or undone")]
    begun_at: datetime
    done_at: datetime | None
    undone_at: datetime | None


class Progress(Struct, frozen=True):
    """How far a job is; null where it is not known."""

    rows_read: int | None
    rows_kept: int | None
    rows_merged: Annotated[
        int | None, Meta(description="Of those kept: rows of a keyword that another row of the file is of too.")
    ]
    rows_skipped: int | None
    rows_per_second: float | None
    seconds_left: Annotated[
        float | None,
        Meta(
            description="Until all rows are read, an estimate from what was; then null while they are made keywords "
            "and near-duplicates are looked for, and 0 once the job is completed."
        ),
    ]


class JobObject(Struct, frozen=True):
    """A job as it stands."""

    id: str
    project: str
    kind: str
    state: Annotated[str, Meta(description="queued, running, compensating, completed, failed, cancelled or stuck")]
    run: int
    step: str | None
    import_id: str | None
    progress: Progress
    failure: Annotated[TroubleObject | None, Meta(description="Why it turned back.")]
    trouble: Annotated[TroubleObject | None, Meta(description="The last try that failed, or why it is parked.")]
    cancel_requested: bool
    created_at: datetime
    started_at: datetime | None
    updated_at: datetime
    ended_at: datetime | None
    steps: list[StepObject]


class JobList(Struct, frozen=True):
    """Jobs, the newest first."""

    jobs: list[JobObject]
    total: Total
    total_is_exact: TotalIsExact
    next_cursor: str | None


def progress_of(job: Job | None) -> dict[str, Any]:
    """How far a job is, how fast, and how long it still may take; nothing is known of one that was forgotten."""
    if job is None:
        return dict.fromkeys(Progress.__struct_fields__)
    rows = job.progress.get("rows_read")
    rate = left = None
    began = next((step.done_at for step in job.steps if step.name == "validate"), None) or job.started_at
    until = next((step.done_at for step in job.steps if step.name == "append"), None)
    now = until or job.ended_at or job.updated_at
    if rows and began is not None and (took := (now - began).total_seconds()) > 0:
        rate = round(rows / took, 1)
        share = job.progress.get("share_read")
        if until is None and not job.state.ended and share and share < 1:
            left = max(0.1, round(took * (1 - share) / share, 1))  # 0 is for what is completed
    if job.state is JobState.COMPLETED:
        left = 0.0
    return {
        "rows_read": rows,
        "rows_kept": job.progress.get("rows_kept"),
        "rows_merged": job.progress.get("rows_merged"),
        "rows_skipped": job.progress.get("rows_skipped"),
        "rows_per_second": rate,
        "seconds_left": left,
    }


def job_object(job: Job) -> dict[str, Any]:
    """A job as JobObject has it."""
    return {
        "id": job.id,
        "project": job.project,
        "kind": job.kind,
        "state": job.state.value,
        "run": job.run,
        "step": job.step,
        "import_id": job.input.get("import_id"),
        "progress": progress_of(job),
        "failure": _trouble(job.failure),
        "trouble": _trouble(job.trouble),
        "cancel_requested": job.cancel_requested,
        "created_at": job.created_at,
        "started_at": job.started_at,
        "updated_at": job.updated_at,
        "ended_at": job.ended_at,
        "steps": [
            {
                "name": step.name,
                "state": step.state.value,
                "begun_at": step.begun_at,
                "done_at": step.done_at,
                "undone_at": step.undone_at,
            }
            for step in job.steps
        ],
    }


def failure_of(job: Job | None) -> dict[str, Any] | None:
    """Why a job turned back."""
    return _trouble(job.failure) if job else None


def _trouble(trouble: Trouble | None) -> dict[str, Any] | None:
    if trouble is None:
        return None
    return {"code": trouble.code, "message": trouble.message, "step": trouble.step, "params": trouble.params}


class Jobs:
    """The endpoints."""

    def __init__(self, catalogue: Catalogue, checks: Health) -> None:
        self._finder = catalogue.finder
        self._run = catalogue.threads.run
        self._checks = checks
        self._streams = 0

    async def list(self, call: Call) -> Reply:
        asked, _ = read_query(call, PageQuery)
        project = allowed(call, "read", asked.project)
        (before,) = _JOBS.behind(asked.cursor) or (None,)
        return await self._run(self._list, project, asked.limit, before)

    def _list(self, project: str, limit: int, before: str | None) -> Reply:
        self._finder.projects.find(project)
        listed = self._finder.jobs.newest(project, limit=limit + 1, before=before)
        with_steps = self._finder.jobs.find_many([job.id for job in listed], project)
        return json_reply(
            _JOBS.page(
                listed,
                limit,
                self._finder.jobs.count(project),
                place=lambda job: (job.id,),
                shown=lambda job: job_object(with_steps.get(job.id, job)),
            )
        )

    async def show(self, call: Call) -> Reply:
        job_id, project = self._asked(call, "read")
        return json_reply(job_object(await self._run(self._finder.jobs.find, job_id, project)))

    def steer(self, verb: str) -> Callable[[Call], Awaitable[Reply]]:
        """The endpoint that does this to a job."""

        async def steered(call: Call) -> Reply:
            job_id, project = self._asked(call, "write")
            return json_reply(job_object(await self._run(self._finder.jobs.steer, verb, job_id, project)))

        return steered

    async def stream(self, call: Call) -> Reply:
        job_id, project = self._asked(call, "read")
        if self._streams >= _MOST_STREAMS:
            raise Problem("overloaded", "too many streams at once: try again in a second", headers=_LATER)
        job = await self._run(self._finder.jobs.find, job_id, project)
        seen = call.headers.get(b"last-event-id", b"")
        return Reply(b"", content_type=b"text/event-stream", more=self._events(job, seen))

    def _asked(self, call: Call, scope: Any) -> tuple[str, str]:
        asked, _ = read_query(call, ProjectQuery)
        project = allowed(call, scope, asked.project)
        return part_of(call, "job_id"), project

    async def _events(self, job: Job, seen: bytes) -> AsyncGenerator[bytes, None]:
        """The job whenever it changed, a comment where it did not for a while, and a last event when it has ended.

        `seen` is the id of the last event that the client had before: what it told is not told again.
        """
        self._streams += 1
        try:
            began = spoke = time.monotonic()
            yield b"retry: 2000\n\n"
            while True:
                number = _event_id(job.updated_at)
                over = job.state.ended or job.state is JobState.STUCK
                if over or number != seen:
                    yield _event("end" if over else "progress", msgspec.json.encode(job_object(job)), number)
                    seen, spoke = number, time.monotonic()
                elif time.monotonic() - spoke >= _HEARTBEAT_SECONDS:
                    yield b": nothing new\n\n"
                    spoke = time.monotonic()
                if over or time.monotonic() - began >= _MOST_SECONDS or "draining" in self._checks.look():
                    return
                await asyncio.sleep(_LOOK_SECONDS)
                try:
                    job = await self._run(self._finder.jobs.find, job.id, job.project)
                except Exception as error:
                    problem = problem_of(error)
                    if problem.status != 503:
                        yield _event("problem", body_of(problem), _event_id(datetime.now(UTC)))
                        return
                    # Too much to do just now: look again later.
        finally:
            self._streams -= 1


_LATER = ((b"retry-after", b"1"),)


def _event_id(at: datetime) -> bytes:
    return b"%d" % int(at.timestamp() * 1000)


def _event(name: str, data: bytes, number: bytes) -> bytes:
    return b"event: %s\nid: %s\ndata: %s\n\n" % (name.encode(), number, data)


def job_routes(catalogue: Catalogue, checks: Health) -> list[Route]:
    """The endpoints, bound to what answers them."""
    jobs = Jobs(catalogue, checks)
    one = "/api/v1/jobs/{job_id}"
    verbs = {
        "cancel": (
            "Cancel a job",
            "It undoes what it did. One whose rows are all in can no longer be cancelled: delete its import.",
        ),
        "resume": ("Let a job go on", "One that is stuck goes on where it is; one that waits goes on now."),
        "retry": ("Run a job again", "One that failed or was cancelled, from its first step."),
    }
    return [
        Route(
            "GET",
            "/api/v1/jobs",
            jobs.list,
            "listJobs",
            "jobs",
            "List jobs",
            "Of a project, the newest first.",
            asks=PageQuery,
            answers={200: Answer("A page of jobs.", JobList)},
            problems=("invalid_request", *DATABASE_PROBLEMS),
        ),
        Route(
            "GET",
            one,
            jobs.show,
            "getJob",
            "jobs",
            "Show a job",
            asks=ProjectQuery,
            answers={200: Answer("The job with its steps.", JobObject)},
            problems=("invalid_request", *DATABASE_PROBLEMS),
        ),
        *(
            Route(
                "POST",
                f"{one}/{verb}",
                jobs.steer(verb),
                f"{verb}Job",
                "jobs",
                summary,
                f"{description} Needs scope `write`.",
                asks=ProjectQuery,
                answers={200: Answer("The job as it is now.", JobObject)},
                problems=("invalid_request", "conflict", *DATABASE_PROBLEMS),
            )
            for verb, (summary, description) in verbs.items()
        ),
        Route(
            "GET",
            f"{one}/stream",
            jobs.stream,
            "followJob",
            "jobs",
            "Follow a job",
            "Server-sent events: `progress` with the job whenever it changed, and `end` with the job when it has "
            "ended; close it there. A comment comes where nothing changed for 15 seconds. A stream ends after ten "
            "minutes at the latest; browsers open it again, and are told what changed meanwhile.",
            asks=ProjectQuery,
            headers={"last-event-id": "The id of the last event that came; what it told is not told again."},
            answers={200: Answer("Events as they happen.", None, "text/event-stream")},
            problems=("invalid_request", *DATABASE_PROBLEMS),
        ),
    ]
