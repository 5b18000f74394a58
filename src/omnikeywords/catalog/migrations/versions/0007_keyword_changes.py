"""Which keywords were written last, for search indexes."""

import sqlalchemy as sa
from alembic import op

revision = "0007_keyword_changes"
down_revision = "0006_content"
phase = "pre"


def upgrade() -> None:
    """Make the table; on PostgreSQL each row to be seen by its project alone."""
    op.add_column("followers", sa.Column("changes", sa.BigInteger(), server_default=sa.text("0"), nullable=False))
    op.create_table(
        "keyword_changes",
        sa.Column("bucket", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("project", sa.String(length=64), nullable=False),
        sa.Column("ids", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("bucket", "number", name=op.f("pk_keyword_changes")),
    )
    if op.get_bind().dialect.name == "postgresql":
        op.execute("ALTER TABLE keyword_changes ENABLE ROW LEVEL SECURITY")
        op.execute("ALTER TABLE keyword_changes FORCE ROW LEVEL SECURITY")
        op.execute(
            "CREATE POLICY by_project ON keyword_changes "
            "USING ((SELECT current_setting('okf.project', true)) IN (project, '*'))"
        )
