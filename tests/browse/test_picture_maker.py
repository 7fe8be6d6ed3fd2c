"""Pictures are made together, and everybody who waits for one gets it or the reason."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor
from time import sleep

import numpy as np
import pytest
from PIL import Image

from rsretrieve.browse import picture_maker as making
from rsretrieve.browse.picture_maker import Picture, PictureMaker
from rsretrieve.data.reading.read_tiles import read_in_order
from rsretrieve.errors import InputError, TileError
from rsretrieve.index.store.tile_table import IndexedTile, TileTable


@pytest.fixture
def batches(monkeypatch, tmp_path):
    """The numbers of this test's tiles that were read at once.

    Apps of other tests may still make pictures in their own threads.
    """
    found = []

    def counted(tiles, *arguments, **choices):
        if all(tile.path.startswith(str(tmp_path)) for tile in tiles):
            found.append(len(tiles))
        return read_in_order(tiles, *arguments, **choices)

    monkeypatch.setattr(making, "read_in_order", counted)
    return found


@pytest.fixture
def maker(tmp_path):
    """Of tiles of the grey levels 1, 8, 16 …; 0 would mean no data."""
    paths = [tmp_path / f"tile {number:02}.png" for number in range(24)]
    for number, path in enumerate(paths):
        Image.fromarray(np.full((16, 16, 3), max(1, 8 * number), np.uint8)).save(path)
    rows = [IndexedTile(path.name, str(path), None, 0, 0, None) for path in paths]
    return PictureMaker(TileTable.of(rows), ())


def grey(content):
    picture = Image.open(io.BytesIO(content)).convert("RGB")
    return picture.size, int(np.asarray(picture).mean())


@pytest.mark.medium
def test_what_is_announced_is_made_with_what_is_asked_for(maker, batches):
    maker.make_ahead(Picture(row, 96) for row in range(1, 21))
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda row: maker.get(Picture(row, 96)), range(1, 21)))
    for row, content in enumerate(found, 1):
        size, value = grey(content)
        assert size == (96, 96)
        assert abs(value - 8 * row) <= 4
    assert sum(batches) <= 24
    assert len(batches) <= 3
    maker.get(Picture(3, 96))
    assert sum(batches) <= 24


@pytest.mark.medium
def test_sizes_are_not_mixed(maker):
    maker.make_ahead([Picture(1, 96), Picture(1, 192), Picture(2, 96)])
    assert grey(maker.get(Picture(1, 192)))[0] == (192, 192)
    assert grey(maker.get(Picture(2, 96)))[0] == (96, 96)


@pytest.mark.medium
def test_a_window_is_shown_with_its_surroundings(tmp_path):
    pixels = np.zeros((64, 64, 3), np.uint8)
    pixels[16:32, 16:32] = 240
    Image.fromarray(pixels).save(tmp_path / "scene.png")
    row = IndexedTile("scene.png#16,16,16,16", str(tmp_path / "scene.png"), None, 0, 0, None)
    maker = PictureMaker(TileTable.of([row]), ())
    assert grey(maker.get(Picture(0, 96)))[1] > 230
    wider = maker.get(Picture(0, 96, is_wider=True))
    assert grey(wider)[1] == pytest.approx(240 / 9, abs=8)


@pytest.mark.medium
def test_a_tile_that_cannot_be_read_spoils_no_other(tmp_path):
    Image.new("RGB", (8, 8), (90, 90, 90)).save(tmp_path / "good.png")
    (tmp_path / "bad.png").write_bytes(b"no picture")
    rows = [
        IndexedTile(name, str(tmp_path / name), None, 0, 0, None)
        for name in ("good.png", "bad.png", "gone.png")
    ]
    maker = PictureMaker(TileTable.of(rows), ())
    maker.make_ahead(Picture(row, 96) for row in range(3))
    assert abs(grey(maker.get(Picture(0, 96)))[1] - 90) <= 3
    for row in (1, 2):
        with pytest.raises(TileError):
            maker.get(Picture(row, 96))
    with pytest.raises(TileError, match="surroundings"):
        maker.get(Picture(0, 96, is_wider=True))


@pytest.mark.medium
def test_a_program_that_ends_does_not_wait_for_pictures_made_ahead(maker, batches):
    maker.make_ahead(Picture(row, 96) for row in range(24))
    maker.close()
    maker.make_ahead([Picture(5, 96)])
    sleep(0.2)
    assert not batches
    with pytest.raises(InputError, match="ends"):
        maker.get(Picture(0, 96))


def test_nobody_waits_for_ever(maker, monkeypatch):
    def broken(*_, **__):
        raise OSError("no process")

    monkeypatch.setattr(making, "read_in_order", broken)
    with pytest.raises(OSError, match="no process"):
        maker.get(Picture(0, 96))
    with pytest.raises(OSError, match="no process"):
        maker.get(Picture(1, 96))


def test_few_pictures_are_kept(maker, monkeypatch, batches):
    monkeypatch.setattr(making, "_MOST_KEPT", 2)
    for row in (1, 2, 3, 1):
        maker.get(Picture(row, 96))
    assert len(batches) == 4
