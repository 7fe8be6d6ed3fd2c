"""Whether a model is the one that an index was built with. Asked without loading PyTorch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from rsretrieve.errors import ModelMismatch
from rsretrieve.index.store.manifest import Manifest

if TYPE_CHECKING:  # a tile of the index is asked for without a model
    from rsretrieve.network.metadata import ModelDescription


class Described(Protocol):
    """A model, loaded or not."""

    @property
    def folder(self) -> Path:
        """Where it lies."""

    @property
    def description(self) -> ModelDescription:
        """What it is."""


def require_same_model(index: Path, manifest: Manifest, model: Described) -> None:
    """Refuse a model, or a preprocessing, that an index was not built with.

    Raises:
        ModelMismatch: naming both fingerprints.
    """
    found, wanted = model.description.fingerprint, manifest.model_fingerprint
    if not wanted:
        raise ModelMismatch(
            f"{index} was built of embeddings made elsewhere, not with {model.folder}: their "
            "vectors cannot be compared",
            hint="ask it by vectors of the same origin, or by tiles that it holds",
        )
    if found != wanted:
        raise ModelMismatch(
            f"{index} was built with the model {wanted[:12]}, and {model.folder} is "
            f"{found[:12]}: their vectors cannot be compared",
            hint=f"give --model with the model it was built with (it was {manifest.model}), "
            "or build the index again with this one",
        )
