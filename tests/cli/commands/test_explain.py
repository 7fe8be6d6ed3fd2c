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
    ],
)
def test_wrong_usage_is_said_before_anything_is_measured(run, arguments):
    assert run("explain", *arguments).code == 2


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
