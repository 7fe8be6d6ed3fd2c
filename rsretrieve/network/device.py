"""Choose the device and the precision that a network runs with."""

from __future__ import annotations

from contextlib import AbstractContextManager
from enum import StrEnum
from typing import Any

import torch

from rsretrieve._core.machine.launch import Launch
from rsretrieve._core.machine.threads import PROCESSORS
from rsretrieve.errors import DeviceUnavailable
from rsretrieve.network.device_names import check_device_name


class Precision(StrEnum):
    """The number format of a network's layers; its parameters stay float32."""

    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"


def choose_device(name: str = "auto") -> torch.device:
    """Find a device by its name.

    On the CPU, PyTorch's number of threads is reduced to the number of cores that other programs
    leave free.

    Args:
        name: `cpu`, `cuda`, `cuda:N`, or `auto` for the first GPU if there is one, else the CPU.
            For one of several processes, `cuda` and `auto` mean the GPU of its number on the
            machine; if it sees a single GPU, that one.

    Raises:
        InvalidArgument: not the name of a device.
        DeviceUnavailable: there is no such GPU.
    """
    check_device_name(name)
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    kind, _, number = name.partition(":")
    if kind == "cpu":
        _limit_threads_to_free_cores()
        return torch.device("cpu")
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if not number and count > 1:
        number = str(Launch.of_environment().local_rank)
    if int(number or 0) >= count:
        raise DeviceUnavailable(
            f"there is no device {kind}:{number or 0}: {count} GPUs are usable"
            if count
            else f"there is no device {name}: {count} GPUs are usable",
            hint="give --device auto or --device cpu, or check the GPU's driver",
        )
    return torch.device("cuda", int(number or 0))


def unused_gpus(device: torch.device, chosen: str) -> str:
    """A notice for a training that uses one of several GPUs; empty if it need not.

    Args:
        device: of the training.
        chosen: the device as the user named it.
    """
    count = torch.cuda.device_count() if device.type == "cuda" else 0
    if count < 2 or ":" in chosen or not Launch.of_environment().is_alone:
        return ""
    return f"one of {count} GPUs is used; to use all, start torchrun --nproc-per-node {count}"


def _limit_threads_to_free_cores() -> None:
    free = PROCESSORS.free_cores()
    if free is not None and free < torch.get_num_threads():
        torch.set_num_threads(free)


def describe_device(device: torch.device) -> str:
    """Describe a device as `cpu` or `cuda:0 (name of the GPU)`."""
    if device.type == "cpu":
        return "cpu"
    return f"{device} ({torch.cuda.get_device_name(device)})"


def best_precision(device: torch.device) -> Precision:
    """The fastest precision: bfloat16 if the device has hardware for it, else float32."""
    if device.type == "cuda":
        has_bfloat16 = torch.cuda.get_device_capability(device) >= (8, 0)
    else:
        capabilities: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
        has_bfloat16 = bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
    return Precision.BFLOAT16 if has_bfloat16 else Precision.FLOAT32


def autocast(precision: Precision, device: torch.device) -> AbstractContextManager[object]:
    """A context in which networks run in the given precision."""
    enabled = precision is Precision.BFLOAT16
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=enabled)
