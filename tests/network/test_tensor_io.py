"""Tensors in a file: what the system has against it is the system's error, not safetensors'."""

from __future__ import annotations

import errno
import resource
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from rsretrieve.network import tensor_io
from rsretrieve.network.tensor_io import halve_kernels, write_tensors


def test_tensors_come_back_as_they_went(tmp_path: Path) -> None:
    transposed = torch.arange(6.0).reshape(2, 3).T
    write_tensors(tmp_path / "a", {"a": transposed}, {"text": "beside"})
    assert torch.equal(load_file(tmp_path / "a")["a"], transposed)


def test_only_kernels_that_float16_holds_exactly_are_halved() -> None:
    tensors = {
        "exact": torch.rand(2, 3, 3, 3).half().float(),
        "inexact": torch.full((2, 3, 3, 3), 1 / 3),
        "too large": torch.full((2, 3, 3, 3), 1e6),
        "matrix": torch.ones(2, 3),
        "count": torch.ones(1, 1, 1, 1, dtype=torch.int64),
    }
    found = halve_kernels(tensors)
    kinds = {name: tensor.dtype for name, tensor in found.items()}
    assert [name for name, kind in kinds.items() if kind is torch.float16] == ["exact"]
    assert all(torch.equal(found[name].to(tensors[name].dtype), tensors[name]) for name in tensors)


def test_no_room_is_an_error_of_the_system_s(tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
    try:
        with pytest.raises(OSError, match="File too large") as caught:
            write_tensors(tmp_path / "a", {"a": torch.zeros(1000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert (caught.value.errno, caught.value.filename) == (errno.EFBIG, str(tmp_path / "a"))


def test_another_error_of_safetensors_is_not_hidden(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise SafetensorError("a bug")

    monkeypatch.setattr(tensor_io, "save_file", broken)
    with pytest.raises(SafetensorError, match="a bug"):
        write_tensors(tmp_path / "a", {})
