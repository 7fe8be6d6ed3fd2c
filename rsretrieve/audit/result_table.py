"""The findings of an audit as one Arrow table: a row per label, the worst label first.

`SCHEMA` is the only list of the columns. Everything that is shown or written reads them by name.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow
from numpy.typing import NDArray

from rsretrieve.audit.duplicates.find import NO_DUPLICATE
from rsretrieve.audit.findings import LabelFindings
from rsretrieve.audit.issue_types import ISSUE_TYPES, NO_ISSUE
from rsretrieve.data.tile import TileSet

_ROWS_AT_ONCE = 8192
_LABEL = pyarrow.dictionary(pyarrow.int32(), pyarrow.string())
_ISSUE_TYPE = pyarrow.dictionary(pyarrow.int8(), pyarrow.string())
_TEXT, _FLAG, _ROW = pyarrow.string(), pyarrow.bool_(), pyarrow.int64()
NO_CLASS = -1
_FLOAT, _DOUBLE = pyarrow.float32(), pyarrow.float64()


def _field(name: str, data_type: pyarrow.DataType, meaning: str) -> pyarrow.Field:
    return pyarrow.field(name, data_type, metadata={"meaning": meaning})


_CSV_FIELDS = (
    _field("tile", _TEXT, "id of the tile"),
    _field("given_label", _LABEL, "label as given by the user"),
    _field("predicted_label", _LABEL, "most probable class; for an issue, the best other class"),
    _field("is_label_issue", _FLAG, "the label is flagged as wrong"),
    _field("label_score", _DOUBLE, "probability that the label is right, 0…1, lower is worse"),
    _field("own_similarity", _FLOAT, "cosine to the prototype of the given label"),
    _field("predicted_similarity", _FLOAT, "cosine to the prototype of the predicted label"),
    _field("kind", _ISSUE_TYPE, "type of issue; null where nothing was found"),
    _field("runner_up_label", _LABEL, "most probable class after the predicted one"),
    _field("runner_up_similarity", _FLOAT, "cosine to the prototype of the runner-up"),
    _field("twin", _TEXT, "id of a near-duplicate with another label, or null"),
    _field("issue_probability", _DOUBLE, "probability that the label is wrong, 0…1"),
    _field("neighbour_share", _FLOAT, "share of the neighbours' votes for the given label"),
    _field("area_under_margin", _FLOAT, "area under the margin in training, in nats"),
    _field("training_weight", _FLOAT, "m_i at the end of training; 1: trained as given"),
    _field("prototype_score", _DOUBLE, "label_score by the prototypes alone"),
    _field("predicted_probability", _DOUBLE, "probability of the predicted label"),
    _field("witnessed_probability", _DOUBLE, "the same without classifiers trained on the labels"),
)
_OTHER_FIELDS = (
    _field("suggested_label", _LABEL, "the predicted label, or the label of the near-duplicate"),
    _field("suggested_probability", _DOUBLE, "probability of the suggested label, or null"),
    _field("second_label", _LABEL, "most probable class but the given and the suggested, or null"),
    _field("second_probability", _DOUBLE, "probability of the second label, or null"),
    _field("has_confident_suggestion", _FLAG, "the suggestion can be applied without review"),
    _field("needs_review", _FLAG, "the label is an issue, or the tile has a type of issue"),
    _field("row", _ROW, "position of the tile in `Audit.tiles`"),
    _field("twin_row", _ROW, "position of the near-duplicate in `Audit.tiles`, or null"),
)
SCHEMA = pyarrow.schema([*_CSV_FIELDS, *_OTHER_FIELDS])
CSV_COLUMNS = tuple(field.name for field in _CSV_FIELDS)


Row = dict[str, Any]


@dataclass(frozen=True)
class ClassifiedLabels:
    """What the audit found about N labels, in the order of the tiles.

    Attributes:
        tiles: N tiles.
        class_names: names of the K classes.
        labels: (N,) int64 class numbers of the given labels.
        findings: probabilities, suggestions and what they are based on.
        issue_types: (N,) int8 positions in `ISSUE_TYPES`, or `NO_ISSUE`.
        is_confident: (N,) bool, the suggestion is applied without review.
        near_duplicates: (N,) int64 row of a near-duplicate with another label, or `NO_DUPLICATE`.
    """

    tiles: TileSet
    class_names: Sequence[str]
    labels: NDArray[np.int64]
    findings: LabelFindings
    issue_types: NDArray[np.int8]
    is_confident: NDArray[np.bool_]
    near_duplicates: NDArray[np.int64]

    @property
    def needs_review(self) -> NDArray[np.bool_]:
        """(N,) the label is flagged as wrong, or the tile has a type of issue."""
        return np.asarray(self.findings.is_label_issue | (self.issue_types != NO_ISSUE))

    @property
    def suggested(self) -> NDArray[np.int64]:
        """(N,) the predicted class, or the class of a near-duplicate.

        The near-duplicate's label is suggested where the predicted class is the given one. It is
        not where that label is itself flagged as wrong.
        """
        predicted, other = self.findings.predicted, self.near_duplicates
        takes_other = (other != NO_DUPLICATE) & (predicted == self.labels)
        takes_other &= ~self.findings.is_label_issue[other]
        return np.where(takes_other, self.labels[other], predicted)

    @property
    def second(self) -> NDArray[np.int64]:
        """(N,) the most probable class but the given and the suggested; −1 if unknown."""
        found = np.full(len(self.labels), NO_CLASS, np.int64)
        if self.findings.ranked is None:
            return found
        suggested = self.suggested
        for column in self.findings.ranked.T[::-1]:
            found = np.where((column != self.labels) & (column != suggested), column, found)
        return found

    def probability(self, classes: NDArray[np.int64]) -> NDArray[np.float64]:
        """(N,) probability of a class for each tile; NaN if it is not among the most probable."""
        found = np.full(len(classes), np.nan)
        ranked, known = self.findings.ranked, self.findings.ranked_probability
        if ranked is not None and known is not None:
            rows, columns = np.nonzero(ranked == classes[:, None])
            found[rows] = known[rows, columns]
        return found

    def table(self, order: NDArray[np.int64]) -> pyarrow.Table:
        """The findings as a table of `SCHEMA`.

        Args:
            order: (N,) int64 rows of the tiles, the worst label first.

        Returns:
            N rows.
        """
        ids = [tile.id for tile in self.tiles]
        duplicates = self.near_duplicates[order].tolist()
        suggested, second = self.suggested, self.second
        columns = {
            "tile": text_array([ids[row] for row in order.tolist()]),
            "given_label": self._names(self.labels[order]),
            "predicted_label": self._names(self.findings.predicted[order]),
            "runner_up_label": self._names(self.findings.runner_up[order]),
            "suggested_label": self._names(suggested[order]),
            "suggested_probability": _number_array(self.probability(suggested)[order]),
            "second_label": self._names(second[order]),
            "second_probability": _number_array(self.probability(second)[order]),
            "kind": _dictionary(self.issue_types[order], ISSUE_TYPES),
            "twin": text_array([None if row == NO_DUPLICATE else ids[row] for row in duplicates]),
            "twin_row": pyarrow.array(duplicates, mask=self.near_duplicates[order] == NO_DUPLICATE),
            "has_confident_suggestion": pyarrow.array(self.is_confident[order]),
            "needs_review": pyarrow.array(self.needs_review[order]),
            "row": pyarrow.array(order),
        }
        for name in SCHEMA.names:
            if name not in columns:
                columns[name] = _number_array(getattr(self.findings, name)[order])
        return pyarrow.table([columns[name] for name in SCHEMA.names], schema=SCHEMA)

    def _names(self, numbers: NDArray[np.int64]) -> pyarrow.DictionaryArray:
        return _dictionary(numbers.astype(np.int32), self.class_names)


def text_array(texts: Sequence[str | None]) -> pyarrow.Array:
    """Make a column of text.

    Args:
        texts: names, or None. A file name that is not valid Unicode is stored as its raw bytes;
            `plain_values` restores it.
    """
    try:
        return pyarrow.array(texts, _TEXT)
    except UnicodeEncodeError:
        content = [text and text.encode("utf-8", "surrogatepass") for text in texts]
        return pyarrow.array(content, pyarrow.binary()).cast(_TEXT, safe=False)


def _dictionary(codes: NDArray[Any], names: Sequence[str]) -> pyarrow.DictionaryArray:
    """Positions in `names` as a column; null for negative ones."""
    indices = pyarrow.array(codes, mask=codes < 0)
    return pyarrow.DictionaryArray.from_arrays(indices, text_array([str(n) for n in names]))


def _number_array(values: NDArray[Any]) -> pyarrow.Array:
    """A column of numbers or flags; null for NaN."""
    return pyarrow.array(values, mask=np.isnan(values) if values.dtype.kind == "f" else None)


def plain_values(column: pyarrow.ChunkedArray) -> list[Any]:
    """Convert a column to a list of Python objects, with None for null."""
    return [value for chunk in column.chunks for value in _plain_chunk(chunk)]


def _plain_chunk(column: pyarrow.Array) -> list[Any]:
    if pyarrow.types.is_dictionary(column.type):
        # Looking the names up is 50 times as fast as `to_pylist` of a dictionary column.
        names = _plain_chunk(column.dictionary)
        return [None if code is None else names[code] for code in column.indices.to_pylist()]
    try:
        return list(column.to_pylist())
    except UnicodeDecodeError:
        content = column.cast(pyarrow.binary()).to_pylist()
        return [text and text.decode("utf-8", "surrogatepass") for text in content]


def tuples_of(table: pyarrow.Table, names: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    """Iterate over the rows of some columns.

    Args:
        table: any number of rows.
        names: the columns.

    Yields:
        The values of a row, in the order of `names`, with None for null.
    """
    for start in range(0, table.num_rows, _ROWS_AT_ONCE):
        part = table.slice(start, _ROWS_AT_ONCE)
        yield from zip(*(plain_values(part.column(name)) for name in names))


def rows_of(table: pyarrow.Table) -> list[Row]:
    """Convert rows to dictionaries. Use it only for the few rows that are shown."""
    names = table.column_names
    return [dict(zip(names, values)) for values in tuples_of(table, names)]
