"""The place of a process among several."""

from __future__ import annotations

from pathlib import Path

import pytest

from rsretrieve._core.locks import only_writer
from rsretrieve._core.machine import launch
from rsretrieve._core.machine.launch import Launch, remove_temporary
from rsretrieve.errors import InvalidArgument

TORCHRUN = {
    **{"RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "4"},
    **{"MASTER_ADDR": "node1", "MASTER_PORT": "29500"},
}


def test_a_process_that_ends_at_once_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, gone = tmp_path / "tiles", tmp_path / "gone"
    folder.mkdir()
    (folder / "train.npy").touch()
    monkeypatch.setattr(launch, "temporary", {folder, gone})
    with only_writer(tmp_path / "model"):
        assert {path.name for path in tmp_path.iterdir()} == {"tiles", ".model.lock"}
        remove_temporary()
        assert not [*tmp_path.iterdir()]
    assert launch.temporary == {folder, gone}


def test_a_process_of_torchrun_knows_its_place() -> None:
    place = Launch.of_environment(TORCHRUN)
    assert place == Launch(rank=5, processes=8, local_rank=1, local_processes=4)
    assert not place.is_alone


@pytest.mark.parametrize("missing", ["RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR"])
def test_without_a_launcher_a_process_is_alone(missing: str) -> None:
    partial = {name: value for name, value in TORCHRUN.items() if name != missing}
    assert Launch.of_environment(partial).is_alone


@pytest.mark.parametrize(("name", "value"), [("RANK", "8"), ("RANK", "x"), ("LOCAL_RANK", "6")])
def test_numbers_that_make_no_sense_are_refused(name: str, value: str) -> None:
    with pytest.raises(InvalidArgument, match=f"{name}={value}"):
        Launch.of_environment({**TORCHRUN, name: value})
