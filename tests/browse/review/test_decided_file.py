"""The file of decisions: the command line reads it, it goes on, and replaces nothing else."""

from __future__ import annotations

import os

import pytest
from pyarrow import parquet, table

from rsretrieve.audit.decisions.saved_decisions import read_decisions
from rsretrieve.browse.review.decided_file import DecidedFile, DecidedRow
from rsretrieve.data.labels.confirmed import Rule
from rsretrieve.errors import InvalidArgument, OutputExists

ACCEPTED = DecidedRow("a", "=road", "accept", "water", "=road", "wrong_label", "Ada", "2026-01-01")
REMOVED = DecidedRow("b", "", "remove", "water", "sand", "off_topic")


def test_what_is_written_is_what_the_command_line_reads(tmp_path):
    path = tmp_path / "decisions.csv"
    DecidedFile(path).change({"a": ACCEPTED, "b": REMOVED})
    found = read_decisions(path)
    assert [(d.tile_id, d.label, d.rule, d.by) for d in found.decisions] == [
        ("a", "=road", Rule.ACCEPT, "Ada"),
        ("b", None, Rule.REMOVE, ""),
    ]
    assert found.origin is None
    again = DecidedFile(path)
    assert again.rows == {"a": ACCEPTED, "b": REMOVED}
    again.change({"a": None})
    assert DecidedFile(path).rows == {"b": REMOVED}
    again.change({"b": None})
    assert DecidedFile(path).rows == {}


def test_a_file_of_the_audit_page_keeps_what_its_labels_come_from(tmp_path):
    path = tmp_path / "decisions.csv"
    path.write_text(
        "tile,label,decision,given_label,suggested_label,kind,by,at,labels_file,labels_digest\n"
        "a,road,accept,water,road,wrong_label,Ada,,/labels.csv,ab12\n"
    )
    DecidedFile(path).change({"b": REMOVED})
    found = read_decisions(path)
    assert (found.origin.file, found.origin.digest) == ("/labels.csv", "ab12")
    assert len(found.decisions) == 2


@pytest.mark.parametrize(
    "text",
    [
        "tile,label\na,road\n",
        "name,age\nx,3\n",
        "tile,label,decision\na,road,perhaps\n",
        "tile,label,decision\na,road,accept\na,road,accept\n",
        "",
    ],
)
def test_another_file_is_refused_and_stays(tmp_path, text):
    path = tmp_path / "mine.csv"
    path.write_text(text)
    with pytest.raises(OutputExists, match=r"mine\.csv"):
        DecidedFile(path)
    assert path.read_text() == text


def test_other_columns_and_the_origin_of_each_row_are_kept(tmp_path):
    path = tmp_path / "decisions.csv"
    path.write_text(
        "tile,note,label,decision,given_label,labels_file,labels_digest\n"
        "a,ask Bob,road,reject,road,/labels.csv,ab12\n"
        "c,,sand,undecided,sand,,\n"
    )
    file = DecidedFile(path)
    file.change({"b": REMOVED})
    file.change({"a": None})
    file.change({"a": ACCEPTED})
    lines = path.read_text().splitlines()
    assert lines[0].startswith("tile,note,label,decision,given_label,labels_file,labels_digest,")
    assert lines[1] == "c,,sand,undecided,sand,,,,,,"
    assert lines[2].startswith("b,,,remove,water,/labels.csv,ab12,")
    assert lines[3].startswith("a,ask Bob,'=road,accept,water,/labels.csv,ab12,")
    found = read_decisions(path)
    assert (found.origin.file, found.undecided) == ("/labels.csv", 1)
    assert [row.is_open for row in DecidedFile(path).rows.values()] == [True, False, False]


def test_parquet_is_refused_and_stays(tmp_path):
    path = tmp_path / "dec.parquet"
    parquet.write_table(table({"tile": ["a"], "label": ["x"], "decision": ["person"]}), path)
    content = path.read_bytes()
    with pytest.raises(OutputExists, match="Parquet"):
        DecidedFile(path)
    assert path.read_bytes() == content


def test_a_file_that_another_program_changed_is_not_replaced(tmp_path):
    path = tmp_path / "decisions.csv"
    file = DecidedFile(path)
    file.change({"a": ACCEPTED})
    text = path.read_text() + "c,road,reject,road,,,,\n"
    path.write_text(text)
    os.utime(path, ns=(1, 1))
    with pytest.raises(OutputExists, match="another program"):
        file.change({"b": REMOVED})
    assert path.read_text() == text


@pytest.mark.parametrize(
    "cells",
    [
        ["a", "road", "perhaps", "", "", "", "", ""],
        ["a", "road", "person", "", "", "", "", ""],
        ["a", "road", "remove", "", "", "", "", ""],
        ["a", "", "accept", "water", "road", "", "", ""],
        ["a", "None", "choose", "water", "road", "", "", ""],
        ["a", "['a', 'b']", "choose", "water", "road", "", "", ""],
        ["a", "sand", "accept", "water", "road", "", "", ""],
        ["", "road", "choose", "", "", "", "", ""],
        ["a", "r" * 5_000, "choose", "", "", "", "", ""],
        ["a", None, "remove", "", "", "", "", ""],
        ["a"],
    ],
)
def test_what_is_no_decision_is_refused(cells):
    with pytest.raises(InvalidArgument):
        DecidedRow.checked(cells)
