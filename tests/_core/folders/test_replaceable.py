"""Outputs that cannot be renamed into place are refused before the work."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rsretrieve._core.atomic_write import folder_aside, refuse_to_overwrite, written_aside
from rsretrieve._core.folders import replaceable
from rsretrieve._core.folders.folder_kind import FolderKind
from rsretrieve._core.folders.known_folders import INDEX_FOLDER, MODEL_FOLDER
from rsretrieve.errors import OutputRefused


@pytest.mark.parametrize("kind", [MODEL_FOLDER, INDEX_FOLDER])
@pytest.mark.parametrize("name", [".", "..", "in/.."])
def test_a_folder_without_a_name_of_its_own_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: FolderKind, name: str
) -> None:
    (tmp_path / "empty" / "in").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "empty")
    with pytest.raises(OutputRefused, match="current folder"):
        refuse_to_overwrite(Path(name), overwrite=True, kind=kind)


def test_a_mount_point_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replaceable.os.path, "ismount", lambda path: path == tmp_path)
    with pytest.raises(OutputRefused, match="mount point"):
        refuse_to_overwrite(tmp_path, overwrite=True, kind=MODEL_FOLDER)
    refuse_to_overwrite(tmp_path / "model", overwrite=True, kind=MODEL_FOLDER)


@pytest.mark.parametrize("letter", ["n", "é"])
def test_the_longest_folder_that_is_not_refused_can_be_written(tmp_path: Path, letter: str) -> None:
    longest = os.statvfs(tmp_path).f_namemax - len("..building-12345678")
    name = letter * (longest // len(letter.encode()))
    for folder in (tmp_path, tmp_path / "new" / "one"):
        with folder_aside(folder / name, overwrite=False, kind=MODEL_FOLDER) as aside:
            (aside / "model.json").touch()
        with pytest.raises(OutputRefused, match="too long"):
            refuse_to_overwrite(folder / f"{name}nn", overwrite=False, kind=MODEL_FOLDER)


def test_the_longest_file_that_is_not_refused_can_be_written(tmp_path: Path) -> None:
    longest = os.statvfs(tmp_path).f_namemax - len("..12345678.csv")
    name = "n" * (longest - len(".csv")) + ".csv"
    with written_aside(tmp_path / name, overwrite=False) as aside:
        aside.write_text("a")
    with pytest.raises(OutputRefused, match="too long"):
        refuse_to_overwrite(tmp_path / f"n{name}", overwrite=False)
