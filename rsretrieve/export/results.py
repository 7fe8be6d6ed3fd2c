"""Results as JSON objects and CSV rows. Other programs rely on their keys and columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, astuple
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rsretrieve._core.tables import write_csv

if TYPE_CHECKING:  # a command loads only the modules that it needs
    from rsretrieve.audit.leaks.find_leaks import FoundLeaks
    from rsretrieve.audit.result import Audit, NoiseMatrix
    from rsretrieve.data.workers.confinement import Enforced
    from rsretrieve.evaluation.evaluate import Evaluation
    from rsretrieve.evaluation.per_class import ClassFigures
    from rsretrieve.index.write import IndexingSummary
    from rsretrieve.network.metadata import ModelDescription
    from rsretrieve.network.shipped.shipped_models import ShippedModel
    from rsretrieve.search.search import Hit, QueryResult
    from rsretrieve.training.save_model import TrainingSummary

MATRIX_COLUMNS = ("given_label", "true_label", "expected_tiles", "share", "share_low", "share_high")
_LEAST_EXPECTED = 0.01
CLASS_COLUMNS = (
    *("label", "queries", "without_relevant", "gallery", "knn_accuracy", "map", "map_at_r"),
    *("precision_at_1", "precision_at_5", "precision_at_10", "precision_at_20", "precision_at_50"),
    *("recall_at_1", "recall_at_5", "recall_at_10"),
)
LEAK_COLUMNS = ("tile", "other", "list", "other_list", "kind", "similarity", "overlap")
HIT_COLUMNS = ("query", "rank", "tile", "path", "similarity", "label", "crs", "lon", "lat")


def training_json(summary: TrainingSummary) -> dict[str, Any]:
    """The object that `train --json` prints."""
    return asdict(summary)


def indexing_json(summary: IndexingSummary) -> dict[str, Any]:
    """The object that `index --json` prints."""
    return asdict(summary)


def model_json(folder: Path, description: ModelDescription) -> dict[str, Any]:
    """The object that `info --json` prints for a model."""
    content = description.to_json()
    return {
        "kind": "model",
        "path": str(folder),
        "fingerprint": description.fingerprint,
        "classes": len(description.class_names),
        **content,
    }


def shipped_json(model: ShippedModel) -> dict[str, Any]:
    """An entry of the list that `models --json` prints."""
    return {**asdict(model), "path": str(model.path)}


def security_json(found: Enforced, drivers: Sequence[str]) -> dict[str, Any]:
    """The object that `info --security --json` prints."""
    return {
        "kind": "security",
        "landlock_abi": found.landlock_abi,
        "system_calls_filtered": found.system_calls,
        "switched_off": found.switched_off,
        "reads_only_sources": found.reading_confined,
        "writes_nothing": found.writing_denied,
        "asks_no_network": found.network_denied,
        "gdal_drivers": list(drivers),
    }


def query_json(index: Path, model: Path | None, results: Sequence[QueryResult]) -> dict[str, Any]:
    """The object that `query --json` prints; the model is None for external embeddings."""
    return {
        "index": str(index),
        "model": None if model is None else str(model),
        "queries": [result_json(result) for result in results],
    }


def result_json(result: QueryResult) -> dict[str, Any]:
    """A query with its hits; a line that `query --jsonl` prints.

    It has the key `expanded` only if the query was expanded.
    """
    content: dict[str, Any] = {"query": result.query}
    if result.expanded:
        content["expanded"] = True
    return {**content, "hits": [hit_json(hit) for hit in result.hits]}


def hit_json(hit: Hit) -> dict[str, Any]:
    """A hit; the last four values are None if the tile has no georeference.

    A tile with a date also has `datetime`, as text: an instant, a day, or both ends of a period.
    """
    place = hit.found.place
    lon, lat = place.centre if place else (None, None)
    taken = hit.found.taken
    return {
        "rank": hit.rank,
        "tile": hit.found.id,
        "path": hit.found.path,
        "similarity": hit.similarity,
        "label": hit.found.label,
        "crs": place.crs if place else None,
        "bounds": list(place.bounds) if place else None,
        "lon": lon,
        "lat": lat,
        **({} if taken is None else {"datetime": taken.period.text}),
    }


def evaluation_json(evaluation: Evaluation) -> dict[str, Any]:
    """The object that `evaluate --json` prints."""
    figures = evaluation.figures
    return {
        "queries": figures.queries,
        "gallery": evaluation.gallery,
        "knn_accuracy": figures.knn_accuracy,
        "map": figures.map,
        "map_at_r": figures.map_at_r,
        "precision_at": {str(k): value for k, value in figures.precision_at.items()},
        "recall_at": {str(k): value for k, value in figures.recall_at.items()},
        "nmi": evaluation.nmi,
        "gallery_labels": evaluation.gallery_labels,
        **({"expanded": True} if evaluation.expanded else {}),
        "left_out": asdict(evaluation.left_out),
        "per_class": list(map(_class_json, evaluation.per_class)),
    }


def _class_json(entry: ClassFigures) -> dict[str, Any]:
    """The figures of one class; None where no query of it is counted."""
    figures = entry.figures
    return {
        "label": entry.label,
        "queries": 0 if figures is None else figures.queries,
        "gallery": entry.gallery,
        "knn_accuracy": None if figures is None else figures.knn_accuracy,
        "map": None if figures is None else figures.map,
        "map_at_r": None if figures is None else figures.map_at_r,
    }


def write_evaluation_csv(path: Path, evaluation: Evaluation, *, overwrite: bool) -> None:
    """Write the figures of each class, one row per class, and the confusion matrix.

    The column `predicted NAME` counts the queries whose nearest neighbours vote for NAME.
    """
    confusion = evaluation.confusion
    predicted = [f"predicted {name}" for name in confusion.class_names]
    rows = (
        [*_class_row(entry), *counts]
        for entry, counts in zip(evaluation.per_class, confusion.counts)
    )
    write_csv(path, [*CLASS_COLUMNS, *predicted], rows, overwrite=overwrite)


def _class_row(entry: ClassFigures) -> list[Any]:
    figures = entry.figures
    counts = [0 if figures is None else figures.queries, entry.without_relevant, entry.gallery]
    if figures is None:
        values: list[float | str] = [""] * (len(CLASS_COLUMNS) - 1 - len(counts))
    else:
        values = [figures.knn_accuracy, figures.map, figures.map_at_r]
        values += [*figures.precision_at.values(), *figures.recall_at.values()]
    return [entry.label, *counts, *values]


def audit_json(audit: Audit, device: str, models: Sequence[str] = ()) -> dict[str, Any]:
    """The object that `audit-labels --json` prints.

    Args:
        audit: the result.
        device: what computed.
        models: the model folders, as the user named them; none if there was no model.
    """
    content: dict[str, Any] = {
        "tiles": audit.table.num_rows,
        "issues": audit.issues.num_rows,
        "noise_rate": audit.noise_rate,
        "noise_interval": list(audit.interval),
        "per_class": [
            {
                "label": entry.label,
                "tiles": entry.tiles,
                "issues": entry.issues,
                "noise_rate": entry.noise_rate,
                "noise_interval": list(entry.interval),
            }
            for entry in audit.per_class
        ],
        "device": device,
        "models": list(models),
        "kinds": {str(issue_type): count for issue_type, count in audit.issue_counts.items()},
    }
    if (left := audit.wrong_left) is not None:
        content |= {
            "undecided": left.undecided,
            "wrong_labels_left": left.expected,
            "wrong_labels_left_interval": list(left.interval),
        }
    if audit.figures is not None:
        content["truth"] = asdict(audit.figures)
    return content


def write_audit_csv(path: Path, audit: Audit, *, overwrite: bool) -> None:
    """Write every audited tile, the worst label first."""
    from rsretrieve.audit.result_table import CSV_COLUMNS, tuples_of

    write_csv(path, CSV_COLUMNS, tuples_of(audit.table, CSV_COLUMNS), overwrite=overwrite)


def leaks_json(found: FoundLeaks) -> dict[str, Any]:
    """The leaks between lists, in what `split --json` and `audit-labels --json` print."""
    from rsretrieve.audit.leaks.find_leaks import LeakKind

    return {
        "near_duplicates": found.count(LeakKind.NEAR_DUPLICATE),
        "overlaps": found.count(LeakKind.OVERLAP),
        "lists": [asdict(each) for each in found.of_lists()],
    }


def write_leaks_csv(path: Path, found: FoundLeaks, *, overwrite: bool) -> None:
    """Write one row for every two tiles of different lists that show the same."""
    write_csv(path, LEAK_COLUMNS, map(astuple, found), overwrite=overwrite)


def write_noise_matrix(path: Path, matrix: NoiseMatrix, *, overwrite: bool) -> None:
    """Write the expected tiles by given label and true class, one row per pair.

    The shares are of the tiles with the given label, with their 95 % intervals. Pairs with less
    than a hundredth of an expected tile are left out.

    Args:
        path: the CSV file.
        matrix: K classes.
        overwrite: replace an existing file.
    """
    names, pairs = matrix.class_names, np.nonzero(matrix.values >= _LEAST_EXPECTED)
    shown = (matrix.values[pairs], matrix.shares[pairs], *matrix.intervals(*pairs))
    rows = (
        (names[given], names[true], *figures)
        for given, true, *figures in zip(*(column.tolist() for column in (*pairs, *shown)))
    )
    write_csv(path, MATRIX_COLUMNS, rows, overwrite=overwrite)


def write_hits_csv(path: Path, results: Sequence[QueryResult], *, overwrite: bool) -> None:
    """Write one row per hit; with the column `expanded` if queries were expanded."""
    columns = HIT_COLUMNS + ("expanded",) * any(result.expanded for result in results)
    rows = ([row.get(name, False) for name in columns] for row in hit_rows(results))
    write_csv(path, columns, rows, overwrite=overwrite)


def hit_rows(results: Sequence[QueryResult]) -> list[dict[str, Any]]:
    """Every hit with its query, by the names of `hit_json`, for files with one row per hit.

    Hits of an expanded query also have `expanded`.
    """
    return [
        {"query": result.query, **hit_json(hit), **({"expanded": True} if result.expanded else {})}
        for result in results
        for hit in result.hits
    ]
