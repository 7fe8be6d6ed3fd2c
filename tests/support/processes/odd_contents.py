"""A preprocessing whose worker was taken over: of one tile it gives something else."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rsretrieve.data.preprocessing.preprocessing import Preprocessing
from rsretrieve.errors import InvalidArgument

ERRORS = {
    "OSError": OSError(28, "No space left on device"),
    "KeyError": KeyError("x"),
    "StopIteration": StopIteration("x"),
    "SystemError": SystemError("x"),
    "MemoryError": MemoryError(),
    "InvalidArgument": InvalidArgument("wrong usage"),
}


@dataclass(frozen=True)
class Odd(Preprocessing):
    """Gives (3, 16, 16) float32 of each tile but one, `05.png`."""

    kind: str = ""

    def apply(self, tile_id, _):
        right = np.ones((3, 16, 16), np.float32)
        if tile_id != "05.png":
            return right
        if self.kind in ERRORS:
            raise ERRORS[self.kind]
        return {
            "shape": right[:, :, :9],
            "dtype": right.astype(np.float64),
            "text": "hello",
            "none": None,
            "NaN": right * np.nan,
            "list": [[1]],
            "number": 1.5,
        }[self.kind]
