"""Build models of timm. Nothing is downloaded, except by `download_weights`."""

from __future__ import annotations

import contextlib
import sys
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_parameter_registration_hook

from rsretrieve._core.text import first_line
from rsretrieve.errors import InvalidArgument, WeightsError
from rsretrieve.network.backbones.timm_layers import Padding, make_same_padding_static
from rsretrieve.network.backbones.timm_names import architecture_of, weights_tag_of

_HUB_FILE = "model.safetensors"
_PATIENCE_S = 10
_REPLACED = 2  # an architecture may make parameters twice, and replace the first


@dataclass(frozen=True)
class BuiltModel:
    """A model of timm without its classifying layer.

    Attributes:
        module: it turns (B, C, S, S) into (B, F).
        features: F.
        paddings: what some of its convolutions need; see `add_padding`.
    """

    module: nn.Module
    features: int
    paddings: Mapping[str, Padding]


def build_timm(name: str, bands: int, size_px: int) -> BuiltModel:
    """Build a model without its classifying layer, with random weights.

    Args:
        name: `timm/ARCHITECTURE` with or without a tag of weights, which changes nothing here.
        bands: C, the bands of a tile.
        size_px: S, the side of a tile in pixels.

    Returns:
        The model, in evaluation mode.

    Raises:
        InvalidArgument: it gives no single vector for a tile.
        RuntimeError, ValueError, TypeError, AssertionError: it does not take such tiles.
    """
    architecture = architecture_of(name)
    arguments: dict[str, Any] = {"in_chans": bands, "num_classes": 0}
    model = _created(architecture, arguments, size_px).eval()
    tile = torch.zeros(1, bands, size_px, size_px)
    with torch.inference_mode():
        features = model(tile)
    if not isinstance(features, Tensor) or features.ndim != 2:
        raise InvalidArgument(
            f"backbone {name} does not give one vector for a tile",
            hint="give another --backbone, one that classifies images",
        )
    return BuiltModel(model, features.shape[1], make_same_padding_static(model, tile))


def check_parameters(name: str, bands: int, size_px: int, available: int) -> None:
    """Refuse a model that needs more parameters than a file holds, before it takes memory.

    Args:
        name: `timm/ARCHITECTURE`.
        bands: C, the bands of a tile.
        size_px: S, the side of a tile in pixels.
        available: numbers in the file.

    Raises:
        ValueError: it needs more.
    """
    arguments = {"in_chans": bands, "num_classes": 0}
    try:
        with torch.device("meta"):
            model = _created(architecture_of(name), arguments, size_px)
    except Exception:  # some architectures compute with their parameters while they are built
        with _no_more_parameters_than(_REPLACED * available, name):
            model = _created(architecture_of(name), arguments, size_px)
    wanted = sum(parameter.numel() for parameter in model.parameters())
    if wanted > available:
        raise ValueError(f"backbone {name} has {wanted:,} parameters, and there are {available:,}")


@contextlib.contextmanager
def _no_more_parameters_than(limit: int, name: str) -> Iterator[None]:
    """End the construction of a model once it has made more parameters than this."""
    made = 0

    def count(module: nn.Module, of: str, parameter: nn.Parameter | None) -> None:
        nonlocal made
        made += 0 if parameter is None else parameter.numel()
        if made > limit:
            raise ValueError(f"backbone {name} has more than {limit:,} parameters")

    hook = register_module_parameter_registration_hook(count)
    try:
        yield
    finally:
        hook.remove()


def _created(architecture: str, arguments: dict[str, Any], size_px: int) -> nn.Module:
    """Create a model for tiles of a size, which some architectures must know in advance."""
    import timm

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about deprecated modules of timm itself
        if pretraining(architecture).get("fixed_input_size"):
            with contextlib.suppress(TypeError):  # some only take the size that they were made for
                return timm.create_model(architecture, img_size=size_px, **arguments)
        return timm.create_model(architecture, **arguments)


def pretraining(name: str) -> Mapping[str, Any]:
    """How the weights that a name asks for were trained: timm's `PretrainedCfg`, as a mapping.

    It is empty if timm says nothing about them.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from timm.models import get_pretrained_cfg

    tag = weights_tag_of(name)
    found = get_pretrained_cfg(architecture_of(name) + (f".{tag}" if tag else ""))
    return {} if found is None else dict(found.to_dict())  # type: ignore[no-untyped-call]


def native_size_px(name: str) -> int | None:
    """The side of the images that a model was made for; None if timm does not say."""
    size = pretraining(name).get("input_size")
    return int(size[-1]) if size else None


def input_layers(model: nn.Module) -> list[str]:
    """Names of the convolutions that take the bands, as timm lists them for its models.

    The list is empty for models of others, and for those whose first layer is no convolution.
    """
    named = getattr(model, "pretrained_cfg", None) or {}
    first = named.get("first_conv") or ()
    candidates = [first] if isinstance(first, str) else list(first)
    layers = dict(model.named_modules())
    return [name for name in candidates if isinstance(layers.get(name), nn.Conv2d)]


def converted(model: nn.Module, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights as a model of timm takes them: its own names, positions of its own grid.

    Each family has a function that converts the tensors of its original publication and resizes
    position embeddings.

    Args:
        model: a model of timm.
        state: tensors by timm's names, or by those of the original publication.

    Returns:
        The tensors; `state` itself if the family has no such function or it fails.
    """
    convert = getattr(sys.modules[type(model).__module__], "checkpoint_filter_fn", None)
    if convert is None:
        return dict(state)
    own = model.state_dict()
    try:
        with torch.no_grad():
            found = {k: v for k, v in convert(dict(state), model).items() if isinstance(v, Tensor)}
    except Exception:  # it may fail in any way for tensors of another architecture
        return dict(state)
    return found if _fitting(found, own) >= _fitting(state, own) else dict(state)


def _fitting(state: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> int:
    return sum(key in own and value.shape == own[key].shape for key, value in state.items())


def download_weights(name: str, otherwise: str = "") -> dict[str, Tensor]:
    """Download the weights that a name asks for, or take them from the cache of an earlier time.

    Args:
        name: `timm/ARCHITECTURE`, or `timm/ARCHITECTURE.WEIGHTS`.
        otherwise: what else the user can do, for the hint of an error.

    Raises:
        WeightsError: there are none, or they cannot be downloaded.
    """
    import timm

    facts, tag = pretraining(name), weights_tag_of(name)
    repository = str(facts.get("hf_hub_id") or "")
    source = f"{_HUB_FILE} of {repository}" if repository else facts.get("url")
    if not source:
        raise WeightsError(
            f"timm has no pre-trained weights of {name}",
            hint=hint_of_weights("", otherwise),
        )
    try:
        if repository:
            _require_connection(repository)
        with contextlib.redirect_stdout(sys.stderr), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            asked = architecture_of(name) + (f".{tag}" if tag else "")
            model = timm.create_model(asked, pretrained=True)
        return dict(model.state_dict())
    except Exception as error:  # the download libraries raise errors of their own
        raise WeightsError(
            f"the weights of {name} could not be downloaded ({first_line(error)})",
            hint=hint_of_weights(str(source), otherwise),
        ) from error


def hint_of_weights(source: str, *others: str) -> str:
    """The hint of an error of weights that cannot be obtained.

    Args:
        source: where they can be downloaded; empty if nowhere.
        others: what else the user can do; empty ones are left out.
    """
    file, place = "give a file with --weights FILE", "on a computer with internet access"
    if source:
        file = f"download {source} {place} and give it with --weights FILE"
    return "; or ".join(filter(None, (file, *others)))


def _require_connection(repository: str) -> None:
    """Raise `URLError` if a file must be fetched and its server cannot be reached.

    The library itself would try for a minute, and log each try.
    """
    import huggingface_hub
    from huggingface_hub.constants import HF_HUB_OFFLINE

    cached = huggingface_hub.try_to_load_from_cache(repository, _HUB_FILE)
    if HF_HUB_OFFLINE or isinstance(cached, str):
        return
    address = huggingface_hub.hf_hub_url(repository, _HUB_FILE)
    with contextlib.suppress(HTTPError):  # it was reached; the library says what is wrong
        urlopen(Request(address, method="HEAD"), timeout=_PATIENCE_S).close()
