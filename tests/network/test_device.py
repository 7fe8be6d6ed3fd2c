"""Choosing a device and a precision, with and without a GPU."""

from __future__ import annotations

import re

import pytest
import torch

from rsretrieve.errors import DeviceUnavailable, InvalidArgument
from rsretrieve.network.device import (
    Precision,
    autocast,
    best_precision,
    choose_device,
    describe_device,
    unused_gpus,
)


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with two GPUs, the second of them older."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"Card {device.index}")
    capabilities = [(9, 0), (7, 5)]
    monkeypatch.setattr(
        torch.cuda, "get_device_capability", lambda device: capabilities[device.index]
    )


@pytest.fixture
def no_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


@pytest.mark.usefixtures("gpus")
@pytest.mark.parametrize(
    ("name", "chosen"), [("auto", "cuda:0"), ("cuda", "cuda:0"), ("cuda:1", "cuda:1")]
)
def test_a_gpu_is_chosen_where_there_is_one(name: str, chosen: str) -> None:
    assert choose_device(name) == torch.device(chosen)


@pytest.mark.usefixtures("gpus")
def test_the_cpu_can_be_chosen_beside_a_gpu() -> None:
    assert choose_device("cpu") == torch.device("cpu")


@pytest.mark.usefixtures("no_gpus")
def test_the_cpu_is_chosen_where_there_is_no_gpu() -> None:
    assert choose_device() == torch.device("cpu")


@pytest.mark.usefixtures("no_gpus")
@pytest.mark.parametrize("name", ["cuda", "cuda:0", "cuda:3"])
def test_a_gpu_that_is_not_there_is_refused(name: str) -> None:
    message = f"^there is no device {name}: 0 GPUs are usable$"
    with pytest.raises(DeviceUnavailable, match=message) as caught:
        choose_device(name)
    assert caught.value.hint == "give --device auto or --device cpu, or check the GPU's driver"


@pytest.mark.usefixtures("gpus")
def test_a_gpu_beyond_the_last_is_refused() -> None:
    with pytest.raises(DeviceUnavailable, match=r"^there is no device cuda:2: 2 GPUs are usable$"):
        choose_device("cuda:2")


@pytest.mark.usefixtures("gpus")
@pytest.mark.parametrize(
    "name", ["", "gpu", "CUDA", "mps", "cuda:x", "cuda:-1", "cpu:", "cuda:0:1"]
)
def test_names_that_are_no_device_are_refused(name: str) -> None:
    message = re.escape(f"no such device: {name!r}; choose auto, cpu, cuda or cuda:N")
    with pytest.raises(InvalidArgument, match=f"^{message}$"):
        choose_device(name)


@pytest.mark.usefixtures("gpus")
def test_devices_are_described_by_name() -> None:
    assert describe_device(torch.device("cpu")) == "cpu"
    assert describe_device(torch.device("cuda", 1)) == "cuda:1 (Card 1)"


@pytest.mark.usefixtures("gpus")
def test_gpus_compute_in_bfloat16_from_ampere_on() -> None:
    assert best_precision(torch.device("cuda", 0)) is Precision.BFLOAT16
    assert best_precision(torch.device("cuda", 1)) is Precision.FLOAT32


@pytest.mark.parametrize(
    ("capabilities", "precision"),
    [
        ({}, Precision.FLOAT32),
        ({"avx2": True}, Precision.FLOAT32),
        ({"avx512_bf16": True}, Precision.BFLOAT16),
        ({"amx_bf16": True}, Precision.BFLOAT16),
    ],
)
def test_a_cpu_computes_in_bfloat16_where_its_hardware_does(
    monkeypatch: pytest.MonkeyPatch, capabilities: dict[str, bool], precision: Precision
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)
    assert best_precision(torch.device("cpu")) is precision


def test_a_torch_that_does_not_tell_computes_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    assert best_precision(torch.device("cpu")) is Precision.FLOAT32


@pytest.mark.parametrize(
    ("precision", "dtype"),
    [(Precision.FLOAT32, torch.float32), (Precision.BFLOAT16, torch.bfloat16)],
)
def test_matrices_multiply_in_the_precision(precision: Precision, dtype: torch.dtype) -> None:
    with autocast(precision, torch.device("cpu")):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype is dtype


@pytest.fixture
def third_of_four(monkeypatch: pytest.MonkeyPatch) -> None:
    """This process is one of four on two machines."""
    place = {"RANK": "2", "WORLD_SIZE": "4", "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "2"}
    for name, value in (place | {"MASTER_ADDR": "node1", "MASTER_PORT": "1"}).items():
        monkeypatch.setenv(name, value)


@pytest.mark.usefixtures("gpus", "third_of_four")
def test_each_of_several_processes_has_the_gpu_of_its_number_on_the_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert choose_device("auto") == choose_device("cuda") == torch.device("cuda:0")
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert choose_device("auto") == torch.device("cuda:1")
    assert choose_device("cpu") == torch.device("cpu")


@pytest.mark.usefixtures("gpus", "third_of_four")
def test_more_processes_than_gpus_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_RANK", "2")
    with pytest.raises(DeviceUnavailable, match="cuda:2: 2 GPUs"):
        choose_device("auto")


@pytest.mark.usefixtures("gpus", "third_of_four")
def test_a_process_that_sees_only_its_own_gpu_takes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert choose_device("auto") == torch.device("cuda:0")


@pytest.mark.usefixtures("gpus")
def test_a_training_on_one_of_two_gpus_says_so() -> None:
    gpu = torch.device("cuda", 0)
    assert "one of 2 GPUs" in unused_gpus(gpu, "auto")
    assert "--nproc-per-node 2" in unused_gpus(gpu, "cuda")
    assert unused_gpus(gpu, "cuda:0") == unused_gpus(torch.device("cpu"), "auto") == ""


@pytest.mark.usefixtures("gpus", "third_of_four")
def test_nothing_is_said_where_all_gpus_are_used() -> None:
    assert unused_gpus(torch.device("cuda", 0), "auto") == ""
