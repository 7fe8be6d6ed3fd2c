"""What finished cells gave: kept in a CSV, printed as a table, drawn as a plot."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, fields
from pathlib import Path

import numpy as np
from scipy import stats

from grid.cells import CELL_COLUMNS, Cell, Method
from grid.kept_rows import KeptRows, Row
from grid.running import Figures

FIGURE_COLUMNS = tuple(field.name for field in fields(Figures))
SHOWN = (
    *("knn_clean", "knn_given", "knn_least", "map", "map_at_r", "p20", "nmi"),
    *("audit_auroc", "audit_ap", "cleanlab_auroc", "cleanlab_ap"),
    *("knn_drop", "train_s", "train_cpu_s"),
)


class Results(KeptRows):
    """The finished cells, one a row; a cell is there once.

    Args:
        path: the CSV, made with the first cell.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, CELL_COLUMNS, FIGURE_COLUMNS)

    def __contains__(self, cell: Cell) -> bool:
        return cell.key in self.rows

    def add(self, cell: Cell, figures: Figures) -> None:
        """Keep a finished cell."""
        self.keep(cell.key, asdict(figures))

    def of(self, cells: Iterable[Cell]) -> list[Row]:
        """The rows of those of the cells that are finished."""
        return [self.rows[cell.key] for cell in cells if cell in self]


def mean_and_interval(values: Sequence[float]) -> tuple[float, float]:
    """The mean, and half the width of its 95 % interval by Student's t; NaN for one value."""
    mean = float(np.mean(values))
    if len(values) < 2:
        return mean, math.nan
    error = float(np.std(values, ddof=1)) / math.sqrt(len(values))
    return mean, float(stats.t.ppf(0.975, len(values) - 1)) * error


def markdown_table(rows: Sequence[Row]) -> str:
    """One line a cell but for its seed: means over seeds, ± half a 95 % interval."""
    names = [name for name in CELL_COLUMNS if name != "seed"]
    groups: dict[tuple[str, ...], list[Row]] = defaultdict(list)
    for row in rows:
        groups[tuple(row[name] for name in names)].append(row)
    lines = [
        "| " + " | ".join((*names, "seeds", *SHOWN)) + " |",
        "|" + "---|" * (len(names) + 1 + len(SHOWN)),
    ]
    for key in sorted(groups, key=_reading_order):
        texts = [_cell_text([row[name] for row in groups[key]], name) for name in SHOWN]
        lines.append("| " + " | ".join((*key, str(len(groups[key])), *texts)) + " |")
    return "\n".join(lines)


def _reading_order(key: tuple[str, ...]) -> tuple[object, ...]:
    dataset, size, noise, rate, method, *rest = key
    return dataset, int(size), noise, float(rate), list(Method).index(Method(method)), *rest


def _cell_text(texts: Sequence[str], name: str) -> str:
    values = [float(text) for text in texts if text]
    if not values:
        return "–"
    mean, half = mean_and_interval(values)
    digits = 0 if name.endswith("_s") else 3
    shown = f"{mean:.{digits}f}"
    return shown if math.isnan(half) else f"{shown} ± {half:.{digits}f}"


def draw(rows: Sequence[Row], path: Path) -> None:
    """Draw mAP against the noise rate, a line a method, a panel a kind of noise."""
    from matplotlib.figure import Figure

    kinds = [kind for kind in ("uniform", "table") if any(r["noise"] == kind for r in rows)]
    figure = Figure(figsize=(4.6 * len(kinds), 3.6), layout="constrained", dpi=150)
    panels = figure.subplots(1, len(kinds), sharex=True, sharey=True, squeeze=False)[0]
    for panel, kind in zip(panels, kinds):
        for method in Method:
            lengths = sorted({int(r["epochs"]) for r in rows if r["method"] == method})
            for epochs in lengths:
                dashes = "-" if epochs == lengths[-1] else "--"
                _draw_line(panel, rows, kind, (method, epochs), dashes)
        panel.set(title=f"{kind} noise", xlabel="share of wrong training labels", ylim=(0, 1))
        panel.grid(alpha=0.3)
    panels[0].set_ylabel("mAP of test tiles")
    # The first panel has all methods, and the last one has room: no rows at high rates.
    found = panels[0].get_legend_handles_labels()
    panels[-1].legend(*found, frameon=False, fontsize="small", loc="lower right")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)


def _draw_line(
    panel: object, rows: Sequence[Row], kind: str, training: tuple[Method, int], dashes: str
) -> None:
    method, epochs = training
    values: dict[float, list[float]] = defaultdict(list)
    for row in rows:
        # Without wrong labels the kinds are one.
        is_here = row["noise"] == kind or float(row["rate"]) == 0
        if is_here and row["method"] == method and int(row["epochs"]) == epochs:
            values[float(row["rate"])].append(float(row["map"]))
    if not values:
        return
    rates = sorted(values)
    means, halves = zip(*(mean_and_interval(values[rate]) for rate in rates))
    panel.errorbar(  # type: ignore[attr-defined]
        rates,
        means,
        yerr=np.nan_to_num(halves),
        marker="o",
        markersize=4,
        capsize=2,
        linestyle=dashes,
        linewidth=2 if method is Method.ROBUST else 1,
        label=f"{method}, {epochs} epochs",
        # One colour a method in every panel, whichever methods a panel has.
        color=f"C{list(Method).index(method)}",
    )
