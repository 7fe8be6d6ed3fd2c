"""The model folder: the only reader and writer of trained models. Never a pickle."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from rsretrieve._core.atomic_write import default_file_mode, sha256_of_file
from rsretrieve._core.sealing import write_sealed
from rsretrieve._core.tables import write_csv
from rsretrieve.data.preprocessing.preprocessing import Preprocessing
from rsretrieve.data.run_context import RunContext
from rsretrieve.errors import InvalidArgument, ModelDamaged, ran_out_of_memory
from rsretrieve.network.metadata import (
    DESCRIPTION_FILE,
    GRAPH_FILE,
    WEIGHTS_FILE,
    ModelDescription,
    ModelFolder,
    read_description,
    report_unchecked,
)
from rsretrieve.network.model import Model, PrototypeModel
from rsretrieve.network.network import EmbeddingNetwork, build_network
from rsretrieve.network.prototypes import Prototypes
from rsretrieve.network.runtime.graph_export import Export, export_graph
from rsretrieve.network.tensor_io import write_tensors
from rsretrieve.network.weights_file import read_weights
from rsretrieve.progress import EpochFinished

__all__ = [
    "DESCRIPTION_FILE",
    "GRAPH_FILE",
    "HISTORY_FILE",
    "WEIGHTS_FILE",
    "load_model",
    "read_description",
    "seal_folder",
    "write_description",
    "write_graph",
    "write_history",
    "write_weights",
]
HISTORY_FILE = "history.csv"


def write_weights(folder: Path, model: PrototypeModel) -> str:
    """Write the network and the prototypes; return the file's SHA-256."""
    write_tensors(folder / WEIGHTS_FILE, model.state_dict())
    (folder / WEIGHTS_FILE).chmod(default_file_mode())  # safetensors lets only the owner read
    return sha256_of_file(folder / WEIGHTS_FILE)


def write_description(folder: Path, description: ModelDescription) -> None:
    """Write `model.json`, sealed by a digest of its own content."""
    write_sealed(folder / DESCRIPTION_FILE, description.to_json())


def seal_folder(folder: Path) -> None:
    """Write `model.json` anew, with a checksum of every other file of a folder that is done."""
    sealed_already = (DESCRIPTION_FILE, WEIGHTS_FILE)
    names = sorted(path.name for path in folder.iterdir() if path.name not in sealed_already)
    files = {name: sha256_of_file(folder / name) for name in names}
    write_description(folder, replace(read_description(folder), files=files))


def write_history(folder: Path, history: Sequence[EpochFinished]) -> None:
    """Write `history.csv`, a row an epoch."""
    columns = [field.name for field in fields(EpochFinished)]
    rows = (["" if v is None else v for v in asdict(epoch).values()] for epoch in history)
    write_csv(folder / HISTORY_FILE, columns, rows, overwrite=True)


def write_graph(folder: Path, network: EmbeddingNetwork, preprocessing: Preprocessing) -> Export:
    """Write what a network computes beside its weights, if that can be told."""
    with _on_the_processor(network) as here:
        export = export_graph(here, preprocessing, folder / WEIGHTS_FILE)
    if export.graph is not None:
        (folder / GRAPH_FILE).write_bytes(export.graph)
    return export


@contextmanager
def _on_the_processor(network: EmbeddingNetwork) -> Iterator[EmbeddingNetwork]:
    device = network.projection.weight.device
    try:
        yield network.cpu()
    finally:
        network.to(device)


def load_model(folder: Path, device: torch.device, context: RunContext | None = None) -> Model:
    """Read a model folder and put the network on a device.

    Args:
        folder: the model folder.
        device: where it is to compute.
        context: is told of files without a checksum.

    Raises:
        ModelNotFound: there is no model.
        ModelDamaged: a file is missing, was cut short or edited, or is too new.
    """
    model = ModelFolder.read(folder)
    report_unchecked(model, context)
    arrays = read_weights(model)
    trained = _empty_model(model)
    try:
        trained.load_state_dict(_state_of(trained, arrays))
    except (RuntimeError, ValueError) as error:
        if ran_out_of_memory(error):
            raise
        path = folder / WEIGHTS_FILE
        raise ModelDamaged(f"{path} does not fit {DESCRIPTION_FILE} ({error})") from error
    trained.eval()
    return Model(
        folder=folder,
        description=model.description,
        network=trained.network.to(device),
        prototypes=trained.prototypes.unit.detach().numpy(),
        temperature=float(trained.prototypes.temperature.detach()),
        device=device,
    )


def _state_of(model: PrototypeModel, arrays: Mapping[str, NDArray[Any]]) -> dict[str, Tensor]:
    """Tensors as a state that this model can take."""
    state = model.state_dict()
    # It says besides of which version each layer is; without that, MNASNet takes none.
    metadata = getattr(state, "_metadata", {})
    taken = OrderedDict((name, torch.from_numpy(array)) for name, array in arrays.items())
    taken._metadata = metadata  # type: ignore[attr-defined]
    return taken


def _empty_model(model: ModelFolder) -> PrototypeModel:
    description, preprocessing = model.description, model.description.preprocessing
    prototypes = Prototypes(len(description.class_names), description.dimensions, 1.0)
    try:
        network = build_network(
            description.backbone,
            bands=len(preprocessing.bands),
            size_px=preprocessing.size_px,
            dimensions=description.dimensions,
        )
    except InvalidArgument as error:
        path = model.folder / DESCRIPTION_FILE
        raise ModelDamaged(f"{path}: {error}", hint=error.hint) from error
    return PrototypeModel(network, prototypes)
