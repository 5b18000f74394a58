"""Indexes of keywords that only lists can use, so that a look-up by id has but the key to go by.

They take the place of others: a program of the version before, which does not ask for them, lists more slowly until it
is replaced, and no less rightly.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0009_listing_indexes"
down_revision = "0008_longer_content"
phase = "pre"

_INDEXES: dict[str, list[Any]] = {
    "ix_keywords_listed_by_normalized": ["normalized", "id"],
    "ix_keywords_listed_by_volume": [sa.text("volume DESC NULLS LAST"), "id"],
    "ix_keywords_listed_by_market": ["market", "created_at"],
}


def upgrade() -> None:
    """Make them and drop the others; SQLite has none."""
    if op.get_bind().dialect.name == "postgresql":
        for name, keys in _INDEXES.items():
            op.create_index(name, "keywords", ["bucket", "project", *keys], postgresql_where=sa.text("words >= 0"))
        for columns in ("normalized_id", "volume_id", "market_created_at"):
            op.drop_index(f"ix_keywords_bucket_project_{columns}", "keywords")
