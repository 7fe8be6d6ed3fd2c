"""Whole trainings on made-up landscapes: what they write, and how they stop and go on."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from pyarrow import parquet
from safetensors.torch import load_file

from rsretrieve._core.folders.known_folders import MODEL_FOLDER
from rsretrieve.data.labels.confirmed import ConfirmedLabel, Rule
from rsretrieve.data.loading.batches import read_into_store
from rsretrieve.data.preprocessing.band_statistics import IMAGENET
from rsretrieve.data.run_context import RunContext
from rsretrieve.data.tile import TileSet
from rsretrieve.enums import LossName, ModelSelection, OptimizerName, RecipeName
from rsretrieve.errors import (
    CheckpointError,
    InvalidArgument,
    LabelsError,
    NoUsableTiles,
    OutputExists,
    TrainingDiverged,
    WeightsError,
)
from rsretrieve.network import model_folder
from rsretrieve.network.backbones import rgb_statistics
from rsretrieve.network.metadata import GRAPH_FILE
from rsretrieve.network.model_folder import load_model
from rsretrieve.network.network import build_network
from rsretrieve.network.runtime.graph_export import Export
from rsretrieve.network.shipped.shipped_models import shipped_path
from rsretrieve.progress import (
    Advanced,
    EpochFinished,
    Event,
    Listener,
    Noticed,
    StageStarted,
    ignore_events,
)
from rsretrieve.training.recipe import Recipe, recipe_for
from rsretrieve.training.run.unfinished_training import CHECKPOINT_FILE, remove_unfinished, writing
from rsretrieve.training.save_model import TrainingSummary
from rsretrieve.training.train import TrainingRequest, train_model

CPU = torch.device("cpu")
SHIPPED = shipped_path("default")
FILES = {"model.safetensors", "model.json", "network.onnx", "history.csv", "tiles.parquet"}


def tiny(name: RecipeName = RecipeName.ROBUST, **choices: object) -> Recipe:
    smallest = {"backbone": "squeezenet1_1", "size_px": 32, "dimensions": 8, "epochs": 1}
    return recipe_for(name, "imagenet").changed(**{**smallest, "batch_size": 16, **choices})


@pytest.fixture
def few(tiles: TileSet) -> TileSet:
    """Six tiles of either of two classes; one of each validates by default."""
    roads, waters = ([i for i, t in enumerate(tiles) if t.label == n] for n in ("road", "water"))
    return tiles.select([*roads[:6], *waters[:6]])


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "models" / "model"


@pytest.fixture
def request_of(few: TileSet, output: Path) -> Callable[..., TrainingRequest]:
    def request_of(**choices: object) -> TrainingRequest:
        request = TrainingRequest(few, output, tiny(), CPU, weights="none")
        return replace(request, **choices)

    return request_of


Requests = Callable[..., TrainingRequest]


def train(
    request: TrainingRequest, listener: Listener = ignore_events, **arguments: object
) -> TrainingSummary:
    return train_model(request, RunContext(listener=listener), **arguments)


def unfinished(output: Path) -> Path:
    return output.with_name(".model.unfinished")


class Stopped(Exception):
    """The machine was switched off."""


def stopping_when(condition: Callable[[Event], bool]) -> Callable[[Event], None]:
    def listen(event: Event) -> None:
        if condition(event):
            raise Stopped

    return listen


def after_epoch(epoch: int) -> Callable[[Event], None]:
    return stopping_when(lambda event: isinstance(event, EpochFinished) and event.epoch == epoch)


def within_epoch(epoch: int) -> Callable[[Event], None]:
    """Stops at the second batch of an epoch."""
    current, batches = 0, 0

    def condition(event: Event) -> bool:
        nonlocal current, batches
        if isinstance(event, StageStarted):
            current, batches = current + event.name.startswith("epoch"), 0
        if isinstance(event, Advanced):
            batches += 1
        return current == epoch and batches == 2

    return stopping_when(condition)


# What a training writes


@pytest.mark.medium
def test_labels_that_a_person_decided_on_are_trained_as_they_are_and_recorded(
    few: TileSet, request_of: Callable[..., TrainingRequest], output: Path
) -> None:
    decision = ConfirmedLabel(Rule.CHOOSE, "forest")
    names = {tile.id for i, tile in enumerate(few) if i % 6 < 4}
    known = few.with_confirmed(dict.fromkeys(names, decision))
    train_model(request_of(tiles=known), RunContext())
    table = parquet.read_table(output / "tiles.parquet").to_pylist()
    confirmed = [row for row in table if row["confirmed"]]
    assert {row["tile"] for row in confirmed} == names  # none was held back for validation
    assert {row["weight"] for row in confirmed} == {1.0}
    assert all(row["taught_label"] == row["label"] for row in confirmed)
    assert {row["original_label"] for row in table} == {"forest", None}


@pytest.mark.medium
@pytest.mark.parametrize("loss", LossName)
@pytest.mark.parametrize("name", RecipeName)
def test_every_recipe_learns_from_noisy_labels_with_every_loss(
    noisy_tiles: TileSet, request_of: Requests, output: Path, name: RecipeName, loss: LossName
) -> None:
    every_second, validation = noisy_tiles.select(range(0, 64, 2)), noisy_tiles.select([1, 31, 63])
    recipe = tiny(name, loss=loss, epochs=2)
    summary = train(request_of(tiles=every_second, validation=validation, recipe=recipe))
    assert {path.name for path in output.iterdir()} == FILES
    assert (summary.model, summary.classes, summary.epochs) == (str(output), 9, 2)
    assert summary.tiles == 32
    assert summary.device == "cpu"
    assert summary.seconds > 0
    assert summary.tiles_per_second > 0
    table = parquet.read_table(output / "tiles.parquet").to_pydict()
    given = {tile.id: tile.label for tile in noisy_tiles}
    assert table["label"] == [given[tile] for tile in table["tile"]]
    assert set(table["weight"]) <= {0.0, 1.0}
    assert np.mean(table["weight"]) == pytest.approx(summary.kept_fraction)
    kept = [taught == label for taught, label in zip(table["taught_label"], table["label"])]
    assert kept == [weight == 1 for weight in table["weight"]]
    other = [t not in (None, label) for t, label in zip(table["taught_label"], table["label"])]
    assert np.mean(other) == pytest.approx(summary.relabelled_fraction)
    if loss is not LossName.T_RNSL:
        assert summary.kept_fraction == 1


@pytest.fixture
def without_graph(monkeypatch: pytest.MonkeyPatch) -> str:
    """Why no graph can be written during the test."""
    cause = "ValueError: operator Loop is not allowed"
    monkeypatch.setattr(model_folder, "export_graph", lambda *_: Export(None, cause))
    return cause


def test_a_backbone_without_a_graph_is_told_with_its_cause(
    request_of: Requests, output: Path, without_graph: str
) -> None:
    events: list[Event] = []
    train(request_of(), listener=events.append)
    notices = [event.text for event in events if isinstance(event, Noticed)]
    assert [without_graph in notice for notice in notices].count(True) == 1
    assert {path.name for path in output.iterdir()} == FILES - {"network.onnx"}
    description = json.loads((output / "model.json").read_text(encoding="utf-8"))
    assert description["training"]["no_graph"] == without_graph
    assert GRAPH_FILE not in load_model(output, CPU).description.files


@pytest.mark.medium
def test_a_backbone_with_a_graph_has_no_notice(request_of: Requests, output: Path) -> None:
    events: list[Event] = []
    train(request_of(), listener=events.append)
    assert not [e for e in events if isinstance(e, Noticed) and "graph" in e.text]
    description = json.loads((output / "model.json").read_text(encoding="utf-8"))
    assert description["training"]["no_graph"] is None


@pytest.mark.medium
def test_a_training_finds_what_is_alike(request_of: Requests) -> None:
    recipe = tiny(RecipeName.PAPER, epochs=6, batch_size=5, learning_rate=0.02, loss=LossName.NSL)
    losses: list[float] = []

    def listen(event: Event) -> None:
        if isinstance(event, EpochFinished):
            losses.append(event.loss)

    train(request_of(recipe=recipe), listener=listen)
    assert losses[-1] < losses[0] / 2


@pytest.mark.medium
def test_the_model_says_what_it_was_trained_on(
    few: TileSet, request_of: Requests, output: Path
) -> None:
    summary = train(request_of(seed=3))
    description = load_model(output, CPU).description
    assert description.class_names == few.class_names
    recipe = tiny().for_classes(len(few.class_names))
    assert description.recipe == json.loads(json.dumps(recipe.to_json()))
    facts = description.training
    assert (facts["tiles"], facts["epochs"], facts["kept_epoch"]) == (summary.tiles, 1, 1)
    assert (facts["seed"], facts["weights"], facts["device"]) == (3, "none", "cpu")
    assert facts["validation_labels"] == "as given"
    assert {"rsretrieve", "python", "torch", "torchvision", "numpy"} == set(description.versions)


@pytest.mark.medium
@pytest.mark.parametrize(
    ("keep", "kept_epoch", "why"),
    [(ModelSelection.BEST, 2, "validation"), (ModelSelection.AVERAGE, 3, "averaged")],
)
def test_the_kept_epoch_is_the_best_or_the_last(
    request_of: Requests,
    output: Path,
    monkeypatch: pytest.MonkeyPatch,
    keep: ModelSelection,
    kept_epoch: int,
    why: str,
) -> None:
    accuracies = iter([0.2, 1.0, 0.5])
    monkeypatch.setattr("rsretrieve.training.loop.accuracy", lambda *_: next(accuracies))
    train(request_of(recipe=tiny(keep=keep, epochs=3)))
    facts = load_model(output, CPU).description.training
    assert (facts["kept_epoch"], facts["validation_tiles"]) == (kept_epoch, 2)
    assert why in facts["kept_because"]


@pytest.mark.medium
def test_the_seed_decides_everything(request_of: Requests, output: Path) -> None:
    states = []
    for seed in (1, 1, 2):
        train(request_of(seed=seed, overwrite=True))
        states.append((output / "model.safetensors").read_bytes())
    assert states[0] == states[1]
    assert states[0] != states[2]


@pytest.fixture
def few_of_six_bands(six_band_tiles: TileSet) -> TileSet:
    """Six tiles, uint16, of two classes."""
    return six_band_tiles.select([0, 1, 2, 61, 62, 63])


@pytest.mark.medium
def test_tiles_of_six_bands_are_learned_from_as_they_are(
    few_of_six_bands: TileSet, request_of: Requests, output: Path
) -> None:
    train(request_of(tiles=few_of_six_bands))
    preprocessing = load_model(output, CPU).description.preprocessing
    assert (preprocessing.bands, preprocessing.dtype) == ((1, 2, 3, 4, 5, 6), "uint16")
    first = load_file(output / "model.safetensors")["network.backbone.features.0.weight"]
    assert first.shape == (64, 6, 3, 3)


@pytest.mark.medium
def test_bands_are_chosen_and_ordered(
    few_of_six_bands: TileSet, request_of: Requests, output: Path
) -> None:
    train(request_of(tiles=few_of_six_bands, bands=(3, 2, 1)))
    preprocessing = load_model(output, CPU).description.preprocessing
    assert (preprocessing.bands, preprocessing.source_bands) == ((3, 2, 1), 6)


@pytest.mark.medium
def test_eight_bit_pictures_are_normalised_as_imagenets(request_of: Requests, output: Path) -> None:
    train(request_of())
    assert load_model(output, CPU).description.preprocessing.statistics == IMAGENET


@pytest.mark.medium
def test_names_with_spaces_and_accents_are_kept(
    few: TileSet, request_of: Requests, output: Path
) -> None:
    labels = {tile.id: "forêt" if tile.label == "road" else "dorf am see" for tile in few}
    train(request_of(tiles=few.relabelled(labels)))
    assert load_model(output, CPU).description.class_names == ("dorf am see", "forêt")


@pytest.fixture
def _warned_each_time() -> Iterator[None]:
    """Torch gives some warnings once a process only; here, always."""
    torch.set_warn_always(True)
    yield
    torch.set_warn_always(False)


@pytest.mark.medium
@pytest.mark.usefixtures("_warned_each_time")
def test_a_temperature_can_be_learned(request_of: Requests, output: Path) -> None:
    train(request_of(recipe=tiny(learn_temperature=True)))
    assert load_model(output, CPU).temperature > 0


@pytest.mark.medium
def test_a_model_is_gone_on_from(request_of: Requests, output: Path) -> None:
    train(request_of())
    notices: list[str] = []

    def listen(event: Event) -> None:
        if isinstance(event, Noticed):
            notices.append(event.text)

    second = request_of(output=output.with_name("second"), weights=str(output))
    train(second, listener=listen)
    report = f"weights {output}: 50 of 50 tensors matched"
    assert report in notices
    assert load_model(second.output, CPU).description.training["weights"] == report


@pytest.mark.medium
def test_what_people_look_at_is_added_before_the_folder_is_switched_in(
    request_of: Requests, output: Path
) -> None:
    def add_reports(folder: Path) -> None:
        assert not output.exists()
        assert {path.name for path in folder.iterdir()} == FILES
        (folder / "README.md").write_text("a card", encoding="utf-8")

    train(request_of(), add_reports=add_reports)
    assert (output / "README.md").read_text(encoding="utf-8") == "a card"


# What is refused


@pytest.mark.parametrize("resume", [False, True])
def test_a_model_that_is_there_is_not_overwritten(
    request_of: Requests, output: Path, resume: bool
) -> None:
    output.mkdir(parents=True)
    with pytest.raises(OutputExists, match=f"^{re.escape(str(output))} already exists$"):
        train(request_of(resume=resume))
    assert not list(output.iterdir())


@pytest.mark.medium
def test_a_model_that_is_there_is_overwritten_when_asked_for(
    request_of: Requests, output: Path
) -> None:
    write_old_model(output)
    (output / "mine").touch()
    train(request_of(overwrite=True))
    assert {path.name for path in output.iterdir()} == FILES | {"mine"}
    assert (output / "model.json").stat().st_size > 1000
    assert MODEL_FOLDER.own_files(output) == FILES


@pytest.mark.parametrize("name", ["model.json", "history.csv"])
def test_a_folder_of_another_program_is_never_overwritten(
    request_of: Requests, output: Path, name: str
) -> None:
    """Others have files of these names, too."""
    write_old_model(output)
    (output / "model.safetensors").unlink()
    (output / name).write_text("{}")
    with pytest.raises(OutputExists, match=r"is a folder that rsretrieve did not write"):
        train(request_of(overwrite=True))
    assert (output / name).read_text() == "{}"


def test_a_users_file_with_the_name_of_a_file_of_a_model_is_kept(
    request_of: Requests, output: Path
) -> None:
    write_old_model(output)
    (output / "README.md").touch()
    with pytest.raises(OutputExists, match=r"holds README\.md, which rsretrieve did not write"):
        train(request_of(overwrite=True))


def write_old_model(folder: Path) -> None:
    """What tells that a folder holds a model; the model cannot be used."""
    folder.mkdir(parents=True)
    keys = ("architecture", "preprocessing", "recipe", "training", "versions")
    files = {"history.csv": "0" * 64}
    content: dict[str, object] = {**dict.fromkeys(keys), "files": files}
    (folder / "model.json").write_text(json.dumps(content))
    for name in ("model.safetensors", "history.csv"):
        (folder / name).touch()


def test_what_the_user_put_beside_a_checkpoint_is_kept(request_of: Requests, output: Path) -> None:
    unfinished(output).mkdir(parents=True)
    for name in ("mine", f".{CHECKPOINT_FILE}.x3.safetensors"):
        (unfinished(output) / name).touch()
    with writing(output, overwrite=True):
        assert [path.name for path in unfinished(output).iterdir()] == ["mine"]
    (unfinished(output) / CHECKPOINT_FILE).touch()
    remove_unfinished(output)
    assert [path.name for path in unfinished(output).iterdir()] == ["mine"]


@pytest.mark.medium
def test_a_model_behind_a_link_is_overwritten_where_it_lies(
    request_of: Requests, output: Path, tmp_path: Path
) -> None:
    target = tmp_path / "on a larger disk"
    write_old_model(target)
    output.parent.mkdir()
    output.symlink_to(target)
    train(request_of(overwrite=True))
    assert output.readlink() == target
    assert {path.name for path in target.iterdir()} == FILES
    assert list(output.parent.iterdir()) == [output]
    assert {path.name for path in tmp_path.iterdir()} == {output.parent.name, target.name}


def test_a_folder_that_is_no_model_is_never_overwritten(request_of: Requests, output: Path) -> None:
    output.mkdir(parents=True)
    (output / "mine").touch()
    with pytest.raises(OutputExists, match=r"is a folder that rsretrieve did not write"):
        train(request_of(overwrite=True))
    assert (output / "mine").exists()


def test_a_misspelt_backbone_is_refused_before_any_tile_is_read(request_of: Requests) -> None:
    with pytest.raises(InvalidArgument, match=r"^no such backbone: 'ResNet50'$"):
        train(request_of(recipe=tiny(backbone="ResNet50")), listener=stopping_when(lambda _: True))


@pytest.mark.parametrize(
    ("choices", "error"),
    [
        ({"recipe": tiny(backbone="ResNet50")}, InvalidArgument),
        ({"weights": "no"}, WeightsError),
        ({"recipe": tiny(size_px=16)}, InvalidArgument),
        ({"recipe": tiny(backbone="resnet18"), "weights": str(SHIPPED)}, WeightsError),
    ],
)
def test_a_misspelt_choice_costs_no_unfinished_training_and_no_reading_of_tiles(
    request_of: Requests, output: Path, choices: dict[str, object], error: type[Exception]
) -> None:
    with pytest.raises(Stopped):
        train(request_of(), listener=after_epoch(1))
    with pytest.raises(error):
        train(request_of(overwrite=True, **choices), listener=stopping_when(lambda _: True))
    assert unfinished(output).is_dir()


def test_one_class_is_refused(tiles: TileSet, request_of: Requests, output: Path) -> None:
    water = tiles.select([i for i, tile in enumerate(tiles) if tile.label == "water"])
    with pytest.raises(LabelsError, match=r"and there is only 'water'$"):
        train(request_of(tiles=water))
    assert not output.exists()


def test_a_training_that_diverges_leaves_no_model(request_of: Requests, output: Path) -> None:
    with pytest.raises(TrainingDiverged, match=r"^the loss is (nan|-?inf) in epoch \d$"):
        train(request_of(recipe=tiny(learning_rate=1e30, batch_size=4, loss=LossName.NSL)))
    assert not output.exists()


@pytest.mark.medium
@pytest.mark.parametrize("rate", [1e30, 1e12])
@pytest.mark.parametrize("name", [RecipeName.ROBUST, RecipeName.PAPER])
def test_a_training_whose_last_step_diverges_leaves_no_model(
    request_of: Requests, output: Path, rate: float, name: RecipeName
) -> None:
    """The loss is finite: it was computed before the step."""
    with pytest.raises(TrainingDiverged):
        train(request_of(recipe=tiny(name, learning_rate=rate, batch_size=64, warm_up=0.0)))
    assert not output.exists()


@pytest.mark.medium
def test_a_model_records_the_tiles_that_it_was_trained_on(
    request_of: Requests, output: Path, few: TileSet
) -> None:
    train(request_of())
    profile = load_model(output, CPU).description.trained_on
    assert profile is not None
    pixels = [np.asarray(Image.open(tile.path).resize((32, 32), 2), float) for tile in few]
    means = np.array([image[::4, ::4].mean(axis=(0, 1)) for image in pixels])
    assert (np.array(profile.low) >= means.min(axis=0) - 0.5).all()
    assert (np.array(profile.high) <= means.max(axis=0) + 0.5).all()
    assert profile.scale.side_px == (16, 16)
    assert profile.spread is not None


@pytest.mark.medium
def test_the_smallest_batch_is_of_two_tiles(few: TileSet, request_of: Requests) -> None:
    with pytest.raises(InvalidArgument, match="at least 2 tiles"):
        tiny(batch_size=1)
    recipe = tiny(backbone="shufflenet_v2_x0_5", batch_size=2, epochs=1)
    train(request_of(tiles=few.select(range(7)), validation=few, recipe=recipe))


# Stopping and going on


SMALL_BATCHES = {"epochs": 2, "batch_size": 5, "k": 0.4}
WITH_BATCH_NORM = {"backbone": "shufflenet_v2_x0_5", **SMALL_BATCHES}
RECIPES_TO_RESUME = {
    "robust, with its average": tiny(**WITH_BATCH_NORM),
    "paper": tiny(RecipeName.PAPER, **SMALL_BATCHES),
    "adamw": tiny(optimizer=OptimizerName.ADAMW, **SMALL_BATCHES),
}
STOPS = [
    ("robust, with its average", within_epoch, 2),
    ("paper", within_epoch, 2),
    ("adamw", after_epoch, 1),
    ("adamw", within_epoch, 2),
    ("adamw", after_epoch, 2),
]


@pytest.mark.medium
@pytest.mark.parametrize(("name", "stop", "epoch"), STOPS)
def test_a_resumed_training_equals_the_unbroken_one_to_the_bit(
    request_of: Requests,
    output: Path,
    name: str,
    stop: Callable[[int], Callable[[Event], None]],
    epoch: int,
) -> None:
    unbroken = request_of(output=output.with_name("unbroken"), recipe=RECIPES_TO_RESUME[name])
    train(unbroken)
    request = replace(unbroken, output=output)
    with pytest.raises(Stopped):
        train(request, listener=stop(epoch))
    train(replace(request, resume=True))
    assert_same_model(output, unbroken.output)


def assert_same_model(one: Path, other: Path) -> None:
    models = [load_file(folder / "model.safetensors") for folder in (one, other)]
    assert models[0].keys() == models[1].keys()
    assert all(torch.equal(models[0][name], models[1][name]) for name in models[0])
    tables = [parquet.read_table(folder / "tiles.parquet") for folder in (one, other)]
    assert tables[0].equals(tables[1])
    timeless = []
    for folder in (one, other):
        with (folder / "history.csv").open(encoding="utf-8") as stream:
            rows = list(csv.DictReader(stream))
        timeless.append([{k: v for k, v in row.items() if "second" not in k} for row in rows])
    assert timeless[0] == timeless[1]
    facts = [load_model(folder, CPU).description.training for folder in (one, other)]
    assert facts[0]["kept_epoch"] == facts[1]["kept_epoch"]


def test_a_training_that_stops_before_its_first_epoch_ends_cannot_be_resumed(
    request_of: Requests, output: Path
) -> None:
    with pytest.raises(Stopped):
        train(request_of(recipe=tiny(batch_size=5)), listener=within_epoch(1))
    events: list[Event] = []
    with pytest.raises(CheckpointError, match=r"^no unfinished training to resume"):
        train(request_of(resume=True), listener=events.append)
    assert events == []  # no tile was read


def test_an_unfinished_training_is_neither_taken_for_finished_nor_lost(
    request_of: Requests, output: Path
) -> None:
    with pytest.raises(Stopped):
        train(request_of(), listener=after_epoch(1))
    assert not output.exists()
    message = re.escape(f"{output} has an unfinished training ({unfinished(output)})")
    with pytest.raises(OutputExists, match=f"^{message}$") as caught:
        train(request_of())
    assert caught.value.hint == "give --resume to continue it, or --overwrite to start again"
    assert unfinished(output).is_dir()


def of_one_class(tiles: TileSet) -> TileSet:
    return tiles.select([i for i, tile in enumerate(tiles) if tile.label == "water"])


def gone(tiles: TileSet) -> TileSet:
    return replace(tiles, tiles=tuple(replace(tile, path="nowhere") for tile in tiles))


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda request: replace(request, bands=(7,)), InvalidArgument),
        (lambda request: replace(request, tiles=of_one_class(request.tiles)), LabelsError),
        (lambda request: replace(request, tiles=gone(request.tiles)), NoUsableTiles),
        (lambda request: request, Stopped),
    ],
    ids=["no such band", "one class", "no readable tile", "stopped in its first epoch"],
)
@pytest.mark.medium
def test_overwriting_that_comes_to_nothing_costs_no_unfinished_training(
    request_of: Requests,
    output: Path,
    change: Callable[[TrainingRequest], TrainingRequest],
    error: type[Exception],
) -> None:
    request = request_of(recipe=tiny(batch_size=5, epochs=2))
    with pytest.raises(Stopped):
        train(request, listener=after_epoch(1))
    kept = (unfinished(output) / CHECKPOINT_FILE).read_bytes()
    with pytest.raises(error):
        train(change(replace(request, overwrite=True)), listener=within_epoch(1))
    assert [path.name for path in unfinished(output).iterdir()] == [CHECKPOINT_FILE]
    assert (unfinished(output) / CHECKPOINT_FILE).read_bytes() == kept


@pytest.mark.medium
def test_overwriting_replaces_an_unfinished_training_when_an_epoch_is_done(
    request_of: Requests,
) -> None:
    with pytest.raises(Stopped):
        train(request_of(seed=1), listener=after_epoch(1))
    with pytest.raises(Stopped):
        train(request_of(seed=2, overwrite=True), listener=after_epoch(1))
    with pytest.raises(CheckpointError, match="seed was 2, and is 1"):
        train(request_of(seed=1, resume=True))
    assert train(request_of(seed=2, resume=True)).epochs == 1


def test_what_a_killed_process_left_beside_its_checkpoint_is_removed(
    request_of: Requests, output: Path
) -> None:
    with pytest.raises(Stopped):
        train(request_of(), listener=after_epoch(1))
    (unfinished(output) / f".{CHECKPOINT_FILE}.x3.safetensors").write_bytes(b"half of one")
    with pytest.raises(OutputExists):
        train(request_of())
    assert [path.name for path in unfinished(output).iterdir()] == [CHECKPOINT_FILE]


@pytest.mark.medium
def test_overwriting_starts_an_unfinished_training_anew(request_of: Requests, output: Path) -> None:
    with pytest.raises(Stopped):
        train(request_of(), listener=after_epoch(1))
    epochs: list[int] = []

    def listen(event: Event) -> None:
        if isinstance(event, EpochFinished):
            epochs.append(event.epoch)

    train(request_of(overwrite=True), listener=listen)
    assert epochs == [1]
    assert not unfinished(output).exists()


@pytest.mark.medium
def test_a_finished_training_leaves_nothing_beside_its_model(
    request_of: Requests, output: Path
) -> None:
    train(request_of())
    assert [path.name for path in output.parent.iterdir()] == [output.name]


@pytest.mark.medium
@pytest.mark.parametrize(
    ("change", "difference"),
    [
        ({"seed": 1}, "seed was 0, and is 1"),
        ({"bands": (3, 2, 1)}, "bands was [1, 2, 3], and is [3, 2, 1]"),
        ({"recipe": tiny(epochs=3)}, "recipe.epochs was 1, and is 3"),
        ({"recipe": tiny(q=0.5)}, "recipe.q was 0.7, and is 0.5"),
        ({"micro_batches": True}, "differs: --batch-size auto was not given, and is given"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_another_training_is_not_gone_on_with(
    request_of: Requests, change: dict[str, object], difference: str
) -> None:
    with pytest.raises(Stopped):
        train(request_of(), listener=after_epoch(1))
    with pytest.raises(CheckpointError, match=re.escape(difference)):
        train(request_of(resume=True, **change))


def test_other_labels_make_another_training(few: TileSet, request_of: Requests) -> None:
    with pytest.raises(Stopped):
        train(request_of(validation=few), listener=after_epoch(1))
    swapped = few.relabelled({few[0].id: few[-1].label, few[-1].id: few[0].label})
    assert few[0].label != few[-1].label
    with pytest.raises(CheckpointError, match=r"training differs: tiles and labels was [^;]*$"):
        train(request_of(tiles=swapped, validation=few, resume=True))


def test_other_validation_tiles_make_another_training(few: TileSet, request_of: Requests) -> None:
    half, other = few.select(range(0, 12, 2)), few.select(range(1, 12, 2))
    with pytest.raises(Stopped):
        train(request_of(validation=half), listener=after_epoch(1))
    with pytest.raises(CheckpointError, match=r"training differs"):
        train(request_of(validation=other, resume=True))


@pytest.fixture
def of_others(few: TileSet, tmp_path: Path) -> TileSet:
    """The same tiles by name and label, of which one has other pixels."""
    other = tmp_path / "other.png"
    Image.open(few[0].path).transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(other)
    assert other.read_bytes() != Path(few[0].path).read_bytes()
    return replace(few, tiles=(replace(few[0], path=str(other)), *few.tiles[1:]))


@pytest.mark.medium
def test_other_pixels_make_another_training(
    few: TileSet, of_others: TileSet, request_of: Requests
) -> None:
    with pytest.raises(Stopped):
        train(request_of(validation=few), listener=after_epoch(1))
    message = r"training differs: training pixels was \w+, and is \w+$"
    with pytest.raises(CheckpointError, match=message):
        train(request_of(tiles=of_others, validation=few, resume=True))


def test_another_measure_of_the_tiles_makes_another_training(
    few: TileSet, request_of: Requests, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(Stopped):
        train(request_of(validation=few), listener=after_epoch(1))
    other = replace(IMAGENET, mean=(1.0, 2.0, 3.0))
    monkeypatch.setattr(rgb_statistics, "IMAGENET", other)
    with pytest.raises(CheckpointError, match=r"differs: preprocessing was \w+, and is \w+$"):
        train(request_of(validation=few, resume=True))


@pytest.mark.medium
def test_a_failure_while_the_folder_is_written_costs_no_epoch(
    request_of: Requests, output: Path
) -> None:
    def full_disk(_: Path) -> None:
        raise OSError("no space left on device")

    with pytest.raises(OSError, match=r"no space left"):
        train(request_of(), add_reports=full_disk)
    assert not output.exists()
    again = stopping_when(lambda event: isinstance(event, EpochFinished))
    assert train(request_of(resume=True), listener=again).epochs == 1
    assert output.is_dir()


@pytest.mark.medium
def test_the_summary_is_plain_values(request_of: Requests) -> None:
    summary = train(request_of(), listener=ignore_events)
    assert json.loads(json.dumps(asdict(summary))) == asdict(summary)


# A frozen backbone


@pytest.mark.medium
@pytest.mark.parametrize("name", RecipeName)
def test_a_frozen_backbone_stays_and_its_head_learns(
    tiles: TileSet, request_of: Requests, output: Path, name: RecipeName
) -> None:
    # In float32 the same start has the same backbone to the bit.
    recipe = tiny(name, freeze_backbone=True, epochs=3)
    summary = train(request_of(tiles=tiles, recipe=recipe))
    assert {path.name for path in output.iterdir()} == FILES
    assert summary.epochs == 3
    trained = load_model(output, CPU)
    assert trained.description.recipe["freeze_backbone"]
    torch.manual_seed(0)
    untrained = build_network("squeezenet1_1", bands=3, size_px=32, dimensions=8)
    started, ended = untrained.backbone.state_dict(), trained.network.backbone.state_dict()
    assert all(torch.equal(started[key], value) for key, value in ended.items())
    weights = trained.network.projection.weight
    assert not torch.equal(weights.detach(), untrained.projection.weight.detach())


@pytest.mark.medium
def test_a_frozen_training_resumes_to_the_same_result(
    few: TileSet, request_of: Requests, output: Path
) -> None:
    recipe = tiny(freeze_backbone=True, epochs=3)
    train(request_of(recipe=recipe))
    unbroken = load_file(output / "model.safetensors")
    with pytest.raises(Stopped):
        train(request_of(recipe=recipe, overwrite=True), listener=after_epoch(2))
    train(request_of(recipe=recipe, overwrite=True, resume=True))
    resumed = load_file(output / "model.safetensors")
    assert all(torch.equal(resumed[key], value) for key, value in unbroken.items())


@pytest.mark.medium
def test_a_frozen_training_is_not_resumed_as_another_one(
    few: TileSet, request_of: Requests
) -> None:
    with pytest.raises(Stopped):
        train(request_of(recipe=tiny(freeze_backbone=True, epochs=3)), listener=after_epoch(1))
    with pytest.raises(CheckpointError, match="freeze_backbone"):
        train(request_of(recipe=tiny(epochs=3), resume=True))


@pytest.mark.medium
def test_without_epochs_the_model_is_its_weights_and_the_means_of_its_classes(
    few: TileSet, request_of: Requests, output: Path
) -> None:
    summary = train(request_of(recipe=tiny(epochs=0)))
    assert {path.name for path in output.iterdir()} == FILES
    assert (summary.epochs, summary.tiles_per_second, summary.kept_fraction) == (0, 0, 1)
    assert not unfinished(output).exists()
    model = load_model(output, CPU)
    embedder = model.embedder()
    store = read_into_store(few, model.description.preprocessing, RunContext())
    rows = parquet.read_table(output / "tiles.parquet").to_pylist()
    trained = {row["tile"]: row["label"] for row in rows}
    vectors = {t.id: v for t, v in zip(store.tiles, embedder.vectors(store.pixels))}
    for name, prototype in zip(model.description.class_names, model.prototypes):
        mean = np.mean([vectors[tile] for tile, label in trained.items() if label == name], axis=0)
        np.testing.assert_allclose(prototype, mean / np.linalg.norm(mean), atol=1e-2)


@pytest.mark.medium
def test_without_epochs_a_model_keeps_its_network_and_its_prototypes_follow_the_labels(
    few: TileSet, request_of: Requests, output: Path
) -> None:
    train(request_of())
    first = load_model(output, CPU)
    other = output.with_name("other")
    request = request_of(recipe=tiny(epochs=0), weights=str(output), validation=few)
    train(replace(request, output=other))
    second = load_model(other, CPU)
    swapped = other.with_name("swapped")
    names = {"road": "water", "water": "road"}
    labelled = few.relabelled({tile.id: names[str(tile.label)] for tile in few})
    train(replace(request, output=swapped, tiles=labelled, validation=labelled))
    prototypes = load_model(swapped, CPU).prototypes
    np.testing.assert_allclose(prototypes, second.prototypes[::-1], atol=1e-6)
    expected = first.network.projection.weight.detach().numpy()
    found = second.network.projection.weight.detach().numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)
