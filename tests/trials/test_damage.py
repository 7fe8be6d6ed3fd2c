"""A byte changed anywhere in any file of an index is told, and never gives a wrong hit."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from rsretrieve.index.store.checksums import find_wrong_files
from rsretrieve.index.store.manifest import DATA_FILES, MANIFEST_FILE
from tests.support.indexes.planet import make_planet
from tests.support.repository import ROOT
from tests.trials.damage_trials import Noticed, Unnoticed, trial

PLACES = 200


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("damage") / "index"
    make_planet(path, "IVF16,Flat")
    return path


@pytest.mark.medium
@pytest.mark.parametrize("name", [MANIFEST_FILE, *DATA_FILES])
def test_a_changed_byte_is_told_and_gives_no_wrong_hit(folder: Path, name: str) -> None:
    found = trial(folder, name, PLACES, np.random.default_rng(3))
    # The FAISS index is not even read where few tiles are looked at one by one.
    unread = name == "index.faiss"
    assert found == Noticed(PLACES, 0 if unread else PLACES, PLACES)


def test_a_change_that_nobody_told_would_be_seen(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def blind(*given: object, **named: object) -> list[str]:
        return [n for n in find_wrong_files(*given, **named) if n != "embeddings.npy"]  # type: ignore[arg-type]

    for module in ("store.folder", "maintenance.verify"):
        monkeypatch.setattr(f"rsretrieve.index.{module}.find_wrong_files", blind)
    with pytest.raises(Unnoticed, match=r"^byte \d+ of embeddings\.npy: "):
        trial(folder, "embeddings.npy", 3, np.random.default_rng(0))


@pytest.mark.medium
def test_the_program_says_so_file_by_file(folder: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.trials.damage_trials", str(folder), str(tmp_path / "w")]
    ran = subprocess.run(
        [*command, "--places", "5"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert [line.split(":")[0] for line in ran.stdout.splitlines()] == [MANIFEST_FILE, *DATA_FILES]
