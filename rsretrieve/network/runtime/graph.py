"""A model as an ONNX graph, run by onnxruntime: it embeds a few tiles without loading PyTorch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from rsretrieve._core.text import first_line
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

_MAX_TILES = 32
"""For more tiles PyTorch is faster: it embeds several times as fast, but takes 2 s to load."""
_NORM_TOLERANCE = 1e-3


class EmbedsPixels(Protocol):
    """Embeds preprocessed tiles."""

    def vectors(self, pixels: NDArray[Any]) -> NDArray[np.float32]:
        """(B, C, S, S) in the tiles' dtype → (B, D) float32 unit rows."""


class EmbeddingModel(Protocol):
    """A model that embeds tiles, run by PyTorch or by onnxruntime."""

    @property
    def folder(self) -> Path:
        """The model folder."""

    @property
    def description(self) -> ModelDescription:
        """The content of `model.json`."""

    @property
    def device_name(self) -> str:
        """The device that it runs on: `cpu`, `cuda:0`."""

    def embedder(self) -> EmbedsPixels:
        """An embedder for this model."""


@dataclass(frozen=True)
class GraphEmbedder:
    """Embeds tiles one by one with a graph.

    Attributes:
        session: runs the graph.
    """

    session: InferenceSession

    def vectors(self, pixels: NDArray[Any]) -> NDArray[np.float32]:
        """(B, C, S, S) in the tiles' dtype → (B, D) float32 unit rows."""
        tiles = np.ascontiguousarray(pixels, np.float32)
        name = self.session.get_inputs()[0].name
        return np.concatenate(
            [self.session.run(None, {name: tiles[i : i + 1]})[0] for i in range(len(tiles))]
        )


@dataclass(frozen=True)
class GraphModel:
    """A loaded graph of a model.

    Attributes:
        folder: the folder that it was read from.
        description: the content of `model.json`.
        session: runs the graph on the CPU.
    """

    folder: Path
    description: ModelDescription
    session: InferenceSession

    @property
    def device_name(self) -> str:
        """Graphs run on the CPU."""
        return "cpu"

    def embedder(self) -> GraphEmbedder:
        """An embedder for this model."""
        return GraphEmbedder(self.session)


def open_embedding_model(
    model: ModelFolder, tiles: int, device: str, context: RunContext | None = None
) -> EmbeddingModel:
    """Open a model in the form that embeds a number of tiles sooner.

    Args:
        model: the model.
        tiles: the number of tiles.
        device: as the user named it; only PyTorch runs on a GPU.
        context: receives notices of files without a checksum.

    Returns:
        The graph if there is one, tiles are few, and the device is `auto` or `cpu`; else the
        PyTorch network.

    Raises:
        ModelDamaged: a file is missing or was changed.
        DeviceUnavailable: there is no such GPU.
    """
    if GRAPH_FILE in model.description.files and tiles <= _MAX_TILES and device in ("auto", "cpu"):
        return load_graph_model(model, context)
    from rsretrieve.network.device import choose_device
    from rsretrieve.network.model_folder import load_model

    return load_model(model.folder, choose_device(device), context)


def load_graph_model(model: ModelFolder, context: RunContext | None = None) -> GraphModel:
    """Load the graph of a model that has one.

    Args:
        model: the model.
        context: receives notices of files without a checksum.

    Raises:
        ModelDamaged: a file is missing or was changed, or the graph is refused by the checks of
            `graph_checks`.
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
    """Check a graph and create a session that runs it on the CPU.

    Raises:
        ValueError: the graph is refused, or onnxruntime cannot run it.
    """
    import onnxruntime

    from rsretrieve.network.runtime.graph_checks import (
        MAX_BYTES,
        GraphInterface,
        check_graph,
        weights_in_their_file,
    )

    if path.stat().st_size > MAX_BYTES:
        raise ValueError(f"it is larger than {MAX_BYTES >> 20} MiB")
    interface = GraphInterface(
        _input_shape(description), description.dimensions, path.with_name(WEIGHTS_FILE)
    )
    graph = check_graph(path.read_bytes(), interface)
    named = [tensor.name for tensor in weights_in_their_file(graph.graph)]
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # fatal errors only: others are raised
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # Weights are passed in memory, as they were checked: file names in the graph are not opened.
    values = [onnxruntime.OrtValue.ortvalue_from_numpy(arrays[name]) for name in named]
    options.add_external_initializers(named, values)
    try:
        return onnxruntime.InferenceSession(
            graph.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # onnxruntime's error classes have no common base
        raise ValueError(first_line(error)) from error


def _input_shape(description: ModelDescription) -> tuple[int, ...]:
    preprocessing = description.preprocessing
    return (1, len(preprocessing.bands), preprocessing.size_px, preprocessing.size_px)


def _try_out(session: InferenceSession, description: ModelDescription) -> None:
    """Embed an empty tile: only running a graph shows what it computes.

    Raises:
        ValueError: the result is not an embedding.
    """
    shape: Sequence[int] = _input_shape(description)
    try:
        [vector] = GraphEmbedder(session).vectors(np.zeros(shape, np.float32))
    except Exception as error:
        raise ValueError(first_line(error)) from error
    if vector.shape != (description.dimensions,) or not np.isfinite(vector).all():
        raise ValueError(f"the embedding of {prod(shape)} zeros is not a finite vector")
    if abs(float(np.linalg.norm(vector)) - 1) > _NORM_TOLERANCE:
        raise ValueError("an embedding does not have unit length")
