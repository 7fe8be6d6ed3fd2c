"""Weights between two weights."""

from __future__ import annotations

import pytest
import torch

from benchmarks.travelling_weights import interpolated


def test_weights_are_interpolated_and_counters_are_not():
    start = {"a": torch.tensor([0.0, 2.0]), "n": torch.tensor(7), "own": torch.tensor([5.0])}
    tuned = {"a": torch.tensor([4.0, 4.0]), "n": torch.tensor(9)}
    found = interpolated(start, tuned, 0.25)
    assert found["a"].tolist() == [1.0, 2.5]
    assert found["n"] == 7
    assert found["own"].tolist() == [5.0]
    assert interpolated(start, tuned, 1.0)["a"].tolist() == [4.0, 4.0]


def test_a_network_that_pools_levels_keeps_its_weights_under_a_prefix():
    start = {"a": torch.tensor([0.0]), "b": torch.tensor([1.0])}
    tuned = {"network.a": torch.tensor([4.0]), "network.b": torch.tensor([1.0])}
    assert interpolated(start, tuned, 0.5)["a"].tolist() == [2.0]


def test_weights_of_another_network_are_refused():
    with pytest.raises(SystemExit, match="0 of 1"):
        interpolated({"a": torch.tensor([0.0])}, {"x": torch.tensor([4.0])}, 0.5)
    assert interpolated({"a": torch.tensor([3.0])}, {}, 0.0)["a"].tolist() == [3.0]
