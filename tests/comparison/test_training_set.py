"""The training tiles of each cell: their labels, their noise, and the list that names them."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rsretrieve.comparison.choice import Cell, TrainingChoice
from rsretrieve.comparison.comparison_folder import ComparisonFolder
from rsretrieve.comparison.tile_digest import ImageDigests
from rsretrieve.comparison.training_set import (
    NoisyLabels,
    TrainingSet,
    check_choices,
    tiles_of_cell,
    without_test_tiles,
)
from rsretrieve.data.discovery.find_tiles import find_tiles
from rsretrieve.data.labels.labels import override_labels
from rsretrieve.data.labels.noise_choice import NoiseChoice
from rsretrieve.data.run_context import RunContext
from rsretrieve.errors import InvalidArgument, LabelsError, OutputExists
from rsretrieve.evaluation.label_corruption import corrupted_labels
from rsretrieve.progress import Noticed
from rsretrieve.training.recipe import recipe_for
from tests.support.tiles.made_tiles import save_raster

UNIFORM = NoiseChoice.parse("uniform:0.5")


@pytest.fixture
def tiles(tmp_path) -> Path:
    for number in range(12):
        name = "abc"[number % 3]
        save_raster(tmp_path / "tiles" / name / f"{number}.tif", np.full((3, 8, 8), number + 1))
    return tmp_path / "tiles"


def choice(**changed) -> TrainingChoice:
    return TrainingChoice((), recipe_for("robust", "none"), "none", **changed)


def labels_file(path: Path, labels: dict[str, str]) -> Path:
    rows = "".join(f"{tile},{label}\n" for tile, label in labels.items())
    path.write_text(f"tile,label\n{rows}", encoding="utf-8")
    return path


def test_labels_that_a_file_removes_stay_removed_under_noise(tiles, tmp_path):
    training = TrainingSet(find_tiles(tiles), ("tiles",))
    removed = [tile.id for tile in training.tiles][::2]
    labels = labels_file(tmp_path / "l.csv", dict.fromkeys(removed, ""))
    noisy = NoisyLabels(tmp_path / "labels", {}, ImageDigests())
    cell = Cell(choice(labels=labels, noise=UNIFORM), 0)
    found, path = tiles_of_cell(cell, training, noisy, "cpu", RunContext())
    assert {tile.id for tile in found if tile.label is None} == {*removed}
    assert path is not None
    alone = override_labels(find_tiles(tiles), path)  # as the config of the cell trains it
    assert [(t.id, t.label) for t in alone] == [(t.id, t.label) for t in found]
    with path.open(newline="") as stream:
        rows = {row["tile"]: row for row in csv.DictReader(stream)}
    assert all((rows[tile]["label"], rows[tile]["true_label"]) == ("", "") for tile in removed)


def test_an_interruption_before_the_first_cell_is_recorded_leaves_a_folder_to_continue(
    tiles, tmp_path, monkeypatch
):
    place = tmp_path / "out"
    training, cell = TrainingSet(find_tiles(tiles), ("tiles",)), Cell(choice(noise=UNIFORM), 0)

    def opened() -> NoisyLabels:
        place.mkdir(exist_ok=True)
        folder = ComparisonFolder.opened(place)
        return NoisyLabels(folder.labels, folder.labels_from, ImageDigests(), save=folder.save)

    _, path = tiles_of_cell(cell, training, opened(), "cpu", RunContext())
    assert path is not None
    assert path.exists()
    # Nothing else was saved: Ctrl-C while the images were read.
    assert tiles_of_cell(cell, training, opened(), "cpu", RunContext())[1] == path
    path.unlink()  # Ctrl-C before the file was written
    assert tiles_of_cell(cell, training, opened(), "cpu", RunContext())[1] == path
    assert path.exists()


def test_a_file_that_is_replaced_never_has_the_record_of_its_successor(tiles, tmp_path):
    there = []
    noisy = NoisyLabels(tmp_path / "labels", {}, ImageDigests(), overwrite=True)
    training, cell = TrainingSet(find_tiles(tiles), ("tiles",)), Cell(choice(noise=UNIFORM), 0)
    _, path = tiles_of_cell(cell, training, noisy, "cpu", RunContext())
    assert path is not None
    noisy.save = lambda: there.append(path.exists())
    fewer = replace(training, tiles=training.tiles.select(range(9)))
    tiles_of_cell(cell, fewer, noisy, "cpu", RunContext())
    assert there == [False]


@pytest.mark.parametrize("name", ["None", "null", "nan", "[1]"])
@pytest.mark.parametrize("how", ["list", "noise"])
def test_classes_that_no_table_can_hold_are_refused(tiles, name, how):
    (tiles / "b").rename(tiles / name)
    found = find_tiles(tiles)
    test = found.select([0]) if how == "list" else found.select([])
    training = without_test_tiles(found, ["tiles"], test, RunContext())
    choices = [choice(noise=UNIFORM if how == "noise" else None)]
    with pytest.raises(LabelsError, match="cannot hold") as error:
        check_choices(training, choices, RunContext())
    assert name in str(error.value)
    without = TrainingSet(found, ("tiles",))
    check_choices(without, [choice()], RunContext())  # no file is written


def test_a_choice_of_one_class_is_refused_before_any_training(tiles, tmp_path):
    training = TrainingSet(find_tiles(tiles), ("tiles",))
    labels = labels_file(tmp_path / "one.csv", {tile.id: "a" for tile in training.tiles})
    for noise in (None, UNIFORM):
        with pytest.raises(LabelsError, match=r"one\.csv.*at least two classes"):
            check_choices(training, [choice(), choice(labels=labels, noise=noise)], RunContext())


def test_bands_and_reflectances_that_the_tiles_do_not_have_are_refused(tiles):
    training = TrainingSet(find_tiles(tiles), ("tiles",))
    check_choices(training, [choice(bands=(3, 2, 1))], RunContext())
    with pytest.raises(InvalidArgument, match="6,5,4"):
        check_choices(training, [choice(bands=(3, 2, 1)), choice(bands=(6, 5, 4))], RunContext())
    by_ten_thousand = replace(choice(), recipe=choice().recipe.changed(reflectance=True))
    with pytest.raises(InvalidArgument, match="reflectance"):
        check_choices(training, [by_ten_thousand], RunContext())


def test_labels_of_test_tiles_are_not_called_unknown(tiles, tmp_path):
    said: list[str] = []
    context = RunContext(listener=lambda e: said.append(e.text) if isinstance(e, Noticed) else None)
    found = find_tiles(tiles)
    training = without_test_tiles(found, ["tiles"], found.select([0, 5]), RunContext())
    given = {tile.id: str(tile.label) for tile in found}
    labels = labels_file(tmp_path / "l.csv", given)
    check_choices(training, [choice(labels=labels)], context)
    assert said == []
    labels_file(labels, {**given, "elsewhere.tif": "a"})
    check_choices(training, [choice(labels=labels)], context)
    assert [text for text in said if "names 1 tiles that are not in" in text]


def made_model(folder: Path, tiles: object) -> Path:
    model = folder / "models" / "one"
    model.mkdir(parents=True)
    (model / "config.toml").write_text(f'[train]\ntiles = ["{tiles}"]\n', encoding="utf-8")
    return model


def test_the_list_that_a_finished_model_names_stays(tiles, tmp_path):
    found = find_tiles(tiles)
    one, other = (
        without_test_tiles(found, ["tiles"], found.select(rows), RunContext())
        for rows in ([0], [0, 1])
    )
    listed = one.listed(tmp_path)
    assert [(t.id, t.label, t.path) for t in listed.tiles] == [
        (t.id, t.label, t.path) for t in one.tiles
    ]
    before = (tmp_path / "train.csv").read_text()
    model = made_model(tmp_path, tmp_path / "train.csv")
    one.listed(tmp_path, [model])
    with pytest.raises(OutputExists, match="finished models"):
        other.listed(tmp_path, [model])
    assert (tmp_path / "train.csv").read_text() == before
    (model / "config.toml").write_text('[train]\ntiles = ["tiles"]\n')
    other.listed(tmp_path, [model])
    assert (tmp_path / "train.csv").read_text() != before


def test_a_list_of_other_images_with_the_same_ids_is_another_list(tiles, tmp_path):
    (tmp_path / "out").mkdir()
    training = TrainingSet(find_tiles(tiles), ())  # tiles that are objects: only a list names them
    assert training.listed(tmp_path / "out").words == (str(tmp_path / "out" / "train.csv"),)
    model = made_model(tmp_path / "out", tmp_path / "out" / "train.csv")
    copied = tuple(replace(t, path=t.path.replace("tiles", "copy")) for t in training.tiles)
    moved = replace(training, tiles=replace(training.tiles, tiles=copied))
    with pytest.raises(OutputExists, match="finished models"):
        moved.listed(tmp_path / "out", [model])
    tiles.rename(tmp_path / "copy")  # the same files elsewhere
    moved.listed(tmp_path / "out", [model])


def test_tiles_without_a_label_are_counted_when_labels_are_made_wrong(tiles):
    said: list[str] = []
    context = RunContext(listener=lambda e: said.append(e.text) if isinstance(e, Noticed) else None)
    found = find_tiles(tiles)
    some = found.relabelled({found[0].id: None, found[1].id: None})
    assert len(corrupted_labels(some, UNIFORM, 0, context)) == 10
    assert said == ["2 tiles have no label and are left out"]
