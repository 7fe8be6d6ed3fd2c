"""What `rsretrieve compare` prints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rsretrieve.cli.io.text_tables import plain, plain_table

if TYPE_CHECKING:  # heavy imports
    from rich.console import RenderableType

    from rsretrieve.comparison.comparison_result import Comparison

_SHOWN = ("map", "map_at_r", "precision_at_10", "knn_accuracy")


def comparison_table(found: Comparison) -> tuple[RenderableType, ...]:
    """The figures of the choices, and the verdict."""
    from rsretrieve.comparison.report import MARKDOWN_FILE, PLOT_FILE, TABLE_FILE
    from rsretrieve.comparison.verdict import metric_name

    shown = list(dict.fromkeys((found.metric, *_SHOWN)))
    title = f"{len(found.queries)} queries, means over seeds (± 95 %)"
    table = plain_table(title, "choice", "seeds", *map(metric_name, shown))
    for one in found.summaries:
        cells = [f"{one.mean[name]:.3f}" if one.mean else "–" for name in shown]
        if one.reach == one.reach:
            cells[0] += f" ± {one.reach:.3f}"
        table.add_row(*map(plain, (one.name, str(len(one.seeds)), *cells)))
    sentences = found.verdict.replace(". ", ".\n")
    files = f"tables, plot and models: {found.output} ({TABLE_FILE}, {MARKDOWN_FILE}, {PLOT_FILE})"
    return table, plain(sentences), plain(files)
