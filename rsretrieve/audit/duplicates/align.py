"""Whether two tiles show the same pixels: their thumbprints, laid over each other at best."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

SAME_PIXELS = 0.75
"""Agreement from which on two tiles are twins.

Of UC Merced, tiles re-compressed (JPEG quality 40 to 90) and shifted by 2 of 256 px agree with
their originals by 0.8 and more, but for one in 50, of plain fields; the most alike of
different tiles, two stretches of one runway, by 0.66.
"""

_MOST_SHIFT_PX = 2
_PARTS = 8
_LOWEST = 0.15
_NOISE = 4.0  # variance, in squared grey levels, of what compression alone does to a print

Print = NDArray[np.float32]


def agreement(one: Print, other: Print) -> float:
    """How far two thumbprints agree everywhere, −1…1; 1 for the same pixels.

    They are shifted against each other by up to 2.5 px of 64, in steps of half a pixel, to where
    their correlation is highest. There the overlap is cut in 8×8 parts, and a low one of the
    parts' correlations counts (that of the 15 % lowest): one bright stripe that both tiles have,
    such as a runway, makes the correlation of two tiles and not that of all their parts. In a
    part where both are plain, they agree as far as noise lets them.
    """
    best, aligned = -2.0, (one, other)
    for shifted in _halfway(other):
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


def _halfway(print_: Print) -> Iterator[Print]:
    """As it is, and shifted by half a pixel along one axis, the other, both."""
    half = np.float32(0.5)
    across = (print_[:, :-1] + print_[:, 1:]) * half
    yield from (print_, across)
    yield from ((shape[:-1] + shape[1:]) * half for shape in (print_, across))


def _overlaps(one: Print, other: Print) -> Iterator[tuple[Print, Print]]:
    """What two prints share at every shift of whole pixels."""
    for down in range(-_MOST_SHIFT_PX, _MOST_SHIFT_PX + 1):
        for right in range(-_MOST_SHIFT_PX, _MOST_SHIFT_PX + 1):
            a = one[max(0, down) :, max(0, right) :]
            b = other[max(0, -down) :, max(0, -right) :]
            height, width = min(a.shape[0], b.shape[0]), min(a.shape[1], b.shape[1])
            yield a[:height, :width], b[:height, :width]


def _correlation(one: Print, other: Print, noise: float = 0.0) -> float:
    """Pearson's, of values that share a variance of `noise` beside their own; 0 for flat ones."""
    a, b = one - one.mean(), other - other.mean()
    shared = noise * a.size
    squares = [float((print_ * print_).sum(dtype=np.float64)) + shared for print_ in (a, b)]
    norm = float(np.sqrt(squares[0] * squares[1]))
    return (float((a * b).sum(dtype=np.float64)) + shared) / norm if norm > 1e-9 else 0.0
