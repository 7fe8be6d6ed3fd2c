"""The test tiles of a comparison: each content once, and no tile finds itself."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from rsretrieve.comparison.test_set import (
    METRICS,
    QueryValues,
    prepare_test,
    read_values,
    with_truth,
    with_truths,
    write_values,
)
from rsretrieve.comparison.training_set import without_test_tiles
from rsretrieve.data.discovery.find_tiles import find_tiles
from rsretrieve.data.run_context import RunContext
from rsretrieve.data.windowing import SceneChoices, WindowChoices
from rsretrieve.errors import InputError, LabelsError
from rsretrieve.progress import Noticed
from tests.support.tiles.made_tiles import noise, save_picture


class Heard(RunContext):
    """A context that remembers its notices."""

    def __init__(self):
        self.texts = []
        super().__init__(listener=self._hear)

    def _hear(self, event):
        if isinstance(event, Noticed):
            self.texts.append(event.text)


@pytest.fixture
def tiles(tmp_path):
    """Three classes of three files, whose contents are their names."""
    folder = tmp_path / "tiles"
    for name in ("a", "b", "c"):
        for number in range(3):
            path = folder / name / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(f"{name}{number}".encode())
    return folder


def test_a_tile_that_searches_the_others_is_never_its_own_hit(tiles):
    test = prepare_test(find_tiles(tiles), None, Heard())
    own = test.own_rows(test.queries, test.queries)
    assert own.tolist() == list(range(9))
    assert test.own_rows(test.queries.select([4, 2]), test.queries).tolist() == [4, 2]


def test_a_copy_in_the_gallery_is_the_query_itself(tiles, tmp_path):
    other = tmp_path / "gallery"
    shutil.copytree(tiles, other)
    (other / "a" / "0.png").write_bytes(b"another image")
    shutil.move(other / "b" / "1.png", other / "b" / "9.png")
    test = prepare_test(find_tiles(tiles), find_tiles(other), Heard())
    own = dict(
        zip([t.id for t in test.queries], test.own_rows(test.queries, test.gallery).tolist())
    )
    assert own["a/0.png"] == -1
    assert test.gallery[own["b/1.png"]].id == "b/9.png"


def test_copies_count_once_and_contradicting_ones_not_at_all(tiles):
    shutil.copy(tiles / "a" / "0.png", tiles / "a" / "8.png")
    shutil.copy(tiles / "b" / "0.png", tiles / "c" / "9.png")
    context = Heard()
    test = prepare_test(find_tiles(tiles), None, context)
    ids = {tile.id for tile in test.queries}
    assert len(ids) == 8
    assert not ids & {"a/8.png", "b/0.png", "c/9.png"}
    assert any("1 tiles of --test are copies" in text for text in context.texts)
    assert any("2 tiles" in text and "different labels" in text for text in context.texts)


def test_true_labels_replace_those_of_the_tiles(tiles, tmp_path):
    truth = tmp_path / "truth.csv"
    truth.write_text("tile,label\na/0.png,b\na/1.png,a\nb/0.png,b\n")
    found = with_truth(find_tiles(tiles), truth, Heard())
    assert {tile.id: tile.label for tile in found.labelled()} == {
        **{"a/0.png": "b", "a/1.png": "a", "b/0.png": "b"}
    }


def test_test_tiles_without_a_relevant_tile_are_counted(tiles, tmp_path):
    context = Heard()
    found = find_tiles(tiles)
    prepare_test(found.relabelled({"a/0.png": "alone"}), None, context)
    assert any("1 test tiles have no other tile" in text for text in context.texts)
    context = Heard()
    prepare_test(
        found, find_tiles(tiles).relabelled({f"c/{i}.png": "C" for i in range(3)}), context
    )
    assert any("3 test tiles have no other tile" in text for text in context.texts)
    assert any("only in their spelling: 'C' and 'c'" in text for text in context.texts)
    # The only tile of its class in the gallery is the query itself.
    context = Heard()
    prepare_test(found, found.select([0, 3, 4, 5, 6, 7, 8]), context)
    assert any("1 test tiles have no other tile" in text for text in context.texts)
    context = Heard()
    prepare_test(found, None, context)
    assert context.texts == []


def test_true_labels_are_never_those_of_other_images_with_the_same_id(tiles, tmp_path):
    other = tmp_path / "gallery"
    shutil.copytree(tiles, other)
    truth = tmp_path / "truth.csv"
    truth.write_text("tile,label\na/0.png,b\na/1.png,a\nb/0.png,b\n")
    sides = find_tiles(tiles), find_tiles(other)
    for side in with_truths(*sides, truth, Heard()):
        assert {tile.id for tile in side.labelled()} == {"a/0.png", "a/1.png", "b/0.png"}
    (other / "a" / "0.png").write_bytes(b"another image")
    with pytest.raises(LabelsError, match=r"1 tiles by ids that both .*a/0\.png"):
        with_truths(*sides, truth, Heard())
    truth.write_text("tile,label\na/1.png,a\nb/0.png,b\n")
    with_truths(*sides, truth, Heard())


def test_a_side_that_the_true_labels_do_not_name_keeps_its_own(tiles, tmp_path):
    truth, context = tmp_path / "truth.csv", Heard()
    (tiles / "a").rename(tmp_path / "tests")
    (tmp_path / "gallery").mkdir()
    (tmp_path / "tests").rename(tmp_path / "gallery" / "x")
    truth.write_text("tile,label\nx/0.png,b\nx/1.png,x\n")
    test, gallery = with_truths(find_tiles(tiles), find_tiles(tmp_path / "gallery"), truth, context)
    assert [tile.label for tile in test] == [tile.label for tile in find_tiles(tiles)]
    assert [tile.label for tile in gallery] == ["b", "x", None]
    assert any("they keep their labels" in text for text in context.texts)
    with pytest.raises(LabelsError, match="names none of the tiles"):
        with_truths(find_tiles(tiles), None, truth, Heard())


def test_other_tiles_or_labels_are_another_test(tiles):
    one = prepare_test(find_tiles(tiles), None, Heard())
    same = prepare_test(find_tiles(tiles), None, Heard())
    fewer = prepare_test(find_tiles(tiles).select(range(8)), None, Heard())
    other = prepare_test(find_tiles(tiles).relabelled({"a/0.png": "b"}), None, Heard())
    assert one.digest == same.digest
    assert len({one.digest, fewer.digest, other.digest}) == 3


def test_a_test_that_asks_nothing_is_refused(tiles):
    found = find_tiles(tiles)
    with pytest.raises(LabelsError, match="has a label"):
        prepare_test(found.relabelled({tile.id: None for tile in found}), None, Heard())
    with pytest.raises(InputError, match="no test tile has another tile of its label"):
        prepare_test(found.select([0, 3, 6]), None, Heard())
    with pytest.raises(LabelsError, match="two classes"):
        prepare_test(found.select([0, 1]), None, Heard())


def test_figures_are_read_as_they_were_written(tmp_path):
    values = np.random.default_rng(0).random((3, len(METRICS)))
    written = QueryValues(("a/=1.png", "b,c.png", "é.png"), values)
    write_values(tmp_path / "q.csv", written)
    found = read_values(tmp_path / "q.csv")
    assert found.ids == written.ids
    np.testing.assert_array_equal(found.values, values)
    assert found.of("map")["b,c.png"] == values[1, 0]


def test_damaged_figures_are_refused(tmp_path):
    path = tmp_path / "q.csv"
    write_values(path, QueryValues(("a",), np.ones((1, len(METRICS)))))
    path.write_text(path.read_text().replace("1.0", "many", 1))
    with pytest.raises(InputError, match="damaged"):
        read_values(path)


def test_test_tiles_and_their_copies_are_not_trained_on(tiles, tmp_path):
    shutil.copy(tiles / "c" / "2.png", tiles / "b" / "7.png")
    found = find_tiles(tiles)
    test = find_tiles(tiles).select(
        [i for i, t in enumerate(found) if t.id in ("a/0.png", "c/2.png")]
    )
    context = Heard()
    training = without_test_tiles(found, ["tiles"], test, context)
    assert {tile.id for tile in found} - {tile.id for tile in training.tiles} == {
        *("a/0.png", "c/2.png", "b/7.png")
    }
    assert any(text.startswith("3 tiles of TILES are test tiles") for text in context.texts)
    listed = training.listed(tmp_path)
    assert [tile.id for tile in listed.tiles] == [tile.id for tile in training.tiles]
    assert [tile.label for tile in listed.tiles] == [tile.label for tile in training.tiles]
    assert listed.words == (str(tmp_path / "train.csv"),)


@pytest.fixture
def images(tmp_path):
    """Three classes of two images of 16 px."""
    for number, name in enumerate(("a/0", "a/1", "b/0", "b/1", "c/0", "c/1")):
        save_picture(tmp_path / "images" / f"{name}.png", noise((3, 16, 16), seed=number))
    return tmp_path / "images"


@pytest.mark.parametrize("copied", [False, True])
def test_a_window_that_covers_its_file_is_the_same_image_as_the_file(images, tmp_path, copied):
    whole, there = find_tiles(images), images
    if copied:
        there = shutil.copytree(images, tmp_path / "copies")
    cut = find_tiles(there, scenes=SceneChoices(WindowChoices(16)))
    for one, other in ((whole, cut), (cut, whole)):
        training = without_test_tiles(one, ["images"], other.select([0, 3]), Heard())
        assert [tile.id for tile in training.tiles] == [one[i].id for i in (1, 2, 4, 5)]
        test = prepare_test(one, other, Heard())
        assert test.own_rows(test.queries, test.gallery).tolist() == list(range(6))
    parts = find_tiles(there, scenes=SceneChoices(WindowChoices(8)))
    assert without_test_tiles(whole, ["images"], parts, Heard()).excluded == frozenset()


def test_without_shared_tiles_the_words_stay(tiles, tmp_path):
    found = find_tiles(tiles)
    training = without_test_tiles(found.select([0, 1]), ["x", "y"], found.select([5]), Heard())
    assert training.listed(tmp_path).words == ("x", "y")
    assert not (tmp_path / "train.csv").exists()
