"""A noise matrix as a picture: given labels down, true classes across."""

from __future__ import annotations

from html import escape

import numpy as np
from numpy.typing import NDArray

from rsretrieve.audit.records import NoiseMatrix
from rsretrieve.text import printable, shortened

MOST_CLASSES = 40
_CELL_PX, _LABEL_PX, _LETTERS = 18, 130, 20
_LEAST_DRAWN = 0.5


def matrix_picture(matrix: NoiseMatrix) -> str:
    """Draw the confusions between classes as an SVG element; large values are dark.

    Of more than 40 classes those with the largest sums of rows and columns are drawn.

    Args:
        matrix: what to draw; its diagonal is not drawn, nor what is less than half a tile.
    """
    diagonal = np.eye(len(matrix.class_names), dtype=bool)
    values = np.where(diagonal | (matrix.values < _LEAST_DRAWN), 0, matrix.values)
    drawn = _worth_drawing(values)
    names = [matrix.class_names[c] for c in drawn]
    values = values[np.ix_(drawn, drawn)]
    side = len(names) * _CELL_PX
    width = side + _LABEL_PX + 2
    parts = [
        f'<svg viewBox="0 0 {width} {width}" width="{width}" height="{width}" role="img" '
        'aria-label="How often each given label should be another one">',
        f'<rect class="grid" x="{_LABEL_PX}" y="{_LABEL_PX}" width="{side}" height="{side}"/>',
        *(_row_name(name, number) for number, name in enumerate(names)),
        *(_column_name(name, number) for number, name in enumerate(names)),
        *_cells(names, values),
        "</svg>",
    ]
    return "\n".join(parts)


def _worth_drawing(values: NDArray[np.float64]) -> list[int]:
    """The classes that have any confusion, the 40 with the most, in their own order."""
    weight = values.sum(axis=0) + values.sum(axis=1)
    largest = np.argsort(-weight, kind="stable")[:MOST_CLASSES]
    return sorted(int(c) for c in largest if weight[c] > 0)


def _row_name(name: str, number: int) -> str:
    x, y = _LABEL_PX - 5, _LABEL_PX + (number + 0.7) * _CELL_PX
    return f'<text x="{x}" y="{y:.1f}" text-anchor="end">{_short(name)}</text>'


def _column_name(name: str, number: int) -> str:
    x, y = _LABEL_PX + (number + 0.7) * _CELL_PX, _LABEL_PX - 5
    return f'<text transform="translate({x:.1f} {y}) rotate(-90)">{_short(name)}</text>'


def _cells(names: list[str], values: NDArray[np.float64]) -> list[str]:
    most = float(values.max(initial=0))
    return [
        _cell(names[row], names[column], float(values[row, column]), most, (row, column))
        for row, column in np.argwhere(values > 0).tolist()
    ]


def _cell(given: str, suggested: str, value: float, most: float, at: tuple[int, int]) -> str:
    x, y = _LABEL_PX + at[1] * _CELL_PX + 1, _LABEL_PX + at[0] * _CELL_PX + 1
    size = _CELL_PX - 2
    said = escape(f"{printable(given)} → {printable(suggested)}: {value:.4g}")
    return (
        f'<rect class="cell" tabindex="0" role="button" x="{x}" y="{y}" width="{size}" '
        f'height="{size}" fill-opacity="{0.15 + 0.85 * value / most:.3f}" '
        f'data-given="{escape(given)}" data-suggested="{escape(suggested)}" '
        f'aria-label="{said}"><title>{said}</title></rect>'
    )


def _short(name: str) -> str:
    return escape(shortened(name, _LETTERS, len))
