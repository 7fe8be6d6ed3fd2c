"""Queries of an index."""
