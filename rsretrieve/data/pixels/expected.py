"""What a model expects of the tiles that it is given."""

from __future__ import annotations

from dataclasses import dataclass

from rsretrieve.data.pixels.packing import Packing


@dataclass(frozen=True)
class Expected:
    """What is known about tiles before they are read.

    Attributes:
        source_bands: the number of bands that the model's tiles have; None: nothing is known.
        least_bands: the highest number of a band that the user asks for; 0: none.
        packing: scale and offset of the model's tiles, if they declare any.
    """

    source_bands: int | None = None
    least_bands: int = 0
    packing: Packing | None = None


ANYTHING = Expected()
