"""Compare the thumbprints of two tiles at their best alignment."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

SAME_PIXELS = 0.75
"""Agreement at and above which two tiles are near-duplicates.

Tiles of UC Merced that were re-compressed (JPEG quality 40 to 90) and shifted by 2 of 256 px
agree with their originals by at least 0.8, except for one in 50 (plain fields). The largest
agreement of different tiles is 0.66 (two parts of one runway).
"""

_MOST_SHIFT_PX = 2
_PARTS = 8
_LOWEST = 0.15
_NOISE = 4.0  # variance of compression noise in a thumbprint, in squared grey levels

Print = NDArray[np.float32]


def agreement(one: Print, other: Print) -> float:
    """Agreement of two thumbprints.

    One is shifted by up to 2.5 px of 64, in steps of half a pixel, to the highest correlation.
    The overlap is then split into 8×8 parts; the result is the 15 % quantile of the correlations
    of the parts. A bright stripe in both tiles, such as a runway, raises the correlation of the
    whole tiles but not that of most parts. Plain parts correlate by their assumed noise.

    Args:
        one: (64, 64) float32; see `thumbprint`.
        other: the same of another tile.

    Returns:
        −1…1; 1 for the same pixels.
    """
    best, aligned = -2.0, (one, other)
    for shifted in _half_pixel_shifts(other):
        for pair in _overlaps(one, shifted):
            found = _correlation(*pair)
            if found > best:
                best, aligned = found, pair
    parts = [
        _correlation(a, b, _NOISE)
        for rows in zip(*(np.array_split(print_, _PARTS, axis=0) for print_ in aligned))
        for a, b in zip(*(np.array_split(band, _PARTS, axis=1) for band in rows))
    ]
    return min(best, float(np.quantile(parts, _LOWEST)))


def agreements(
    pairs: NDArray[np.int64], prints: Mapping[int, Print], advance: Callable[[], None]
) -> NDArray[np.float64]:
    """Compare pairs of tiles.

    Args:
        pairs: (P, 2) rows of tiles.
        prints: the thumbprints of the tiles that can be read, by row.
        advance: called after each pair.

    Returns:
        (P,) their agreement; 0 for a pair without both thumbprints.
    """
    found = np.zeros(len(pairs))
    for number, (one, other) in enumerate(pairs.tolist()):
        if one in prints and other in prints:
            found[number] = agreement(prints[one], prints[other])
        advance()
    return found


def _half_pixel_shifts(print_: Print) -> Iterator[Print]:
    """The thumbprint itself, and shifted by half a pixel along either axis and along both."""
    half = np.float32(0.5)
    across = (print_[:, :-1] + print_[:, 1:]) * half
    yield from (print_, across)
    yield from ((shape[:-1] + shape[1:]) * half for shape in (print_, across))


def _overlaps(one: Print, other: Print) -> Iterator[tuple[Print, Print]]:
    """The overlaps of two thumbprints at every shift by whole pixels."""
    for down in range(-_MOST_SHIFT_PX, _MOST_SHIFT_PX + 1):
        for right in range(-_MOST_SHIFT_PX, _MOST_SHIFT_PX + 1):
            a = one[max(0, down) :, max(0, right) :]
            b = other[max(0, -down) :, max(0, -right) :]
            height, width = min(a.shape[0], b.shape[0]), min(a.shape[1], b.shape[1])
            yield a[:height, :width], b[:height, :width]


def _correlation(one: Print, other: Print, noise: float = 0.0) -> float:
    """Pearson correlation, with a common variance of `noise` added; 0 for constant values."""
    a, b = one - one.mean(), other - other.mean()
    shared = noise * a.size
    squares = [float((print_ * print_).sum(dtype=np.float64)) + shared for print_ in (a, b)]
    norm = float(np.sqrt(squares[0] * squares[1]))
    return (float((a * b).sum(dtype=np.float64)) + shared) / norm if norm > 1e-9 else 0.0
