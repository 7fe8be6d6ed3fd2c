"""An installation of FAISS that lacks files is one clear message, with what mends it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from rsretrieve.errors import MissingPackage
from rsretrieve.index.vectors.faiss_loader import faiss_module

HALVES = {
    "no __init__": {"contrib/__init__.py": ""},
    "no library": {"__init__.py": "from .swigfaiss import *"},
    "empty": {"__init__.py": ""},
}


@pytest.fixture
def without_faiss(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if nobody had imported FAISS so far."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "faiss"]:
        monkeypatch.delitem(sys.modules, name)


@pytest.mark.usefixtures("without_faiss")
@pytest.mark.parametrize("half", HALVES)
def test_what_one_uninstall_leaves_of_two_packages_is_named(
    half: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in HALVES[half].items():
        path = tmp_path / "faiss" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    with pytest.raises(MissingPackage, match="only in part") as caught:
        faiss_module()
    assert "pip uninstall --yes faiss-cpu faiss-gpu" in caught.value.hint
    sys.modules.pop("faiss", None)


@pytest.mark.usefixtures("without_faiss")
def test_where_there_is_none_the_command_that_installs_it_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "path", [])
    with pytest.raises(MissingPackage, match="not installed") as caught:
        faiss_module()
    assert "pip install faiss-gpu" in caught.value.hint
