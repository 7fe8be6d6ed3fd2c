"""16-bit tiles are normalised by their own statistics, or divided by 10,000 if that is better."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from rsretrieve.data.preprocessing.band_statistics import measure_preprocessing
from rsretrieve.data.run_context import RunContext
from rsretrieve.network.backbones.normalisation_check import Agreement
from rsretrieve.network.network import build_network
from rsretrieve.network.tensor_io import write_tensors
from rsretrieve.network.unlabelled import frozen_features
from rsretrieve.network.unlabelled.frozen_features import fit_checked
from rsretrieve.network.unlabelled.sample import read_sample
from rsretrieve.progress import Noticed

CPU, NAME = torch.device("cpu"), "squeezenet1_1"


@pytest.fixture
def fit(six_band_tiles, tmp_path):
    """Fits the features of a small network with random weights; also what is said."""
    torch.manual_seed(0)
    network = build_network(NAME, bands=6, size_px=64, dimensions=4)
    write_tensors(tmp_path / "w.safetensors", network.backbone.state_dict())
    measured = measure_preprocessing(six_band_tiles, 64)
    sample = read_sample(six_band_tiles, measured, 0, RunContext())

    def fitted():
        said = []
        context, weights = RunContext(listener=said.append), str(tmp_path / "w.safetensors")
        _, used = fit_checked(sample, measured.statistics, NAME, weights, CPU, context)
        notices = " ".join(event.text for event in said if isinstance(event, Noticed))
        return used.preprocessing.statistics, measured.statistics, notices

    return fitted


@pytest.mark.medium
def test_their_own_statistics_are_kept_where_the_other_is_not_far_better(fit):
    used, measured, said = fit()
    assert used == measured
    assert said == ""


@pytest.mark.medium
def test_they_are_divided_where_neighbours_agree_far_better_by_it(fit, monkeypatch):
    compared = []

    def compare(network, preprocessing, pixels, other, labels):
        compared.append(other)
        return Agreement(np.zeros(100), np.ones(100), by_labels=False)

    monkeypatch.setattr(frozen_features, "compare_normalisations", compare)
    used, measured, said = fit()
    assert used.mean == (0.0,) * 6
    assert used.deviation == (10_000.0,) * 6
    assert (used.low, used.high) == (measured.low, measured.high)
    assert compared == [used]
    assert "division by 10,000, which is taken here" in said
