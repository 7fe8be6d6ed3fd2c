"""Check names and files that a command is given before PyTorch loads and before a tile is read."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rsretrieve._core.paths import Location
from rsretrieve.enums import IMAGENET_WEIGHTS, NO_LABELS, NO_WEIGHTS
from rsretrieve.errors import (
    IndexNotFound,
    InputError,
    InvalidArgument,
    TableError,
    TilesNotFound,
    missing_weights,
)

if TYPE_CHECKING:
    from rsretrieve.index.vectors.choose_kind import IndexGoal
    from rsretrieve.network.shipped.given_weights import GivenWeights
    from rsretrieve.network.shipped.shipped_models import GivenModel

_VECTORS = ".npy"
_RASTERS = (".tif", ".tiff", ".vrt")


def check_training(
    backbone: str | None, weights: str | None, bands: Sequence[int | str] = ()
) -> None:
    """Check the names of a backbone and of its weights, None being the recipe's, and bands.

    Raises:
        InvalidArgument: there is no such backbone, or bands are not counted from 1.
        WeightsError: there is no such file.
    """
    from rsretrieve.network.backbone_names import check_backbone_name

    check_bands(bands)
    if backbone is not None:
        check_backbone_name(backbone)
    if weights not in (None, NO_WEIGHTS, IMAGENET_WEIGHTS) and not Path(str(weights)).exists():
        raise missing_weights(Path(str(weights)))


def check_frozen(backbone: str | None, weights: str | None) -> None:
    """Check the names of a backbone and of its weights for an embedding without training.

    Raises:
        InvalidArgument: there is no such backbone.
        WeightsError: the weights are neither `imagenet` nor a file.
    """
    from rsretrieve.network.backbone_names import check_backbone_name
    from rsretrieve.network.shipped.given_weights import check_frozen_weights

    if backbone is not None:
        check_backbone_name(backbone)
    check_frozen_weights(weights)


def check_bands(bands: Sequence[int | str]) -> None:
    """Check that band numbers are counted from 1. Names are compared with those of the tiles.

    Raises:
        InvalidArgument: they are not.
    """
    if any(isinstance(band, int) and band < 1 for band in bands):
        raise InvalidArgument(
            f"--bands: bands are counted from 1, not {','.join(map(str, bands))}",
            hint="for example --bands 3,2,1",
        )


def check_device(name: str) -> None:
    """Check that a text names a device; whether there is one is known only to PyTorch.

    Raises:
        InvalidArgument: it does not.
    """
    from rsretrieve.network.device_names import check_device_name

    check_device_name(name)


def check_tiles(*arguments: Sequence[str] | None) -> None:
    """Check that the local paths among TILES exist.

    Raises:
        TilesNotFound: one does not.
    """
    for source in (source for given in arguments for source in given or ()):
        location = Location.parse(source)
        if location.is_local and not all(map(_exists, location.files)):
            raise TilesNotFound(f"{source}: no such folder or list")


def check_images(images: Sequence[str]) -> None:
    """Check that there is a file among the images of a query.

    One missing image among several is reported with the results of the others.

    Raises:
        InputError: there is none.
    """
    if images and not any(map(_is_there, images)):
        raise InputError(
            f"{images[0]}: no such file",
            hint="give an image file; a tile of the index is named by --tile ID",
        )


def check_query(
    images: Sequence[str], index: Path, model: Path | None, within: Path | None
) -> None:
    """Check the files and folders that a query names.

    Raises:
        InputError, TableError, IndexNotFound, ModelError: one is missing or cannot be read.
    """
    check_images(images)
    check_index(index)
    check_model(model)
    check_file(within)


def refuse_no_labels(labels: Path | None) -> None:
    """Refuse `train --labels none`.

    Raises:
        InvalidArgument: it was given.
    """
    if labels is not None and os.fspath(labels) == NO_LABELS:
        raise InvalidArgument(
            "--labels none: rsretrieve does not train without labels; embeddings that were "
            "trained on clusters of tiles found neighbours of the same class less often than the "
            "embedding that needs no training",
            hint="embed tiles without labels and without a model: rsretrieve index TILES",
        )


def check_labels_file(*paths: Path | None) -> None:
    """Check that labels files have the columns `tile` and `label`.

    Raises:
        TableError: one does not exist, is no table, or lacks a column.
    """
    from rsretrieve._core.tables import require_columns

    for path in paths:
        if path is not None:
            require_columns(path, ("tile", "label"))


def check_truth(path: Path | None) -> None:
    """Check that a file of true labels has the columns `tile`, and `true_label` or `label`.

    Raises:
        TableError: it does not exist, is no table, or lacks a column.
    """
    from rsretrieve._core.tables import columns_of, require_columns

    if path is not None:
        column = "true_label" if "true_label" in columns_of(path, ("tile",)) else "label"
        require_columns(path, ("tile", column))


def check_embeddings(path: Path | None, *, rasters: bool = False) -> None:
    """Check that there is a file of embeddings, and that it is of a known kind.

    Args:
        path: the file.
        rasters: whether it may be a raster.

    Raises:
        TableError: there is none, or it has another suffix.
    """
    from rsretrieve._core.tables import PARQUET_SUFFIXES

    if path is None:
        return
    if path.suffix.lower() not in (_VECTORS, *PARQUET_SUFFIXES, ".csv", *_RASTERS * rasters):
        raise TableError(
            f"{path} is neither a .npy nor a Parquet file, nor CSV" + " or GeoTIFF" * rasters,
            hint="give an array (N, D) as .npy, or a table (Parquet or CSV) with the columns id "
            "and embedding",
        )
    check_file(path)


def check_file(path: Path | None) -> None:
    """Check that an input file exists.

    Raises:
        InputError: it does not, or is a folder.
    """
    if path is not None and not _exists(path):
        raise TableError(f"{path}: no such file")
    if path is not None and path.is_dir():
        raise TableError(f"{path} is a folder, not a file")


def check_index(folder: Path) -> None:
    """Check that a folder holds an index.

    Raises:
        IndexNotFound: it does not.
    """
    if not _exists(folder / "manifest.json"):
        raise IndexNotFound(
            f"{folder} holds no index (manifest.json is missing)"
            if _exists(folder)
            else f"{folder} holds no index: there is no such folder",
            hint="build one: rsretrieve index TILES --output DIR",
        )


def find_weights(given: str) -> GivenWeights:
    """Find the weights that `train --weights` names."""
    from rsretrieve.network.shipped.given_weights import given_weights

    return given_weights(given)


def find_model(given: Path | None) -> GivenModel:
    """Find the model that a path or the name of a shipped model means; None means none."""
    from rsretrieve.network.shipped.shipped_models import given_model

    return given_model(given)


def check_model(folder: Path | None) -> None:
    """Check that a folder holds a model that this version can read.

    Raises:
        ModelNotFound: there is no model.
        ModelDamaged: its description cannot be read.
    """
    from rsretrieve.network.metadata import ModelFolder

    if folder is None:
        return
    if not _exists(folder):
        from rsretrieve.network.shipped.shipped_models import no_such_model

        raise no_such_model(folder)
    ModelFolder.read(folder)


def check_models(folders: Sequence[Path] | None) -> None:
    """Check that folders hold models that can be averaged.

    Raises:
        ModelNotFound, ModelDamaged: see `check_model`.
        InputError: they were not trained on the same classes.
    """
    from rsretrieve.audit.evidence.same_classes import check_same_classes
    from rsretrieve.network.metadata import ModelFolder

    for folder in folders or ():
        check_model(folder)
    if folders:
        check_same_classes([ModelFolder.read(folder) for folder in folders])


def check_faiss_key(model: Path | None, goal: IndexGoal | None) -> None:
    """Check that FAISS can build an index of this kind of the model's embeddings.

    Raises:
        InvalidArgument: it cannot.
    """
    from rsretrieve.index.vectors.choose_kind import AUTO
    from rsretrieve.network.metadata import read_description

    if model is not None and goal is not None and goal.key != AUTO:
        from rsretrieve.index.vectors.key_checks import check_key

        check_key(goal.key, read_description(model).dimensions)


def _is_there(image: str) -> bool:
    if not Location.parse(image).is_local or _exists(image):
        return True
    file, mark, _ = image.rpartition("#")
    return bool(mark) and _exists(file)


def _exists(path: str | Path) -> bool:
    try:
        return os.path.exists(path)  # noqa: PTH110  (names with a NUL raise nothing)
    except ValueError:
        return False
