"""Read and check `model.safetensors`, without PyTorch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file

from rsretrieve.errors import ModelDamaged
from rsretrieve.network.metadata import (
    DESCRIPTION_FILE,
    WEIGHTS_FILE,
    ModelFolder,
    check_file,
)
from rsretrieve.network.unlabelled.filter_shapes import filter_shapes

PROJECTION, PROTOTYPES = "network.projection.weight", "prototypes.weight"
TEMPERATURE, _MAX_TEMPERATURE = "prototypes.log_temperature", 1e6
_NUMBER_TYPES = frozenset(["float32", "float16", "int64", "int32", "uint8", "bool"])
Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class StoredTensor:
    """The position of a tensor in a safetensors file.

    Attributes:
        offset: of its first byte, from the start of the file.
        length: in bytes.
        shape: of the tensor.
        dtype: safetensors' name of its type: F32, I64, …
    """

    offset: int
    length: int
    shape: tuple[int, ...]
    dtype: str


def stored_tensors(path: Path) -> dict[str, StoredTensor]:
    """Find the position of each tensor in a safetensors file.

    The library reads tensors but does not tell their offsets, which an ONNX graph needs.

    Returns:
        Positions by the tensors' names.
    """
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(size))
    return {
        name: StoredTensor(8 + size + start, end - start, tuple(entry["shape"]), entry["dtype"])
        for name, entry in header.items()
        if name != "__metadata__"
        for start, end in [entry["data_offsets"]]
    }


def read_weights(model: ModelFolder) -> dict[str, NDArray[Any]]:
    """Read the tensors of a model and check them.

    Returns:
        Tensors by name, as the description and its checksum say.

    Raises:
        ModelDamaged: the file is missing or was changed, does not fit the description, or holds
            values that no network has.
    """
    path = model.folder / WEIGHTS_FILE
    check_file(path, model.description.weights_sha256)
    try:
        arrays = load_file(path)
    except (OSError, SafetensorError, KeyError, TypeError) as error:  # TypeError for bfloat16
        raise ModelDamaged(f"{path} cannot be read ({error})") from error
    try:
        _check_shapes(model, arrays)
        _check_numbers(arrays)
    except ValueError as error:
        raise ModelDamaged(f"{path} does not fit {DESCRIPTION_FILE} ({error})") from error
    return arrays


def _check_shapes(model: ModelFolder, arrays: Arrays) -> None:
    """Check the tensors that determine the sizes of layers, before memory is allocated for them.

    Raises:
        ValueError: a shape differs from the description.
    """
    dimensions, classes = model.description.dimensions, len(model.description.class_names)
    if TEMPERATURE not in arrays or arrays[TEMPERATURE].ndim:
        raise ValueError(f"{TEMPERATURE} is missing, or not a single number")
    for name, wanted in ((PROJECTION, (dimensions, "F")), (PROTOTYPES, (classes, dimensions))):
        if name not in arrays:
            raise ValueError(f"{name} is missing")
        shape = arrays[name].shape
        fits = len(shape) == 2 and 0 not in shape[1:] and shape[0] == wanted[0]
        if not fits or wanted[1] not in (shape[1], "F"):
            expected = ", ".join(map(str, wanted))
            raise ValueError(f"{name} has shape {shape}, expected ({expected})")
    bands = len(model.description.preprocessing.bands)
    for name, filters in filter_shapes(model.description.backbone, bands).items():
        if name not in arrays or arrays[name].shape != filters:
            raise ValueError(f"{name} is missing, or does not have the shape {filters}")


def _check_numbers(arrays: Arrays) -> None:
    """Raise `ValueError` for values that are not finite, or types that no network has."""
    for name, array in arrays.items():
        if array.dtype.name not in _NUMBER_TYPES:
            raise ValueError(f"{name} has type {array.dtype}, which no network has")
        # A finite sum means that all values are finite; it takes a fraction of the time.
        with np.errstate(over="ignore", invalid="ignore"):
            total = array.sum()
        if not np.isfinite(total) and not np.isfinite(array).all():
            raise ValueError(f"{name} is damaged: a value is not finite")
        if name.endswith("running_var") and array.size and array.min() < 0:
            raise ValueError(f"{name} is damaged: a variance is negative")
    with np.errstate(over="ignore", under="ignore"):
        temperature = float(np.exp(arrays[TEMPERATURE]))
    if not 0 < temperature < _MAX_TEMPERATURE:
        raise ValueError(f"{TEMPERATURE} is damaged: not a temperature")
