"""API keys."""

from collections.abc import Sequence
from datetime import datetime

from omnikeywords.catalog import keys
from omnikeywords.catalog.keys import Key
from omnikeywords.finder.catalogue import Catalogue

__all__ = ["Keys"]


class Keys:
    """The API keys of the catalogue; safe to share between threads."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    def create(
        self,
        name: str,
        actor: str,
        *,
        scope: str = "read",
        projects: Sequence[str] = (),
        expires_at: datetime | None = None,
    ) -> tuple[Key, str]:
        """Make an API key, for all projects unless some are named: what is known of it, and its text, which cannot be
        had again.

        Raises InvalidOption.
        """
        with self._catalogue.first.write() as connection:
            return keys.create(
                connection, name, created_by=actor, scope=scope, projects=projects, expires_at=expires_at
            )

    def all(self) -> list[Key]:
        """Every API key without its secret, those that were revoked or have expired too, the oldest first."""
        with self._catalogue.first.read() as connection:
            return keys.list_keys(connection)

    def revoke(self, key_id: str) -> Key:
        """Make an API key let nobody in any more. Raises NotFound."""
        with self._catalogue.first.write() as connection:
            return keys.revoke(connection, key_id)
