import pyarrow
import pytest
from pyarrow import parquet

from rsretrieve.data.discovery.find_tiles import find_tiles
from rsretrieve.data.discovery.tile_list import sets_in_list, write_list
from rsretrieve.data.tile import Tile, TileSet
from rsretrieve.errors import TableError
from rsretrieve.index import long_list as long_list_module
from rsretrieve.index.long_list import is_long_list, long_list


@pytest.fixture
def tiles(tmp_path):
    """18 tiles, whose files need not be there."""
    paths = [(f"{number}.tif", tmp_path / f"{number}.tif") for number in range(18)]
    return TileSet("made-up", tuple(Tile(name, str(path), "a") for name, path in paths))


@pytest.fixture
def listing(tiles, tmp_path):
    write_list(tmp_path / "tiles.csv", tiles, overwrite=False)
    return tmp_path / "tiles.csv"


def test_a_tile_that_two_files_name_is_refused(tiles, tmp_path):
    files = [tmp_path / "a.csv", tmp_path / "b.csv"]
    for start, file in zip((0, 5), files):
        write_list(file, tiles.select(range(start, start + 6)), overwrite=False)
    with pytest.raises(TableError, match="twice") as refused:
        long_list(files, refuse_repeated=True)
    assert tiles[5].id in refused.value.message


def test_sets_of_a_list_are_its_tiles_in_order(tiles, listing):
    said = []
    sets = list(sets_in_list(listing, 7, said.append))
    assert [len(one) for one in sets] == [7, 7, 4]
    assert [tile for one in sets for tile in one] == list(find_tiles(listing))


def test_a_tile_that_is_named_twice_is_refused(listing):
    line = listing.read_text().splitlines()[3]
    listing.write_text(listing.read_text() + line + "\n")
    with pytest.raises(TableError, match=r"twice") as refused:
        long_list([listing], refuse_repeated=True)
    assert line.partition(",")[0] in refused.value.message


def test_large_files_are_long_lists(listing, tmp_path, monkeypatch):
    assert not is_long_list([str(listing)])
    monkeypatch.setattr("rsretrieve.index.long_list.LONG_LIST_BYTES", 10)
    assert is_long_list([str(listing)])
    assert is_long_list([str(listing), str(listing)])
    assert not is_long_list([str(listing), str(tmp_path)])
    assert not is_long_list([str(tmp_path)])


def test_a_long_list_is_surveyed_before_its_tiles_are_read(tmp_path):
    path = tmp_path / "tiles.csv"
    rows = ["a,https://one.org/a.tif,Forest", "b,https://two.org/b.tif,forest", "c,c.tif,nan"]
    path.write_text("tile,path,label\n" + "\n".join(rows) + "\n")
    listed = long_list([path], refuse_repeated=False)
    assert listed.class_sizes == {"Forest": 1, "forest": 1}
    hosts, spelling = (
        next(text for text in listed.sample.notices if word in text)
        for word in ("one.org", "Forest")
    )
    assert "two.org" in hosts
    assert "spelling" in spelling
    assert any("nan" in text for text in listed.sample.notices)


@pytest.mark.parametrize("rows", ["a,x.tif\na,x.tif\n", "a,x.tif\na,y.tif\n"])
def test_a_repeated_tile_makes_a_list_one_that_is_read_whole(tmp_path, rows):
    path = tmp_path / "tiles.csv"
    path.write_text(f"tile,path\n{rows}")
    assert long_list([path], refuse_repeated=False) is None


def test_ids_that_differ_in_a_secret_alone_are_the_same(tmp_path):
    path = tmp_path / "tiles.csv"
    path.write_text("tile\nhttps://h.org/a.tif?sig=1\nhttps://h.org/a.tif?sig=2\n")
    assert long_list([path], refuse_repeated=False) is None


def test_a_file_that_two_lists_name_makes_them_ones_that_are_read_whole(tmp_path):
    for name, tile in (("one", "a"), ("two", "b")):
        (tmp_path / f"{name}.csv").write_text(f"tile,path\n{tile},x.tif\n")
    files = [tmp_path / "one.csv", tmp_path / "two.csv"]
    assert long_list(files, refuse_repeated=False) is None
    assert long_list(files, refuse_repeated=True).count == 2
    (tmp_path / "two.csv").write_text("tile,path\nb,y.tif\n")
    assert long_list(files, refuse_repeated=False).count == 2


def test_a_parquet_file_of_many_rows_is_a_long_list_however_small_it_is(tmp_path, monkeypatch):
    path, other = tmp_path / "tiles.parquet", tmp_path / "other.parquet"
    parquet.write_table(pyarrow.table({"tile": ["a"] * 1000}), path)
    parquet.write_table(pyarrow.table({"tile": ["b"]}), other)
    assert not is_long_list([str(path)])
    monkeypatch.setattr("rsretrieve.index.long_list.LONG_LIST_ROWS", 1001)
    assert not is_long_list([str(path)])
    assert is_long_list([str(path), str(other)])
    other.write_bytes(b"no Parquet")
    assert not is_long_list([str(path), str(other)])


def test_the_number_from_which_lists_are_long_is_known(tmp_path, monkeypatch):
    monkeypatch.setattr(long_list_module, "LONG_LIST_ROWS", 50)
    names = [f"{i:03}.png" for i in range(20)]
    text, table = tmp_path / "a.csv", tmp_path / "a.parquet"
    text.write_text("\n".join(["tile", *names]))
    parquet.write_table(pyarrow.table({"tile": names}), table)
    monkeypatch.setattr(long_list_module, "LONG_LIST_BYTES", 10 * text.stat().st_size)
    assert long_list_module.long_from([str(text)], 20) == 200
    assert long_list_module.long_from([str(table)], 20) <= 50
    assert long_list_module.long_from([str(tmp_path)], 20) is None
    assert long_list_module.long_from([], 20) is None
