"""Copies of an index in an object store, as blocks that are named by their content."""
