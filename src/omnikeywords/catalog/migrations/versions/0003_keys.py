"""API keys."""

import sqlalchemy as sa
from alembic import op

revision = "0003_keys"
down_revision = "0002_jobs"
phase = "pre"


def upgrade() -> None:
    """Make the table; on PostgreSQL no transaction of a single project has to do with it."""
    op.create_table(
        "api_keys",
        sa.Column("id", sa.String(length=16), autoincrement=False, nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("scope", sa.String(length=8), nullable=False),
        sa.Column("projects", sa.Text(), nullable=False),
        sa.Column("created_by", sa.String(length=160), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_keys")),
    )
    if op.get_bind().dialect.name == "postgresql":
        # A key may be for several projects, so its row belongs to none of them: whoever works for one project sees no
        # key and makes none. What was revoked stays so, and nothing is deleted: there are no policies for that.
        every = "(SELECT current_setting('okf.project', true)) = '*'"
        op.execute("ALTER TABLE api_keys ENABLE ROW LEVEL SECURITY")
        op.execute("ALTER TABLE api_keys FORCE ROW LEVEL SECURITY")
        op.execute(f"CREATE POLICY read_by_all_projects ON api_keys FOR SELECT USING ({every})")
        op.execute(
            f"CREATE POLICY made_by_all_projects ON api_keys FOR INSERT WITH CHECK ({every} AND revoked_at IS NULL)"
        )
        op.execute(
            "CREATE POLICY revoked_by_all_projects ON api_keys FOR UPDATE "
            f"USING ({every} AND revoked_at IS NULL) WITH CHECK ({every})"
        )
