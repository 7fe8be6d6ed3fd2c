"""The training loop from the inside: its weights, its model selection, its checkpoints."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from rsretrieve.data.preprocessing.preprocessing import Preprocessing
from rsretrieve.data.run_context import RunContext
from rsretrieve.enums import LossName, ModelSelection, OptimizerName, Schedule, Validation
from rsretrieve.errors import CheckpointError, TrainingDiverged
from rsretrieve.network.device import Precision
from rsretrieve.network.model import PrototypeModel
from rsretrieve.progress import Advanced, EpochFinished, Event, Noticed, StageStarted
from rsretrieve.training.checkpoint import read_checkpoint, write_checkpoint
from rsretrieve.training.initialize import starting_model
from rsretrieve.training.loop import TrainingLoop
from rsretrieve.training.losses import MetricLoss
from rsretrieve.training.outcome import BeforeTraining
from rsretrieve.training.recipe import ROBUST, Recipe
from rsretrieve.training.step import Batch, StepResult, TrainingSettings
from rsretrieve.training.targets.label_posterior import LabelPosterior
from rsretrieve.training.targets.neighbor_agreement import NeighborAgreementPolicy
from rsretrieve.training.targets.posterior_policy import PosteriorPolicy
from rsretrieve.training.targets.target_settings import PosteriorSettings
from rsretrieve.training.targets.targets import Predictions, TargetPolicy, Targets
from rsretrieve.training.targets.truncation import TruncationPolicy
from rsretrieve.training.validate import Examples

CPU = torch.device("cpu")
CLASSES = ("a", "b", "c")
LABELS = (0, 1, 2, 0, 1, 2, 0)
TINY = ROBUST.changed(backbone="squeezenet1_1", size_px=32, dimensions=8, epochs=2, batch_size=4)
ONE_EPOCH = TINY.changed(epochs=1)

Start = Callable[..., TrainingLoop]


@pytest.fixture
def events() -> list[Event]:
    return []


@pytest.fixture
def start(preprocessing: Preprocessing, pixels: NDArray[np.uint8], events: list[Event]) -> Start:
    """Begin a training on seven tiles of noise, of which the first three also validate."""

    def start(recipe: Recipe, *, validate: bool = True) -> TrainingLoop:
        settings = TrainingSettings(recipe, preprocessing, 0, CPU, Precision.FLOAT32)
        model, _ = starting_model(recipe, 3, CLASSES, "none", seed=0)
        train = Examples(pixels, np.array(LABELS))
        validation = Examples(pixels[:3], np.array([0, 1, 2])) if validate else None
        return TrainingLoop(settings, model, train, validation, RunContext(listener=events.append))

    return start


def run(training: TrainingLoop, tmp_path: Path) -> TrainingLoop:
    training.run(tmp_path / "checkpoint.safetensors", {}, resume=False)
    return training


def after_steps(
    training: TrainingLoop, act: Callable[[Batch, StepResult], StepResult | None]
) -> None:
    """Call `act` after every step; what it returns takes the place of the step's result."""
    step = training.step

    class Watched:
        def __getattr__(self, name: str) -> Any:
            return getattr(step, name)

        def run(self, batch: Batch, *rest: Any) -> StepResult:
            result = step.run(batch, *rest)
            return act(batch, result) or result

    training.step = Watched()


def finished(events: list[Event]) -> list[EpochFinished]:
    return [event for event in events if isinstance(event, EpochFinished)]


def test_the_tiles_that_vote_are_named_and_not_copied(start: Start) -> None:
    training = start(ONE_EPOCH)
    labels = torch.tensor([0, 1, 2, 1, 1, 2, 0])
    training.targets = Targets(labels, torch.tensor([1.0, 0, 1, 1, 0, 1, 1]))
    voters = training.voters()
    assert voters.pixels is training.train.pixels
    assert voters.rows.tolist() == [0, 2, 3, 5, 6]
    assert voters.labels.tolist() == [0, 2, 1, 2, 0]


class DropsAll:
    """Teaches no tile anything, and every tile the next class."""

    k = 0.5

    def update(
        self, predictions: object, given: torch.Tensor, previous: Targets, progress: float
    ) -> Targets:
        return Targets((given + 1) % 3, torch.zeros_like(previous.weights))

    def tensors(self) -> dict[str, torch.Tensor]:
        return {}

    def restore(self, tensors: object) -> None:
        raise AssertionError


@pytest.mark.medium
def test_confirmed_labels_are_never_dropped_nor_replaced(start: Start, tmp_path: Path) -> None:
    training = start(TINY, validate=False)
    confirmed = np.array([True, False, False, True, False, False, False])
    examples = replace(training.train, confirmed=confirmed)
    training = TrainingLoop(training.settings, training.model, examples, None, RunContext())
    training.target_policy = DropsAll()
    run(training, tmp_path)
    assert training.recipe.update_epochs
    assert training.targets.weights.tolist() == [1, 0, 0, 1, 0, 0, 0]
    assert training.targets.labels[confirmed].tolist() == [0, 0]
    assert training.kept_mask.tolist() == [1, 0, 0, 1, 0, 0, 0]


def with_posterior(training: TrainingLoop, posterior: torch.Tensor) -> TrainingLoop:
    """The same training, whose targets are set by a posterior of its tiles."""
    given = torch.tensor(LABELS)
    state = (torch.eye(3), posterior, posterior.clamp_min(1e-6).log())
    nobody = torch.zeros(7, dtype=torch.bool)
    estimate = LabelPosterior(given, nobody, torch.arange(7) % 5, *state)
    policy = PosteriorPolicy(PosteriorSettings(0.5, 0.1, 0.6, 1), estimate)
    parts = training.settings, training.model, training.train, None
    return TrainingLoop(*parts, RunContext(), policy)


def test_before_the_first_epoch_tiles_are_taught_their_most_probable_class(start: Start) -> None:
    posterior = torch.eye(3)[torch.tensor([0, 1, 2, 1, 1, 2, 0])] * 0.98 + 0.0066
    posterior[6] = torch.tensor([0.4, 0.3, 0.3])
    training = with_posterior(start(TINY, validate=False), posterior)
    assert training.targets.labels.tolist() == [0, 1, 2, 1, 1, 2, 0]
    assert training.targets.weights.tolist() == [1, 1, 1, 1, 1, 1, 0]
    assert training.relabelled_mask.tolist() == [0, 0, 0, 1, 0, 0, 0]


@pytest.mark.medium
def test_a_resumed_training_is_compared_with_its_own_beginning(
    start: Start, tmp_path: Path
) -> None:
    path, first, other = tmp_path / "c", BeforeTraining(0.5, 3.0), BeforeTraining(0.1, 9.0)
    training = start(ONE_EPOCH)
    training.before = first
    training.run(path, {}, resume=False)
    resumed = start(ONE_EPOCH)
    resumed.before = other
    resumed.run(path, {}, resume=True)
    assert resumed.before == first
    read = read_checkpoint(path, {})
    facts = {name: value for name, value in read.facts.items() if name != "before"}
    write_checkpoint(path, replace(read, facts=facts))  # as earlier versions wrote it
    resumed.before = other
    resumed.run(path, {}, resume=True)
    assert resumed.before == other


FACTS = [
    {"history": None},
    {"history": [{"epoch": 1}]},
    {"history": 3},
    {"before": [1]},
    {"before": {"spread": 1}},
]


@pytest.mark.parametrize("facts", FACTS, ids=str)
def test_wrong_facts_of_a_checkpoint_are_an_error_of_ours(
    start: Start, tmp_path: Path, facts: dict[str, object]
) -> None:
    path, training = tmp_path / "c", start(ONE_EPOCH)
    training.run(path, {}, resume=False)
    whole = read_checkpoint(path, {})
    write_checkpoint(path, replace(whole, facts={**whole.facts, **facts}))
    with pytest.raises(CheckpointError, match="damaged"):
        training.run(path, {}, resume=True)
    for left_out in ("history", "best_epoch"):
        fewer = {name: value for name, value in whole.facts.items() if name != left_out}
        write_checkpoint(path, replace(whole, facts=fewer))
        with pytest.raises(CheckpointError, match="damaged"):
            training.run(path, {}, resume=True)


@pytest.mark.parametrize("part", ["model", "targets", "margins"])
def test_missing_or_misshaped_tensors_of_a_checkpoint_are_an_error_of_ours(
    start: Start, tmp_path: Path, part: str
) -> None:
    path, training = tmp_path / "c", start(ONE_EPOCH)
    training.run(path, {}, resume=False)
    whole = read_checkpoint(path, {})
    name = next(name for name in whole.tensors if name.startswith(f"{part}."))
    fewer = {key: tensor for key, tensor in whole.tensors.items() if key != name}
    write_checkpoint(path, replace(whole, tensors=fewer))
    with pytest.raises(CheckpointError, match="damaged"):
        training.run(path, {}, resume=True)


def test_a_training_with_a_posterior_resumes_where_it_stopped(start: Start, tmp_path: Path) -> None:
    torch.manual_seed(0)
    posterior = torch.rand(7, 3).softmax(dim=1)
    recipe = replace(TINY.changed(epochs=3), posterior=PosteriorSettings(0.3, 0.1, 0.9, 1))
    whole = with_posterior(start(recipe, validate=False), posterior.clone())
    run(whole, tmp_path / "whole")
    part = with_posterior(start(recipe, validate=False), posterior.clone())
    stop_after(part, 2, tmp_path / "part")
    again = with_posterior(start(recipe, validate=False), torch.full((7, 3), 1 / 3))
    again.run(tmp_path / "part" / "checkpoint.safetensors", {}, resume=True)
    assert torch.equal(again.targets.labels, whole.targets.labels)
    for name, tensor in whole.model.state_dict().items():
        assert torch.equal(tensor, again.model.state_dict()[name]), name


@pytest.mark.parametrize("k", [0.05, 0.98])
def test_the_truncation_is_compared_only_where_it_sets_targets(start: Start, k: float) -> None:
    recipe = replace(TINY, k=k, posterior=PosteriorSettings(0.5, 0.1, 0.9, 1), first_update=0.5)
    by_posterior = with_posterior(start(recipe, validate=False), torch.full((7, 3), 1 / 3))
    by_posterior.run_epoch(0)
    assert by_posterior.passing_fraction is None
    by_agreement = start(recipe, validate=False)
    by_agreement.run_epoch(0)
    assert by_agreement.passing_fraction is not None


def stop_after(training: TrainingLoop, epochs: int, folder: Path) -> None:
    """Interrupt a training after some epochs."""

    class Stopped(Exception):
        pass

    def stop(event: Event) -> None:
        if isinstance(event, EpochFinished) and event.epoch == epochs:
            raise Stopped

    training.context = RunContext(listener=stop)
    with pytest.raises(Stopped):
        run(training, folder)


def states_by_epoch(
    training: TrainingLoop, selection: ModelSelection, events: list[Event]
) -> list[torch.Tensor]:
    """Note a network's projection after every epoch."""
    noted: list[torch.Tensor] = []

    def listen(event: Event) -> None:
        events.append(event)
        if isinstance(event, EpochFinished):
            noted.append(projection(training.select_model(selection)))

    training.context = RunContext(listener=listen)
    return noted


def projection(model: PrototypeModel) -> torch.Tensor:
    return model.network.projection.weight.detach().clone()


def test_the_listener_hears_of_every_epoch_and_batch(
    start: Start, events: list[Event], tmp_path: Path
) -> None:
    training = run(start(TINY), tmp_path)
    stages = [event for event in events if isinstance(event, StageStarted)]
    assert stages == [StageStarted("epoch 1/2", 7), StageStarted("epoch 2/2", 7)]
    assert [e.tiles for e in events if isinstance(e, Advanced)] == [4, 3, 4, 3]
    assert finished(events) == training.history
    assert [epoch.epoch for epoch in training.history] == [1, 2]


def test_an_epoch_tells_what_it_came_to(start: Start, events: list[Event], tmp_path: Path) -> None:
    run(start(TINY), tmp_path)
    last = finished(events)[-1]
    assert (last.epoch, last.epochs) == (2, 2)
    assert math.isfinite(last.loss)
    assert last.temperature == pytest.approx(TINY.temperature_for(len(CLASSES)))
    assert last.validation_accuracy in [right / 3 for right in range(4)]
    assert last.seconds > 0
    assert last.tiles_per_second > 0


@pytest.mark.parametrize(
    ("size", "batches"), [(2, [3, 2, 2]), (3, [3, 2, 2]), (4, [4, 3]), (7, [7])]
)
def test_batches_are_of_nearly_one_size(
    start: Start, events: list[Event], tmp_path: Path, size: int, batches: list[int]
) -> None:
    run(start(ONE_EPOCH.changed(batch_size=size), validate=False), tmp_path)
    assert [e.tiles for e in events if isinstance(e, Advanced)] == batches


def test_every_tile_is_seen_once_an_epoch_in_an_order_of_its_own(
    start: Start, tmp_path: Path
) -> None:
    seen: list[list[int]] = []
    training = start(TINY)
    rows = {tile.tobytes(): row for row, tile in enumerate(training.train.pixels)}
    after_steps(
        training, lambda batch, _: seen.append([rows[tile.tobytes()] for tile in batch.pixels])
    )
    run(training, tmp_path)
    assert sorted(seen[0] + seen[1]) == sorted(seen[2] + seen[3]) == list(range(7))
    assert seen[0] != seen[2]


def test_the_learning_rate_follows_the_schedule(
    start: Start, events: list[Event], tmp_path: Path
) -> None:
    recipe = TINY.changed(schedule=Schedule.HALVING, halve_every=0.5, learning_rate=0.01)
    run(start(recipe), tmp_path)
    assert [epoch.learning_rate for epoch in finished(events)] == [0.01, 0.005]


def test_the_loss_told_is_the_mean_over_tiles_not_batches(
    start: Start, events: list[Event], tmp_path: Path
) -> None:
    training = start(ONE_EPOCH)
    losses = iter([1.0, 8.0])  # of batches of four and of three tiles
    after_steps(training, lambda _, result: replace(result, loss=torch.tensor(next(losses))))
    run(training, tmp_path)
    assert finished(events)[0].loss == pytest.approx((4 * 1 + 3 * 8) / 7)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_no_number_ends_the_training(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: float
) -> None:
    monkeypatch.setattr(MetricLoss, "forward", lambda _, log_p, __: log_p.sum() * value)
    with pytest.raises(TrainingDiverged, match=r"^the loss is (nan|-?inf) in epoch 1$") as caught:
        run(start(TINY), tmp_path)
    assert caught.value.hint == (
        "give a smaller --learning-rate, or look for tiles with extreme values"
    )
    assert not list(tmp_path.iterdir())


# The weights m_i


@pytest.mark.parametrize("loss", [LossName.NSL, LossName.RNSL])
def test_losses_without_truncation_keep_every_tile(
    start: Start, tmp_path: Path, loss: LossName
) -> None:
    training = run(start(ONE_EPOCH.changed(loss=loss)), tmp_path)
    assert training.targets.weights.tolist() == [1] * 7


@pytest.mark.parametrize(
    "selection", [ModelSelection.LAST, ModelSelection.AVERAGE, ModelSelection.BEST]
)
def test_weights_are_set_by_the_selected_models_log_p_on_plain_tiles(
    start: Start, pixels: NDArray[np.uint8], selection: ModelSelection
) -> None:
    recipe = replace(TINY, agreement=None, weights_by=selection, first_update=0.5, update_every=1.0)
    once = start(recipe)
    once.run_epoch(0)
    network = once.select_model(selection).eval()
    with torch.no_grad():
        p = network(torch.from_numpy((pixels.astype(np.float32) - 100) / 50)).exp()
    own = [float(p[i, label]) for i, label in enumerate(LABELS)]
    # A truncation that parts the tiles of class 0; until the update it changes nothing.
    _, middle, most = sorted([own[0], own[3], own[6]])
    k = (middle + most) / 2
    again = start(recipe.changed(k=k))
    again.run_epoch(0)
    learned = {label for label, probability in zip(LABELS, own) if probability > k}
    expected = [float(own[i] > k or LABELS[i] not in learned) for i in range(7)]
    assert again.targets.weights.tolist() == pytest.approx(expected)
    assert 0 < sum(expected) < 7


def test_left_out_tiles_move_nothing(start: Start, tmp_path: Path) -> None:
    still = start(ONE_EPOCH.changed(weight_decay=0.0))
    still.targets = Targets(torch.tensor(LABELS), torch.zeros(7))
    before = {name: value.clone() for name, value in still.model.state_dict().items()}
    run(still, tmp_path)
    after = still.model.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())


# Model selection


@pytest.mark.medium
@pytest.mark.parametrize(
    ("accuracies", "best_epoch"),
    [
        ((0.2, 1.0, 0.5), 2),  # nothing is uncertain about all tiles being right
        ((0.2, 0.4, 0.4), 3),  # of equals the later
        # Of three tiles, a standard error of 0.6 is √(0.6 · 0.4 / 3) = 0.28.
        ((0.1, 0.6, 0.33), 3),
        ((0.1, 0.6, 0.31), 2),
        ((0.6, 0.4, 0.31), 2),  # never down step by step: the best so far is the measure
        ((0.0, 0.0, 0.0), 3),
    ],
)
def test_the_best_network_is_the_latest_within_a_standard_error_of_the_best_accuracy(
    start: Start,
    events: list[Event],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    accuracies: tuple[float, ...],
    best_epoch: int,
) -> None:
    found = iter(accuracies)
    monkeypatch.setattr("rsretrieve.training.loop.accuracy", lambda *_: next(found))
    recipe = TINY.changed(
        epochs=3, keep=ModelSelection.BEST, weights_by=ModelSelection.LAST, loss=LossName.NSL
    )
    training = start(recipe)
    noted = states_by_epoch(training, ModelSelection.LAST, events)
    run(training, tmp_path)
    assert torch.equal(
        projection(training.select_model(ModelSelection.BEST)), noted[best_epoch - 1]
    )
    assert not torch.equal(noted[0], noted[1])
    assert not torch.equal(noted[1], noted[2])


def test_without_validation_the_last_network_is_the_best(
    start: Start, events: list[Event], tmp_path: Path
) -> None:
    training = run(start(ONE_EPOCH, validate=False), tmp_path)
    assert (
        training.select_model(ModelSelection.BEST)
        is training.select_model(ModelSelection.LAST)
        is training.model
    )
    assert [epoch.validation_accuracy for epoch in finished(events)] == [None]


def test_the_average_is_updated_after_every_step(start: Start, tmp_path: Path) -> None:
    training = start(TINY.changed(average_decay=0.15, learning_rate=0.1))
    after: list[torch.Tensor] = []
    after_steps(training, lambda *_: after.append(projection(training.model)))
    run(training, tmp_path)
    expected = after[0]
    for weight in after[1:]:
        expected = 0.15 * expected + 0.85 * weight
    torch.testing.assert_close(projection(training.select_model(ModelSelection.AVERAGE)), expected)
    assert not torch.allclose(expected, after[-1])


def test_left_out_tiles_do_not_vote_in_validation(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    galleries: list[list[int]] = []

    def noting(_: object, __: object, ___: object, gallery: Examples) -> float:
        galleries.append(gallery.labels.tolist())
        return 0.5

    monkeypatch.setattr("rsretrieve.training.loop.accuracy", noting)
    training = start(ONE_EPOCH.changed(validation=Validation.NEIGHBOURS))
    taught = torch.tensor([2, 1, 2, 0, 1, 2, 0])  # the first is taught another label
    training.targets = Targets(taught, torch.tensor([1.0, 0, 0, 1, 1, 1, 0]))
    run(training, tmp_path)
    assert galleries == [[2, 0, 1, 2]]


def test_a_tile_is_taught_its_target_and_counted_as_relabelled(
    start: Start, tmp_path: Path, events: list[Event]
) -> None:
    """Taught other labels, a training goes as one that was given those."""
    others = torch.tensor([1, 1, 2, 0, 1, 2, 0])
    relabelled, given = start(ONE_EPOCH), start(ONE_EPOCH)
    relabelled.targets = Targets.as_given(others)
    given.targets = given_targets = Targets.as_given(others)
    given._labels = given_targets.labels
    states = [run(training, tmp_path).model.state_dict() for training in (relabelled, given)]
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())
    shares = [(e.kept_fraction, e.relabelled_fraction) for e in finished(events)]
    assert shares == [pytest.approx((6 / 7, 1 / 7)), (1, 0)]


@pytest.mark.parametrize(
    ("recipe", "kind"),
    [(TINY, NeighborAgreementPolicy), (replace(TINY, agreement=None), TruncationPolicy)],
)
def test_the_recipe_chooses_the_policy_that_sets_the_targets(
    start: Start, recipe: Recipe, kind: type[TargetPolicy]
) -> None:
    assert type(start(recipe).target_policy) is kind


def test_the_policy_sets_the_targets_by_the_predictions_for_all_tiles(start: Start) -> None:
    seen: list[tuple[tuple[int, int], list[int], float]] = []
    wanted = Targets(torch.tensor([2] * 7), torch.ones(7))

    class Policy:
        k = None

        def update(
            self, predictions: Predictions, given: torch.Tensor, _: Targets, progress: float
        ) -> Targets:
            seen.append((tuple(predictions.log_p.shape), given.tolist(), progress))
            return wanted

    training = start(TINY.changed(first_update=0.5))
    training.target_policy = Policy()
    training.run_epoch(0)
    assert seen == [((7, 3), [*LABELS], 0.5)]
    assert training.targets is wanted


def test_without_an_average_the_last_network_stands_in(start: Start) -> None:
    training = start(TINY.changed(weights_by=ModelSelection.LAST, keep=ModelSelection.LAST))
    assert training.select_model(ModelSelection.AVERAGE) is training.model


# The optimizers


def test_adamw_is_made_with_the_recipes_rates(start: Start) -> None:
    training = start(TINY.changed(optimizer=OptimizerName.ADAMW, weight_decay=0.3))
    optimizer = training.step.optimizer
    assert isinstance(optimizer, torch.optim.AdamW)
    assert optimizer.param_groups[0]["weight_decay"] == 0.3


@pytest.mark.parametrize(("momentum", "nesterov"), [(0.9, True), (0.0, False)])
def test_sgd_is_nesterovs_where_there_is_momentum(
    start: Start, momentum: float, nesterov: bool
) -> None:
    optimizer = start(TINY.changed(momentum=momentum)).step.optimizer
    assert isinstance(optimizer, torch.optim.SGD)
    assert optimizer.param_groups[0]["momentum"] == momentum
    assert optimizer.param_groups[0]["nesterov"] is nesterov


@pytest.mark.filterwarnings("ignore:Converting a tensor with requires_grad=True to a scalar")
def test_a_learned_temperature_is_trained(start: Start, tmp_path: Path) -> None:
    recipe = TINY.changed(learn_temperature=True, loss=LossName.NSL, learning_rate=0.05)
    training = run(start(recipe), tmp_path)
    assert training.history[-1].temperature != pytest.approx(0.05, rel=1e-4)


def greedy(training: TrainingLoop, most: int) -> None:
    """Let memory run out over more tiles than these, while the network learns."""
    network = training.model.network
    as_before = network.forward

    def forward(tiles: torch.Tensor) -> torch.Tensor:
        if network.training and len(tiles) > most:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return as_before(tiles)

    network.forward = forward


@pytest.mark.medium
def test_a_split_batch_teaches_the_same(start: Start, events: list[Event], tmp_path: Path) -> None:
    whole, split = (
        start(TINY.changed(learning_rate=0.001)),
        start(TINY.changed(learning_rate=0.001)),
    )
    split.step.micro_batcher.min_size = 2
    greedy(split, most=3)
    for training, name in ((whole, "whole"), (split, "split")):
        training.run(tmp_path / name, {}, resume=False)
    torch.testing.assert_close(projection(split.model), projection(whole.model))
    assert split.history[-1].loss == pytest.approx(whole.history[-1].loss, rel=1e-4)
    np.testing.assert_allclose(
        split.area_under_margin.areas, whole.area_under_margin.areas, rtol=1e-3, atol=1e-4
    )
    told = [event.text for event in events if isinstance(event, Noticed)]
    assert told == [
        "memory ran out: batches of 4 tiles are split into micro-batches of at most 2; batch norm "
        "uses one micro-batch at a time"
    ]
    resumed = start(TINY.changed(learning_rate=0.001))
    resumed.run(tmp_path / "split", {}, resume=True)
    assert resumed.step.micro_batcher.max_size == 2


@pytest.mark.medium
@pytest.mark.parametrize("micro_batches", [False, True])
def test_a_batch_is_split_only_where_that_was_asked_for(
    start: Start, tmp_path: Path, micro_batches: bool
) -> None:
    training = start(ONE_EPOCH)
    settings = replace(training.settings, micro_batches=micro_batches)
    training = TrainingLoop(
        settings, training.model, training.train, None, RunContext(listener=lambda _: None)
    )
    greedy(training, most=3)
    if micro_batches:
        run(training, tmp_path)
        return
    with pytest.raises(torch.OutOfMemoryError):
        run(training, tmp_path)
