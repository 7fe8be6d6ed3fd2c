"""Check that a model, tiles and an index belong together, without loading PyTorch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from rsretrieve.data.profile.misfit import scale_warning, spread_warning, value_warnings
from rsretrieve.data.profile.spread import spread_of
from rsretrieve.data.profile.tile_features import TileFeatures
from rsretrieve.data.profile.tile_scale import TileScale
from rsretrieve.errors import ModelMismatch
from rsretrieve.index.store.manifest import Manifest

if TYPE_CHECKING:  # a query by a tile of the index needs no model
    from rsretrieve.network.metadata import ModelDescription


_COMPARED = 500


class HasDescription(Protocol):
    """A model, loaded or not."""

    @property
    def folder(self) -> Path:
        """The model folder."""

    @property
    def description(self) -> ModelDescription:
        """What model.json says."""


def require_same_model(index: Path, manifest: Manifest, model: HasDescription) -> None:
    """Refuse a model, or a preprocessing, that an index was not built with.

    Args:
        index: the index folder, for the message.
        manifest: of the index.
        model: the model to compare.

    Raises:
        ModelMismatch: the fingerprints differ; the message names both.
    """
    found, wanted = model.description.fingerprint, manifest.model_fingerprint
    if not wanted:
        raise ModelMismatch(
            f"{index} holds external embeddings, not computed with {model.folder}: their vectors "
            "cannot be compared",
            hint="query it with vectors from the same source, or with tiles that it holds",
        )
    if found != wanted:
        raise ModelMismatch(
            f"{index} was built with the model {wanted[:12]}, and {model.folder} is "
            f"{found[:12]}: their vectors cannot be compared",
            hint=f"give --model {manifest.model_path(index)}, or build the index again with this "
            "model",
        )


def fit_warnings(
    description: ModelDescription, features: TileFeatures, vectors: NDArray[np.float32]
) -> list[str]:
    """Compare tiles and their embeddings with those that a model was trained on.

    Args:
        description: of the model.
        features: of some of the tiles.
        vectors: (N, D) float32 unit rows, the embeddings of all.

    Returns:
        A sentence for each difference.
    """
    profile = description.trained_on
    spread = spread_warning(profile, spread_of(vectors), len(vectors))
    values = value_warnings(description.preprocessing, profile, features)
    return [*values, *([spread] if spread else [])]


def collapse_warnings(description: ModelDescription, vectors: NDArray[np.float32]) -> list[str]:
    """Check that a model tells the tiles of an index apart.

    Args:
        description: of the model.
        vectors: (N, D) float32 unit rows of the index; some of them are compared.

    Returns:
        One sentence if it does not.
    """
    some = vectors[:: -(-len(vectors) // _COMPARED)]
    which = "the tiles of the index"
    text = spread_warning(description.trained_on, spread_of(some), len(some), which)
    return [text] if text else []


def scale_warnings(description: ModelDescription, found: TileScale) -> list[str]:
    """Compare the size of tiles on the ground with that of a model's training tiles.

    Args:
        description: of the model.
        found: the size of the tiles.

    Returns:
        One sentence if they differ.
    """
    if description.trained_on is None:
        return []
    size_px = description.preprocessing.size_px
    text = scale_warning(size_px, description.trained_on.scale, found)
    return [text] if text else []
