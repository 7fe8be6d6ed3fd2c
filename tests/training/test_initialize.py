"""Where a training starts: from chance, from a weights file, or from a model of ours."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from rsretrieve.data.preprocessing.preprocessing import Preprocessing
from rsretrieve.errors import ModelNotFound, WeightsError
from rsretrieve.network import model_folder
from rsretrieve.network.metadata import ModelDescription
from rsretrieve.network.model import PrototypeModel
from rsretrieve.training.initialize import starting_model
from rsretrieve.training.recipe import ROBUST, Recipe

CLASSES = ("forest", "water")


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    return ROBUST.changed(backbone="squeezenet1_1", size_px=32, dimensions=8)


@pytest.fixture
def old(tmp_path: Path, recipe: Recipe, preprocessing: Preprocessing) -> PrototypeModel:
    """A model of two classes, and its folder."""
    model, _ = starting_model(recipe, 3, CLASSES, "none", seed=7)
    sha256 = model_folder.write_weights(tmp_path, model)
    description = ModelDescription("squeezenet1_1", 8, preprocessing, CLASSES, {}, {}, {}, sha256)
    model_folder.write_description(tmp_path, description)
    return model


def same(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def test_the_seed_decides_where_a_training_starts(recipe: Recipe) -> None:
    one, same_again, other = (
        starting_model(recipe, 3, CLASSES, "none", seed)[0] for seed in (1, 1, 2)
    )
    assert same(one, same_again)
    assert not same(one, other)


def test_nothing_is_reported_of_a_start_from_nothing(recipe: Recipe) -> None:
    model, report = starting_model(recipe, 5, ("a", "b", "c"), "none", seed=0)
    assert report is None
    assert model.prototypes.weight.shape == (3, 8)


def test_the_recipe_says_whether_the_temperature_is_learned(recipe: Recipe) -> None:
    learned = recipe.changed(learn_temperature=True, temperature=0.2)
    prototypes = starting_model(learned, 3, CLASSES, "none", seed=0)[0].prototypes
    assert isinstance(prototypes.log_temperature, torch.nn.Parameter)
    assert prototypes.temperature.item() == pytest.approx(0.2)


def test_a_weights_file_fills_the_backbone(
    tmp_path: Path, recipe: Recipe, old: PrototypeModel
) -> None:
    path = tmp_path / "backbone.safetensors"
    state = old.network.backbone.state_dict()
    save_file({name: tensor.contiguous() for name, tensor in state.items()}, path)
    model, report = starting_model(recipe, 3, CLASSES, str(path), seed=0)
    assert same(model.network.backbone, old.network.backbone)
    assert not same(model.network.projection, old.network.projection)
    assert str(report) == f"weights {path}: 50 of 50 tensors matched"


def test_a_model_of_the_same_classes_is_gone_on_from_whole(
    tmp_path: Path, recipe: Recipe, old: PrototypeModel
) -> None:
    model, report = starting_model(recipe, 3, CLASSES, str(tmp_path), seed=0)
    assert same(model.network, old.network)
    assert torch.allclose(model.prototypes.unit, old.prototypes.unit)
    assert str(report) == f"weights {tmp_path}: 50 of 50 tensors matched"


def test_a_model_of_other_classes_lends_all_but_the_prototypes(
    tmp_path: Path, recipe: Recipe, old: PrototypeModel
) -> None:
    model, _ = starting_model(recipe, 3, ("field", "road"), str(tmp_path), seed=0)
    assert same(model.network, old.network)
    assert not torch.allclose(model.prototypes.unit, old.prototypes.unit)


def test_a_model_of_other_dimensions_lends_its_backbone(
    tmp_path: Path, recipe: Recipe, old: PrototypeModel
) -> None:
    model, _ = starting_model(replace(recipe, dimensions=4), 3, CLASSES, str(tmp_path), seed=0)
    assert same(model.network.backbone, old.network.backbone)
    assert model.network.projection.out_features == 4


@pytest.mark.usefixtures("old")
def test_a_model_of_another_backbone_is_refused(tmp_path: Path, recipe: Recipe) -> None:
    other = recipe.changed(backbone="resnet18")
    with pytest.raises(WeightsError, match=r"0 of 100 tensors matched"):
        starting_model(other, 3, CLASSES, str(tmp_path), seed=0)


def test_a_folder_that_is_no_model_is_refused(tmp_path: Path, recipe: Recipe) -> None:
    with pytest.raises(ModelNotFound, match=r"has no model"):
        starting_model(recipe, 3, CLASSES, str(tmp_path), seed=0)
