"""Write tensors to a file: the only module that does."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor


def write_tensors(
    path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None
) -> None:
    """Write tensors by name, and text beside them, as safetensors.

    Raises:
        OSError: no room, no permission; safetensors has an error of its own for these.
    """
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    try:
        save_file(plain, path, None if metadata is None else dict(metadata))
    except SafetensorError as error:
        found = re.search(r"(?:os error|code:) (\d+)", str(error))  # as newer ones say, and 0.4
        if found is None:
            raise
        number = int(found[1]) or errno.EIO
        raise OSError(number, os.strerror(number), str(path)) from error
