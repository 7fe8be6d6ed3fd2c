"""Targets and whole trainings of several processes beside those of one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from rsretrieve.data.preprocessing.preprocessing import Preprocessing
from rsretrieve.data.run_context import RunContext
from rsretrieve.enums import ModelSelection, Validation
from rsretrieve.network.device import Precision
from rsretrieve.progress import Noticed
from rsretrieve.training.initialize import starting_model
from rsretrieve.training.loop import TrainingLoop
from rsretrieve.training.parallel.processes import ALONE, Processes
from rsretrieve.training.recipe import ROBUST, Recipe
from rsretrieve.training.step import TrainingSettings
from rsretrieve.training.targets.classify_by_others import Neighbourhood
from rsretrieve.training.targets.neighbor_agreement import NeighborAgreementPolicy, neighbor_votes
from rsretrieve.training.targets.posterior_policy import PosteriorPolicy
from rsretrieve.training.targets.target_settings import AgreementSettings, PosteriorSettings
from rsretrieve.training.targets.targets import Predictions, Targets
from rsretrieve.training.validate import Examples
from tests.support.processes.gloo_processes import in_processes

CPU = torch.device("cpu")
CLASSES = ("a", "b", "c")
TILES, SIZE_PX = 26, 32


def some_predictions() -> tuple[Predictions, Tensor]:
    torch.manual_seed(0)
    embeddings = torch.nn.functional.normalize(torch.randn(301, 6), dim=1)
    labels = torch.randint(0, 4, (301,))
    return Predictions(embeddings, torch.randn(301, 4).log_softmax(dim=1)), labels


def selected(processes: Processes) -> list[Tensor]:
    """What two updates of the targets select, and the votes in many small blocks."""
    predictions, given = some_predictions()
    settings = AgreementSettings(share=0.2, relabel=0.3, relabel_after=0.0, memory=0.7)
    policy = NeighborAgreementPolicy(0.2, settings, processes)
    targets = Targets.as_given(given)
    for _ in range(2):
        targets = policy.update(predictions, given, targets, 1.0)
    votes = neighbor_votes(predictions.embeddings, targets, 4, 4 * 301 * 10, processes)
    return [targets.labels, targets.weights, policy.tensors()["mean"], votes]


@pytest.mark.medium
@pytest.mark.parametrize("count", [2, 4])
def test_equal_embeddings_are_selected_to_the_bit(count: int) -> None:
    alone = selected(ALONE)
    assert 0 < alone[1].mean() < 1
    for found in in_processes(count, selected):
        assert all(torch.equal(one, other) for one, other in zip(found, alone))


def estimated(processes: Processes) -> list[Tensor]:
    """The classes by a posterior before the training and after an update."""
    predictions, given = some_predictions()
    vectors = Neighbourhood.of(predictions.embeddings, processes, 4 * 301 * 10)
    nobody = torch.zeros(301, dtype=torch.bool)
    settings = PosteriorSettings(0.3, 0.1, 0.9, 2)
    policy = PosteriorPolicy.of(settings, [vectors], given, nobody, 4, 0)
    first = policy.first_targets()
    targets = policy.update(predictions, given, first, 0.5)
    return [first.labels, first.weights, targets.labels, targets.weights, vectors.weights]


@pytest.mark.slow
def test_equal_vectors_give_equal_classes_to_the_bit() -> None:
    alone = estimated(ALONE)
    assert (alone[0] != some_predictions()[1]).any()
    for found in in_processes(2, estimated):
        assert all(torch.equal(one, other) for one, other in zip(found, alone))


def trained(
    processes: Processes,
    recipe: Recipe,
    folder: Path,
    resume: bool = False,
) -> dict[str, Any]:
    """A training on tiles of noise, each class with its own brightness."""
    numbers = np.random.default_rng(0)
    labels = np.arange(TILES) % 3
    shape = (TILES, 3, SIZE_PX, SIZE_PX)
    pixels = (numbers.integers(0, 128, shape) + 60 * labels[:, None, None, None]).astype(np.uint8)
    statistics = _statistics()
    settings = TrainingSettings(recipe, statistics, 0, CPU, Precision.FLOAT32, processes=processes)
    model, _ = starting_model(recipe, 3, CLASSES, "none", seed=0)
    train = Examples(pixels, labels)
    notices: list[str] = []

    def listen(event: object) -> None:
        if isinstance(event, Noticed):
            notices.append(event.text)

    loop = TrainingLoop(
        settings, model, train, Examples(pixels[:9], labels[:9]), RunContext(listener=listen)
    )
    loop.run(folder / "checkpoint.safetensors", {}, resume=resume)
    return {
        "model": {name: t.clone() for name, t in loop.model.state_dict().items()},
        "targets": loop.targets,
        "areas": loop.area_under_margin.areas,
        "losses": [epoch.loss for epoch in loop.history],
        "accuracies": [epoch.validation_accuracy for epoch in loop.history],
        "notices": notices,
    }


def _statistics() -> Preprocessing:
    from rsretrieve.data.preprocessing.preprocessing import BandStatistics

    statistics = BandStatistics((100.0,) * 3, (50.0,) * 3, (0.0,) * 3, (255.0,) * 3)
    return Preprocessing(SIZE_PX, 3, (1, 2, 3), "uint8", statistics)


TINY = ROBUST.changed(
    backbone="shufflenet_v2_x0_5", size_px=SIZE_PX, dimensions=8, epochs=3, batch_size=8, k=0.1
)


more = partial(pytest.param, marks=pytest.mark.exhaustive)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("network", "batch_size"),
    [("squeezenet1_1", 8), ("shufflenet_v2_x0_5", TILES)],
    ids=["four steps without batch norm", "a step with batch norm"],
)
@pytest.mark.parametrize("count", [2, more(4)])
def test_several_processes_train_what_one_trains_except_for_rounding(
    count: int, network: str, batch_size: int, tmp_path: Path
) -> None:
    """In an untrained network of many layers of batch norm, rounding grows tenfold each step."""
    recipe = replace(TINY, epochs=1, backbone=network, batch_size=batch_size)
    alone = trained(ALONE, recipe, tmp_path)
    found = in_processes(count, trained, recipe, tmp_path)
    assert not any(isinstance(each, Exception) for each in found), found
    for each in found:
        assert each["losses"] == pytest.approx(alone["losses"], rel=1e-4)
        np.testing.assert_allclose(each["areas"], alone["areas"], atol=2e-3)
        for name, tensor in each["model"].items():
            torch.testing.assert_close(tensor, alone["model"][name], rtol=1e-2, atol=1e-3)
            assert torch.equal(tensor, found[0]["model"][name])  # the same bits in all


@pytest.mark.slow
@pytest.mark.parametrize("validation", [more(Validation.PROTOTYPES), Validation.NEIGHBOURS])
def test_two_trainings_of_two_processes_are_the_same_bits(
    validation: Validation, tmp_path: Path
) -> None:
    recipe = replace(TINY, validation=validation, keep=ModelSelection.BEST)
    one, other = (in_processes(2, trained, recipe, tmp_path)[0] for _ in range(2))
    assert one["losses"] == other["losses"]
    assert one["accuracies"] == other["accuracies"]
    for name, tensor in one["model"].items():
        assert torch.equal(tensor, other["model"][name])


@pytest.mark.slow
@pytest.mark.parametrize(("before", "after"), [more(2, 2), (2, 1), more(1, 2)])
def test_a_training_goes_on_and_says_a_change_of_the_number_of_processes(
    before: int, after: int, tmp_path: Path
) -> None:
    run = partial(_run, folder=tmp_path)
    recipe = TINY if before == after else replace(TINY, backbone="squeezenet1_1")
    whole = _run(before, recipe, tmp_path)
    run(before, recipe, stop_after=1)
    found = run(after, recipe, resume=True)
    assert len(found["losses"]) == 3
    if before == after:
        assert found["losses"] == whole["losses"]
        assert all(torch.equal(t, whole["model"][n]) for n, t in found["model"].items())
        assert not found["notices"]
    else:
        [text] = found["notices"]
        assert f"{before} processes" in text
        assert f"with {after}" in text
        assert found["losses"] == pytest.approx(whole["losses"], rel=1e-3)


def _run(
    count: int, recipe: Recipe, folder: Path, *, resume: bool = False, stop_after: int | None = None
) -> dict[str, Any]:
    work: Callable[..., dict[str, Any]] = trained if stop_after is None else _stopped
    if count == 1:
        return work(ALONE, recipe, folder, resume)
    found = in_processes(count, work, recipe, folder, resume)
    assert isinstance(found[0], dict), found
    return found[0]


def _stopped(processes: Processes, recipe: Recipe, folder: Path, resume: bool) -> dict[str, Any]:
    """Train, and stop after the first epoch."""
    with pytest.MonkeyPatch.context() as patch:
        run_epoch = TrainingLoop.run_epoch

        def first_only(loop: TrainingLoop, epoch: int) -> Any:
            if epoch:
                raise KeyError("stopped")
            return run_epoch(loop, epoch)

        patch.setattr(TrainingLoop, "run_epoch", first_only)
        with pytest.raises(KeyError):
            trained(processes, recipe, folder, resume)
    assert load_file(folder / "checkpoint.safetensors")
    return {}
