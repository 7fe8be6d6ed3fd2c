"""Pseudo-random numbers that depend on a seed and a tile's id alone, never on the tiles' order."""

from __future__ import annotations

import hashlib


def hash_uniform(seed: int, purpose: str, tile_id: str) -> float:
    """A number in [0, 1), uniform over ids; the same for every set that the tile belongs to.

    Args:
        seed: the user's seed.
        purpose: what the number decides. It is part of the hash, so that decisions are
            independent of each other; to change a text changes the results of a seed.
        tile_id: the tile.
    """
    text = f"{seed}\0{purpose}\0{tile_id}".encode("utf-8", "surrogateescape")
    digest = hashlib.blake2b(text, digest_size=8).digest()
    return (int.from_bytes(digest, "big") >> 11) / (1 << 53)
