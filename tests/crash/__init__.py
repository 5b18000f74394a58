"""Processes that are killed, stopped and started again, and what must be true afterwards."""
