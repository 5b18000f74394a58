"""Jobs: durable runs, looked at, steered and run."""

import contextlib
from collections.abc import Callable, Sequence

from omnikeywords import jobs
from omnikeywords.bulk import seldom_collected
from omnikeywords.errors import NotFound
from omnikeywords.finder.catalogue import Catalogue
from omnikeywords.jobs import Job, WorkerOptions

__all__ = ["Jobs"]


class Jobs:
    """The jobs of every project; safe to share between threads."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    def newest(self, project: str | None = None, *, limit: int = 50, before: str | None = None) -> list[Job]:
        """Jobs, the newest first, of one project or of all; `before` is the id of the last one of the page before."""
        catalogue = self._catalogue
        databases = catalogue.fleet.databases().values() if project is None else [catalogue.database_of(project)]
        found: list[Job] = []
        for database in databases:
            with database.read(project) as connection:
                found += jobs.list_jobs(connection, project=project, limit=limit, before=before)
        return sorted(found, key=lambda job: job.id, reverse=True)[:limit]

    def count(self, project: str) -> int:
        """How many jobs of a project are remembered."""
        with self._catalogue.database_of(project).read(project) as connection:
            return jobs.count_jobs(connection, project)

    def find(self, job_id: str, project: str | None = None) -> Job:
        """One job with its steps. Raises NotFound."""
        with self._catalogue.fleet.database(self._server_of(job_id, project)).read(project) as connection:
            return jobs.status(connection, job_id, project)

    def find_many(self, ids: Sequence[str], project: str) -> dict[str, Job]:
        """Those of the jobs that are still remembered, with their steps, by id."""
        with self._catalogue.database_of(project).read(project) as connection:
            return jobs.jobs_of(connection, ids)

    def steer(self, verb: str, job_id: str, project: str | None = None) -> Job:
        """`cancel`, `resume` or `retry` a job. Raises NotFound, Conflict where it is past that."""
        act = {"cancel": jobs.cancel, "resume": jobs.resume, "retry": jobs.retry}[verb]
        server = self._server_of(job_id, project)
        with self._catalogue.fleet.database(server).write(project) as connection:
            job = act(connection, job_id, project)
            if verb == "cancel" and job.state.ended:
                self._catalogue.fleet.workflows(server).cancelled(connection, job)
            return job

    def run(self, job_id: str, on_look: Callable[[Job], None] | None = None) -> Job:
        """Run a job in this process, or follow it while another runs it, until it has ended. Raises NotFound."""
        workflows = self._catalogue.fleet.workflows(self._server_of(job_id))
        options = WorkerOptions.of(self._catalogue.settings)
        with seldom_collected():
            return jobs.run_until_done(workflows.database, workflows.sagas, job_id, options, on_look=on_look)

    def _server_of(self, job_id: str, project: str | None = None) -> str:
        """The server that a job is on; any where there is no such job."""
        if project is not None:
            return self._catalogue.fleet.server_of(project).name
        *others, last = self._catalogue.fleet.databases().items()
        for name, database in others:
            with database.read() as connection, contextlib.suppress(NotFound):
                jobs.status(connection, job_id)
                return name
        return last[0]
