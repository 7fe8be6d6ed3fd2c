"""What a model is, as its folder says it: readable without loading the model, or PyTorch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from rsretrieve._core.atomic_write import sha256_of_file, sha256_of_json
from rsretrieve._core.regular_files import read_regular_text
from rsretrieve._core.sealing import parsed, unsealed
from rsretrieve.data.preprocessing.preprocessing import Preprocessing
from rsretrieve.data.run_context import RunContext
from rsretrieve.errors import ModelDamaged, ModelNotFound

SCHEMA_VERSION = 2  # 2: preprocessing may say `reduced_jpeg`
DESCRIPTION_FILE = "model.json"
WEIGHTS_FILE = "model.safetensors"
PROGRAM_FILE = "backbone.json"  # of models of before; read by nobody any more
GRAPH_FILE = "network.onnx"
TILES_FILE = "tiles.parquet"

_MOST_DIMENSIONS, _MOST_BANDS, _MOST_VALUES = 65_536, 4096, 1 << 28
"""More would take memory that no file is there to fill."""
_MOST_SOURCE_BANDS, _MOST_VALUE = 65_536, 1e30  # which float32 holds
_PIXEL_TYPES = frozenset(
    f"{kind}{bits}" for kind in ("uint", "int") for bits in (8, 16, 32, 64)
) | {"float16", "float32", "float64", "bool"}

_KEYS_OF_BEFORE = (
    *("schema_version", "architecture", "preprocessing", "class_names", "recipe", "training"),
    *("versions", "weights_sha256", "program_sha256"),
)
"""Of `model.json` when it had no digest."""

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
        program_sha256: of `backbone.json` of models of before, or None.
        files: the SHA-256 of every other file of the folder, by its name; empty of models of
            before.
        is_sealed: a digest vouches for `model.json`; false of models of before.
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
            "files": dict(self.files),
            **({} if self.program_sha256 is None else {"program_sha256": self.program_sha256}),
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> ModelDescription:
        """The inverse of `to_json`.

        Raises:
            KeyError, TypeError, ValueError: not a description.
        """
        dimensions = _count(content["architecture"]["dimensions"])
        if not 1 <= dimensions <= _MOST_DIMENSIONS:
            raise ValueError(f"an embedding has 1 to {_MOST_DIMENSIONS} dimensions")
        _check_preprocessing(content["preprocessing"])
        files = {**content.get("files", {})}  # none in models of before
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
            program_sha256=content.get("program_sha256"),  # none in models of before
            files={_plain_name(name): str(sha256) for name, sha256 in files.items()},
        )


def _count(value: object) -> int:
    """A whole number, as JSON has it.

    Raises:
        TypeError: it is something else.
    """
    if not isinstance(value, int):
        raise TypeError(f"{value!r} is not a whole number")
    return int(value)


def _check_preprocessing(content: Mapping[str, Any]) -> None:
    """Raise `ValueError` or `TypeError` for numbers that no tiles have."""
    bands, size_px = content["bands"], _count(content["size_px"])
    if not 1 <= len(bands) <= _MOST_BANDS:
        raise ValueError(f"a tile has 1 to {_MOST_BANDS} bands")
    if not max(map(_count, [*bands, content["source_bands"]])) <= _MOST_SOURCE_BANDS:
        raise ValueError(f"a file has at most {_MOST_SOURCE_BANDS} bands")
    if len(bands) * size_px**2 > _MOST_VALUES:
        raise ValueError(f"a tile has at most {_MOST_VALUES} values")
    if content["dtype"] not in _PIXEL_TYPES:
        raise ValueError(f"{content['dtype']!r} is no type of pixel")
    numbers = [abs(float(x)) for column in content["statistics"].values() for x in column]
    if max(numbers) > _MOST_VALUE or min(map(float, content["statistics"]["deviation"])) < 1e-30:
        raise ValueError("band statistics are beyond what pixels can be")


def _class_names(names: object) -> tuple[str, ...]:
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise TypeError("class names are a list of texts")
    if len(set(names)) != len(names):
        raise ValueError("a class name stands there twice")
    return tuple(names)


def _plain_name(name: str) -> str:
    if name in ("", ".", "..") or set(name) & set("/\\\0"):
        raise ValueError(f"{name!r} is no name of a file of this folder")
    return name


@dataclass(frozen=True)
class ModelFolder:
    """A model that is not loaded.

    Attributes:
        folder: where it lies.
        description: what it is.
    """

    folder: Path
    description: ModelDescription

    @classmethod
    def read(cls, folder: Path) -> ModelFolder:
        """Read `model.json`; raises as `read_description` does."""
        return cls(folder, read_description(folder))


def read_description(folder: Path) -> ModelDescription:
    """Read `model.json`.

    Raises:
        ModelNotFound: there is no model.
        ModelDamaged: it is not one, or comes from a newer version.
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
        facts, is_sealed = unsealed(text, content, _KEYS_OF_BEFORE)
        return replace(ModelDescription.from_json(facts), is_sealed=is_sealed)
    except FileNotFoundError as error:
        raise ModelNotFound(
            f"{folder}: no model there ({DESCRIPTION_FILE} is missing)",
            hint="`rsretrieve train TILES --output DIR` makes one",
        ) from error
    except _NOT_A_DESCRIPTION as error:
        raise ModelDamaged(
            f"{path} cannot be read as a model's description ({error})",
            hint="copy the model folder again, or train anew; model.json is not edited by hand",
        ) from error


def check_file(path: Path, sha256: str) -> None:
    """Compare a file of a model folder with its checksum.

    Raises:
        ModelDamaged: it differs, or is missing.
    """
    try:
        found = sha256_of_file(path)
    except OSError as error:
        raise ModelDamaged(f"{path} cannot be read ({error})") from error
    if found != sha256:
        raise ModelDamaged(
            f"{path} is not the file that {DESCRIPTION_FILE} describes (its SHA-256 differs)",
            hint="copy the model folder again, or train anew",
        )


def changed_files(model: ModelFolder) -> tuple[str, ...]:
    """The names of files that are missing, or changed since they were written."""
    described = model.description
    own = {WEIGHTS_FILE: described.weights_sha256, PROGRAM_FILE: described.program_sha256}
    wanted = {name: sha256 for name, sha256 in own.items() if sha256 is not None}
    return tuple(
        name
        for name, sha256 in {**wanted, **described.files}.items()
        if not _is_right(model.folder / name, sha256)
    )


def _is_right(path: Path, sha256: str) -> bool:
    try:
        return sha256_of_file(path) == sha256
    except OSError:
        return False


def report_unchecked(model: ModelFolder, context: RunContext | None) -> None:
    """Notice files that are used and have no checksum."""
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
