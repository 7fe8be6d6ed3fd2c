"""A model as its graph, run by onnxruntime: it embeds a few tiles before PyTorch is even loaded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from rsretrieve.data.run_context import RunContext
from rsretrieve.errors import ModelDamaged
from rsretrieve.network.metadata import (
    GRAPH_FILE,
    WEIGHTS_FILE,
    ModelDescription,
    ModelFolder,
    check_file,
    report_unchecked,
)

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

_FEW_TILES = 32
"""With more PyTorch is worth loading: it embeds several times as fast, and takes 2 s to load."""
_UNIT_WITHIN = 1e-3


class EmbedsPixels(Protocol):
    """What embeds preprocessed tiles."""

    def vectors(self, pixels: NDArray[Any]) -> NDArray[np.float32]:
        """(B, C, S, S) in the tiles' type → (B, D) unit rows."""


class EmbeddingModel(Protocol):
    """A model that can embed tiles, whatever runs it."""

    @property
    def folder(self) -> Path:
        """Where it lies."""

    @property
    def description(self) -> ModelDescription:
        """What it is."""

    @property
    def device_name(self) -> str:
        """Where it computes: `cpu`, `cuda:0`."""

    def embedder(self) -> EmbedsPixels:
        """What embeds tiles with it."""


@dataclass(frozen=True)
class GraphEmbedder:
    """Embeds tiles one by one.

    Attributes:
        session: runs the graph.
    """

    session: InferenceSession

    def vectors(self, pixels: NDArray[Any]) -> NDArray[np.float32]:
        """(B, C, S, S) in the tiles' type → (B, D) unit rows."""
        tiles = np.ascontiguousarray(pixels, np.float32)
        name = self.session.get_inputs()[0].name
        return np.concatenate(
            [self.session.run(None, {name: tiles[i : i + 1]})[0] for i in range(len(tiles))]
        )


@dataclass(frozen=True)
class GraphModel:
    """A model in memory, as its graph.

    Attributes:
        folder: where it was read from.
        description: what it is.
        session: runs the graph, on the processor.
    """

    folder: Path
    description: ModelDescription
    session: InferenceSession

    @property
    def device_name(self) -> str:
        """The processor."""
        return "cpu"

    def embedder(self) -> GraphEmbedder:
        """What embeds tiles with it."""
        return GraphEmbedder(self.session)


def open_embedding_model(
    model: ModelFolder, tiles: int, device: str, context: RunContext | None = None
) -> EmbeddingModel:
    """Open a model to embed some tiles, by whatever is ready sooner.

    Args:
        model: the model.
        tiles: how many.
        device: as the user names it; PyTorch alone computes on a GPU.
        context: is told of files without a checksum.

    Returns:
        The model as its graph, where it has one and tiles are few and no GPU is asked for by
        name; else as PyTorch's network.

    Raises:
        ModelDamaged: a file is missing, was cut short or edited.
        DeviceUnavailable: a GPU that is not there.
    """
    if GRAPH_FILE in model.description.files and tiles <= _FEW_TILES and device in ("auto", "cpu"):
        return load_graph_model(model, context)
    from rsretrieve.network.device import choose_device
    from rsretrieve.network.model_folder import load_model

    return load_model(model.folder, choose_device(device), context)


def load_graph_model(model: ModelFolder, context: RunContext | None = None) -> GraphModel:
    """Read a model that has a graph.

    Args:
        model: the model.
        context: is told of files without a checksum.

    Raises:
        ModelDamaged: a file is missing, was cut short or edited, or the graph is not one that may
            be run.
    """
    from rsretrieve.network.weights_file import read_weights

    report_unchecked(model, context)
    arrays = read_weights(model)
    path = model.folder / GRAPH_FILE
    check_file(path, model.description.files[GRAPH_FILE])
    try:
        session = _session(path, model.description, arrays)
        _try_out(session, model.description)
    except (OSError, ValueError) as error:
        raise ModelDamaged(f"{path} cannot be run ({error})") from error
    return GraphModel(model.folder, model.description, session)


def _session(
    path: Path, description: ModelDescription, arrays: Mapping[str, NDArray[Any]]
) -> InferenceSession:
    """A session that runs a graph on the processor.

    Raises:
        ValueError: it cannot be run.
    """
    import onnxruntime

    from rsretrieve.network.runtime.graph_checks import (
        MOST_BYTES,
        GraphInterface,
        check_graph,
        weights_in_their_file,
    )

    if path.stat().st_size > MOST_BYTES:
        raise ValueError(f"it is larger than any network's, {MOST_BYTES >> 20} MiB")
    interface = GraphInterface(
        _input_shape(description), description.dimensions, path.with_name(WEIGHTS_FILE)
    )
    graph = check_graph(path.read_bytes(), interface)
    named = [tensor.name for tensor in weights_in_their_file(graph.graph)]
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # fatal errors: the others are raised
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # From memory, as they were checked: the graph's own file names are never opened.
    values = [onnxruntime.OrtValue.ortvalue_from_numpy(arrays[name]) for name in named]
    options.add_external_initializers(named, values)
    try:
        return onnxruntime.InferenceSession(
            graph.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # onnxruntime has a dozen classes, which have no common one
        raise ValueError(_first_line(error)) from error


def _input_shape(description: ModelDescription) -> tuple[int, ...]:
    preprocessing = description.preprocessing
    return (1, len(preprocessing.bands), preprocessing.size_px, preprocessing.size_px)


def _try_out(session: InferenceSession, description: ModelDescription) -> None:
    """Embed an empty tile: what a graph computes can only be told by running it.

    Raises:
        ValueError: that is no embedding.
    """
    shape: Sequence[int] = _input_shape(description)
    try:
        [vector] = GraphEmbedder(session).vectors(np.zeros(shape, np.float32))
    except Exception as error:
        raise ValueError(_first_line(error)) from error
    if vector.shape != (description.dimensions,) or not np.isfinite(vector).all():
        raise ValueError(f"an embedding of {prod(shape)} zeros is no finite vector")
    if abs(float(np.linalg.norm(vector)) - 1) > _UNIT_WITHIN:
        raise ValueError("an embedding is not of unit length")


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0][:200] or type(error).__name__
