"""What several processes are refused."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from rsretrieve.errors import DeviceUnavailable, InvalidArgument, NoUsableTiles
from rsretrieve.training.parallel.processes import ALONE, Processes
from rsretrieve.training.run.common_identity import (
    require_batches_for,
    require_own_gpus,
    require_shares,
)
from rsretrieve.training.validate import Examples

GPU = torch.device("cuda", 0)


class Three(Processes):
    count = 3

    def __init__(self, *values: Any) -> None:
        self.values = values

    def values_of_all(self, value: Any) -> list[Any]:
        return [*self.values]


def test_batches_that_cannot_be_shared_are_refused() -> None:
    with pytest.raises(InvalidArgument, match="--batch-size auto"):
        require_batches_for(Three(), 64, micro_batches=True)
    with pytest.raises(InvalidArgument, match="2 tiles"):
        require_batches_for(Three(), 2, micro_batches=False)
    require_batches_for(Three(), 3, micro_batches=False)
    require_batches_for(ALONE, 2, micro_batches=True)


def test_too_few_tiles_for_all_processes_are_refused() -> None:
    five, eight = (Examples(np.zeros(n), np.zeros(n, np.int64)) for n in (5, 8))
    with pytest.raises(NoUsableTiles, match="5 training tiles make batches of 2"):
        require_shares(Three(), five, 4)
    require_shares(Three(), eight, 4)
    require_shares(ALONE, five, 4)


def test_processes_that_share_a_gpu_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        torch.cuda, "get_device_properties", lambda device: SimpleNamespace(uuid="a")
    )
    with pytest.raises(DeviceUnavailable, match="3 processes of the training use 2 GPUs"):
        require_own_gpus(Three("a", "b", "a"), GPU)
    require_own_gpus(Three("a", "b", "c"), GPU)
    require_own_gpus(Three("a", "a", "a"), torch.device("cpu"))
