"""Class names: one spelling of each."""

from __future__ import annotations

import unicodedata

import pytest

from rsretrieve.data.discovery.find_tiles import find_tiles
from rsretrieve.data.labels.class_names import clean_label, spelling_notices
from tests.support.tiles.made_tiles import noise, save_picture, save_table

DECOMPOSED = unicodedata.normalize("NFD", "Forêt")


@pytest.mark.parametrize(
    ("text", "label"),
    [("forest", "forest"), (" forest\t", "forest"), (DECOMPOSED, "Forêt"), ("", None), (" ", None)],
)
def test_a_label_has_one_spelling(text, label):
    assert clean_label(text) == label


@pytest.mark.parametrize(
    ("names", "named"),
    [
        (["Forest", "forest", "river"], ["'Forest' and 'forest'"]),
        (["10", "10.0", "1"], ["'10' and '10.0'"]),
        (["dense forest", "denseforest"], ["'dense forest' and 'denseforest'"]),
        (["ﬁeld", "field"], ["'field' and 'ﬁeld'"]),
        (["forest", "forests", "1", "10"], []),
    ],
)
def test_names_that_differ_in_spelling_alone_are_noticed(names, named):
    notices = " ".join(spelling_notices(names))
    assert all(pair in notices for pair in named)
    assert bool(notices) is bool(named)


def test_tiles_of_a_folder_and_of_a_labels_file_share_one_spelling(tmp_path):
    for folder in (DECOMPOSED, "water"):
        save_picture(tmp_path / "tiles" / folder / "a.png", noise((3, 8, 8)))
    found = find_tiles(tmp_path / "tiles")
    assert found.class_names == ("Forêt", "water")
    labels = save_table(tmp_path / "l.csv", ["tile", "label"], ("water/a.png", "forêt "))
    relabelled = find_tiles(tmp_path / "tiles", labels)
    assert relabelled.class_names == ("Forêt", "forêt")
    assert any("'Forêt' and 'forêt'" in notice for notice in relabelled.notices)


def test_a_labels_file_of_windows_is_noticed(tmp_path):
    save_picture(tmp_path / "tiles" / "a.png", noise((3, 8, 8)))
    (tmp_path / "l.csv").write_bytes("tile;label\na.png;Grünland\n".encode("cp1252"))
    found = find_tiles(tmp_path / "tiles", tmp_path / "l.csv")
    assert found.class_names == ("Grünland",)
    assert any("Windows-1252" in notice for notice in found.notices)
