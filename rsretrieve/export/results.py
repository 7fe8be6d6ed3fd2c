"""Results as plain values: the JSON objects and CSV rows that other programs rely on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rsretrieve._core.tables import write_csv

if TYPE_CHECKING:  # what a command needs of them it has loaded
    from rsretrieve.audit.result import Audit, AuditedTile, NoiseMatrix
    from rsretrieve.data.workers.confinement import Enforced
    from rsretrieve.evaluation.evaluate import Evaluation
    from rsretrieve.index.write import IndexingSummary
    from rsretrieve.network.metadata import ModelDescription
    from rsretrieve.search.search import Hit, QueryResult
    from rsretrieve.training.save_model import TrainingSummary

AUDIT_COLUMNS = (
    "tile",
    "given_label",
    "predicted_label",
    "is_label_issue",
    "label_score",
    "own_similarity",
    "predicted_similarity",
    "kind",
    "runner_up_label",
    "runner_up_similarity",
    "twin",
    "issue_probability",
    "neighbour_share",
    "area_under_margin",
    "training_weight",
    "prototype_score",
    "predicted_probability",
    "witnessed_probability",
)
MATRIX_COLUMNS = ("given_label", "true_label", "expected_tiles", "share", "share_low", "share_high")
_LEAST_EXPECTED = 0.01
HIT_COLUMNS = ("query", "rank", "tile", "path", "similarity", "label", "crs", "lon", "lat")


def training_json(summary: TrainingSummary) -> dict[str, Any]:
    """The object that `train --json` prints."""
    return asdict(summary)


def indexing_json(summary: IndexingSummary) -> dict[str, Any]:
    """The object that `index --json` prints."""
    return asdict(summary)


def model_json(folder: Path, description: ModelDescription) -> dict[str, Any]:
    """The object that `info --json` prints of a model."""
    content = description.to_json()
    return {
        "kind": "model",
        "path": str(folder),
        "fingerprint": description.fingerprint,
        "classes": len(description.class_names),
        **content,
    }


def security_json(found: Enforced, drivers: Sequence[str]) -> dict[str, Any]:
    """The object that `info --security --json` prints."""
    return {
        "kind": "security",
        "landlock_abi": found.landlock_abi,
        "system_calls_filtered": found.system_calls,
        "switched_off": found.switched_off,
        "reads_only_sources": found.files,
        "writes_nothing": found.writes,
        "asks_no_network": found.network,
        "gdal_drivers": list(drivers),
    }


def query_json(index: Path, model: Path | None, results: Sequence[QueryResult]) -> dict[str, Any]:
    """The object that `query --json` prints; of embeddings made elsewhere there is no model."""
    return {
        "index": str(index),
        "model": None if model is None else str(model),
        "queries": [result_json(result) for result in results],
    }


def result_json(result: QueryResult) -> dict[str, Any]:
    """A query and its hits: a line of `query --jsonl`."""
    return {"query": result.query, "hits": [hit_json(hit) for hit in result.hits]}


def hit_json(hit: Hit) -> dict[str, Any]:
    """A hit; the last four are null where the tile has no georeference."""
    place = hit.found.place
    lon, lat = place.centre if place else (None, None)
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
    }


def audit_json(audit: Audit, device: str) -> dict[str, Any]:
    """The object that `audit-labels --json` prints."""
    content: dict[str, Any] = {
        "tiles": len(audit.tiles),
        "issues": len(audit.issues),
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
        "kinds": {str(kind): count for kind, count in audit.kinds.items()},
    }
    if audit.figures is not None:
        content["truth"] = asdict(audit.figures)
    return content


def write_audit_csv(path: Path, audit: Audit, *, overwrite: bool) -> None:
    """Write every audited tile, worst first."""
    rows = map(audit_row, audit.tiles)
    write_csv(path, AUDIT_COLUMNS, rows, overwrite=overwrite)


def audit_row(audited: AuditedTile) -> tuple[object, ...]:
    """The values of `AUDIT_COLUMNS`."""
    return (
        audited.tile.id,
        audited.tile.label,
        audited.predicted_label,
        audited.is_label_issue,
        audited.label_score,
        audited.own_similarity,
        audited.predicted_similarity,
        audited.kind or "",
        audited.runner_up_label,
        audited.runner_up_similarity,
        audited.twin.id if audited.twin is not None else "",
        audited.issue_probability,
        audited.neighbour_share,
        audited.area_under_margin,
        audited.training_weight,
        audited.prototype_score,
        audited.predicted_probability,
        audited.witnessed_probability,
    )


def write_noise_matrix(path: Path, matrix: NoiseMatrix, *, overwrite: bool) -> None:
    """Write which class the tiles of each given label are thought to be of, a row a pair.

    Shares are of the given label's tiles, with their 95 % intervals. Pairs of which less than a
    hundredth of a tile is expected are left out.
    """
    names, pairs = matrix.class_names, np.nonzero(matrix.values >= _LEAST_EXPECTED)
    shown = (matrix.values[pairs], matrix.shares[pairs], *matrix.intervals(*pairs))
    rows = (
        (names[given], names[true], *figures)
        for given, true, *figures in zip(*(column.tolist() for column in (*pairs, *shown)))
    )
    write_csv(path, MATRIX_COLUMNS, rows, overwrite=overwrite)


def write_hits_csv(path: Path, results: Sequence[QueryResult], *, overwrite: bool) -> None:
    """Write a row a hit."""
    write_csv(path, HIT_COLUMNS, _hit_rows(results), overwrite=overwrite)


def _hit_rows(results: Sequence[QueryResult]) -> Iterator[list[Any]]:
    for result in results:
        for hit in result.hits:
            values = {"query": result.query, **hit_json(hit)}
            yield ["" if values[name] is None else values[name] for name in HIT_COLUMNS]
