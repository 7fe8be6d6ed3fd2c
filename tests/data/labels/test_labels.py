"""Labels files: putting them on tiles, what is said about it, and reading and writing them."""

from __future__ import annotations

import re

import pytest

from rsretrieve.data.labels.labels import (
    override_labels,
    read_labels,
    read_true_labels,
    some_of,
    write_labels,
)
from rsretrieve.errors import LabelsError, OutputExists, TableError
from tests.support.tiles import labelled_tiles, save_table


@pytest.fixture
def labels_file(tmp_path):
    """Write a labels file of these rows."""
    return lambda *rows: save_table(tmp_path / "labels.csv", ["tile", "label"], *rows)


def test_labels_of_the_file_replace_those_found(labels_file):
    tiles = override_labels(
        labelled_tiles(a=2, b=1),
        labels_file(("a/0.png", "c"), ("a/1.png", "a"), ("b/0.png", "a")),
    )
    assert [tile.label for tile in tiles] == ["c", "a", "a"]
    assert tiles.notices == ()


def test_an_empty_label_takes_the_label_away(labels_file):
    tiles = override_labels(labelled_tiles(a=2), labels_file(("a/0.png", ""), ("a/1.png", "b")))
    assert [tile.label for tile in tiles] == [None, "b"]


def test_tiles_that_the_file_does_not_name_keep_their_label_with_a_notice(labels_file):
    path = labels_file(("a/0.png", "b"))
    tiles = override_labels(labelled_tiles(a=3).with_notices("before"), path)
    assert [tile.label for tile in tiles] == ["b", "a", "a"]
    assert tiles.notices == ("before", f"2 tiles are not named in {path} and keep their label")


def test_labels_for_tiles_that_are_not_there_go_unused_with_a_notice(labels_file):
    path = labels_file(("a/0.png", "b"), *((f"gone/{i}.png", "b") for i in range(4)))
    tiles = override_labels(labelled_tiles(a=1), path)
    assert [tile.label for tile in tiles] == ["b"]
    assert tiles.notices == (
        f"{path} names 4 tiles that are not in made up and are ignored "
        "('gone/0.png', 'gone/1.png', 'gone/2.png', …)",
    )


def test_a_labels_file_that_names_no_tile_is_refused(labels_file):
    path = labels_file(("0.png", "a"), ("1.png", "a"))
    message = re.escape(
        f"{path} names none of the 3 tiles of made up "
        "(it names '0.png', '1.png'; the tiles are 'a/0.png', 'a/1.png', 'a/2.png')"
    )
    with pytest.raises(LabelsError, match=f"^{message}$") as caught:
        override_labels(labelled_tiles(a=3), path)
    assert "relative to the folder of tiles" in caught.value.hint


def test_the_same_row_may_stand_twice(labels_file):
    assert read_labels(labels_file(("a", "x"), ("a", "x"))) == {"a": "x"}


@pytest.mark.parametrize("second", ["y", ""])
def test_two_labels_for_one_tile_are_refused(labels_file, second):
    path = labels_file(("a", "x"), ("b", "x"), ("a", second))
    message = re.escape(f"{path}: line 4 gives tile 'a' a second, different label")
    with pytest.raises(LabelsError, match=f"^{message}$") as caught:
        read_labels(path)
    assert caught.value.hint == "keep one row for each tile"


def test_a_labels_file_without_rows_is_refused(labels_file):
    path = labels_file()
    with pytest.raises(LabelsError, match=f"^{re.escape(str(path))}: no rows below the header$"):
        read_labels(path)


def test_a_labels_file_needs_a_column_of_labels(tmp_path):
    path = save_table(tmp_path / "list.csv", ["tile", "path"], ("a", "a.png"))
    with pytest.raises(TableError, match=r"no column 'label' \(its columns are: tile, path\)$"):
        read_labels(path)


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_true_labels_are_taken_from_their_own_column_where_there_is_one(tmp_path, suffix):
    rows = [("a", "wrong", "right"), ("b", "wrong", "")]
    path = save_table(tmp_path / f"noisy.{suffix}", ["tile", "label", "true_label"], *rows)
    assert read_true_labels(path) == {"a": "right"}


def test_true_labels_are_else_the_labels(labels_file):
    assert read_true_labels(labels_file(("a", "x"), ("b", ""))) == {"a": "x"}


def test_a_file_that_is_no_utf8_is_read_as_windows_text(tmp_path):
    path = tmp_path / "truth.csv"
    path.write_bytes(b"tile,true_label\ncaf\xe9.png,forest\n")
    assert read_true_labels(path) == {"café.png": "forest"}


def test_labels_are_read_back_as_written(tmp_path):
    labels = {"a, b/ü 1.png": "dense residential", "scene.tif#0,0,8,8": None, "c": 'say "x"'}
    path = tmp_path / "labels.csv"
    write_labels(path, labels, overwrite=False)
    assert read_labels(path) == labels
    with pytest.raises(OutputExists):
        write_labels(path, {}, overwrite=False)


@pytest.mark.parametrize(
    ("names", "shown"),
    [("", ""), ("a", "'a'"), ("abc", "'a', 'b', 'c'"), ("abcd", "'a', 'b', 'c', …")],
)
def test_a_message_shows_the_first_few_names(names, shown):
    assert some_of(iter(names)) == shown
