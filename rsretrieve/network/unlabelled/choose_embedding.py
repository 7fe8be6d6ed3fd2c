"""Choose and make the embedding of tiles for which no model was given."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

import torch

import rsretrieve
from rsretrieve.data.preprocessing.band_statistics import IMAGENET, measure_preprocessing
from rsretrieve.data.preprocessing.preprocessing import Preprocessing
from rsretrieve.data.run_context import RunContext
from rsretrieve.data.tile import TileSet
from rsretrieve.network.metadata import DESCRIPTION_FILE
from rsretrieve.network.model import Model
from rsretrieve.network.model_folder import load_model
from rsretrieve.network.network import check_backbone
from rsretrieve.network.pretrained import check_weights
from rsretrieve.network.unlabelled.fit_embedding import fit_frozen, fit_random_convolutions
from rsretrieve.network.unlabelled.sample import read_sample
from rsretrieve.network.unlabelled.write_embedding import write_embedding

IMAGENET_WEIGHTS = "imagenet"
DEFAULT_BACKBONE = "mobilenet_v2"
FROZEN_PX, RANDOM_PX = 128, 64
"""Working sizes. Random convolutions find no more at 128 px, in four times the time."""

SHIPPED_MODELS = Path(rsretrieve.__file__).parent / "models"
DEFAULT_MODEL = "default"
"""The folder among the shipped models that embeds 8-bit RGB tiles."""


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
    """

    method: Method
    reason: str


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
        check_weights(backbone, request.weights or IMAGENET_WEIGHTS)
    context.start_stage("measuring the tiles")
    measured = measure_preprocessing(tiles, FROZEN_PX)
    choice = choose(measured, request)
    if choice.method is Method.SHIPPED:
        model = load_model(SHIPPED_MODELS / DEFAULT_MODEL, device, context)
    else:
        model = _fit(tiles, measured, choice, request, folder, device, context)
    description = model.description
    context.notice(
        f"no model was given: the tiles are embedded by {_what(model, choice)} in "
        f"{description.dimensions} dimensions, because {choice.reason} (model "
        f"{description.fingerprint[:12]})"
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
    if (SHIPPED_MODELS / DEFAULT_MODEL / DESCRIPTION_FILE).is_file():
        return Choice(Method.SHIPPED, "they are 8-bit RGB")
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
        statistics = IMAGENET if is_rgb(measured) else measured.statistics
        sample = read_sample(tiles, replace(measured, statistics=statistics), request.seed, context)
        backbone = request.backbone or DEFAULT_BACKBONE
        fitted = fit_frozen(sample, backbone, request.weights or IMAGENET_WEIGHTS, device)
    else:
        sample = read_sample(tiles, replace(measured, size_px=RANDOM_PX), request.seed, context)
        fitted = fit_random_convolutions(sample, device, request.seed)
    if fitted.remark:
        context.notice(f"weights {request.weights}: {fitted.remark}")
    write_embedding(folder, fitted, sample, context)
    return load_model(folder, device, context)


def _what(model: Model, choice: Choice) -> str:
    """The embedding, in words."""
    if choice.method is Method.SHIPPED:
        return f"the model that is part of rsretrieve ({model.description.backbone})"
    if choice.method is Method.RANDOM:
        return "random convolutional features and band statistics, fitted to these tiles"
    weights = str(model.description.recipe["weights"]).partition(":")[0]
    return f"{model.description.backbone} with the {weights}, not trained on these tiles,"
