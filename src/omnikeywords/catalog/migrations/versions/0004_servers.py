"""Several servers: where each bucket lies, and whether it is at home here."""

import sqlalchemy as sa
from alembic import op

revision = "0004_servers"
down_revision = "0003_keys"
phase = "pre"


def upgrade() -> None:
    """Give buckets a state; make the tables of servers, placement and moves."""
    op.add_column("buckets", sa.Column("state", sa.String(length=16), server_default="home", nullable=False))
    op.create_table(
        "servers",
        sa.Column("name", sa.String(length=64), autoincrement=False, nullable=False),
        sa.Column("region", sa.String(length=64), nullable=False),
        sa.Column("region_number", sa.Integer(), nullable=False),
        sa.Column("added_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_servers")),
    )
    op.create_table(
        "placement",
        sa.Column("bucket", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("server", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("bucket", name=op.f("pk_placement")),
    )
    op.create_table(
        "homes",
        sa.Column("project", sa.String(length=64), autoincrement=False, nullable=False),
        sa.Column("bucket", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("project", name=op.f("pk_homes")),
    )
    op.create_table(
        "moves",
        sa.Column("id", sa.String(length=32), autoincrement=False, nullable=False),
        sa.Column("bucket", sa.Integer(), nullable=False),
        sa.Column("source", sa.String(length=64), nullable=False),
        sa.Column("target", sa.String(length=64), nullable=False),
        sa.Column("actor", sa.String(length=160), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_moves")),
    )
    if op.get_bind().dialect.name == "postgresql":
        op.execute("ALTER TABLE homes ENABLE ROW LEVEL SECURITY")
        op.execute("ALTER TABLE homes FORCE ROW LEVEL SECURITY")
        op.execute(
            "CREATE POLICY by_project ON homes USING ((SELECT current_setting('okf.project', true)) IN (project, '*'))"
        )
