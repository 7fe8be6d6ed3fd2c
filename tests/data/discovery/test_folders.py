"""Folders that cannot be listed are named: what lies in them is missing from the tiles."""

from __future__ import annotations

import errno
import os

import pytest

from rsretrieve.data.discovery.find_tiles import find_tiles
from rsretrieve.data.run_context import RunContext
from rsretrieve.data.windowing import SceneChoices
from rsretrieve.errors import NoUsableTiles, TileError
from tests.support.tiles import noise, save_picture

DENIED = "may not be read (permission denied)"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Tiles in three folders, of which `b` and `c/inner` may not be listed, even by root."""
    for name in ("a", "b", "c/inner", "c"):
        (tmp_path / "tiles" / name).mkdir(parents=True, exist_ok=True)
        save_picture(tmp_path / "tiles" / name / "x.png", noise((3, 9, 9)))
    real = os.scandir

    def denying(path):
        if str(path).endswith(("b", "inner")):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", denying)
    return tmp_path / "tiles"


def test_they_are_failures_like_tiles_that_cannot_be_read(folder):
    context = RunContext()
    found = find_tiles(folder, context=context)
    assert [tile.id for tile in found] == ["a/x.png", "c/x.png"]
    assert found.unseen == ("b/", "c/inner/")
    assert [(bad.tile_id, bad.reason) for bad in context.failures] == [
        ("b", f"a folder that cannot be listed: {DENIED}"),
        ("c/inner", f"a folder that cannot be listed: {DENIED}"),
    ]
    with pytest.raises(TileError, match=r"^b: a folder that cannot be listed"):
        find_tiles(folder, context=RunContext(strict=True))


def test_without_a_log_a_notice_tells(folder):
    assert find_tiles(folder).notices == (
        f"folders left out: 2 that cannot be listed (the first, {folder / 'b'}: {DENIED})",
    )


@pytest.mark.parametrize("assets", [(), ("visual",)])
def test_where_there_is_nothing_else_the_reason_is_told(folder, assets):
    inner = folder / "b"
    with pytest.raises(NoUsableTiles, match=r"no tiles; folders left out: 1 that cannot be listed"):
        find_tiles(inner, scenes=SceneChoices(None, assets), context=RunContext())


def test_a_folder_in_which_nothing_may_be_looked_at_is_no_crash(tmp_path, monkeypatch):
    (tmp_path / "unnamed").write_bytes(b"II*\0")
    save_picture(tmp_path / "x.png", noise((3, 9, 9)))
    real = os.stat

    def denying(path, *given, **named):
        if str(path).endswith("unnamed"):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return real(path, *given, **named)

    monkeypatch.setattr(os, "stat", denying)
    assert [tile.id for tile in find_tiles(tmp_path)] == ["x.png"]
