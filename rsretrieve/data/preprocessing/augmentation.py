"""How training tiles are varied, known without importing PyTorch."""

from __future__ import annotations

import math
from dataclasses import dataclass

from rsretrieve.enums import Symmetry
from rsretrieve.errors import InvalidArgument


@dataclass(frozen=True)
class Augmentation:
    """How training tiles are varied.

    Attributes:
        symmetry: which flips and rotations.
        zoom: the side of the crop, drawn from 1/(1+zoom)…1+zoom of the tile's side.
        shift: the crop's centre moves by up to this share of the side.
        brightness, contrast, saturation: factors are drawn from 1 ± this.
        hue: hue moves by up to this share of the circle.
        grayscale: the probability that a tile becomes grey.

    Saturation, hue and grayscale apply to tiles whose three bands are red, green and blue.
    """

    symmetry: Symmetry = Symmetry.NONE
    zoom: float = 0.0
    shift: float = 0.0
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0
    grayscale: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "symmetry", Symmetry(self.symmetry))
        amounts = (self.zoom, self.shift, self.brightness, self.contrast, self.saturation)
        in_range = all(0 <= amount < math.inf for amount in amounts)  # NaN is not, either
        if not in_range or not 0 <= self.hue <= 0.5 or not 0 <= self.grayscale <= 1:
            raise InvalidArgument(f"augmentation amounts out of range: {self}")
