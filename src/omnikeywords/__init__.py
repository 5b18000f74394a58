"""Omni Keywords Finder: a self-hosted keyword research engine."""

__version__ = "0.1.0"
