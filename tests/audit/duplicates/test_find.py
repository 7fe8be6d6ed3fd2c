"""Near-duplicates with another label are found, and similar tiles are not taken for them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from rsretrieve.audit.duplicates.align import SAME_PIXELS, agreement
from rsretrieve.audit.duplicates.find import (
    NearDuplicates,
    near_duplicates_by_embedding,
    near_duplicates_by_pixels,
    pairs_of_two_labels,
)
from rsretrieve.audit.duplicates.thumbprint import coarse_direction, thumbprint
from rsretrieve.audit.estimators import neighbors as module
from rsretrieve.audit.estimators.neighbors import nearest_neighbours
from rsretrieve.audit.estimators.unit_vectors import UnitRows
from rsretrieve.data.reading.pillow_reader import read_raw
from rsretrieve.data.run_context import RunContext
from rsretrieve.data.tile import Tile, TileSet
from rsretrieve.progress import Advanced, Event, StageStarted


def unit_rows(rows: int, seed: int, dimensions: int = 8) -> NDArray[np.float32]:
    vectors = np.random.default_rng(seed).standard_normal((rows, dimensions))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def scene(seed: int, side: int = 128) -> NDArray[np.uint8]:
    """Patches of colour with edges and grain, as seen from above."""
    rng = np.random.default_rng(seed)
    picture = np.full((side, side, 3), rng.integers(60, 180, 3), np.float64)
    for _ in range(25):
        row, column, height, width = rng.integers(0, side, 4)
        picture[row : row + height // 3, column : column + width // 3] = rng.integers(30, 220, 3)
    return np.clip(picture + rng.normal(0, 3, picture.shape), 0, 255).astype(np.uint8)


def saved(folder: Path, name: str, pixels: NDArray[np.uint8], label: str, quality: int) -> Tile:
    Image.fromarray(pixels).save(folder / name, quality=quality)
    return Tile(name, str(folder / name), label)


@pytest.fixture
def tiles(tmp_path: Path) -> TileSet:
    """12 scenes of class a, then four of them again: three under b, the last under a."""
    scenes = [saved(tmp_path, f"{i:02d}.jpg", scene(i), "a", 92) for i in range(12)]
    changed = [
        saved(tmp_path, "shifted.jpg", np.roll(scene(0), (2, -2), (0, 1)), "b", 60),
        saved(tmp_path, "bright.jpg", np.clip(scene(1) * 1.2 + 10, 0, 255).astype("u1"), "b", 75),
        saved(tmp_path, "plain.jpg", scene(2), "b", 40),
        saved(tmp_path, "same.jpg", scene(3), "a", 60),
    ]
    return TileSet("scenes", (*scenes, *changed))


def labels_of(tiles: TileSet) -> NDArray[np.int64]:
    return np.array([tiles.class_names.index(str(tile.label)) for tile in tiles])


@pytest.mark.medium
def test_the_same_pixels_are_found_under_another_label_alone(tiles: TileSet) -> None:
    # Embeddings that know nothing: all pairs are looked at.
    neighbours = nearest_neighbours(UnitRows(unit_rows(16, 0)), np.zeros(16, int), 15)
    found = near_duplicates_by_pixels(tiles, neighbours, labels_of(tiles), RunContext()).other
    expected = np.full(16, -1)
    expected[[0, 1, 2, 12, 13, 14]] = [12, 13, 14, 0, 1, 2]
    assert found.tolist() == expected.tolist()


@pytest.mark.medium
def test_progress_counts_every_tile_and_every_pair(tiles: TileSet) -> None:
    neighbours = nearest_neighbours(UnitRows(unit_rows(16, 0)), np.zeros(16, int), 15)
    progress: dict[str, list[int]] = {}  # a stage's total, and all steps of it
    events: list[Event] = []
    near_duplicates_by_pixels(
        tiles, neighbours, labels_of(tiles), RunContext(listener=events.append)
    )
    for event in events:
        if isinstance(event, StageStarted):
            assert event.total is not None
            stage = progress[event.name] = [event.total]
        elif isinstance(event, Advanced):
            stage.append(event.tiles)
    assert list(progress) == [
        *("comparing similar tiles at low resolution", "reading candidates for near-duplicates"),
        "comparing pairs by their pixels",
    ]
    assert all(total == sum(steps) > 0 for total, *steps in progress.values())
    assert all(set(steps) <= {1, 2} for _, *steps in progress.values())


@pytest.mark.medium
def test_a_tile_that_can_no_longer_be_read_has_no_near_duplicate(tiles: TileSet) -> None:
    Path(tiles[0].path).unlink()
    neighbours = nearest_neighbours(UnitRows(unit_rows(16, 0)), np.zeros(16, int), 15)
    found = near_duplicates_by_pixels(tiles, neighbours, labels_of(tiles), RunContext()).other
    assert (found[0], found[12], found[1]) == (-1, -1, 13)


def test_agreement_is_whole_for_the_same_and_small_for_others(tiles: TileSet) -> None:
    prints = [thumbprint(read_raw(tile)) for tile in tiles]
    assert agreement(prints[0], prints[0]) == pytest.approx(1)
    assert agreement(prints[0], 1.3 * prints[0] + 20) > 0.95
    assert agreement(prints[0], prints[12]) > SAME_PIXELS
    others = [agreement(prints[i], prints[j]) for i in range(12) for j in range(i)]
    assert max(others) < 0.6


def test_one_stripe_in_common_is_not_the_same_pixels() -> None:
    rng = np.random.default_rng(0)
    one, other = rng.normal(0, 4, (2, 64, 64)).astype(np.float32)
    one[:, 28:36] += 160
    other[:, 28:36] += 160
    whole = np.corrcoef(one.ravel(), other.ravel())[0, 1]
    assert whole > 0.95
    assert agreement(one, other) < 0.6


def test_plain_tiles_that_share_nothing_but_noise_are_not_the_same() -> None:
    one, other = np.random.default_rng(0).normal(0, 0.3, (2, 64, 64)).astype(np.float32)
    assert agreement(one, one) == pytest.approx(1)
    assert agreement(one, other) < 0.2


def test_a_flat_tile_agrees_with_nothing() -> None:
    flat = np.zeros((64, 64), np.float32)
    assert agreement(flat, flat) == 0
    assert not coarse_direction(flat).any()


# Neighbours


def plain_neighbours(vectors: NDArray[np.float32], k: int) -> list[list[int]]:
    found = []
    for i, vector in enumerate(vectors):
        others = [j for j in range(len(vectors)) if j != i]
        found.append(sorted(others, key=lambda j: -float(vectors[j] @ vector))[:k])
    return found


@pytest.mark.parametrize("k", [1, 3, 6])
def test_neighbours_equal_those_of_a_loop(k: int) -> None:
    vectors = unit_rows(40, 1)
    found = nearest_neighbours(UnitRows(vectors), np.arange(40) % 3, k)
    assert found.rows.tolist() == plain_neighbours(vectors, k)
    assert found.similarities[5, 0] == pytest.approx(vectors[5] @ vectors[found.rows[5, 0]])


def test_many_tiles_are_searched_within_their_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_TOGETHER", 12)
    vectors, groups = unit_rows(30, 1), np.repeat([0, 1, 2], 10)
    steps: list[int] = []
    found = nearest_neighbours(UnitRows(vectors), groups, 2, steps.append)
    assert steps == [10, 10, 10]
    for group in range(3):
        rows = np.flatnonzero(groups == group)
        inside = plain_neighbours(vectors[rows], 2)
        assert found.rows[rows].tolist() == [rows[near].tolist() for near in inside]


def test_a_large_group_is_cut_where_twins_stay_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_TOGETHER", 10)
    vectors = np.repeat(unit_rows(10, 3), 2, axis=0)  # each stands there twice
    found = nearest_neighbours(UnitRows(vectors), np.zeros(20, int), 1)
    assert (found.rows[:, 0] == np.arange(20) ^ 1).all()


def test_a_tile_alone_in_its_group_has_no_neighbour(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_TOGETHER", 2)
    steps: list[int] = []
    found = nearest_neighbours(UnitRows(unit_rows(3, 0)), np.array([0, 1, 1]), 2, steps.append)
    assert steps == [1, 2]
    assert found.rows.tolist() == [[-1, -1], [2, -1], [1, -1]]


# Pairs, and embeddings alone


def test_pairs_are_those_of_two_labels_once_each_the_more_similar_first() -> None:
    vectors, labels = unit_rows(12, 2), np.arange(12) % 3
    neighbours = nearest_neighbours(UnitRows(vectors), labels, 4)
    expected = {
        (min(i, j), max(i, j))
        for i, near in enumerate(plain_neighbours(vectors, 4))
        for j in near
        if labels[i] != labels[j]
    }
    pairs = [tuple(pair) for pair in pairs_of_two_labels(neighbours, labels).tolist()]
    assert pairs == sorted(expected, key=lambda p: -float(vectors[p[0]] @ vectors[p[1]]))


def test_the_first_of_several_pairs_is_taken() -> None:
    assert NearDuplicates.from_pairs(4, np.array([[0, 1], [0, 2]])).other.tolist() == [1, 0, 0, -1]
    assert NearDuplicates.from_pairs(2, np.empty((0, 2), int)).has_other.tolist() == [False, False]


def by_embedding(
    vectors: NDArray[np.float32], labels: NDArray[np.int64], ids: list[str] | None = None
) -> list[int]:
    rows = UnitRows(vectors)
    neighbours = nearest_neighbours(rows, np.zeros(len(vectors), int), 3)
    ids = ids or [f"{row:04d}" for row in range(len(vectors))]
    found: list[int] = near_duplicates_by_embedding(rows, neighbours, labels, ids).other.tolist()
    return found


def test_by_embedding_near_duplicates_are_far_nearer_than_a_third_tile() -> None:
    vectors = unit_rows(20, 5)
    vectors[1] = vectors[0] + 0.01 * unit_rows(1, 6)  # almost the same
    vectors[3] = vectors[2]  # the very same
    vectors[5] = vectors[4]  # and under the same label
    labels = np.array([0, 1] * 10)
    labels[5] = labels[4]
    assert by_embedding(vectors, labels) == [1, 0, 3, 2, *[-1] * 16]


@pytest.mark.parametrize("scale", [1, 3])
@pytest.mark.parametrize(
    "given", [[0, 1, 0], [0, 0, 1, 1], [0] * 9 + [1], [1] + [0] * 9, [0, 0, 0, 1, 2] * 5, [0, 0, 0]]
)
def test_all_copies_under_two_labels_are_near_duplicates(given: list[int], scale: int) -> None:
    """As many as there are, whatever their order and ids; the lowest id is the other tile."""
    count = len(given)
    for seed in range(4):
        vectors = unit_rows(count + 10, 5)
        vectors[:count] = vectors[0] * np.where(np.arange(count) % 2, scale, 1)[:, None]
        labels = np.array(given + [0] * 10)
        order = np.random.default_rng(seed).permutation(len(labels))
        ids = [f"{row:04d}" for row in order]
        found = by_embedding(vectors[order], labels[order], ids)
        expected = [
            next((ids.index(f"{r:04d}") for r, g in enumerate(given) if g != labels[row]), -1)
            if row < count
            else -1
            for row in order.tolist()
        ]
        assert found == expected


@pytest.mark.medium
@pytest.mark.real
def test_aerial_tiles_recompressed_and_shifted_are_found_and_no_honest_pair_accused(
    real_data: Path, tmp_path: Path
) -> None:
    # Stretches of one runway, and plain beaches, are the most alike of all.
    folders = [real_data / "ucmerced" / name for name in ("runway", "beach", "harbor")]
    paths = [path for folder in folders for path in sorted(folder.glob("*.jpg"))[:40]]
    prints = [thumbprint(read_raw(Tile(p.name, str(p)))) for p in paths]
    found = 0
    for number, path in enumerate(paths[::12]):
        with Image.open(path) as image:
            shifted = np.roll(np.asarray(image.convert("RGB")), (2, 0), (number % 2, 1))
        copy = saved(tmp_path, f"{number}.jpg", shifted, "x", (50, 70, 90)[number % 3])
        found += agreement(thumbprint(read_raw(copy)), prints[12 * number]) >= SAME_PIXELS
    assert found >= 9  # of ten
    coarse = np.stack([coarse_direction(print_) for print_ in prints]).astype(np.float32)
    alike = np.argwhere(np.triu(coarse @ coarse.T, 1) >= 0.5)
    assert len(alike) > 5
    assert max(agreement(prints[i], prints[j]) for i, j in alike) < SAME_PIXELS


@pytest.mark.real
def test_the_two_airplanes_with_the_same_pixels_are_near_duplicates(real_data: Path) -> None:
    folder = real_data / "ucmerced" / "airplane"
    one, other, third = (
        thumbprint(read_raw(Tile(name, str(folder / name))))
        for name in ("airplane01.jpg", "airplane02.jpg", "airplane03.jpg")
    )
    assert agreement(one, other) > 0.999
    assert agreement(one, third) < 0.5
