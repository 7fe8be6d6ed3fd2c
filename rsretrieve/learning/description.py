"""What a model is, as its folder says it: readable without loading the model, or PyTorch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rsretrieve.errors import ModelDamaged, ModelNotFound
from rsretrieve.storage import read_regular_text, sha256_of_json
from rsretrieve.tiles.preprocessing import Preprocessing

SCHEMA_VERSION = 2  # 2: preprocessing may say `reduced_jpeg`
DESCRIPTION_FILE = "model.json"

_MOST_DIMENSIONS, _MOST_BANDS, _MOST_VALUES = 65_536, 4096, 1 << 28
"""More would take memory that no file is there to fill."""

_NOT_A_DESCRIPTION = (
    *(OSError, ValueError, KeyError, TypeError, AttributeError),
    *(OverflowError, RecursionError),  # of a number without end, of JSON nested without end
)


@dataclass(frozen=True)
class ModelDescription:
    """What `model.json` holds.

    Attributes:
        backbone: a torchvision classification model.
        dimensions: D.
        preprocessing: of every tile.
        class_names: the K classes, in the prototypes' order.
        recipe: every hyper-parameter.
        training: a summary of the training.
        versions: of the libraries that trained it.
        weights_sha256: of `model.safetensors`.
        program_sha256: of `backbone.json`, or None where there is none.
    """

    backbone: str
    dimensions: int
    preprocessing: Preprocessing
    class_names: tuple[str, ...]
    recipe: Mapping[str, Any]
    training: Mapping[str, Any]
    versions: Mapping[str, str]
    weights_sha256: str
    program_sha256: str | None = None

    @property
    def fingerprint(self) -> str:
        """What an embedding hangs on: architecture, preprocessing and weights, as a SHA-256."""
        content = self.to_json()
        return sha256_of_json(
            {key: content[key] for key in ("architecture", "preprocessing", "weights_sha256")}
        )

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "schema_version": SCHEMA_VERSION,
            "architecture": {"backbone": self.backbone, "dimensions": self.dimensions},
            "preprocessing": self.preprocessing.to_json(),
            "class_names": list(self.class_names),
            "recipe": dict(self.recipe),
            "training": dict(self.training),
            "versions": dict(self.versions),
            "weights_sha256": self.weights_sha256,
            "program_sha256": self.program_sha256,
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> ModelDescription:
        """The inverse of `to_json`.

        Raises:
            KeyError, TypeError, ValueError: not a description.
        """
        if not 1 <= int(content["architecture"]["dimensions"]) <= _MOST_DIMENSIONS:
            raise ValueError(f"an embedding has 1 to {_MOST_DIMENSIONS} dimensions")
        bands, size_px = (content["preprocessing"][name] for name in ("bands", "size_px"))
        if not 1 <= len(bands) <= _MOST_BANDS:
            raise ValueError(f"a tile has 1 to {_MOST_BANDS} bands")
        if len(bands) * int(size_px) ** 2 > _MOST_VALUES:
            raise ValueError(f"a tile has at most {_MOST_VALUES} values")
        return cls(
            backbone=str(content["architecture"]["backbone"]),
            dimensions=int(content["architecture"]["dimensions"]),
            preprocessing=Preprocessing.from_json(content["preprocessing"]),
            class_names=tuple(map(str, content["class_names"])),
            recipe=dict(content["recipe"]),
            training=dict(content["training"]),
            versions=dict(content["versions"]),
            weights_sha256=str(content["weights_sha256"]),
            program_sha256=content.get("program_sha256"),  # none in models of before
        )


@dataclass(frozen=True)
class ModelFolder:
    """A model that is not loaded.

    Attributes:
        folder: where it lies.
        description: what it is.
    """

    folder: Path
    description: ModelDescription


def read_description(folder: Path) -> ModelDescription:
    """Read `model.json`.

    Raises:
        ModelNotFound: there is no model.
        ModelDamaged: it is not one, or comes from a newer version.
    """
    path = folder / DESCRIPTION_FILE
    try:
        content = json.loads(read_regular_text(path))
        version = content["schema_version"]
        if version > SCHEMA_VERSION:
            raise ModelDamaged(
                f"{path} was written by a newer rsretrieve (schema {version}; this one reads up "
                f"to {SCHEMA_VERSION})",
                hint="pip install --upgrade rsretrieve",
            )
        return ModelDescription.from_json(content)
    except FileNotFoundError as error:
        raise ModelNotFound(
            f"{folder}: no model there ({DESCRIPTION_FILE} is missing)",
            hint="`rsretrieve train TILES --output DIR` makes one",
        ) from error
    except _NOT_A_DESCRIPTION as error:
        raise ModelDamaged(f"{path} cannot be read as a model's description ({error})") from error
