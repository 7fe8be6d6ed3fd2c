"""Tiles of a kind, and changes, for Python."""
