"""The model of a command for which the user may give none."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rsretrieve.enums import IMAGENET_WEIGHTS

if TYPE_CHECKING:  # heavy modules, which `--help` does not load
    from rsretrieve.cli.commands.upkeep.index_upkeep_command import Upkeep
    from rsretrieve.data.run_context import RunContext
    from rsretrieve.data.tile import TileSet
    from rsretrieve.network.model import Model


@dataclass(frozen=True)
class DefaultRequest:
    """The options for an embedding without a model; see `EmbeddingRequest`."""

    weights: str | None
    backbone: str | None
    seed: int


def weights_file(weights: str | None) -> Path | None:
    """The file that `--weights` names; None for a name."""
    return None if weights in (None, IMAGENET_WEIGHTS) else Path(str(weights))


@contextmanager
def default_model(
    tiles: TileSet, request: DefaultRequest, device: str, context: RunContext
) -> Iterator[Model]:
    """Choose an embedding for tiles and fit it; its folder exists in the `with` block.

    Args:
        tiles: the tiles to embed.
        request: the options.
        device: as typed.
        context: receives the notice of which and why.
    """
    from rsretrieve.network.device import choose_device
    from rsretrieve.network.unlabelled.choose_embedding import EmbeddingRequest, embedding_for

    asked = EmbeddingRequest(request.weights, request.backbone, request.seed)
    with tempfile.TemporaryDirectory(prefix="rsretrieve-embedding-") as folder:
        yield embedding_for(tiles, asked, Path(folder), choose_device(device), context)


@contextmanager
def model_for_index(
    upkeep: Upkeep,
    tiles: TileSet,
    request: DefaultRequest,
    context: RunContext,
    *,
    update: bool,
) -> Iterator[Model]:
    """The model that the user gave; in an update that of the index; else a default one.

    Raises:
        IndexNotFound, ModelNotFound: an update of an index that is missing or has no model.
    """
    if upkeep.model is None and not update:
        from rsretrieve._core.atomic_write import refuse_to_overwrite
        from rsretrieve._core.folders.known_folders import INDEX_FOLDER

        refuse_to_overwrite(upkeep.index, overwrite=upkeep.overwrite, kind=INDEX_FOLDER)
        with default_model(tiles, request, upkeep.device, context) as model:
            yield model
        return
    from rsretrieve.index.store.folder import open_index
    from rsretrieve.network.device import choose_device
    from rsretrieve.network.model_folder import load_model
    from rsretrieve.search.search import model_folder_of

    folder = upkeep.model or model_folder_of(open_index(upkeep.index))
    yield load_model(folder, choose_device(upkeep.device), context)
