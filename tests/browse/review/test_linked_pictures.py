"""Numbers of pictures that stand for addresses."""

from __future__ import annotations

from rsretrieve.browse.review.linked_pictures import ADDRESSES, LinkedPictures
from rsretrieve.data.tile import Tile


def test_every_number_says_its_row_and_its_use():
    pictures, tile = LinkedPictures({"a": 0, "b": 7}), Tile("b", "b.png")
    numbers = [
        pictures.of_card(tile, 3),
        pictures.compared(tile),
        pictures.enlarged(tile),
        pictures.around(tile, tile),
    ]
    assert [divmod(number, len(ADDRESSES)) for number in numbers] == [(7, use) for use in range(4)]


def test_a_tile_that_the_index_lacks_has_no_picture():
    assert LinkedPictures({"a": 0}).compared(Tile("b", "b.png")) == -1
