"""Contact sheets: their size, their pictures, and tiles that are gone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from rsretrieve.data.reading.preview import read_preview
from rsretrieve.data.tile import Tile
from rsretrieve.errors import OutputExists
from rsretrieve.export.contact_sheet import position_text, write_query_sheet
from rsretrieve.search.search import QueryResult

BANDS = (3, 2, 1)
GREEN, RED, GREY = (24, 128, 56), (190, 60, 30), (110, 110, 110)
LEFT_OF_COLUMN = (10, 158, 296, 434)  # the query apart from its hits by a gap more
ROW_PX = 208
TOP_OF_ROW = (10, 10 + ROW_PX)
LEGEND_PX = 15


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
    return picture.crop((left, top + 148, left + 138, top + 162))


def colours(picture: Image.Image) -> set[tuple[int, ...]]:
    return set(map(tuple, np.asarray(picture).reshape(-1, 3).tolist()))


def unreadable(result: QueryResult, position: int) -> QueryResult:
    hits = list(result.hits)
    hits[position] = replace(
        hits[position], found=replace(hits[position].found, path="nowhere.tif")
    )
    return replace(result, hits=tuple(hits))


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The lines of text that are drawn."""
    lines: list[str] = []
    draw = ImageDraw.ImageDraw.text

    def text(self: ImageDraw.ImageDraw, at: object, line: str, *more: object) -> None:
        lines.append(line)
        draw(self, at, line, *more)  # type: ignore[arg-type]

    monkeypatch.setattr(ImageDraw.ImageDraw, "text", text)
    return lines


@pytest.mark.medium
def test_a_sheet_has_a_row_a_query_and_a_column_a_hit(tmp_path: Path, result: QueryResult) -> None:
    fewer = replace(result, hits=result.hits[:1])
    rest = 10 + LEGEND_PX
    assert sheet(tmp_path / "one.png", result).size == (4 * 138 + 20, ROW_PX + rest)
    assert sheet(tmp_path / "two.png", fewer, result).size == (4 * 138 + 20, 2 * ROW_PX + rest)
    assert sheet(tmp_path / "small.png", fewer).size == (2 * 138 + 20, ROW_PX + rest)


@pytest.mark.medium
def test_more_than_six_hits_take_several_rows(tmp_path: Path, result: QueryResult) -> None:
    seven = replace(result, hits=tuple(result.hits[i % 3] for i in range(7)))
    picture = sheet(tmp_path / "seven.png", seven, result)
    assert picture.size == (7 * 138 + 20, 3 * ROW_PX + 10 + LEGEND_PX)
    expected = [np.asarray(read_preview(hit.found.tile, 128, BANDS)) for hit in result.hits]
    assert np.array_equal(np.asarray(thumbnail(picture, 1, row=1)), expected[0])  # the seventh
    third_row = picture.crop((158, 10 + 2 * ROW_PX, 158 + 128, 10 + 2 * ROW_PX + 128))
    assert np.array_equal(np.asarray(third_row), expected[0])
    assert colours(thumbnail(picture, 0, row=1)) == {(255, 255, 255)}


def test_a_line_explains_the_colours_and_each_hit_has_its_file(
    tmp_path: Path, result: QueryResult, drawn: list[str]
) -> None:
    sheet(tmp_path / "one.png", result)
    assert [line for line in drawn if "green" in line]
    assert [line for line in drawn if "red" in line]
    for tile in (result.picture, *(hit.found.tile for hit in result.hits)):
        assert tile is not None
        assert Path(tile.path).name in drawn
    drawn.clear()
    sheet(tmp_path / "two.png", replace(result, picture=Tile("q.tif", result.query)))
    assert not [line for line in drawn if "green" in line]


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


def test_a_hit_with_another_label_has_a_frame(tmp_path: Path, result: QueryResult) -> None:
    picture = sheet(tmp_path / "sheet.png", result)
    for column, is_framed in ((0, False), (1, True), (2, False), (3, True)):
        left, top = LEFT_OF_COLUMN[column], TOP_OF_ROW[0]
        around = (left - 4, top - 4, left + 132, top + 132)
        pixels = np.asarray(picture)[around[1] : around[3], around[0] : around[2]]
        edges = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
        assert set(map(tuple, edges.tolist())) == {RED if is_framed else (255, 255, 255)}


def test_the_position_of_a_tile_is_shown(tmp_path: Path, result: QueryResult) -> None:
    def position_line(picture: Image.Image, column: int) -> np.ndarray:
        left, top = LEFT_OF_COLUMN[column], TOP_OF_ROW[0]
        return np.asarray(picture.crop((left, top + 181, left + 138, top + 196)))

    place = result.hits[0].found.place
    placed = sheet(tmp_path / "one.png", replace(result, place=place))
    assert np.array_equal(position_line(placed, 0)[:, :130], position_line(placed, 1)[:, :130])
    assert position_line(placed, 1).min() < 150
    bare = tuple(replace(h, found=replace(h.found, place=None)) for h in result.hits)
    nowhere = sheet(tmp_path / "two.png", replace(result, hits=bare))
    assert all((position_line(nowhere, column) == 255).all() for column in range(4))
    assert place is not None
    lon, lat = place.centre
    assert position_text(place) == f"{lat:.4f}°N {lon:.4f}°E"
    assert position_text(replace(place, footprint=((170.5, -20.25),))) == "20.2500°S 170.5000°E"


def test_a_window_stays_readable_behind_a_long_name(
    tmp_path: Path, result: QueryResult, drawn: list[str]
) -> None:
    path = "/scenes/sentinel2_18SVG_20160112_20m.tif"
    found = replace(result.hits[0].found, id="s.tif#672,160,64,64", path=path, label=None)
    hits = (replace(result.hits[0], found=found),)
    sheet(tmp_path / "sheet.png", replace(result, hits=hits, expanded=True))
    [name] = [line for line in drawn if line.endswith("#672,160,64,64")]
    assert name.startswith("s")
    assert "…" in name
    assert "query, expanded" in drawn


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
    between = picture.crop((158 + 131, 155, 296 - 4, 200))
    assert colours(between) == {(255, 255, 255)}


def test_a_sheet_that_is_there_is_not_overwritten(tmp_path: Path, result: QueryResult) -> None:
    (tmp_path / "sheet.png").write_bytes(b"mine")
    with pytest.raises(OutputExists, match=r"already exists$"):
        sheet(tmp_path / "sheet.png", result)
    assert (tmp_path / "sheet.png").read_bytes() == b"mine"
