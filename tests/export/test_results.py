"""JSON objects and CSV rows: exactly the keys and columns that other programs rely on."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rsretrieve.audit.issue_types import IssueType
from rsretrieve.audit.result import ClassIssues, NoiseMatrix
from rsretrieve.data.tile import Tile
from rsretrieve.errors import OutputExists
from rsretrieve.evaluation.evaluate import Evaluation
from rsretrieve.evaluation.gallery import LeftOut
from rsretrieve.evaluation.label_error_metrics import AuditFigures
from rsretrieve.evaluation.per_class import ClassFigures, Confusion
from rsretrieve.evaluation.retrieval_metrics import RetrievalFigures
from rsretrieve.export.results import (
    audit_json,
    evaluation_json,
    hit_json,
    indexing_json,
    query_json,
    training_json,
    write_audit_csv,
    write_hits_csv,
    write_noise_matrix,
)
from rsretrieve.index.build import IndexingSummary
from rsretrieve.search.search import Hit, QueryResult
from rsretrieve.training.save_model import TrainingSummary
from tests.support.pages.audits import audit_of, finding

AUDIT = audit_of(
    finding(
        *(Tile("b, 1.tif", "b", "road"), "water"),
        issue=True,
        score=0.125,
        kind=IssueType.DUPLICATE,
        runner_up_label="sand",
        runner_up_similarity=0.5,
        twin=Tile("c.tif", "c", "sand"),
        neighbour_share=0.25,
        area_under_margin=-1.5,
        training_weight=0.0,
        prototype_score=0.25,
        predicted_probability=0.75,
        witnessed_probability=0.5,
    ),
    finding(
        *(Tile('a "é".tif', "a", "road"), "road"),
        issue=False,
        score=0.5,
        own_similarity=0.5,
        predicted_similarity=0.5,
    ),
    per_class=(ClassIssues("road", 2, 1, 0.375, (0.25, 0.5)),),
    noise_rate=0.375,
    interval=(0.25, 0.5),
)


def without_place(hit: Hit) -> Hit:
    return replace(hit, found=replace(hit.found, place=None, label=None))


def as_read_back(content: object) -> object:
    return json.loads(json.dumps(content, allow_nan=False))


def test_a_training_as_json() -> None:
    summary = TrainingSummary(
        *("models/one", 9, 120, 40, 12.5, 99.0, "cpu", 0.75, 0.125, 37, "the best")
    )
    assert as_read_back(training_json(summary)) == {
        "model": "models/one",
        "classes": 9,
        "tiles": 120,
        "epochs": 40,
        "seconds": 12.5,
        "tiles_per_second": 99.0,
        "device": "cpu",
        "kept_fraction": 0.75,
        "relabelled_fraction": 0.125,
        "kept_epoch": 37,
        "kept_because": "the best",
    }


def test_an_indexing_as_json() -> None:
    summary = IndexingSummary(
        *("index", 10, 4, 2, 6, 1, "IVF4,SQ8", 1.0, 2.5, 4.0, "cpu", 3, 700, {"nprobe": 2})
    )
    assert as_read_back(indexing_json(summary)) == {
        "index": "index",
        "tiles": 10,
        "added": 4,
        "removed": 2,
        "unchanged": 6,
        "failed": 1,
        "faiss_key": "IVF4,SQ8",
        "recall_at_10": 1.0,
        "seconds": 2.5,
        "tiles_per_second": 4.0,
        "device": "cpu",
        "resumed": 3,
        "predicted_bytes": 700,
        "search": {"nprobe": 2},
    }


def test_a_query_as_json(result: QueryResult) -> None:
    content = query_json(Path("index"), Path("models/one"), [result])
    assert as_read_back(content) == {
        "index": "index",
        "model": "models/one",
        "queries": [
            {
                "query": result.query,
                "hits": [as_read_back(hit_json(hit)) for hit in result.hits],
            }
        ],
    }


def test_a_hit_as_json(result: QueryResult) -> None:
    hit = result.hits[1]
    place = hit.found.place
    assert place is not None
    lons, lats = zip(*place.footprint)
    content = hit_json(hit)
    assert as_read_back(content) == {
        "rank": 2,
        "tile": hit.found.id,
        "path": hit.found.path,
        "similarity": 0.8,
        "label": "forest",
        "crs": "EPSG:32632",
        "bounds": list(place.bounds),
        "lon": pytest.approx(sum(lons) / 4),
        "lat": pytest.approx(sum(lats) / 4),
    }


def test_a_hit_without_georeference_has_nulls(result: QueryResult) -> None:
    content = hit_json(without_place(result.hits[0]))
    nulls = {key for key, value in content.items() if value is None}
    assert nulls == {"label", "crs", "bounds", "lon", "lat"}


def test_an_evaluation_as_json() -> None:
    figures = RetrievalFigures(
        queries=7,
        without_relevant=1,
        knn_accuracy=0.9,
        map=0.8,
        map_at_r=0.7,
        precision_at={1: 0.6, 5: 0.5, 10: 0.4, 20: 0.3, 50: 0.2},
        recall_at={1: 0.1, 5: 0.2, 10: 0.3},
    )
    per_class = (ClassFigures("forest", 5, 0, figures), ClassFigures("water", 3, 1, None))
    evaluation = Evaluation(
        *(figures, 0.55, 8, "given labels"),
        *(LeftOut(queries_without_relevant=1), per_class, Confusion(("forest",), ((7,),))),
    )
    measured = {"queries": 7, "knn_accuracy": 0.9, "map": 0.8, "map_at_r": 0.7}
    assert as_read_back(evaluation_json(evaluation)) == {
        "left_out": {
            "gallery_without_label": 0,
            "gallery_copies": 0,
            "gallery_contradicting": 0,
            "queries_without_label": 0,
            "queries_copies": 0,
            "queries_contradicting": 0,
            "queries_without_relevant": 1,
        },
        "per_class": [
            {"label": "forest", "gallery": 5, **measured},
            {"label": "water", "gallery": 3, **dict.fromkeys(measured), "queries": 0},
        ],
        "queries": 7,
        "gallery": 8,
        "knn_accuracy": 0.9,
        "map": 0.8,
        "map_at_r": 0.7,
        "precision_at": {"1": 0.6, "5": 0.5, "10": 0.4, "20": 0.3, "50": 0.2},
        "recall_at": {"1": 0.1, "5": 0.2, "10": 0.3},
        "nmi": 0.55,
        "gallery_labels": "given labels",
    }


def test_an_audit_as_json() -> None:
    assert as_read_back(audit_json(AUDIT, "cpu", ("models/a", "models/b"))) == {
        "tiles": 2,
        "issues": 1,
        "noise_rate": 0.375,
        "noise_interval": [0.25, 0.5],
        "per_class": [
            {
                "label": "road",
                "tiles": 2,
                "issues": 1,
                "noise_rate": 0.375,
                "noise_interval": [0.25, 0.5],
            }
        ],
        "device": "cpu",
        "models": ["models/a", "models/b"],
        "kinds": {
            **{"duplicate": 1, "rare_class": 0, "off_topic": 0, "ambiguous": 0},
            "wrong_label": 0,
        },
    }


def test_an_audit_against_the_truth_as_json() -> None:
    figures = AuditFigures(0.5, 0.75, 0.8, 1.0, 0.5, None, None)
    content = as_read_back(audit_json(replace(AUDIT, figures=figures), "cpu"))
    assert isinstance(content, dict)
    assert content["truth"] == {
        "noise_rate": 0.5,
        "auroc": 0.75,
        "average_precision": 0.8,
        "precision": 1.0,
        "recall": 0.5,
        "f1": None,
        "suggestion_accuracy": None,
    }


def test_an_audit_as_csv(tmp_path: Path) -> None:
    write_audit_csv(tmp_path / "audit.csv", AUDIT, overwrite=False)
    assert (tmp_path / "audit.csv").read_text(encoding="utf-8") == (
        "tile,given_label,predicted_label,is_label_issue,label_score,own_similarity,"
        "predicted_similarity,kind,runner_up_label,runner_up_similarity,twin,"
        "issue_probability,neighbour_share,area_under_margin,training_weight,prototype_score,"
        "predicted_probability,witnessed_probability\n"
        '"b, 1.tif",road,water,True,0.125,0.25,0.75,duplicate,sand,0.5,c.tif,0.875,'
        "0.25,-1.5,0.0,0.25,0.75,0.5\n"
        '"a ""é"".tif",road,road,False,0.5,0.5,0.5,,,0.0,,0.5,,,,,,\n'
    )


def test_a_noise_matrix_as_csv(tmp_path: Path) -> None:
    matrix = NoiseMatrix(("a", "b"), np.array([[300.0, 100.0], [0.001, 0.5]]))
    write_noise_matrix(tmp_path / "m.csv", matrix, overwrite=False)
    with (tmp_path / "m.csv").open(encoding="utf-8", newline="") as stream:
        head, *rows = csv.reader(stream)
    assert head == [
        "given_label",
        "true_label",
        "expected_tiles",
        "share",
        *("share_low", "share_high"),
    ]
    assert [row[:2] for row in rows] == [["a", "a"], ["a", "b"], ["b", "b"]]
    figures = [[float(text) for text in row[2:]] for row in rows]
    assert [values[:2] for values in figures] == [[300, 0.75], [100, 0.25], [0.5, 0.5 / 0.501]]
    # 400 tiles are a: a binomial's deviation is 0.0217, and 1.96 of it 0.042.
    assert figures[0][2:] == pytest.approx([0.708, 0.792], abs=0.015)
    assert figures[1][2:] == pytest.approx([0.208, 0.292], abs=0.015)


def test_hits_as_csv(tmp_path: Path, result: QueryResult) -> None:
    bare = replace(result, hits=(without_place(result.hits[0]),))
    write_hits_csv(tmp_path / "hits.csv", [result, bare], overwrite=False)
    with (tmp_path / "hits.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert list(rows[0]) == [
        *("query", "rank", "tile", "path", "similarity", "label", "crs", "lon", "lat")
    ]
    assert [(row["rank"], row["tile"]) for row in rows[:3]] == [
        (str(hit.rank), hit.found.id) for hit in result.hits
    ]
    assert float(rows[1]["lon"]) == hit_json(result.hits[1])["lon"]
    assert (rows[3]["label"], rows[3]["crs"], rows[3]["lon"], rows[3]["lat"]) == ("", "", "", "")


def test_files_that_are_there_are_not_overwritten(tmp_path: Path, result: QueryResult) -> None:
    path = tmp_path / "there.csv"
    path.write_text("mine", encoding="utf-8")
    with pytest.raises(OutputExists, match=r"already exists$"):
        write_audit_csv(path, AUDIT, overwrite=False)
    with pytest.raises(OutputExists, match=r"already exists$"):
        write_hits_csv(path, [result], overwrite=False)
    assert path.read_text(encoding="utf-8") == "mine"


def test_files_that_are_there_are_overwritten_when_asked_for(
    tmp_path: Path, result: QueryResult
) -> None:
    path = tmp_path / "there.csv"
    path.write_text("old", encoding="utf-8")
    write_hits_csv(path, [result], overwrite=True)
    assert path.read_text(encoding="utf-8").startswith("query,rank")
