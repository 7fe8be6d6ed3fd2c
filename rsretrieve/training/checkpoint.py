"""What a training needs to go on where it stopped, in one file written after every epoch."""

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
    """A training's state after an epoch.

    Attributes:
        identity: what the training is of (tiles, labels, recipe, seed, device …); one with
            another identity cannot go on from here.
        tensors: all state by name, `part.name`.
        facts: what is no tensor, as plain JSON values.
    """

    identity: Mapping[str, Any]
    tensors: Mapping[str, Tensor]
    facts: Mapping[str, Any]


def write_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint aside and switch it in, so that a crash leaves the last one whole."""
    metadata = {
        "schema_version": str(SCHEMA_VERSION),
        "identity": json.dumps(checkpoint.identity),
        "facts": json.dumps(checkpoint.facts),
    }
    with written_aside(path, overwrite=True) as aside:
        write_tensors(aside, checkpoint.tensors, metadata)


def read_checkpoint(path: Path, identity: Mapping[str, Any]) -> Checkpoint:
    """Read a checkpoint.

    Raises:
        CheckpointError: there is none, it cannot be read, or it is of another training.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # no mapping
        found, facts = json.loads(metadata["identity"]), json.loads(metadata["facts"])
    except FileNotFoundError as error:
        raise CheckpointError(
            f"no unfinished training to resume ({path} is not there)",
            hint="start it without --resume",
        ) from error
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise CheckpointError(
            f"{path} cannot be read ({error})", hint="start the training anew with --overwrite"
        ) from error
    if (version := metadata.get("schema_version")) != str(SCHEMA_VERSION):
        raise CheckpointError(
            f"{path} was written by another rsretrieve (schema {version}; this one reads "
            f"{SCHEMA_VERSION})",
            hint="finish it with that version, or start anew with --overwrite",
        )
    _require_same(found, json.loads(json.dumps(identity)))
    return Checkpoint(found, tensors, facts)


def _require_same(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    differing = [
        f"{name} was {found.get(name)}, and is {wanted.get(name)}"
        for name in sorted(found.keys() | wanted.keys())
        if found.get(name) != wanted.get(name)
    ]
    if differing:
        raise CheckpointError(
            f"the unfinished training is another one: {'; '.join(differing)}",
            hint="give the same arguments to resume it, or --overwrite to start anew",
        )


def select_prefix(tensors: Mapping[str, Tensor], name: str) -> dict[str, Tensor]:
    """The tensors `name.…` of a checkpoint, without that prefix."""
    prefix = f"{name}."
    return {key[len(prefix) :]: t for key, t in tensors.items() if key.startswith(prefix)}


def add_prefix(name: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The inverse of `select_prefix`."""
    return {f"{name}.{key}": tensor for key, tensor in tensors.items()}


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """An optimizer's buffers, as `parameter.buffer`; its settings come from the recipe."""
    state = optimizer.state_dict()["state"]
    return {f"{i}.{name}": t for i, buffers in state.items() for name, t in buffers.items()}


def restore_optimizer(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """The inverse of `optimizer_tensors`."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        number, _, name = key.partition(".")
        state.setdefault(int(number), {})[name] = tensor
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})
