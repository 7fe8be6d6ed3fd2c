"""The checkpoint: everything that an interrupted training needs to resume, in one file.

It is a file of safetensors with JSON in its metadata. `torch.save` would need no names for the
optimizer's buffers, but it writes a pickle and hides the cause when the disk is full.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from rsretrieve._core.atomic_write import written_aside
from rsretrieve.errors import CheckpointError
from rsretrieve.network.tensor_io import write_tensors
from rsretrieve.training.run.unfinished_training import nothing_to_resume

SCHEMA_VERSION = 3
_AGAIN = "start the training again with --overwrite"


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
    identity, facts = json.dumps(checkpoint.identity), json.dumps(checkpoint.facts)
    plain = {name: t.detach().cpu().contiguous() for name, t in checkpoint.tensors.items()}
    metadata = {
        "schema_version": str(SCHEMA_VERSION),
        "identity": identity,
        "facts": facts,
        "sha256": _digest(plain, identity, facts),
    }
    with written_aside(path, overwrite=True, follow=False) as temporary:
        write_tensors(temporary, plain, metadata)


def _digest(tensors: Mapping[str, Tensor], *texts: str) -> str:
    """The SHA-256 of texts and of contiguous tensors on the CPU, with their names and types."""
    found = hashlib.sha256("\0".join(texts).encode("utf-8", "surrogateescape"))
    for name, tensor in sorted(tensors.items()):
        found.update(f"\0{name} {tensor.dtype} {tuple(tensor.shape)} ".encode())
        found.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()


def read_checkpoint(path: Path, identity: Mapping[str, Any]) -> Checkpoint:
    """Read a checkpoint.

    Args:
        path: the file.
        identity: of the training that is to resume.

    Raises:
        CheckpointError: the file is missing, damaged or cannot be read, was written by another
            version, or belongs to another training.
    """
    try:
        with safe_open(path, framework="pt") as file:  # `load_file` would not return the metadata
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # no mapping
        found, facts = json.loads(metadata["identity"]), json.loads(metadata["facts"])
    except FileNotFoundError as error:
        raise nothing_to_resume(path) from error
    except (OSError, SafetensorError, KeyError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} cannot be read ({error})", hint=_AGAIN) from error
    _require_version(path, metadata.get("schema_version"))
    digest = metadata.get("sha256")  # earlier versions wrote none
    is_whole = digest in (None, _digest(tensors, metadata["identity"], metadata["facts"]))
    if not is_whole or not isinstance(found, dict) or not isinstance(facts, dict):
        raise CheckpointError(f"{path} is damaged", hint=_AGAIN)
    _require_same(found, json.loads(json.dumps(identity)))
    return Checkpoint(found, tensors, facts)


@contextmanager
def restoring(path: Path) -> Iterator[None]:
    """Run a block that sets the state of a training to that of a checkpoint.

    Args:
        path: the checkpoint, for messages.

    Raises:
        CheckpointError: something in it is missing or does not fit.
    """
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except (KeyError, TypeError, ValueError, RuntimeError, AttributeError) as error:
        raise CheckpointError(
            f"{path} is damaged: its content is not that of a checkpoint of this training",
            hint=_AGAIN,
        ) from error


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
