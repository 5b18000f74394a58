"""Migrations are run by `catalog.migrate`, never by the alembic command; alembic wants this file to be there."""
