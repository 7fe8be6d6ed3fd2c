"""Finding tiles: folders, CSV and Parquet lists, single images; and writing lists."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from rsretrieve.data.discovery.find_tiles import find_tiles, tiles_of_images
from rsretrieve.data.discovery.tile_list import write_list
from rsretrieve.data.reading.read_tiles import read_in_order
from rsretrieve.data.tile import Tile, TileSet, Trust
from rsretrieve.data.window import Window
from rsretrieve.data.windowing import SceneChoices, WindowChoices
from rsretrieve.errors import InvalidArgument, LabelsError, TableError, TileError, TilesNotFound
from tests.support.processes.worker_functions import made_into_0
from tests.support.tiles.made_tiles import noise, save_picture, save_raster, save_table

JPEG_START = b"\xff\xd8\xff\xe0"


def touch(folder, *names):
    """Empty files: what a folder holds is told by names, not by opening every file."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return folder


def ids_and_labels(tiles):
    return [(tile.id, tile.label) for tile in tiles]


def ids(tiles):
    return [tile.id for tile in tiles]


def test_class_sub_folders_are_the_labels(tmp_path):
    touch(tmp_path, "water/b.png", "forest/a.jpg", "water/a.tif")
    tiles = find_tiles(tmp_path)
    assert tiles.tiles == (
        Tile("forest/a.jpg", str(tmp_path / "forest/a.jpg"), "forest"),
        Tile("water/a.tif", str(tmp_path / "water/a.tif"), "water"),
        Tile("water/b.png", str(tmp_path / "water/b.png"), "water"),
    )
    assert (tiles.source, tiles.notices) == (str(tmp_path), ())


def test_the_label_of_a_tile_in_nested_folders_is_the_first_of_them(tmp_path):
    touch(tmp_path, "forest/2019/north/a.png", "forest/2020/a.png")
    assert ids_and_labels(find_tiles(tmp_path)) == [
        ("forest/2019/north/a.png", "forest"),
        ("forest/2020/a.png", "forest"),
    ]


def test_tiles_that_lie_in_no_sub_folder_have_no_label(tmp_path):
    touch(tmp_path, "b.png", "a.png", "forest/c.png")
    assert ids_and_labels(find_tiles(tmp_path)) == [
        ("a.png", None),
        ("b.png", None),
        ("forest/c.png", "forest"),
    ]


def test_tiles_of_a_folder_are_sorted_by_id(tmp_path):
    touch(tmp_path, "a/z.png", "a b/a.png", "a-b.png", "a/B.png", "a/a/z.png")
    found = ids(find_tiles(tmp_path))
    assert found == ["a b/a.png", "a-b.png", "a/B.png", "a/a/z.png", "a/z.png"] == sorted(found)


def test_hidden_files_and_folders_are_passed_over(tmp_path):
    touch(tmp_path, "a.png", ".hidden.png", ".thumbs/a.png", "forest/.cache/b.png")
    assert ids(find_tiles(tmp_path)) == ["a.png"]


def test_a_hidden_folder_can_be_named_itself(tmp_path):
    touch(tmp_path, ".tiles/forest/a.png")
    assert ids(find_tiles(tmp_path / ".tiles")) == ["forest/a.png"]


def test_files_that_are_no_images_are_passed_over(tmp_path):
    touch(tmp_path, "a.png", "README.txt", "labels.csv", "notes.md", "extra.parquet", "scene.aux")
    for name in ("b.txt", "b.json", "b.xml", "b.npy", "b.CSV"):
        (tmp_path / name).write_bytes(JPEG_START)  # their names say enough
    assert ids(find_tiles(tmp_path)) == ["a.png"]


def test_suffixes_count_in_capitals_too(tmp_path):
    touch(tmp_path, "a.PNG", "b.JPeG", "c.TIF", "d.jp2", "e.vrt")
    assert len(find_tiles(tmp_path)) == 5


@pytest.mark.parametrize(
    "start",
    [
        *(JPEG_START, b"\x89PNG\r\n", b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"),
        *(b"\0\0\0\x0cjP  \r\n", b"\xff\x4f\xff\x51"),
    ],
)
def test_files_of_unknown_suffix_are_told_by_their_first_bytes(tmp_path, start):
    (tmp_path / "no_suffix").write_bytes(start + b"more")
    (tmp_path / "tile.0001").write_bytes(start)
    (tmp_path / "other.dat").write_bytes(b" " + start)
    assert ids(find_tiles(tmp_path)) == ["no_suffix", "tile.0001"]


def test_a_file_that_cannot_be_looked_into_is_passed_over(tmp_path, monkeypatch):
    touch(tmp_path, "a.png", "locked")

    def refuse(*_):
        raise PermissionError

    monkeypatch.setattr(Path, "open", refuse)
    assert ids(find_tiles(tmp_path)) == ["a.png"]


def test_links_to_folders_and_files_are_followed(tmp_path):
    touch(tmp_path, "elsewhere/a.png", "elsewhere/b.png")
    root = touch(tmp_path, "tiles/water/c.png") / "tiles"
    (root / "forest").symlink_to(tmp_path / "elsewhere")
    (root / "water" / "d.png").symlink_to(tmp_path / "elsewhere" / "a.png")
    assert ids(find_tiles(root)) == ["forest/a.png", "forest/b.png", "water/c.png", "water/d.png"]


def test_a_loop_of_links_is_walked_once(tmp_path):
    touch(tmp_path, "forest/a.png", "forest/deep/b.png")
    (tmp_path / "forest" / "deep" / "again").symlink_to(tmp_path)
    (tmp_path / "forest" / "self").symlink_to(tmp_path / "forest")
    assert ids(find_tiles(tmp_path)) == ["forest/a.png", "forest/deep/b.png"]


def test_what_is_named_like_an_image_is_a_tile_though_it_may_turn_out_not_to_be_one(tmp_path):
    save_picture(tmp_path / "a.png", noise((3, 8, 8)))
    for name in ("pipe.png", "pipe"):
        os.mkfifo(tmp_path / name)
    for name in ("gone.png", "gone"):
        (tmp_path / name).symlink_to(tmp_path / "nowhere.png")
    for name in ("loop.tif", "loop"):
        (tmp_path / name).symlink_to(tmp_path / name)
    tiles = find_tiles(tmp_path)
    assert ids(tiles) == ["a.png", "gone.png", "loop.tif", "pipe.png"]
    assert [read.reason for read in list(read_in_order(tiles, made_into_0))[1:]] == [
        "no such file",
        "a link that leads back to itself",
        "is a pipe, not a file",
    ]


def test_names_may_hold_spaces_and_any_letters(tmp_path):
    names = ["dichter Wald/Größe #1.png", "海滩/沙 滩.jpg", "🌊/a,b.tif"]
    touch(tmp_path, *names)
    assert ids_and_labels(find_tiles(tmp_path)) == [
        (name, name.split("/")[0]) for name in sorted(names)
    ]


def test_a_folder_without_tiles_is_refused(tmp_path):
    touch(tmp_path, "README.txt")
    with pytest.raises(TilesNotFound, match=f"^{re.escape(str(tmp_path))}: no tiles in it$") as e:
        find_tiles(tmp_path)
    assert "such as .jpg, .png or .tif" in e.value.hint


@pytest.mark.parametrize("name", ["gone", "gone.csv"])
def test_a_place_that_is_not_there_is_refused(tmp_path, name):
    message = re.escape(f"{tmp_path / name}: no such folder or list")
    with pytest.raises(TilesNotFound, match=f"^{message}$"):
        find_tiles(tmp_path / name)


def test_a_file_that_is_no_list_is_refused(tmp_path):
    path = touch(tmp_path, "a.png") / "a.png"
    message = re.escape(f"{path} is neither a folder nor a list of tiles")
    with pytest.raises(TilesNotFound, match=f"^{message}$") as caught:
        find_tiles(path)
    assert caught.value.hint == (
        "a scene is cut into tiles by --window PX; otherwise give a folder of images, "
        "or a list (.csv, .tsv, .parquet, .pq, .geoparquet, .gpq)"
    )


@pytest.mark.parametrize("suffix", ["csv", "CSV", "parquet", "pq"])
def test_a_list_names_ids_paths_and_labels_in_its_order(tmp_path, suffix):
    path = save_table(
        tmp_path / f"list.{suffix}",
        ["tile", "path", "label"],
        ("b", "images/b.png", "forest"),
        ("a", "/far/away/a.png", "sea ice"),
        ("c.png", "", ""),
    )
    tiles = find_tiles(path)
    assert tiles.tiles == (
        Tile("b", str(tmp_path / "images/b.png"), "forest"),
        Tile("a", "/far/away/a.png", "sea ice"),
        Tile("c.png", str(tmp_path / "c.png"), None),
    )
    assert (tiles.source, tiles.notices) == (str(path), ())


def test_without_a_path_the_id_is_the_path(tmp_path):
    path = save_table(tmp_path / "list.csv", ["tile"], ("forest/a.png",))
    assert find_tiles(path).tiles == (Tile("forest/a.png", str(tmp_path / "forest/a.png")),)


def test_ids_of_a_list_may_name_windows(tmp_path):
    path = save_table(
        tmp_path / "list.csv",
        ["tile", "path"],
        ("scene.tif#32,0,16,8", ""),
        ("other#0,0,8,8", "b.tif"),
    )
    assert find_tiles(path).tiles == (
        Tile("scene.tif#32,0,16,8", str(tmp_path / "scene.tif"), None, Window(32, 0, 16, 8)),
        Tile("other#0,0,8,8", str(tmp_path / "b.tif"), None, Window(0, 0, 8, 8)),
    )


def test_a_window_without_pixels_in_a_list_is_refused_with_its_line(tmp_path):
    path = save_table(tmp_path / "list.csv", ["tile"], ("a.png",), ("b.tif#0,0,0,8",))
    message = re.escape(f"{path}: line 3: invalid window of a scene: #0,0,0,8")
    with pytest.raises(TableError, match=f"^{message}$"):
        find_tiles(path)


@pytest.mark.parametrize(
    "window",
    ["9" * 20 + ",0,64,64", "0,0,64," + "9" * 5000, "-1,0,64,64", "0,-1,64,64", "+0,0,64,64"]
    + ["٣,0,64,64", "0,0,٦٤,64", "0, 0,64,64", "0,0,0,64", "0,0,64,0"],
)
def test_a_window_that_is_none_is_refused_with_its_line(tmp_path, window):
    path = save_table(
        tmp_path / "list.csv", ["tile", "label"], ("a.png", "x"), (f"b.tif#{window}", "x")
    )
    with pytest.raises(TableError, match="line 3: invalid window of a scene: #") as caught:
        find_tiles(path)
    assert len(str(caught.value)) < 300 + len(str(path))


def test_a_list_of_a_spreadsheet_with_a_byte_order_mark_is_read(tmp_path):
    path = tmp_path / "list.csv"
    path.write_text("tile,label\r\na.png,forest\r\n", encoding="utf-8-sig", newline="")
    assert ids_and_labels(find_tiles(path)) == [("a.png", "forest")]


def test_paths_with_backslashes_name_files_here(tmp_path):
    touch(tmp_path, "forest/a.png", "odd\\name.png")
    rows = [("1", "forest\\a.png"), ("2", "odd\\name.png"), ("3", ".\\gone\\b.png")]
    path = save_table(tmp_path / "list.csv", ["tile", "path"], *rows)
    assert [Path(tile.path).relative_to(tmp_path).as_posix() for tile in find_tiles(path)] == [
        "forest/a.png",
        "odd\\name.png",
        "gone/b.png",
    ]


def test_a_list_whose_labels_are_lists_is_refused_with_line_and_column(tmp_path):
    rows = [("a.png", "forest"), ("b.png", "['Pastures', 'Mixed forest']")]
    path = save_table(tmp_path / "list.csv", ["tile", "label"], *rows)
    with pytest.raises(LabelsError, match="line 3, column 'label'"):
        find_tiles(path)


def test_missing_values_written_as_text_are_no_labels_of_a_list(tmp_path):
    path = save_table(tmp_path / "list.csv", ["tile", "label"], ("a.png", "nan"), ("b", "None"))
    tiles = find_tiles(path)
    assert ids_and_labels(tiles) == [("a.png", None), ("b", None)]
    assert "2 labels are 'None', 'nan' and count as no label" in tiles.notices[0]


def test_the_file_of_the_labels_is_known(tmp_path):
    touch(tmp_path, "tiles/a/1.png", "tiles/b/1.png")
    path = save_table(tmp_path / "l.tsv", ["tile", "label"], ("a/1.png", "b"))
    assert find_tiles(tmp_path / "tiles").labels_file is None
    assert find_tiles(tmp_path / "tiles", path).labels_file == path
    assert find_tiles(path).labels_file == path
    assert find_tiles(save_table(tmp_path / "m.csv", ["tile"], ("a",))).labels_file is None


def test_repeated_rows_are_folded_with_a_notice(tmp_path):
    rows = [("a.png", "forest"), ("b.png", "water"), ("a.png", "forest"), ("a.png", "forest")]
    path = save_table(tmp_path / "list.csv", ["tile", "label"], *rows)
    tiles = find_tiles(path)
    assert ids(tiles) == ["a.png", "b.png"]
    assert tiles.notices == (f"{path}: 2 repeated rows were ignored",)


SPELLINGS = {
    "./": ("a.png", "./a.png"),
    "a backslash": ("f/a.png", "f\\a.png"),
    "zeros in a window": ("a.png#0,0,8,8", "a.png#00,0,8,8"),
}


@pytest.mark.parametrize("name", SPELLINGS)
def test_a_list_that_spells_a_tile_in_two_ways_contradicts_itself_or_repeats(tmp_path, name):
    one, other = SPELLINGS[name]
    path = tmp_path / "list.csv"
    path.write_text(f'tile,label\n"{one}",forest\n"{other}",river\n')
    with pytest.raises(TableError, match="again, with another path or label"):
        find_tiles(path)
    path.write_text(f'tile,label\n"{one}",forest\n"{other}",forest\n')
    found = find_tiles(path)
    assert [tile.id for tile in found] == [one]
    assert "1 repeated rows" in " ".join(found.notices)


def test_files_whose_names_differ_by_blanks_are_two_tiles(tmp_path):
    path = tmp_path / "list.csv"
    path.write_text('tile,label\n" a.png",forest\na.png,river\na.png,river\n')
    found = find_tiles(path)
    assert [(tile.id, tile.label) for tile in found] == [(" a.png", "forest"), ("a.png", "river")]


@pytest.mark.parametrize(
    ("column", "one", "other"), [("label", "forest", "water"), ("path", "x.png", "y.png")]
)
def test_a_tile_named_twice_in_different_ways_is_refused(tmp_path, column, one, other):
    rows = [("a.png", one), ("b.png", one), ("a.png", other)]
    path = save_table(tmp_path / "list.csv", ["tile", column], *rows)
    message = re.escape(f"{path}: line 4 names tile 'a.png' again, with another path or label")
    with pytest.raises(TableError, match=f"^{message}$") as caught:
        find_tiles(path)
    assert caught.value.hint == "keep one row for each tile"


def test_a_row_without_an_id_is_refused(tmp_path):
    path = save_table(tmp_path / "list.csv", ["tile", "label"], ("a.png", "x"), ("", "x"))
    with pytest.raises(TableError, match=r"list\.csv: line 3 has an empty tile id$"):
        find_tiles(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("label\nforest\n", r"no column 'tile' \(its columns are: label\)$"),
        ("tile,label\na.png\n", "line 2 has 1 fields, and the header has 2$"),
    ],
)
def test_a_list_that_is_no_table_of_tiles_is_refused(tmp_path, content, message):
    path = tmp_path / "list.csv"
    path.write_text(content)
    with pytest.raises(TableError, match=message):
        find_tiles(path)


def test_a_list_without_rows_is_refused(tmp_path):
    path = save_table(tmp_path / "list.csv", ["tile"])
    with pytest.raises(TilesNotFound, match=r"list\.csv: no tiles in it$"):
        find_tiles(path)


def test_a_labels_file_replaces_the_labels_found(tmp_path):
    touch(tmp_path, "tiles/forest/a.png", "tiles/water/b.png")
    labels = save_table(tmp_path / "labels.csv", ["tile", "label"], ("forest/a.png", "beach"))
    tiles = find_tiles(tmp_path / "tiles", labels)
    assert ids_and_labels(tiles) == [("forest/a.png", "beach"), ("water/b.png", "water")]
    named, new = tiles.notices
    assert named == f"1 tiles are not named in {labels} and keep their label"
    assert "(it has 'beach'; the tiles have 'forest', 'water')" in new


def test_a_written_list_is_found_again_from_elsewhere(tmp_path):
    touch(tmp_path, "tiles/dichter Wald/ä, b.png", "tiles/c.png", "scene.tif")
    found = find_tiles(tmp_path / "tiles").tiles
    window = Tile("scene.tif#8,0,8,8", str(tmp_path / "scene.tif"), "sea", Window(8, 0, 8, 8))
    path = tmp_path / "lists" / "train.csv"
    write_list(path, TileSet("", (*found, window)), overwrite=False)
    again = find_tiles(path)
    assert [(t.id, t.label, t.window) for t in again] == [
        ("c.png", None, None),
        ("dichter Wald/ä, b.png", "dichter Wald", None),
        ("scene.tif#8,0,8,8", "sea", Window(8, 0, 8, 8)),
    ]
    assert all(Path(tile.path).samefile(known.path) for tile, known in zip(again, [*found, window]))


def test_paths_in_a_written_list_are_relative_to_it(tmp_path):
    tiles = TileSet("", (Tile("a", str(tmp_path / "tiles" / "a.png"), "forest"),))
    write_list(tmp_path / "lists" / "l.csv", tiles, overwrite=False)
    content = (tmp_path / "lists" / "l.csv").read_text()
    assert content == "tile,path,label\na,../tiles/a.png,forest\n"


def test_images_named_one_by_one_are_tiles_without_labels(tmp_path):
    image = str(tmp_path / "a.png")
    tiles = tiles_of_images([image, "b.tif#0,8,16,16", image])
    assert tiles == TileSet(
        "the images",
        (
            Tile(image, image, trust=Trust.NAMED),
            Tile("b.tif#0,8,16,16", "b.tif", None, Window(0, 8, 16, 16), trust=Trust.NAMED),
        ),
    )


def test_an_image_whose_name_looks_like_a_window_is_taken_whole(tmp_path):
    path = str(touch(tmp_path, "a#0,0,8,8") / "a#0,0,8,8")
    assert tiles_of_images([path]).tiles == (Tile(path, path, trust=Trust.NAMED),)


def test_a_window_without_pixels_is_wrong_usage():
    with pytest.raises(InvalidArgument, match="invalid window of a scene: #0,0,0,8"):
        tiles_of_images(["a.tif#0,0,0,8"])


def test_a_path_that_no_system_takes_is_a_tile_that_cannot_be_read(tmp_path):
    names = ("folder\0/a.tif", "a\0.tif", "\ud800/a.tif")
    tiles = TileSet("", tuple(Tile(str(i), name) for i, name in enumerate(names)))
    for read in read_in_order(tiles, made_into_0):
        assert type(read).__name__ == "Failure"


def test_a_list_of_signed_urls_has_ids_without_signatures_and_labels_find_them(
    tmp_path: Path,
) -> None:
    url = "https://example.org/{}.tif?X-Amz-Signature=secret{}&X-Amz-Expires=60"
    listed = "".join(f"{url.format(i, 1)}\n" for i in range(3))
    (tmp_path / "list.csv").write_text("tile\n" + listed)
    labels = "".join(f"{url.format(i, 2)},forest\n" for i in range(3))
    (tmp_path / "labels.csv").write_text("tile,label\n" + labels)
    tiles = find_tiles(tmp_path / "list.csv", tmp_path / "labels.csv")
    assert [tile.id for tile in tiles] == [f"https://example.org/{i}.tif" for i in range(3)]
    assert {tile.label for tile in tiles} == {"forest"}
    assert all("secret1" in tile.path for tile in tiles)  # it is read with its signature


def test_a_signed_image_is_named_without_its_signature() -> None:
    names = [f"https://example.org/a.tif?sv=1&sig={i}#0,0,8,8" for i in range(2)]
    [tile] = tiles_of_images(names)
    assert tile.id == "https://example.org/a.tif#0,0,8,8"
    assert tile.path == "https://example.org/a.tif?sv=1&sig=0"


@pytest.fixture
def zarr(tmp_path):
    """A Zarr store of two arrays, made by GDAL."""
    for name in ("red", "nir"):
        create = {"ARRAY_NAME": name, "APPEND_SUBDATASET": "YES" if name == "nir" else "NO"}
        save_raster(tmp_path / "a.zarr", noise((1, 64, 64)), "Zarr", **create)
    return tmp_path / "a.zarr"


@pytest.mark.parametrize("name", ['zarr:"{}":/red', 'ZARR:"{}":/red', "Zarr:{}:/nir"])
def test_an_array_of_a_zarr_store_is_named_in_capitals_or_not(zarr, name):
    scenes = SceneChoices(WindowChoices(32))
    tiles = find_tiles(name.format(zarr), scenes=scenes)
    assert len(tiles) == 4
    assert tiles[0].id == f"{name[-3:]}#0,0,32,32"


def test_a_zarr_store_of_several_arrays_says_how_one_is_named(zarr):
    with pytest.raises(TileError, match=r"such as ZARR:.*a\.zarr.*:/(red|nir)"):
        find_tiles(zarr, scenes=SceneChoices(WindowChoices(32)))
