"""Read and write model folders. No file of a model folder is a pickle."""

from __future__ import annotations

import platform
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, fields, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torchvision
from numpy.typing import NDArray
from torch import Tensor

import rsretrieve
from rsretrieve._core.atomic_write import default_file_mode, sha256_of_file
from rsretrieve._core.sealing import write_sealed
from rsretrieve._core.tables import write_csv
from rsretrieve.data.preprocessing.preprocessing import Preprocessing
from rsretrieve.data.run_context import RunContext
from rsretrieve.errors import InvalidArgument, ModelDamaged, ran_out_of_memory
from rsretrieve.network.backbones.level_names import network_of
from rsretrieve.network.backbones.timm_models import check_parameters
from rsretrieve.network.backbones.timm_names import is_known, is_timm
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
from rsretrieve.network.tensor_io import halve_kernels, write_tensors
from rsretrieve.network.weights_file import read_weights
from rsretrieve.progress import EpochFinished

HISTORY_FILE = "history.csv"


def write_weights(folder: Path, model: PrototypeModel, *, compact: bool = False) -> str:
    """Write the network and the prototypes.

    Args:
        folder: the model folder.
        model: the network and the prototypes.
        compact: store weights as float16 where no value changes, as those of models that were
            stored so before.

    Returns:
        The SHA-256 of the file.
    """
    state: Mapping[str, Tensor] = model.state_dict()
    write_tensors(folder / WEIGHTS_FILE, halve_kernels(state) if compact else state)
    # safetensors makes the file readable for its owner only.
    (folder / WEIGHTS_FILE).chmod(default_file_mode())
    return sha256_of_file(folder / WEIGHTS_FILE)


def write_description(folder: Path, description: ModelDescription) -> None:
    """Write `model.json` with a digest of its own content."""
    write_sealed(folder / DESCRIPTION_FILE, description.to_json())


def library_versions(backbone: str = "") -> dict[str, str]:
    """The versions of the libraries that make a model with this backbone, by name."""
    return {
        **({"timm": version("timm")} if is_timm(network_of(backbone)) else {}),
        "rsretrieve": rsretrieve.__version__,
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "torchvision": str(torchvision.__version__),
        "numpy": np.__version__,
    }


def seal_folder(folder: Path) -> None:
    """Add the checksums of all other files of a finished folder to `model.json`."""
    sealed_already = (DESCRIPTION_FILE, WEIGHTS_FILE)
    names = sorted(path.name for path in folder.iterdir() if path.name not in sealed_already)
    files = {name: sha256_of_file(folder / name) for name in names}
    write_description(folder, replace(read_description(folder), files=files))


def write_history(folder: Path, history: Sequence[EpochFinished]) -> None:
    """Write `history.csv`, one row an epoch."""
    columns = [field.name for field in fields(EpochFinished)]
    rows = (["" if v is None else v for v in asdict(epoch).values()] for epoch in history)
    write_csv(folder / HISTORY_FILE, columns, rows, overwrite=True, follow=False)


def write_graph(folder: Path, network: EmbeddingNetwork, preprocessing: Preprocessing) -> Export:
    """Export a network as an ONNX graph beside its weights.

    Args:
        folder: the model folder; its weights are written.
        network: on any device; its device and its mode are unchanged afterwards.
        preprocessing: of its tiles.

    Returns:
        The graph, or the cause if the network cannot be exported; then no file is written.
    """
    with _on_cpu(network) as cpu_network:
        export = export_graph(cpu_network, preprocessing, folder / WEIGHTS_FILE)
    if export.graph is not None:
        (folder / GRAPH_FILE).write_bytes(export.graph)
    return export


@contextmanager
def _on_cpu(network: EmbeddingNetwork) -> Iterator[EmbeddingNetwork]:
    device = network.projection.weight.device
    try:
        yield network.cpu()
    finally:
        network.to(device)


def load_model(folder: Path, device: torch.device, context: RunContext | None = None) -> Model:
    """Read a model folder and put the network on a device.

    Args:
        folder: the model folder.
        device: where the network is to run.
        context: receives notices of files without a checksum.

    Raises:
        ModelNotFound: there is no model.
        ModelDamaged: a file is missing, was changed, or was written by a newer version.
    """
    model = ModelFolder.read(folder)
    report_unchecked(model, context)
    arrays = read_weights(model)
    _check_parameters(model, arrays)
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
    """Convert arrays to a state dict of this model."""
    state = model.state_dict()
    # The metadata hold the version of each layer; without them MNASNet loads no weights.
    metadata = getattr(state, "_metadata", {})
    taken = OrderedDict((name, torch.from_numpy(array)) for name, array in arrays.items())
    taken._metadata = metadata  # type: ignore[attr-defined]
    return taken


def _check_parameters(model: ModelFolder, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Raise `ModelDamaged` if the named backbone of timm is larger than the weights' file.

    Its largest models take more memory than exists; those of torchvision do not.
    """
    description = model.description
    backbone = network_of(description.backbone)
    if not (is_timm(backbone) and is_known(backbone)):
        return
    preprocessing, numbers = description.preprocessing, sum(a.size for a in arrays.values())
    bands, size_px = len(preprocessing.bands), preprocessing.size_px
    try:
        check_parameters(backbone, bands, size_px, numbers)
    except ValueError as error:
        path = model.folder / WEIGHTS_FILE
        raise ModelDamaged(f"{path} does not fit {DESCRIPTION_FILE} ({error})") from error


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
