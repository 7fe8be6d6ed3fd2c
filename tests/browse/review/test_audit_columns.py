"""The columns of a saved audit."""

from __future__ import annotations

import pytest

from rsretrieve.audit.result_table import SCHEMA, rows_of
from rsretrieve.browse.review.audit_columns import AuditColumns
from rsretrieve.errors import TableError

HEADER = "tile,given_label,predicted_label,is_label_issue,issue_probability,kind,twin"


def read(tmp_path, *lines, tiles=("a", "b", "c"), header=HEADER):
    path = tmp_path / "audit.csv"
    path.write_text("\n".join([header, *lines]) + "\n")
    return AuditColumns.read(path, tiles)


def test_the_worst_label_comes_first_and_absent_tiles_are_counted(tmp_path):
    found = read(
        tmp_path,
        "a,road,road,False,0.1,,",
        "b,road,water,True,0.9,wrong_label,",
        "gone,road,water,True,0.95,wrong_label,",
        "lost,road,road,False,0.1,,",
    )
    assert found.tile == ["b", "a"]
    assert (found.absent, found.absent_issues) == (2, 1)
    assert found.needs_review.tolist() == [True, False]
    assert not found.has_probabilities


def test_a_near_duplicate_gives_its_label_unless_it_is_flagged_itself(tmp_path):
    lines = [
        "a,road,road,False,0.3,duplicate,b",
        "b,water,sand,{},0.2,,",
        "c,road,sand,True,0.1,,b",
    ]
    kept = read(tmp_path, *(line.format("False") for line in lines))
    assert dict(zip(kept.tile, kept.suggested())) == {"a": "water", "b": "sand", "c": "sand"}
    flagged = read(tmp_path, *(line.format("True") for line in lines))
    assert dict(zip(flagged.tile, flagged.suggested()))["a"] == "road"


def test_the_table_is_that_of_an_audit(tmp_path):
    header = f"{HEADER},runner_up_label,predicted_probability,neighbour_share"
    found = read(
        tmp_path,
        "a,road,water,True,0.9,wrong_label,,sand,0.8,0.25",
        "b,road,water,True,0.7,wrong_label,c,road,0.6,",
        header=header,
    )
    table = found.table({"a": 0, "b": 1, "c": 2})
    assert table.schema == SCHEMA
    first, second = rows_of(table)
    assert (first["suggested_label"], first["second_label"]) == ("water", "sand")
    assert (first["suggested_probability"], first["neighbour_share"]) == (0.8, 0.25)
    assert first["label_score"] == pytest.approx(0.1)
    assert second["second_label"] is None
    assert (second["row"], second["twin_row"]) == (1, 2)
    assert found.has_probabilities


@pytest.mark.parametrize(
    "line",
    [
        "a,road,water,True,often,wrong_label,",
        "a,road,water,True,,wrong_label,",
        "a,road,water,True,1.5,wrong_label,",
        "a,road,water,True,nan,wrong_label,",
        "a,road,water,True,0.5,no such kind,",
        "a,road,water,yes,0.5,wrong_label,",
        "a,road,water,WAHR,0.5,,",
        "a,road,water,,0.5,,",
        "a,road,,True,0.5,wrong_label,",
        "a,road,,False,0.1,duplicate,",
        "a,,water,True,0.5,wrong_label,",
        "gone,road,,True,0.5,wrong_label,",
    ],
)
def test_a_value_that_is_none_is_named_with_its_line(tmp_path, line):
    with pytest.raises(TableError, match=r"audit\.csv: line 2"):
        read(tmp_path, line)


def test_a_tile_that_needs_no_review_may_lack_a_predicted_label(tmp_path):
    assert read(tmp_path, "a,road,,False,0.1,,").predicted == [""]


def test_a_second_row_and_another_table_are_refused(tmp_path):
    with pytest.raises(TableError, match="second row"):
        read(tmp_path, "a,road,road,False,0.1,,", "a,road,road,False,0.1,,")
    with pytest.raises(TableError):
        read(tmp_path, "a,b", header="tile,label")
