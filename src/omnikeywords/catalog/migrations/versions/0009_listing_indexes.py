"""Indexes of keywords that only lists can use, so that a look-up by id has but the key to go by.

They take the place of others, which a program of the version before uses until it is replaced.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0009_listing_indexes"
down_revision = "0008_longer_content"
phase = "pre"

_INDEXES: dict[str, list[Any]] = {
    "listed_by_normalized": ["normalized", "id"],
    "listed_by_volume": [sa.text("volume DESC NULLS LAST"), "id"],
    "listed_by_market": ["market", "created_at"],
}
_CONDITION = "words >= 0"
_PARTITIONS = "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'keywords'::regclass ORDER BY 1"
_IS_VALID = sa.text("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(:name)")


def beforehand(connection: sa.Connection) -> None:
    """Build them partition by partition while others write; begun anew, it goes on where it was left."""
    for partition in connection.exec_driver_sql(_PARTITIONS).scalars().all():
        for suffix, keys in _INDEXES.items():
            name = f"{partition}_{suffix}"
            valid = connection.execute(_IS_VALID, {"name": name}).scalar()
            if valid is False:  # its building was interrupted
                connection.exec_driver_sql(f"DROP INDEX CONCURRENTLY {name}")
            if not valid:
                columns = ", ".join(["bucket", "project", *map(str, keys)])
                connection.exec_driver_sql(
                    f"CREATE INDEX CONCURRENTLY {name} ON {partition} ({columns}) WHERE {_CONDITION}"
                )


def upgrade() -> None:
    """Make them; SQLite has none. What was built of them beforehand is taken as it is."""
    if op.get_bind().dialect.name == "postgresql":
        for suffix, keys in _INDEXES.items():
            columns = ["bucket", "project", *keys]
            op.create_index(f"ix_keywords_{suffix}", "keywords", columns, postgresql_where=sa.text(_CONDITION))
