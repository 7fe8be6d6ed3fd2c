"""Warnings about tiles that differ from those that a model was trained on.

The thresholds separate real tiles of the same kind from tiles of another kind, another unit or
another order of bands: `benchmarks/misfit.py` prints how many of each are reported.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations, permutations

import numpy as np
from numpy.typing import NDArray

from rsretrieve.data.preprocessing.preprocessing import Preprocessing
from rsretrieve.data.profile.tile_features import TileFeatures
from rsretrieve.data.profile.tile_scale import Range, TileScale
from rsretrieve.data.profile.training_profile import LEAST_TILES, TrainingProfile, joint_features

_MARGIN = 0.25  # of the range of the training tiles' means
_FEW, _MANY = 0.1, 0.5  # shares of tiles that are reported: constant ones, and outlying ones
_CONTRAST = 10.0  # ratio of the typical deviations within a tile
_PIXEL_CONTRAST = 33.0  # the same, against the deviation of all pixels together
_LEAST_FOR_CONTRAST = 10
_GAIN, _BETTER = 0.4, 0.6  # in nats, of the median tile; share of tiles
_MOST_COMPARED, _MOST_PERMUTED = 500, 6
_SCALE_RATIO = 1.4  # half an octave
_SPREAD_SHARE, _CLASS_SPREAD_SHARE, _LEAST_SPREAD = 0.02, 0.5, 1e-5
_LEAST_FOR_SPREAD = 10


def value_warnings(
    preprocessing: Preprocessing, profile: TrainingProfile | None, features: TileFeatures
) -> list[str]:
    """Compare the pixels of tiles with those of the training tiles.

    Args:
        preprocessing: of the model; with an old model its statistics are compared.
        profile: of the training tiles; None for an old model.
        features: of the tiles, preprocessed.

    Returns:
        At most one sentence about their values or the order of their bands, and one about
        constant tiles.
    """
    if not len(features):
        return []
    found = _constant(features)
    known = profile or _profile_of_statistics(preprocessing)
    ratio = _CONTRAST if profile else _PIXEL_CONTRAST
    checks = (
        _other_values(preprocessing, known, features),
        "" if found else _other_contrast(preprocessing, known, features, ratio),
        _other_order(preprocessing, known, features),
    )
    return [*found, *[text for text in checks if text][:1]]


def _profile_of_statistics(preprocessing: Preprocessing) -> TrainingProfile:
    statistics = preprocessing.statistics
    return TrainingProfile(statistics.low, statistics.high, statistics.deviation)


def _constant(features: TileFeatures) -> list[str]:
    count = int((features.deviations.max(axis=1) == 0).sum())
    if count < _FEW * len(features) or not count:
        return []
    return [
        f"{count} of {len(features)} tiles are constant (every pixel is the same): they are all "
        "alike for the model"
    ]


def _other_values(
    preprocessing: Preprocessing, profile: TrainingProfile, features: TileFeatures
) -> str:
    low, high = np.array(profile.low), np.array(profile.high)
    margin = _MARGIN * (high - low) + 1e-6 * np.abs(high)
    outside = (features.means < low - margin) | (features.means > high + margin)
    if outside.any(axis=1).mean() <= _MANY:
        return ""
    band = int(outside.mean(axis=0).argmax())
    return (
        f"{_share(outside.any(axis=1))} have other values than the training tiles: band "
        f"{preprocessing.bands[band]} has a mean of {np.median(features.means[:, band]):.4g}, and "
        f"{low[band]:.4g} to {high[band]:.4g} in training; the model may not distinguish them well"
    )


def _share(chosen: NDArray[np.bool_]) -> str:
    return f"{int(chosen.sum())} of {len(chosen)} tiles"


def _other_contrast(
    preprocessing: Preprocessing, profile: TrainingProfile, features: TileFeatures, most: float
) -> str:
    if len(features) < _LEAST_FOR_CONTRAST:
        return ""
    found, wanted = np.median(features.deviations, axis=0), np.array(profile.deviation)
    ratios = (found + 1e-12) / (wanted + 1e-12)
    band = int(np.abs(np.log(ratios)).argmax())
    if wanted[band] <= 0 or 1 / most <= ratios[band] <= most:
        return ""
    return (
        f"the values of the tiles have another range than in training: in band "
        f"{preprocessing.bands[band]} they deviate by {found[band]:.3g} within a tile, and by "
        f"{wanted[band]:.3g} in training; the model may not distinguish them well"
    )


def _other_order(
    preprocessing: Preprocessing, profile: TrainingProfile, features: TileFeatures
) -> str:
    """Whether the tiles are likelier with their bands in another order.

    The training tiles' means and log deviations are taken as normally distributed.
    """
    if not profile.feature_means or len(features) < LEAST_TILES:
        return ""
    bands = len(profile.low)
    some = slice(None, None, -(-len(features) // _MOST_COMPARED))
    values = joint_features(TileFeatures(features.means[some], features.deviations[some]))
    precision = np.linalg.pinv(np.array(profile.feature_covariances))

    def log_likelihood(order: tuple[int, ...]) -> NDArray[np.float64]:
        columns = [*order, *(band + bands for band in order)]
        apart = values[:, columns] - np.array(profile.feature_means)
        return np.asarray(-0.5 * np.einsum("ij,jk,ik->i", apart, precision, apart), np.float64)

    as_given = log_likelihood(tuple(range(bands)))
    gains = ((log_likelihood(order) - as_given, order) for order in _orders(bands))
    gain, order = max(gains, key=lambda pair: float(np.median(pair[0])))
    if np.median(gain) <= _GAIN or (gain > 0).mean() <= _BETTER:
        return ""
    likelier = ",".join(str(preprocessing.bands[band]) for band in order)
    given = ",".join(map(str, preprocessing.bands))
    return (
        f"the bands seem to be in another order than in training: for {(gain > 0).mean():.0%} of "
        f"{len(gain)} tiles, {likelier} is likelier than {given}"
    )


def _orders(bands: int) -> Iterator[tuple[int, ...]]:
    """Other orders of the bands: all of few; of many the exchanges, rotations and the reverse."""
    plain = tuple(range(bands))
    if bands <= _MOST_PERMUTED:
        yield from (order for order in permutations(plain) if order != plain)
        return
    yield plain[::-1]
    yield from (plain[by:] + plain[:by] for by in range(1, bands))
    for one, other in combinations(plain, 2):
        order = list(plain)
        order[one], order[other] = other, one
        yield tuple(order)


def spread_warning(
    profile: TrainingProfile | None,
    spread: float | None,
    tiles: int,
    which: str = "these tiles",
) -> str:
    """A warning if the embeddings of some tiles are nearly the same; else empty.

    Args:
        profile: of the training tiles; None for an old model.
        spread: of the embeddings, see `spread_of`.
        tiles: the number of tiles.
        which: the tiles, for the message.
    """
    if spread is None or tiles < _LEAST_FOR_SPREAD:
        return ""
    usual = None if profile is None else profile.spread
    limit = _LEAST_SPREAD
    if usual is not None:
        limit = max(limit, _SPREAD_SHARE * usual)
        if profile is not None and profile.class_spread is not None:
            limit = max(_LEAST_SPREAD, min(limit, _CLASS_SPREAD_SHARE * profile.class_spread))
    if spread >= limit:
        return ""
    trained = "" if usual is None else f", and {1 - usual:.2f} among the training tiles"
    return (
        f"the model hardly distinguishes {which}: their mean similarity is {1 - spread:.4f}"
        f"{trained}; train a model on such tiles"
    )


def scale_warning(size_px: int, trained: TileScale, found: TileScale) -> str:
    """A warning if tiles have another size on the ground than the training tiles; else empty.

    Args:
        size_px: the side that tiles are resized to. Pixels that are smaller afterwards in both
            sets do not count.
        trained: the scale of the training tiles.
        found: the scale of the tiles.
    """
    if trained.tile_m is None or found.tile_m is None:
        return ""
    as_read = _at_least(trained, size_px), _at_least(found, size_px)
    if not _differ(trained.tile_m, found.tile_m) and not _is_coarser(*as_read):
        return ""
    return (
        f"the tiles are {_lengths(found)}, and those that the model was trained on "
        f"{_lengths(trained)}: similarities across scales are not reliable"
    )


def scale_difference(indexed: TileScale, found: TileScale) -> str:
    """How a query image differs in scale from the tiles of an index; empty if it does not.

    Sizes on the ground are compared, or sizes in pixels if those are unknown.

    Args:
        indexed: the scale of the tiles of the index.
        found: the scale of the image.
    """
    if indexed.tile_m is not None and found.tile_m is not None:
        size = max(round(indexed.side_px[1]) if indexed.side_px else 1, 1)
        as_read = _at_least(indexed, size), _at_least(found, size)
        if _differ(indexed.tile_m, found.tile_m) or _is_coarser(*as_read):
            return f"{_lengths(found)}, and the tiles of the index are {_lengths(indexed)}"
        return ""
    if indexed.side_px is None or found.side_px is None:
        return ""
    if not _differ(indexed.side_px, found.side_px):
        return ""
    sides = (f"{_length(side, 'px')} wide" for side in (found.side_px, indexed.side_px))
    return ", and the tiles of the index are ".join(sides)


def _differ(one: Range, other: Range) -> bool:
    return other[0] > _SCALE_RATIO * one[1] or other[1] * _SCALE_RATIO < one[0]


def _is_coarser(trained: Range | None, found: Range | None) -> bool:
    return trained is not None and found is not None and found[0] > _SCALE_RATIO * trained[1]


def _at_least(scale: TileScale, size_px: int) -> Range | None:
    """The size of a pixel on the ground, when the tile is resized and not enlarged."""
    if scale.pixel_m is None or scale.tile_m is None:
        return None
    low, high = (max(p, t / size_px) for p, t in zip(scale.pixel_m, scale.tile_m))
    return low, high


def _lengths(scale: TileScale) -> str:
    text = f"{_length(scale.tile_m)} wide"
    return text if scale.pixel_m is None else f"{text} ({_length(scale.pixel_m)} a pixel)"


def _length(lengths: Range | None, unit: str = "m") -> str:
    if lengths is None:
        return "of unknown size"
    low, high = (f"{length:,.3g}" if length < 1000 else f"{length:,.0f}" for length in lengths)
    return f"{low} {unit}" if low == high else f"{low} to {high} {unit}"
