"""The embedding network: any torchvision classification backbone, one linear layer, unit norm."""

from __future__ import annotations

import copy
import difflib
import warnings
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from rsretrieve.errors import InvalidArgument
from rsretrieve.network.runtime.bf16_convolutions import replace_convolutions

_IMAGENET_CLASSES = 1000
_SIZE_ARGUMENTS = {"vit_": "image_size", "maxvit_": "input_size"}
"""Backbones whose layers hang on the input's size, and how they are told."""


class EmbeddingNetwork(nn.Module):
    """Normalised pixels (B, C, S, S) → unit embeddings (B, D) in float32.

    Args:
        backbone: gives features (B, F).
        features: F.
        dimensions: D.
    """

    def __init__(self, backbone: nn.Module, features: int, dimensions: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.projection = nn.Linear(features, dimensions)
        # As published. Under a unit norm the scale of a layer sets how fast it turns: from
        # PyTorch's own start, √6 times smaller, a learning rate of 0.1 spins it.
        nn.init.kaiming_normal_(self.projection.weight)

    def features(self, pixels: Tensor) -> Tensor:
        """What the backbone makes of a batch: (B, F) float32."""
        features = self.backbone(pixels)
        if not isinstance(features, Tensor):
            features = features[0]  # beside the outputs of auxiliary classifiers
        flat: Tensor = features.flatten(1).float()
        return flat

    def embed_features(self, features: Tensor) -> Tensor:
        """(B, F) float32 → (B, D) unit embeddings."""
        # The last layer and the norm in float32: similarities need more than 8 bits.
        with torch.autocast(features.device.type, enabled=False):
            return functional.normalize(self.projection(features), dim=1)

    def forward(self, pixels: Tensor) -> Tensor:
        """Embed a batch."""
        return self.embed_features(self.features(pixels))


def build_network(name: str, *, bands: int, size_px: int, dimensions: int) -> EmbeddingNetwork:
    """Build an untrained network.

    Args:
        name: a classification model of torchvision, by its torchvision name.
        bands: C of the input.
        size_px: S of the input.
        dimensions: D of the embedding.

    Raises:
        InvalidArgument: no such backbone, or it cannot take tiles of that size.
    """
    check_backbone(name)
    try:
        backbone, features = _bare_backbone(name, bands, size_px)
        replace_convolutions(backbone)
        network = EmbeddingNetwork(backbone, features, dimensions)
        _try_out(network, bands, size_px)
    except (RuntimeError, ValueError, AssertionError) as error:
        reason = str(error).split("\n")[0]
        raise InvalidArgument(
            f"backbone {name} cannot take tiles of {size_px} px ({reason})",
            hint="give another --size (its ImageNet size, often 224, fits), or another --backbone",
        ) from error
    return network.to(memory_format=torch.channels_last)


def check_backbone(name: str) -> None:
    """Raise `InvalidArgument`, naming the nearest, for a name that torchvision does not have."""
    import torchvision

    names = torchvision.models.list_models(module=torchvision.models)
    if name not in names:
        near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
        raise InvalidArgument(
            f"no such backbone: {name!r}",
            hint=f"near to it: {', '.join(near)}" if near else f"there are: {', '.join(names)}",
        )


def first_convolution(backbone: nn.Module) -> tuple[str, nn.Conv2d]:
    """The layer that takes the bands, and its name."""
    layers = backbone.named_modules()
    return next((name, layer) for name, layer in layers if isinstance(layer, nn.Conv2d))


def _bare_backbone(name: str, bands: int, size_px: int) -> tuple[nn.Module, int]:
    """A backbone that gives features, and how many."""
    import torchvision

    arguments: dict[str, Any] = {
        key: size_px for start, key in _SIZE_ARGUMENTS.items() if name.startswith(start)
    }
    if "input_size" in arguments:
        arguments["input_size"] = (size_px, size_px)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # on slow initialisation, of no concern here
        backbone: nn.Module = torchvision.models.get_model(name, weights=None, **arguments)
    _take_bands(backbone, bands)
    return backbone, _behead(backbone)


def _take_bands(backbone: nn.Module, bands: int) -> None:
    """Give the first convolution `bands` input channels."""
    name, old = first_convolution(backbone)
    if old.in_channels == bands:
        return
    new = nn.Conv2d(
        bands,
        old.out_channels,
        old.kernel_size,  # type: ignore[arg-type]
        old.stride,  # type: ignore[arg-type]
        old.padding,  # type: ignore[arg-type]
        old.dilation,  # type: ignore[arg-type]
        bias=old.bias is not None,
    )
    backbone.set_submodule(name, new)


def _behead(backbone: nn.Module) -> int:
    """Take the classifying layer out of a backbone and return how many features it was given.

    It is the last layer with a thousand outputs. Dropout beside it goes too: an embedding
    is compared with others, and noise on it only blurs the comparison.
    """
    heads = [
        (name, layer.in_features if isinstance(layer, nn.Linear) else layer.in_channels)
        for name, layer in backbone.named_modules()
        if (isinstance(layer, nn.Linear) and layer.out_features == _IMAGENET_CLASSES)
        or (isinstance(layer, nn.Conv2d) and layer.out_channels == _IMAGENET_CLASSES)
    ]
    name, features = heads[-1]
    backbone.set_submodule(name, nn.Identity())
    for sibling in backbone.get_submodule(name.rpartition(".")[0]).children():
        if isinstance(sibling, nn.Dropout):
            sibling.p = 0.0
    return features


def _try_out(network: EmbeddingNetwork, bands: int, size_px: int) -> None:
    network.eval()
    with torch.inference_mode():
        network(torch.zeros(1, bands, size_px, size_px))
        # Training takes more of some (auxiliary classifiers), and leaves its mark: on a copy.
        copy.deepcopy(network).train()(torch.zeros(2, bands, size_px, size_px))
