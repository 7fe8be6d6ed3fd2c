"""Check that a model is the one that an index was built with, without loading PyTorch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from rsretrieve.errors import ModelMismatch
from rsretrieve.index.store.manifest import Manifest

if TYPE_CHECKING:  # a query by a tile of the index needs no model
    from rsretrieve.network.metadata import ModelDescription


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
            hint=f"give --model {manifest.model}, or build the index again with this model",
        )
