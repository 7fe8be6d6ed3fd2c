"""What a confined process may read of the programs that are installed."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from rsretrieve.data.workers.confinement import own_code


def made(folder: Path, *files: str) -> None:
    for name in files:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    own_code.cache_clear()
    monkeypatch.setattr(sys, "path", [*sys.path])


def test_a_folder_with_installed_packages_is_readable(tmp_path: Path) -> None:
    """A .pth file or a layered environment adds it; its libraries lie beside the packages."""
    made(tmp_path, "numpy/__init__.py", "numpy.libs/libblas.so.0", "numpy-2.0.dist-info/METADATA")
    made(tmp_path, "nvidia/cublas/lib/libcublas.so.12")
    sys.path.append(str(tmp_path))
    assert str(tmp_path) in own_code()
    own_code.cache_clear()


def test_of_the_folder_of_a_user_only_code_is_readable(tmp_path: Path) -> None:
    made(tmp_path, "package/__init__.py", "package.libs/libx.so.1", "secrets/keys.txt", "own.py")
    sys.path.append(str(tmp_path))
    found = own_code()
    own_code.cache_clear()
    assert str(tmp_path) not in found
    here = {Path(path).name for path in found if Path(path).parent == tmp_path}
    assert here == {"package", "package.libs", "own.py"}
