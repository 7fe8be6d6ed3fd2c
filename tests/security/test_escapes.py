"""What a stranger's files try: to read a private picture, to write, to ask a server. None gets out.

Two layers stand in the way: a process has only the drivers that hold their pixels themselves
(and looks at sidecars first), and the system denies it all else. Each is tried alone, too; with
both switched off the known ways lead out, so that these tests can fail.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from rsretrieve._core.paths import stack_path
from rsretrieve.data.access import Readable, policy_for
from rsretrieve.data.discovery.find_tiles import find_tiles
from rsretrieve.data.gdal_drivers import for_files
from rsretrieve.data.reading.preview import read_preview
from rsretrieve.data.tile import Tile, Trust
from rsretrieve.data.windowing import SceneChoices
from rsretrieve.data.workers.confinement import Policy, enforced
from rsretrieve.data.workers.pool import WorkerSlot
from rsretrieve.data.workers.worker import WorkerLost
from rsretrieve.errors import TileError
from tests.support.tiles.attempts import Home, made_attempts, names, plain
from tests.support.tiles.reading_here import shows_private_pixels

pytestmark = pytest.mark.medium

CONFINED = pytest.mark.skipif(
    not (enforced().reading_confined and enforced().network_denied),
    reason="this system has no Landlock",
)


@dataclass
class Found:
    """What got out: tiles that show private pixels, requests to a server, files that changed."""

    shown: list[str]
    asked: list[str]
    changed: list[str]

    @property
    def nothing(self) -> bool:
        return not (self.shown or self.asked or self.changed)


@contextmanager
def listening() -> Iterator[tuple[str, list[str]]]:
    """The address of a server on this machine, and what it was asked."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(404)

        def do_HEAD(self) -> None:
            self.do_GET()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}", asked
        server.shutdown()


class Yard:
    """A stranger's folder, a user's, and a server that notes who asks."""

    def __init__(self, folder: Path, url: str, requests: list[str]) -> None:
        self.requests = requests
        self.home = Home.made(folder / "home", url)
        self.root = folder / "stranger"
        self.root.mkdir()
        self.tiles = made_attempts(self.root, self.home)

    def tried(
        self, paths: list[Path], policy: Policy, trust: Trust, beside: Path | None = None
    ) -> Found:
        """Read tiles in a process of this policy; or as bands of a stack, beside another band."""
        before, self.requests[:] = self.home.state(), []
        slot, shown = WorkerSlot(), []
        for path in paths:
            read = str(path) if beside is None else stack_path([str(beside), str(path)])
            tile = Tile(path.relative_to(self.root).as_posix(), read, trust=trust)
            try:
                if slot.call(shows_private_pixels, tile, 20, policy):
                    shown.append(tile.id)
            except WorkerLost:
                pass
        slot.stop()
        after = self.home.state()
        changed = [p for p in {**before, **after} if before.get(p) != after.get(p)]
        return Found(shown, list(self.requests), changed)


@pytest.fixture(scope="module")
def yard(tmp_path_factory):
    with listening() as (url, asked):
        yield Yard(tmp_path_factory.mktemp("yard"), url, asked)


def policy(yard, *, drivers, system):
    """As it is for tiles in a folder; or with a layer left out."""
    names = tuple(for_files()) if drivers else None
    readable = (str(yard.root),)
    return Policy(names, readable, network=not system, system=system)


def test_there_is_something_to_try(yard):
    assert len(yard.home.pictures) > 15
    assert len(yard.tiles) > 1000


def test_the_policy_of_a_folder_is_the_one_that_is_tried(yard):
    tile = Tile("a", str(yard.tiles[0]))
    readable = Readable.of([tile], [yard.root])
    assert policy_for(tile, readable) == policy(yard, drivers=True, system=True)


@pytest.mark.medium
@CONFINED
def test_nothing_gets_out(yard):
    found = yard.tried(yard.tiles, policy(yard, drivers=True, system=True), Trust.STRANGER)
    assert found.nothing, found


@pytest.mark.medium
def test_nothing_gets_out_where_the_system_enforces_nothing(yard):
    found = yard.tried(yard.tiles, policy(yard, drivers=True, system=False), Trust.STRANGER)
    assert found.nothing, found


@pytest.mark.medium
@CONFINED
def test_nothing_gets_out_where_gdal_has_every_driver(yard):
    found = yard.tried(yard.tiles, policy(yard, drivers=False, system=True), Trust.TRUSTED)
    assert found.nothing, found


@pytest.mark.medium
@CONFINED
def test_nothing_gets_out_by_the_bands_of_a_stack(yard):
    beside = plain(yard.root / "beside.tif")
    stack = Tile("a", stack_path([str(beside), str(yard.tiles[0])]))
    chosen = policy_for(stack, Readable.of([stack], [yard.root]))
    assert chosen == policy(yard, drivers=True, system=True)
    found = yard.tried(yard.tiles, chosen, Trust.STRANGER, beside)
    assert found.nothing, found


def test_the_known_ways_lead_out_by_the_bands_of_a_stack_too(yard):
    known = ("text_VRT_http_tile", "VRT_GTiff_tile", "VRT_GTiff.ovr")
    paths = [path for path in yard.tiles if path.parent.name in known]
    beside = plain(yard.root / "beside.tif")
    found = yard.tried(paths, policy(yard, drivers=False, system=False), Trust.TRUSTED, beside)
    assert {"VRT_GTiff_tile/a.tif", "VRT_GTiff.ovr/a.tif"} <= set(found.shown)
    assert any("vrt.tif" in path for path in found.asked)


@pytest.mark.parametrize("name", ["vrt", "subfile", "vsicurl", "zarr", "gtiff_dir", "http"])
def test_a_band_that_is_no_plain_path_is_opened_by_nobody(yard, name):
    for trust in (Trust.STRANGER, Trust.NAMED):
        stack = stack_path([str(yard.tiles[0]), names(yard.home)[name]])
        with pytest.raises(OSError, match="--trust-sources"):
            policy_for(Tile("a", stack, trust=trust), Readable(()))


def test_a_typed_stack_is_trusted_no_more_than_a_found_one(yard):
    stack = Tile("a", stack_path(list(map(str, yard.tiles[:2]))), trust=Trust.NAMED)
    readable = Readable.of([stack], [yard.root])
    assert policy_for(stack, readable) == policy(yard, drivers=True, system=True)


@CONFINED
@pytest.mark.parametrize("step", [4, pytest.param(1, marks=pytest.mark.exhaustive)])
def test_links_among_the_bands_of_a_folder_show_images_only(yard, tmp_path, step):
    """As with other tiles: a link is followed, but only to an image that holds its pixels."""
    shown, allowed = [], {*for_files(), "COG"}  # COG: a TIFF
    files = {name: path for name, path in yard.home.pictures.items() if path.is_file()}
    refused = sorted(files.keys() - allowed)
    for name in (*sorted(files.keys() & allowed), *refused[::step]):
        private = files[name]
        folder = tmp_path / name.replace(" ", "_")
        plain(folder / "x_B02.tif")
        (folder / "x_B03.tif").symlink_to(private)
        found = find_tiles(folder, scenes=SceneChoices(stack=("all",)))
        slot = WorkerSlot()
        chosen = policy_for(found[0], Readable.of(found, found.folders))
        if slot.call(shows_private_pixels, found[0], 20, chosen):
            shown.append(name)
        slot.stop()
    assert refused
    assert set(shown) <= allowed
    assert "GTiff" in shown


def test_without_both_layers_the_known_ways_lead_out(yard):
    known = (
        "text_cached_MRF_tile",
        "VRT_GTiff_tile",
        "text_VRT_http_tile",
        "vsicurl_named",
        "VRT_GTiff.ovr",
    )
    paths = [path for path in yard.tiles if path.parent.name in known]
    assert len(paths) == len(known)
    found = yard.tried(paths, policy(yard, drivers=False, system=False), Trust.TRUSTED)
    assert {"VRT_GTiff_tile/a.tif", "VRT_GTiff.ovr/a.tif"} <= set(found.shown)
    assert any("vrt.tif" in path for path in found.asked)
    assert any("/a.tif" in path for path in found.asked)
    assert str(yard.home.folder / "profile") in found.changed


@pytest.mark.parametrize("name", ["vrt", "subfile", "vsicurl", "zarr", "gtiff_dir", "http"])
def test_a_row_that_is_no_plain_path_is_opened_by_nobody(yard, name):
    with pytest.raises(OSError, match="--trust-sources"):
        policy_for(Tile("a", names(yard.home)[name]), Readable(()))


@pytest.mark.parametrize("name", ["derived", "wms", "NITF_name", "STACIT_url"])
def test_other_names_of_gdal_are_names_of_files_that_are_not_there(yard, name):
    found = read_preview_reason(names(yard.home)[name])
    assert found == "no such file"


def read_preview_reason(path):
    with pytest.raises(TileError) as caught:
        read_preview(Tile("a", path), 16)
    return caught.value.reason


def test_what_the_user_trusts_is_opened_with_all_that_it_names(yard):
    tile = Tile("a", "vrt://whatever", trust=Trust.TRUSTED)
    assert policy_for(tile, Readable(())) == Policy(None, ("/",), network=True)
    typed = replace(tile, path="/vsicurl/http://127.0.0.1/a.vrt", trust=Trust.NAMED)
    assert policy_for(typed, Readable(())).network
    local = replace(typed, path="/vsizip/a.zip/a.vrt")
    assert not policy_for(local, Readable(())).network
