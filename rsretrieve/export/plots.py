"""Plots by matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rsretrieve._core.atomic_write import written_aside
from rsretrieve._core.tables import read_table
from rsretrieve._core.text import printable
from rsretrieve.errors import MissingPackage

if TYPE_CHECKING:
    from rsretrieve.evaluation.evaluate import Evaluation

_CLASS_INCHES, _LARGEST_INCHES = 0.22, 40


def plot_training(history: Path, path: Path, kept_epoch: int = 0, why: str = "") -> None:
    """Plot the loss, the validation accuracy and the kept fraction of a training by epoch.

    Args:
        history: the `history.csv` of the model folder.
        path: the PNG file.
        kept_epoch: the epoch of the model that is written; 0 marks none.
        why: why this one, in words.

    Raises:
        MissingPackage: matplotlib is not installed.
        TableError: the history cannot be read.
    """
    rows = [row for _, row in read_table(history, ("epoch", "loss", "kept_fraction"))]
    epochs = [int(row["epoch"]) for row in rows]
    figure = figure_class()(figsize=(8, 4.2), layout="constrained")
    losses = figure.add_subplot()
    losses.plot(epochs, [float(row["loss"]) for row in rows], color="tab:gray", label="loss")
    losses.set_xlabel("epoch")
    losses.set_ylabel("training loss")
    shares = losses.twinx()
    shares.set_ylim(0, 1.02)
    shares.set_ylabel("share of tiles")
    _plot_known(shares, epochs, rows, "kept_fraction", "labels kept (m = 1)", "tab:green")
    if any(float(row.get("relabelled_fraction") or 0) for row in rows):
        _plot_known(shares, epochs, rows, "relabelled_fraction", "relabelled", "tab:orange")
    _plot_known(
        shares, epochs, rows, "validation_accuracy", "validation accuracy, given labels", "tab:blue"
    )
    lines = [*losses.get_lines(), *shares.get_lines()]
    if kept_epoch:
        losses.axvline(kept_epoch, color="black", linewidth=1, linestyle=":")
        losses.set_xlabel(f"epoch (kept: {kept_epoch}{f', {why}' if why else ''})")
    names = [line.get_label() for line in lines]
    figure.legend(lines, names, loc="outside upper center", ncols=4, frameon=False)
    losses.xaxis.get_major_locator().set_params(integer=True)
    losses.grid(alpha=0.25)
    with written_aside(path, overwrite=True, follow=False) as aside:
        figure.savefig(aside, format="png", dpi=130)


def plot_evaluation(path: Path, evaluation: Evaluation, *, overwrite: bool) -> None:
    """Plot the confusion matrix of the nearest neighbours, and the mAP of each class.

    Args:
        path: the PNG file.
        evaluation: the figures.
        overwrite: replace an existing file.

    Raises:
        MissingPackage: matplotlib is not installed.
    """
    counts = np.array(evaluation.confusion.counts, np.float64)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = min(_LARGEST_INCHES, 3 + _CLASS_INCHES * len(counts))
    figure = figure_class()(figsize=(1.35 * side, side), layout="constrained")
    matrix, bars = figure.subplots(1, 2, sharey=True, width_ratios=(3, 1))
    image = matrix.imshow(shares, vmin=0, vmax=1, cmap="Blues", aspect="auto")
    figure.colorbar(image, ax=matrix, label="share of the queries of a class", location="left")
    names = [printable(name) for name in evaluation.confusion.class_names]
    places = range(len(names))
    matrix.set_xticks(places, names, rotation=90)
    matrix.set_yticks(places, names)
    matrix.set_xlabel("class by 10 nearest neighbours")
    matrix.set_ylabel("label of the query")
    values = [0.0 if entry.figures is None else entry.figures.map for entry in evaluation.per_class]
    bars.barh(places, values, color="tab:blue")
    bars.set_xlim(0, 1)
    bars.set_xlabel(f"mAP ({evaluation.gallery_labels})")
    for axes in (matrix, bars):
        for text in (*axes.get_xticklabels(), *axes.get_yticklabels()):
            text.set_parse_math(False)  # a class may be named "$"
    with written_aside(path, overwrite=overwrite) as aside:
        figure.savefig(aside, format="png", dpi=130)


def _plot_known(
    axes: Any,
    epochs: Sequence[int],
    rows: Sequence[dict[str, str]],
    key: str,
    name: str,
    color: str,
) -> None:
    known = [(epoch, float(row[key])) for epoch, row in zip(epochs, rows) if row.get(key)]
    if known:
        axes.plot(*zip(*known), color=color, label=name)


def figure_class() -> Any:
    """Matplotlib's class of figures.

    Raises:
        MissingPackage: matplotlib is not installed.
    """
    # Figure instead of pyplot: it needs no window system and has no global state.
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingPackage(
            "plots need matplotlib, which is not installed", hint="pip install matplotlib"
        ) from error
    return Figure
