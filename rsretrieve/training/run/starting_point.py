"""The starting model of a training run, its features, and its head before the first epoch."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from rsretrieve.data.preprocessing.band_statistics import REFLECTANCE_TYPES, as_reflectance
from rsretrieve.data.preprocessing.pixel_fingerprint import quadrant_means
from rsretrieve.data.preprocessing.preprocessing import BandStatistics, Preprocessing
from rsretrieve.data.run_context import RunContext
from rsretrieve.network.backbones.input_bands import input_bands
from rsretrieve.network.backbones.normalisation_check import (
    compare_normalisations,
    measured_on,
)
from rsretrieve.network.backbones.rgb_statistics import RGB_BANDS, rgb_statistics
from rsretrieve.network.device import Precision
from rsretrieve.network.fuse_batchnorm import fuse_batchnorm
from rsretrieve.network.metadata import ModelFolder, read_description, report_unchecked
from rsretrieve.network.model import PrototypeModel
from rsretrieve.network.pretrained import WeightsReport
from rsretrieve.network.shipped.given_weights import model_folder_of
from rsretrieve.training.dataset import PreparedTiles
from rsretrieve.training.frozen.frozen_backbone import FrozenBackbone
from rsretrieve.training.head_warmup import warm_up_head
from rsretrieve.training.history.level_network import LevelNetwork
from rsretrieve.training.history.starting_features import (
    QUARTER_TURNS,
    compute_starting_features,
    project_features,
)
from rsretrieve.training.history.tile_history import read_tile_history
from rsretrieve.training.initialize import starting_model
from rsretrieve.training.run.larger_tiles import larger_tiles
from rsretrieve.training.run.posterior_start import estimated_posterior, unused_choices
from rsretrieve.training.step import TrainingSettings, embedder_of
from rsretrieve.training.targets.posterior_policy import PosteriorPolicy

_FEATURES = "computing features before labels are learned"


@dataclass(frozen=True)
class StartingPoint:
    """What a training starts from.

    Attributes:
        model: the network and the prototypes.
        weights: how many weights were loaded; None without pre-trained weights.
        starting_features: (N, d) of the training tiles; see `compute_starting_features`.
        frozen: the features of the backbone, if only its head is trained; else None.
        posterior: the classes of the training tiles by their starting features; None without
            features of all tiles, if these say nothing about the labels, or if the recipe does
            not use it.
    """

    model: PrototypeModel
    weights: WeightsReport | None
    starting_features: NDArray[Any] | None
    frozen: FrozenBackbone | None = None
    posterior: PosteriorPolicy | None = None

    def completed(self, trained: PrototypeModel) -> PrototypeModel:
        """The whole model, from what the training loop trained."""
        return trained if self.frozen is None else self.frozen.completed(trained)


def starting_point(
    weights: str,
    prepared: PreparedTiles,
    settings: TrainingSettings,
    context: RunContext,
    *,
    fits_head: bool = True,
) -> StartingPoint:
    """Load the starting model, compute its features and warm up its head.

    Args:
        weights: as the user named them.
        prepared: the tiles.
        settings: what the training is run with.
        context: receives notices and progress.
        fits_head: warm up the head; not needed if a checkpoint replaces it.
    """
    recipe, taken = settings.recipe, prepared.preprocessing
    inputs = input_bands(taken, prepared.tiles, weights)
    model, report = settings.processes.readers_first(  # which download the weights
        lambda: starting_model(
            recipe, len(taken.bands), prepared.class_names, weights, settings.seed, inputs
        )
    )
    if report is not None:
        context.notice(str(report))
    model.to(settings.device)
    if report is not None and model_folder_of(weights) is None:
        _check_normalisation(model, prepared, settings, context)
    if recipe.trains_head_only:
        start = _on_features(model, report, weights, prepared, settings, context)
    else:
        start = _on_pixels(model, report, weights, prepared, settings, context)
    posterior = estimated_posterior(start.starting_features, weights, prepared, settings, context)
    for text in unused_choices(recipe, has_posterior=posterior is not None):
        context.notice(text)
    start = replace(start, posterior=posterior)
    if recipe.head_epochs and recipe.epochs and fits_head:
        context.start_stage("fitting projection and prototypes to the starting features")
        _warm_up(start, prepared, settings)
    return start


def _check_normalisation(
    model: PrototypeModel, prepared: PreparedTiles, settings: TrainingSettings, context: RunContext
) -> None:
    """Give a notice if the weights seem to expect another normalisation of the tiles."""
    taken, train = prepared.preprocessing, prepared.train
    other = _other_normalisation(taken, train.pixels, settings)
    if other is None:
        return
    context.start_stage("checking the normalisation")
    found = compare_normalisations(
        model.network, taken, train.pixels, other.statistics, train.labels
    )
    notice = found and found.notice(other.used, other.meant)
    if notice:
        context.notice(notice)


@dataclass(frozen=True)
class _Other:
    """A normalisation that weights may expect; and in words the one that is used, and this one."""

    statistics: BandStatistics
    used: str
    meant: str


def _other_normalisation(
    taken: Preprocessing, pixels: NDArray[Any], settings: TrainingSettings
) -> _Other | None:
    """The normalisation to compare with; None for tiles for which there is none."""
    own, divided = "the mean and the deviation of the tiles", "the division by 10,000"
    if taken.dtype in REFLECTANCE_TYPES:
        if settings.recipe.reflectance:
            measured = measured_on(pixels, taken.statistics)
            return _Other(measured, divided, f"{own} (--normalise-by tiles)")
        reflectance = as_reflectance(taken.statistics)
        return _Other(reflectance, own, f"{divided} (--normalise-by reflectance)")
    if not (taken.dtype == "uint8" and len(taken.bands) == RGB_BANDS):
        return None
    expected = rgb_statistics(settings.recipe.backbone)
    published = "the mean and the deviation that the backbone is published with"
    if taken.statistics == expected:
        measured = measured_on(pixels, taken.statistics)
        return _Other(measured, published, f"{own} (--normalise-by tiles)")
    return _Other(expected, own, f"{published} (--normalise-by weights)")


def _on_pixels(
    model: PrototypeModel,
    report: WeightsReport | None,
    weights: str,
    prepared: PreparedTiles,
    settings: TrainingSettings,
    context: RunContext,
) -> StartingPoint:
    features = None
    folder = model_folder_of(weights)
    if folder is not None:  # that model was trained on labels, its start was not
        features = _inherited_features(folder, prepared, context)
    elif report is not None:  # features of a network with random weights carry no information
        features = _features_of(model, prepared, settings, context)
    return StartingPoint(model, report, features)


def _features_of(
    model: PrototypeModel, prepared: PreparedTiles, settings: TrainingSettings, context: RunContext
) -> NDArray[Any]:
    """Features before the training; with a posterior of larger tiles and of earlier stages."""
    pixels, seed = prepared.train.pixels, settings.seed
    if settings.recipe.posterior is None:
        context.start_stage(_FEATURES)
        return compute_starting_features(embedder_of(model.network, settings), pixels, seed)
    bands, size_px = pixels.shape[1], pixels.shape[3]
    network = LevelNetwork(model.network, bands, size_px)
    turns = QUARTER_TURNS
    if network.side_px > size_px:
        larger = larger_tiles(prepared, network.side_px, settings.processes, context)
        if larger is not None:
            # A larger tile takes as long as several; fewer turns make up for it.
            pixels, turns = larger, QUARTER_TURNS // 2
    context.start_stage(_FEATURES)
    embedder = embedder_of(network, settings)
    return compute_starting_features(embedder, pixels, seed, turns=turns, sizes=network.sizes)


def _on_features(
    model: PrototypeModel,
    report: WeightsReport | None,
    weights: str,
    prepared: PreparedTiles,
    settings: TrainingSettings,
    context: RunContext,
) -> StartingPoint:
    """Compute the features of the backbone once; without epochs, finish its head, too."""
    exact = replace(settings, precision=Precision.FLOAT32)
    embedder = embedder_of(fuse_batchnorm(model.network), exact)
    frozen = FrozenBackbone.of(model, embedder, prepared, context, settings.features)
    features = None
    folder = model_folder_of(weights)
    if folder is not None:
        features = _inherited_features(folder, prepared, context)
    elif report is not None:
        features = project_features(frozen.train.pixels, settings.seed)
    if not settings.recipe.epochs:
        _finish_head(frozen, weights, settings)
    return StartingPoint(model, report, features, frozen)


def _finish_head(frozen: FrozenBackbone, weights: str, settings: TrainingSettings) -> None:
    """Fit the projection unless a model brings it, and set the mean embeddings of the classes.

    The prototypes of a model are not kept: the labels may have been corrected since.
    """
    folder = model_folder_of(weights)
    if folder is None or read_description(folder).dimensions != settings.recipe.dimensions:
        frozen.fit_components()
    of_features = replace(settings, preprocessing=None)
    frozen.set_prototypes(embedder_of(frozen.head.network, of_features))


def _warm_up(start: StartingPoint, prepared: PreparedTiles, settings: TrainingSettings) -> None:
    recipe, frozen = settings.recipe, start.frozen
    if frozen is None:
        model, train = start.model, prepared.train
        embedder = embedder_of(model.network, settings)
    else:
        model, train = frozen.head, frozen.train
        exact = replace(settings, preprocessing=None, precision=Precision.FLOAT32)
        embedder = embedder_of(model.network, exact)
    epochs, seed = recipe.head_epochs, settings.seed
    targets = None if start.posterior is None else start.posterior.first_targets()
    warm_up_head(model, embedder, train, q=recipe.q, epochs=epochs, seed=seed, targets=targets)


def _inherited_features(
    folder: Path, prepared: PreparedTiles, context: RunContext
) -> NDArray[Any] | None:
    """The starting features that a model folder stores for these tiles, or None."""
    quadrants = quadrant_means(prepared.train.pixels)
    model = ModelFolder.read(folder)
    report_unchecked(model, context)
    return read_tile_history(model, prepared.tiles, quadrants, context).starting_features
