"""Results as text for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from rsretrieve._core.text import printable

if TYPE_CHECKING:  # records of heavy stations, which light commands never load
    from rsretrieve.data.workers.confinement import Enforced
    from rsretrieve.evaluation.evaluate import Evaluation
    from rsretrieve.index.describe import IndexDescription
    from rsretrieve.index.maintenance.verify import Verification
    from rsretrieve.index.write import IndexingSummary
    from rsretrieve.network.metadata import ModelDescription
    from rsretrieve.search.search import QueryResult
    from rsretrieve.training.save_model import TrainingSummary

_NAMES_SHOWN = 12


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
    search = "".join(f", {name} {value}" for name, value in summary.search.items())
    size = f", {_size(summary.predicted_bytes)}" if summary.predicted_bytes is not None else ""
    speed = f" ({summary.tiles_per_second:.0f} tiles/s)" if summary.tiles_per_second else ""
    return plain(
        f"indexed {summary.tiles} tiles in {summary.index} ({summary.faiss_key}{search}{size}, "
        f"recall@10 {summary.recall_at_10:.3f}) in {summary.seconds:.1f} s on {summary.device}"
        f"{speed}\n"
        f"{summary.added} added, {summary.removed} removed, {summary.unchanged} unchanged, "
        f"{summary.failed} failed"
    )


def verification_text(found: Verification, mended: Sequence[str] = ()) -> Text:
    """What is wrong with an index, or that nothing is, and what was mended."""
    lines = [f"mended: {part}" for part in mended]
    if found.sound:
        compared = f", {found.embedded_again} of them embedded again and compared"
        lines.append(
            f"{found.index} is sound: {found.tiles} tiles{compared if found.embedded_again else ''}"
        )
        if found.changed_since:
            why = "changed since, are gone, or cannot be read"
            lines.append(f"{found.changed_since} tiles of the sample {why}")
    else:
        lines += [f"wrong: {problem}" for problem in found.problems]
    lines += [f"hint: {found.hint}"] if found.hint else []
    return plain("\n".join(lines))


def model_table(folder: Path, description: ModelDescription) -> Table:
    """What a model is."""
    preprocessing, training = description.preprocessing, description.training
    names = description.class_names
    shown = ", ".join(names[:_NAMES_SHOWN]) + (", …" if len(names) > _NAMES_SHOWN else "")
    return _facts(
        f"model {folder}",
        {
            "backbone": description.backbone,
            "embedding": f"{description.dimensions} dimensions",
            "input": f"{preprocessing.size_px} px, bands "
            f"{', '.join(map(str, preprocessing.bands))} of {preprocessing.source_bands}, "
            f"{preprocessing.dtype}",
            "classes": f"{len(names)}: {shown}",
            "loss": str(description.recipe.get("loss", "–")),
            "training": ", ".join(
                f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}"
                for name, value in training.items()
                if isinstance(value, int | float | str)
            ),
            "made with": ", ".join(f"{n} {v}" for n, v in description.versions.items()),
            "fingerprint": description.fingerprint,
        },
    )


def index_table(described: IndexDescription) -> Table:
    """What an index is."""
    manifest = described.manifest
    search = ", ".join(f"{name} {value}" for name, value in manifest.search.items())
    labels = [f"{label} {count}" for label, count in described.labels if label is not None]
    more = ", …" if len(labels) > _NAMES_SHOWN else ""
    model = manifest.model if described.model_found else f"{manifest.model} (no longer there)"
    facts = {
        "tiles": str(manifest.tiles),
        "vectors": f"{manifest.dimensions} dimensions, cosine",
        "search": f"{manifest.faiss_key}{', ' + search if search else ''}, recall@10 "
        f"{manifest.recall_at_10:.3f}",
        "size": f"{_size(described.bytes_on_disk)} on disk",
        "labels": f"{len(labels)}: {', '.join(labels[:_NAMES_SHOWN])}{more}" if labels else "none",
        "places": f"{described.placed} tiles are georeferenced",
        "model": model if manifest.model else "none: the embeddings were made elsewhere",
        "fingerprint": manifest.model_fingerprint or "–",
    }
    if described.extent is not None:
        west, south, east, north = described.extent
        facts["places"] += f", lon {west:.4f} to {east:.4f}, lat {south:.4f} to {north:.4f}"
    if "embeddings" in manifest.provenance:
        facts["embeddings"] = str(manifest.provenance["embeddings"])
    return _facts(f"index {described.folder}", facts)


def security_table(found: Enforced, drivers: int) -> Table:
    """What the system enforces on processes that decode."""
    from rsretrieve.data.workers.confinement import VARIABLE

    means = [f"Landlock ABI {found.landlock_abi}"] if found.landlock_abi else []
    means += ["seccomp"] if found.system_calls else []
    by = f"by {' and '.join(means)}" if means and not found.switched_off else ""
    system = by.removeprefix("by ") or "nothing"
    if found.switched_off:
        system = f"nothing: {VARIABLE} is off (there are {' and '.join(means) or 'none'})"
    left = (
        f"GDAL keeps {drivers} drivers at most, whose files hold their pixels; sidecars are checked"
    )

    def held(fact: bool) -> str:
        return f"yes, {by}" if fact else "not by the system"

    return _facts(
        "processes that decode tiles of strangers",
        {
            "read the tiles' folders alone": held(found.reading_confined),
            "write nowhere": held(found.writing_denied),
            "connect to nobody": held(found.network_denied),
            "enforced by the system": system,
            "in any case": left,
        },
    )


def _facts(title: str, facts: Mapping[str, str]) -> Table:
    table = Table(title=plain(title), title_justify="left", box=None, pad_edge=False)
    table.show_header = False
    table.add_column()
    table.add_column(overflow="fold")
    for name, value in facts.items():
        table.add_row(name, plain(value))
    return table


def _size(count: int) -> str:
    """A size in bytes, in decimal units."""
    size, units = float(count), ["bytes", "kB", "MB", "GB", "TB"]
    while size >= 1000 and len(units) > 1:
        size, _ = size / 1000, units.pop(0)
    return (
        f"{size:.0f} {units[0]}" if size >= 10 or units[0] == "bytes" else f"{size:.1f} {units[0]}"
    )


def hit_table(result: QueryResult) -> Table:
    """A query's hits."""
    table = plain_table(result.query, "rank", "similarity", "label", "lon", "lat", "tile", "path")
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


def cache_summary(folder: str, held: int, limit: int, removed: int) -> Text:
    """A line about what is kept of decoded tiles."""
    gone = f", {_size(removed)} removed" if removed else ""
    return plain(f"{folder}: {_size(held)} of at most {_size(limit)}{gone}")


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
            "thought wrong",
        )
        table.add_column(column, justify="right" if numeric else "left", overflow="fold")
    return table


def plain(text: str) -> Text:
    """Plain text: names are never taken for markup."""
    return Text("\n".join(printable(line) for line in text.split("\n")))
