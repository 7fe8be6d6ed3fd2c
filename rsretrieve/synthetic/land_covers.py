"""What covers the ground of the synthetic landscape: spectra, and a painter for every class."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsretrieve.synthetic.procedural_noise import Floats, hash_uniform_at, nearest, redraw


class Cover(IntEnum):
    """What a pixel is covered with."""

    DEEP, SHALLOW, FOAM, SAND, WET_SAND, SOIL, DARK_SOIL, STUBBLE, RIPE = range(9)
    FLOWER, CROP, YOUNG, GRASS, BROADLEAF, CONIFER, ASPHALT, TILE, METAL = range(9, 18)


SPECTRA = {  # surface reflectance × 10000, by band
    Cover.DEEP: (480, 460, 280, 130, 60, 40),
    Cover.SHALLOW: (800, 950, 560, 220, 90, 60),
    Cover.FOAM: (2900, 2900, 2800, 2200, 900, 600),
    Cover.SAND: (1750, 2200, 2600, 3200, 3900, 3500),
    Cover.WET_SAND: (1100, 1350, 1550, 1800, 1700, 1300),
    Cover.SOIL: (800, 1120, 1520, 2200, 3100, 2700),
    Cover.DARK_SOIL: (480, 620, 820, 1200, 1900, 1700),
    Cover.STUBBLE: (900, 1250, 1550, 2500, 3200, 2500),
    Cover.RIPE: (750, 1200, 1450, 3000, 2900, 1900),
    Cover.FLOWER: (500, 1450, 1350, 4300, 2000, 1100),
    Cover.CROP: (300, 720, 380, 4800, 1700, 750),
    Cover.YOUNG: (520, 900, 780, 3300, 2300, 1400),
    Cover.GRASS: (370, 780, 590, 3700, 2100, 1150),
    Cover.BROADLEAF: (260, 520, 310, 3900, 1600, 720),
    Cover.CONIFER: (200, 350, 230, 2400, 950, 430),
    Cover.ASPHALT: (820, 880, 920, 1080, 1300, 1250),
    Cover.TILE: (620, 800, 1500, 2000, 2400, 2100),
    Cover.METAL: (1900, 2000, 2050, 2200, 2100, 1950),
}
_CROPS = (
    *(Cover.CROP, Cover.CROP, Cover.YOUNG, Cover.YOUNG, Cover.RIPE, Cover.GRASS),
    *(Cover.STUBBLE, Cover.SOIL, Cover.DARK_SOIL, Cover.FLOWER),
)
WARMTH = np.array([-0.17, -0.02, 0.18, -0.15, 0.08, 0.12], np.float32)
"""What warmth adds to a band's logarithm: browner and drier, or below 0 greener and wetter."""


@dataclass
class Patch:
    """The N pixels of one class while they are painted; all fields are (N,).

    Attributes:
        x, y: pixel coordinates.
        district: an integer, shared by pixels with the same direction of streets or fields.
        tone, mottle: noise that changes over a cell and over a few pixels.
        shore_px: noise, rising and falling by about one a pixel over half a cell.
        road_px, along_px: signed distance to the motorway's middle, and the way along it.
        cover, shade: a `Cover`, and the factor on its reflectance.
        warmth: the exponent of `WARMTH`.
        height: in shadow lengths, px.
    """

    x: Floats
    y: Floats
    district: Floats
    tone: Floats
    mottle: Floats
    shore_px: Floats
    road_px: Floats
    along_px: Floats
    cover: NDArray[np.uint8] = field(init=False)
    shade: Floats = field(init=False)
    warmth: Floats = field(init=False)
    height: Floats = field(init=False)

    def __post_init__(self) -> None:
        self.cover = np.zeros(self.x.shape, np.uint8)
        self.shade, self.height = np.zeros((2, *self.x.shape), np.float32)
        self.warmth = 1.6 * hash_uniform_at(10, self.district) - 0.8  # the district's season
        self.warmth += 0.35 * self.tone.clip(-2, 2)

    def put(self, where: Any, cover: Any, shade: Any = 1.0, height: Any = 0.0) -> None:
        """Cover some of the pixels, and replace their previous cover."""
        np.copyto(self.cover, np.asarray(cover, np.uint8), where=where)
        np.copyto(self.shade, np.asarray(shade, np.float32), where=where)
        np.copyto(self.height, np.asarray(height, np.float32), where=where)

    def turned(self, salt: int) -> tuple[Floats, Floats]:
        """Coordinates along and across the district's direction, gently bent."""
        angle = np.float32(np.pi) * hash_uniform_at(salt, self.district)
        x, y = self.x + 4 * self.tone, self.y - 4 * self.tone
        return x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)

    def trees(self, where: Any, gap_px: float, share: Any, salt: int) -> None:
        """Put round crowns, lit from the south-east, on a share of random points."""
        dx, dy, chance = nearest(self.x, self.y, gap_px, salt)
        radius = gap_px * (0.42 + 0.3 * redraw(chance, 31))
        bulge = 1 - (dx * dx + dy * dy) / (radius * radius)
        light = 0.72 + 0.3 * bulge + 0.18 * (dx + dy) / radius + 0.25 * redraw(chance, 7)
        dark = redraw(chance, 53) + 0.3 * self.tone < 0.3
        kind = np.where(dark, Cover.CONIFER, Cover.BROADLEAF)
        self.put(where & (bulge > 0) & (chance < share), kind, light, 1.2 * bulge)


# Lengths are in pixels. Later layers of a painter cover earlier ones. The integers passed to
# hash_uniform_at, turned and trees are salts: they make the draws independent of each other.


def _paint_bare_soil(p: Patch) -> None:
    u, v = p.turned(11)
    furrow = np.sin(v * (1 + 1.2 * hash_uniform_at(12, p.district)))
    dark = hash_uniform_at(13, p.district) + 0.15 * p.tone < 0.25
    p.put(True, np.where(dark, Cover.DARK_SOIL, Cover.SOIL), 0.95 + 0.12 * p.tone)
    p.shade += 0.004 * p.shore_px + 0.06 * p.mottle
    p.shade += np.where(hash_uniform_at(14, p.district) < 0.6, 0.06 * furrow, 0)
    p.put(np.mod(u + 0.3 * p.shore_px, 75) < 1.3, Cover.STUBBLE, 1.05)
    p.trees(True, 7.0, 0.05, 15)


def _paint_beach(p: Patch) -> None:
    # Rises seawards from the waterline; folded, so that no water or sand is ever far from it.
    depth = 0.6 * p.mottle - 11 * np.arcsin(np.sin(p.shore_px / 11))
    p.put(True, Cover.SAND, 1.0 + 0.05 * p.mottle + 0.1 * (hash_uniform_at(16, p.district) - 0.5))
    p.put(depth > -4, Cover.WET_SAND, 1 - 0.06 * depth)
    p.put(depth > 0, Cover.SHALLOW, 1.2 - 0.03 * depth)
    p.put(depth > 14, Cover.DEEP, 1.4 - 0.015 * depth)
    breaker = (np.abs(depth - 7) < 0.7) & (p.mottle > -0.1)
    p.put(((depth > 0) & (depth < 1.6)) | breaker, Cover.FOAM, 0.85)
    p.put((depth < -9 - 4 * p.tone) & (p.mottle > 0.5), Cover.GRASS, 1.1 + 0.2 * p.mottle)


def _paint_houses(p: Patch, salt: int, lot_px: float, street_px: float, trees: float) -> None:
    u, v = p.turned(salt)
    lots_px = lot_px * (0.85 + 0.6 * hash_uniform_at(salt + 1, p.district))
    block, within = np.divmod(v, 2 * lots_px + street_px)
    line = 2 * block + (within > street_px + lots_px)
    u = u + 40 * hash_uniform_at(salt + 2, line)
    lot = np.floor(u / lots_px)
    chance = hash_uniform_at(salt + 3, line, lot, p.district)
    dry = hash_uniform_at(salt + 4, p.district) + 0.6 * redraw(chance, 71) < 0.6
    lawn = np.where(dry, Cover.STUBBLE, Cover.GRASS)
    p.put(True, lawn, 0.75 + 0.1 * p.mottle + 0.3 * redraw(chance, 23))
    p.trees(True, 4.5, trees * (0.5 + hash_uniform_at(salt + 5, p.district)), salt + 6)
    p.put((within < street_px) | (np.mod(u, 9 * lots_px) < 0.8 * street_px), Cover.ASPHALT, 1.1)
    du = np.abs(u - lots_px * (lot + 0.4 + 0.2 * redraw(chance, 17)))
    dv = np.mod(within - street_px, lots_px) - 0.5 * lots_px
    built = (du < 1.8 + 1.1 * redraw(chance, 5)) & (np.abs(dv) < 1.9 + 0.8 * redraw(chance, 11))
    built &= (within > street_px) & (redraw(chance, 41) < 0.93)
    style = redraw(chance, 29) + 0.6 * hash_uniform_at(salt + 7, p.district)
    roof = np.where(style < 0.95, Cover.TILE, np.where(style < 1.4, Cover.ASPHALT, Cover.METAL))
    p.put(built, roof, 0.85 + 0.12 * np.sign(dv) + 0.35 * redraw(chance, 3), 2.5)


def _paint_fields(p: Patch) -> None:
    u, v = p.turned(40)
    strip_px = 15 + 17 * hash_uniform_at(41, p.district)
    strip, across = np.divmod(v, strip_px)
    parcel, along = np.divmod(u, strip_px * (1.5 + 2 * hash_uniform_at(42, strip, p.district)))
    chance = hash_uniform_at(43, strip, parcel, p.district)
    kinds = np.array(_CROPS)[(chance * len(_CROPS)).astype(int)]
    sown = np.where(redraw(chance, 91) < 0.7, v, u) * 6.28 / (2.6 + 3 * redraw(chance, 37))
    p.put(True, kinds, 0.8 + 0.3 * redraw(chance, 59) + 0.07 * np.sin(sown) + 0.06 * p.mottle)
    p.warmth += 0.8 * (redraw(chance, 83) - 0.5)
    edge = np.minimum(across, along)
    p.put(edge < 1.2, Cover.STUBBLE)
    p.trees((edge < 4) & (hash_uniform_at(44, strip, p.district) < 0.35), 4.0, 0.8, 45)


def _paint_forest(p: Patch) -> None:
    u, _ = p.turned(51)
    p.put(True, Cover.BROADLEAF, 0.5)
    p.trees(True, 3.4, 1.0, 50)
    p.shade *= 0.85 + 0.35 * hash_uniform_at(52, p.district) + 0.08 * p.mottle
    p.put(np.mod(u + 0.4 * p.shore_px, 110) < 1.6, Cover.GRASS, 0.8)


def _paint_orchard(p: Patch) -> None:
    u, v = p.turned(60)
    gap_px = 4.2 + 1.6 * hash_uniform_at(61, p.district)
    du, dv = (np.mod(way, gap_px) - 0.5 * gap_px for way in (u, v))
    ground = np.where(hash_uniform_at(62, p.district) < 0.5, Cover.SOIL, Cover.GRASS)
    p.put(True, ground, 1.0 + 0.08 * p.mottle)
    bulge = 1 - (du * du + dv * dv) / (0.15 * gap_px * gap_px)
    planted = hash_uniform_at(63, np.floor(u / gap_px), np.floor(v / gap_px)) > 0.06
    p.put((bulge > 0) & planted, Cover.BROADLEAF, 0.75 + 0.4 * bulge, 1.2 * bulge)
    p.put(np.mod(u, 90) < 3, Cover.STUBBLE, 0.9)


def _paint_road(p: Patch) -> None:
    _paint_fields(p)
    wood = p.shore_px + 4 * p.mottle > 18
    p.put(wood, Cover.BROADLEAF, 0.5)
    p.trees(wood, 3.4, 1.0, 70)
    off = np.abs(p.road_px)
    p.put(off < 8, Cover.GRASS, 0.9 + 0.1 * p.mottle)
    p.trees((off > 6.5) & (off < 9), 3.6, 0.3, 71)
    p.put(off < 5.6, Cover.ASPHALT, 1.05 + 0.03 * p.mottle)
    p.put(off < 0.8, Cover.GRASS, 0.9)
    p.put((np.abs(off - 3.2) < 0.3) & (np.mod(p.along_px, 4) < 2), Cover.METAL)
    queue, gap = np.divmod(p.along_px, 3)
    car = hash_uniform_at(72, np.floor(p.road_px / 2.4), queue)
    seen = (car < 0.07) & (off > 1) & (off < 5.2) & (gap < 1.9)
    p.put(seen, np.where(car < 0.04, Cover.METAL, Cover.ASPHALT), 1.2, 0.6)


def _paint_water(p: Patch) -> None:
    u, _ = p.turned(80)
    ripple = np.sin(1.3 * u + 2 * p.mottle) * (hash_uniform_at(81, p.district) > 0.3)
    p.put(True, Cover.DEEP, 1.05 + 0.2 * p.tone + 0.05 * ripple + 0.03 * p.mottle)
    silt = (p.tone + 0.02 * p.shore_px).clip(-2, 2)
    p.warmth = np.float32(0.7) * silt  # and no season
    dx, dy, chance = nearest(p.x, p.y, 24.0, 82)
    p.put((chance < 0.2) & (dx * dx + 0.3 * dy * dy < 1), Cover.METAL, 1.2, 0.8)


PAINTERS: dict[str, Callable[[Patch], None]] = {
    "bare_soil": _paint_bare_soil,
    "beach": _paint_beach,
    "dense_houses": partial(_paint_houses, salt=20, lot_px=6.0, street_px=3.0, trees=0.15),
    "fields": _paint_fields,
    "forest": _paint_forest,
    "orchard": _paint_orchard,
    "road": _paint_road,
    "sparse_houses": partial(_paint_houses, salt=30, lot_px=12.5, street_px=2.4, trees=0.35),
    "water": _paint_water,
}
