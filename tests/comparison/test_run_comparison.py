"""A comparison from end to end: its figures, its cells, and how it is continued."""

from __future__ import annotations

import csv
import json
import shutil
import tomllib
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

import rsretrieve
from rsretrieve.data.discovery.tile_list import write_list
from rsretrieve.errors import (
    InputError,
    InvalidArgument,
    OutputExists,
    OutputRefused,
    RsretrieveError,
)

QUICK = {
    **{"backbone": "squeezenet1_1", "weights": "none", "size": 32, "dimensions": 16},
    **{"epochs": 2, "freeze_backbone": True, "batch_size": 16},
}
NOISE = "uniform:0.3"


def compare(place: Path, output: Path, **changed):
    tiles = changed.pop("tiles", place / "tiles")
    options = {
        **{"test": place / "test.csv", "vary": {"loss": ["nsl", "rnsl"]}, "noise": NOISE},
        **{"seeds": 2, "progress": lambda event: None, "device": "cpu", **QUICK, **changed},
    }
    return rsretrieve.compare(tiles, output, **options)


@pytest.fixture(scope="module")
def place(landscape, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("compared")
    (folder / "tiles").symlink_to(landscape)
    lists = rsretrieve.split(folder / "tiles", (0.5, 0.1, 0.4), progress=lambda event: None)
    lists.to_csv(folder)
    return folder


@pytest.fixture(scope="module")
def finished(place) -> Path:
    said = []
    compare(place, place / "out", progress=said.append)
    shared = len((place / "test.csv").read_text().splitlines()) - 1
    assert any(f"{shared} tiles of TILES are test" in getattr(one, "text", "") for one in said)
    return place / "out"


def cells(folder: Path) -> list[dict[str, str]]:
    with (folder / "table.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def slow_map(vectors: np.ndarray, labels: list[str]) -> float:
    """Mean average precision of tiles that search each other, from its definition."""
    found = []
    for query, label in enumerate(labels):
        others = [i for i in range(len(labels)) if i != query]
        similarity = vectors[others].astype(np.float64) @ vectors[query].astype(np.float64)
        relevant = [labels[others[i]] == label for i in np.argsort(-similarity, kind="stable")]
        precisions = [sum(relevant[: i + 1]) / (i + 1) for i, hit in enumerate(relevant) if hit]
        found.append(float(np.mean(precisions)))
    return float(np.mean(found))


@pytest.mark.slow
def test_every_cell_has_the_figures_of_its_model(place, finished):
    rows = cells(finished)
    assert [(row["loss"], row["seed"]) for row in rows] == [
        *[("nsl", "0"), ("rnsl", "0"), ("nsl", "1"), ("rnsl", "1")]
    ]
    test = rsretrieve.open_tiles(place / "test.csv")
    for row in rows:
        vectors = rsretrieve.load_model(row["model"], device="cpu").embed(test)
        expected = slow_map(vectors, [tile.label for tile in test])
        assert float(row["map"]) == pytest.approx(expected, abs=1e-5)


@pytest.mark.slow
def test_no_model_is_trained_on_a_test_tile_and_pairs_share_their_noise(place, finished):
    test = {tile.id for tile in rsretrieve.open_tiles(place / "test.csv")}
    trained = {tile.id for tile in rsretrieve.open_tiles(finished / "train.csv")}
    assert len(trained) == 144 - len(test)
    assert not trained & test
    configs = [tomllib.loads(p.read_text())["train"] for p in finished.glob("models/*/config.toml")]
    files = sorted({config["labels"] for config in configs})
    assert [Path(file).name for file in files] == [
        f"noise-uniform-0.3-{Path(files[0]).name.split('-')[3]}-seed{seed}.csv" for seed in (0, 1)
    ]
    for file in files:
        with Path(file).open(newline="") as stream:
            rows = list(csv.DictReader(stream))
        assert {row["tile"] for row in rows} == trained
        assert 0.1 < np.mean([row["label"] != row["true_label"] for row in rows]) < 0.5


@pytest.mark.slow
def test_the_command_of_a_cell_makes_its_model_alone(run, finished, tmp_path):
    row = cells(finished)[1]
    command = row["command"].split()
    assert command[:3] == ["rsretrieve", "train", "--config"]
    ran = run(*command[1:4], "--output", tmp_path / "alone", "--quiet")
    assert ran.code == 0, ran.err
    one, other = (
        load_file(Path(folder) / "model.safetensors")
        for folder in (row["model"], tmp_path / "alone")
    )
    for name, tensor in one.items():
        np.testing.assert_allclose(tensor, other[name], rtol=1e-4, atol=1e-5, err_msg=name)


@pytest.mark.slow
def test_tables_plot_and_config_are_written(finished):
    text = (finished / "table.md").read_text()
    assert text.count("rsretrieve train --config") == 4
    assert "| loss=rnsl − loss=nsl |" in text
    assert (finished / "comparison.png").stat().st_size > 10_000
    config = tomllib.loads((finished / "config.toml").read_text())["compare"]
    assert (config["vary"], config["noise"], config["seeds"]) == (["loss=nsl;rnsl"], NOISE, 2)
    assert config["freeze-backbone"] is True


@pytest.mark.slow
def test_finished_cells_never_run_again_and_lost_ones_do(place, finished, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(finished, folder)
    # A copy is another folder: its cells are recognised by what they were trained on.
    before = {path: path.stat().st_mtime_ns for path in folder.glob("models/*/model.safetensors")}
    lost = folder / "models" / "loss-rnsl-seed1"
    shutil.rmtree(lost)
    (folder / "queries" / "loss-nsl-seed0.csv").unlink()
    again = compare(place, folder, seeds=2)
    now = {path: path.stat().st_mtime_ns for path in folder.glob("models/*/model.safetensors")}
    assert {p for p in before if before[p] != now[p]} == {lost / "model.safetensors"}
    first = cells(finished)
    for row, old in zip(cells(folder), first):
        assert float(row["map"]) == pytest.approx(float(old["map"]), abs=1e-6)
    assert len(again.results) == 4


@pytest.mark.slow
def test_other_labels_are_refused_until_overwriting_is_allowed(place, tmp_path):
    labels = tmp_path / "labels.csv"
    write_list(labels, rsretrieve.open_tiles(place / "tiles").tile_set, overwrite=False)
    options = {"vary": {"labels": [labels, place / "train.csv"]}, "noise": None, "epochs": 0}
    compare(place, tmp_path / "out", **options)
    rows = labels.read_text().replace(",beach\n", ",forest\n", 3)
    labels.write_text(rows)
    with pytest.raises(OutputExists, match="other tiles, labels or options"):
        compare(place, tmp_path / "out", **options)
    models = tmp_path / "out" / "models"
    before = {path.name: path.stat().st_mtime_ns for path in models.iterdir()}
    compare(place, tmp_path / "out", **options, overwrite=True)
    changed = {
        path.name for path in models.iterdir() if path.stat().st_mtime_ns != before[path.name]
    }
    assert len(changed) == 2
    assert all("labels-" in name and "train.csv" not in name for name in changed)


@pytest.mark.slow
def test_the_program_says_the_same_as_the_library(run, place, finished, tmp_path):
    shutil.copytree(finished, tmp_path / "copy")
    words = [
        f"--{name.replace('_', '-')}={value}" for name, value in QUICK.items() if value is not True
    ]
    ran = run(
        *("compare", place / "tiles", "--test", place / "test.csv", "--vary", "loss=nsl,rnsl"),
        *("--noise", NOISE, "--seeds", 2, "--freeze-backbone", *words, "--device", "cpu"),
        *("--output", tmp_path / "copy", "--json"),
    )
    assert ran.code == 0, ran.err
    assert ran.json["queries"] == len((place / "test.csv").read_text().splitlines()) - 1
    assert [row["loss"] for row in ran.json["cells"]] == ["nsl", "rnsl", "nsl", "rnsl"]
    (difference,) = ran.json["differences"]
    assert difference["sentence"].rstrip(".") in ran.json["verdict"].replace("No diff", "no diff")
    old = json.loads(json.dumps([float(row["map"]) for row in cells(finished)]))
    assert [row["map"] for row in ran.json["cells"]] == pytest.approx(old, abs=1e-9)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"seeds": 1}, "at least 2 seeds"),
        ({"vary": {"loss": ["nsl"]}}, "nothing to compare"),
        ({"vary": {"loss": ["nsl", "softmax"]}}, "loss must be one of"),
        ({"vary": {"losses": ["nsl", "rnsl"]}}, "losses"),
        ({"vary": {"loss": ["nsl", "nsl"]}}, "different values"),
        ({"vary": {"loss": "nsl"}}, "several values"),
        ({"vary": {}}, "at least one option"),
        ({"metric": "accuracy"}, "metric must be one of"),
        ({"baseline": "rsnl"}, "none of the values"),
        ({"noise": "uniform:2"}, "no label noise"),
        ({"noise": "table:aid:0.1"}, "no row for"),
        ({"noise": "table:aid:0.1"}, "classes with noise table:FILE.csv:0.1"),
        ({"vary": {"backbone": ["squeezenet1_1", "resnet1"]}}, "resnet1"),
        ({"vary": {"weights": ["none", "missing.pth"]}}, "missing.pth"),
        ({"labels": "missing.csv"}, "missing.csv"),
        ({"vary": {"size": [96, 32]}, "backbone": "alexnet"}, "cannot take tiles of 32 px"),
        ({"detect": 0}, "difference to detect must be above 0"),
        ({"detect": -1}, "difference to detect must be above 0"),
        ({"detect": 1.5}, "difference to detect must be above 0"),
        ({"detect": float("nan")}, "detect must be a number"),
        ({"truth": "missing.csv"}, "missing.csv"),
    ],
)
def test_what_cannot_be_compared_is_said_before_anything_is_written(
    place, tmp_path, changed, words
):
    with pytest.raises(RsretrieveError) as error:
        compare(place, tmp_path / "out", **changed)
    assert words in str(error.value) + error.value.hint
    assert not (tmp_path / "out").exists()


def test_a_folder_with_something_else_is_refused(place, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(OutputExists, match="is no comparison"):
        compare(place, tmp_path)
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_no_input_of_a_training_is_replaced(place, tmp_path):
    shutil.copy(place / "val.csv", tmp_path)
    for changed in (
        {"validation": tmp_path / "val.csv"},
        {"validation": [tmp_path / "val.csv"]},
        {"vary": {"validation": [str(tmp_path / "val.csv"), place / "train.csv"]}},
        {"tiles": [tmp_path / "val.csv"]},
    ):
        with pytest.raises(OutputRefused, match=r"contains .*val\.csv"):
            compare(place, tmp_path, **changed)
    assert [path.name for path in tmp_path.iterdir()] == ["val.csv"]


def test_test_tiles_that_validate_or_train_alone_are_refused(place, tmp_path):
    with pytest.raises(InputError, match="validation tiles are test tiles"):
        compare(place, tmp_path / "out", validation=place / "test.csv")
    with pytest.raises(InputError, match="all tiles of"):
        compare(place, tmp_path / "out", tiles=place / "test.csv")


def test_a_damaged_state_is_said(place, tmp_path):
    (tmp_path / "comparison.json").write_text('{"schema": 99, "trained": {}, "measured": {}}')
    with pytest.raises(InputError, match=r"comparison\.json"):
        compare(place, tmp_path)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--vary", "loss"], "expected NAME=A,B"),
        (["--vary", "loss=nsl,"], "empty value"),
        (["--vary", "loss=nsl,nsl"], "value twice"),
        (["--vary", "loss=nsl,softmax"], "softmax"),
        (["--vary", "epochs=1,many"], "epochs=many"),
        (["--vary", "freeze-backbone=yes,no"], "true or false"),
        (["--vary", "lss=nsl,rnsl"], "did you mean loss"),
        (["--vary", "output=a,b"], "output cannot be varied"),
        (["--vary", "window=32,64"], "window cannot be varied"),
        (["--vary", "loss=nsl,rnsl", "--vary", "loss=nsl,rnsl"], "varied twice"),
        (["--vary", "loss=nsl,rnsl", "--metric", "accuracy"], "none of map"),
        (["--vary", "noise=uniform:0.1,uniform"], "ends with no rate"),
        (["--vary", "loss=nsl,rnsl", "--detect", "0"], "difference to detect"),
        (["--vary", "loss=nsl,rnsl", "--detect", "-1"], "difference to detect"),
        (["--vary", "loss=nsl,rnsl", "--detect", "nan"], "NaN is no number"),
    ],
)
def test_wrong_usage_is_said(run, place, tmp_path, words, said):
    ran = run(
        "compare", place / "tiles", "--test", place / "test.csv", *words, "--output", tmp_path / "o"
    )
    assert ran.code == 2
    assert said in " ".join(ran.err.replace("│", " ").split())
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize("missing", ["--test", "--truth", "--gallery", "labels"])
def test_missing_files_are_found_at_the_start(run, place, tmp_path, missing):
    words = ["--test", place / "test.csv", "--vary", "loss=nsl,rnsl"]
    if missing == "labels":
        words[-1] = f"labels={place / 'train.csv'},{tmp_path / 'none.csv'}"
    else:
        words += [missing, tmp_path / "none.csv"]
    ran = run("compare", place / "tiles", *words, "--output", tmp_path / "o")
    assert ran.code == 1
    assert "none.csv" in ran.err
    assert InvalidArgument.__name__ not in ran.err
