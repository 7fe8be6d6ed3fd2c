"""The model folder: the only reader and writer of trained models. Never a pickle."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from rsretrieve.errors import InvalidArgument, ModelDamaged, ran_out_of_memory
from rsretrieve.learning.backbone_program import OF_A_BAD_PROGRAM, Program, ProgramBackbone
from rsretrieve.learning.description import (
    DESCRIPTION_FILE,
    PROGRAM_FILE,
    WEIGHTS_FILE,
    ModelDescription,
    ModelFolder,
    check_file,
    read_description,
    unchecked_notices,
)
from rsretrieve.learning.folding import folded
from rsretrieve.learning.losses import Prototypes
from rsretrieve.learning.model import Model, PrototypeModel
from rsretrieve.learning.network import EmbeddingNetwork, build_network
from rsretrieve.learning.program_limits import MOST_BYTES, NUMBER_TYPES
from rsretrieve.learning.tensor_file import write_tensors
from rsretrieve.progress import EpochFinished, Listener, Noticed, unheard
from rsretrieve.sealing import write_sealed
from rsretrieve.storage import default_file_mode, sha256_of_file, write_text
from rsretrieve.tiles.tables import write_csv

__all__ = [
    "DESCRIPTION_FILE",
    "HISTORY_FILE",
    "PROGRAM_FILE",
    "WEIGHTS_FILE",
    "load_model",
    "read_description",
    "seal_folder",
    "write_description",
    "write_history",
    "write_weights",
]
HISTORY_FILE = "history.csv"
_BACKBONE, _PROJECTION = "network.backbone.", "network.projection.weight"
_PROTOTYPES, _TEMPERATURE, _HOTTEST = "prototypes.weight", "prototypes.log_temperature", 1e6


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
    sealed_already = (DESCRIPTION_FILE, WEIGHTS_FILE, PROGRAM_FILE)
    names = sorted(path.name for path in folder.iterdir() if path.name not in sealed_already)
    files = {name: sha256_of_file(folder / name) for name in names}
    write_description(folder, replace(read_description(folder), files=files))


def write_history(folder: Path, history: Sequence[EpochFinished]) -> None:
    """Write `history.csv`, a row an epoch."""
    columns = [field.name for field in fields(EpochFinished)]
    rows = (["" if v is None else v for v in asdict(epoch).values()] for epoch in history)
    write_csv(folder / HISTORY_FILE, columns, rows, overwrite=True)


def write_program(folder: Path, program: Program | None) -> str | None:
    """Write what the backbone computes, if that can be told; return the file's SHA-256."""
    if program is None:
        return None
    text = json.dumps(program, separators=(",", ":"), allow_nan=False)
    write_text(folder / PROGRAM_FILE, text + "\n", overwrite=True)
    return sha256_of_file(folder / PROGRAM_FILE)


def load_model(folder: Path, device: torch.device, listener: Listener = unheard) -> Model:
    """Read a model folder and put the network on a device.

    Args:
        folder: the model folder.
        device: where it is to compute.
        listener: is told of files without a checksum.

    Raises:
        ModelNotFound: there is no model.
        ModelDamaged: a file is missing, was cut short or edited, or is too new.
    """
    description = read_description(folder)
    for notice in unchecked_notices(ModelFolder(folder, description)):
        listener(Noticed(notice))
    weights_path = folder / WEIGHTS_FILE
    check_file(weights_path, description.weights_sha256)
    try:
        state = load_file(weights_path)
        _check_shapes(description, state)
        _check_numbers(state)
        trained = _empty_model(folder, description, state)
        trained.load_state_dict(state)
    except (OSError, SafetensorError) as error:
        raise ModelDamaged(f"{weights_path} cannot be read ({error})") from error
    except (RuntimeError, ValueError) as error:
        if ran_out_of_memory(error):
            raise
        raise ModelDamaged(f"{weights_path} does not fit {DESCRIPTION_FILE} ({error})") from error
    trained.eval()
    return Model(
        folder=folder,
        description=description,
        network=trained.network.to(device),
        prototypes=trained.prototypes.unit.detach().numpy(),
        temperature=float(trained.prototypes.temperature.detach()),
        device=device,
    )


def _check_shapes(description: ModelDescription, state: Mapping[str, Tensor]) -> None:
    """What the layers' sizes are taken from must be as described, before memory is taken for them.

    Raises:
        ValueError: it is not.
    """
    dimensions, classes = description.dimensions, len(description.class_names)
    if _TEMPERATURE not in state or state[_TEMPERATURE].ndim:
        raise ValueError(f"{_TEMPERATURE} is not there, or no single number")
    for name, wanted in ((_PROJECTION, (dimensions, "F")), (_PROTOTYPES, (classes, dimensions))):
        if name not in state:
            raise ValueError(f"{name} is not there")
        shape = tuple(state[name].shape)
        fits = len(shape) == 2 and 0 not in shape and shape[0] == wanted[0]
        if not fits or wanted[1] not in (shape[1], "F"):
            expected = ", ".join(map(str, wanted))
            raise ValueError(f"{name} is of shape {shape}, and ({expected}) is expected")


def _check_numbers(state: Mapping[str, Tensor]) -> None:
    """Raise `ValueError` where a number is not finite, or of a type that no network has."""
    for name, tensor in state.items():
        if tensor.dtype not in NUMBER_TYPES:
            raise ValueError(f"{name} is of {tensor.dtype}, which no network has")
        # Where the sum is finite, all are; that takes a fifth of the time.
        if not tensor.sum().isfinite() and not tensor.isfinite().all():
            raise ValueError(f"{name} is damaged: a number in it is not finite")
        if name.endswith("running_var") and len(tensor) and tensor.min() < 0:
            raise ValueError(f"{name} is damaged: a variance is negative")
    if not 0 < float(state[_TEMPERATURE].exp()) < _HOTTEST:
        raise ValueError(f"{_TEMPERATURE} is damaged: no temperature")


def _empty_model(
    folder: Path, description: ModelDescription, state: Mapping[str, Tensor]
) -> PrototypeModel:
    prototypes = Prototypes(len(description.class_names), description.dimensions, 1.0)
    if description.program_sha256 is not None:
        return PrototypeModel(_network_of_program(folder, description, state), prototypes)
    preprocessing = description.preprocessing
    try:
        network = build_network(
            description.backbone,
            bands=len(preprocessing.bands),
            size_px=preprocessing.size_px,
            dimensions=description.dimensions,
        )
    except InvalidArgument as error:
        raise ModelDamaged(f"{folder / DESCRIPTION_FILE}: {error}", hint=error.hint) from error
    return PrototypeModel(network, prototypes)


def _network_of_program(
    folder: Path, description: ModelDescription, state: Mapping[str, Tensor]
) -> EmbeddingNetwork:
    path = folder / PROGRAM_FILE
    if path.exists() and path.stat().st_size > MOST_BYTES:
        raise ModelDamaged(f"{path} is larger than any network's ({MOST_BYTES >> 20} MiB)")
    check_file(path, str(description.program_sha256))
    tensors = {
        name.removeprefix(_BACKBONE): tensor
        for name, tensor in state.items()
        if name.startswith(_BACKBONE)
    }
    features = state[_PROJECTION].shape[1]
    try:
        backbone = ProgramBackbone(json.loads(path.read_text(encoding="utf-8")), tensors)
        network = EmbeddingNetwork(backbone, features, description.dimensions).eval()
        _try_out(network, backbone.program, description)
    except OF_A_BAD_PROGRAM as error:
        if ran_out_of_memory(error):
            raise
        reason = str(error).split("\n")[0]
        raise ModelDamaged(f"{path} cannot embed a tile ({reason})") from error
    return network.to(memory_format=torch.channels_last)


def _try_out(network: EmbeddingNetwork, program: Program, description: ModelDescription) -> None:
    """Embed as training and as search will: what a program computes can only be told by doing it.

    Raises:
        ValueError, or whatever the program makes of it: it does not embed.
    """
    preprocessing = description.preprocessing
    shape = (len(preprocessing.bands), preprocessing.size_px, preprocessing.size_px)
    # One tile and two: a program may be made for either number alone. And one first: what it
    # takes is the measure for many, and what cannot be run is not folded.
    for fold, tiles in ((False, 1), (True, 2)):
        with torch.inference_mode():
            layers = folded(network, program) if fold else network
            found = layers(torch.zeros(tiles, *shape))
        if found.shape != (tiles, description.dimensions):
            raise ValueError(f"{tiles} tiles become embeddings of shape {tuple(found.shape)}")
        if not found.isfinite().all():
            raise ValueError("an embedding is not finite")
