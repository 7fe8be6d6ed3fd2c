"""The ids of vectors that have none of their own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rsretrieve.data.discovery.find_tiles import find_tiles
from rsretrieve.data.run_context import RunContext
from rsretrieve.errors import TableError
from rsretrieve.index.external import listed_rows as module
from rsretrieve.index.external import mapped_rows
from rsretrieve.index.external.embeddings_file import read_embeddings
from rsretrieve.index.external.listed_rows import listed_rows, numbered_rows
from rsretrieve.index.long_list import long_list
from tests.support.indexes.vectors import unit_rows


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows lie on the disk, in several blocks."""
    monkeypatch.setattr(mapped_rows, "FEW_ROWS", 3)
    for place in (module, mapped_rows):
        monkeypatch.setattr(place, "BLOCK_ROWS", 4)


@pytest.fixture
def listing(tmp_path: Path) -> Path:
    """Ten rows."""
    rows = [f"t/{i}.tif,x/{i}.tif,class {i % 3},2024-01-{i + 1:02}\n" for i in range(10)]
    path = tmp_path / "tiles.csv"
    path.write_text("".join(["tile,path,label,datetime\n", *rows]))
    return path


@pytest.mark.parametrize("count", [1, 4, 11])
def test_rows_without_ids_are_numbered(count: int) -> None:
    assert numbered_rows(count).column("id") == [str(i) for i in range(count)]


def test_a_long_list_gives_the_rows_of_a_short_one(listing: Path) -> None:
    tiles = find_tiles(listing)
    streamed = long_list([listing], refuse_repeated=False)
    assert streamed is not None
    rows = listed_rows(Path("v.npy"), tiles, 10)
    assert listed_rows(Path("v.npy"), streamed, 10) == rows
    assert [row.id for row in rows] == [tile.id for tile in tiles]
    assert [row.path for row in rows] == [str(listing.parent / f"x/{i}.tif") for i in range(10)]
    assert [row.label for row in rows] == [tile.label for tile in tiles]
    assert [row.taken for row in rows] == [tile.taken for tile in tiles]


def test_a_long_list_of_another_length_is_refused(listing: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "v.npy", unit_rows(9, 4, 0))
    streamed = long_list([listing], refuse_repeated=False)
    with pytest.raises(TableError, match="9 rows") as refused:
        read_embeddings(tmp_path / "v.npy", streamed, RunContext())
    assert "10 tiles" in refused.value.message
