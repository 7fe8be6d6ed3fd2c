"""Read the tensors of a weights file, out of what training programs wrap them in."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from rsretrieve._core.text import first_line
from rsretrieve.errors import WeightsError, missing_weights

_WRAPPINGS = (
    *("state_dict_ema", "model_ema"),  # averages over the training come first, as in timm
    *("state_dict", "model_state_dict", "model"),
    *("teacher", "student", "net", "network", "backbone", "encoder"),
)
_DEEPEST_PREFIX = 6


def read_tensors(path: Path) -> Mapping[str, Tensor]:
    """Read a `.safetensors` file, or one that PyTorch wrote. No code of the file is run.

    Args:
        path: as the user named it.

    Raises:
        WeightsError: it is missing, or holds no named tensors.
    """
    if not path.is_file():
        raise missing_weights(path)
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        # Many training programs store their options beside the weights; they have no effect here.
        with torch.serialization.safe_globals([argparse.Namespace]):
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


def without_prefix(state: Mapping[str, Tensor], wanted: set[str]) -> tuple[dict[str, Tensor], str]:
    """Remove the prefix that wrappers added to the names, if more of them fit without it.

    Returns:
        The tensors, and a remark if several prefixes fit: the first of them is taken.
    """
    found = Counter({"": len(wanted & state.keys())})
    for key in state:
        parts = key.split(".")[:_DEEPEST_PREFIX]
        for end in range(1, len(parts)):
            prefix = ".".join(parts[:end]) + "."
            found[prefix] += key.removeprefix(prefix) in wanted
    most = max(found.values())
    prefixes = [prefix for prefix, count in found.items() if count == most]
    taken = prefixes[0]
    if not taken:
        return dict(state), ""
    stripped = {key[len(taken) :]: v for key, v in state.items() if key.startswith(taken)}
    several = f"the file holds several networks, and that of {taken}* is taken"
    return stripped, several if len(prefixes) > 1 else ""
