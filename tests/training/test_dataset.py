"""From tiles to examples: what is left out, split off, refused, and what is said of it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rsretrieve.data.loading import batches
from rsretrieve.data.preprocessing.preprocessing import resized
from rsretrieve.data.run_context import RunContext
from rsretrieve.data.tile import Tile, TileSet
from rsretrieve.errors import InvalidArgument, LabelsError, NoUsableTiles, TileError
from rsretrieve.progress import Event, Noticed
from rsretrieve.training import dataset
from rsretrieve.training.dataset import PreparedTiles, prepare_tiles, read_again
from rsretrieve.training.recipe import ROBUST

RECIPE = ROBUST.changed(size_px=16)

Prepare = Callable[..., PreparedTiles]


@pytest.fixture
def events() -> list[Event]:
    return []


@pytest.fixture
def context(events: list[Event]) -> RunContext:
    return RunContext(listener=events.append)


@pytest.fixture
def prepare(context: RunContext) -> Prepare:
    def prepare(
        tiles: TileSet, validation: TileSet | None = None, bands: tuple[int, ...] = ()
    ) -> PreparedTiles:
        return prepare_tiles(tiles, validation, RECIPE, bands, 0, context)

    return prepare


def notices(events: list[Event]) -> list[str]:
    return [event.text for event in events if isinstance(event, Noticed)]


def of_class(tiles: TileSet, *names: str) -> TileSet:
    return tiles.select([i for i, tile in enumerate(tiles) if tile.label in names])


def broken(tiles: TileSet, *positions: int) -> TileSet:
    changed = [replace(t, path="nowhere") if i in positions else t for i, t in enumerate(tiles)]
    return replace(tiles, tiles=tuple(changed))


@pytest.mark.medium
def test_a_tenth_of_every_class_is_held_back(
    prepare: Prepare, tiles: TileSet, events: list[Event]
) -> None:
    prepared = prepare(tiles)
    assert prepared.validation is not None
    assert len(prepared.tiles) + len(prepared.validation.labels) == 64
    counts = Counter(prepared.validation.labels.tolist())
    assert counts == dict.fromkeys(range(9), 1)
    assert notices(events) == []


@pytest.mark.medium
def test_examples_are_the_tiles_in_order_with_their_class_numbers(
    prepare: Prepare, noisy_tiles: TileSet
) -> None:
    prepared = prepare(noisy_tiles)
    assert prepared.class_names == noisy_tiles.class_names
    assert prepared.train.pixels.shape == (len(prepared.tiles), 3, 16, 16)
    assert prepared.train.pixels.dtype == np.uint8
    for tile, number in zip(prepared.tiles, prepared.train.labels):
        assert prepared.class_names[number] == tile.label


@pytest.mark.medium
def test_bands_are_chosen(prepare: Prepare, six_band_tiles: TileSet) -> None:
    few = six_band_tiles.select(range(6, 10))
    assert prepare(few).train.pixels.shape == (4, 6, 16, 16)
    prepared = prepare(few, bands=(3, 2, 1))
    assert prepared.preprocessing.bands == (3, 2, 1)
    assert np.array_equal(prepared.train.pixels, prepare(few).train.pixels[:, [2, 1, 0]])


def test_bands_that_tiles_do_not_have_are_refused(prepare: Prepare, tiles: TileSet) -> None:
    with pytest.raises(InvalidArgument, match=r"^bands are counted from 1 to 3 in these tiles"):
        prepare(tiles, bands=(7,))


def test_tiles_without_a_label_are_left_out_with_a_notice(
    prepare: Prepare, tiles: TileSet, events: list[Event]
) -> None:
    unlabelled = {tiles[0].id: None, tiles[5].id: None}
    prepared = prepare(of_class(tiles, "bare_soil", "road").relabelled(unlabelled))
    assert not unlabelled.keys() & {tile.id for tile in prepared.tiles}
    assert notices(events) == ["2 tiles have no label and are left out of training"]


def test_one_class_is_refused(prepare: Prepare, tiles: TileSet) -> None:
    message = re.escape(
        f"{tiles.source}: training needs tiles of at least two classes, and there is only 'water'"
    )
    with pytest.raises(LabelsError, match=f"^{message}$") as caught:
        prepare(of_class(tiles, "water"))
    assert caught.value.hint == (
        "class sub-folders are the labels, or give --labels FILE.csv (tile,label)"
    )


def test_classes_whose_tiles_cannot_be_read_are_named(prepare: Prepare, tiles: TileSet) -> None:
    both = of_class(tiles, "water", "road")
    roads = [row for row, tile in enumerate(both) if tile.label == "road"]
    message = r"only 'water'; no tile of 'road' can be used \(.*: .+\)$"
    with pytest.raises(LabelsError, match=message):
        prepare(broken(both, *roads))


def test_tiles_without_any_label_are_refused(prepare: Prepare, tiles: TileSet) -> None:
    with pytest.raises(LabelsError, match=r"and there is none at all$"):
        prepare(tiles.relabelled({tile.id: None for tile in tiles}))


def test_two_classes_of_which_one_cannot_be_read_are_refused(
    prepare: Prepare, tiles: TileSet
) -> None:
    two = of_class(tiles, "water", "road")
    unreadable = [i for i, tile in enumerate(two) if tile.label == "road"]
    with pytest.raises(
        LabelsError, match=r"there is only 'water'; no tile of 'road' can be used \(road/"
    ):
        prepare(broken(two, *unreadable))


@pytest.mark.medium
def test_a_class_of_one_tile_is_trained_with_a_notice(
    prepare: Prepare, tiles: TileSet, events: list[Event]
) -> None:
    water = of_class(tiles, "water")
    one = next(tile for tile in tiles if tile.label == "road")
    prepared = prepare(TileSet("here", (*water.tiles, one)))
    assert prepared.class_names == ("road", "water")
    assert notices(events) == [
        "1 classes have one training tile only ('road'): their labels cannot be compared with "
        "others"
    ]


def test_without_enough_tiles_to_hold_any_back_the_last_epoch_counts(
    prepare: Prepare, tiles: TileSet, events: list[Event]
) -> None:
    few = tiles.select(range(0, 64, 4))
    assert prepare(few).validation is None
    assert any("no validation tiles" in notice for notice in notices(events))


def test_given_validation_tiles_are_taken_and_nothing_is_held_back(
    prepare: Prepare, tiles: TileSet
) -> None:
    validation = tiles.select(range(1, 64, 9))
    prepared = prepare(tiles.select(range(0, 64, 4)), validation)
    assert len(prepared.tiles) == 16
    assert prepared.validation is not None
    numbers = {name: i for i, name in enumerate(prepared.class_names)}
    expected = [numbers[str(tile.label)] for tile in validation]
    assert prepared.validation.labels.tolist() == expected


def test_validation_tiles_of_unknown_labels_are_left_out_with_a_notice(
    prepare: Prepare, tiles: TileSet, events: list[Event]
) -> None:
    water = [i for i, tile in enumerate(tiles) if tile.label == "water"]
    train = of_class(tiles.select([i for i in range(len(tiles)) if i != water[0]]), "water", "road")
    foreign = len(of_class(tiles, "forest"))
    forest = [i for i, tile in enumerate(tiles) if tile.label == "forest"]
    prepared = prepare(train, tiles.select(sorted((water[0], *forest))))
    assert prepared.validation is not None
    assert len(prepared.validation.labels) == 1
    assert set(prepared.validation.labels.tolist()) == {prepared.class_names.index("water")}
    assert notices(events) == [
        f"{foreign} validation tiles have no label of a trained class and are left out"
    ]


@pytest.mark.parametrize(("foreign", "kind"), [((), np.memmap), (("forest",), np.ndarray)])
def test_validation_tiles_are_copied_only_where_some_are_left_out(
    prepare: Prepare,
    tiles: TileSet,
    monkeypatch: pytest.MonkeyPatch,
    foreign: tuple[str, ...],
    kind: type,
) -> None:
    monkeypatch.setattr(batches, "available_bytes", lambda: 0)
    train = of_class(tiles, "water", "road")
    prepared = prepare(train, of_class(tiles, "water", *foreign))
    assert prepared.validation is not None
    assert type(prepared.validation.pixels) is kind
    assert len(prepared.validation.pixels) == len(of_class(tiles, "water"))


def test_validation_tiles_of_unknown_labels_alone_validate_nothing(
    prepare: Prepare, tiles: TileSet, events: list[Event]
) -> None:
    prepared = prepare(of_class(tiles, "water", "road"), of_class(tiles, "forest"))
    assert prepared.validation is None
    assert notices(events)[-1].startswith("there are no validation tiles")


def test_bad_tiles_are_logged_and_the_others_prepared(
    prepare: Prepare, tiles: TileSet, context: RunContext
) -> None:
    train, validation = broken(tiles.select(range(12)), 3), broken(tiles.select([40, 41]), 0)
    prepared = prepare(train, validation)
    assert len(prepared.tiles) == 11
    assert [failure.tile_id for failure in context.failures] == [tiles[3].id, tiles[40].id]


def test_validation_tiles_that_are_all_bad_end_nothing(
    prepare: Prepare, tiles: TileSet, context: RunContext
) -> None:
    prepared = prepare(tiles.select(range(12)), broken(tiles.select([40]), 0))
    assert prepared.validation is None
    assert len(context.failures) == 1


def test_tiles_that_are_all_bad_are_refused(prepare: Prepare, tmp_path: Path) -> None:
    bad = tuple(Tile(name, str(tmp_path / name), name) for name in ("a", "b"))
    with pytest.raises(NoUsableTiles, match=r"^here: none of 2 tiles can be read \(the first, "):
        prepare(TileSet("here", bad))


def test_tiles_that_all_go_bad_after_they_were_measured_are_refused(
    prepare: Prepare, tiles: TileSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = tiles.select([0, 1, 62, 63])
    measured = prepare(few).preprocessing
    monkeypatch.setattr(
        dataset, "measure_preprocessing", lambda *_, **__: replace(measured, dtype="uint16")
    )
    with pytest.raises(NoUsableTiles, match=r": none of 4 tiles can be used$"):
        prepare(few)


def test_a_strict_log_ends_at_the_first_bad_tile(tiles: TileSet) -> None:
    with pytest.raises(TileError, match=r"no such file$"):
        prepare_tiles(
            broken(tiles, 3), None, RECIPE, (), 0, RunContext(strict=True, listener=lambda _: None)
        )


def test_tiles_are_read_again_at_another_size(prepare: Prepare, tiles: TileSet) -> None:
    whole = prepare(tiles)
    found = read_again(whole, 24, RunContext())
    assert found.pixels.shape == (len(whole.tiles), 3, 24, 24)
    assert not found.unread
    gone = replace(whole, tiles=broken(whole.tiles, 0, 5))
    partly = read_again(gone, 24, RunContext())
    assert {*partly.unread} == {whole.tiles[0].id, whole.tiles[5].id}
    assert all("no such file" in reason for reason in partly.unread.values())
    for row in range(len(whole.tiles)):
        small = resized(whole.train.pixels[row], 24)
        wanted = small if row in (0, 5) else found.pixels[row]
        assert np.array_equal(partly.pixels[row], wanted)


def test_a_strict_log_ends_where_a_tile_cannot_be_read_again(
    prepare: Prepare, tiles: TileSet
) -> None:
    whole = prepare(tiles)
    with pytest.raises(TileError, match="no such file"):
        read_again(replace(whole, tiles=broken(whole.tiles, 3)), 24, RunContext(strict=True))


def test_validation_tiles_that_are_training_tiles_or_copies_are_told(
    tiles: TileSet, prepare: Prepare, events: list[Event], tmp_path: Path
) -> None:
    apart = [tiles.select(rows) for rows in (range(0, len(tiles), 2), range(1, len(tiles), 2))]
    prepare(apart[0], apart[1])
    assert not any("copies" in text for text in notices(events))
    copy = replace(tiles[0], id="copy", path=str(tmp_path / Path(tiles[0].path).name))
    Path(copy.path).write_bytes(Path(tiles[0].path).read_bytes())
    shared = replace(apart[1], tiles=(*apart[1].tiles, tiles[2], copy))
    prepare(apart[0], shared)
    [told] = [text for text in notices(events) if "copies" in text]
    assert told.startswith(f"2 of {len(shared)} validation tiles")
    assert "rsretrieve split" in told
