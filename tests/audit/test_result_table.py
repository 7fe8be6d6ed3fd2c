"""The table of findings: its columns, against the arrays that it is made from."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from rsretrieve.audit.findings import LabelFindings
from rsretrieve.audit.issue_types import ISSUE_TYPES, NO_ISSUE, IssueType
from rsretrieve.audit.result_table import (
    CSV_COLUMNS,
    SCHEMA,
    ClassifiedLabels,
    plain_values,
    rows_of,
    text_array,
    tuples_of,
)
from rsretrieve.data.tile import Tile, TileSet

NAMES = ("road", "water", "sand")
GIVEN = np.array([0, 1, 2, 0])
NUMBERS = np.array([0.125, 0.75, 0.1, 0.9])


@pytest.fixture
def classified() -> ClassifiedLabels:
    """Four labels: the first is flagged, the second and the third are near-duplicates."""
    unknown = np.full(4, np.nan, np.float32)
    share = np.array([0.1, np.nan, 0.3, 1], np.float32)
    similarity = NUMBERS.astype(np.float32)
    findings = LabelFindings(
        is_label_issue=np.array([True, False, False, False]),
        label_score=NUMBERS,
        predicted=np.array([1, 1, 0, 0]),
        runner_up=np.array([2, 0, 1, 2]),
        is_clear=np.ones(4, bool),
        own_similarity=similarity,
        predicted_similarity=similarity + 1,
        runner_up_similarity=similarity - 1,
        neighbour_share=share,
        area_under_margin=unknown,
        training_weight=unknown,
        prototype_score=1 - NUMBERS,
        predicted_probability=NUMBERS / 2,
        witnessed_probability=np.full(4, np.nan),
    )
    duplicate, wrong = (
        ISSUE_TYPES.index(name) for name in (IssueType.DUPLICATE, IssueType.WRONG_LABEL)
    )
    return ClassifiedLabels(
        tiles=TileSet(
            "here", tuple(Tile(f"{i}.tif", f"{i}", NAMES[g]) for i, g in enumerate(GIVEN))
        ),
        class_names=NAMES,
        labels=GIVEN,
        findings=findings,
        issue_types=np.array([wrong, duplicate, duplicate, NO_ISSUE], np.int8),
        is_confident=np.array([True, False, False, False]),
        near_duplicates=np.array([-1, 2, 1, -1]),
    )


def test_columns_have_the_values_of_the_arrays_in_the_given_order(
    classified: ClassifiedLabels,
) -> None:
    order = np.array([2, 0, 1, 3])
    table = classified.table(order)
    assert table.schema.equals(SCHEMA, check_metadata=True)
    columns = {name: plain_values(table[name]) for name in table.column_names}
    assert columns["row"] == order.tolist()
    assert columns["tile"] == [f"{row}.tif" for row in order]
    for name, numbers in (
        ("given_label", GIVEN),
        ("predicted_label", classified.findings.predicted),
        ("runner_up_label", classified.findings.runner_up),
    ):
        assert columns[name] == [NAMES[number] for number in numbers[order]]
    assert columns["label_score"] == NUMBERS[order].tolist()
    assert columns["issue_probability"] == (1 - NUMBERS[order]).tolist()
    assert columns["own_similarity"] == NUMBERS.astype(np.float32)[order].tolist()
    assert columns["kind"] == ["duplicate", "wrong_label", "duplicate", None]
    assert columns["twin"] == ["1.tif", None, "2.tif", None]
    assert columns["twin_row"] == [1, None, 2, None]
    assert columns["needs_review"] == [True, True, True, False]
    assert columns["has_confident_suggestion"] == [False, True, False, False]
    # Tile 1 has its own label predicted, so that of its near-duplicate is suggested.
    assert columns["suggested_label"] == ["road", "water", "sand", "road"]


def test_unknown_numbers_are_null(classified: ClassifiedLabels) -> None:
    table = classified.table(np.arange(4))
    assert plain_values(table["neighbour_share"])[1:3] == [None, pytest.approx(0.3)]
    for name in ("area_under_margin", "training_weight", "witnessed_probability"):
        assert table[name].null_count == 4


def test_rows_and_tuples_agree_with_the_columns(classified: ClassifiedLabels) -> None:
    table = classified.table(np.arange(4))
    assert [list(row) for row in tuples_of(table, CSV_COLUMNS)] == [
        [row[name] for name in CSV_COLUMNS] for row in rows_of(table)
    ]
    assert list(tuples_of(table.slice(0, 0), CSV_COLUMNS)) == []
    assert rows_of(table.filter(table["is_label_issue"]))[0]["tile"] == "0.tif"


def test_names_that_are_not_unicode_come_back_as_they_were(classified: ClassifiedLabels) -> None:
    names = ["\udcff.tif", None, "é"]
    table = classified.table(np.arange(3)).set_column(0, "tile", text_array(names))
    assert plain_values(table["tile"]) == names


def test_the_second_class_is_neither_the_given_nor_the_suggested_one(
    classified: ClassifiedLabels,
) -> None:
    ranked = np.array([[1, 2, 0], [1, 0, 2], [0, 1, 2], [0, 2, 1]])
    shares = np.array([[0.7, 0.2, 0.1], [0.6, 0.3, 0.1], [0.5, 0.3, 0.2], [0.9, 0.06, 0.04]])
    findings = replace(classified.findings, ranked=ranked, ranked_probability=shares)
    columns = {
        name: plain_values(column)
        for name, column in zip(
            SCHEMA.names, replace(classified, findings=findings).table(np.arange(4)).columns
        )
    }
    seconds, probabilities, suggested = [], [], []
    for row, (given, wanted) in enumerate(zip(GIVEN, columns["suggested_label"])):
        rest = [c for c in ranked[row].tolist() if NAMES[c] not in (NAMES[given], wanted)]
        seconds.append(NAMES[rest[0]])
        probabilities.append(shares[row][ranked[row] == rest[0]][0])
        suggested.append(shares[row][ranked[row] == NAMES.index(wanted)][0])
    assert columns["second_label"] == seconds == ["sand", "road", "water", "sand"]
    assert columns["second_probability"] == probabilities
    assert columns["suggested_probability"] == suggested


def test_without_ranks_there_is_no_second_class(classified: ClassifiedLabels) -> None:
    table = classified.table(np.arange(4))
    for name in ("second_label", "second_probability", "suggested_probability"):
        assert table[name].null_count == 4
