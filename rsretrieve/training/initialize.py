"""The model that a training starts from: random, with pre-trained weights, or one of ours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from rsretrieve.data.preprocessing.preprocessing import check_size
from rsretrieve.enums import NO_WEIGHTS
from rsretrieve.network import model_folder
from rsretrieve.network.backbones.input_bands import InputBands
from rsretrieve.network.model import PrototypeModel
from rsretrieve.network.network import build_network
from rsretrieve.network.pretrained import (
    WeightsReport,
    check_weights,
    fit_weights,
    load_weights,
)
from rsretrieve.network.prototypes import Prototypes
from rsretrieve.network.shipped.given_weights import model_folder_of
from rsretrieve.training.recipe import Recipe

_BANDS = 3  # weights are adapted to any other number


def check_start(recipe: Recipe, weights: str, bands: Sequence[object] = ()) -> None:
    """Check that `starting_model` will succeed, before tiles are read; values take no memory.

    Args:
        recipe: sets the backbone and its sizes.
        weights: as for `starting_model`.
        bands: the chosen ones; all are as many as are read, which is not known yet.

    Raises:
        InvalidArgument, WeightsError, ModelError: see `starting_model`.
    """
    check_size(recipe.size_px)
    folder, model = model_folder_of(weights), None
    if folder is not None:
        model = model_folder.load_model(folder, torch.device("cpu")).network.backbone
    count = len(bands) or _BANDS
    check_weights(
        recipe.backbone,
        weights,
        size_px=recipe.size_px,
        bands=count,
        model=model,
        otherwise="start without pre-trained weights: --weights none",
    )


def starting_model(
    recipe: Recipe,
    bands: int,
    class_names: tuple[str, ...],
    weights: str,
    seed: int,
    inputs: InputBands | None = None,
) -> tuple[PrototypeModel, WeightsReport | None]:
    """Build the network and the prototypes that a training starts from.

    Args:
        recipe: sets the backbone, its sizes and the temperature.
        bands: C of the input.
        class_names: the K classes.
        weights: `imagenet`, `none`, a weights file, or a model folder of ours.
        seed: of the random initial values.
        inputs: which bands they are, to find them in the weights; None if unknown.

    Returns:
        The model, and how many weights were loaded; None without pre-trained weights.

    Raises:
        InvalidArgument: unknown backbone, or it does not accept tiles of the recipe's size.
        WeightsError, ModelError: the weights cannot be obtained, or do not fit.
    """
    torch.manual_seed(seed)
    network = build_network(
        recipe.backbone,
        bands=bands,
        size_px=recipe.size_px,
        dimensions=recipe.dimensions,
    )
    prototypes = Prototypes(
        len(class_names),
        recipe.dimensions,
        recipe.temperature_for(len(class_names)),
        learn_temperature=recipe.learn_temperature,
    )
    model = PrototypeModel(network, prototypes)
    if weights == NO_WEIGHTS:
        return model, None
    if (folder := model_folder_of(weights)) is not None:
        return model, _copy_model(model, folder, class_names, inputs)
    return model, load_weights(network, recipe.backbone, weights, inputs)


def _copy_model(
    model: PrototypeModel, folder: Path, class_names: tuple[str, ...], inputs: InputBands | None
) -> WeightsReport:
    """Copy the backbone of a model of ours, and its projection and prototypes if they fit."""
    old = model_folder.load_model(folder, torch.device("cpu"))
    trained = old.description.preprocessing
    if inputs is not None and inputs.source_bands == trained.source_bands:
        inputs = replace(inputs, trained=trained.bands)
    report = fit_weights(model.network, old.network.backbone.state_dict(), str(folder), inputs)
    if old.description.dimensions == model.network.projection.out_features:
        model.network.projection.load_state_dict(old.network.projection.state_dict())
        if old.description.class_names == class_names:
            model.prototypes.weight.data.copy_(torch.from_numpy(old.prototypes))
    return report
