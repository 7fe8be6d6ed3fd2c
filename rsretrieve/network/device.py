"""Choose the device that computes, and the precision that it gains by."""

from __future__ import annotations

from contextlib import AbstractContextManager
from enum import StrEnum
from typing import Any

import torch

from rsretrieve._core.threads import free_cores
from rsretrieve.errors import DeviceUnavailable, InvalidArgument


class Precision(StrEnum):
    """The type that a network's layers compute in; parameters stay float32."""

    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"


def choose_device(name: str = "auto") -> torch.device:
    """Find the device of that name; `auto` is the first GPU where there is one, else the CPU.

    On the CPU no more threads compute than cores are free of other programs.

    Raises:
        InvalidArgument: a name that is none.
        DeviceUnavailable: a GPU that is not there.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    kind, _, number = name.partition(":")
    if kind not in ("cpu", "cuda") or (number and not number.isdecimal()) or name.endswith(":"):
        raise InvalidArgument(f"no such device: {name!r}; choose auto, cpu, cuda or cuda:N")
    if kind == "cpu":
        _take_free_cores()
        return torch.device("cpu")
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if int(number or 0) >= count:
        raise DeviceUnavailable(
            f"device {name} is not there: {count} GPUs are usable",
            hint="give --device auto or --device cpu, or look at the GPU's driver",
        )
    return torch.device("cuda", int(number or 0))


def _take_free_cores() -> None:
    """Let as many threads compute as cores are free, and no more than PyTorch itself takes."""
    free = free_cores()
    if free is not None and free < torch.get_num_threads():
        torch.set_num_threads(free)


def describe_device(device: torch.device) -> str:
    """`cpu`, or `cuda:0 (name of the GPU)`."""
    if device.type == "cpu":
        return "cpu"
    return f"{device} ({torch.cuda.get_device_name(device)})"


def best_precision(device: torch.device) -> Precision:
    """bfloat16 where the device computes it in hardware, else float32."""
    if device.type == "cuda":
        gains = torch.cuda.get_device_capability(device) >= (8, 0)
    else:
        capabilities: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
        gains = bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
    return Precision.BFLOAT16 if gains else Precision.FLOAT32


def autocast(precision: Precision, device: torch.device) -> AbstractContextManager[object]:
    """The context in which a network computes in that precision."""
    enabled = precision is Precision.BFLOAT16
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=enabled)
