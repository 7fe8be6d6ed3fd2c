"""Checkpoints: what is written is read again, and never for another training."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from rsretrieve.errors import CheckpointError
from rsretrieve.training import checkpoint as checkpoints
from rsretrieve.training.checkpoint import (
    Checkpoint,
    add_prefix,
    optimizer_tensors,
    read_checkpoint,
    restore_optimizer,
    select_prefix,
    write_checkpoint,
)

IDENTITY = {"seed": 1, "recipe.epochs": 5, "classes": ["a", "é"], "augmentation": {"zoom": 0.25}}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "unfinished" / "checkpoint.safetensors"


@pytest.fixture
def written(path: Path) -> Checkpoint:
    tensors = {
        "model.weight": torch.arange(6.0).reshape(2, 3),
        "model.turned": torch.arange(6.0).reshape(2, 3).T,
        "model.steps": torch.tensor(3),
        "weights": torch.tensor([1.0, 0.0]),
        "grown": torch.ones(2, requires_grad=True),
    }
    checkpoint = Checkpoint(IDENTITY, tensors, {"history": [{"loss": 0.1 + 0.2}], "best": None})
    write_checkpoint(path, checkpoint)
    return checkpoint


@pytest.mark.usefixtures("written")
def test_a_checkpoint_is_read_as_it_was_written(path: Path, written: Checkpoint) -> None:
    read = read_checkpoint(path, IDENTITY)
    assert read.identity == IDENTITY
    assert read.facts == written.facts
    assert read.tensors.keys() == written.tensors.keys()
    for name, tensor in written.tensors.items():
        assert read.tensors[name].dtype is tensor.dtype
        assert torch.equal(read.tensors[name], tensor)


def test_tuples_in_an_identity_are_the_lists_they_are_read_as(path: Path) -> None:
    identity = {"bands": (3, 2, 1)}
    write_checkpoint(path, Checkpoint(identity, {}, {}))
    assert read_checkpoint(path, identity).identity == {"bands": [3, 2, 1]}


@pytest.mark.usefixtures("written")
def test_a_later_checkpoint_replaces_the_earlier(path: Path) -> None:
    write_checkpoint(path, Checkpoint(IDENTITY, {"weights": torch.zeros(1)}, {"epoch": 2}))
    read = read_checkpoint(path, IDENTITY)
    assert read.facts == {"epoch": 2}
    assert list(read.tensors) == ["weights"]
    assert [file.name for file in path.parent.iterdir()] == [path.name]


@pytest.mark.usefixtures("written")
def test_a_crash_while_writing_leaves_the_last_checkpoint_whole(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(aside: Path, *_: object) -> None:
        aside.write_bytes(b"half")
        raise OSError("no space left on device")

    monkeypatch.setattr(checkpoints, "write_tensors", crash)
    with pytest.raises(OSError, match=r"no space left"):
        write_checkpoint(path, Checkpoint(IDENTITY, {}, {}))
    assert "weights" in read_checkpoint(path, IDENTITY).tensors
    assert [file.name for file in path.parent.iterdir()] == [path.name]


@pytest.mark.usefixtures("written")
def test_another_training_is_refused_by_all_that_differs(path: Path) -> None:
    other = {**IDENTITY, "seed": 2, "recipe.epochs": 6}
    message = "the unfinished training differs: recipe.epochs was 5, and is 6; seed was 1, and is 2"
    with pytest.raises(CheckpointError, match=f"^{message}$") as caught:
        read_checkpoint(path, other)
    assert caught.value.hint == (
        "give the same arguments to resume it, or --overwrite to start again"
    )


@pytest.mark.usefixtures("written")
@pytest.mark.parametrize(
    ("other", "difference"),
    [
        ({k: v for k, v in IDENTITY.items() if k != "seed"}, "seed was 1, and is None"),
        ({**IDENTITY, "weights": "none"}, "weights was None, and is none"),
    ],
)
def test_a_missing_or_additional_choice_is_a_difference(
    path: Path, other: dict[str, object], difference: str
) -> None:
    with pytest.raises(CheckpointError, match=f": {difference}$"):
        read_checkpoint(path, other)


def test_without_a_checkpoint_there_is_nothing_to_resume(path: Path) -> None:
    message = re.escape(f"no unfinished training to resume ({path} is missing)")
    with pytest.raises(CheckpointError, match=f"^{message}$") as caught:
        read_checkpoint(path, IDENTITY)
    assert caught.value.hint == "start it without --resume"


@pytest.mark.usefixtures("written")
@pytest.mark.parametrize("kept_bytes", [0, 4, 100, -1])
def test_a_checkpoint_cut_short_is_refused(path: Path, kept_bytes: int) -> None:
    path.write_bytes(path.read_bytes()[:kept_bytes])
    message = rf"^{re.escape(str(path))} cannot be read \(.+\)$"
    with pytest.raises(CheckpointError, match=message) as caught:
        read_checkpoint(path, IDENTITY)
    assert caught.value.hint == "start the training again with --overwrite"


@pytest.mark.parametrize(
    "metadata", [None, {"facts": "{}"}, {"identity": "{}"}, {"identity": "{", "facts": "{}"}]
)
def test_a_file_of_tensors_that_is_no_checkpoint_is_refused(
    path: Path, metadata: dict[str, str] | None
) -> None:
    path.parent.mkdir()
    save_file({"weights": torch.ones(1)}, path, metadata)
    with pytest.raises(CheckpointError, match=r"cannot be read"):
        read_checkpoint(path, {})


def header_of(content: bytes) -> tuple[dict[str, Any], int]:
    """The header of a file of safetensors, and where the tensors begin."""
    length = int.from_bytes(content[:8], "little")
    return json.loads(content[8 : 8 + length]), 8 + length


@pytest.mark.usefixtures("written")
def test_a_changed_bit_of_a_tensor_is_found(path: Path) -> None:
    content = path.read_bytes()
    header, start = header_of(content)
    for name, about in header.items():
        if name != "__metadata__":
            changed = bytearray(content)
            changed[start + about["data_offsets"][0]] ^= 4
            path.write_bytes(changed)
            with pytest.raises(CheckpointError, match="is damaged"):
                read_checkpoint(path, IDENTITY)


@pytest.mark.parametrize("name", ["facts", "identity"])
@pytest.mark.parametrize("text", ["[]", "3", "null", '{"seed": 1}'])
def test_changed_metadata_are_found(path: Path, name: str, text: str) -> None:
    metadata = {"schema_version": str(checkpoints.SCHEMA_VERSION)}
    whole = Checkpoint({}, {"weights": torch.ones(1)}, {})
    write_checkpoint(path, whole)
    header, _ = header_of(path.read_bytes())
    save_file(dict(whole.tensors), path, {**header["__metadata__"], name: text})
    with pytest.raises(CheckpointError, match="is damaged"):
        read_checkpoint(path, {})
    if "{" not in text:  # also without a digest
        save_file(
            dict(whole.tensors), path, {**metadata, "identity": "{}", "facts": "{}", name: text}
        )
        with pytest.raises(CheckpointError, match="is damaged"):
            read_checkpoint(path, {})


def test_a_checkpoint_of_the_version_before_has_no_digest(path: Path) -> None:
    path.parent.mkdir()
    metadata = {"schema_version": "3", "identity": "{}", "facts": '{"epoch": 2}'}
    save_file({"weights": torch.ones(1)}, path, metadata)
    assert read_checkpoint(path, {}).facts == {"epoch": 2}


@pytest.mark.parametrize("dtype", [torch.bool, torch.int64, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 3)])
def test_tensors_of_every_kind_have_a_digest(
    path: Path, dtype: torch.dtype, shape: tuple[int, ...]
) -> None:
    write_checkpoint(path, Checkpoint({}, {"a": torch.ones(shape, dtype=dtype)}, {}))
    assert read_checkpoint(path, {}).tensors["a"].dtype is dtype


@pytest.mark.usefixtures("written")
def test_a_checkpoint_of_another_version_is_refused(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = checkpoints.SCHEMA_VERSION
    monkeypatch.setattr(checkpoints, "SCHEMA_VERSION", written + 1)
    message = rf"another version of rsretrieve \(schema {written}; this one reads {written + 1}\)$"
    with pytest.raises(CheckpointError, match=message):
        read_checkpoint(path, IDENTITY)


def test_a_folder_in_the_checkpoints_place_is_refused(path: Path) -> None:
    path.mkdir(parents=True)
    with pytest.raises(CheckpointError, match=r"cannot be read"):
        read_checkpoint(path, {})


def test_a_part_is_what_was_put_in_under_its_name() -> None:
    one, other = {"a.b": torch.ones(1), "c": torch.zeros(2)}, {"c": torch.ones(3)}
    together = {**add_prefix("model", one), **add_prefix("models", other)}
    assert select_prefix(together, "model") == one
    assert select_prefix(together, "models") == other
    assert select_prefix(together, "mod") == {}


def optimizer_of(name: str, parameters: list[Tensor]) -> torch.optim.Optimizer:
    if name == "adamw":
        return torch.optim.AdamW(parameters, lr=0.1)
    return torch.optim.SGD(parameters, lr=0.1, momentum=0.9, nesterov=True)


def steps(optimizer: torch.optim.Optimizer, parameters: list[Tensor], count: int) -> None:
    for _ in range(count):
        optimizer.zero_grad()
        torch.stack([parameter.square().sum() for parameter in parameters]).sum().backward()
        optimizer.step()


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_a_restored_optimizer_goes_on_as_if_never_stopped(name: str) -> None:
    unbroken = [torch.ones(2, requires_grad=True), torch.ones(3, requires_grad=True)]
    optimizer = optimizer_of(name, unbroken)
    steps(optimizer, unbroken, 2)
    stored = optimizer_tensors(optimizer)
    resumed = [parameter.detach().clone().requires_grad_() for parameter in unbroken]
    restored = optimizer_of(name, resumed)
    restore_optimizer(restored, {key: tensor.clone() for key, tensor in stored.items()})
    steps(optimizer, unbroken, 2)
    steps(restored, resumed, 2)
    assert all(torch.equal(one, other) for one, other in zip(unbroken, resumed))


def test_an_optimizer_that_has_not_stepped_has_nothing_to_store() -> None:
    assert optimizer_tensors(optimizer_of("adamw", [torch.ones(1, requires_grad=True)])) == {}
