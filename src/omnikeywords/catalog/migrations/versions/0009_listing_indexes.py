"""Indexes of keywords that only lists can use, so that a look-up by id has but the key to go by."""

import sqlalchemy as sa
from alembic import op

revision = "0009_listing_indexes"
down_revision = "0008_longer_content"
phase = "pre"

_INDEXES = {
    "ix_keywords_listed_by_normalized": ["normalized", "id"],
    "ix_keywords_listed_by_volume": [sa.text("volume DESC NULLS LAST"), "id"],
    "ix_keywords_listed_by_market": ["market", "created_at"],
}


def upgrade() -> None:
    """Make them; SQLite has none."""
    if op.get_bind().dialect.name == "postgresql":
        for name, columns in _INDEXES.items():
            op.create_index(name, "keywords", ["bucket", "project", *columns], postgresql_where=sa.text("id > ''"))
