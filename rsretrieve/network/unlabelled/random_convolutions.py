"""Random convolutional features of tiles with any bands (MOSAIKS, Rolf et al. 2021).

The filters are patches of the imagery itself, whitened. They are pooled over the tile, and the
mean and the deviation of each band are added.
"""

from __future__ import annotations

from math import sqrt

import torch
from torch import Tensor, nn
from torch.nn import functional

from rsretrieve.network.unlabelled.filter_shapes import KERNEL_SIZES

STRIDE = 2
"""A tile of 64 px gives nearly the same means as with stride 1, in a quarter of the time."""

_DEVIATION_FLOOR = 0.05
"""Of normalised bands, so that the logarithm of a constant band is finite."""


class RandomConvolutions(nn.Module):
    """Logarithms of pooled filter responses, and band statistics.

    Args:
        bands: C.
        filters: M, the number of filters of each kernel size.

    Attributes:
        features: F = 6M + 2C.
    """

    floor: Tensor

    def __init__(self, bands: int, filters: int) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(
            nn.Conv2d(bands, filters, side, stride=STRIDE) for side in KERNEL_SIZES
        )
        self.register_buffer("floor", torch.tensor(0.1))
        self.responses = 2 * filters * len(KERNEL_SIZES)
        self.features = self.responses + 2 * bands

    def pooled(self, pixels: Tensor) -> Tensor:
        """(B, C, S, S) normalised pixels → (B, 6M) mean positive and mean negative responses."""
        parts = []
        for convolution in self.convolutions:
            response = convolution(pixels)
            positive = functional.relu(response).mean(dim=(2, 3))
            # The mean of relu(−r) is the mean of relu(r) minus that of r.
            parts += [positive, functional.relu(positive - response.mean(dim=(2, 3)))]
        return torch.cat(parts, dim=1)

    def forward(self, pixels: Tensor) -> Tensor:
        """(B, C, S, S) normalised pixels → (B, F)."""
        responses = torch.log(self.pooled(pixels) + self.floor)
        return torch.cat([responses, _band_statistics(pixels)], dim=1)


def _band_statistics(pixels: Tensor) -> Tensor:
    """(B, C, S, S) → (B, 2C): the mean and the log deviation of each band."""
    values = pixels.flatten(2)
    means = values.mean(dim=2, keepdim=True)
    lengths = torch.linalg.vector_norm(values - means, dim=2)
    deviations = torch.log(lengths / sqrt(values.shape[2]) + _DEVIATION_FLOOR)
    return torch.cat([means.squeeze(2), deviations], dim=1)
