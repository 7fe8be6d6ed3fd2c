"""The command that applies the decisions of a page that Python code made."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from rsretrieve.audit.decisions.saved_decisions import LabelsOrigin
from rsretrieve.data.tile import TileSet
from rsretrieve.data.windowing import WindowChoices
from rsretrieve.enums import Edges
from rsretrieve.export.html.review_command import review_settings

ENDS = ["--decisions", "decisions.csv", "--fixed-labels", "decided.csv"]


@pytest.mark.parametrize(
    ("windows", "words"),
    [
        (None, []),
        (WindowChoices(64), ["--window", "64"]),
        (
            WindowChoices(64, 32, 10.0, Edges.PAD, 0.25),
            ["--window", "64", "--max-nodata", "0.25", "--stride", "32", "--resolution", "10.0"]
            + ["--edges", "pad"],
        ),
    ],
)
def test_the_command_names_the_tiles_and_how_they_were_cut(
    windows: WindowChoices | None, words: list[str]
) -> None:
    tiles = TileSet("/my tiles", (), windows=windows)
    command = shlex.split(review_settings(tiles, LabelsOrigin(), ()).command)
    assert command == ["rsretrieve", "audit-labels", "/my tiles", *words, *ENDS]


def test_a_labels_file_is_named_unless_it_is_the_list_itself(tmp_path: Path) -> None:
    source = str(tmp_path / "list.csv")
    named = review_settings(TileSet(source, ()), LabelsOrigin("/l.csv", "ab"), ())
    assert shlex.split(named.command)[2:5] == [source, "--labels", "/l.csv"]
    own = review_settings(TileSet(source, ()), LabelsOrigin(source, "ab"), ())
    assert shlex.split(own.command)[2:] == [source, *ENDS]
