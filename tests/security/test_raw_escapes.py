"""A raw format shows any bytes as pixels: no header and no name leads to a private file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rsretrieve.data.access import Readable
from rsretrieve.data.discovery.find_tiles import find_tiles
from rsretrieve.data.discovery.tile_list import write_list
from rsretrieve.data.failures import Failure
from rsretrieve.data.reading.read_tiles import read_in_order
from rsretrieve.data.tile import TileSet
from rsretrieve.data.window import Window
from tests.support.processes.worker_functions import the_raw_tile
from tests.support.tiles.made_tiles import noise, save_picture

SIDE = 64
SECRET = b"-----BEGIN PRIVATE KEY-----\n".ljust(SIDE * SIDE, b"k")
ENVI = (
    f"ENVI\nsamples = {SIDE}\nlines = {SIDE}\nbands = 1\nheader offset = 0\n"
    "file type = ENVI Standard\ndata type = 1\ninterleave = bsq\nbyte order = 0\n"
)
EHDR = f"BYTEORDER I\nLAYOUT BIL\nNROWS {SIDE}\nNCOLS {SIDE}\nNBANDS 1\nNBITS 8\n"
HEADERS = [("x.hdr", ENVI), ("x{}.hdr", ENVI), ("x.hdr", EHDR), ("x.HDR", ENVI)]
SUFFIXES = [".img", ".jpg", ".png", ".bmp", ".tif", ".bil"]


@pytest.fixture
def private(tmp_path: Path) -> Path:
    """A private file, and beside it a folder of tiles."""
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / ".netrc").write_bytes(SECRET)
    save_picture(tmp_path / "tiles" / "a" / "t.png", noise((3, SIDE, SIDE)))
    return tmp_path / "home" / ".netrc"


def shown(tiles: TileSet, name: str) -> bytes | str:
    """The pixels of a tile as bytes, or the reason of its failure."""
    [found] = all_shown(tiles, name)
    return found


def all_shown(tiles: TileSet, name: str) -> list[bytes | str]:
    """As `shown`, of all tiles of this name in their folders."""
    return [
        read.reason if isinstance(read, Failure) else bytes(read.content.values.tobytes())
        for read in read_in_order(tiles, the_raw_tile, 1)
        if read.tile.id.rpartition("/")[2].partition("#")[0] == name
    ]


@pytest.mark.medium
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_header_beside_a_link_shows_no_private_file(
    private: Path, tmp_path: Path, suffix: str
) -> None:
    name = f"x{suffix}"
    rows = [f"{number}/{name}" for number in range(len(HEADERS))]
    for number, (header, text) in enumerate(HEADERS):
        folder = tmp_path / "tiles" / str(number)
        folder.mkdir()
        (folder / name).symlink_to(private)
        (folder / header.format(suffix)).write_text(text)
    (tmp_path / "tiles" / "list.csv").write_text("\n".join(["tile", *rows]))
    listed = find_tiles(tmp_path / "tiles" / "list.csv")
    windows = tuple(replace(tile, window=Window(0, 0, SIDE, SIDE)) for tile in listed)
    found = [all_shown(listed, name), all_shown(replace(listed, tiles=windows), name)]
    if suffix != ".bil":  # a folder is not searched for it
        found.append(all_shown(find_tiles(tmp_path / "tiles"), name))
    assert [len(each) for each in found] == [len(HEADERS)] * len(found)
    assert all(isinstance(one, str) for each in found for one in each)


@pytest.mark.medium
def test_a_header_that_is_a_link_is_none(private: Path, tmp_path: Path) -> None:
    folder = tmp_path / "tiles" / "a"
    (folder / "x.img").write_bytes(SECRET)
    private.with_name("other.hdr").write_text(ENVI)
    (folder / "x.hdr").symlink_to(private.with_name("other.hdr"))
    assert isinstance(shown(find_tiles(folder), "x.img"), str)


@pytest.mark.medium
def test_a_link_to_a_file_of_another_name_is_no_elevation(private: Path, tmp_path: Path) -> None:
    values = np.arange(1201 * 1201, dtype=">i2") % 999
    private.write_bytes(values.tobytes())
    folder = tmp_path / "tiles" / "a"
    (folder / "N47E008.hgt").symlink_to(private)
    (folder / "list.csv").write_text("tile\nN47E008.hgt\n")
    reason = shown(find_tiles(folder / "list.csv"), "N47E008.hgt")
    assert isinstance(reason, str)
    assert "link" in reason
    (folder / "N47E008.hgt").unlink()
    (folder / "N47E008.hgt").write_bytes(values.tobytes())
    assert len(shown(find_tiles(folder / "list.csv"), "N47E008.hgt")) == 2 * 1201 * 1201


@pytest.mark.medium
@pytest.mark.parametrize("way", ["plain", "folder is a link", "both are links", "list"])
@pytest.mark.parametrize("header", ["x.hdr", "x.img.hdr"])
def test_a_raster_with_its_own_header_is_read(tmp_path: Path, way: str, header: str) -> None:
    data, tiles = tmp_path / "data", tmp_path / "tiles"
    data.mkdir()
    (data / "x.img").write_bytes(SECRET)
    (data / header).write_text(ENVI)
    if way == "folder is a link":
        tiles.symlink_to(data)
    elif way == "both are links":
        tiles.mkdir()
        for name in ("x.img", header):
            (tiles / name).symlink_to(data / name)
    elif way == "list":
        write_list(tmp_path / "list.csv", find_tiles(data), overwrite=False)
        tiles = tmp_path / "list.csv"
    else:
        tiles = data
    assert shown(find_tiles(tiles), "x.img") == SECRET


def test_a_link_to_a_hidden_file_makes_no_other_hidden_file_readable(
    private: Path, tmp_path: Path
) -> None:
    for name in (".profile", ".bash_history", ".netrc.aux.xml", "..netrc"):
        private.with_name(name).write_text("x")
    (tmp_path / "tiles" / "a" / "x.png").symlink_to(private)
    (tmp_path / "tiles" / "a" / "y.png").symlink_to(private.with_name("..netrc"))
    tiles = find_tiles(tmp_path / "tiles")
    allowed = {Path(path).name for path in Readable.of(tiles, tiles.folders).paths}
    assert allowed == {"tiles", ".netrc", ".netrc.aux.xml", "..netrc"}
