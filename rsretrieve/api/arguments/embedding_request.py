"""Arguments for an embedding that is chosen when no model is given."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rsretrieve.api.arguments.checks import device_name, path_of, plain_text, whole
from rsretrieve.api.call_report import CallReport
from rsretrieve.api.trained_model import Model, model_of
from rsretrieve.data.tile import TileSet
from rsretrieve.enums import IMAGENET_WEIGHTS
from rsretrieve.errors import InvalidArgument
from rsretrieve.network.device import choose_device
from rsretrieve.network.shipped.given_weights import check_frozen_weights
from rsretrieve.network.unlabelled.choose_embedding import EmbeddingRequest, embedding_for


@dataclass(frozen=True)
class AskedEmbedding:
    """The checked arguments.

    Attributes:
        request: what was asked for.
        file: the weights file; None for named weights.
    """

    request: EmbeddingRequest
    file: Path | None


def embedding_request(
    model: object, weights: object, backbone: object, seed: object, *, update: bool = False
) -> AskedEmbedding:
    """Check the arguments together.

    Raises:
        InvalidArgument: one is of a wrong type, or there is a model already.
        WeightsError: the weights are neither `imagenet` nor a file.
    """
    if (weights is not None or backbone is not None) and (model is not None or update):
        other = "an update" if model is None else "a model"
        raise InvalidArgument(f"weights and backbone do not go together with {other}")
    named = weights is None or weights == IMAGENET_WEIGHTS
    file = None if named else path_of(weights, "weights")
    check_frozen_weights(None if file is None else str(file))
    request = EmbeddingRequest(
        IMAGENET_WEIGHTS if weights == IMAGENET_WEIGHTS else None if file is None else str(file),
        None if backbone is None else plain_text(backbone, "backbone"),
        whole(seed, "seed"),
    )
    return AskedEmbedding(request, file)


@contextmanager
def used_model(
    model: object, tiles: TileSet, asked: AskedEmbedding, device: object, call: CallReport
) -> Iterator[Model]:
    """The model that was given, or an embedding chosen for the tiles.

    The folder of a chosen embedding exists in the `with` block.
    """
    if model is not None:
        yield model_of(model, device, call)
        return
    chosen = choose_device(device_name(device))
    with tempfile.TemporaryDirectory(prefix="rsretrieve-embedding-") as folder:
        yield Model(embedding_for(tiles, asked.request, Path(folder), chosen, call.context))
