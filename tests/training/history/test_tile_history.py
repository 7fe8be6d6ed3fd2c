"""What a training records of its tiles: margins, starting features, and the file of them."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow
import pytest
import torch
from numpy.typing import NDArray
from pyarrow import parquet

from rsretrieve._core.atomic_write import sha256_of_file
from rsretrieve.data.file_state import FileStates
from rsretrieve.data.labels.confirmed import ConfirmedLabel, Rule
from rsretrieve.data.preprocessing.preprocessing import BandStatistics, Preprocessing
from rsretrieve.data.run_context import RunContext
from rsretrieve.data.tile import Tile, TileSet
from rsretrieve.errors import ModelDamaged
from rsretrieve.network.embedder import Embedder
from rsretrieve.network.metadata import ModelDescription, ModelFolder
from rsretrieve.progress import Event, Noticed
from rsretrieve.training.history import area_under_margin
from rsretrieve.training.history.area_under_margin import AreaUnderMargin, MeanProbabilities
from rsretrieve.training.history.starting_features import compute_starting_features
from rsretrieve.training.history.tile_history import (
    TileHistory,
    class_sizes,
    read_tile_history,
    write_tile_history,
)
from tests.support.tiles.unreadable import UNREADABLE, put_unreadable

STATISTICS = BandStatistics((1.0,), (1.0,), (0.0,), (255.0,))
DESCRIPTION = ModelDescription(
    backbone="resnet18",
    dimensions=8,
    preprocessing=Preprocessing(32, 1, (1,), "uint8", STATISTICS),
    class_names=("a", "b"),
    recipe={},
    training={},
    versions={},
    weights_sha256="0",
)
TILES = TileSet("here", (Tile("a/é.tif", "a", "a"), Tile("b/2.tif", "b", "b")))
LOOKS = np.array([[10, 20, 30, 40], [90, 70, 50, 30]], np.float32)
CPU = torch.device("cpu")


def described(folder: Path) -> ModelFolder:
    """A model folder of before its files had checksums."""
    return ModelFolder(folder, DESCRIPTION)


def test_the_area_is_the_mean_margin_of_the_given_label() -> None:
    rng = np.random.default_rng(0)
    log_p = np.log(rng.dirichlet(np.ones(4), (3, 5)))  # 3 epochs, 5 tiles
    given = np.array([0, 1, 2, 3, 1])
    margins, half = AreaUnderMargin(5, CPU), AreaUnderMargin(5, CPU)
    for epoch in log_p:
        order = rng.permutation(5)
        for rows in (order[:2], order[2:]):
            batch = torch.from_numpy(epoch[rows])
            margins.update(torch.from_numpy(rows), batch, torch.from_numpy(given[rows]))
    for tile, label in enumerate(given):
        found = []
        for epoch in log_p:
            others = [epoch[tile, c] for c in range(4) if c != label]
            found.append(epoch[tile, label] - max(others))
        assert margins.areas[tile] == pytest.approx(sum(found) / 3, abs=1e-5)
    half.restore(margins.tensors())
    assert np.array_equal(half.areas, margins.areas)
    assert np.isnan(AreaUnderMargin(2, CPU).areas).all()


def test_the_logit_margin_is_that_of_the_mean_probabilities() -> None:
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.ones(4), (3, 5))  # 3 epochs, 5 tiles
    given = np.array([0, 1, 2, 3, 1])
    kept, again = MeanProbabilities(6, 4, CPU), MeanProbabilities(6, 4, CPU)
    for epoch in p:
        order = rng.permutation(5)
        for rows in (order[:2], order[2:]):
            kept.update(torch.from_numpy(rows), torch.from_numpy(np.log(epoch[rows])))
    again.restore(kept.tensors())
    margins = again.margins(torch.tensor([*given, 0]))
    for tile, label in enumerate(given):
        means = [sum(epoch[tile, c] for epoch in p) / 3 for c in range(4)]
        best = max(means[c] for c in range(4) if c != label)
        assert margins[tile] == pytest.approx(np.log(means[label] / best), abs=1e-5)
    assert np.isnan(margins[5])  # a tile of no batch


def test_no_logit_margin_is_kept_of_too_many_probabilities_nor_of_half_a_training(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole, batch = MeanProbabilities(2, 3, CPU), (torch.tensor([0]), torch.zeros((1, 3)))
    whole.update(*batch)
    assert np.isfinite(whole.margins(torch.tensor([0, 0]))[0])
    whole.restore({})  # the checkpoint of an older version
    monkeypatch.setattr(area_under_margin, "MOST_PROBABILITIES", 5)
    for kept in (whole, MeanProbabilities(2, 3, CPU)):
        kept.update(*batch)
        assert np.isnan(kept.margins(torch.tensor([0, 0]))).all()
        assert kept.tensors() == {}


def test_a_probability_of_nothing_spoils_no_area() -> None:
    margins, means = AreaUnderMargin(1, CPU), MeanProbabilities(1, 2, CPU)
    log_p, position = torch.tensor([[-torch.inf, 0.0]]), torch.tensor([0])
    margins.update(position, log_p, position)
    means.update(position, log_p)
    assert np.isfinite(margins.areas).all()
    assert np.isfinite(means.margins(position)).all()


class Flat(Embedder):
    """Features that are the pixels, weighed so that a turned tile has others."""

    def __init__(self) -> None:
        """It needs no network."""

    def features(self, pixels: NDArray[np.float32]) -> torch.Tensor:
        flat = pixels.reshape(len(pixels), -1)
        return torch.from_numpy(flat * np.linspace(0, 1, flat.shape[1], dtype=np.float32))


def test_starting_features_keep_the_angles_between_centred_features() -> None:
    pixels = np.random.default_rng(0).random((40, 1, 16, 16), np.float32)
    features = compute_starting_features(Flat(), pixels, seed=0).astype(np.float64)
    rows = np.zeros((40, 256))
    for tile in range(40):
        for turn in range(4):
            seen = np.rot90(pixels[tile, 0], turn).ravel() * np.linspace(0, 1, 256)
            rows[tile] += seen / np.linalg.norm(seen)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    rows -= rows.mean(axis=0)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    assert features.shape == (40, 39)
    np.testing.assert_allclose(features @ features.T, rows @ rows.T, atol=3e-3)


def test_starting_features_of_many_are_in_the_directions_of_some_and_turning_changes_nothing() -> (
    None
):
    pixels = np.random.default_rng(1).random((600, 1, 8, 8), np.float32)
    pixels[300:] = np.rot90(pixels[:300], 1, axes=(2, 3))
    features = compute_starting_features(Flat(), pixels, 0, sample_tiles=30)
    assert features.shape == (600, 29)
    np.testing.assert_allclose(features[:300], features[300:], atol=2e-3)
    again = compute_starting_features(Flat(), pixels[::-1].copy(), 1, sample_tiles=30)
    assert not np.allclose(again[::-1], features, atol=0.05)


def test_blocks_of_starting_features_count_by_their_unit_vectors() -> None:
    pixels = np.random.default_rng(2).random((30, 1, 4, 4), np.float32)
    found = compute_starting_features(Flat(), pixels, 0, turns=1, sizes=(10, 6))
    rows = pixels.reshape(30, 16) * np.linspace(0, 1, 16, dtype=np.float32)
    rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    rows = rows - rows.mean(axis=0)
    blocks = [rows[:, :10], rows[:, 10:]]
    first, second = (b / np.linalg.norm(b, axis=1, keepdims=True) for b in blocks)
    wanted = np.hstack([first, second / 2])
    wanted = wanted - wanted.mean(axis=0)
    wanted /= np.linalg.norm(wanted, axis=1, keepdims=True)
    found = found.astype(np.float32)
    np.testing.assert_allclose(found @ found.T, wanted @ wanted.T, atol=4e-3)


def test_training_tiles_are_stored_with_what_was_noted(tmp_path: Path) -> None:
    weights = np.array([1, 0], np.float32)
    features = np.array([[0.6, 0.8], [1, 0]], np.float16)
    margins = np.array([-2, 3], np.float32)
    areas = np.array([0.5, np.nan], np.float32)
    record = TileHistory(weights, areas, features, margins=margins)
    write_tile_history(tmp_path, TILES, ["a", None], record, LOOKS)
    table = parquet.read_table(tmp_path / "tiles.parquet").to_pydict()
    assert table["tile"] == ["a/é.tif", "b/2.tif"]
    assert table["label"] == ["a", "b"]
    assert table["weight"] == [1.0, 0.0]
    assert table["taught_label"] == ["a", None]
    more = TileSet("more", (Tile("b/2.tif", "", "b"), Tile("c", "c"), Tile("a/é.tif", "", "a")))
    found = read_tile_history(described(tmp_path), more, LOOKS[[1, 0, 0]])
    assert found.areas[2] == 0.5
    assert np.isnan(found.areas[:2]).all()
    np.testing.assert_array_equal(found.weights, [0, np.nan, 1])
    np.testing.assert_array_equal(found.margins, [3, np.nan, -2])
    other = more.relabelled({"b/2.tif": "a"})
    relabelled = read_tile_history(described(tmp_path), other, LOOKS[[1, 0, 0]])
    np.testing.assert_array_equal(relabelled.margins, [np.nan, np.nan, -2])
    assert found.starting_features is not None
    np.testing.assert_array_equal(found.starting_features, features[[1, 0, 0]] * [[1], [0], [1]])
    assert class_sizes(described(tmp_path), ("b", "x", "a")).tolist() == [1, 0, 1]


def test_decisions_that_the_training_knew_are_found_again(tmp_path: Path) -> None:
    known = TILES.with_confirmed(
        {"a/é.tif": ConfirmedLabel(Rule.CHOOSE, "c"), "b/2.tif": ConfirmedLabel(Rule.REJECT, "b")}
    )
    record = TileHistory(np.ones(2, np.float32), np.zeros(2, np.float32), None)
    write_tile_history(tmp_path, known, ["a", "b"], record, LOOKS)
    table = parquet.read_table(tmp_path / "tiles.parquet").to_pydict()
    assert table["confirmed"] == [True, True]
    assert table["original_label"] == ["c", "b"]
    events: list[Event] = []
    context = RunContext(listener=events.append)
    other = TILES.relabelled({"b/2.tif": "c"})
    found = read_tile_history(described(tmp_path), other, LOOKS, context)
    assert found.confirmed == {"a/é.tif": ConfirmedLabel(Rule.PERSON, "c")}
    [event] = events
    assert "1 tiles have other labels than those that a person decided on" in str(event)
    write_tile_history(tmp_path, TILES, ["a", "b"], record, LOOKS)
    assert read_tile_history(described(tmp_path), TILES, LOOKS).confirmed == {}


def test_a_model_of_an_older_version_tells_nothing(tmp_path: Path) -> None:
    found = read_tile_history(described(tmp_path), TILES, LOOKS)
    assert found.starting_features is None
    assert np.isnan(found.areas).all()
    assert np.isnan(found.weights).all()
    assert class_sizes(described(tmp_path), ("a",)).tolist() == [0]
    nothing_known = TileHistory(np.ones(2, np.float32), np.zeros(2, np.float32), None)
    write_tile_history(tmp_path, TILES, ["a", "b"], nothing_known, LOOKS)
    found = read_tile_history(described(tmp_path), TILES, LOOKS)
    assert found.starting_features is None
    assert found.margins is None


def read_with(folder: Path, tiles: TileSet, looks: NDArray[np.float32]) -> TileHistory:
    features = np.array([[0.6, 0.8], [1, 0]], np.float16)
    record = TileHistory(np.ones(2, np.float32), np.full(2, 0.5, np.float32), features)
    write_tile_history(folder, TILES, ["a", "b"], record, LOOKS)
    events: list[Event] = []
    found = read_tile_history(described(folder), tiles, looks, RunContext(listener=events.append))
    assert [type(event) for event in events] == [Noticed] * bool(events)
    for event in events:
        assert "1 of 2 tiles that the model was trained on have other pixels" in str(event)
        assert "b/2.tif" in str(event)
    assert bool(events) == (looks is not LOOKS and abs(looks - LOOKS).max() > 1)
    return found


def test_weights_and_areas_are_of_the_label_that_was_given_then(tmp_path: Path) -> None:
    found = read_with(tmp_path, TILES.relabelled({"b/2.tif": "a"}), LOOKS)
    np.testing.assert_array_equal(found.weights, [1, np.nan])
    np.testing.assert_array_equal(found.areas, [0.5, np.nan])
    assert found.starting_features is not None
    assert found.starting_features.any(axis=1).all()


@pytest.mark.parametrize(("change", "known"), [(0.0, True), (0.05, True), (9.0, False)])
def test_another_picture_of_that_name_is_told_nothing_of(
    tmp_path: Path, change: float, known: bool
) -> None:
    found = read_with(tmp_path, TILES, LOOKS + np.array([[0], [change]], np.float32))
    assert np.isnan(found.weights).tolist() == [False, not known]
    assert np.isnan(found.areas).tolist() == [False, not known]
    assert found.starting_features is not None
    assert found.starting_features.any(axis=1).tolist() == [True, known]


def test_a_table_without_looks_is_believed(tmp_path: Path) -> None:
    read_with(tmp_path, TILES, LOOKS)
    table = parquet.read_table(tmp_path / "tiles.parquet").drop_columns("quadrants")
    parquet.write_table(table, tmp_path / "tiles.parquet")
    found = read_tile_history(described(tmp_path), TILES, LOOKS + 100)
    np.testing.assert_array_equal(found.weights, [1, 1])


@pytest.mark.parametrize("content", [b"nonsense", b"", None], ids=["other", "empty", "gone"])
def test_a_table_that_is_not_the_one_that_was_written_is_refused(
    tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "tiles.parquet"
    read_with(tmp_path, TILES, LOOKS)
    model = ModelFolder(
        tmp_path, replace(DESCRIPTION, files={"tiles.parquet": sha256_of_file(path)})
    )
    assert class_sizes(model, ("a", "b")).tolist() == [1, 1]
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ModelDamaged, match=r"tiles\.parquet"):
        read_tile_history(model, TILES, LOOKS)
    with pytest.raises(ModelDamaged, match=r"tiles\.parquet"):
        class_sizes(model, ("a",))


@pytest.mark.parametrize("name", ["first_view", "quadrants"])
@pytest.mark.parametrize("rows", [[None, None], [None, [0.5] * 4], [[0.5, None, 0.5, 0.5]] * 2])
def test_missing_lists_and_numbers_are_refused(
    tmp_path: Path, name: str, rows: list[list[float | None] | None]
) -> None:
    lists = pyarrow.array(rows, pyarrow.list_(pyarrow.float32(), 4))
    table = pyarrow.table({"tile": [tile.id for tile in TILES], "weight": [1.0, 1.0], name: lists})
    parquet.write_table(table, tmp_path / "tiles.parquet")
    with pytest.raises(ModelDamaged, match="missing values"):
        read_tile_history(described(tmp_path), TILES, LOOKS)


def test_a_table_of_an_older_version_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "tiles.parquet").write_bytes(b"nonsense")
    with pytest.raises(ModelDamaged, match=r"tiles\.parquet cannot be read"):
        read_tile_history(described(tmp_path), TILES, LOOKS)


@pytest.mark.parametrize("kind", UNREADABLE)
def test_a_table_of_an_older_version_that_is_no_file_is_refused_and_nobody_waits(
    tmp_path: Path, kind: str
) -> None:
    path = tmp_path / "model" / "tiles.parquet"
    path.parent.mkdir()
    path.touch()
    put_unreadable(path, kind)
    with pytest.raises(ModelDamaged, match=r"tiles\.parquet cannot be read"):
        read_tile_history(described(path.parent), TILES, LOOKS)


@pytest.fixture
def trained(tmp_path: Path) -> tuple[ModelFolder, TileSet, NDArray[np.float32]]:
    """A model folder that knows the contents of four tiles, two of them with one content."""
    contents = {"a/1.tif": b"one", "a/2.tif": b"two", "b/3.tif": b"three", "b/copy.tif": b"one"}
    tiles = []
    for tile_id, content in contents.items():
        path = tmp_path / "tiles" / tile_id
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        tiles.append(Tile(tile_id, str(path), tile_id[0]))
    found, files = TileSet("tiles", tuple(tiles)), FileStates(tiles)
    looks = np.array([[10, 20, 30, 40], [90, 70, 50, 30], [5, 5, 5, 5], [10, 20, 30, 40]], "f4")
    weights = np.array([1, 0, 1, 0], np.float32)
    record = TileHistory(weights, np.arange(4, dtype=np.float32), np.eye(4, dtype=np.float16))
    digests = [files.content(tile.path).file for tile in tiles]
    (tmp_path / "model").mkdir()
    write_tile_history(tmp_path / "model", found, [None] * 4, record, looks, digests)
    return described(tmp_path / "model"), found, looks


def moved(tiles: TileSet, folder: Path, names: dict[str, str]) -> TileSet:
    """Copies of the tiles in another folder, under other names."""
    copies = []
    for tile in tiles:
        path = folder / names.get(tile.id, tile.id)
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(tile.path, path)
        copies.append(replace(tile, id=names.get(tile.id, tile.id), path=str(path)))
    return TileSet("copies", tuple(copies))


@pytest.mark.parametrize(
    "names",
    [
        {},
        {"a/1.tif": "tiles/a/1.tif", "a/2.tif": "x.tif", "b/3.tif": "y.tif", "b/copy.tif": "z"},
        {"a/1.tif": "a/2.tif", "a/2.tif": "a/1.tif"},  # they swapped their names
    ],
    ids=["copied", "renamed", "swapped"],
)
def test_records_are_found_by_content(
    tmp_path: Path,
    trained: tuple[ModelFolder, TileSet, NDArray[np.float32]],
    names: dict[str, str],
) -> None:
    model, tiles, looks = trained
    events: list[Event] = []
    context = RunContext(listener=events.append)
    there = moved(tiles, tmp_path / "elsewhere", names)
    found = read_tile_history(model, there, looks, context)
    np.testing.assert_array_equal(found.weights, [1, 0, 1, 0])
    np.testing.assert_array_equal(found.areas, [0, 1, 2, 3])
    np.testing.assert_array_equal(found.starting_features, np.eye(4))
    assert not events


def test_records_by_content_are_of_the_label_and_the_window(
    tmp_path: Path, trained: tuple[ModelFolder, TileSet, NDArray[np.float32]]
) -> None:
    model, tiles, looks = trained
    there = moved(tiles, tmp_path / "x", {tile.id: f"{i}.tif" for i, tile in enumerate(tiles)})
    relabelled = there.relabelled({"1.tif": "b"})
    np.testing.assert_array_equal(
        read_tile_history(model, relabelled, looks).weights, [1, np.nan, 1, 0]
    )
    windows = TileSet("w", tuple(replace(tile, id=f"{tile.id}#0,0,8,8") for tile in there))
    assert np.isnan(read_tile_history(model, windows, looks).weights).all()


def test_a_renamed_tile_with_other_pixels_is_told_nothing_of(
    tmp_path: Path, trained: tuple[ModelFolder, TileSet, NDArray[np.float32]]
) -> None:
    """Its sidecar may hide other pixels than before, although the file is the same."""
    model, tiles, looks = trained
    there = moved(tiles, tmp_path / "x", {tile.id: f"{i}.tif" for i, tile in enumerate(tiles)})
    looks = looks + np.array([[0], [50], [0], [0]], np.float32)
    np.testing.assert_array_equal(read_tile_history(model, there, looks).weights, [1, np.nan, 1, 0])


def test_an_older_record_without_contents_is_found_by_name(
    tmp_path: Path, trained: tuple[ModelFolder, TileSet, NDArray[np.float32]]
) -> None:
    model, tiles, looks = trained
    table = parquet.read_table(model.folder / "tiles.parquet").drop_columns("content")
    parquet.write_table(table, model.folder / "tiles.parquet")
    copied = moved(tiles, tmp_path / "x", {})
    np.testing.assert_array_equal(read_tile_history(model, copied, looks).weights, [1, 0, 1, 0])
    renamed = moved(tiles, tmp_path / "y", {tile.id: f"{tile.id}f" for tile in tiles})
    assert np.isnan(read_tile_history(model, renamed, looks).weights).all()


@pytest.mark.parametrize("kept", [True, False], ids=["quadrants", "neither"])
def test_an_older_record_tells_unseen_tiles_by_their_pixels(
    trained: tuple[ModelFolder, TileSet, NDArray[np.float32]], kept: bool
) -> None:
    """Otherwise the prototypes of an older model would never be asked about other tiles."""
    model, tiles, looks = trained
    path = model.folder / "tiles.parquet"
    dropped = ["content"] if kept else ["content", "quadrants"]
    parquet.write_table(parquet.read_table(path).drop_columns(dropped), path)
    others = TileSet("other", tuple(replace(tile, id=f"x/{tile.id}") for tile in tiles))
    looks = looks + np.array([[0], [30], [0], [30]], np.float32)
    found = read_tile_history(model, others, looks).trained_on
    assert (None if found is None else found.tolist()) == ([True, False] * 2 if kept else None)
