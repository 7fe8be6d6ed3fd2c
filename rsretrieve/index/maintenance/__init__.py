"""Checking and repairing an index."""
