"""Pre-trained weights: where they come from, and fitting them to a backbone."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import URLError

import torch
import torchvision
from torch import Tensor

from rsretrieve.enums import NO_WEIGHTS
from rsretrieve.errors import WeightsError
from rsretrieve.network.network import EmbeddingNetwork, first_convolution

REQUIRED_FRACTION = 0.9
_WRAPPINGS = ("state_dict", "model_state_dict", "model")
_PREFIXES = ("module.", "backbone.", "model.")


@dataclass(frozen=True)
class WeightsReport:
    """How many of the backbone's tensors were found in the weights."""

    source: str
    matched: int
    wanted: int

    def __str__(self) -> str:
        return f"weights {self.source}: {self.matched} of {self.wanted} tensors matched"


def load_weights(network: EmbeddingNetwork, backbone_name: str, source: str) -> WeightsReport:
    """Load pre-trained weights into a network's backbone.

    The first layer of three-band weights is adapted to C bands, and position embeddings to
    the input's size. The classifying layer, which the network does not have, is passed over.

    Args:
        network: the network; its projection is left as it is.
        backbone_name: the backbone's torchvision name.
        source: `imagenet` for torchvision's own, a `.safetensors` file, or a `.pth` file.

    Raises:
        WeightsError: they cannot be had or read, or less than nine tenths of the backbone's
            tensors are among them.
    """
    return fit_weights(network, _read(backbone_name, source), source)


def check_weights(backbone_name: str, source: str) -> None:
    """Raise the `WeightsError` of weights that cannot be had, before long work begins.

    What is downloaded is kept by torchvision, and not downloaded again.
    """
    if source != NO_WEIGHTS and not Path(source).is_dir():
        _read(backbone_name, source)


def _read(backbone_name: str, source: str) -> Mapping[str, Tensor]:
    return _imagenet(backbone_name) if source == "imagenet" else _read_file(Path(source))


def fit_weights(
    network: EmbeddingNetwork, state: Mapping[str, Tensor], source: str
) -> WeightsReport:
    """Load into a backbone what fits of `state`, by torchvision's key names.

    Raises:
        WeightsError: less than nine tenths of the backbone's tensors fit.
    """
    backbone = network.backbone
    own = backbone.state_dict()
    state = _adapted(network, _without_prefix(state, set(own)))
    fitting = {k: v for k, v in state.items() if k in own and v.shape == own[k].shape}
    wanted = [key for key in own if not key.endswith("num_batches_tracked")]
    report = WeightsReport(source, sum(key in fitting for key in wanted), len(wanted))
    if report.matched < REQUIRED_FRACTION * report.wanted:
        raise WeightsError(
            f"{report}, and at least nine tenths are needed",
            hint="are they weights of this --backbone? Their names must be torchvision's",
        )
    backbone.load_state_dict(fitting, strict=False)
    return report


def adapt_bands(weight: Tensor, bands: int) -> Tensor:
    """Adapt a first convolution's weight to another number of bands.

    The bands' filters are repeated in turn and scaled, and what is then missing of their sum
    is spread over all, so that a tile that is the same in every band excites the layer as
    before.

    Args:
        weight: (O, C, h, w).
        bands: C'.

    Returns:
        (O, C', h, w).
    """
    chosen = torch.arange(bands) % weight.shape[1]
    adapted = weight[:, chosen] * (weight.shape[1] / bands)
    missing = weight.sum(dim=1, keepdim=True) - adapted.sum(dim=1, keepdim=True)
    return adapted + missing / bands


def _adapted(network: EmbeddingNetwork, state: dict[str, Tensor]) -> dict[str, Tensor]:
    name, layer = first_convolution(network.backbone)
    key = f"{name}.weight"
    if key in state and state[key].ndim == 4 and state[key].shape[1] != layer.in_channels:
        state[key] = adapt_bands(state[key], layer.in_channels)
    positions = "encoder.pos_embedding"
    if isinstance(network.backbone, torchvision.models.VisionTransformer) and positions in state:
        from torchvision.models.vision_transformer import interpolate_embeddings

        size, patch = network.backbone.image_size, network.backbone.patch_size
        try:
            return dict(interpolate_embeddings(size, patch, state))
        except ValueError as error:
            raise WeightsError(f"position embeddings that do not fit ({error})") from error
    return state


def _without_prefix(state: Mapping[str, Tensor], wanted: set[str]) -> dict[str, Tensor]:
    """Take off the prefix that wrappers put before names, if that makes more of them fit."""

    def stripped(prefix: str) -> dict[str, Tensor]:
        return {k[len(prefix) :]: v for k, v in state.items() if k.startswith(prefix)}

    candidates = [dict(state), *(stripped(prefix) for prefix in _PREFIXES)]
    return max(candidates, key=lambda candidate: len(wanted & candidate.keys()))


def _imagenet(backbone_name: str) -> Mapping[str, Tensor]:
    weights = torchvision.models.get_model_weights(backbone_name).DEFAULT
    try:
        # By way of the whole model: some families rename their weights while loading. And
        # the downloader prints, where standard output is for results.
        with contextlib.redirect_stdout(sys.stderr):
            model = torchvision.models.get_model(backbone_name, weights=weights, progress=False)
        return dict(model.state_dict())
    except (URLError, OSError, RuntimeError) as error:
        raise WeightsError(
            f"the ImageNet weights of {backbone_name} could not be downloaded ({error})",
            hint=f"on a machine that is online, download {weights.url} and give it with "
            f"--weights FILE, or put it into {torch.hub.get_dir()}/checkpoints; "
            "or start from nothing with --weights none",
        ) from error


def _read_file(path: Path) -> Mapping[str, Tensor]:
    if not path.is_file():
        raise WeightsError(
            f"--weights {path}: no such file",
            hint="give imagenet, none, a .safetensors or .pth file, or a model folder",
        )
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        return _tensors_of(torch.load(path, map_location="cpu", weights_only=True))
    except Exception as error:  # the readers raise whatever the bytes lead them to
        reason = str(error).split("\n")[0]
        raise WeightsError(f"--weights {path}: cannot be read as weights ({reason})") from error


def _tensors_of(content: Any) -> dict[str, Tensor]:
    for wrapping in _WRAPPINGS:
        if isinstance(content, Mapping) and isinstance(content.get(wrapping), Mapping):
            content = content[wrapping]
    if not isinstance(content, Mapping):
        raise TypeError("it holds no table of named tensors")
    return {str(key): value for key, value in content.items() if isinstance(value, Tensor)}
