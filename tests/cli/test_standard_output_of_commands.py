"""`-` is standard output wherever a command writes a file."""

from __future__ import annotations

import csv
import io
import json

import numpy as np
import pytest
from rich.table import Table

from rsretrieve.cli.terminal import Terminal
from tests.support.tiles.made_tiles import noise, save_picture


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Tiles, their embeddings, and decisions."""
    monkeypatch.chdir(tmp_path)
    names = [f"{c}/{i}" for c in "ab" for i in range(12)]
    for name in names:
        save_picture(tmp_path / "tiles" / f"{name}.png", noise((3, 8, 8)))
    rng = np.random.default_rng(0)
    centres = np.repeat([[1.0, 0, 0], [0, 1.0, 0]], 12, axis=0)
    np.save(tmp_path / "e.npy", (centres + 0.1 * rng.normal(size=(24, 3))).astype(np.float32))
    (tmp_path / "d.csv").write_text("tile,label\na/0.png,b\n")
    return tmp_path


AUDIT = ("audit-labels", "tiles", "--embeddings", "e.npy")
DECIDE = ("audit-labels", "tiles", "--decisions", "d.csv")


@pytest.mark.parametrize(
    ("arguments", "columns", "rows"),
    [
        ((*DECIDE, "--fixed-labels", "-"), ["tile", "label", "decision", "given_label"], 24),
        ((*DECIDE, "--changes", "-"), ["tile", "given_label", "label", "rule", "by", "at"], 1),
        ((*AUDIT, "--fixed-labels", "-"), ["tile", "label"], 24),
        (
            ("corrupt-labels", "tiles", "--rate", "0.5", "--output", "-"),
            ["tile", "label", "true_label"],
            24,
        ),
    ],
)
@pytest.mark.medium
def test_a_table_goes_to_standard_output_and_the_summary_to_standard_error(
    run, place, arguments, columns, rows
):
    ran = run(*arguments)
    assert ran.code == 0, ran.err
    read = list(csv.reader(io.StringIO(ran.out)))
    assert read[0] == columns
    assert len(read) == rows + 1
    assert "labels" in ran.err
    assert not (place / "-").exists()


@pytest.mark.medium
def test_the_worst_labels_and_the_page_go_there_too(run, place):
    table = run(*AUDIT, "--output", "-")
    assert table.out.startswith("tile,given_label,predicted_label,is_label_issue")
    assert "flagged" in table.err
    page = run(*AUDIT, "--page", "-")
    assert page.out.startswith("<!doctype html>")
    places = run(*AUDIT, "--geojson", "-")
    assert json.loads(places.out)["type"] == "FeatureCollection"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((*DECIDE, "--fixed-labels", "-", "--json"), "both write to standard output"),
        ((*DECIDE, "--fixed-labels", "-", "--changes", "-"), "would write the same file"),
        (("train", "tiles", "--output", "-"), "writes a folder"),
        (("split", "tiles", "--output", "-"), "a folder is written"),
    ],
)
def test_what_cannot_share_it_is_wrong_usage(run, place, arguments, said):
    ran = run(*arguments)
    assert (ran.code, ran.out) == (2, "")
    assert said in " ".join(ran.err.split())
    assert not (place / "-").exists()


def test_a_table_beside_a_file_on_standard_output_breaks_no_id(capsys):
    terminal, tile_id = Terminal(as_json=False, quiet=False), f"{'x' * 150}.tif"
    terminal.leave_output_to("--csv")
    table = Table("tile", "path")
    table.add_row(tile_id, "tiles")
    terminal.result({}, table)
    shown = capsys.readouterr()
    assert tile_id in shown.err
    assert shown.out == ""
