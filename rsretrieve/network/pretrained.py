"""Load pre-trained weights into a backbone."""

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

from rsretrieve._core.text import first_line
from rsretrieve.enums import NO_WEIGHTS
from rsretrieve.errors import WeightsError, missing_weights
from rsretrieve.network.network import EmbeddingNetwork, first_convolution

REQUIRED_FRACTION = 0.9
_WRAPPINGS = ("state_dict", "model_state_dict", "model")
_PREFIXES = ("module.", "backbone.", "model.")


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


@dataclass(frozen=True)
class InputBands:
    """The bands that a network takes, and those that its weights were trained with.

    Attributes:
        bands: the tiles' bands in the network's order, counted from 1.
        source_bands: the number of bands of the tiles' files.
        trained: the bands of the weights in the same files; None if unknown.
    """

    bands: tuple[int, ...]
    source_bands: int
    trained: tuple[int, ...] | None = None

    def channels_in(self, channels: int) -> list[int] | None:
        """The input channels of the weights that belong to the bands, from 0; None if unknown.

        Weights of as many channels as the files have bands take all bands in their order.
        """
        known = self.trained
        if known is None and channels == self.source_bands and channels != len(self.bands):
            known = tuple(range(1, channels + 1))
        if known is None or len(known) != channels or not {*self.bands} <= {*known}:
            return None
        return [known.index(band) for band in self.bands]


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


def check_weights(backbone_name: str, source: str) -> None:
    """Check that weights can be obtained, before a long training starts.

    torchvision keeps downloaded weights and does not download them again.

    Args:
        backbone_name: torchvision's name of the backbone.
        source: a value of `train --weights`.

    Raises:
        WeightsError: they cannot be downloaded or read.
    """
    if source != NO_WEIGHTS and not Path(source).is_dir():
        _read(backbone_name, source)


def _read(backbone_name: str, source: str) -> Mapping[str, Tensor]:
    return _imagenet(backbone_name) if source == "imagenet" else _read_file(Path(source))


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
    backbone = network.backbone
    own = backbone.state_dict()
    state, remark = _adapted(network, _without_prefix(state, set(own)), bands)
    fitting = {k: v for k, v in state.items() if k in own and v.shape == own[k].shape}
    wanted = [key for key in own if not key.endswith("num_batches_tracked")]
    report = WeightsReport(source, sum(key in fitting for key in wanted), len(wanted), remark)
    if report.matched < REQUIRED_FRACTION * report.wanted:
        raise WeightsError(
            f"{report}; at least nine tenths are needed",
            hint="give weights of this --backbone, with torchvision's names of the tensors",
        )
    backbone.load_state_dict(fitting, strict=False)
    return report


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


def _adapted(
    network: EmbeddingNetwork, state: dict[str, Tensor], bands: InputBands | None
) -> tuple[dict[str, Tensor], str]:
    """Adapt tensors to a network's input; also returns what was done to the first layer."""
    name, layer = first_convolution(network.backbone)
    key, remark = f"{name}.weight", ""
    if key in state and state[key].ndim == 4:
        state[key], remark = _first_layer(state[key], layer.in_channels, bands)
    return _with_positions(network, state), remark


def _first_layer(weight: Tensor, wanted: int, bands: InputBands | None) -> tuple[Tensor, str]:
    """The first layer's weight for `wanted` bands, and a remark if it is not as it was trained."""
    channels = int(weight.shape[1])
    chosen = None if bands is None else bands.channels_in(channels)
    if chosen is not None and bands is not None:
        if chosen == list(range(channels)):
            return weight, ""
        named = ",".join(map(str, bands.bands))
        return weight[:, chosen], f"the first layer takes its own filters of the bands {named}"
    if channels != wanted:
        return (
            adapt_bands(weight, wanted),
            f"the first layer was adapted from {channels} to {wanted} bands: the weights were "
            "trained on others",
        )
    return weight, _of_other_bands(channels, bands)


def _of_other_bands(channels: int, bands: InputBands | None) -> str:
    """A remark if weights of as many bands were trained on others, as far as that is known."""
    if bands is None:
        return ""
    if bands.trained is not None:
        trained = ",".join(map(str, bands.trained))
    elif channels == 3 and bands.source_bands > 3:
        trained = "red, green, blue"
    else:
        return ""
    named = ",".join(map(str, bands.bands))
    return f"they were trained on the bands {trained}, and take {named} in this order"


def _with_positions(network: EmbeddingNetwork, state: dict[str, Tensor]) -> dict[str, Tensor]:
    positions = "encoder.pos_embedding"
    if isinstance(network.backbone, torchvision.models.VisionTransformer) and positions in state:
        from torchvision.models.vision_transformer import interpolate_embeddings

        size, patch = network.backbone.image_size, network.backbone.patch_size
        try:
            return dict(interpolate_embeddings(size, patch, state))
        except ValueError as error:
            raise WeightsError(f"position embeddings do not fit ({error})") from error
    return state


def _without_prefix(state: Mapping[str, Tensor], wanted: set[str]) -> dict[str, Tensor]:
    """Remove the prefix that a wrapper added to the names, if more of them fit without it."""

    def stripped(prefix: str) -> dict[str, Tensor]:
        return {k[len(prefix) :]: v for k, v in state.items() if k.startswith(prefix)}

    candidates = [dict(state), *(stripped(prefix) for prefix in _PREFIXES)]
    return max(candidates, key=lambda candidate: len(wanted & candidate.keys()))


def _imagenet(backbone_name: str) -> Mapping[str, Tensor]:
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
            hint=f"download {weights.url} on a computer with internet access and give it with "
            f"--weights FILE, or put it into {torch.hub.get_dir()}/checkpoints; "
            "or start without pre-trained weights: --weights none",
        ) from error


def _read_file(path: Path) -> Mapping[str, Tensor]:
    if not path.is_file():
        raise missing_weights(path)
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        return _tensors_of(torch.load(path, map_location="cpu", weights_only=True))
    except Exception as error:  # the readers may raise anything for a damaged file
        reason = first_line(error)
        raise WeightsError(f"--weights {path}: cannot be read as weights ({reason})") from error


def _tensors_of(content: Any) -> dict[str, Tensor]:
    for wrapping in _WRAPPINGS:
        if isinstance(content, Mapping) and isinstance(content.get(wrapping), Mapping):
            content = content[wrapping]
    if not isinstance(content, Mapping):
        raise TypeError("it contains no named tensors")
    return {str(key): value for key, value in content.items() if isinstance(value, Tensor)}
