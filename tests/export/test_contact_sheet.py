"""Contact sheets: their size, their pictures, and tiles that are gone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rsretrieve.data.reading.preview import read_preview
from rsretrieve.data.tile import Tile
from rsretrieve.errors import OutputExists
from rsretrieve.export.contact_sheet import write_query_sheet
from rsretrieve.search.search import QueryResult

BANDS = (3, 2, 1)
GREEN, RED, GREY = (24, 128, 56), (190, 60, 30), (110, 110, 110)
LEFT_OF_COLUMN = (10, 158, 296, 434)  # the query apart from its hits by a gap more
TOP_OF_ROW = (10, 188)


def sheet(path: Path, *results: QueryResult) -> Image.Image:
    write_query_sheet(path, results, BANDS, overwrite=False)
    with Image.open(path) as picture:
        assert picture.format == "PNG"
        return picture.convert("RGB")


def thumbnail(picture: Image.Image, column: int, row: int = 0) -> Image.Image:
    left, top = LEFT_OF_COLUMN[column], TOP_OF_ROW[row]
    return picture.crop((left, top, left + 128, top + 128))


def caption(picture: Image.Image, column: int) -> Image.Image:
    """The second line of text under a thumbnail."""
    left, top = LEFT_OF_COLUMN[column], TOP_OF_ROW[0]
    return picture.crop((left, top + 145, left + 138, top + 166))


def colours(picture: Image.Image) -> set[tuple[int, ...]]:
    return set(map(tuple, np.asarray(picture).reshape(-1, 3).tolist()))


def unreadable(result: QueryResult, position: int) -> QueryResult:
    hits = list(result.hits)
    hits[position] = replace(
        hits[position], found=replace(hits[position].found, path="nowhere.tif")
    )
    return replace(result, hits=tuple(hits))


@pytest.mark.medium
def test_a_sheet_has_a_row_a_query_and_a_column_a_hit(tmp_path: Path, result: QueryResult) -> None:
    fewer = replace(result, hits=result.hits[:1])
    assert sheet(tmp_path / "one.png", result).size == (4 * 138 + 20, 178 + 10)
    assert sheet(tmp_path / "two.png", fewer, result).size == (4 * 138 + 20, 2 * 178 + 10)
    assert sheet(tmp_path / "small.png", fewer).size == (2 * 138 + 20, 178 + 10)


@pytest.mark.medium
def test_the_query_and_its_hits_are_shown_in_order(tmp_path: Path, result: QueryResult) -> None:
    picture = sheet(tmp_path / "sheet.png", result)
    shown = [result.picture, *(hit.found.tile for hit in result.hits)]
    for column, tile in enumerate(shown):
        expected = read_preview(tile, 128, BANDS)
        assert np.array_equal(np.asarray(thumbnail(picture, column)), np.asarray(expected))


@pytest.mark.medium
def test_every_query_has_its_own_row(tmp_path: Path, result: QueryResult) -> None:
    picture = sheet(tmp_path / "sheet.png", replace(result, hits=()), result)
    assert colours(thumbnail(picture, 2, row=0)) == {(255, 255, 255)}
    expected = read_preview(result.hits[1].found.tile, 128, BANDS)
    assert np.array_equal(np.asarray(thumbnail(picture, 2, row=1)), np.asarray(expected))


def test_the_same_label_is_green_and_another_red(tmp_path: Path, result: QueryResult) -> None:
    picture = sheet(tmp_path / "sheet.png", result)
    assert [hit.found.label for hit in result.hits] == ["bare_soil", "forest", "water"]
    seen = [colours(caption(picture, column)) for column in (1, 2, 3)]
    assert [GREEN in colour for colour in seen] == [False, True, False]
    assert [RED in colour for colour in seen] == [True, False, True]


@pytest.mark.parametrize("side", ["query", "hits"])
def test_without_labels_on_both_sides_nothing_is_judged(
    tmp_path: Path, result: QueryResult, side: str
) -> None:
    if side == "query":
        result = replace(result, picture=Tile("q.tif", result.query))
    else:
        hits = tuple(replace(h, found=replace(h.found, label=None)) for h in result.hits)
        result = replace(result, hits=hits)
    picture = sheet(tmp_path / "sheet.png", result)
    assert not colours(picture) & {GREEN, RED}


def test_a_tile_that_cannot_be_read_now_has_an_outline(tmp_path: Path, result: QueryResult) -> None:
    picture = sheet(tmp_path / "sheet.png", unreadable(result, 1))
    gone = np.asarray(thumbnail(picture, 2))
    edges = np.concatenate([gone[0], gone[-1], gone[:, 0], gone[:, -1]])
    assert set(map(tuple, edges.tolist())) == {GREY}
    assert gone[1:-1, 1:-1].min() < 200  # with a word within
    assert len(colours(thumbnail(picture, 3))) > 100  # and the others are there


@pytest.mark.medium
def test_long_and_strange_names_stay_under_their_tile(tmp_path: Path, result: QueryResult) -> None:
    name = "a very long name of a class \n of tiles ü 森林 " * 3
    hits = tuple(replace(h, found=replace(h.found, label=name)) for h in result.hits[:2])
    picture = sheet(tmp_path / "sheet.png", replace(result, hits=hits))
    between = picture.crop((158 + 130, 148, 296, 176))
    assert colours(between) == {(255, 255, 255)}


def test_a_sheet_that_is_there_is_not_overwritten(tmp_path: Path, result: QueryResult) -> None:
    (tmp_path / "sheet.png").write_bytes(b"mine")
    with pytest.raises(OutputExists, match=r"already exists$"):
        sheet(tmp_path / "sheet.png", result)
    assert (tmp_path / "sheet.png").read_bytes() == b"mine"
