"""Move preprocessed pixels to a device and normalise them for a network."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rsretrieve.data.preprocessing.preprocessing import Preprocessing

_CLIP = 8.0
"""Normalised values are clipped to ± this, so that one bright pixel cannot dominate a tile."""


class Normaliser:
    """Preprocessed pixels → unit values → network input, a batch at a time.

    Args:
        preprocessing: how the pixels were made.
        device: the network's device.
    """

    def __init__(self, preprocessing: Preprocessing, device: torch.device) -> None:
        statistics, scale = preprocessing.statistics, preprocessing.scale
        self.device = device
        self.is_rgb = preprocessing.dtype == "uint8" and len(preprocessing.bands) == 3
        self._scale = self._per_band(scale)
        self._mean = self._per_band(np.array(statistics.mean) / scale)
        self._deviation = self._per_band(np.array(statistics.deviation) / scale)

    def _per_band(self, values: NDArray[Any]) -> Tensor:
        return torch.tensor(values, dtype=torch.float32, device=self.device).view(-1, 1, 1)

    def unit_values(self, pixels: NDArray[Any]) -> Tensor:
        """(B, C, S, S) in the tiles' type → float32 of about 0…1 on the device."""
        if pixels.dtype != np.uint8:
            pixels = pixels.astype(np.float32)
        tiles = torch.from_numpy(np.ascontiguousarray(pixels)).to(self.device)
        # In place: the values were converted to another type, or copied, above.
        return tiles.to(torch.float32).div_(self._scale)

    def of_floats(self, pixels: Tensor) -> Tensor:
        """(B, C, S, S) float32 in the tiles' units → network input."""
        return self.network_input(pixels / self._scale)

    def network_input(self, unit_values: Tensor) -> Tensor:
        """Unit values minus the mean, divided by the deviation; in channels-last layout."""
        normalised = (unit_values - self._mean).div_(self._deviation).clamp_(-_CLIP, _CLIP)
        return normalised.contiguous(memory_format=torch.channels_last)
