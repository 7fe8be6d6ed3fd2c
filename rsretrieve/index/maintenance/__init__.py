"""Verify and repair an index."""
