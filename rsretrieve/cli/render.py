"""Results as text for people."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from rsretrieve.text import printable

if TYPE_CHECKING:  # records of heavy stations, which light commands never load
    from rsretrieve.learning.finishing import TrainingSummary
    from rsretrieve.retrieval.evaluation import Evaluation
    from rsretrieve.retrieval.indexing import IndexingSummary
    from rsretrieve.retrieval.search import QueryResult


def training_summary(summary: TrainingSummary) -> Text:
    """Two lines about a training."""
    return plain(
        f"trained {summary.model}: {summary.classes} classes, {summary.tiles} tiles, "
        f"{summary.epochs} epochs in {summary.seconds:.0f} s on {summary.device} "
        f"({summary.tiles_per_second:.0f} tiles/s)\n"
        f"{summary.kept_fraction:.1%} of the labels were trusted at the end"
        + (
            f", {summary.relabelled_fraction:.1%} of the tiles were taught with another one"
            if summary.relabelled_fraction
            else ""
        )
    )


def indexing_summary(summary: IndexingSummary) -> Text:
    """Two lines about an index."""
    return plain(
        f"indexed {summary.tiles} tiles in {summary.index} ({summary.faiss_key}, recall@10 "
        f"{summary.recall_at_10:.3f}) in {summary.seconds:.1f} s on {summary.device} "
        f"({summary.tiles_per_second:.0f} tiles/s)\n"
        f"{summary.added} added, {summary.removed} removed, {summary.unchanged} unchanged, "
        f"{summary.failed} failed"
    )


def hit_table(result: QueryResult) -> Table:
    """A query's hits."""
    table = plain_table(f"{result.query.id}", "rank", "similarity", "label", "tile", "lon", "lat")
    for hit in result.hits:
        lon, lat = hit.found.place.centre if hit.found.place else (None, None)
        table.add_row(
            str(hit.rank),
            f"{hit.similarity:.4f}",
            plain(hit.found.label or "–"),
            plain(hit.found.id),
            "–" if lon is None else f"{lon:.5f}",
            "–" if lat is None else f"{lat:.5f}",
        )
    return table


def evaluation_table(evaluation: Evaluation) -> Table:
    """Retrieval figures."""
    figures = evaluation.figures
    title = f"{figures.queries} queries, {evaluation.gallery} tiles ({evaluation.gallery_labels})"
    table = plain_table(title, "figure", "value")
    rows = {
        "K-NN accuracy (10 neighbours)": figures.knn_accuracy,
        "mAP": figures.map,
        "mAP@R": figures.map_at_r,
        **{f"P@{k}": value for k, value in figures.precision_at.items()},
        **{f"R@{k}": value for k, value in figures.recall_at.items()},
        "NMI": evaluation.nmi,
    }
    for name, value in rows.items():
        table.add_row(name, f"{value:.4f}")
    return table


def corruption_summary(output: Path, tiles: int, changed: int) -> Text:
    """A line about corrupted labels."""
    return plain(f"{changed} of {tiles} labels changed ({changed / max(tiles, 1):.1%}): {output}")


def split_summary(output: Path, counts: Mapping[str, int]) -> Text:
    """A line about lists."""
    lists = ", ".join(f"{name}.csv {count}" for name, count in counts.items())
    return plain(f"{output}: {lists} tiles")


def plain_table(title: str, *columns: str) -> Table:
    """A table without lines; columns of numbers stand to the right."""
    table = Table(title=plain(title), title_justify="left", box=None, pad_edge=False)
    for column in columns:
        numeric = column in (
            "rank",
            "similarity",
            "lon",
            "lat",
            "value",
            "tiles",
            "issues",
            "share",
        )
        table.add_column(column, justify="right" if numeric else "left", overflow="fold")
    return table


def plain(text: str) -> Text:
    """Plain text: names are never taken for markup."""
    return Text("\n".join(printable(line) for line in text.split("\n")))
