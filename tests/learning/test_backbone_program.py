"""A backbone's program computes what torchvision's backbone computes, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from rsretrieve.errors import ModelDamaged
from rsretrieve.learning import model_store
from rsretrieve.learning.backbone_program import Program, ProgramBackbone, export_program
from rsretrieve.learning.description import check_file
from rsretrieve.learning.device import Precision, computing_in
from rsretrieve.learning.network import build_network, program_of

CPU = torch.device("cpu")
BACKBONES = {
    "resnet18": (3, 32),
    "shufflenet_v2_x0_5": (6, 32),
    "swin_t": (2, 32),
    "swin_v2_t": (3, 32),
}


def stored(program: Program | None) -> Program:
    """A program as it is in a file."""
    loaded: Program = json.loads(json.dumps(program, allow_nan=False))
    return loaded


@pytest.mark.parametrize("name", BACKBONES)
@pytest.mark.parametrize("precision", Precision)
def test_a_program_gives_what_the_backbone_gives(name: str, precision: Precision) -> None:
    bands, size_px = BACKBONES[name]
    network = build_network(name, bands=bands, size_px=size_px, dimensions=4).eval()
    tensors = network.backbone.state_dict()
    recording = program_of(name, bands, size_px)
    if torch.__version__.startswith("2.7.") and name.startswith("swin"):
        assert "Constraints violated" in recording.cause
        pytest.skip("PyTorch 2.7 cannot record Swin for any number of tiles")
    rebuilt = ProgramBackbone(stored(recording.program), tensors)
    for batch in (1, 2, 5):
        pixels = torch.randn(batch, bands, size_px, size_px)
        with torch.inference_mode(), computing_in(precision, CPU):
            expected, found = network.backbone(pixels), rebuilt(pixels)
        assert found.dtype == expected.dtype
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    assert rebuilt.state_dict().keys() == tensors.keys()


def test_inputs_are_left_as_they_were() -> None:
    rebuilt = ProgramBackbone(
        stored(program_of("resnet18", 3, 32).program),
        build_network("resnet18", bands=3, size_px=32, dimensions=4).backbone.state_dict(),
    )
    pixels = torch.randn(2, 3, 32, 32)
    before = pixels.clone()
    with torch.inference_mode():
        first, second = rebuilt(pixels), rebuilt(pixels)
    assert torch.equal(pixels, before)
    assert torch.equal(first, second)


class Sorting(nn.Module):
    """An operation that no program has."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 4, 3)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.layer(pixels).flatten(1).sort(dim=1).values


class Growing(Sorting):
    """What it does hangs on what it sees."""

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.layer(pixels)
        return found.flatten(1) if found.sum() > 0 else found.flatten(1) * 2


class Adding(Sorting):
    """A tensor of one number, which is not copied to anywhere."""

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.layer(pixels)
        return found.flatten(1) + torch.ops.aten.scalar_tensor(3.0)


CANNOT_BE_RECORDED = {Sorting: "sort", Growing: "data-dependent", Adding: "scalar_tensor"}


@pytest.mark.parametrize("kind", CANNOT_BE_RECORDED)
def test_what_cannot_be_recorded_has_a_cause_and_no_program(kind: type[nn.Module]) -> None:
    backbone = kind()
    recording = export_program(backbone, 3, 16)
    assert recording.program is None
    assert CANNOT_BE_RECORDED[kind] in recording.cause
    assert backbone.training


def test_a_backbone_that_computes_its_widths_is_recorded_without_drawing_by_chance() -> None:
    before = torch.get_rng_state()
    assert program_of("regnet_x_400mf", 3, 32).cause == ""
    assert torch.equal(torch.get_rng_state(), before)


def test_a_backbone_that_cannot_be_built_for_recording_has_a_cause() -> None:
    recording = program_of("maxvit_t", 3, 37)
    assert recording.program is None
    assert "ValueError" in recording.cause


def test_only_listed_operations_run() -> None:
    program = {"nodes": [{"op": "from_file.default", "args": ["/etc/passwd"], "kwargs": {}}]}
    with pytest.raises(ModelDamaged, match="no such operation: from_file"):
        ProgramBackbone({**program, "output": {"node": 1}}, {})


@pytest.mark.parametrize(
    "program",
    [{}, {"nodes": [3], "output": {"node": 1}}, {"nodes": [], "output": {"tensor": "a"}}],
)
def test_what_is_no_program_is_refused(program: Program) -> None:
    with pytest.raises(ModelDamaged, match="cannot be run"):
        ProgramBackbone(program, {})


def test_a_tensor_that_is_not_there_is_named() -> None:
    tensors = build_network("resnet18", bands=3, size_px=32, dimensions=4).backbone.state_dict()
    del tensors["bn1.bias"]
    program = stored(program_of("resnet18", 3, 32).program)
    with pytest.raises(ModelDamaged, match=r"needs bn1\.bias, which is not there"):
        ProgramBackbone(program, tensors)


Damage = Callable[[Path], Any]
DAMAGES: dict[str, tuple[Damage, str]] = {
    "gone": (lambda path: path.unlink(), "cannot be read"),
    "edited": (lambda path: path.write_text(path.read_text() + " "), "its SHA-256 differs"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_program_that_was_touched_is_refused(tmp_path: Path, damage: str) -> None:
    change, message = DAMAGES[damage]
    path = tmp_path / model_store.PROGRAM_FILE
    sha256 = model_store.write_program(tmp_path, {"nodes": []})
    change(path)
    with pytest.raises(ModelDamaged, match=message):
        check_file(path, str(sha256))


def test_no_program_writes_no_file(tmp_path: Path) -> None:
    assert model_store.write_program(tmp_path, None) is None
    assert list(tmp_path.iterdir()) == []
