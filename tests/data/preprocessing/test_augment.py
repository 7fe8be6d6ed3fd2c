"""Augmentation: colours beside torchvision's, symmetries counted, limits, chance and errors."""

from __future__ import annotations

import math
import re
from collections import Counter

import numpy as np
import pytest
import torch
from torchvision.transforms.v2 import functional as reference

from rsretrieve.data.preprocessing.augment import (
    BatchShare,
    augmented,
    brightened,
    contrasted,
    grey,
    hue_turned,
    saturated,
)
from rsretrieve.data.preprocessing.augmentation import Augmentation
from rsretrieve.enums import Symmetry
from rsretrieve.errors import InvalidArgument

COLOURFUL = Augmentation(saturation=0.9, hue=0.5, grayscale=1.0)


def some_tiles(count=6, bands=3, side=8, seed=0):
    return torch.rand(count, bands, side, side, generator=torch.Generator().manual_seed(seed))


def vary(tiles, augmentation, seed=0, *, rgb=True):
    return augmented(tiles, augmentation, torch.Generator().manual_seed(seed), rgb=rgb)


def per_tile(factors):
    return torch.tensor(factors).view(-1, 1, 1, 1)


@pytest.mark.parametrize(
    ("ours", "theirs", "factors"),
    [
        (brightened, reference.adjust_brightness, [0.0, 0.4, 1.0, 1.3, 2.0, 0.9]),
        (contrasted, reference.adjust_contrast, [0.0, 0.4, 1.0, 1.3, 2.0, 0.9]),
        (saturated, reference.adjust_saturation, [0.0, 0.4, 1.0, 1.3, 2.0, 0.9]),
        (hue_turned, reference.adjust_hue, [-0.5, -0.2, 0.0, 0.1, 0.33, 0.5]),
    ],
)
def test_colours_change_as_torchvision_changes_them_tile_by_tile(ours, theirs, factors):
    tiles = some_tiles()
    tiles[0, :, :4] = tiles[0, :1, :4]  # some greys, which have no hue
    tiles[1, :, 0] = torch.tensor([0.0, 1.0, 0.0])[:, None]
    found = ours(tiles, per_tile(factors)).clamp(0, 1)
    expected = torch.stack([theirs(tile, factor) for tile, factor in zip(tiles, factors)])
    assert torch.allclose(found, expected, atol=1e-5)


def test_grey_is_the_luma_of_the_three_bands():
    tiles = some_tiles(2)
    red, green, blue = tiles.double().numpy().transpose(1, 0, 2, 3)
    expected = 0.2989 * red + 0.587 * green + 0.114 * blue
    assert grey(tiles).shape == (2, 1, 8, 8)
    assert grey(tiles)[:, 0].numpy() == pytest.approx(expected, abs=1e-6)
    assert torch.allclose(grey(tiles[:1])[0], reference.rgb_to_grayscale(tiles[0]), atol=1e-6)


def test_beyond_rgb_contrast_is_about_the_mean_of_each_band():
    tiles = some_tiles(2, bands=5)
    found = contrasted(tiles, per_tile([0.5, 2.0])).numpy()
    for b, factor in enumerate([0.5, 2.0]):
        for band in range(5):
            values = tiles[b, band].double().numpy()
            expected = values.mean() + factor * (values - values.mean())
            assert found[b, band] == pytest.approx(expected, abs=1e-6)


def test_hues_turn_around_the_circle():
    red = torch.tensor([1.0, 0.0, 0.0]).view(1, 3, 1, 1)
    turned = [
        hue_turned(red, per_tile([angle])).flatten().tolist() for angle in (1 / 3, 2 / 3, 1.0)
    ]
    assert np.array(turned) == pytest.approx(np.array([[0, 1, 0], [0, 0, 1], [1, 0, 0]]), abs=1e-6)


def eight_symmetries(tile):
    """The four quarter turns of a tile and of its mirror image, as bytes."""
    turns = [np.rot90(face, k, (1, 2)) for face in (tile, tile[:, :, ::-1]) for k in range(4)]
    return {np.ascontiguousarray(turn).tobytes() for turn in turns}


def shown(tile, symmetry, count=800):
    """How often each picture comes of one tile."""
    found = vary(tile.expand(count, -1, -1, -1), Augmentation(symmetry=symmetry))
    return Counter(picture.contiguous().numpy().tobytes() for picture in found)


def test_the_dihedral_symmetry_shows_all_eight_faces_alike():
    tile = some_tiles(1)
    faces = shown(tile, Symmetry.DIHEDRAL)
    assert set(faces) == eight_symmetries(tile[0].numpy())
    assert len(faces) == 8
    assert 65 < min(faces.values()) <= max(faces.values()) < 135


def test_the_horizontal_symmetry_swaps_left_and_right():
    tile = some_tiles(1)
    faces = shown(tile, Symmetry.HORIZONTAL)
    mirrored = tile[0].flip(2).contiguous()
    assert set(faces) == {tile.numpy().tobytes(), mirrored.numpy().tobytes()}
    assert min(faces.values()) > 340


def test_without_symmetry_a_tile_is_as_it_is():
    tile = some_tiles(1)
    assert set(shown(tile, Symmetry.NONE)) == {tile.numpy().tobytes()}


@pytest.mark.parametrize("bands", [1, 3, 6])
def test_no_augmentation_changes_nothing(bands):
    tiles = some_tiles(bands=bands)
    assert torch.equal(vary(tiles, Augmentation(), rgb=bands == 3), tiles)


def test_a_vanishing_zoom_and_shift_change_next_to_nothing():
    tiles = some_tiles()
    assert torch.allclose(vary(tiles, Augmentation(zoom=1e-7, shift=1e-7)), tiles, atol=1e-4)


@pytest.mark.parametrize("symmetry", Symmetry)
@pytest.mark.parametrize("amounts", [{"zoom": 1e-7}, {"shift": 1e-7}])
def test_a_face_is_the_same_with_a_zoom_or_a_shift_as_without(symmetry, amounts):
    tiles = some_tiles(60)
    moved = vary(tiles, Augmentation(symmetry=symmetry, **amounts))
    assert torch.allclose(moved, vary(tiles, Augmentation(symmetry=symmetry)), atol=1e-4)


def ramps(count, side=65):
    """Two bands that rise by one a pixel, from left to right and from top to bottom."""
    line = torch.arange(side, dtype=torch.float32)
    ramp = torch.stack([line.expand(side, side), line.view(-1, 1).expand(side, side)])
    return ramp.expand(count, -1, -1, -1)


def test_zoom_shows_a_part_of_the_side_asked_for_about_the_centre():
    found = vary(ramps(400), Augmentation(zoom=0.25), rgb=False)
    sides = found[:, 0, 32, 33] - found[:, 0, 32, 32]
    assert 1 / 1.25 - 1e-4 <= sides.min() < 0.81
    assert 1.23 < sides.max() <= 1.25 + 1e-4
    assert sides.log().mean().item() == pytest.approx(0, abs=0.03)
    assert torch.allclose(found[:, 1, 33, 32] - found[:, 1, 32, 32], sides, atol=1e-4)
    assert torch.allclose(found[:, :, 32, 32], torch.tensor(32.0), atol=1e-3)


def test_shift_moves_the_centre_by_up_to_its_share_of_the_side():
    found = vary(ramps(400), Augmentation(shift=0.1), rgb=False)
    moves = (found[:, :, 32, 32] - 32) / 65
    assert moves.abs().max() <= 0.1 + 1e-4
    assert (moves.amax(dim=0) > 0.095).all()
    assert (moves.amin(dim=0) < -0.095).all()
    assert abs(np.corrcoef(moves.numpy().T)[0, 1]) < 0.15
    assert torch.allclose(found[:, 0, 32, 33] - found[:, 0, 32, 32], torch.tensor(1.0), atol=1e-3)


def test_beyond_its_edge_a_tile_is_mirrored():
    found = vary(torch.ones(50, 1, 16, 16), Augmentation(zoom=1.0, shift=0.5), rgb=False)
    assert torch.allclose(found, torch.tensor(1.0))


@pytest.mark.parametrize("amount", [0.3, 1.5])
def test_brightness_is_multiplied_by_one_plus_or_minus_the_amount(amount):
    found = vary(torch.ones(500, 4, 1, 1), Augmentation(brightness=amount), rgb=False)
    factors = found[:, 0, 0, 0]
    assert torch.equal(found, factors.view(-1, 1, 1, 1).expand_as(found))
    lowest = max(0.0, 1 - amount)
    assert lowest <= factors.min() < lowest + 0.02
    assert 1 + amount - 0.02 < factors.max() <= 1 + amount


def test_saturation_stretches_by_one_plus_or_minus_the_amount():
    tiles = torch.tensor([0.6, 0.5, 0.5]).view(1, 3, 1, 1).expand(500, 3, 1, 1)
    found = vary(tiles, Augmentation(saturation=0.4))
    factors = (found[:, 0] - found[:, 1]).flatten() / 0.1
    assert 0.6 - 1e-4 <= factors.min() < 0.62
    assert 1.38 < factors.max() <= 1.4 + 1e-4


def test_hue_turns_by_up_to_the_amount_either_way():
    red = torch.tensor([1.0, 0.0, 0.0]).view(1, 3, 1, 1).expand(500, 3, 1, 1)
    found = vary(red, Augmentation(hue=0.1))[:, :, 0, 0]
    angles = (found[:, 1] - found[:, 2]) / 6  # towards green, or towards blue
    assert -0.1 - 1e-4 <= angles.min() < -0.098
    assert 0.098 < angles.max() <= 0.1 + 1e-4


@pytest.mark.parametrize("share", [0.2, 1.0])
def test_grayscale_takes_the_colour_of_its_share_of_tiles(share):
    tiles = some_tiles(500)
    found = vary(tiles, Augmentation(grayscale=share))
    colourless = (found == found[:, :1]).flatten(1).all(dim=1)
    assert colourless.float().mean().item() == pytest.approx(share, abs=0.05)
    assert torch.equal(found[colourless], grey(tiles[colourless]).expand(-1, 3, -1, -1))
    assert torch.equal(found[~colourless], tiles[~colourless])


def test_jittered_rgb_stays_in_0_to_1_and_other_bands_are_not_clamped():
    bold = Augmentation(brightness=1.0, contrast=1.0)
    found = vary(some_tiles(50), bold)
    assert (found.min().item(), found.max().item()) == (0, 1)
    assert vary(some_tiles(50, bands=4), bold, rgb=False).max() > 1.2


def test_the_parts_of_a_jitter_come_in_every_order():
    half = Augmentation(brightness=0.5, contrast=0.5)
    tiles = some_tiles(1, bands=2)
    spreads = [vary(tiles, half, seed, rgb=False) for seed in range(40)]
    ratios = {
        round((s.std() / s.mean()).item() / (tiles.std() / tiles.mean()).item(), 3) for s in spreads
    }
    assert len(ratios) > 30


@pytest.mark.parametrize("bands", [3, 4])
def test_saturation_hue_and_grayscale_leave_tiles_that_are_not_rgb_alone(bands):
    tiles = some_tiles(bands=bands)
    assert torch.equal(vary(tiles, COLOURFUL, rgb=False), tiles)


def test_every_tile_has_chances_of_its_own():
    tile = some_tiles(1).expand(8, -1, -1, -1)
    everything = Augmentation(Symmetry.DIHEDRAL, 0.2, 0.1, 0.4, 0.4, 0.4, 0.1, 0.2)
    found = vary(tile, everything)
    assert len({picture.numpy().tobytes() for picture in found}) == 8


def test_the_same_seed_gives_the_same_tiles_and_another_others():
    tiles = some_tiles()
    everything = Augmentation(Symmetry.DIHEDRAL, 0.2, 0.1, 0.4, 0.4, 0.4, 0.1, 0.2)
    one, again, other = (vary(tiles, everything, seed) for seed in (1, 1, 2))
    assert torch.equal(one, again)
    assert not torch.equal(one, other)
    assert (one.dtype, one.shape) == (tiles.dtype, tiles.shape)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_the_type_of_the_values_is_kept(dtype):
    colours = Augmentation(Symmetry.DIHEDRAL, 0, 0, 0.4, 0.4, 0.4, 0.1, 0.2)
    assert vary(some_tiles().to(dtype), colours).dtype == dtype


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *((name, -0.1) for name in ("zoom", "shift", "brightness", "contrast", "saturation")),
        *(("zoom", math.nan), ("shift", math.nan), ("brightness", math.inf)),
        *(("hue", -0.1), ("hue", 0.51), ("hue", math.nan)),
        *(("grayscale", -0.1), ("grayscale", 1.1)),
    ],
)
def test_amounts_out_of_range_are_refused(name, value):
    message = re.escape(f"{name}={value}")
    with pytest.raises(InvalidArgument, match=f"^augmentation amounts out of range: .*{message}"):
        Augmentation(**{name: value})


def test_amounts_at_the_edge_of_their_range_are_allowed():
    edge = Augmentation(hue=0.5, grayscale=1.0)
    assert (edge.hue, edge.grayscale) == (0.5, 1)


def test_a_symmetry_may_be_given_by_its_name():
    assert Augmentation(symmetry="dihedral").symmetry is Symmetry.DIHEDRAL


def test_an_unknown_symmetry_is_refused():
    with pytest.raises(ValueError, match="'vertical' is not a valid Symmetry"):
        Augmentation(symmetry="vertical")


@pytest.mark.parametrize("rgb", [True, False])
def test_a_share_of_a_batch_is_varied_as_in_the_whole_batch(rgb):
    everything = Augmentation(Symmetry.DIHEDRAL, 0.2, 0.1, 0.4, 0.4, 0.4, 0.2, 0.5)
    tiles = some_tiles(7)
    whole = vary(tiles, everything, rgb=rgb)
    for rows in (slice(0, 3), slice(3, 7)):
        generator = torch.Generator().manual_seed(0)
        share = BatchShare(7, rows)
        part = augmented(tiles[rows], everything, generator, rgb=rgb, share=share)
        assert torch.equal(part, whole[rows])
