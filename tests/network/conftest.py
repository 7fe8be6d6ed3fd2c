"""The small tiles and networks of these tests."""

from tests.support.networks import (
    network,
    noisy_tiles,
    pixels,
    preprocessing,
    six_band_tiles,
    tiles,
)

__all__ = ["network", "noisy_tiles", "pixels", "preprocessing", "six_band_tiles", "tiles"]
