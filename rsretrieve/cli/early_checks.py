"""Check names and files that a command is given before PyTorch loads and before a tile is read."""

from __future__ import annotations

from pathlib import Path

from rsretrieve.enums import NO_WEIGHTS
from rsretrieve.errors import missing_weights


def check_training(backbone: str | None, weights: str | None) -> None:
    """Check the names of a backbone and of its weights; None is the recipe's.

    Raises:
        InvalidArgument: there is no such backbone.
        WeightsError: there is no such file.
    """
    from rsretrieve.network.backbone_names import check_backbone_name

    if backbone is not None:
        check_backbone_name(backbone)
    if weights not in (None, NO_WEIGHTS, "imagenet") and not Path(str(weights)).exists():
        raise missing_weights(Path(str(weights)))


def check_labels_file(path: Path | None) -> None:
    """Check that a labels file has the columns `tile` and `label`.

    Raises:
        TableError: it does not exist, is no table, or lacks a column.
    """
    from rsretrieve._core.tables import require_columns

    if path is not None:
        require_columns(path, ("tile", "label"))


def check_model(folder: Path | None) -> None:
    """Check that a folder holds a model that this version can read.

    Raises:
        ModelNotFound: there is no model.
        ModelDamaged: its description cannot be read.
    """
    from rsretrieve.network.metadata import ModelFolder

    if folder is not None:
        ModelFolder.read(folder)
