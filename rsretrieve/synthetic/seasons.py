"""A second date of a synthetic landscape: another season, and places that changed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from rsretrieve.errors import InvalidArgument
from rsretrieve.synthetic.layout import CLASS_INDICES, shares_of_cells
from rsretrieve.synthetic.procedural_noise import noise
from rsretrieve.synthetic.scene import BANDS, Landscape

_GAINS = (1.12, 1.08, 1.1, 0.92, 1.06, 1.1)
_OFFSETS = (40.0, 30.0, 25.0, 15.0, 20.0, 10.0)
"""Of another sensor and atmosphere, by band."""
_DRY = (1.25, 1.1, 1.5, 0.7, 1.25, 1.4)
"""What a dry season does to vegetation, by band; in proportion to the vegetation index."""
_NOISE, _NOISE_SHARE = 20.0, 0.02


def changed_landscape(
    landscape: Landscape, other: Landscape, cell_px: int, share: float, seed: int
) -> tuple[Landscape, NDArray[np.bool_]]:
    """Make a second date of a landscape: some cells become those of another one of other classes.

    All cells get another season (vegetation is drier), another sensor (gain and offset of each
    band), other light and other noise.

    Args:
        landscape: the first date.
        other: a landscape of the same size, from which the new cells come.
        cell_px: the side of a cell.
        share: of the cells that change, 0…1.
        seed: of the choice, the light and the noise.

    Returns:
        The second date, and (cells, cells) bool: which cells changed.

    Raises:
        InvalidArgument: the landscapes differ in size, or too few cells can change.
    """
    if landscape.pixels.shape != other.pixels.shape:
        raise InvalidArgument("the two landscapes differ in size")
    rng = np.random.default_rng(seed)
    differs = np.flatnonzero(_classes(landscape, cell_px) != _classes(other, cell_px))
    cells = len(landscape.class_map) // cell_px
    count = round(share * cells * cells)
    if count > len(differs):
        raise InvalidArgument(f"only {len(differs)} of {cells * cells} cells can change")
    chosen = np.zeros(cells * cells, bool)
    chosen[rng.choice(differs, count, replace=False)] = True
    changed = chosen.reshape(cells, cells)
    mask = changed.repeat(cell_px, axis=0).repeat(cell_px, axis=1)
    pixels = np.where(mask, other.pixels, landscape.pixels)
    classes = np.where(mask, other.class_map, landscape.class_map)
    seen = _another_season(pixels.astype(np.float32), rng)
    return replace(landscape, pixels=seen, class_map=classes), changed


def _classes(landscape: Landscape, cell_px: int) -> NDArray[np.int64]:
    """(cells, cells) the dominating class of each cell."""
    shares = [shares_of_cells(landscape.class_map == k, cell_px) for k in CLASS_INDICES]
    return np.asarray(np.argmax(shares, axis=0), np.int64)


def _another_season(pixels: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.uint16]:
    red, nir = pixels[BANDS.index("red")], pixels[BANDS.index("nir")]
    green = np.clip((nir - red) / np.maximum(nir + red, 1), 0, 1)
    light = 1 + np.float32(0.05) * noise(rng, pixels.shape[1], pixels.shape[1] / 3)
    seen = np.empty(pixels.shape, np.uint16)
    for band, (gain, offset, dry) in enumerate(zip(_GAINS, _OFFSETS, _DRY)):
        values = pixels[band] * (1 + green * np.float32(dry - 1)) * light * gain + offset
        values += (_NOISE + _NOISE_SHARE * values) * rng.standard_normal(values.shape, np.float32)
        seen[band] = values.clip(1, 10_000)
    return seen
