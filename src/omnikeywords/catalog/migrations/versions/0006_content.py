"""Imports of the same content are found without reading all imports of a project."""

from alembic import op

revision = "0006_content"
down_revision = "0005_webhooks"
phase = "pre"


def upgrade() -> None:
    """Make the index."""
    op.create_index(op.f("ix_imports_bucket_project_content"), "imports", ["bucket", "project", "content"])
