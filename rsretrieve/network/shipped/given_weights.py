"""The weights that a training starts from, without PyTorch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rsretrieve.network.metadata import read_description
from rsretrieve.network.shipped.shipped_models import given_model


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
        folder = Path(self.source)
        return read_description(folder).backbone if folder.is_dir() else None


def given_weights(given: str) -> GivenWeights:
    """Find the weights that a text means.

    Args:
        given: a value of `train --weights`: `imagenet`, `none`, a file, a model folder, or the
            name of a model that rsretrieve comes with. A file or a model folder of the user comes
            before such a model of the same name.
    """
    if Path(given).is_file():
        return GivenWeights(given)
    named = given_model(Path(given))
    is_other = named.folder is not None and named.folder != Path(given)
    return GivenWeights(str(named.folder) if is_other else given, named.notices)
