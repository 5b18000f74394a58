"""Webhooks: who is told of imports that end, and what could not be told."""

from collections.abc import Sequence

from omnikeywords.catalog import webhooks
from omnikeywords.catalog.webhooks import Webhook
from omnikeywords.errors import NotFound
from omnikeywords.finder.catalogue import Catalogue
from omnikeywords.jobs import Job
from omnikeywords.webhooks import DeadLetter

__all__ = ["Webhooks"]


class Webhooks:
    """The webhooks of every project; safe to share between threads."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    def create(self, project: str, url: str, events: Sequence[str] = ()) -> Webhook:
        """Tell a URL of every import of a project that ends; `events` narrows that. Its secret cannot be had again.

        Raises NotFound, InvalidOption for a URL that is not public or an unknown event, Conflict for one too many.
        """
        self._catalogue.project(project)
        self._catalogue.workflows_of(project).deliveries.check(url)
        with self._catalogue.database_of(project).write(project) as connection:
            return webhooks.add(connection, project, url, events)

    def all(self, project: str) -> list[Webhook]:
        """The webhooks of a project, the oldest first. Raises NotFound."""
        self._catalogue.project(project)
        return webhooks.list_webhooks(self._catalogue.database_of(project), project)

    def find(self, webhook_id: str, project: str) -> Webhook:
        """One webhook. Raises NotFound."""
        found = webhooks.look(self._catalogue.database_of(project), project, webhook_id)
        if found is None:
            raise NotFound(f"webhook {webhook_id!r} does not exist in project {project!r}", webhook_id=webhook_id)
        return found

    def delete(self, webhook_id: str, project: str) -> None:
        """Send nothing more to a webhook, not what waits to be sent either. Raises NotFound."""
        with self._catalogue.database_of(project).write(project) as connection:
            webhooks.remove(connection, project, webhook_id)

    def dead_letters(self, project: str, limit: int = 50, before: str | None = None) -> list[DeadLetter]:
        """Deliveries to a project's webhooks that failed for good, the newest first; `before` is the job of the last
        one of the page before. Raises NotFound."""
        self._catalogue.project(project)
        return self._catalogue.workflows_of(project).deliveries.dead(project, limit, before)

    def count_dead_letters(self, project: str) -> int:
        """How many deliveries that failed for good are remembered."""
        return self._catalogue.workflows_of(project).deliveries.count_dead(project)

    def redeliver(self, job_id: str, project: str) -> Job:
        """Begin to send a dead letter once more. Raises NotFound, Conflict where it is none."""
        with self._catalogue.database_of(project).write(project) as connection:
            return self._catalogue.workflows_of(project).deliveries.redeliver(connection, project, job_id)
