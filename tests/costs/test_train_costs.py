"""The stages of a short training, and what is predicted from them."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from rsretrieve.costs.cost import Cost
from rsretrieve.costs.stage_clock import EPOCHS, HEAD, READING, REST, StageClock
from rsretrieve.costs.train_costs import (
    TrainingPlan,
    TrainRates,
    measure_training,
    predict_training,
)
from rsretrieve.data.discovery.find_tiles import find_tiles
from rsretrieve.data.run_context import RunContext
from rsretrieve.enums import RecipeName
from rsretrieve.progress import EpochFinished, StageStarted
from rsretrieve.training.recipe import recipe_for

RATES = TrainRates(
    **{"measured": 100, "epochs": 10, "updates": 3, "read_s": 0.01, "start_s": 0.02},
    **{"epoch_s": 0.1, "update_s": 0.05, "pair_s": 1e-6, "base_s": 4.0, "processor_share": 2.0},
    **{"peak_bytes": 10**9, "pixel_bytes": 1000, "model_bytes": 500, "file_bytes": 7.0},
)


def test_stages_are_told_apart_by_their_names(monkeypatch):
    now = iter(map(float, range(100)))
    monkeypatch.setattr("rsretrieve.costs.stage_clock.time.perf_counter", lambda: next(now))
    clock = StageClock()
    finished = EpochFinished(1, 2, 0.1, 1.0, 1.0, 0.0, 0.1, None, 0.5, 10.0)
    for event in (
        *(StageStarted("measuring the tiles"), StageStarted("reading training tiles")),
        *(StageStarted("reading validation tiles"), StageStarted("fitting projection and so on")),
        *(StageStarted("epoch 1/2"), finished),
    ):
        clock.listen(event)
    clock.stop()
    assert clock.seconds == {REST: 3, READING: 2, HEAD: 1, EPOCHS: 1}
    assert clock.epochs == [0.5]


def test_a_training_is_the_sum_of_its_stages():
    found = predict_training(RATES, 1000)
    assert found.seconds == pytest.approx(
        {
            **{"starting": 0, "reading": 10, "before the first epoch": 20, "epochs": 1000},
            "rest": 4,
            "updating labels": 3 * (50 + 1),
        }
    )
    assert found.processor_seconds == pytest.approx(2 * found.total_seconds)
    assert found.memory_bytes == 10**9 + 900 * 1000
    assert found.read_bytes == 7000


def test_the_start_of_the_command_counts_once():
    one, other = (
        predict_training(replace(RATES, start=start), 1000) for start in (Cost(6.0, 5.0), Cost())
    )
    assert one.seconds["starting"] == 6
    assert one.total_seconds == pytest.approx(other.total_seconds + 6)
    assert one.processor_seconds == pytest.approx(other.processor_seconds + 5)


def test_validation_tiles_of_their_own_are_read_and_kept_in_memory():
    more = replace(RATES, validation=500)
    one, other = predict_training(RATES, 1000), predict_training(more, 1000)
    assert other.seconds["reading"] == pytest.approx(1.5 * one.seconds["reading"])
    assert other.seconds["epochs"] == one.seconds["epochs"]
    assert other.memory_bytes - one.memory_bytes == 500 * 1000


@pytest.mark.slow
@pytest.mark.parametrize("frozen", [False, True])
def test_a_short_training_measures_every_stage(landscape, frozen):
    recipe = recipe_for(RecipeName.ROBUST, "none", freeze_backbone=frozen)
    plan = TrainingPlan(recipe.changed(backbone="squeezenet1_1", size_px=32, epochs=9))
    tiles = find_tiles(landscape)
    rates = measure_training(tiles, torch.device("cpu"), RunContext(), plan)
    assert (rates.measured, rates.epochs, rates.updates) == (
        144,
        9,
        len(recipe.changed(epochs=9).update_epochs),
    )
    assert rates.pixel_bytes == 6 * 32 * 32 * 2
    for name in ("read_s", "epoch_s", "base_s", "file_bytes", "pair_s"):
        assert getattr(rates, name) > 0, name
    assert (rates.start_s > 0) is frozen


def test_tiles_are_in_memory_twice_where_larger_ones_give_the_features() -> None:
    small, large = (
        recipe_for(RecipeName.ROBUST, "w.pth").changed(size_px=size) for size in (64, 128)
    )
    assert TrainingPlan(small, "w.pth").pixels == 64**2 + 128**2
    assert TrainingPlan(small, "none").pixels == 64**2
    assert TrainingPlan(large, "w.pth").pixels == 128**2
    published = recipe_for(RecipeName.PAPER, "w.pth").changed(size_px=64)
    assert TrainingPlan(published, "w.pth").pixels == 64**2
