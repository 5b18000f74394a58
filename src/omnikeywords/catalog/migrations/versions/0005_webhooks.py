"""Webhooks of projects, and the deliveries to them that failed for good."""

import sqlalchemy as sa
from alembic import op

revision = "0005_webhooks"
down_revision = "0004_servers"
phase = "pre"


def upgrade() -> None:
    """Make the tables; on PostgreSQL each row to be seen by its project alone."""
    op.create_table(
        "webhooks",
        sa.Column("bucket", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("project", sa.String(length=64), autoincrement=False, nullable=False),
        sa.Column("id", sa.String(length=32), autoincrement=False, nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("secret", sa.Text(), nullable=False),
        sa.Column("events", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("disabled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("disabled_reason", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("bucket", "project", "id", name=op.f("pk_webhooks")),
    )
    op.create_table(
        "dead_letters",
        sa.Column("bucket", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("project", sa.String(length=64), autoincrement=False, nullable=False),
        sa.Column("id", sa.String(length=32), autoincrement=False, nullable=False),
        sa.Column("webhook_id", sa.String(length=32), nullable=False),
        sa.Column("message_id", sa.String(length=80), nullable=False),
        sa.Column("event", sa.String(length=64), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("error", sa.Text(), nullable=False),
        sa.Column("failed_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("bucket", "project", "id", name=op.f("pk_dead_letters")),
    )
    if op.get_bind().dialect.name == "postgresql":
        for table in ("webhooks", "dead_letters"):
            op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
            op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
            op.execute(
                f"CREATE POLICY by_project ON {table} "
                "USING ((SELECT current_setting('okf.project', true)) IN (project, '*'))"
            )
