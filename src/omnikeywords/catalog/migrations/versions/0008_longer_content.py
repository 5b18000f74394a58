"""What an import is of, its digest with market and days, is longer than there was room for."""

import sqlalchemy as sa
from alembic import op

revision = "0008_longer_content"
down_revision = "0007_keyword_changes"
phase = "pre"


def upgrade() -> None:
    """Make room: on PostgreSQL no row is written for that, and SQLite never kept to a length."""
    if op.get_bind().dialect.name == "postgresql":
        op.alter_column("imports", "content", type_=sa.String(length=128), existing_type=sa.String(length=64))
