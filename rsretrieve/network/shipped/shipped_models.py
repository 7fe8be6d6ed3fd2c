"""Find the models that rsretrieve comes with, by name, without PyTorch."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from pathlib import Path

import rsretrieve
from rsretrieve.errors import ModelError, ModelNotFound
from rsretrieve.network.metadata import DESCRIPTION_FILE, ModelDescription, read_description
from rsretrieve.network.shipped.facts import Figures, ShippedFacts

DEFAULT_MODEL = "default"
"""The model that embeds 8-bit RGB tiles for which no model is given."""

SHIPPED = "shipped"
"""The key of `ShippedFacts` in `ModelDescription.training`."""

_PACKAGE = Path(rsretrieve.__file__).parent
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


@dataclass(frozen=True)
class ShippedModel:
    """A model that rsretrieve comes with. `load_model(name)` loads it.

    Attributes:
        name: for `--model NAME` and `load_model(NAME)`.
        path: its folder, a model folder like any other.
        summary: what it is for, in one sentence.
        backbone: the network.
        size_px: the side in pixels of the square that tiles are resized to.
        bands: the number of bands of the tiles.
        dtype: their type.
        dimensions: D of the embedding.
        bytes: of all files.
        trained_on: the data that it saw.
        licence: of the weights, as an SPDX expression.
        fingerprint: SHA-256 of what decides an embedding.
        figures: how well it retrieves the tiles of data sets.

    Example:
        >>> import rsretrieve
        >>> [model] = rsretrieve.shipped_models()
        >>> model.name, model.bands, model.licence
        ('default', 3, 'Apache-2.0')
    """

    name: str
    path: Path
    summary: str
    backbone: str
    size_px: int
    bands: int
    dtype: str
    dimensions: int
    bytes: int
    trained_on: str
    licence: str
    fingerprint: str
    figures: tuple[Figures, ...]


def shipped_folder() -> Path:
    """The folder of the shipped models: in the package, or beside it in a checkout."""
    installed = _PACKAGE / "models"
    return installed if installed.is_dir() else _PACKAGE.parent / "models"


def shipped_models() -> list[ShippedModel]:
    """List the models that rsretrieve comes with, by name.

    Returns:
        One record for each.

    Example:
        >>> import rsretrieve
        >>> [model.name for model in rsretrieve.shipped_models()]
        ['default']
    """
    folder = shipped_folder()
    names = sorted(path.parent.name for path in folder.glob(f"*/{DESCRIPTION_FILE}"))
    return [found for name in names if (found := _read(name)) is not None]


def shipped_path(name: str) -> Path | None:
    """The folder of a shipped model; None if there is none of this name."""
    found = _read(name) if _NAME.fullmatch(name) else None
    return None if found is None else found.path


def facts_of(description: ModelDescription) -> ShippedFacts | None:
    """What a shipped model tells of itself; None for other models."""
    try:
        return ShippedFacts.from_json(description.training[SHIPPED])
    except (KeyError, TypeError, ValueError):
        return None


def _read(name: str) -> ShippedModel | None:
    """Read a shipped model; None for a model of the user that lies beside it in a checkout."""
    path = shipped_folder() / name
    try:
        description = read_description(path)
    except ModelError:
        return None
    facts, preprocessing = facts_of(description), description.preprocessing
    if facts is None or facts.name != name:
        return None
    return ShippedModel(
        name=name,
        path=path,
        summary=facts.summary,
        backbone=description.backbone,
        size_px=preprocessing.size_px,
        bands=len(preprocessing.bands),
        dtype=preprocessing.dtype,
        dimensions=description.dimensions,
        bytes=sum(file.stat().st_size for file in path.iterdir() if file.is_file()),
        trained_on=facts.trained_on,
        licence=facts.licence,
        fingerprint=description.fingerprint,
        figures=facts.figures,
    )


@dataclass(frozen=True)
class GivenModel:
    """A model that the user named.

    Attributes:
        folder: its folder; None if no model was given.
        is_shipped: whether it is one that rsretrieve comes with.
        notices: a sentence if the name has two meanings.
    """

    folder: Path | None
    is_shipped: bool = False
    notices: tuple[str, ...] = ()


def given_model(given: Path | None) -> GivenModel:
    """Find the model that a path or a name means.

    A folder of the user that holds a model comes before a shipped model of the same name.

    Args:
        given: a path, or the name of a shipped model; None if no model was given.

    Returns:
        The shipped model of this name; otherwise the path as it is, whether it exists or not.
    """
    if given is None or len(given.parts) != 1 or given.is_absolute():
        return GivenModel(given, given is not None and _lies_among_shipped(given))
    path = shipped_path(given.name)
    if path is None or given.resolve() == path.resolve():
        return GivenModel(given, path is not None)
    if (given / DESCRIPTION_FILE).exists():
        return GivenModel(
            given,
            notices=(
                f"the model in the folder {given} is used, not the one of this name that "
                f"rsretrieve comes with; that one lies at {path}",
            ),
        )
    if given.exists():
        said = (
            f"{given} has no model ({DESCRIPTION_FILE} is missing); the model of this name that "
            "rsretrieve comes with is used"
        )
        return GivenModel(path, True, (said,))
    return GivenModel(path, True)


def _lies_among_shipped(given: Path) -> bool:
    path = shipped_path(given.name)
    return path is not None and path.resolve() == given.resolve()


def no_such_model(given: Path) -> ModelNotFound:
    """The error of a path that does not exist and is the name of no shipped model."""
    names = [model.name for model in shipped_models()]
    near = difflib.get_close_matches(str(given), names, n=2)
    hint = "train one with `rsretrieve train TILES --output DIR`"
    if len(given.parts) == 1:
        hint += "; `rsretrieve models` lists those that rsretrieve comes with"
    if near:
        hint = f"did you mean {' or '.join(near)}, which rsretrieve comes with?"
    return ModelNotFound(
        f"{given}: no such folder; it has no model ({DESCRIPTION_FILE} is missing)", hint=hint
    )
