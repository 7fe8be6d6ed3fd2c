"""Choose and make the embedding of tiles for which no model was given."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

import numpy as np
import torch

from rsretrieve.data.preprocessing.band_statistics import measure_preprocessing
from rsretrieve.data.preprocessing.preprocessing import Preprocessing
from rsretrieve.data.run_context import RunContext
from rsretrieve.data.tile import TileSet
from rsretrieve.enums import IMAGENET_WEIGHTS
from rsretrieve.network.backbones.rgb_statistics import rgb_statistics
from rsretrieve.network.device import Precision
from rsretrieve.network.metadata import ModelFolder, read_description
from rsretrieve.network.model import Model
from rsretrieve.network.model_folder import load_model
from rsretrieve.network.network import check_backbone
from rsretrieve.network.pretrained import check_weights
from rsretrieve.network.shipped.given_weights import WITHOUT_WEIGHTS
from rsretrieve.network.shipped.shipped_models import DEFAULT_MODEL, shipped_path
from rsretrieve.network.unlabelled.class_metric import read_class_metric
from rsretrieve.network.unlabelled.fit_embedding import (
    FittedEmbedding,
    fit_components,
    fit_random_convolutions,
)
from rsretrieve.network.unlabelled.frozen_features import fit_checked
from rsretrieve.network.unlabelled.known_vectors import KnownVectors
from rsretrieve.network.unlabelled.sample import FitSample, read_sample
from rsretrieve.network.unlabelled.write_embedding import write_embedding

DEFAULT_BACKBONE = "mobilenet_v2"
FROZEN_PX, RANDOM_PX = 128, 64
"""Working sizes. Random convolutions find no more at 128 px, in four times the time."""

ENOUGH_TILES = 200
"""From this many tiles on, principal components are fitted to them. AID, K-NN / mAP: 0.861 / 0.423
with components of 200 of its tiles, 0.833 / 0.396 of 64, 0.864 / 0.403 with those of the model."""


@dataclass(frozen=True)
class EmbeddingRequest:
    """What the user asks for instead of a model.

    Attributes:
        weights: `imagenet` or a file: frozen features of a network; None if nothing was asked.
        backbone: name of that network; None for the default.
        seed: of everything random.
    """

    weights: str | None = None
    backbone: str | None = None
    seed: int = 0

    @property
    def is_frozen(self) -> bool:
        """Whether a pre-trained network was asked for."""
        return self.weights is not None or self.backbone is not None


class Method(StrEnum):
    """The ways to embed tiles without a model of the user."""

    SHIPPED = "shipped model"
    FROZEN = "frozen features"
    RANDOM = "random convolutional features"


@dataclass(frozen=True)
class Choice:
    """The chosen way.

    Attributes:
        method: the way.
        reason: why, as the end of a sentence.
        folder: of the shipped model; None for another way.
    """

    method: Method
    reason: str
    folder: Path | None = None


def embedding_for(
    tiles: TileSet,
    request: EmbeddingRequest,
    folder: Path,
    device: torch.device,
    context: RunContext,
) -> Model:
    """Choose an embedding for tiles, make it, and say which and why in one notice.

    Args:
        tiles: the tiles to embed.
        request: what the user asked for.
        folder: an existing, empty folder; an embedding that is fitted is written there.
        device: where it runs.
        context: receives progress and notices.

    Returns:
        The model, which may have classes.

    Raises:
        InvalidArgument: unknown backbone.
        NoUsableTiles: no tile can be read.
        WeightsError: the weights cannot be obtained, or do not fit.
    """
    backbone = request.backbone or DEFAULT_BACKBONE
    if request.is_frozen:
        check_backbone(backbone)
        check_weights(
            backbone,
            request.weights or IMAGENET_WEIGHTS,
            size_px=FROZEN_PX,
            otherwise=f"{WITHOUT_WEIGHTS}, which downloads nothing",
        )
    context.start_stage("measuring the tiles")
    measured = measure_preprocessing(tiles, FROZEN_PX)
    choice = choose(measured, request)
    if choice.folder is not None:
        model = fit_shipped(choice.folder, tiles, request.seed, folder, device, context)
    else:
        model = _fit(tiles, measured, choice, request, folder, device, context)
    description = model.description
    context.notice(
        f"no model was given: the tiles are embedded by {_what(model, choice)} in "
        f"{description.dimensions} dimensions (model {description.fingerprint[:12]}), because "
        f"{choice.reason}{_remark(model, choice)}"
    )
    return model


def choose(measured: Preprocessing, request: EmbeddingRequest) -> Choice:
    """Choose by the bands and the type of the tiles, and by what this machine has.

    Args:
        measured: the preprocessing that fits the tiles.
        request: what the user asked for.
    """
    if request.is_frozen:
        return Choice(Method.FROZEN, "these weights were given")
    if not is_rgb(measured):
        bands = f"{len(measured.bands)} band{'s' if len(measured.bands) > 1 else ''}"
        reason = f"they have {bands} of {measured.dtype}, not three of uint8"
        return Choice(Method.RANDOM, reason)
    shipped = shipped_path(DEFAULT_MODEL)
    if shipped is not None:
        return Choice(Method.SHIPPED, "they are 8-bit RGB", shipped)
    if imagenet_is_cached(DEFAULT_BACKBONE):
        return Choice(Method.FROZEN, "they are 8-bit RGB and these weights are stored locally")
    return Choice(
        Method.RANDOM,
        "no pre-trained weights are stored locally; --weights imagenet downloads some, which "
        "find similar 8-bit RGB tiles better",
    )


def is_rgb(preprocessing: Preprocessing) -> bool:
    """Whether tiles are 8-bit RGB, which pre-trained networks take."""
    return preprocessing.dtype == "uint8" and preprocessing.source_bands == 3


def imagenet_is_cached(backbone: str) -> bool:
    """Whether torchvision has the ImageNet weights of a backbone in its cache."""
    import torchvision

    url = str(torchvision.models.get_model_weights(backbone).DEFAULT.url)
    return Path(torch.hub.get_dir(), "checkpoints", url.rpartition("/")[2]).is_file()


def fit_shipped(
    source: Path, tiles: TileSet, seed: int, folder: Path, device: torch.device, context: RunContext
) -> Model:
    """A shipped model, with principal components of the tiles if there are enough of them.

    Args:
        source: the folder of the shipped model.
        tiles: the tiles to embed.
        seed: of the choice of tiles.
        folder: an existing, empty folder, for the model with other components.
        device: where it runs.
        context: receives progress.
    """
    shipped = load_model(source, device, context)
    description = shipped.description
    if len(tiles) < ENOUGH_TILES:
        return shipped
    sample = read_sample(tiles, description.preprocessing, seed, context)
    if len(sample.tiles) < ENOUGH_TILES:
        return shipped
    recipe = {
        "method": f"features of the model {source.name} that rsretrieve comes with",
        "model": description.fingerprint,
        "seed": seed,
    }
    metric = read_class_metric(ModelFolder(source, description))
    fitted = fit_components(
        shipped.network, description.backbone, sample, recipe, description.dimensions, metric
    )
    write_embedding(folder, fitted, sample, context, like=source)
    no_classes = np.empty((0, fitted.vectors.shape[1]), np.float32)
    fitted_model = Model(folder, read_description(folder), fitted.network, no_classes, 1.0, device)
    return replace(fitted_model, known=_known(fitted, sample))


def _fit(
    tiles: TileSet,
    measured: Preprocessing,
    choice: Choice,
    request: EmbeddingRequest,
    folder: Path,
    device: torch.device,
    context: RunContext,
) -> Model:
    if choice.method is Method.FROZEN:
        backbone = request.backbone or DEFAULT_BACKBONE
        statistics = rgb_statistics(backbone) if is_rgb(measured) else measured.statistics
        sample = read_sample(tiles, replace(measured, statistics=statistics), request.seed, context)
        weights = request.weights or IMAGENET_WEIGHTS
        fitted, sample = fit_checked(
            sample, measured.statistics, backbone, weights, device, context
        )
    else:
        sample = read_sample(tiles, replace(measured, size_px=RANDOM_PX), request.seed, context)
        fitted = fit_random_convolutions(sample, device, request.seed)
    if fitted.remark:
        context.notice(f"weights {request.weights}: {fitted.remark}")
    write_embedding(folder, fitted, sample, context)
    return replace(load_model(folder, device, context), known=_known(fitted, sample))


def _known(fitted: FittedEmbedding, sample: FitSample) -> KnownVectors | None:
    """The embeddings of the sample, which were computed in float32; None if others are wanted."""
    is_same = fitted.precision is Precision.FLOAT32
    return KnownVectors(sample.pixels, fitted.vectors) if is_same else None


def _remark(model: Model, choice: Choice) -> str:
    """A second sentence, if the shipped model was fitted to the tiles."""
    if choice.folder is None or model.folder == choice.folder:
        return ""
    tiles = model.description.recipe.get("tiles", 0)
    return f". Its principal components were fitted to {tiles} of these tiles"


def _what(model: Model, choice: Choice) -> str:
    """The embedding, in words."""
    if choice.method is Method.SHIPPED:
        return f"the model {DEFAULT_MODEL} that rsretrieve comes with"
    if choice.method is Method.RANDOM:
        return "random convolutional features and band statistics, fitted to these tiles"
    weights = str(model.description.recipe["weights"]).partition(":")[0]
    return f"{model.description.backbone} with the {weights}, not trained on these tiles,"
