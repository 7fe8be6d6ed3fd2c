"""Write tensors to a file. No other module writes tensors."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

_KERNEL_SIDES = 4  # dimensions of a convolution's weights


def halve_kernels(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Store the weights of convolutions as float16 where no value changes.

    Args:
        tensors: by name.

    Returns:
        The same values. Weights that float16 cannot hold exactly, and all other tensors, keep
        their type.
    """
    halved = {
        name: tensor.to(torch.float16)
        for name, tensor in tensors.items()
        if tensor.dtype is torch.float32 and tensor.ndim == _KERNEL_SIDES
    }
    exact = {name: half for name, half in halved.items() if half.float().equal(tensors[name])}
    return {**tensors, **exact}


def write_tensors(
    path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None
) -> None:
    """Write named tensors and text metadata as safetensors.

    Args:
        path: the file.
        tensors: any dtype, shape, device and memory layout.
        metadata: text to store in the header.

    Raises:
        OSError: the file cannot be written. safetensors reports a full disk or a missing
            permission as an error of its own class.
    """
    # `save_file` accepts contiguous tensors only.
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    try:
        save_file(plain, path, None if metadata is None else dict(metadata))
    except SafetensorError as error:
        found = re.search(r"(?:os error|code:) (\d+)", str(error))  # newer versions, and 0.4
        if found is None:
            raise
        number = int(found[1]) or errno.EIO
        raise OSError(number, os.strerror(number), str(path)) from error
