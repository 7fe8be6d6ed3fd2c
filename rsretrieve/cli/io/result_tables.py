"""The results of the commands as text and tables for the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from rsretrieve.cli.io.text_tables import format_size, plain, plain_table

if TYPE_CHECKING:  # heavy imports
    from rsretrieve.evaluation.evaluate import Evaluation
    from rsretrieve.index.maintenance.verify import Verification
    from rsretrieve.index.write import IndexingSummary
    from rsretrieve.search.search import QueryResult
    from rsretrieve.training.save_model import TrainingSummary


def training_summary(summary: TrainingSummary) -> Text:
    """The trained model, and how many of the given labels were used."""
    kept, replaced = summary.kept_fraction, summary.relabelled_fraction
    shares = {"kept": kept, "replaced": replaced, "left out": max(0.0, 1 - kept - replaced)}
    labels = ", ".join(f"{share:.1%} {name}" for name, share in shares.items() if share >= 5e-4)
    if not summary.epochs:
        return plain(
            f"made {summary.model} without training, on {summary.tiles} tiles of "
            f"{summary.classes} classes in {summary.seconds:.0f} s on {summary.device}\n"
            "prototypes are the mean embeddings of the classes, by the given labels"
        )
    return plain(
        f"trained {summary.model} on {summary.tiles} tiles of {summary.classes} classes: "
        f"{summary.epochs} epochs in {summary.seconds:.0f} s on {summary.device} "
        f"({summary.tiles_per_second:.0f} tiles/s)\n"
        f"kept: the model of epoch {summary.kept_epoch} ({summary.kept_because})\n"
        f"given labels at the end of training: {labels}"
    )


def indexing_summary(summary: IndexingSummary) -> Text:
    """What was indexed, and the type of the index."""
    search = "".join(f", {name} {value}" for name, value in summary.search.items())
    size = f", {format_size(summary.predicted_bytes)}" if summary.predicted_bytes else ""
    rate = summary.tiles_per_second
    speed = f" (embedding: {rate:.0f} tiles/s)" if rate else ""
    return plain(
        f"indexed {summary.tiles} tiles in {summary.index}: {summary.seconds:.1f} s on "
        f"{summary.device}{speed}\n"
        f"{summary.added} added, {summary.removed} removed, {summary.unchanged} unchanged, "
        f"{summary.failed} failed\n"
        f"index type {summary.faiss_key}{search}{size}, recall@10 {summary.recall_at_10:.3f}"
    )


def verification_text(found: Verification, repaired: Sequence[str] = ()) -> Text:
    """The errors of an index, or that there are none, and what was repaired."""
    lines = [f"repaired: {part}" for part in repaired]
    if found.sound:
        compared = (
            f" ({found.embedded_again} were embedded again and compared)"
            if found.embedded_again
            else ""
        )
        lines.append(f"no errors in {found.index}: {found.tiles} tiles checked{compared}")
        if found.changed_since:
            why = "they have changed, are missing or cannot be read"
            lines.append(f"{found.changed_since} sampled tiles were not compared: {why}")
    else:
        lines += [f"problem: {problem}" for problem in found.problems]
    lines += [f"hint: {found.hint}"] if found.hint else []
    return plain("\n".join(lines))


def hit_table(result: QueryResult) -> Table:
    """The hits of a query."""
    title = f"{result.query}, expanded by its nearest hits" if result.expanded else result.query
    table = plain_table(title, "rank", "similarity", "label", "lon", "lat", "tile", "path")
    for hit in result.hits:
        lon, lat = hit.found.place.centre if hit.found.place else (None, None)
        table.add_row(
            str(hit.rank),
            f"{hit.similarity:.4f}",
            plain(hit.found.label or "–"),
            "–" if lon is None else f"{lon:.5f}",
            "–" if lat is None else f"{lat:.5f}",
            plain(hit.found.id),
            plain(hit.found.path),
        )
    return table


def evaluation_table(evaluation: Evaluation) -> Table:
    """The metrics of retrieval."""
    figures = evaluation.figures
    given = evaluation.gallery_labels == "given labels"
    judged = "the labels in the index (given labels)" if given else "true labels (clean gallery)"
    title = (
        f"{figures.queries} queries among {evaluation.gallery} indexed tiles; relevance by {judged}"
        f"{', each expanded by its nearest hits' if evaluation.expanded else ''}"
    )
    table = plain_table(title, "metric", "value")
    if given:
        table.caption = "Labels in the index may be wrong; --truth FILE gives the true labels."
        table.caption_justify = "left"
    rows = {
        "accuracy of 10 nearest neighbours": figures.knn_accuracy,
        "mAP": figures.map,
        "mAP@R": figures.map_at_r,
        **{f"precision@{k}": value for k, value in figures.precision_at.items()},
        **{f"recall@{k}": value for k, value in figures.recall_at.items()},
        "NMI": evaluation.nmi,
    }
    for name, value in rows.items():
        table.add_row(name, f"{value:.4f}")
    return table


def corruption_summary(output: Path, tiles: int, changed: int) -> Text:
    """How many labels were changed."""
    return plain(f"changed {changed} of {tiles} labels ({changed / max(tiles, 1):.1%}): {output}")


def split_summary(output: Path, counts: Mapping[str, int]) -> Text:
    """How many tiles each list has."""
    lists = ", ".join(f"{name}.csv ({count} tiles)" for name, count in counts.items())
    return plain(f"wrote to {output}: {lists}")


def cache_summary(folder: str, used: int, limit: int, removed: int) -> Text:
    """How much of the cache is used, and how much was removed."""
    gone = f"; {format_size(removed)} removed" if removed else ""
    return plain(f"{folder}: {format_size(used)} used of at most {format_size(limit)}{gone}")
