"""The noise matrix as an SVG picture: rows are given labels, columns true classes."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np
from numpy.typing import NDArray

from rsretrieve._core.text import printable, shortened
from rsretrieve.audit.result import NoiseMatrix

MOST_CLASSES = 40
_CELL_PX, _LABEL_PX, _LETTERS = 26, 150, 20
_FAINTEST, _STRONGEST = 0.12, 0.45  # of the fill; the number on it stays readable
_LEAST_DRAWN = 0.5


def matrix_picture(matrix: NoiseMatrix) -> str:
    """Draw the confusions between classes: a number in each cell, large ones on a darker ground.

    Of more than 40 classes, only those with the largest row and column sums are drawn, and a
    paragraph above the picture says so.

    Args:
        matrix: K classes; the diagonal and values below half a tile are not drawn.

    Returns:
        An SVG element, possibly after a paragraph.
    """
    diagonal = np.eye(len(matrix.class_names), dtype=bool)
    values = np.where(diagonal | (matrix.values < _LEAST_DRAWN), 0, matrix.values)
    weight = values.sum(axis=0) + values.sum(axis=1)
    drawn = _most_confused(weight)
    names = [matrix.class_names[c] for c in drawn]
    side = len(names) * _CELL_PX
    width = side + _LABEL_PX + 2
    middle = _LABEL_PX + side / 2
    confused = int((weight > 0).sum())
    cut = f"Only the {len(drawn)} most confused of {confused:,} classes with confusions are shown."
    parts = [
        *[f"<p>{cut}</p>"] * (confused > len(drawn)),
        f'<svg viewBox="0 0 {width} {width}" width="{width}" height="{width}" role="group" '
        'aria-label="Expected number of tiles by given label and true class">',
        f'<text class="axis" x="{middle}" y="13" text-anchor="middle">'
        "true class (estimated)</text>",
        f'<text class="axis" transform="translate(13 {middle}) rotate(-90)" text-anchor="middle">'
        "given label</text>",
        f'<rect class="grid" x="{_LABEL_PX}" y="{_LABEL_PX}" width="{side}" height="{side}"/>',
        *(_row_name(name, number) for number, name in enumerate(names)),
        *(_column_name(name, number) for number, name in enumerate(names)),
        *_cells(matrix, values, drawn),
        "</svg>",
    ]
    return "\n".join(parts)


def _most_confused(weight: NDArray[np.float64]) -> list[int]:
    """The classes with any confusion, at most the 40 with the most, in their own order."""
    largest = np.argsort(-weight, kind="stable")[:MOST_CLASSES]
    return sorted(int(c) for c in largest if weight[c] > 0)


def _row_name(name: str, number: int) -> str:
    x, y = _LABEL_PX - 5, _LABEL_PX + (number + 0.7) * _CELL_PX
    return f'<text x="{x}" y="{y:.1f}" text-anchor="end">{_short(name)}</text>'


def _column_name(name: str, number: int) -> str:
    x, y = _LABEL_PX + (number + 0.7) * _CELL_PX, _LABEL_PX - 5
    return f'<text transform="translate({x:.1f} {y}) rotate(-90)">{_short(name)}</text>'


def _cells(matrix: NoiseMatrix, values: NDArray[np.float64], drawn: list[int]) -> list[str]:
    rows, columns = np.nonzero(values[np.ix_(drawn, drawn)])
    given, true = np.array(drawn, np.int64)[rows], np.array(drawn, np.int64)[columns]
    low, high = matrix.intervals(given, true)
    tiles = matrix.values.sum(axis=1)[given]
    found = np.stack([values[given, true], low * tiles, high * tiles], axis=1)
    share = found[:, 0] / found[:, 0].max(initial=0)
    darkness = _FAINTEST + (_STRONGEST - _FAINTEST) * share
    names = matrix.class_names
    return [
        _cell(names[pair[0]], names[pair[1]], figures, dark, at)
        for *pair, figures, dark, at in zip(
            *(given.tolist(), true.tolist(), found.tolist(), darkness.tolist()),
            zip(rows.tolist(), columns.tolist()),
        )
    ]


def _cell(
    given: str, suggested: str, tiles: Sequence[float], darkness: float, at: tuple[int, int]
) -> str:
    x, y = _LABEL_PX + at[1] * _CELL_PX + 1, _LABEL_PX + at[0] * _CELL_PX + 1
    size = _CELL_PX - 2
    expected, low, high = tiles
    text = escape(
        f"{printable(given)} → {printable(suggested)}: {expected:.4g} ({low:.3g} to {high:.3g})"
    )
    return (
        f'<g class="cell" tabindex="0" role="button" data-given="{escape(given)}" '
        f'data-suggested="{escape(suggested)}" aria-label="{text}"><title>{text}</title>'
        f'<rect x="{x}" y="{y}" width="{size}" height="{size}" fill-opacity="{darkness:.3f}"/>'
        f'<text x="{x + size / 2}" y="{y + 0.65 * size:.1f}" text-anchor="middle">'
        f"{_number(expected)}</text></g>"
    )


def _number(tiles: float) -> str:
    """A number that fits into a cell.

    >>> _number(0.6), _number(412.0), _number(12_345.0)
    ('1', '412', '12k')
    """
    return f"{tiles:.0f}" if tiles < 999.5 else f"{tiles / 1000:.0f}k"


def _short(name: str) -> str:
    return escape(shortened(name, _LETTERS, len))
