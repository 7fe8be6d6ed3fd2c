"""The description of a model, `model.json`: read without the network and without PyTorch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from rsretrieve._core.atomic_write import sha256_of_json
from rsretrieve._core.regular_files import read_regular_text, sha256_of_regular
from rsretrieve._core.sealing import parsed, unsealed
from rsretrieve.data.pixels.extreme import MOST_STATISTIC
from rsretrieve.data.preprocessing.preprocessing import Preprocessing
from rsretrieve.data.profile.training_profile import TrainingProfile
from rsretrieve.data.run_context import RunContext
from rsretrieve.errors import ModelDamaged, ModelNotFound

SCHEMA_VERSION = 2  # since 2 preprocessing may have `reduced_jpeg`
DESCRIPTION_FILE = "model.json"
WEIGHTS_FILE = "model.safetensors"
PROGRAM_FILE = "backbone.json"  # in old models; its checksum is compared, it is not read
GRAPH_FILE = "network.onnx"
TILES_FILE = "tiles.parquet"

MAX_DIMENSIONS = 65_536
_MAX_BANDS, _MAX_VALUES = 4096, 1 << 28
"""Limits against damaged or hostile files that would allocate more memory than exists."""
_MAX_SOURCE_BANDS = 65_536
_PIXEL_TYPES = frozenset(
    f"{kind}{bits}" for kind in ("uint", "int") for bits in (8, 16, 32, 64)
) | {"float16", "float32", "float64", "bool"}

_UNSEALED_KEYS = (
    *("schema_version", "architecture", "preprocessing", "class_names", "recipe", "training"),
    *("versions", "weights_sha256", "program_sha256"),
)
"""Keys of `model.json` in versions that wrote no digest."""

_PARSING_ERRORS = (
    *(OSError, ValueError, KeyError, TypeError, AttributeError),
    *(OverflowError, RecursionError),  # for a huge number, for deeply nested JSON
)


@dataclass(frozen=True)
class ModelDescription:
    """The content of `model.json`.

    Attributes:
        backbone: torchvision's name of the backbone, or `timm/NAME`.
        dimensions: D of the embedding.
        preprocessing: of every tile.
        class_names: the K classes, in the order of the prototypes.
        recipe: every hyper-parameter.
        training: a summary of the training.
        versions: of the libraries that trained the model.
        weights_sha256: of `model.safetensors`.
        program_sha256: of `backbone.json` in old models, or None.
        files: SHA-256 of every other file of the folder by name; empty in old models.
        is_sealed: `model.json` has a digest of its own content; false in old models.
        trained_on: the values, the size and the embeddings of the training tiles; None in old
            models.
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
    files: Mapping[str, str] = field(default_factory=dict)
    is_sealed: bool = field(default=False, compare=False)
    trained_on: TrainingProfile | None = None

    @property
    def fingerprint(self) -> str:
        """SHA-256 of what determines embeddings: architecture, preprocessing and weights."""
        content = self.to_json()
        return sha256_of_json(
            {key: content[key] for key in ("architecture", "preprocessing", "weights_sha256")}
        )

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "schema_version": SCHEMA_VERSION,
            "architecture": {"backbone": self.backbone, "dimensions": self.dimensions},
            "preprocessing": self.preprocessing.to_json(),
            "class_names": list(self.class_names),
            "recipe": dict(self.recipe),
            "training": dict(self.training),
            "versions": dict(self.versions),
            "weights_sha256": self.weights_sha256,
            "files": dict(self.files),
            **({} if self.program_sha256 is None else {"program_sha256": self.program_sha256}),
            **({} if self.trained_on is None else {"trained_on": self.trained_on.to_json()}),
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> ModelDescription:
        """The inverse of `to_json`.

        Raises:
            KeyError, TypeError, ValueError: not a description.
        """
        dimensions = _count(content["architecture"]["dimensions"])
        if not 1 <= dimensions <= MAX_DIMENSIONS:
            raise ValueError(f"an embedding has 1 to {MAX_DIMENSIONS} dimensions")
        _check_preprocessing(content["preprocessing"])
        files = {**content.get("files", {})}  # missing in old models
        profile, bands = content.get("trained_on"), len(content["preprocessing"]["bands"])
        digests = [content["weights_sha256"], *files.values()]
        return cls(
            backbone=str(content["architecture"]["backbone"]),
            dimensions=dimensions,
            preprocessing=Preprocessing.from_json(content["preprocessing"]),
            class_names=_class_names(content["class_names"]),
            recipe=dict(content["recipe"]),
            training=dict(content["training"]),
            versions={str(k): str(v) for k, v in dict(content["versions"]).items()},
            weights_sha256=digests[0],
            program_sha256=content.get("program_sha256"),  # missing in old models
            files={_plain_name(name): str(sha256) for name, sha256 in files.items()},
            trained_on=None if profile is None else TrainingProfile.from_json(profile, bands),
        )


def _count(value: object) -> int:
    """Return an integer of JSON; raise `TypeError` for anything else."""
    if not isinstance(value, int):
        raise TypeError(f"{value!r} is not a whole number")
    return int(value)


def _check_preprocessing(content: Mapping[str, Any]) -> None:
    """Raise `ValueError` or `TypeError` for values that no preprocessing has."""
    bands, size_px = content["bands"], _count(content["size_px"])
    if not 1 <= len(bands) <= _MAX_BANDS:
        raise ValueError(f"a tile has 1 to {_MAX_BANDS} bands")
    if not max(map(_count, [*bands, content["source_bands"]])) <= _MAX_SOURCE_BANDS:
        raise ValueError(f"a file has at most {_MAX_SOURCE_BANDS} bands")
    if len(bands) * size_px**2 > _MAX_VALUES:
        raise ValueError(f"a tile has at most {_MAX_VALUES} values")
    if content["dtype"] not in _PIXEL_TYPES:
        raise ValueError(f"{content['dtype']!r} is not a pixel type")
    numbers = [abs(float(x)) for column in content["statistics"].values() for x in column]
    if max(numbers) > MOST_STATISTIC or min(map(float, content["statistics"]["deviation"])) < 1e-30:
        raise ValueError("band statistics are out of range")


def _class_names(names: object) -> tuple[str, ...]:
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise TypeError("class names must be a list of strings")
    if len(set(names)) != len(names):
        raise ValueError("a class name occurs twice")
    return tuple(names)


def _plain_name(name: str) -> str:
    if name in ("", ".", "..") or set(name) & set("/\\\0"):
        raise ValueError(f"{name!r} is not the name of a file in this folder")
    return name


@dataclass(frozen=True)
class ModelFolder:
    """A model folder whose network is not loaded.

    Attributes:
        folder: its path.
        description: the content of `model.json`.
    """

    folder: Path
    description: ModelDescription

    @classmethod
    def read(cls, folder: Path) -> ModelFolder:
        """Read `model.json`; raises the errors of `read_description`."""
        return cls(folder, read_description(folder))


def read_description(folder: Path) -> ModelDescription:
    """Read `model.json`.

    Raises:
        ModelNotFound: the folder has no model.
        ModelDamaged: the file is damaged, or was written by a newer version.
    """
    path = folder / DESCRIPTION_FILE
    try:
        text = read_regular_text(path)
        content = parsed(text)
        version = content["schema_version"]
        if version > SCHEMA_VERSION:
            raise ModelDamaged(
                f"{path} was written by a newer rsretrieve (schema {version}; this one reads up "
                f"to {SCHEMA_VERSION})",
                hint="pip install --upgrade rsretrieve",
            )
        facts, is_sealed = unsealed(text, content, _UNSEALED_KEYS)
        return replace(ModelDescription.from_json(facts), is_sealed=is_sealed)
    except FileNotFoundError as error:
        raise ModelNotFound(
            f"{folder} has no model ({DESCRIPTION_FILE} is missing)",
            hint="train one with `rsretrieve train TILES --output DIR`",
        ) from error
    except _PARSING_ERRORS as error:
        raise ModelDamaged(
            f"{path} cannot be read as a model's description ({error})",
            hint="copy the model folder again, or train the model again; do not edit model.json",
        ) from error


def check_file(path: Path, sha256: str) -> None:
    """Compare a file of a model folder with its checksum.

    Args:
        path: the file.
        sha256: its checksum in `model.json`.

    Raises:
        ModelDamaged: the file is missing, or its checksum differs.
    """
    try:
        found = sha256_of_regular(path)
    except OSError as error:
        raise ModelDamaged(f"{path} cannot be read ({error})") from error
    if found != sha256:
        raise ModelDamaged(
            f"{path} is not the file that {DESCRIPTION_FILE} describes (its SHA-256 differs)",
            hint="copy the model folder again, or train the model again",
        )


def changed_files(model: ModelFolder) -> tuple[str, ...]:
    """Names of the files that are missing, or whose checksum differs."""
    described = model.description
    own = {WEIGHTS_FILE: described.weights_sha256, PROGRAM_FILE: described.program_sha256}
    wanted = {name: sha256 for name, sha256 in own.items() if sha256 is not None}
    return tuple(
        name
        for name, sha256 in {**wanted, **described.files}.items()
        if not _is_unchanged(model.folder / name, sha256)
    )


def _is_unchanged(path: Path, sha256: str) -> bool:
    try:
        return sha256_of_regular(path) == sha256
    except OSError:
        return False


def report_unchecked(model: ModelFolder, context: RunContext | None) -> None:
    """Give a notice about files that are used without a checksum, as in old models."""
    names = []
    if TILES_FILE not in model.description.files and (model.folder / TILES_FILE).exists():
        names.append(TILES_FILE)
    if not model.description.is_sealed:
        names.append(DESCRIPTION_FILE)
    if context is None or not names:
        return
    have, they = ("have", "they are") if len(names) > 1 else ("has", "it is")
    context.notice(
        f"{' and '.join(names)} of {model.folder} {have} no checksum (written by an earlier "
        f"version): {they} used unchecked"
    )
