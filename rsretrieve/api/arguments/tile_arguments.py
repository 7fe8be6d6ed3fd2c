"""Check the arguments of `open_tiles` for scenes and labels."""

from __future__ import annotations

from collections.abc import Mapping

from rsretrieve._core.tables.parquet_file import text_of
from rsretrieve.api.arguments.checks import number, one_of, whole, wrong
from rsretrieve.data.labels.class_names import clean_label
from rsretrieve.data.labels.decided_rows import DecisionColumn
from rsretrieve.data.windowing import DEFAULT_MAX_NODATA, WindowChoices
from rsretrieve.enums import Edges
from rsretrieve.errors import InvalidArgument

_UNCUT = {
    "stride_px": None,
    "resolution_m": None,
    "edges": Edges.DROP,
    "max_nodata": DEFAULT_MAX_NODATA,
}


_DECISION_COLUMNS = ("tile", "decision", "given_label", "suggested_label")


def windows_of(
    window: object, stride: object, resolution: object, edges: object, max_nodata: object
) -> WindowChoices | None:
    """How scenes are cut; None where they are not."""
    choices = {
        "stride_px": None if stride is None else whole(stride, "stride", 1),
        "resolution_m": None if resolution is None else number(resolution, "resolution"),
        "edges": one_of(edges, Edges, "edges"),
        "max_nodata": number(max_nodata, "max_nodata"),
    }
    if window is not None:
        return WindowChoices(whole(window, "window", 1), **choices)  # type: ignore[arg-type]
    if choices != {**choices, **_UNCUT}:
        raise InvalidArgument("stride, resolution, edges and max_nodata need a window")
    return None


def label_mapping(labels: object) -> dict[str, str | None]:
    """Tile id → label, of a mapping or a DataFrame.

    Raises:
        InvalidArgument: it is neither, or holds something else than texts.
    """
    if isinstance(labels, Mapping):
        pairs = list(labels.items())
    elif {"tile", "label"} <= set(getattr(labels, "columns", ())):
        columns = (labels[name].tolist() for name in ("tile", "label"))  # type: ignore[index]
        pairs = [(tile, _label_of_value(tile, label)) for tile, label in zip(*columns)]
    else:
        expected = "a path, a mapping of tile ids to labels, or a DataFrame (tile, label)"
        raise wrong("labels", expected, labels)
    for tile, label in pairs:
        if not isinstance(tile, str) or not (label is None or isinstance(label, str)):
            raise wrong("labels", "texts by tile ids", (tile, label))
    return {tile: clean_label(label) for tile, label in pairs}


def decisions_among(labels: object, known: Mapping[str, str | None]) -> DecisionColumn:
    """The labels that a person decided on, by the columns of a DataFrame.

    Args:
        labels: see `label_mapping`; a mapping holds no decisions.
        known: the labels, by tile id.

    Raises:
        LabelsError: the cells of a row contradict one another.
    """
    decisions = DecisionColumn("labels")
    if isinstance(labels, Mapping) or "decision" not in getattr(labels, "columns", ()):
        return decisions
    names = [name for name in _DECISION_COLUMNS if name in labels.columns]  # type: ignore[attr-defined]
    rows = zip(*(labels[name].tolist() for name in names))  # type: ignore[index]
    for line, values in enumerate(rows, start=1):
        texts = (_label_of_value(names[0], value) or "" for value in values)
        row = dict(zip(names, texts))
        decisions.read(row["tile"], known[row["tile"]], row, line)
    return decisions


def _label_of_value(tile: object, value: object) -> str | None:
    """The label that a cell of a DataFrame holds: numbers and bytes become text.

    Raises:
        InvalidArgument: it is a list or a record.
    """
    if isinstance(value, list | tuple | dict | set) or bool(getattr(value, "ndim", False)):
        raise wrong("labels", "one label a tile", (tile, value))
    if not isinstance(value, str) and str(value) in ("nan", "NaT", "<NA>"):
        return None
    return text_of(value.item() if hasattr(value, "item") else value) or None
