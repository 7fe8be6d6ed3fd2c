"""What a model expects of the tiles that it is given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rsretrieve.data.pixels.packing import Packing


@dataclass(frozen=True)
class Expected:
    """What is known about tiles before they are read.

    Attributes:
        source_bands: the number of bands that the model's tiles have; None: nothing is known.
        least_bands: the highest number of a band that the user asks for; 0: none.
        packing: scale and offset of the model's tiles, if they declare any.
        stored_order: bands stay in the order in which a file stores them, whatever colours it
            declares.
    """

    source_bands: int | None = None
    least_bands: int = 0
    packing: Packing | None = None
    stored_order: bool = False


def counts_stored_bands(bands: Sequence[int]) -> bool:
    """Whether bands are chosen by their numbers in the file: not the first ones in their order.

    >>> counts_stored_bands((3, 2, 1)), counts_stored_bands((1, 2, 3)), counts_stored_bands(())
    (True, False, False)
    """
    return tuple(bands) != tuple(range(1, len(bands) + 1))


ANYTHING = Expected()
