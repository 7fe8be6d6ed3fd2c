"""Load pre-trained weights into a backbone."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError

import torch
import torchvision
from torch import Tensor, nn

from rsretrieve.enums import IMAGENET_WEIGHTS, NO_WEIGHTS
from rsretrieve.errors import WeightsError
from rsretrieve.network.backbones.checkpoint_reading import read_tensors, without_prefix
from rsretrieve.network.backbones.input_bands import InputBands
from rsretrieve.network.backbones.level_names import network_of
from rsretrieve.network.backbones.pooled_levels import PooledLevels
from rsretrieve.network.backbones.timm_models import converted, download_weights, hint_of_weights
from rsretrieve.network.backbones.timm_names import is_timm
from rsretrieve.network.network import (
    EmbeddingNetwork,
    first_convolutions,
    outline_network,
)
from rsretrieve.network.shipped.given_weights import model_folder_of

REQUIRED_FRACTION = 0.9
_BANDS = 3


@dataclass(frozen=True)
class WeightsReport:
    """How many of the backbone's tensors were found in the weights.

    Attributes:
        source: the weights, as the user named them.
        matched: tensors that were loaded.
        wanted: tensors of the backbone.
        remark: how the first layer takes the bands, if it was adapted or takes other bands.
    """

    source: str
    matched: int
    wanted: int
    remark: str = ""

    def __str__(self) -> str:
        text = f"weights {self.source}: {self.matched} of {self.wanted} tensors matched"
        return f"{text}; {self.remark}" if self.remark else text


def load_weights(
    network: EmbeddingNetwork, backbone_name: str, source: str, bands: InputBands | None = None
) -> WeightsReport:
    """Load pre-trained weights into a network's backbone.

    The first layer of three-band weights is adapted to C bands, and position embeddings to the
    size of the input. The weights of the classifying layer are not used.

    Args:
        network: the network; its projection is not changed.
        backbone_name: torchvision's name of the backbone.
        source: `imagenet` for torchvision's own weights, a `.safetensors` or a `.pth` file.
        bands: which bands the network takes; None: the weights' own.

    Returns:
        How many tensors were loaded.

    Raises:
        WeightsError: the weights cannot be downloaded or read, or they contain less than nine
            tenths of the backbone's tensors.
    """
    return fit_weights(network, _read(backbone_name, source), source, bands)


def check_weights(
    backbone_name: str,
    source: str,
    *,
    size_px: int,
    bands: int = _BANDS,
    model: nn.Module | None = None,
    otherwise: str = "",
) -> None:
    """Check that a backbone takes tiles, and that weights fit it, before tiles are read.

    torchvision keeps downloaded weights and does not download them again.

    Args:
        backbone_name: torchvision's name of the backbone.
        source: a value of `train --weights`.
        size_px: S, the side of a tile in pixels.
        bands: C, the bands of a tile; weights are adapted to others.
        model: the backbone of the model, if `source` is a model folder.
        otherwise: what else the user can do if the weights cannot be downloaded, for the hint.

    Raises:
        InvalidArgument: the backbone does not take such tiles.
        WeightsError: the weights cannot be downloaded or read, or do not fit.
    """
    network = outline_network(backbone_name, bands=bands, size_px=size_px)
    if model is not None:
        _fitting(network, model.state_dict(), source, None)
    elif source != NO_WEIGHTS and model_folder_of(source) is None:
        _fitting(network, _read(backbone_name, source, otherwise), source, None)


def _read(backbone_name: str, source: str, otherwise: str = "") -> Mapping[str, Tensor]:
    if source != IMAGENET_WEIGHTS:
        return read_tensors(Path(source))
    name = network_of(backbone_name)
    return download_weights(name, otherwise) if is_timm(name) else _imagenet(name, otherwise)


def fit_weights(
    network: EmbeddingNetwork,
    state: Mapping[str, Tensor],
    source: str,
    bands: InputBands | None = None,
) -> WeightsReport:
    """Load the tensors of `state` that fit into a network's backbone.

    Args:
        network: the network; its projection is not changed.
        state: tensors by torchvision's names.
        source: the weights, as the user named them, for the report.
        bands: which bands the network takes; None: the weights' own.

    Returns:
        How many tensors were loaded.

    Raises:
        WeightsError: less than nine tenths of the backbone's tensors fit.
    """
    fitting, report = _fitting(network, state, source, bands)
    _with_own_names(network.backbone).load_state_dict(fitting, strict=False)
    return report


def _fitting(
    network: EmbeddingNetwork, state: Mapping[str, Tensor], source: str, bands: InputBands | None
) -> tuple[dict[str, Tensor], WeightsReport]:
    """The tensors of `state` that fit; raises an error if they are too few."""
    backbone = _with_own_names(network.backbone)
    own = backbone.state_dict()
    state, taken = without_prefix(state, set(own))
    state, adapted = _adapted(backbone, state, bands)
    remark = "; ".join(filter(None, (taken, adapted)))
    fitting = {k: v for k, v in state.items() if k in own and v.shape == own[k].shape}
    wanted = [key for key in own if not key.endswith("num_batches_tracked")]
    report = WeightsReport(source, sum(key in fitting for key in wanted), len(wanted), remark)
    if report.matched < REQUIRED_FRACTION * report.wanted:
        raise WeightsError(
            f"{report}; at least nine tenths are needed",
            hint="give weights of this --backbone, with the names of the tensors that torchvision "
            "(for timm/NAME: timm) uses",
        )
    return fitting, report


def adapt_bands(weight: Tensor, bands: int) -> Tensor:
    """Adapt a first convolution's weight to another number of bands.

    The filters of the bands are repeated in turn and scaled. A correction is spread over all
    bands so that the filters' sum is unchanged: a tile with equal bands gives the same output.

    Args:
        weight: (O, C, h, w).
        bands: C', the new number of bands.

    Returns:
        (O, C', h, w).
    """
    chosen = torch.arange(bands) % weight.shape[1]
    adapted = weight[:, chosen] * (weight.shape[1] / bands)
    missing = weight.sum(dim=1, keepdim=True) - adapted.sum(dim=1, keepdim=True)
    return adapted + missing / bands


def _with_own_names(backbone: nn.Module) -> nn.Module:
    """The part of a backbone whose tensors have the names that weights have."""
    return backbone.network if isinstance(backbone, PooledLevels) else backbone


def _adapted(
    backbone: nn.Module, state: dict[str, Tensor], bands: InputBands | None
) -> tuple[dict[str, Tensor], str]:
    """Adapt tensors to a network's input; also returns what was done to the first layer."""
    state, remark = _with_positions(backbone, state), ""
    for name, layer in first_convolutions(backbone).items():
        key = f"{name}.weight"
        if key in state and state[key].ndim == 4 and layer.groups == 1:
            state[key], remark = _first_layer(state[key], layer.in_channels, bands)
    return state, remark


def _first_layer(weight: Tensor, wanted: int, bands: InputBands | None) -> tuple[Tensor, str]:
    """The first layer's weight for `wanted` bands, and a remark if it is not as it was trained."""
    channels = int(weight.shape[1])
    chosen = None if bands is None else bands.channels_in(channels)
    if chosen is not None and bands is not None:
        if chosen == list(range(channels)):
            return weight, ""
        return (
            weight[:, chosen],
            f"the first layer takes its own filters of the bands {bands.in_words()}",
        )
    if channels != wanted:
        return (
            adapt_bands(weight, wanted),
            f"the first layer was adapted from {channels} to {wanted} bands: the weights were "
            f"trained on {(bands and bands.trained_in_words(channels)) or 'others'}",
        )
    return weight, _of_other_bands(channels, bands)


def _of_other_bands(channels: int, bands: InputBands | None) -> str:
    """A remark if weights of as many bands were trained on others, or if that is not known."""
    if bands is None:
        return ""
    trained = bands.trained_in_words(channels)
    if trained:
        return (
            f"they were trained on the bands {trained}, and take {bands.in_words()} in this order"
        )
    if bands.names:
        return (
            "their file does not say which bands they were trained on, and they take "
            f"{bands.in_words()} in this order"
        )
    return ""


def _with_positions(backbone: nn.Module, state: dict[str, Tensor]) -> dict[str, Tensor]:
    positions = "encoder.pos_embedding"
    if isinstance(backbone, torchvision.models.VisionTransformer) and positions in state:
        from torchvision.models.vision_transformer import interpolate_embeddings

        size, patch = backbone.image_size, backbone.patch_size
        try:
            return dict(interpolate_embeddings(size, patch, state))
        except ValueError as error:
            raise WeightsError(f"position embeddings do not fit ({error})") from error
    if type(backbone).__module__.startswith("timm."):
        return converted(backbone, state)
    return state


def _imagenet(backbone_name: str, otherwise: str) -> Mapping[str, Tensor]:
    weights = torchvision.models.get_model_weights(backbone_name).DEFAULT
    try:
        # Through the whole model: some families rename their weights while loading. The
        # downloader prints to standard output, which is reserved for results.
        with contextlib.redirect_stdout(sys.stderr):
            model = torchvision.models.get_model(backbone_name, weights=weights, progress=False)
        return dict(model.state_dict())
    except (URLError, OSError, RuntimeError) as error:
        raise WeightsError(
            f"the ImageNet weights of {backbone_name} could not be downloaded ({error})",
            hint=hint_of_weights(
                weights.url, f"put it into {torch.hub.get_dir()}/checkpoints", otherwise
            ),
        ) from error
