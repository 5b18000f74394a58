"""The indexes of keywords that `listing_indexes` took the place of."""

from alembic import op

revision = "0011_former_indexes"
down_revision = "0010_erasures"
phase = "post"


def upgrade() -> None:
    """Drop them, which takes a moment; SQLite has none."""
    if op.get_bind().dialect.name == "postgresql":
        for columns in ("normalized_id", "volume_id", "market_created_at"):
            op.drop_index(f"ix_keywords_bucket_project_{columns}", "keywords", if_exists=True)
