"""`rsretrieve explain`: usage, tiles, and what it prints."""

from __future__ import annotations

import json

import pytest


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--at-scale", "many"),
        ("--at-scale", "0"),
        ("--at-scale", "1e13"),
        ("--at-scale", "1e6", "--model", "default"),
        ("tiles", "--dimensions", "64"),
        ("--at-scale", "1e6", "--commands", "train"),
        ("--at-scale", "1e6", "--commands", "index,fly"),
        ("--at-scale", "1e6", "--labels", "labels.csv"),
        ("--at-scale", "1e6", "--window", "64"),
        ("--at-scale", "1e6", "--asset", "x"),
        ("--at-scale", "1e6", "--stack", "all"),
        ("--at-scale", "1e6", "--trust-sources"),
        ("--at-scale", "1e6", "--dimensions", "0"),
        ("--at-scale", "1e6", "--dollars-per-hour", "nan"),
    ],
)
def test_wrong_usage_is_said_before_anything_is_measured(run, arguments):
    assert run("explain", *arguments).code == 2


def test_a_missing_labels_file_is_said_before_anything_is_measured(run, landscape, tmp_path):
    ran = run("explain", landscape, "--labels", tmp_path / "missing.csv")
    assert ran.code == 1
    assert "missing.csv" in ran.err


@pytest.mark.exhaustive
def test_labels_of_a_file_decide_how_many_tiles_an_audit_reads_again(
    run, landscape, model, tmp_path
):
    some = sorted(landscape.glob("*/*.tif"))[::4]
    for path in some:  # without sub-folders, there are no labels but those of a file
        (tmp_path / "flat").mkdir(exist_ok=True)
        (tmp_path / "flat" / path.name).symlink_to(path)
    said = {}
    for name, label in (("one", lambda _: "land"), ("each", lambda path: path.name)):
        rows = [("tile", "label"), *((path.name, label(path)) for path in some)]
        (tmp_path / f"{name}.csv").write_text("".join(f"{a},{b}\n" for a, b in rows))
        options = ("--labels", tmp_path / f"{name}.csv", "--model", model, "--json")
        ran = run("explain", tmp_path / "flat", *options, "--commands", "audit-labels")
        assert ran.code == 0, ran.err
        said[name] = json.loads(ran.out)
    shares = {name: found["tile_rates"]["contrary"] for name, found in said.items()}
    assert shares == {"one": 0, "each": 1}
    steps = said["each"]["predictions"][0]["steps"]
    assert (
        steps["comparing pixels"] > 0 == said["one"]["predictions"][0]["steps"]["comparing pixels"]
    )
    assert steps["starting"] > 0


@pytest.mark.slow
def test_costs_of_given_embeddings_are_predicted(run):
    said = json.loads(run("explain", "--at-scale", "1e4,1e9", "--dimensions", "16", "--json").out)
    assert {one["tiles"] for one in said["predictions"]} == {10**4, 10**9}
    assert said["tile_rates"] is None
    assert said["verdict"]


@pytest.mark.exhaustive
@pytest.mark.slow
def test_tiles_are_read_and_embedded_for_their_rate(run, landscape, model):
    asked = ("--commands", "index,train,audit-labels", "--at-scale", "1e6", "--json")
    said = json.loads(run("explain", landscape, "--model", model, *asked).out)
    first, train, audit = said["predictions"]
    assert (train["command"], audit["command"]) == ("train", "audit-labels")
    assert min(train["steps"]["epochs"], audit["steps"]["estimating"]) > 1
    assert first["steps"]["reading and embedding"] == pytest.approx(
        1e6 * said["tile_rates"]["embed_s"]
    )
    assert first["seconds"] > 1
