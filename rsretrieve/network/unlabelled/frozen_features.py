"""Frozen features of a pre-trained network, by the normalisation that suits it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from rsretrieve.data.preprocessing.band_statistics import REFLECTANCE_TYPES, as_reflectance
from rsretrieve.data.preprocessing.preprocessing import BandStatistics
from rsretrieve.data.run_context import RunContext
from rsretrieve.data.tile import TileSet
from rsretrieve.network.backbones.normalisation_check import compare_normalisations
from rsretrieve.network.unlabelled.fit_embedding import FittedEmbedding, fit_frozen
from rsretrieve.network.unlabelled.sample import FitSample


def fit_checked(
    sample: FitSample,
    measured: BandStatistics,
    backbone: str,
    weights: str,
    device: torch.device,
    context: RunContext,
) -> tuple[FittedEmbedding, FitSample]:
    """Fit frozen features, by the normalisation by which neighbours agree far better.

    8-bit RGB tiles are normalised as the weights should expect, unless their own statistics are
    far better; 16-bit tiles by their own, unless division by 10,000 is.

    Args:
        sample: the tiles; their preprocessing has the statistics that the weights should expect.
        measured: the tiles' own statistics.
        backbone: name of the network.
        weights: `imagenet`, or a file.
        device: where the network runs.
        context: receives a notice if the other normalisation is taken.

    Returns:
        The embedding, and the sample with the preprocessing that it was fitted by.

    Raises:
        InvalidArgument, WeightsError: see `fit_frozen`.
    """
    fitted = fit_frozen(sample, backbone, weights, device)
    preprocessing = sample.preprocessing
    own = "the mean and the deviation of the tiles"
    if preprocessing.statistics != measured:
        used, other = f"the mean and the deviation that {backbone} is published with", measured
        meant = f"{own}, which are taken here"
    elif preprocessing.dtype in REFLECTANCE_TYPES:
        used, other = own, as_reflectance(measured)
        meant = "the division by 10,000, which is taken here"
    else:
        return fitted, sample
    found = compare_normalisations(
        fitted.network, preprocessing, sample.pixels, other, class_numbers(sample.tiles)
    )
    notice = found and found.notice(used, meant)
    if not notice:
        return fitted, sample
    context.notice(notice)
    changed = replace(sample, preprocessing=replace(preprocessing, statistics=other))
    return fit_frozen(changed, backbone, weights, device), changed


def class_numbers(tiles: TileSet) -> NDArray[np.int64] | None:
    """(N,) class numbers; None if a tile has no label, or all have the same."""
    names = {name: number for number, name in enumerate(tiles.class_names)}
    labels = [tile.label for tile in tiles]
    if len(names) < 2 or None in labels:
        return None
    return np.array([names[str(label)] for label in labels], np.int64)
