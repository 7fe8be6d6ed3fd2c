"""Evaluating an index: leaving one out, queries from elsewhere, true labels."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow
import pytest
from pyarrow import parquet
from sklearn.metrics import confusion_matrix
from sklearn.neighbors import KNeighborsClassifier

from rsretrieve.data.discovery.find_tiles import find_tiles
from rsretrieve.data.file_state import FileStates
from rsretrieve.data.run_context import RunContext
from rsretrieve.data.tile import Tile, TileSet
from rsretrieve.data.window import Window
from rsretrieve.data.windowing import SceneChoices, WindowChoices
from rsretrieve.enums import Edges
from rsretrieve.errors import InputError, LabelsError, ModelMismatch
from rsretrieve.evaluation.evaluate import Evaluation, evaluate_index
from rsretrieve.evaluation.gallery import labelled_gallery
from rsretrieve.evaluation.retrieval_metrics import (
    LabelledVectors,
    RetrievalFigures,
    retrieval_figures,
)
from rsretrieve.index.build import index_tiles
from rsretrieve.index.build_from_embeddings import index_embeddings
from rsretrieve.index.embed_tiles import embed_tiles
from rsretrieve.index.store.folder import IndexStore, open_index
from rsretrieve.index.write import IndexBuildOptions
from rsretrieve.network.model import Model
from rsretrieve.progress import Event, Noticed, StageStarted
from tests.support.indexes.resealed import forget_digests


def evaluate(store: IndexStore, **choices: object) -> Evaluation:
    return evaluate_index(store, 0, RunContext(), **choices)


def indexed(model: Model, tiles: TileSet, tmp_path: Path) -> IndexStore:
    index_tiles(model, tiles, tmp_path / "index", RunContext())
    return open_index(tmp_path / "index")


def expected_figures(
    model: Model, queries: TileSet, gallery: TileSet, own_rows: list[int]
) -> RetrievalFigures:
    names = sorted({*queries.class_names, *gallery.class_names})
    sides = [
        LabelledVectors(
            embed_tiles(model, tiles, RunContext()).vectors,
            np.array([names.index(str(tile.label)) for tile in tiles]),
        )
        for tiles in (queries, gallery)
    ]
    return retrieval_figures(*sides, np.array(own_rows))


def assert_alike(one: RetrievalFigures, other: RetrievalFigures) -> None:
    assert (one.queries, one.without_relevant) == (other.queries, other.without_relevant)
    assert (one.knn_accuracy, one.map, one.map_at_r) == pytest.approx(
        (other.knn_accuracy, other.map, other.map_at_r)
    )
    assert one.precision_at == pytest.approx(other.precision_at)
    assert one.recall_at == pytest.approx(other.recall_at)


def notices(events: list[Event]) -> list[str]:
    return [event.text for event in events if isinstance(event, Noticed)]


# Leaving one out


def test_without_queries_every_tile_is_one_for_the_others(
    store: IndexStore, model: Model, tiles: TileSet
) -> None:
    evaluation = evaluate(store)
    assert_alike(evaluation.figures, expected_figures(model, tiles, tiles, list(range(18))))
    assert (evaluation.gallery, evaluation.gallery_labels) == (18, "given labels")
    assert 0 <= evaluation.nmi <= 1


def test_tiles_without_a_label_are_not_measured_by(
    model: Model, tiles: TileSet, tmp_path: Path
) -> None:
    partly = tiles.relabelled({tile.id: None for tile in tiles.select([0, 1, 9])})
    evaluation = evaluate(indexed(model, partly, tmp_path))
    kept = partly.labelled()
    assert evaluation.gallery == 15
    assert_alike(evaluation.figures, expected_figures(model, kept, kept, list(range(15))))


def test_the_seed_decides_the_clusters(store: IndexStore) -> None:
    assert evaluate(store) == evaluate(store)


def test_classes_of_one_tile_are_said_to_have_nothing_to_find(
    model: Model, tiles: TileSet, tmp_path: Path
) -> None:
    events: list[Event] = []
    lonely = tiles.select([0, 1, 2, 3, 4])  # two of two classes, one of another
    evaluation = evaluate_index(
        indexed(model, lonely, tmp_path), 0, RunContext(listener=events.append)
    )
    assert (evaluation.figures.queries, evaluation.figures.without_relevant) == (4, 1)
    [notice] = notices(events)
    assert notice.startswith("1 queries have no tile of their label")
    assert evaluation.left_out.queries_without_relevant == 1
    assert StageStarted("measuring retrieval") in events


def test_an_index_without_labels_is_refused(model: Model, tiles: TileSet, tmp_path: Path) -> None:
    store = indexed(model, tiles.select([0, 1]).relabelled(dict.fromkeys(ids(tiles))), tmp_path)
    message = f"^no tile of {tmp_path}/index has a label$"
    with pytest.raises(LabelsError, match=message) as caught:
        evaluate(store)
    assert "--labels" in caught.value.hint
    assert "--truth" in caught.value.hint


def test_a_class_of_every_tile_its_own_is_refused(
    model: Model, tiles: TileSet, tmp_path: Path
) -> None:
    store = indexed(model, tiles.select([0, 2, 4]), tmp_path)
    with pytest.raises(InputError, match=r"^no query has a tile of its label"):
        evaluate(store)


def ids(tiles: TileSet) -> list[str]:
    return [tile.id for tile in tiles]


# True labels


def test_true_labels_replace_those_of_the_index(
    store: IndexStore, model: Model, tiles: TileSet
) -> None:
    truth = {tile.id: "wet" if tile.label in ("water", "beach") else "dry" for tile in tiles}
    evaluation = evaluate(store, true_labels=truth)
    by_hand = tiles.relabelled(truth)
    assert evaluation.gallery_labels == "clean gallery"
    assert_alike(evaluation.figures, expected_figures(model, by_hand, by_hand, list(range(18))))


def test_tiles_without_a_true_label_are_not_measured_by(store: IndexStore, tiles: TileSet) -> None:
    truth = {tile.id: "land" if i < 5 else "sea" for i, tile in enumerate(tiles.select(range(7)))}
    evaluation = evaluate(store, true_labels=truth)
    assert evaluation.gallery == 7
    assert evaluation.left_out.gallery_without_label == 11


# Queries


def test_queries_from_elsewhere_are_held_against_the_index(
    model: Model, tiles: TileSet, tmp_path: Path
) -> None:
    queries, gallery = tiles.select(range(0, 18, 2)), tiles.select(range(1, 18, 2))
    evaluation = evaluate(indexed(model, gallery, tmp_path), queries=queries, model=model)
    assert_alike(evaluation.figures, expected_figures(model, queries, gallery, [-1] * 9))
    assert evaluation.gallery == 9


@pytest.mark.medium
def test_a_query_that_is_in_the_index_is_never_its_own_hit(
    store: IndexStore, model: Model, tiles: TileSet
) -> None:
    renamed = replace(tiles[4], id="under another name")
    queries = TileSet("queries", (tiles[0], tiles[9], renamed))
    evaluation = evaluate(store, queries=queries, model=model)
    assert_alike(evaluation.figures, expected_figures(model, queries, tiles, [0, 9, 4]))


@pytest.mark.medium
def test_a_query_that_is_in_the_index_twice_is_never_its_own_hit(
    model: Model, tiles: TileSet, tmp_path: Path
) -> None:
    again = replace(tiles[0], id="again")
    store = indexed(model, TileSet("twice", (*tiles, again)), tmp_path)
    evaluation = evaluate(store, queries=tiles.select([0]), model=model)
    assert_alike(evaluation.figures, expected_figures(model, tiles.select([0]), tiles, [0]))


@pytest.mark.medium
def test_a_tile_that_is_indexed_under_two_ids_counts_once(
    model: Model, tiles: TileSet, tmp_path: Path
) -> None:
    few = tiles.select([0, 2, 3])  # one of a class, two of another
    again = replace(tiles[0], id="again")
    evaluation = evaluate(indexed(model, TileSet("twice", (*few, again)), tmp_path))
    assert evaluation.gallery == 3
    assert (evaluation.figures.queries, evaluation.figures.without_relevant) == (2, 1)


def copied(tile: Tile, folder: Path, number: int, label: str | None = None) -> Tile:
    """A tile with the content of another one."""
    path = shutil.copy(tile.path, folder / f"copy_{number}.tif")
    return replace(tile, id=f"copy {number}", path=str(path), label=label or tile.label)


@pytest.mark.medium
def test_copies_of_a_query_count_once_and_with_two_labels_not_at_all(
    store: IndexStore, model: Model, tiles: TileSet, tmp_path: Path
) -> None:
    once = evaluate(store, queries=tiles.select([0, 9, 12]), model=model)
    copies = [copied(tiles[0], tmp_path, number) for number in range(4)]
    window = replace(tiles[0], id="part", window=Window(0, 0, 8, 8))
    contradicting = [tiles[5], copied(tiles[5], tmp_path, 9, "harbor")]
    queries = TileSet("q", (*copies, *tiles.select([0, 9, 12]), *contradicting))
    events: list[Event] = []
    found = evaluate_index(
        store, 0, RunContext(listener=events.append), queries=queries, model=model
    )
    assert_alike(found.figures, once.figures)
    assert (found.left_out.queries_copies, found.left_out.queries_contradicting) == (4, 2)
    assert [text.split(maxsplit=1)[0] for text in notices(events)][:2] == ["4", "2"]
    assert (once.left_out.queries_copies, once.left_out.queries_contradicting) == (0, 0)
    parts = evaluate(store, queries=TileSet("q", (tiles[0], window)), model=model)
    assert parts.figures.queries == 2
    with pytest.raises(LabelsError, match="no query has a label that its copies have"):
        evaluate(store, queries=TileSet("q", tuple(contradicting)), model=model)


@pytest.mark.medium
def test_queries_that_share_a_path_count_once(
    store: IndexStore, model: Model, tiles: TileSet, tmp_path: Path
) -> None:
    (tmp_path / "link").symlink_to(Path(tiles[0].path).parent, target_is_directory=True)
    path = str(tmp_path / "link" / Path(tiles[0].path).name)
    queries = TileSet("q", (tiles[0], replace(tiles[0], id="b", path=path), tiles[9]))
    found = evaluate(store, queries=queries, model=model)
    assert (found.figures.queries, found.left_out.queries_copies) == (2, 1)


def test_queries_without_a_label_are_left_out_with_a_notice(
    store: IndexStore, model: Model, tiles: TileSet
) -> None:
    events: list[Event] = []
    queries = tiles.relabelled({tiles[0].id: None, tiles[1].id: None})
    evaluation = evaluate_index(
        store, 0, RunContext(listener=events.append), queries=queries, model=model
    )
    assert evaluation.figures.queries == 16
    assert notices(events) == ["2 queries have no label and are left out"]


def test_queries_without_any_label_are_refused(
    store: IndexStore, model: Model, tiles: TileSet
) -> None:
    nameless = tiles.relabelled(dict.fromkeys(ids(tiles)))
    with pytest.raises(LabelsError, match=r"no tile has a label$") as caught:
        evaluate(store, queries=nameless, model=model)
    assert "--labels FILE.csv" in caught.value.hint


def test_queries_that_cannot_be_read_are_logged(
    store: IndexStore, model: Model, tiles: TileSet
) -> None:
    context = RunContext()
    queries = TileSet("queries", (tiles[0], replace(tiles[1], path="nowhere")))
    evaluation = evaluate_index(store, 0, context, queries=queries, model=model)
    assert evaluation.figures.queries == 1
    assert [failure.tile_id for failure in context.failures] == [tiles[1].id]


def test_queries_need_a_model(store: IndexStore, tiles: TileSet) -> None:
    with pytest.raises(LabelsError, match=r"^queries need a model to embed them$"):
        evaluate(store, queries=tiles)


def test_another_model_is_refused(store: IndexStore, other_model: Model, tiles: TileSet) -> None:
    with pytest.raises(ModelMismatch, match=r"their vectors cannot be compared"):
        evaluate(store, queries=tiles, model=other_model)


@pytest.mark.parametrize("windows", [True, False])
def test_rows_without_a_path_are_told_apart_by_their_ids(tmp_path: Path, windows: bool) -> None:
    """Embeddings from elsewhere may name no file; the right value is that of a plain loop."""
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(24, 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    labels = [("a", "b", "c")[i % 3] for i in range(24)]
    ids = [f"s{i % 2}.tif#{8 * (i // 2)},0,8,8" if windows else f"{i}.tif" for i in range(24)]
    table = {"id": ids, "embedding": vectors.tolist(), "label": labels}
    parquet.write_table(pyarrow.table(table), tmp_path / "v.parquet")
    options = IndexBuildOptions(tmp_path / "index")
    index_embeddings(tmp_path / "v.parquet", None, options, RunContext())
    store = open_index(tmp_path / "index")
    events: list[Event] = []
    found = evaluate_index(store, 0, RunContext(listener=events.append))
    precisions = []
    for i, vector in enumerate(vectors):
        others = [j for j in np.argsort(-(vectors @ vector)).tolist() if j != i]
        hits = [labels[j] == labels[i] for j in others]
        ranks = np.flatnonzero(hits) + 1
        precisions.append(np.mean(np.arange(1, len(ranks) + 1) / ranks))
    assert found.gallery == 24
    assert found.figures.map == pytest.approx(np.mean(precisions), abs=1e-6)
    assert not notices(events)


# Content


@pytest.fixture
def folder(tiles: TileSet, tmp_path: Path) -> Path:
    """Copies of the tiles in a folder that a test may move; the sub-folders are the labels."""
    for tile in tiles:
        home = tmp_path / "tiles" / str(tile.label)
        home.mkdir(parents=True, exist_ok=True)
        shutil.copy(tile.path, home)
    return tmp_path / "tiles"


@pytest.mark.medium
@pytest.mark.parametrize("how", ["copied", "hard links", "moved", "renamed", "windows"])
def test_figures_do_not_depend_on_where_the_queries_lie(
    model: Model, folder: Path, tmp_path: Path, how: str
) -> None:
    scenes = SceneChoices(WindowChoices(8)) if how == "windows" else SceneChoices()
    here = find_tiles(folder, None, scenes)
    store = indexed(model, here, tmp_path)
    in_place = evaluate(store, queries=here, model=model)
    assert in_place.figures == evaluate(store).figures
    if how == "moved":
        there = folder.rename(tmp_path / "elsewhere")
    else:
        link = os.link if how == "hard links" else shutil.copy
        there = Path(shutil.copytree(folder, tmp_path / "copy", copy_function=link))
    for path in sorted(there.rglob("*.tif")) if how == "renamed" else ():
        path.rename(path.with_stem(f"renamed_{path.stem}"))
    elsewhere = evaluate(store, queries=find_tiles(there, None, scenes), model=model)
    assert elsewhere.figures == in_place.figures
    assert elsewhere.gallery == in_place.gallery


@pytest.mark.medium
@pytest.mark.parametrize(
    "choices",
    [
        WindowChoices(16),
        WindowChoices(24, edges=Edges.PAD, max_nodata=1),
        WindowChoices(8, resolution_m=25, edges=Edges.PAD, max_nodata=1),
    ],
    ids=["windows", "padded", "coarse"],
)
def test_a_window_that_covers_its_file_is_the_same_image_as_the_file(
    model: Model, folder: Path, tmp_path: Path, choices: WindowChoices
) -> None:
    whole, cut = find_tiles(folder), find_tiles(folder, None, SceneChoices(choices))
    assert len(cut) == len(whole) == 18
    of_files, of_windows = indexed(model, whole, tmp_path), indexed(model, cut, tmp_path / "cut")
    files = FileStates((*whole, *cut))
    for store, queries in ((of_files, cut), (of_windows, whole), (of_windows, cut)):
        gallery = labelled_gallery(store, None, RunContext())
        rows = gallery.rows_of(queries.tiles, files)
        assert sorted(rows) == list(range(18))
        assert [store.rows[row].id.partition("#")[0] for row in rows] == [
            tile.id.partition("#")[0] for tile in queries
        ]
    both = replace(whole, tiles=(*whole.tiles, *cut.tiles))
    found = evaluate(of_files, queries=both, model=model)
    assert found.left_out.queries_copies == 18
    found = evaluate(indexed(model, both, tmp_path / "both"))
    assert (found.gallery, found.left_out.gallery_copies) == (18, 18)


@pytest.mark.medium
def test_an_index_without_digests_knows_its_tiles_by_their_paths(
    model: Model, folder: Path, tmp_path: Path
) -> None:
    here = find_tiles(folder)
    in_place = evaluate(indexed(model, here, tmp_path), queries=here, model=model)
    forget_digests(tmp_path / "index")
    older = open_index(tmp_path / "index")
    assert evaluate(older, queries=here, model=model).figures == in_place.figures


@pytest.mark.medium
def test_another_image_at_the_path_of_before_is_another_query(
    model: Model, folder: Path, tmp_path: Path
) -> None:
    first, *rest = sorted(path for path in folder.rglob("*.tif"))
    store = indexed(model, find_tiles(folder), tmp_path)
    only = TileSet("one", (Tile("a", str(first), first.parent.name),))
    alone = evaluate(store, queries=only, model=model)
    shutil.copy(rest[-1], first)
    changed = evaluate(store, queries=only, model=model)
    assert alone.figures.map != changed.figures.map
    by_hand = expected_figures(model, only, find_tiles(folder), [-1])
    assert changed.gallery == alone.gallery == 18
    assert changed.figures.queries == by_hand.queries == 1


def from_elsewhere(tmp_path: Path, **columns: list[object]) -> IndexStore:
    """An index of 24 random vectors of three classes, with these columns."""
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(24, 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    known = {"id": list(map(str, range(24))), "label": [("a", "b", "c")[i % 3] for i in range(24)]}
    table = {**known, "embedding": vectors.tolist(), **columns}
    tmp_path.mkdir(exist_ok=True)
    parquet.write_table(pyarrow.table(table), tmp_path / "v.parquet")
    options = IndexBuildOptions(tmp_path / "index")
    index_embeddings(tmp_path / "v.parquet", None, options, RunContext())
    return open_index(tmp_path / "index")


@pytest.mark.parametrize(
    "columns",
    [
        {"id": [f"patch {i}" for i in range(24)], "path": ["scene.tif"] * 24},
        {"id": [f"{i}/scene.tif#0,0,8,8" for i in range(24)]},
        {"id": [f"{i}#0,0,8,8" for i in range(24)], "path": [f"s{i // 12}.tif" for i in range(24)]},
        {"id": [f"{i}#0,0,0,0" for i in range(24)], "path": ["scene.tif"] * 24},
    ],
    ids=["one scene", "windows of many", "the same window twice", "no window"],
)
def test_rows_from_elsewhere_count_each_by_its_id(
    tmp_path: Path, columns: dict[str, list[object]]
) -> None:
    plain = evaluate(from_elsewhere(tmp_path / "plain"))
    found = evaluate(from_elsewhere(tmp_path / "other", **columns))
    assert found.gallery == 24
    assert found.figures == plain.figures


def test_copies_with_one_label_count_once_and_with_two_labels_not_at_all(
    model: Model, tiles: TileSet, tmp_path: Path
) -> None:
    copies = [
        replace(tiles[number], id=f"copy {number}", path=str(tmp_path / f"{number}.tif"))
        for number in (0, 1)
    ]
    for copy, number in zip(copies, (0, 1)):
        shutil.copy(tiles[number].path, copy.path)
    mislabelled = replace(copies[1], label="harbor")
    events: list[Event] = []
    store = indexed(model, TileSet("t", (*tiles, copies[0], mislabelled)), tmp_path)
    found = evaluate_index(store, 0, RunContext(listener=events.append))
    assert found.gallery == 17
    assert found.left_out.gallery_copies == 1
    assert found.left_out.gallery_contradicting == 2
    assert [text.split(maxsplit=1)[0] for text in notices(events)] == ["1", "2", "1"]
    reversed_store = indexed_as(model, store, tmp_path / "reversed", tiles, copies[0], mislabelled)
    assert evaluate(reversed_store).figures.map == pytest.approx(found.figures.map, abs=1e-6)


def indexed_as(
    model: Model, store: IndexStore, folder: Path, tiles: TileSet, *more: Tile
) -> IndexStore:
    """The same tiles, in the opposite order."""
    index_tiles(model, TileSet("t", (*tiles, *more)[::-1]), folder, RunContext())
    assert len(open_index(folder).rows) == len(store.rows)
    return open_index(folder)


# Refused


@pytest.mark.parametrize("by_truth", [True, False])
def test_one_class_is_refused(tmp_path: Path, by_truth: bool) -> None:
    store = from_elsewhere(tmp_path, **({} if by_truth else {"label": ["Images"] * 24}))
    truth = dict.fromkeys(map(str, range(24)), "Images") if by_truth else None
    with pytest.raises(LabelsError, match=r"all 24 labelled tiles .*'Images'"):
        evaluate(store, true_labels=truth)


def test_true_labels_of_other_tiles_are_refused_with_both_names(tmp_path: Path) -> None:
    with pytest.raises(LabelsError, match=r"none of the 24 tiles .*'x/1\.tif'.*'0', '1'"):
        evaluate(from_elsewhere(tmp_path), true_labels={"x/1.tif": "a"})


def test_queries_of_other_classes_are_refused_with_both_names(
    store: IndexStore, model: Model, tiles: TileSet
) -> None:
    queries = tiles.relabelled(dict.fromkeys(ids(tiles), "jungle"))
    with pytest.raises(InputError, match=r"'jungle'.*gallery.*'beach'"):
        evaluate(store, queries=queries, model=model)


def test_true_labels_that_the_index_lacks_are_counted(tmp_path: Path) -> None:
    events: list[Event] = []
    truth = {str(i): "ab"[i % 2] for i in range(30)}
    found = evaluate_index(
        from_elsewhere(tmp_path), 0, RunContext(listener=events.append), true_labels=truth
    )
    assert found.gallery == 24
    assert any("6 tiles that are not in the index" in text for text in notices(events))


# Classes


def test_figures_per_class_are_those_of_its_queries_alone(
    store: IndexStore, model: Model, tiles: TileSet
) -> None:
    whole = evaluate(store, queries=tiles, model=model)
    assert [entry.label for entry in whole.per_class] == list(tiles.class_names)
    for entry in whole.per_class[:4]:
        rows = [i for i, tile in enumerate(tiles) if tile.label == entry.label]
        alone = evaluate(store, queries=tiles.select(rows), model=model)
        assert entry.figures is not None
        assert entry.gallery == 2
        assert_alike(entry.figures, alone.figures)


def test_the_confusion_matrix_equals_scikit_learns(tmp_path: Path) -> None:
    store = from_elsewhere(tmp_path)
    labels = np.array([str(row.label) for row in store.rows])
    predicted = []
    for row in range(24):
        rest = np.delete(np.arange(24), row)
        oracle = KNeighborsClassifier(n_neighbors=10, weights="distance")
        oracle.fit(store.vectors[rest], labels[rest])
        predicted.append(oracle.predict(store.vectors[row : row + 1])[0])
    found = evaluate(store)
    expected = confusion_matrix(labels, predicted, labels=["a", "b", "c"])
    assert found.confusion.class_names == ("a", "b", "c")
    assert np.array_equal(found.confusion.counts, expected)
    assert found.figures.knn_accuracy == pytest.approx(np.mean(labels == np.array(predicted)))
