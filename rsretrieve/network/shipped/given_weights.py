"""The weights that a training starts from, without PyTorch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rsretrieve.enums import IMAGENET_WEIGHTS, NO_WEIGHTS
from rsretrieve.errors import WeightsError
from rsretrieve.network.metadata import DESCRIPTION_FILE, read_description
from rsretrieve.network.shipped.shipped_models import given_model, shipped_path

WITHOUT_WEIGHTS = "leave out --weights and --backbone: the tiles choose an embedding"


@dataclass(frozen=True)
class GivenWeights:
    """Weights that the user named.

    Attributes:
        source: `imagenet`, `none`, a weights file, or a model folder.
        notices: a sentence if the name has two meanings.
    """

    source: str
    notices: tuple[str, ...] = ()

    @property
    def backbone(self) -> str | None:
        """The backbone of a model folder; None for other weights.

        Raises:
            ModelError: the folder holds no model that can be read.
        """
        folder = model_folder_of(self.source)
        return None if folder is None else read_description(folder).backbone

    @property
    def path(self) -> Path | None:
        """The file or the folder; None for `imagenet` and `none`."""
        return weights_path(self.source)


def weights_path(source: str) -> Path | None:
    """The path that a value of `train --weights` names.

    `imagenet` and `none` are no paths, whatever lies in the current folder; `./none` is one.

    Args:
        source: the value.

    Returns:
        The path, whether it exists or not; None for these two words.
    """
    return None if source in (IMAGENET_WEIGHTS, NO_WEIGHTS) else Path(source)


def model_folder_of(source: str) -> Path | None:
    """The folder that a value of `train --weights` names; None for a file, or for no path."""
    path = weights_path(source)
    return path if path is not None and path.is_dir() else None


def given_weights(given: str) -> GivenWeights:
    """Find the weights that a text means.

    Args:
        given: a value of `train --weights`: `imagenet`, `none`, a file, a model folder, or the
            name of a model that rsretrieve comes with, in this order.
    """
    path = weights_path(given)
    if path is None or path.is_file():
        return GivenWeights(given)
    named = given_model(path)
    is_other = named.folder is not None and named.folder != path
    return GivenWeights(str(named.folder) if is_other else given, named.notices)


def check_frozen_weights(given: str | None) -> None:
    """Check weights of a network that is not trained: `imagenet` or a file.

    Args:
        given: a value of `index --weights` and `audit-labels --weights`; None if it was left out.

    Raises:
        WeightsError: it is `none`, a folder, a model, or no file.
    """
    if given is None or given == IMAGENET_WEIGHTS:
        return
    if given == NO_WEIGHTS:
        raise WeightsError(
            "--weights none: a network that is not trained needs weights",
            hint=f"give imagenet, or a .safetensors or .pth file; or {WITHOUT_WEIGHTS}",
        )
    path = Path(given)
    if (path / DESCRIPTION_FILE).exists() or (not path.exists() and shipped_path(given)):
        raise WeightsError(
            f"--weights {given} is a model, not a weights file", hint=f"give --model {given}"
        )
    if not path.exists() or path.is_dir():
        reason = "it is a folder, not a file" if path.is_dir() else "no such file"
        raise WeightsError(
            f"--weights {given}: {reason}",
            hint="give imagenet, or a .safetensors or .pth file",
        )
