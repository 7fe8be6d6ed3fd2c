"""Shifted, swapped and renamed classes, by the prototypes of a model."""

from __future__ import annotations

import numpy as np
import pytest

from rsretrieve.audit.estimators.renamed_classes import Renaming

NAMES = ("beach", "forest", "harbour", "runway", "river")
TRUE = np.repeat(np.arange(5), 20)
NEAREST = TRUE.copy()
NEAREST[::10] = (TRUE[::10] + 2) % 5  # a tenth looks like another class


@pytest.mark.parametrize(
    ("name_of", "permutation", "sentences"),
    [
        ([0, 1, 2, 3, 4], [0, 1, 2, 3, 4], 0),
        ([1, 2, 3, 4, 0], [4, 0, 1, 2, 3], 5),  # shifted
        ([1, 0, 2, 3, 4], [1, 0, 2, 3, 4], 2),  # swapped
        ([3, 1, 2, 3, 4], [0, 1, 2, 3, 4], 0),  # the label runway is of two classes alike
    ],
)
def test_exchanged_names_are_found(
    name_of: list[int], permutation: list[int], sentences: int
) -> None:
    found = Renaming.of(np.array(name_of)[TRUE], NEAREST, 5)
    assert found.permutation.tolist() == permutation
    assert len(found.sentences(NAMES)) == sentences


def test_a_sentence_names_both_classes_and_counts() -> None:
    labels = np.where(TRUE == 0, 1, TRUE)[20:]
    labels[:15] = 4  # most of the forest is labelled river
    (sentence,) = Renaming.of(labels[:20], NEAREST[20:40], 5).sentences(NAMES)
    assert "'river'" in sentence
    assert "'forest'" in sentence
    assert "of 15" in sentence


def test_of_a_class_of_few_tiles_nothing_is_said() -> None:
    labels, nearest = np.array([1, 1, 1, 1]), np.array([0, 0, 0, 0])
    assert not Renaming.of(labels, nearest, 5).sentences(NAMES)


@pytest.mark.parametrize("label", [0, 1, 2])
def test_a_label_may_stand_for_a_class_that_no_tile_is_labelled_as(label: int) -> None:
    """Whatever the order of the classes."""
    labels, nearest = np.repeat([0, 1, 2], 9), np.repeat([0, 1, 2], 9)
    nearest[labels == label] = 3
    found = Renaming.of(labels, nearest, 4).permutation
    expected = np.arange(4)
    expected[[label, 3]] = expected[[3, label]]
    assert found.tolist() == expected.tolist()


def test_a_chain_of_names_ends_at_a_class_without_tiles() -> None:
    labels, nearest = np.repeat([0, 1, 3], 9), np.repeat([1, 3, 2], 9)
    assert Renaming.of(labels, nearest, 4).permutation.tolist() == [1, 3, 0, 2]


def test_two_labels_that_look_like_one_class_without_tiles_keep_their_names() -> None:
    labels, nearest = np.repeat([0, 1, 2], 9), np.repeat([3, 3, 2], 9)
    assert Renaming.of(labels, nearest, 4).permutation.tolist() == [0, 1, 2, 3]
