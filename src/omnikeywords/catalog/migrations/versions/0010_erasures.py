"""What is gone although it is not erased yet.

A program of the version before goes on erasing what it deletes at once; what this one deleted it shows until it is
erased.
"""

import sqlalchemy as sa
from alembic import op

revision = "0010_erasures"
down_revision = "0009_listing_indexes"
phase = "pre"


def upgrade() -> None:
    """Make the table; on PostgreSQL each row to be seen by its project alone."""
    op.create_table(
        "erasures",
        sa.Column("bucket", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("project", sa.String(length=64), nullable=False),
        sa.Column("stream", sa.String(length=160), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("bucket", "project", "stream", name=op.f("pk_erasures")),
    )
    if op.get_bind().dialect.name == "postgresql":
        op.execute("ALTER TABLE erasures ENABLE ROW LEVEL SECURITY")
        op.execute("ALTER TABLE erasures FORCE ROW LEVEL SECURITY")
        op.execute(
            "CREATE POLICY by_project ON erasures "
            "USING ((SELECT current_setting('okf.project', true)) IN (project, '*'))"
        )
