"""Names that no file can have, that look like something else, or that lead into the system."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from rsretrieve._core.paths import Location, stack_path
from rsretrieve.data.discovery.find_tiles import find_tiles
from rsretrieve.data.discovery.tile_list import write_list
from rsretrieve.data.failures import Failure
from rsretrieve.data.reading.read_tiles import read_in_order
from rsretrieve.data.run_context import RunContext
from rsretrieve.errors import NoUsableTiles
from tests.conftest import run_here
from tests.support.processes.worker_functions import the_raw_tile
from tests.support.tiles.made_tiles import noise, save_picture

NO_NAMES = ["a\0b.png", "\0", "a\0/t.png", stack_path(["t0.png", "a\0.png"]), "/a\0"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of four tiles."""
    for number in range(4):
        save_picture(tmp_path / "t" / f"t{number}.png", noise((3, 64, 64), seed=number))
    return tmp_path / "t"


def read(source: Path) -> dict[str, str]:
    """The tiles of a source by id: their size, or why they failed."""
    context = RunContext()
    reads = list(read_in_order(find_tiles(source, context=context), the_raw_tile, 1))
    failures = {failure.tile_id: failure.reason for failure in context.failures}
    return failures | {
        each.tile.id: each.reason
        if isinstance(each, Failure)
        else "×".join(map(str, each.content.values.shape[1:]))
        for each in reads
    }


def listed(folder: Path, *paths: str) -> Path:
    """A list of one readable tile and some others."""
    path = folder / "list.csv"
    with path.open("w", newline="", encoding="utf-8", errors="surrogatepass") as stream:
        rows = [("good", "t0.png", "x"), *((f"bad{i}", name, "x") for i, name in enumerate(paths))]
        csv.writer(stream).writerows([("tile", "path", "label"), *rows])
    return path


@pytest.mark.parametrize("name", [*NO_NAMES, "\ud800.png"])
def test_a_name_of_no_file_has_an_absolute_path_and_a_name(name: str) -> None:
    location = Location.parse(name)
    assert location.absolute()
    assert Location.parse(name).name


@pytest.mark.medium
def test_a_row_with_a_name_of_no_file_fails_alone(folder: Path) -> None:
    found = read(listed(folder, *NO_NAMES))
    assert found.pop("good") == "64×64"
    assert len(found) == len(NO_NAMES)
    assert {reason.partition(":")[0] for reason in found.values()} == {"no such file"}


@pytest.mark.medium
def test_an_item_with_a_name_of_no_file_fails_alone(folder: Path) -> None:
    names = [*NO_NAMES[:3], "%00.png", "t0.png"]
    items = [item_of(str(i), {"href": name, "type": "image/png"}) for i, name in enumerate(names)]
    found = {"type": "FeatureCollection", "features": items}
    (folder / "items.json").write_text(json.dumps(found))
    sizes = read(folder / "items.json")
    assert [tile_id for tile_id, text in sizes.items() if text == "64×64"] == ["items.json/4/a"]


def item_of(name: str, asset: dict[str, str]) -> dict[str, object]:
    """A STAC item with one asset."""
    item = {"type": "Feature", "stac_version": "1.0.0", "id": name, "geometry": None, "links": []}
    return item | {"properties": {"datetime": "2020-01-01T00:00:00Z"}, "assets": {"a": asset}}


@pytest.mark.medium
@pytest.mark.parametrize("source", ["list", "item"])
def test_commands_end_without_a_bug_of_ours(folder: Path, source: str) -> None:
    path = listed(folder, *NO_NAMES, "\ud800.png")
    if source == "item":
        path = folder / "item.json"
        path.write_text(json.dumps(item_of("i", {"href": "a\0.png", "type": "image/png"})))
    for given in ((path,), (path, folder)):
        done = run_here("split", *given, "--output", folder.parent / "s", "--overwrite")
        assert done.code in (0, 1, 3), done.err


@pytest.mark.medium
@pytest.mark.parametrize("window", ["#0,0,32,32", "#64,64,1,1", "#-1,2,3,4", "#1, 2, 3, 4"])
def test_a_file_that_is_named_like_a_window_is_never_read(folder: Path, window: str) -> None:
    name = f"t0.png{window}"
    save_picture(folder / f"{name}.png", noise((3, 64, 64), seed=9)).rename(folder / name)
    found = read(folder)
    assert "like a window" in found.pop(name)
    assert [*found.values()] == ["64×64"] * 4
    kept = find_tiles(folder)
    assert any("like a window" in notice for notice in kept.notices)
    write_list(folder.parent / "list.csv", kept, overwrite=False)
    assert [*read(folder.parent / "list.csv").values()] == ["64×64"] * 4
    (folder / "old.csv").write_text(f'tile,path\n"t1.png#0,0,16,16",t1.png\nb,"{name}"\n')
    assert "like a window" in str(read(folder / "old.csv"))
    for number in range(4):
        (folder / f"t{number}.png").unlink()
    with pytest.raises(NoUsableTiles, match="like a window"):
        find_tiles(folder)


@pytest.mark.medium
@pytest.mark.skipif(not Path("/proc/self").exists(), reason="this system has no /proc")
@pytest.mark.parametrize("target", ["/proc", "/sys", "/dev", "/proc/self", "/"])
def test_a_link_into_the_system_is_not_searched(folder: Path, target: str) -> None:
    inner = folder.parent / "elsewhere"
    if target == "/":  # by a folder that holds such a link
        inner.mkdir()
        (inner / "proc").symlink_to("/proc")
        target = str(inner)
    (folder / "more").symlink_to(target)
    tiles = find_tiles(folder)
    assert [tile.id for tile in tiles] == [f"t{number}.png" for number in range(4)]
    [notice] = (notice for notice in tiles.notices if "system folders left out" in notice)
    assert "more" in notice


@pytest.mark.medium
def test_links_to_folders_elsewhere_are_named(folder: Path) -> None:
    other = folder.parent / "other"
    save_picture(other / "deep" / "a.png", noise((3, 64, 64)))
    (folder / "more").symlink_to(other)
    (folder / "inner").mkdir()
    (folder / "again").symlink_to("inner")
    tiles = find_tiles(folder)
    assert "more/deep/a.png" in [tile.id for tile in tiles]
    [notice] = (notice for notice in tiles.notices if "outside" in notice)
    assert "more" in notice
    assert "again" not in notice


@pytest.mark.medium
@pytest.mark.skipif(not Path("/proc/kmsg").exists(), reason="this system has no /proc/kmsg")
def test_a_link_to_a_file_of_the_system_is_not_opened(folder: Path) -> None:
    targets = {"a.png": "/proc/kmsg", "b": "/proc/kmsg", "c.png": "/proc/self/status"}
    for name, target in {**targets, "d": "/proc/self/status"}.items():
        (folder / name).symlink_to(target)
    found = read(folder)
    assert found["a.png"] == found["c.png"] == "is a file of the system, not of a disk"
    assert len(found) == 6
