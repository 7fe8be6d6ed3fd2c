"""Labels files: putting them on tiles, what is said about it, and reading and writing them."""

from __future__ import annotations

import re
import unicodedata

import pytest

from rsretrieve._core.text import some_of
from rsretrieve.data.labels.decided_rows import write_labels
from rsretrieve.data.labels.labels import override_labels, read_label_table
from rsretrieve.data.labels.true_labels import true_labels_by_id, true_labels_of
from rsretrieve.errors import LabelsError, OutputExists, TableError
from tests.support.tiles.made_tiles import labelled_tiles, save_table


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
    assert tiles.notices[:2] == (
        "before",
        f"2 tiles are not named in {path} and keep their label",
    )
    assert "(it has 'b'; the tiles have 'a')" in tiles.notices[2]


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


@pytest.mark.parametrize("respelt", [("1.0", "2.0"), ("01", "02")])
def test_labels_that_only_respell_the_classes_of_the_tiles_are_refused(labels_file, respelt):
    path = labels_file(("1/0.png", respelt[0]), ("2/0.png", respelt[1]))
    with pytest.raises(LabelsError, match=f"it has '{respelt[0]}'.*the tiles have '1', '2'"):
        override_labels(labelled_tiles(**{"1": 2, "2": 2}), path)


@pytest.mark.parametrize("rows", [[("1/0.png", "1"), ("2/0.png", "2.0")], [("1/0.png", "2.0")]])
def test_one_respelt_class_is_taken(labels_file, rows):
    tiles = override_labels(labelled_tiles(**{"1": 2, "2": 2}), labels_file(*rows))
    assert tiles.class_names == ("1", "2", "2.0")


@pytest.mark.parametrize(
    "name",
    ["caf\u00e9/0.png ", "cafe\u0301/0.png", "./caf\u00e9/0.png", "caf\u00e9\\0.png"],
    ids=["blank", "decomposed", "dot", "backslash"],
)
def test_a_tile_has_one_name_however_it_is_written(labels_file, name):
    tiles = override_labels(labelled_tiles(**{"caf\u00e9": 1}, b=1), labels_file((name, "b")))
    assert [tile.label for tile in tiles] == ["b", "b"]


def test_two_spellings_of_one_tile_may_not_contradict_each_other(labels_file):
    path = labels_file(("./a/0.png", "x"), ("a/0.png", "y"))
    with pytest.raises(LabelsError, match=r"two different rows for tile 'a/0\.png'"):
        override_labels(labelled_tiles(a=1), path)


def test_an_id_that_two_tiles_share_but_for_its_spelling_is_taken_literally(labels_file):
    tiles = labelled_tiles(**{"caf\u00e9": 1}, **{"cafe\u0301": 1})
    path = labels_file(("cafe\u0301/0.png", "x"))
    assert [tile.label for tile in override_labels(tiles, path)] == ["caf\u00e9", "x"]


@pytest.mark.parametrize("text", ["nan", "NaN", "None", "<NA>", "null"])
def test_texts_for_a_missing_value_are_no_label_and_noticed(labels_file, text):
    table = read_label_table(labels_file(("a", text), ("b", "forest")))
    assert table.labels == {"a": None, "b": "forest"}
    assert f"1 labels are '{text}'" in table.notices[0]


@pytest.mark.parametrize("text", ["none", "NA", "Nantes", "(b)", "a [b]"])
def test_names_that_only_resemble_such_texts_are_labels(labels_file, text):
    table = read_label_table(labels_file(("a", text)))
    assert (table.labels, table.notices) == ({"a": text}, ())


@pytest.mark.parametrize("text", ["['a', 'b']", '["a"]', "{'a': 1}", "('a', 'b')", "[1 2]"])
def test_lists_written_as_text_are_refused_with_line_and_column(labels_file, text):
    path = labels_file(("a", "forest"), ("b", text))
    with pytest.raises(LabelsError, match=r"line 3, column 'label': .* is a list or a record"):
        read_label_table(path)


@pytest.mark.parametrize("text", ["b'forest'", 'b"forest"'])
def test_bytes_as_python_shows_them_are_their_text(labels_file, text):
    assert read_label_table(labels_file(("a", text))).labels == {"a": "forest"}


TRUE = labelled_tiles(**{"1": 2, "2": 1})


@pytest.mark.parametrize(
    "labels", [("1.0", "1.0", "2.0"), ("01", "02", "01"), ("one", "two", "two")]
)
def test_a_truth_in_other_classes_is_refused_with_both_lists(labels_file, labels):
    path = labels_file(*zip([tile.id for tile in TRUE], labels))
    both = f"it has '{min(labels)}', '{max(labels)}'; the tiles have '1', '2'"
    with pytest.raises(LabelsError, match=re.escape(both)):
        true_labels_of(TRUE, path)


def test_a_truth_with_one_more_class_is_noticed(labels_file):
    path = labels_file(("1/0.png", "1"), ("1/1.png", "2.0"), ("./2/0.png", "2"))
    truth = true_labels_of(TRUE, path)
    assert truth.labels == {"1/0.png": "1", "1/1.png": "2.0", "2/0.png": "2"}
    new, spelling = truth.notices
    assert "'2.0'" in new
    assert "'2' and '2.0'" in spelling


def test_the_same_row_may_stand_twice(labels_file):
    assert read_label_table(labels_file(("a", "x"), ("a", "x"))).labels == {"a": "x"}


@pytest.mark.parametrize("second", ["y", ""])
def test_two_labels_for_one_tile_are_refused(labels_file, second):
    path = labels_file(("a", "x"), ("b", "x"), ("a", second))
    message = re.escape(f"{path}: line 4 gives tile 'a' a second, different label")
    with pytest.raises(LabelsError, match=f"^{message}$") as caught:
        read_label_table(path)
    assert caught.value.hint == "keep one row for each tile"


def test_a_labels_file_without_rows_is_refused(labels_file):
    path = labels_file()
    with pytest.raises(LabelsError, match=f"^{re.escape(str(path))}: no rows below the header$"):
        read_label_table(path)


def test_a_labels_file_needs_a_column_of_labels(tmp_path):
    path = save_table(tmp_path / "list.csv", ["tile", "path"], ("a", "a.png"))
    with pytest.raises(TableError, match=r"no column 'label' \(its columns are: tile, path\)$"):
        read_label_table(path)


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_true_labels_are_taken_from_their_own_column_where_there_is_one(tmp_path, suffix):
    rows = [("a", "wrong", "right"), ("b", "wrong", "")]
    path = save_table(tmp_path / f"noisy.{suffix}", ["tile", "label", "true_label"], *rows)
    assert true_labels_by_id(path, (), (), "here").known == {"a": "right"}


def test_true_labels_are_else_the_labels(labels_file):
    assert true_labels_by_id(labels_file(("a", "x"), ("b", "")), (), (), "here").known == {"a": "x"}


def test_a_file_that_is_no_utf8_is_read_as_windows_text(tmp_path):
    path = tmp_path / "truth.csv"
    path.write_bytes(b"tile,true_label\ncaf\xe9.png,forest\n")
    assert true_labels_by_id(path, (), (), "here").known == {"café.png": "forest"}


def test_labels_are_read_back_as_written(tmp_path):
    labels = {"a, b/ü 1.png": "dense residential", "scene.tif#0,0,8,8": None, "c": 'say "x"'}
    path = tmp_path / "labels.csv"
    write_labels(path, labels, overwrite=False)
    assert read_label_table(path).labels == labels
    with pytest.raises(OutputExists):
        write_labels(path, {}, overwrite=False)


@pytest.mark.parametrize(
    ("names", "shown"),
    [("", ""), ("a", "'a'"), ("abc", "'a', 'b', 'c'"), ("abcd", "'a', 'b', 'c', …")],
)
def test_a_message_shows_the_first_few_names(names, shown):
    assert some_of(iter(names)) == shown


CLASSES = {"a/0.png": "Forêt", "b/0.png": "Äcker", "c/0.png": "Grünland"}
PLAIN = "tile,label\n" + "".join(f"{name},{label}\n" for name, label in CLASSES.items())
EXCEL = PLAIN.replace(",", ";").replace("\n", "\r\n")


@pytest.mark.parametrize(
    "content",
    [
        PLAIN.encode(),
        PLAIN.encode("utf-8-sig"),
        EXCEL.encode("cp1252"),
        EXCEL.encode("utf-16"),
        PLAIN.replace(",", "\t").encode("utf-16-le"),
        ("sep=;\r\n" + EXCEL).encode("utf-8-sig"),
        unicodedata.normalize("NFD", PLAIN).encode(),
        PLAIN.replace("tile,label", " Tile , LABEL ").replace("\n", " \n,\n").encode(),
        EXCEL.replace("\r\n", "\r").encode("utf-16-be"),
        PLAIN.encode("utf-32"),
    ],
    ids=["utf-8", "mark", "cp1252", "utf-16", "tabs", "sep=", "NFD", "blanks", "CR", "utf-32"],
)
def test_a_labels_file_gives_the_same_classes_however_it_was_saved(tmp_path, content):
    path = tmp_path / "l.csv"
    path.write_bytes(content)
    tiles = override_labels(labelled_tiles(a=1, b=1, c=1), path)
    assert {tile.id: tile.label for tile in tiles} == CLASSES
