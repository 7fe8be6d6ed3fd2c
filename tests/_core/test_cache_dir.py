"""Where the cache folder is, by the environment."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from rsretrieve._core.cache_dir import cache_dir


@pytest.fixture(autouse=True)
def environment(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("RSRETRIEVE_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)


def test_the_own_variable_comes_first(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "others"))
    monkeypatch.setenv("RSRETRIEVE_CACHE", str(tmp_path / "own"))
    assert cache_dir() == tmp_path / "own"


def test_xdg_cache_home_comes_second(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "others"))
    assert cache_dir() == tmp_path / "others" / "rsretrieve"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems, other folders")
def test_the_default_is_the_users_cache_folder(tmp_path):
    assert cache_dir() == tmp_path / ".cache" / "rsretrieve"


def test_without_a_home_folder_there_is_none(monkeypatch):
    def no_home():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", no_home)
    assert cache_dir() is None
