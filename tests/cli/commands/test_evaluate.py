"""`rsretrieve evaluate`: files it writes, what it says, and folders that were moved."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import numpy as np
import pyarrow
import pytest
from PIL import Image
from pyarrow import parquet

import rsretrieve as rsretrieve_here
from rsretrieve.errors import DeviceUnavailable
from tests.support.programs import rsretrieve


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """An index of 60 random vectors of four classes, one of which has a single tile."""
    folder = tmp_path_factory.mktemp("made")
    rng = np.random.default_rng(0)
    labels = ["=sum", "a b", "é"] * 20
    labels[-1] = "lonely"
    table = {
        "id": [f"{i}.tif" for i in range(60)],
        "embedding": rng.normal(size=(60, 8)).astype(np.float32).tolist(),
        "label": labels,
    }
    parquet.write_table(pyarrow.table(table), folder / "v.parquet")
    made = "index", "--from-embeddings", folder / "v.parquet", "--output", folder / "index"
    assert rsretrieve(*made).returncode == 0
    return folder / "index"


def test_figures_of_classes_and_confusions_are_written(run, made, tmp_path):
    ran = run("evaluate", "--index", made, "--csv", tmp_path / "c.csv", "--json")
    assert ran.code == 0
    with (tmp_path / "c.csv").open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    classes = ran.json["per_class"]
    assert [row["label"].lstrip("'") for row in rows] == ["=sum", "a b", "lonely", "é"]
    assert [int(row["queries"]) for row in rows] == [20, 20, 0, 19]
    assert [entry["queries"] for entry in classes] == [20, 20, 0, 19]
    assert rows[2]["map"] == ""
    assert classes[2]["map"] is None
    assert int(rows[2]["without_relevant"]) == 1
    counted = [row for row in rows if row["map"]]
    counts = np.array([int(row["queries"]) for row in counted])
    for name in ("map", "map_at_r", "knn_accuracy"):
        mean = np.average([float(row[name]) for row in counted], weights=counts)
        assert mean == pytest.approx(ran.json[name])
    for row in rows:
        predicted = {k.removeprefix("predicted "): int(row[k]) for k in row if "predicted " in k}
        assert sum(predicted.values()) == int(row["queries"])
        if row["map"]:
            share = predicted[row["label"].lstrip("'")] / int(row["queries"])
            assert share == pytest.approx(float(row["knn_accuracy"]))


@pytest.mark.medium
def test_a_picture_is_written_and_nothing_is_replaced_unasked(run, made, tmp_path):
    picture = tmp_path / "c.png"
    assert run("evaluate", "--index", made, "--plot", picture).code == 0
    with Image.open(picture) as image:
        assert min(image.size) > 300
    refused = run("evaluate", "--index", made, "--plot", picture)
    assert refused.code == 1
    assert "--overwrite" in refused.err
    assert run("evaluate", "--index", made, "--plot", picture, "--overwrite").code == 0
    inside = run("evaluate", "--index", made, "--csv", made / "c.csv")
    assert inside.code == 1
    assert not (made / "c.csv").exists()


def test_the_title_says_by_which_labels(run, made, tmp_path):
    plain = run("evaluate", "--index", made)
    assert "given labels" in plain.out
    assert "--truth" in plain.out
    truth = tmp_path / "truth.csv"
    truth.write_text(
        "tile,label\n" + "".join(f"./{i}.tif ,{('é', 'a b')[i % 2]}\n" for i in range(50))
    )
    judged = run("evaluate", "--index", made, "--truth", truth)
    assert "true labels" in judged.out
    assert "--truth" not in judged.out
    assert "10 tiles of the index have no true label" in judged.err


def test_what_is_left_out_is_counted(run, made, tmp_path):
    ran = run("evaluate", "--index", made, "--json")
    assert ran.json["left_out"] == {
        "gallery_without_label": 0,
        "gallery_copies": 0,
        "gallery_contradicting": 0,
        "queries_without_label": 0,
        "queries_copies": 0,
        "queries_contradicting": 0,
        "queries_without_relevant": 1,
    }
    assert ran.json["queries"] == 59
    assert "1 queries have no tile of their label" in ran.err


def test_one_class_and_foreign_true_labels_are_refused(run, made, tmp_path):
    truth = tmp_path / "truth.csv"
    truth.write_text("tile,label\n0.tif,é\n1.tif,é\n")
    one = run("evaluate", "--index", made, "--truth", truth, "--json")
    assert (one.code, one.out) == (1, "")
    assert "'é'" in one.err
    truth.write_text("tile,label\nx/0.tif,é\nx/1.tif,a b\n")
    foreign = run("evaluate", "--index", made, "--truth", truth)
    assert foreign.code == 1
    assert "x/0.tif" in foreign.err
    assert "0.tif" in foreign.err
    truth.write_text("tile,label\n0.tif,city\n1.tif,sea\n")
    unknown = run("evaluate", "--index", made, "--truth", truth)
    assert unknown.code == 1
    assert "'city', 'sea'" in unknown.err
    assert "'lonely'" in unknown.err


FIGURES = ("knn_accuracy", "map", "map_at_r", "precision_at", "recall_at", "queries", "gallery")


@pytest.mark.medium
@pytest.mark.parametrize("how", [pytest.param("copied", marks=pytest.mark.exhaustive), "moved"])
def test_figures_hits_and_audits_are_the_same_elsewhere(
    run, landscape, model, tmp_path: Path, how: str
):
    here = Path(shutil.copytree(landscape, tmp_path / "here"))
    index = tmp_path / "index"
    assert run("index", here, "--model", model, "--output", index).code == 0

    def told(folder: Path):
        image = next((folder / "forest").glob("*.tif"))
        query = run("query", image, "--index", index, "--exclude-self", "-k", 5, "--json").json
        audit = run("audit-labels", folder, "--model", model, "--json").json
        figures = run("evaluate", folder, "--index", index, "--json").json
        return (
            [(hit["tile"], hit["similarity"]) for hit in query["queries"][0]["hits"]],
            {name: figures[name] for name in FIGURES},
            {name: audit[name] for name in audit if name != "device"},
        )

    in_place = told(here)
    there = tmp_path / "there"
    if how == "moved":
        here.rename(there)
    else:
        shutil.copytree(here, there)
    assert told(there) == in_place


@pytest.mark.medium
def test_an_audit_knows_the_records_of_training_under_other_names(
    run, landscape, model, tmp_path: Path
):
    nested = tmp_path / "nested"
    shutil.copytree(landscape, nested / "tiles")

    def known(folder: Path, *more: object) -> int:
        output = tmp_path / f"{folder.name}.csv"
        ran = run("audit-labels", folder, *more, "--model", model, "--output", output)
        assert ran.code == 0
        with output.open(newline="", encoding="utf-8") as stream:
            return sum(row["training_weight"] != "" for row in csv.DictReader(stream))

    in_place = known(landscape)
    assert in_place > 50  # the model was trained on other labels of some
    assert known(nested, "--labels", labels_below(nested)) == in_place


def labels_below(folder: Path) -> Path:
    """A labels file for tiles in a folder between root and class folders."""
    path = folder.parent / "labels.csv"
    paths = sorted(folder.rglob("*.tif"))
    rows = (f"{p.relative_to(folder).as_posix()},{p.parent.name}\n" for p in paths)
    path.write_text("tile,label\n" + "".join(rows))
    return path


@pytest.mark.parametrize(
    "given",
    [
        ("--labels", "l.csv"),
        ("--model", "m"),
        ("--window", "16", "--stride", "8"),
        ("--asset", "a"),
        ("--stack", "all"),
        ("--trust-sources",),
        ("--strict",),
    ],
)
def test_an_option_for_queries_without_queries_is_named(run, tmp_path, given):
    ran = run("evaluate", "--index", tmp_path, *given)
    assert (ran.code, ran.out) == (2, "")
    assert f"{given[0]} applies to QUERIES, which are missing" in ran.err


def test_a_gpu_that_is_not_there_is_told_where_nothing_is_computed_on_it(run, made, tmp_path):
    (tmp_path / "list.csv").write_text("tile,label\na.tif,a\nb.tif,b\n")
    noise = ("corrupt-labels", tmp_path / "list.csv", "--rate", "0", "--output", tmp_path / "n.csv")
    for command in (("evaluate", "--index", made), noise):
        ran = run(*command, "--device", "cuda:77")
        assert (ran.code, ran.out) == (1, ""), ran.err
        assert "there is no device cuda:77" in ran.err
    assert not (tmp_path / "n.csv").exists()
    for work in (
        lambda: rsretrieve_here.evaluate(made, device="cuda:77"),
        lambda: rsretrieve_here.corrupt_labels(tmp_path / "list.csv", 0, device="cuda:77"),
    ):
        with pytest.raises(DeviceUnavailable, match="cuda:77"):
            work()
