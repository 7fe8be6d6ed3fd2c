"""The checkpoint: everything that an interrupted training needs to resume, in one file.

It is a file of safetensors with JSON in its metadata. `torch.save` would need no names for the
optimizer's buffers, but it writes a pickle and hides the cause when the disk is full.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from rsretrieve._core.atomic_write import written_aside
from rsretrieve.errors import CheckpointError
from rsretrieve.network.tensor_io import write_tensors

SCHEMA_VERSION = 3


@dataclass(frozen=True)
class Checkpoint:
    """The state of a training after an epoch.

    Attributes:
        identity: everything that determines the result (tiles, labels, recipe, seed, device …).
            A training resumes only from a checkpoint of equal identity.
        tensors: all tensors by name, `prefix.name`.
        facts: the rest of the state, as JSON values.
    """

    identity: Mapping[str, Any]
    tensors: Mapping[str, Tensor]
    facts: Mapping[str, Any]


def write_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint to a temporary file and rename it, so that a crash keeps the last one.

    Raises:
        OSError: the file cannot be written.
    """
    metadata = {
        "schema_version": str(SCHEMA_VERSION),
        "identity": json.dumps(checkpoint.identity),
        "facts": json.dumps(checkpoint.facts),
    }
    with written_aside(path, overwrite=True) as temporary:
        write_tensors(temporary, checkpoint.tensors, metadata)


def read_checkpoint(path: Path, identity: Mapping[str, Any]) -> Checkpoint:
    """Read a checkpoint.

    Args:
        path: the file.
        identity: of the training that is to resume.

    Raises:
        CheckpointError: the file is missing, cannot be read, was written by another version, or
            belongs to another training.
    """
    try:
        with safe_open(path, framework="pt") as file:  # `load_file` would not return the metadata
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # no mapping
        found, facts = json.loads(metadata["identity"]), json.loads(metadata["facts"])
    except FileNotFoundError as error:
        raise CheckpointError(
            f"no unfinished training to resume ({path} is missing)",
            hint="start it without --resume",
        ) from error
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise CheckpointError(
            f"{path} cannot be read ({error})", hint="start the training again with --overwrite"
        ) from error
    _require_version(path, metadata.get("schema_version"))
    _require_same(found, json.loads(json.dumps(identity)))
    return Checkpoint(found, tensors, facts)


def _require_version(path: Path, version: str | None) -> None:
    if version != str(SCHEMA_VERSION):
        raise CheckpointError(
            f"{path} was written by another version of rsretrieve (schema {version}; this one "
            f"reads {SCHEMA_VERSION})",
            hint="finish it with that version, or start again with --overwrite",
        )


def _require_same(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    differing = [
        f"{name} was {found.get(name)}, and is {wanted.get(name)}"
        for name in sorted(found.keys() | wanted.keys())
        if found.get(name) != wanted.get(name)
    ]
    if differing:
        raise CheckpointError(
            f"the unfinished training differs: {'; '.join(differing)}",
            hint="give the same arguments to resume it, or --overwrite to start again",
        )


def select_prefix(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors named `prefix.…`, by their names without the prefix."""
    start = f"{prefix}."
    return {name.removeprefix(start): t for name, t in tensors.items() if name.startswith(start)}


def add_prefix(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The inverse of `select_prefix`."""
    return {f"{prefix}.{name}": tensor for name, tensor in tensors.items()}


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """An optimizer's buffers as `parameter.buffer`; its settings come from the recipe.

    A file of safetensors is flat, while an optimizer's state is nested.
    """
    state = optimizer.state_dict()["state"]
    return {f"{i}.{name}": t for i, buffers in state.items() for name, t in buffers.items()}


def restore_optimizer(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Set an optimizer's buffers to those that `optimizer_tensors` returned."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        number, _, name = key.partition(".")
        state.setdefault(int(number), {})[name] = tensor
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})
