"""Write the tables and the plot of a comparison."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from rsretrieve._core.atomic_write import write_text, written_aside
from rsretrieve._core.tables import write_csv
from rsretrieve._core.text import printable
from rsretrieve.comparison.comparison_result import Comparison, command_of
from rsretrieve.comparison.test_set import METRICS
from rsretrieve.comparison.verdict import metric_name
from rsretrieve.export.plots import figure_class

TABLE_FILE, MARKDOWN_FILE, PLOT_FILE = "table.csv", "table.md", "comparison.png"
_SHOWN = ("map", "map_at_r", "precision_at_10", "knn_accuracy")


def write_reports(found: Comparison) -> None:
    """Write `table.csv`, `table.md` and `comparison.png` into the folder of a comparison."""
    keys = [key for key, _ in found.choices[0].values]
    columns = (*keys, "seed", *METRICS, "seconds", "model", "command")
    rows = [found.cell_row(result) for result in found.results]
    cells = ([row[name] for name in columns] for row in rows)
    write_csv(found.output / TABLE_FILE, columns, cells, overwrite=True, follow=False)
    text = "\n".join(markdown(found)) + "\n"
    write_text(found.output / MARKDOWN_FILE, text, overwrite=True, follow=False)
    plot(found, found.output / PLOT_FILE)


def markdown(found: Comparison) -> Iterator[str]:
    """The lines of `table.md`."""
    shown = dict.fromkeys((found.metric, *_SHOWN))
    yield f"**{found.verdict}**"
    yield ""
    gallery = "each other" if found.alone else f"a gallery of {found.gallery} tiles"
    yield (
        f"{len(found.queries)} test tiles search {gallery}. Figures are means over seeds; ± is the "
        "half-width of the 95 % t-interval over seeds."
    )
    yield ""
    yield f"| choice | seeds | {' | '.join(map(metric_name, shown))} |"
    yield "|---|---|" + "---|" * len(shown)
    for one in found.summaries:
        reach = f" ± {one.reach:.3f}" if one.reach == one.reach else ""
        figures = [
            f"{one.mean[name]:.3f}" + (reach if name == found.metric else "") if one.mean else "–"
            for name in shown
        ]
        yield f"| {_cell(one.name)} | {len(one.seeds)} | {' | '.join(figures)} |"
    yield ""
    yield f"| compared | difference in {metric_name(found.metric)} | interval | shown |"
    yield "|---|---|---|---|"
    for pair in found.judged:
        difference = pair.difference
        if difference is not None:
            level = f"{100 * difference.confidence:.4g} %"
            yield (
                f"| {_cell(pair.choice)} − {_cell(pair.baseline)} | {difference.estimate:+.4f} | "
                f"{level} {difference.low:+.4f} … {difference.high:+.4f} | "
                f"{'yes' if difference.is_shown else 'no'} |"
            )
    yield ""
    yield f"| cell | {metric_name(found.metric)} | made alone by |"
    yield "|---|---|---|"
    for result in found.results:
        figure = found.cell_row(result)[found.metric]
        yield f"| {_cell(result.cell.title)} | {figure:.4f} | `{command_of(result.model)}` |"


def plot(found: Comparison, path: Path) -> None:
    """Plot the figure of each choice, and the differences with their intervals.

    Args:
        found: the comparison.
        path: the PNG file.

    Raises:
        MissingPackage: matplotlib is not installed.
    """
    rows = max(len(found.choices), len(found.judged))
    figure = figure_class()(figsize=(11, 1.6 + 0.5 * rows), layout="constrained")
    left, right = figure.subplots(1, 2)
    _plot_choices(left, found)
    _plot_differences(right, found)
    for axes in (left, right):
        axes.grid(axis="x", alpha=0.25)
        axes.margins(y=0.2)
        for text in axes.get_yticklabels():
            text.set_parse_math(False)  # a file may be named "$"
    with written_aside(path, overwrite=True, follow=False) as aside:
        figure.savefig(aside, format="png", dpi=130)


def _plot_choices(axes: Any, found: Comparison) -> None:
    places = np.arange(len(found.choices))
    for place, one in zip(places, found.summaries):
        if one.by_seed:
            reach = one.reach if one.reach == one.reach else 0.0
            mean = float(np.mean(one.by_seed))
            axes.errorbar(mean, place, xerr=reach, fmt="o", color="tab:blue", capsize=4)
            dots = [place + 0.18] * len(one.by_seed)
            axes.plot(one.by_seed, dots, ".", color="tab:gray", markersize=6)
    axes.set_yticks(places, [printable(one.name) for one in found.summaries])
    axes.invert_yaxis()
    axes.set_xlabel(f"{metric_name(found.metric)}, mean and 95 % over seeds; dots: one seed each")


def _plot_differences(axes: Any, found: Comparison) -> None:
    known = [one for one in found.judged if one.difference is not None]
    places = np.arange(len(known))
    for place, one in zip(places, known):
        difference = one.difference
        if difference is None:
            continue
        mean = difference.estimate
        color = "tab:gray"
        if difference.is_shown:
            color = "tab:green" if mean > 0 else "tab:red"
        reach = [[mean - difference.low], [difference.high - mean]]
        axes.errorbar(mean, place, xerr=reach, fmt="o", color=color, capsize=4)
        dots = [place + 0.18] * len(difference.by_seed)
        axes.plot(difference.by_seed, dots, ".", color="tab:gray", markersize=6)
    axes.axvline(0, color="black", linewidth=0.8)
    names = [f"{printable(one.choice)}\n− {printable(one.baseline)}" for one in known]
    axes.set_yticks(places, names)
    axes.invert_yaxis()
    level = f"{100 * known[0].difference.confidence:.4g} %" if known and known[0].difference else ""
    axes.set_xlabel(
        f"difference in {metric_name(found.metric)}, {level} over seeds\nand queries; right: better"
    )


def _cell(text: str) -> str:
    return printable(text).replace("|", "\\|")
