"""Measures of retrieval quality and of found label errors."""
