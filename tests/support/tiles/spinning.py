"""What the tests of bounds have workers do; a module that they can import alone."""

from __future__ import annotations


def spinning(tile_id, _):
    """One of the tiles never comes to an end."""
    while tile_id.startswith("03"):
        pass
    return tile_id
