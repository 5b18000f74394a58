"""Webhooks of projects."""

import sqlalchemy as sa
from alembic import op

revision = "0005_webhooks"
down_revision = "0004_servers"
phase = "pre"


def upgrade() -> None:
    """Make the table; on PostgreSQL each row to be seen by its project alone."""
    op.create_table(
        "webhooks",
        sa.Column("bucket", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("project", sa.String(length=64), autoincrement=False, nullable=False),
        sa.Column("id", sa.String(length=32), autoincrement=False, nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("secret", sa.Text(), nullable=False),
        sa.Column("events", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("bucket", "project", "id", name=op.f("pk_webhooks")),
    )
    if op.get_bind().dialect.name == "postgresql":
        op.execute("ALTER TABLE webhooks ENABLE ROW LEVEL SECURITY")
        op.execute("ALTER TABLE webhooks FORCE ROW LEVEL SECURITY")
        op.execute(
            "CREATE POLICY by_project ON webhooks "
            "USING ((SELECT current_setting('okf.project', true)) IN (project, '*'))"
        )
