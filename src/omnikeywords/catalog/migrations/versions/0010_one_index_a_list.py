"""The indexes of keywords that look-ups by id went through in vain are gone: lists have others since 0009."""

from alembic import op

revision = "0010_one_index_a_list"
down_revision = "0009_listing_indexes"
phase = "post"


def upgrade() -> None:
    """Drop them; SQLite never had any."""
    if op.get_bind().dialect.name == "postgresql":
        for columns in ("normalized_id", "volume_id", "market_created_at"):
            op.drop_index(f"ix_keywords_bucket_project_{columns}", "keywords")
