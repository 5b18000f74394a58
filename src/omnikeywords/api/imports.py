"""`/api/v1/imports`: files and lists brought into a project, how far they are, what of them was not taken."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import suppress
from datetime import date, datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from omnikeywords.api.catalogue import DATABASE_PROBLEMS, Catalogue, allowed, json_reply, part_of
from omnikeywords.api.given import KeywordList, observed
from omnikeywords.api.guard import Call, Reply, read_body
from omnikeywords.api.jobs import Progress, TroubleObject, failure_of, progress_of
from omnikeywords.api.paging import Moment, Offset, Pages, PlainText
from omnikeywords.api.problems import Problem
from omnikeywords.api.reading import check_encoding, decode_json, media_of, printable, read_query, read_texts
from omnikeywords.api.route import Answer, Route
from omnikeywords.api.schemas import (
    Cursor,
    Limit,
    MarketText,
    PageQuery,
    ProjectName,
    ProjectQuery,
    Total,
    TotalIsExact,
)
from omnikeywords.api.uploading import Form, pieces
from omnikeywords.catalog.imports import Import
from omnikeywords.catalog.uploads import PART_BYTES, Keeping
from omnikeywords.errors import Conflict, NotFound
from omnikeywords.formats import observations_as_file
from omnikeywords.jobs import Job
from omnikeywords.model import days_of

if TYPE_CHECKING:
    from omnikeywords.finder.imports import Importing

__all__ = ["ImportObject", "import_routes"]

_IMPORTS = Pages("imports", Moment, PlainText)
_REJECTS = Pages("rejects", Offset)
_REJECTS_AT_ONCE = 5000  # read from the database for a file of them


class ImportQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """What to import and how; a form may say the same in fields of these names."""

    project: Annotated[
        ProjectName | None,
        Meta(description="It is made if it is not there. Left out: the key's only one, else `default`."),
    ] = None
    name: Annotated[
        Annotated[str, Meta(max_length=255)] | None,
        Meta(description="Of the file: for people, and a hint to what it is and speaks of."),
    ] = None
    market: Annotated[MarketText | None, Meta(description="Of rows that name none.")] = None
    date: Annotated[
        str | None,
        Meta(
            description="What the file speaks of, where it does not say so: a day, month or `2026-05-01..2026-05-28`.",
            examples=["2026-05"],
        ),
    ] = None
    again: Annotated[bool, Meta(description="Import what was imported before once more, as a new observation.")] = False


class ImportObject(Struct, frozen=True):
    """An import as it stands."""

    id: Annotated[str, Meta(examples=["i1" + "0a" * 12])]
    project: str
    state: Annotated[
        Literal["running", "completed", "withdrawn"],
        Meta(description="completed: all its rows are in the log; withdrawn: it counts nowhere."),
    ]
    reason: Annotated[str | None, Meta(description="Why it was withdrawn.")]
    job_id: str
    job_state: Annotated[
        str | None,
        Meta(description="queued, running, compensating, completed, failed, cancelled, stuck; null: forgotten since."),
    ]
    step: Annotated[str | None, Meta(description="What its job is at: accept, validate, append, follow, group, tidy.")]
    progress: Progress
    failure: TroubleObject | None
    name: str | None
    tool: Annotated[str | None, Meta(description="Whose export it is, once that was recognised.")]
    market: str | None
    period_start: date | None
    period_end: date | None
    started_at: datetime
    ended_at: datetime | None


class ImportList(Struct, frozen=True):
    """Imports, the newest first."""

    imports: list[ImportObject]
    total: Total
    total_is_exact: TotalIsExact
    next_cursor: str | None


class Reject(Struct, frozen=True):
    """A row that was not taken."""

    line: Annotated[int | None, Meta(description="Of the file, or row of the sheet, from 1.")]
    reason: str


class RejectList(Struct, frozen=True):
    """Rows that were not taken, in the order in which they were met; the first 100,000 of an import are kept."""

    rejects: list[Reject]
    total: Total
    total_is_exact: TotalIsExact
    next_cursor: str | None


class RejectsQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """Which rejects, and how."""

    project: ProjectName | None = None
    format: Annotated[
        Literal["json", "csv"], Meta(description="csv: all of them in one file; `limit` and `cursor` are for json.")
    ] = "json"
    limit: Limit = 50
    cursor: Cursor = None


class Imports:
    """The endpoints."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._finder = catalogue.finder
        self._run = catalogue.threads.run
        self._go_on = catalogue.threads.go_on
        self._most_bytes = catalogue.settings.max_upload_bytes
        self._most_list_bytes = catalogue.settings.max_body_bytes
        self._seconds = catalogue.seconds
        self._list_of = msgspec.json.Decoder(KeywordList)

    async def create(self, call: Call) -> Reply:
        asked, given = read_query(call, ImportQuery)
        project = allowed(call, "write", asked.project)
        key = _idempotency_key(call)
        check_encoding(call)
        period = asked.date and days_of(asked.date)  # before the whole file was sent
        if media_of(call) == b"application/json":
            return await self._create_from_list(call, asked, project, key)
        form = Form(call) if Form.is_one(call) else None
        upload: Keeping | None = None  # from its first whole part on
        whose: str | None = None if form else project
        held = bytearray()
        try:
            async for piece in pieces(call, self._most_bytes, self._seconds):
                for data in (piece,) if form is None else form.read(piece):
                    held += data
                if form is not None and form.has_file and whose is None:
                    whose = self._project_of(call, project, asked, form)
                while len(held) >= PART_BYTES:
                    if upload is None:
                        upload = await self._run(self._finder.imports.upload, whose)
                    await self._go_on(upload.add, bytes(held[:PART_BYTES]))
                    del held[:PART_BYTES]
            if form is not None:
                form.read(b"")
                if whose is None:
                    raise Problem("invalid_request", "file: the form has no part that is a file", {"field": "file"})
                if self._project_of(call, project, asked, form) != whose:
                    late = "project: it comes after the file: put it before, or in the query"
                    raise Problem("invalid_request", late, {"field": "project"})
                for name in form.fields:
                    if name in given:
                        twice = f"{name}: it is given in the form and in the query: give it once"
                        raise Problem("invalid_request", twice, {"field": name})
                asked = read_texts({**form.fields, **given}, ImportQuery)
                period = asked.date and days_of(asked.date)
            if upload is None and not held:
                raise Problem(
                    "invalid_request", "the body is empty: send the file as it is, or as a form", {"field": None}
                )
            name = asked.name or (form and form.file_name) or "upload"
            said = {"name": name, "market": asked.market, "again": asked.again, "period": period or None, "key": key}
            # From here on it is the import's, which drops it itself where it does not come to be.
            kept, upload = upload, None
            run = self._run if kept is None else self._go_on
            found, repeated = await run(self._begin, whose, kept, bytes(held), {**said, "actor": call.caller.name})
        finally:
            if upload is not None:
                await self._go_on(upload.drop)
        return _begun(found, repeated)

    async def _create_from_list(self, call: Call, asked: ImportQuery, project: str, key: str | None) -> Reply:
        """Keywords without a file: they become one, and go its way."""
        given = decode_json(await read_body(call, self._most_list_bytes, self._seconds), self._list_of)
        if given.project is not None:
            if asked.project not in (None, given.project):
                twice = f"project: the body says {given.project!r}, the query {asked.project!r}: give it once"
                raise Problem("invalid_request", twice, {"field": "project"})
            project = allowed(call, "write", given.project)
        days = asked.date or given.date
        period = days_of(days) if days else None
        said = {
            "name": asked.name or given.name or "keywords.jsonl",
            "market": asked.market or given.market,
            "again": asked.again or given.again,
            "period": period,
            "key": key,
            "actor": call.caller.name,
        }
        return _begun(*await self._run(self._begin_list, project, given, said))

    def _begin_list(self, project: str, given: KeywordList, said: Mapping[str, Any]) -> tuple[dict[str, Any], bool]:
        content = observations_as_file(observed(given.keywords, said["period"]))
        return self._found_or_begun(self._finder.imports.start(content, project=project, **said), project)

    def _begin(
        self, project: str, kept: Keeping | None, rest: bytes, said: Mapping[str, Any]
    ) -> tuple[dict[str, Any], bool]:
        """Begin to import what was kept and the rest of it; the import, and whether it was there before."""
        upload = kept or self._finder.imports.upload(project)
        upload.add(rest)  # less than a part: in memory until it is kept with the import's first event
        return self._found_or_begun(self._finder.imports.start(upload, **said), project)

    def _found_or_begun(self, begun: "Importing", project: str) -> tuple[dict[str, Any], bool]:
        if begun.job is None:
            return self._found(begun.import_id, project), True
        return _object(begun.import_, begun.job), False

    def _project_of(self, call: Call, project: str, asked: ImportQuery, form: Form) -> str:
        """The project that a form is for, as far as it was read."""
        named = form.fields.get("project")
        if named is None or asked.project is not None:
            return project
        return allowed(call, "write", read_texts({"project": named}, ImportQuery).project)

    async def list(self, call: Call) -> Reply:
        asked, _ = read_query(call, PageQuery)
        project = allowed(call, "read", asked.project)
        return await self._run(self._list, project, asked.limit, _IMPORTS.behind(asked.cursor))

    def _list(self, project: str, limit: int, before: Any) -> Reply:
        self._finder.projects.find(project)
        found = self._finder.imports.newest(project, limit=limit + 1, before=before)
        jobs = self._finder.jobs.find_many([one.job_id for one in found], project)
        return json_reply(
            _IMPORTS.page(
                found,
                limit,
                self._finder.imports.count(project),
                place=lambda one: (one.started_at.isoformat(), one.id),
                shown=lambda one: _object(one, jobs.get(one.job_id)),
            )
        )

    async def show(self, call: Call) -> Reply:
        return json_reply(await self._run(self._found, *self._asked(call, "read")))

    def _found(self, import_id: str, project: str) -> dict[str, Any]:
        found = self._finder.imports.find(import_id, project)
        return _object(found, self._finder.jobs.find_many([found.job_id], project).get(found.job_id))

    async def rejects(self, call: Call) -> Reply:
        asked, _ = read_query(call, RejectsQuery)
        project = allowed(call, "read", asked.project)
        import_id = part_of(call, "import_id")
        if asked.format == "csv":
            await self._run(self._finder.imports.find, import_id, project)
            file = f'attachment; filename="rejects-{import_id}.csv"'.encode()
            return Reply(
                b"line,reason\r\n",
                content_type=b"text/csv; charset=utf-8",
                headers=((b"content-disposition", file),),
                more=self._all_rejects(import_id, project),
            )
        (first,) = _REJECTS.behind(asked.cursor) or (0,)
        return await self._run(self._rejects, import_id, project, first, asked.limit)

    def _rejects(self, import_id: str, project: str, first: int, limit: int) -> Reply:
        rows = self._finder.imports.rejects(import_id, project, first=first, limit=limit + 1)
        return json_reply(
            _REJECTS.page(
                rows,
                limit,
                self._finder.imports.count_rejects(import_id, project),
                place=lambda _: (first + limit,),
                shown=lambda row: {"line": row[0], "reason": row[1]},
            )
        )

    async def _all_rejects(self, import_id: str, project: str) -> AsyncGenerator[bytes, None]:
        first = 0
        while True:
            rows = await self._go_on(
                self._finder.imports.rejects, import_id, project, first=first, limit=_REJECTS_AT_ONCE
            )
            if rows:
                yield "".join(_csv_line(line, reason) for line, reason in rows).encode()
            if len(rows) < _REJECTS_AT_ONCE:
                return
            first += len(rows)

    def steer(self, verb: str) -> Callable[[Call], Awaitable[Reply]]:
        """The endpoint that does this to an import's job."""

        async def steered(call: Call) -> Reply:
            return json_reply(await self._run(self._steer, verb, *self._asked(call, "write")))

        return steered

    def _steer(self, verb: str, import_id: str, project: str) -> dict[str, Any]:
        found = self._finder.imports.find(import_id, project)
        if found.state == "withdrawn":
            raise Conflict(
                f"import {import_id!r} was withdrawn, and what was uploaded is gone: upload it again",
                import_id=import_id,
            )
        job = self._finder.jobs.steer(verb, found.job_id, project)
        return _object(self._finder.imports.find(import_id, project), self._finder.jobs.find(job.id, project))

    async def withdraw(self, call: Call) -> Reply:
        import_id, project = self._asked(call, "write")
        await self._run(self._withdraw, import_id, project, call.caller.name)
        return json_reply(await self._go_on(self._found, import_id, project))

    async def delete(self, call: Call) -> Reply:
        import_id, project = self._asked(call, "write")
        await self._run(self._finder.imports.delete, import_id, project, call.caller.name)
        return Reply(b"", 204)

    def _withdraw(self, import_id: str, project: str, actor: str) -> None:
        with suppress(Conflict, NotFound):  # its job has ended, is past that, or was forgotten
            self._finder.jobs.steer("cancel", self._finder.imports.find(import_id, project).job_id, project)
        self._finder.imports.withdraw(import_id, project, actor)

    def _asked(self, call: Call, scope: Any) -> tuple[str, str]:
        asked, _ = read_query(call, ProjectQuery)
        project = allowed(call, scope, asked.project)
        return part_of(call, "import_id"), project


def _begun(found: dict[str, Any], repeated: bool) -> Reply:
    where = f"/api/v1/imports/{found['id']}?project={found['project']}".encode()
    return json_reply(found, 200 if repeated else 202, ((b"location", where),))


def _idempotency_key(call: Call) -> str | None:
    given = call.headers.get(b"idempotency-key")
    if given is None:
        return None
    text = given.decode("latin-1").strip()
    if not 1 <= len(text) <= 255 or not text.isascii() or not text.isprintable():
        raise Problem(
            "invalid_request",
            f"Idempotency-Key: {printable(given)!r} cannot be one: use 1 to 255 printable ASCII characters",
            {"field": "Idempotency-Key"},
        )
    return text


def _csv_line(line: int | None, reason: str) -> str:
    quoted = reason.replace('"', '""')
    return f'{"" if line is None else line},"{quoted}"\r\n'


def _object(found: Import, job: Job | None) -> dict[str, Any]:
    progress = (
        progress_of(job) if job else {**progress_of(None), "rows_kept": found.rows, "rows_skipped": found.skipped}
    )
    return {
        "id": found.id,
        "project": found.project,
        "state": found.state,
        "reason": found.reason,
        "job_id": found.job_id,
        "job_state": job and job.state.value,
        "step": job and job.step,
        "progress": progress,
        "failure": failure_of(job),
        "name": found.name,
        "tool": found.tool,
        "market": found.market,
        "period_start": found.period_start,
        "period_end": found.period_end,
        "started_at": found.started_at,
        "ended_at": found.ended_at,
    }


_BINARY = {"type": "string", "format": "binary"}
_FORM = {
    "type": "object",
    "required": ["file"],
    "additionalProperties": False,
    "properties": {
        "project": {"type": "string", "description": "Before the file."},
        "file": {**_BINARY, "description": "The export, as it is."},
        "name": {"type": "string"},
        "market": {"type": "string"},
        "date": {"type": "string"},
        "again": {"type": "boolean"},
    },
}
_KEY = {"idempotency-key": "A request that is sent again with the same key begins no second import."}


def import_routes(catalogue: Catalogue) -> list[Route]:
    """The endpoints, bound to what answers them."""
    imports = Imports(catalogue)
    one = "/api/v1/imports/{import_id}"
    there = Answer("The import as it is now.", ImportObject)
    asked_wrongly = ("invalid_request", *DATABASE_PROBLEMS)
    verbs = {
        "cancel": (
            "Cancel an import",
            "It is taken back. One whose rows are all in can no longer be cancelled: withdraw or delete it.",
        ),
        "resume": ("Let an import go on", "One that is stuck goes on where it is; one that waits goes on now."),
        "retry": ("Run an import again", "One whose job failed and that was not withdrawn."),
    }
    return [
        Route(
            "POST",
            "/api/v1/imports",
            imports.create,
            "createImport",
            "imports",
            "Import a file or a list",
            "Send an export of any known tool as it is, as the body (of any content type but JSON's) or as the file "
            "of a form; it is recognised by what is in it. Or send keywords as `application/json`, with what is known "
            "of them: they go the same way. Once this is answered the file is where every processor can read "
            "it, and the import goes on whatever becomes of this process. The same content for the same project, "
            "market and period is not imported twice, unless `again` says so: the import that is there is answered, "
            "with 200. Needs scope `write`.",
            asks=ImportQuery,
            headers=_KEY,
            takes=KeywordList,
            example={
                "keywords": ["trail running shoes", {"keyword": "buy running shoes", "volume": 1300, "cpc": 0.8}],
                "market": "en",
                "date": "2026-05",
            },
            takes_also={"application/octet-stream": {}, "multipart/form-data": _FORM},
            answers={
                202: Answer("It has begun.", ImportObject, headers={"location": "Where it is."}),
                200: Answer(
                    "It was there before; nothing was begun.", ImportObject, headers={"location": "Where it is."}
                ),
            },
            problems=(
                "body_timeout",
                "body_too_large",
                "unsupported_media_type",
                "invalid_json",
                "invalid_market",
                "invalid_option",
                "idempotency_conflict",
                *asked_wrongly,
            ),
        ),
        Route(
            "GET",
            "/api/v1/imports",
            imports.list,
            "listImports",
            "imports",
            "List imports",
            "Of a project, the newest first.",
            asks=PageQuery,
            answers={200: Answer("A page of imports.", ImportList)},
            problems=asked_wrongly,
        ),
        Route(
            "GET",
            one,
            imports.show,
            "getImport",
            "imports",
            "Show an import",
            asks=ProjectQuery,
            answers={200: there},
            problems=asked_wrongly,
        ),
        Route(
            "DELETE",
            one,
            imports.delete,
            "deleteImport",
            "imports",
            "Delete an import",
            "It counts nowhere any more, and what it said is erased from the log too. Needs scope `write`.",
            asks=ProjectQuery,
            answers={204: Answer("It is gone.", media=None)},
            problems=asked_wrongly,
        ),
        Route(
            "GET",
            f"{one}/rejects",
            imports.rejects,
            "listRejects",
            "imports",
            "List the rows that were not taken",
            asks=RejectsQuery,
            answers={200: Answer("A page of them, or all as a file.", RejectList, ("application/json", "text/csv"))},
            problems=asked_wrongly,
        ),
        *(
            Route(
                "POST",
                f"{one}/{verb}",
                imports.steer(verb),
                f"{verb}Import",
                "imports",
                summary,
                f"{description} Needs scope `write`.",
                asks=ProjectQuery,
                answers={200: there},
                problems=("conflict", *asked_wrongly),
            )
            for verb, (summary, description) in verbs.items()
        ),
        Route(
            "POST",
            f"{one}/withdraw",
            imports.withdraw,
            "withdrawImport",
            "imports",
            "Withdraw an import",
            "It counts nowhere any more; the log keeps what it said. Needs scope `write`.",
            asks=ProjectQuery,
            answers={200: there},
            problems=asked_wrongly,
        ),
    ]
