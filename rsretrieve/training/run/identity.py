"""What tells a training from all others, so that it is resumed only with the same data."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsretrieve._core.atomic_write import sha256_of_file, sha256_of_json
from rsretrieve.network.metadata import DESCRIPTION_FILE, TILES_FILE, WEIGHTS_FILE
from rsretrieve.network.shipped.given_weights import weights_path
from rsretrieve.training.dataset import PreparedTiles
from rsretrieve.training.recipe import Recipe
from rsretrieve.training.step import TrainingSettings

_DIGEST_BLOCK = 64


def training_identity(
    recipe: Recipe, weights: str, prepared: PreparedTiles, settings: TrainingSettings
) -> dict[str, Any]:
    """Everything that determines the result of a training; see `Checkpoint`.

    Args:
        recipe: as it was asked for.
        weights: as the user named them.
        prepared: the tiles.
        settings: what the training is run with.
    """
    tiles = hashlib.sha256()
    for tile, label in zip(prepared.tiles, prepared.train.labels):
        tiles.update(f"{tile.id}\0{label}\0".encode("utf-8", "surrogateescape"))
        if tile.confirmed is not None:
            tiles.update(b"confirmed\0")
    validation = prepared.validation
    return {
        **{f"recipe.{name}": value for name, value in recipe.to_json().items()},
        "tiles and labels": tiles.hexdigest()[:16],
        "training pixels": digest_arrays(prepared.train.pixels),
        "classes": list(prepared.class_names),
        "validation tiles": (
            "none" if validation is None else digest_arrays(validation.pixels, validation.labels)
        ),
        "bands": list(prepared.preprocessing.bands),
        "preprocessing": sha256_of_json(prepared.preprocessing.to_json())[:16],
        "weights": weights,
        "content of the weights": weights_digest(weights),
        "--batch-size auto": "given" if settings.micro_batches else "not given",
        "seed": settings.seed,
        "device": settings.device.type,
        "precision": str(settings.precision),
    }


def weights_digest(weights: str) -> str:
    """Digest the content of weights.

    Args:
        weights: a file, a folder with a model, or a name.

    Returns:
        64 hexadecimal digits, two such numbers for a model with a record of its tiles, which gives
        starting features; the name itself if it is no path.

    Raises:
        OSError: a file cannot be read.
    """
    path = weights_path(weights)
    if path is None:
        return weights
    files = [path]
    if (path / DESCRIPTION_FILE).is_file():
        files = [path / WEIGHTS_FILE, path / TILES_FILE]
    return " ".join(sha256_of_file(file) for file in files if file.is_file()) or weights


def digest_arrays(*arrays: NDArray[Any]) -> str:
    """Digest arrays block by block: they may be larger than memory.

    Args:
        arrays: of any shape and dtype, which are part of the digest.

    Returns:
        16 hexadecimal digits.
    """
    content = hashlib.sha256()
    for array in arrays:
        content.update(f"{array.shape} {array.dtype.str} ".encode())
        for start in range(0, len(array), _DIGEST_BLOCK):
            block = np.ascontiguousarray(array[start : start + _DIGEST_BLOCK])
            content.update(block.reshape(-1).view(np.uint8).data)
    return content.hexdigest()[:16]
