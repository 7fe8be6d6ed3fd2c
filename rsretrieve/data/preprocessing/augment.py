"""Augment a batch on its device, with random parameters for every tile."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from rsretrieve.data.preprocessing.augmentation import Augmentation
from rsretrieve.enums import Symmetry

GREY_WEIGHTS = (0.2989, 0.587, 0.114)
"""ITU-R 601-2 luma of red, green and blue."""


@dataclass(frozen=True)
class BatchShare:
    """Some tiles of a batch, of which other processes hold the others.

    Random numbers are drawn for the whole batch, so that a tile's do not depend on its share.

    Attributes:
        tiles: the number of tiles of the whole batch.
        rows: which of them these are.
    """

    tiles: int
    rows: slice

    @classmethod
    def whole(cls, tiles: int) -> BatchShare:
        """All tiles of a batch."""
        return cls(tiles, slice(0, tiles))


@dataclass(frozen=True)
class _Numbers:
    """Draws random numbers for the tiles of a batch."""

    generator: torch.Generator
    share: BatchShare


def augmented(
    tiles: Tensor,
    augmentation: Augmentation,
    generator: torch.Generator,
    *,
    rgb: bool,
    share: BatchShare | None = None,
) -> Tensor:
    """Augment a batch of tiles.

    Args:
        tiles: (B, C, S, S) float, values about 0…1.
        augmentation: what to vary, and how much.
        generator: the random numbers, on the tiles' device.
        rgb: the three bands are red, green and blue in 0…1 (results are clamped to that).
        share: which tiles of a larger batch they are; by default all of them.

    Returns:
        (B, C, S, S), same type.
    """
    numbers = _Numbers(generator, share or BatchShare.whole(len(tiles)))
    tiles = _transformed(tiles, augmentation, numbers)
    if rgb and augmentation.grayscale > 0:
        chosen = _uniform(tiles, numbers, 0, 1) < augmentation.grayscale
        tiles = torch.where(chosen, grey(tiles), tiles)
    return _jittered(tiles, augmentation, numbers, rgb=rgb)


def _uniform(tiles: Tensor, numbers: _Numbers, low: float, high: float) -> Tensor:
    """(B, 1, 1, 1) independent uniform numbers in low…high."""
    count, generator = numbers.share.tiles, numbers.generator
    uniform = torch.rand(count, 1, 1, 1, generator=generator, device=tiles.device)
    return (low + (high - low) * uniform[numbers.share.rows]).to(tiles.dtype)


def _transformed(tiles: Tensor, augmentation: Augmentation, numbers: _Numbers) -> Tensor:
    flips = _flips(tiles, augmentation.symmetry, numbers)
    if augmentation.zoom > 0 or augmentation.shift > 0:
        return _zoomed(tiles, augmentation, flips, numbers)
    across, down, turned = flips
    if augmentation.symmetry is not Symmetry.NONE:
        tiles = torch.where(across, tiles.flip(3), tiles)
    if augmentation.symmetry is Symmetry.DIHEDRAL:
        tiles = torch.where(down, tiles.flip(2), tiles)
        tiles = torch.where(turned, tiles.transpose(2, 3), tiles)
    return tiles


def _flips(tiles: Tensor, symmetry: Symmetry, numbers: _Numbers) -> tuple[Tensor, Tensor, Tensor]:
    """Which tiles are flipped left to right, which top to bottom, and which then transposed.

    Returns:
        Three times (B, 1, 1, 1) bool.
    """
    none = torch.zeros(len(tiles), 1, 1, 1, dtype=torch.bool, device=tiles.device)
    if symmetry is Symmetry.NONE:
        return none, none, none
    across = _uniform(tiles, numbers, 0, 1) >= 0.5
    if symmetry is Symmetry.HORIZONTAL:
        return across, none, none
    down = _uniform(tiles, numbers, 0, 1) >= 0.5
    return across, down, _uniform(tiles, numbers, 0, 1) >= 0.5


def _zoomed(
    tiles: Tensor,
    augmentation: Augmentation,
    flips: tuple[Tensor, Tensor, Tensor],
    numbers: _Numbers,
) -> Tensor:
    """Zoom, shift and flip in one resampling: each pass over the tiles costs time."""
    reach = math.log1p(augmentation.zoom)
    side = _uniform(tiles, numbers, -reach, reach).exp()
    dx = _uniform(tiles, numbers, -2 * augmentation.shift, 2 * augmentation.shift)
    dy = _uniform(tiles, numbers, -2 * augmentation.shift, 2 * augmentation.shift)
    length = tiles.shape[-1]
    # Centres of pixels, from −1 at one edge of a tile to 1 at the other.
    centres = (2 * torch.arange(length, dtype=tiles.dtype, device=tiles.device) + 1) / length - 1
    x, y = side * centres + dx, side * centres.view(-1, 1) + dy  # (B, 1, 1, S), (B, 1, S, 1)
    across, down, turned = flips
    places = torch.empty(len(tiles), length, length, 2, dtype=tiles.dtype, device=tiles.device)
    for axis, (one, other, mirrored) in enumerate(((x, y, across), (y, x, down))):
        sign = torch.where(mirrored, -1, 1)
        places[..., axis] = torch.where(turned, sign * other, sign * one).squeeze(1)
    return functional.grid_sample(
        tiles, places, mode="bilinear", padding_mode="reflection", align_corners=False
    )


def _jittered(tiles: Tensor, augmentation: Augmentation, numbers: _Numbers, *, rgb: bool) -> Tensor:
    """Colour jitter; the order of its steps is drawn once a batch, the factors for each tile."""
    parts = {
        "brightness": (brightened, augmentation.brightness),
        "contrast": (contrasted, augmentation.contrast),
    }
    if rgb:
        parts["saturation"] = (saturated, augmentation.saturation)
    names = [name for name, (_, amount) in parts.items() if amount > 0]
    if rgb and augmentation.hue > 0:
        names.append("hue")
    order = torch.randperm(len(names), generator=numbers.generator, device=tiles.device).tolist()
    for name in (names[i] for i in order):
        if name == "hue":
            angle = _uniform(tiles, numbers, -augmentation.hue, augmentation.hue)
            tiles = hue_turned(tiles, angle)
            continue
        change, amount = parts[name]
        factor = _uniform(tiles, numbers, max(0.0, 1 - amount), 1 + amount)
        tiles = change(tiles, factor)
        tiles = tiles.clamp(0, 1) if rgb else tiles
    return tiles


def brightened(tiles: Tensor, factor: Tensor) -> Tensor:
    """Multiply all values by a factor, (B, 1, 1, 1)."""
    return tiles * factor


def contrasted(tiles: Tensor, factor: Tensor) -> Tensor:
    """Scale values around the tile's mean grey (around each band's mean if not RGB)."""
    if tiles.shape[1] == 3:
        mean = grey(tiles).mean(dim=(1, 2, 3), keepdim=True)
    else:
        mean = tiles.mean(dim=(2, 3), keepdim=True)
    return mean + factor * (tiles - mean)


def saturated(tiles: Tensor, factor: Tensor) -> Tensor:
    """Scale the distance of colours from grey."""
    shades = grey(tiles)
    return shades + factor * (tiles - shades)


def grey(tiles: Tensor) -> Tensor:
    """(B, 3, S, S) RGB → (B, 1, S, S) luma."""
    weights = torch.tensor(GREY_WEIGHTS, dtype=tiles.dtype, device=tiles.device)
    return (tiles * weights.view(3, 1, 1)).sum(dim=1, keepdim=True)


def hue_turned(tiles: Tensor, angle: Tensor) -> Tensor:
    """Rotate the hue of RGB tiles in 0…1 by a share of the circle, (B, 1, 1, 1), in HSV space.

    With n = (5, 3, 1) for red, green and blue and h in sixths of the circle, a colour of
    hue h, value V and chroma C is V − C·max(0, min(k, 4 − k, 1)), k = (n + h) mod 6.
    """
    value, position = tiles.max(dim=1, keepdim=True)
    chroma = value - tiles.min(dim=1, keepdim=True).values
    red, green, blue = (tiles[:, band : band + 1] for band in range(3))
    safe = torch.where(chroma > 0, chroma, 1)
    sixths = torch.where(
        position == 0,
        (green - blue) / safe,
        torch.where(position == 1, 2 + (blue - red) / safe, 4 + (red - green) / safe),
    )
    offsets = torch.tensor((5.0, 3.0, 1.0), dtype=tiles.dtype, device=tiles.device).view(3, 1, 1)
    k = torch.remainder(offsets + sixths + 6 * angle, 6)
    return value - chroma * torch.minimum(k, 4 - k).clamp(0, 1)
