"""The embedding network: a classification backbone, a linear layer, unit norm."""

from __future__ import annotations

import copy
import warnings
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from rsretrieve._core.text import first_line
from rsretrieve.errors import InvalidArgument
from rsretrieve.network.backbone_names import check_backbone_name, unknown_backbone
from rsretrieve.network.backbones.level_names import is_like_levels, levels_name, network_of
from rsretrieve.network.backbones.pooled_levels import build_levels
from rsretrieve.network.backbones.timm_layers import add_padding
from rsretrieve.network.backbones.timm_models import build_timm, input_layers, native_size_px
from rsretrieve.network.backbones.timm_names import is_timm
from rsretrieve.network.runtime.bf16_convolutions import replace_convolutions
from rsretrieve.network.unlabelled.filter_shapes import filters_of
from rsretrieve.network.unlabelled.random_convolutions import RandomConvolutions

_IMAGENET_CLASSES = 1000
_SIZE_ARGUMENTS = {"vit_": "image_size", "maxvit_": "input_size"}
"""Prefixes of backbones whose layers depend on the input size, and the argument that sets it."""
_BUILD_ERRORS = (
    *(RuntimeError, ValueError, AssertionError),
    *(TypeError, ArithmeticError, LookupError),  # of timm's models
)


class EmbeddingNetwork(nn.Module):
    """Turns normalised pixels (B, C, S, S) into unit embeddings (B, D) float32.

    Args:
        backbone: computes features (B, F).
        features: F.
        dimensions: D.
    """

    def __init__(self, backbone: nn.Module, features: int, dimensions: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.projection = nn.Linear(features, dimensions)
        # As published. Since embeddings are normalised, a smaller layer changes its direction
        # faster: with PyTorch's own initialisation, √6 times smaller, a learning rate of 0.1 is
        # too large.
        nn.init.kaiming_normal_(self.projection.weight)

    def features(self, pixels: Tensor) -> Tensor:
        """Backbone features of normalised pixels: (B, C, S, S) → (B, F) float32."""
        features = self.backbone(pixels)
        if not isinstance(features, Tensor):
            features = features[0]  # the others are outputs of auxiliary classifiers
        flat: Tensor = features.flatten(1).float()
        return flat

    def embed_features(self, features: Tensor) -> Tensor:
        """(B, F) float32 → (B, D) unit embeddings."""
        # In float32: similarities need more than the 8 significant bits of bfloat16.
        with torch.autocast(features.device.type, enabled=False):
            return functional.normalize(self.projection(features), dim=1)

    def forward(self, pixels: Tensor) -> Tensor:
        """(B, C, S, S) normalised pixels → (B, D) unit embeddings."""
        return self.embed_features(self.features(pixels))


def build_network(name: str, *, bands: int, size_px: int, dimensions: int) -> EmbeddingNetwork:
    """Build an untrained network.

    Args:
        name: torchvision's name of a classification model, `timm/NAME`, a name of several levels
            (`LevelsName`), or a name of `RandomConvolutions`.
        bands: C, the bands of a tile.
        size_px: S, the side of a tile in pixels.
        dimensions: D of the embedding.

    Returns:
        A network in evaluation mode with random weights.

    Raises:
        InvalidArgument: unknown backbone, or it does not accept tiles of that size.
    """
    if filters_of(name) is None:
        check_backbone(name)
    try:
        backbone, features = _bare_backbone(name, bands, size_px)
        network = EmbeddingNetwork(backbone, features, dimensions)
        _try_out(network, bands, size_px)
    except _BUILD_ERRORS as error:
        reason = first_line(error) or type(error).__name__
        raise InvalidArgument(
            f"backbone {name} cannot take tiles of {size_px} px ({reason})",
            hint=f"give another --size ({_native_size(name)}), or another --backbone",
        ) from error
    return network.to(memory_format=torch.channels_last)


def outline_network(name: str, *, bands: int, size_px: int) -> EmbeddingNetwork:
    """Build a network to compare weights with: without values, if PyTorch can, and so at once.

    Args:
        name: as for `build_network`.
        bands: C, the bands of a tile.
        size_px: S, the side of a tile in pixels.

    Raises:
        InvalidArgument: see `build_network`.
    """
    try:
        with torch.device("meta"):
            return build_network(name, bands=bands, size_px=size_px, dimensions=1)
    except Exception:  # some need values to be built; and only these tell why tiles do not fit
        return build_network(name, bands=bands, size_px=size_px, dimensions=1)


def check_backbone(name: str) -> None:
    """Check that torchvision has a classification model of that name, or timm.

    Raises:
        InvalidArgument: they have none; the hint names similar ones.
    """
    if is_timm(name) or is_like_levels(name):
        check_backbone_name(name)
        return
    import torchvision

    names = torchvision.models.list_models(module=torchvision.models)
    if name not in names:
        raise unknown_backbone(name, names)


def _native_size(name: str) -> str:
    """The size that a backbone surely takes, in words."""
    network = network_of(name)
    native = native_size_px(network) if is_timm(network) else None
    return f"{native} works" if native else "its ImageNet size, often 224, works"


def first_convolutions(backbone: nn.Module) -> dict[str, nn.Conv2d]:
    """Find the layers that take the bands, by their names; usually one."""
    layers = {n: layer for n, layer in backbone.named_modules() if isinstance(layer, nn.Conv2d)}
    listed = input_layers(backbone)  # of one of several levels: none, and the first is taken
    return {name: layers[name] for name in listed or [*layers][:1]}


def _bare_backbone(name: str, bands: int, size_px: int) -> tuple[nn.Module, int]:
    """Build a backbone without its classifying layer: the backbone and F, its features."""
    filters = filters_of(name)
    if filters is not None:
        random = RandomConvolutions(bands, filters)
        return random, random.features
    levels = levels_name(name)
    if levels is not None:
        return build_levels(levels, bands, size_px)
    if is_timm(name):
        built = build_timm(name, bands, size_px)
        replace_convolutions(built.module)
        add_padding(built.module, built.paddings)
        return built.module, built.features
    import torchvision

    arguments: dict[str, Any] = {
        key: size_px for start, key in _SIZE_ARGUMENTS.items() if name.startswith(start)
    }
    if "input_size" in arguments:
        arguments["input_size"] = (size_px, size_px)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns that initialisation is slow
        backbone: nn.Module = torchvision.models.get_model(name, weights=None, **arguments)
    _set_input_bands(backbone, bands)
    features = _remove_classifier(backbone)
    replace_convolutions(backbone)
    return backbone, features


def _set_input_bands(backbone: nn.Module, bands: int) -> None:
    """Give the first convolution `bands` input channels."""
    [(name, old)] = first_convolutions(backbone).items()
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


def _remove_classifier(backbone: nn.Module) -> int:
    """Replace the classifying layer by the identity and return the number of its inputs.

    It is the last layer with a thousand outputs. Dropout next to it is switched off: it would
    only add noise to embeddings, which are compared with each other.
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
    """Run the network once in evaluation mode, and a copy in training mode."""
    network.eval()
    with torch.inference_mode():
        _vectors(network, torch.zeros(1, bands, size_px, size_px))
        # Some backbones need larger tiles for training (auxiliary classifiers). Training changes
        # running statistics: use a copy.
        _vectors(copy.deepcopy(network).train(), torch.zeros(2, bands, size_px, size_px))


def _vectors(network: EmbeddingNetwork, pixels: Tensor) -> Tensor:
    """Not normalised; without autocast, which the meta device lacks."""
    vectors: Tensor = network.projection(network.features(pixels))
    return vectors
