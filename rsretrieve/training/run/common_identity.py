"""Check that several processes can train one model together."""

from __future__ import annotations

from typing import Any

import torch

from rsretrieve.errors import DeviceUnavailable, InvalidArgument, NoUsableTiles
from rsretrieve.training.dataset import PreparedTiles
from rsretrieve.training.parallel.processes import Processes
from rsretrieve.training.recipe import Recipe
from rsretrieve.training.run.identity import training_identity
from rsretrieve.training.step import TrainingSettings
from rsretrieve.training.validate import Examples


def require_batches_for(processes: Processes, batch_size: int, *, micro_batches: bool) -> None:
    """Check that batches can be shared.

    Args:
        processes: those of the training.
        batch_size: tiles a step, of all processes together.
        micro_batches: batches are to be split if memory runs out.

    Raises:
        InvalidArgument: they cannot.
    """
    if processes.count > 1 and micro_batches:
        raise InvalidArgument(
            "--batch-size auto works with one process only",
            hint="give the number of tiles per step, of all processes together",
        )
    if processes.count > batch_size:
        raise InvalidArgument(
            f"a batch of {batch_size} tiles cannot be shared by {processes.count} processes",
            hint="start fewer processes, or give a larger --batch-size",
        )


def require_own_gpus(processes: Processes, device: torch.device) -> None:
    """Check that no two processes use the same GPU, which NCCL cannot.

    Args:
        processes: those of the training.
        device: of this process.

    Raises:
        DeviceUnavailable: two processes use the same GPU.
    """
    if processes.count == 1 or device.type != "cuda":
        return
    gpus = processes.values_of_all(str(torch.cuda.get_device_properties(device).uuid))
    if len({*gpus}) < len(gpus):
        raise DeviceUnavailable(
            f"{len(gpus)} processes of the training use {len({*gpus})} GPUs, and need one each",
            hint="start one process for each GPU, without --device cuda:N; or give --device cpu",
        )


def require_shares(processes: Processes, train: Examples, batch_size: int) -> None:
    """Check that each process has a tile of each batch.

    Args:
        processes: those of the training.
        train: the training tiles.
        batch_size: tiles a step, at most.

    Raises:
        NoUsableTiles: there are too few tiles.
    """
    tiles = len(train)
    smallest = tiles // train.batches(batch_size)
    if processes.count > smallest:
        raise NoUsableTiles(
            f"{tiles} training tiles make batches of {smallest}, which {processes.count} "
            "processes cannot share",
            hint="start fewer processes",
        )


def common_identity(
    recipe: Recipe, weights: str, prepared: PreparedTiles, settings: TrainingSettings
) -> dict[str, Any]:
    """What identifies the training on all machines; see `training_identity`.

    Raises:
        InputError: the machines have different tiles.
    """
    processes = settings.processes
    identity: dict[str, Any] = {}
    with processes.together():
        if processes.is_reader:  # the others share its tiles
            identity = training_identity(recipe, weights, prepared, settings)
    processes.require_same(identity)
    return processes.of_first(lambda: identity)
