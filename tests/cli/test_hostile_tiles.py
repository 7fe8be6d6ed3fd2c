"""Folders and lists from strangers: every tile is read or named, and nothing else happens."""

from __future__ import annotations

import csv
import json
import os
import re
import subprocess
import sys

import pytest

from tests.support.programs import rsretrieve
from tests.support.repository import ROOT
from tests.support.tiles.hostile_tiles import CONTENTS, OTHERS, make_hostile_tiles

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def hostile(tmp_path_factory, landscape):
    """A folder of damaged tiles of every kind, and the sound ones of the landscape."""
    folder = tmp_path_factory.mktemp("hostile") / "tiles"
    made = make_hostile_tiles(folder, 3 * (len(CONTENTS) + len(OTHERS)), seed=7)
    (folder / "sound").symlink_to(landscape)
    return folder, made


def test_damaged_tiles_by_the_dozen_are_each_read_or_named(tmp_path):
    count = 4 * (len(CONTENTS) + len(OTHERS))
    command = [
        sys.executable,
        "-W",
        "ignore",
        "-m",
        "tests.support.tiles.hostile_tiles",
        tmp_path / "work",
    ]
    ran = subprocess.run(
        [*map(str, command), "--count", str(count), "--seed", "3"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert ran.stderr == ""
    assert ran.stdout.endswith("unaccounted for: 0\n")
    (row,) = re.findall(r"^all +(\d+) +(\d+) +(\d+) +\d+$", ran.stdout, re.MULTILINE)
    files, read, named = map(int, row)
    assert files == read + named == count
    assert named > count / 2
    (mebibytes,) = re.findall(r"largest decoder process (\d+) MiB", ran.stdout)
    assert int(mebibytes) < 2048 + 256


def test_index_takes_what_is_sound_and_names_the_rest(hostile, model, tmp_path):
    folder, made = hostile
    ran = rsretrieve("index", folder, "--model", model, "--output", tmp_path / "index", "--json")
    assert ran.returncode == 3, ran.stderr
    assert "Traceback" not in ran.stderr
    summary = json.loads(ran.stdout)
    assert summary["tiles"] + summary["failed"] == len(made) + 144
    assert summary["tiles"] >= 144
    named = [line for line in ran.stderr.splitlines() if re.match(r"  class \d/", line)]
    assert len(named) == summary["failed"]
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f\u202e]", ran.stderr)
    queried = rsretrieve(
        "query",
        folder / "sound" / "forest" / sorted(os.listdir(folder / "sound" / "forest"))[0],
        "--index",
        tmp_path / "index",
    )
    assert queried.returncode == 0, queried.stderr


def test_names_of_any_text_go_through_every_command_and_others_are_named(
    model, landscape, tmp_path
):
    tiles = tmp_path / "tiles"
    for number, path in enumerate(sorted(landscape.rglob("*.tif"))[::12]):
        place = tiles / path.parent.name
        place.mkdir(parents=True, exist_ok=True)
        (place / f"<img src=x>\n{number}.tif").symlink_to(path)
    (place / os.fsdecode(b"\xff.tif")).symlink_to(path)
    page = tmp_path / "audit.html"
    outputs = ["--csv", tmp_path / "hits.csv", "--geojson", tmp_path / "hits.geojson"]
    image = next(tiles.rglob("<*.tif"))
    for code, command in (
        (3, ["index", tiles, "--model", model, "--output", tmp_path / "index"]),
        (
            3,
            [
                "audit-labels",
                tiles,
                "--model",
                model,
                "--page",
                page,
                "--output",
                tmp_path / "a.csv",
            ],
        ),
        (3, ["split", tiles, "--output", tmp_path / "lists", "--fractions", "0.5,0.3,0.2"]),
        (0, ["query", image, "--index", tmp_path / "index", *outputs]),
    ):
        ran = rsretrieve(*command, "--json")
        assert ran.returncode == code, (command[0], ran.stderr)
        assert ran.stdout.isascii()
        json.loads(ran.stdout)
        if code:
            assert "\\udcff.tif: its name is not UTF-8: rename it\n" in ran.stderr
    assert "<img src=x>" not in page.read_text()


def write_list(path, *rows):
    with path.open("w", newline="") as stream:
        csv.writer(stream).writerows([("tile", "path", "label"), *rows])
    return path


def test_a_list_that_leaves_its_folder_names_files_that_are_no_tiles(
    run, model, landscape, tmp_path
):
    good = sorted(landscape.rglob("*.tif"))[:2]
    rows = [(f"good {i}", os.path.relpath(path, tmp_path), "a") for i, path in enumerate(good)]
    bad = {
        "../../../../../../../../etc/passwd": "not an image that can be read",
        "/etc/passwd": "not an image that can be read",
        "/dev/zero": "is a device, not a file",
        "/": "is a folder, not a file",
        "no\0such": "",
        "x" * 5000: "no such file: its name is too long",
        "nowhere.tif": "no such file",
        "/vsimem/nothing.tif": "its path /vsimem/nothing.tif is not a plain path",
        "/vsistdin/": "",
        "zip://nothing.zip!a.tif": "",
        "a.tif#999999999,0,8,8": "",
    }
    rows += [(name, name, "b") for name in bad if "\0" not in name]
    listed = write_list(tmp_path / "list.csv", *rows)
    ran = run("index", listed, "--model", model, "--output", tmp_path / "index", "--json")
    assert ran.code == 3, ran.err
    assert "Traceback" not in ran.err
    assert ran.json["tiles"] == 2
    for name, reason in bad.items():
        if "\0" not in name:
            assert f"  {name}: {reason}" in ran.err, name
