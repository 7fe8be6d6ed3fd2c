"""Chance that hangs on a seed and a tile's id alone, never on the order of tiles."""

from __future__ import annotations

import hashlib


def chance_of(seed: int, purpose: str, tile_id: str) -> float:
    """A number in [0, 1), uniform over ids, the same wherever the tile stands.

    Args:
        seed: the user's seed.
        purpose: what the number decides, so that decisions are independent of each other.
        tile_id: the tile.
    """
    text = f"{seed}\0{purpose}\0{tile_id}".encode("utf-8", "surrogateescape")
    digest = hashlib.blake2b(text, digest_size=8).digest()
    return (int.from_bytes(digest, "big") >> 11) / (1 << 53)
