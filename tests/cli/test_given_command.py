"""The command as it was typed: options that were meant, and the command to type next."""

from __future__ import annotations

import csv
import hashlib
import html
import json
import re
import shlex

import numpy as np
import pytest

from rsretrieve.cli.given_command import option_words, options_meant
from tests.support.tiles.made_tiles import noise, save_picture

TRAIN = ("--output", "--learning-rate", "--loss", "--val", "--device", "--epochs", "--help")


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("--lr", ["--learning-rate"]),
        ("--LR", ["--learning-rate"]),
        ("--base_lr", ["--learning-rate"]),
        ("--gpus", ["--device"]),
        ("--cuda", ["--device"]),
        ("--model-dir", ["--output"]),
        ("--out", ["--output"]),
        ("--num-epochs", ["--epochs"]),
        ("--learning", ["--learning-rate"]),
        ("--epoch", ["--epochs"]),
        ("--ouptut", ["--output"]),
        ("--frobnicate", []),
    ],
)
def test_the_option_that_was_probably_meant_is_suggested(typed, meant):
    assert options_meant(typed, TRAIN) == meant


def test_a_model_folder_is_suggested_where_a_command_reads_one():
    assert options_meant("--model-dir", ["--model", "--output"]) == ["--model"]


@pytest.mark.parametrize(
    ("arguments", "suggested"),
    [
        (("train", "t", "--lr", "1"), "--learning-rate"),
        (("audit-labels", "t", "--gpu", "0"), "--device"),
        (("query", "a.jpg", "--index", "i", "--top-k", "3"), "-k"),
        (("index", "t", "--model-path", "m", "--output", "i"), "--model"),
        (("evaluate", "--index-dir", "i"), "--index"),
        (("split", "t", "--out-dir", "s"), "--output"),
    ],
)
def test_the_program_suggests_it(run, arguments, suggested):
    ran = run(*arguments)
    assert ran.code == 2
    assert f"Did you mean {suggested}?" in " ".join(ran.err.split())


def test_a_value_that_looks_like_an_option_stands_behind_an_equals_sign():
    assert option_words("--labels", "-a.csv") == ["--labels=-a.csv"]
    assert option_words("--labels", "a.csv") == ["--labels", "a.csv"]


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Tiles, and decisions made on the labels of a file with a nasty name."""
    monkeypatch.chdir(tmp_path)
    for name in ("a/0", "a/1", "b/0", "b/1"):
        save_picture(tmp_path / "my tiles" / f"{name}.png", noise((3, 8, 8)))
    (tmp_path / "it's; $(rm).csv").write_text("tile,label\na/0.png,b\nb/1.png,a\n")
    return tmp_path


def labels_in(file):
    """Tile → label, of a labels file."""
    return dict(line.split(",")[:2] for line in file.read_text().splitlines()[1:])


def test_decisions_without_their_labels_are_refused_with_the_command_to_type(run, place):
    labels = place / "it's; $(rm).csv"
    digest = hashlib.sha256(labels.read_bytes()).hexdigest()
    header = "tile,label,decision,given_label,labels_file,labels_digest"
    (place / "d.csv").write_text(f'{header}\na/1.png,a,reject,a,"{labels}",{digest}\n')
    typed = ("audit-labels", "my tiles", "--decisions", "d.csv", "--fixed-labels", "f.csv", "-q")
    ran = run(*typed)
    assert ran.code == 1
    assert "--labels is missing" in ran.err
    assert not (place / "f.csv").exists()
    command = shlex.split(ran.err.partition("type: ")[2])
    assert command == ["rsretrieve", *typed[:-1], "--quiet", "--labels", str(labels)]
    again = run(*command[1:])
    assert again.code == 0, again.err
    fixed = labels_in(place / "f.csv")
    assert fixed == {"a/0.png": "b", "a/1.png": "a", "b/0.png": "b", "b/1.png": "a"}


def test_another_labels_file_is_replaced_in_the_command(run, place):
    (place / "other.csv").write_text("tile,label\na/0.png,a\n")
    header = "tile,label,labels_file,labels_digest"
    (place / "d.csv").write_text(f"{header}\na/1.png,a,/x/l.csv,00ff\n")
    ran = run(
        *("audit-labels", "my tiles", "--labels", "other.csv", "--decisions", "d.csv"),
        *("--changes", "c.csv"),
    )
    assert ran.code == 1
    assert "other.csv" in ran.err
    command = shlex.split(ran.err.partition("type: ")[2])
    assert command.count("--labels") == 1
    assert command[-2:] == ["--labels", "/x/l.csv"]


@pytest.fixture
def embedded(place):
    """The same tiles with embeddings, and a list of them."""
    ids = ["a/0.png", "a/1.png", "b/0.png", "b/1.png"]
    np.save(place / "e.npy", np.eye(4, 3, dtype=np.float32) + 0.1)
    rows = "".join(f"{name},my tiles/{name},{name[0]}\n" for name in ids)
    (place / "list.csv").write_text(f"tile,path,label\n{rows}")
    return place


def command_of(page):
    """The command that a page shows."""
    shown = re.search(r'<code id="command">(.*?)</code>', page.read_text(encoding="utf-8"))
    return shlex.split(html.unescape(shown[1]))


def origin_of(page):
    data = re.search(r'<script id="data"[^>]*>(.*?)</script>', page.read_text(encoding="utf-8"))
    found = json.loads(data[1])
    return found["labelsFile"], found["labelsDigest"], found["earlier"]


LABELS = "it's; $(rm).csv"
AUDIT = ("--embeddings", "e.npy", "--page", "p.html")


@pytest.mark.parametrize(
    ("typed", "tiles", "labels"),
    [
        (("my tiles",), ["my tiles"], None),
        (("my tiles", "--labels", LABELS), ["my tiles"], LABELS),
        (("list.csv",), ["list.csv"], "list.csv"),
        (("list.csv", "--labels", LABELS), ["list.csv"], LABELS),
    ],
)
@pytest.mark.medium
def test_the_command_of_the_page_applies_its_decisions(run, embedded, typed, tiles, labels):
    made = run("audit-labels", *typed, *AUDIT)
    assert made.code == 0, made.err
    command = command_of(embedded / "p.html")
    named = [str(embedded / name) for name in tiles]
    given = [] if labels in (None, *tiles) else ["--labels", str(embedded / labels)]
    ends = ["--decisions", "decisions.csv", "--fixed-labels", "decided.csv"]
    assert command == ["rsretrieve", "audit-labels", *named, *given, *ends]
    file, digest, _ = origin_of(embedded / "p.html")
    assert file == ("" if labels is None else str(embedded / labels))
    header = "tile,label,decision,given_label,labels_file,labels_digest"
    (embedded / "decisions.csv").write_text(f'{header}\nb/0.png,b,reject,b,"{file}",{digest}\n')
    applied = run(*command[1:])
    assert applied.code == 0, applied.err
    decided = labels_in(embedded / "decided.csv")
    changed = {"a/0.png": "b", "b/1.png": "a"} if labels == LABELS else {}
    expected = {"a/0.png": "a", "a/1.png": "a", "b/0.png": "b", "b/1.png": "b"}
    assert decided == {**expected, **changed}


@pytest.mark.medium
def test_a_page_made_with_decisions_saves_them_again(run, embedded):
    (embedded / "d.csv").write_text("tile,label,by\na/1.png,b,Ada\n")
    made = run("audit-labels", "my tiles", "--decisions", "d.csv", *AUDIT)
    assert made.code == 0, made.err
    _, _, earlier = origin_of(embedded / "p.html")
    assert earlier == [["a/1.png", "b", "", "", "", "", "Ada", "", "", ""]]
    assert "d.csv" not in command_of(embedded / "p.html")


def test_a_truth_in_other_classes_is_refused_before_the_audit(run, embedded):
    rows = "".join(f"{tile}.png,{tile[0].upper()}\n" for tile in ("a/0", "a/1", "b/0", "b/1"))
    (embedded / "truth.csv").write_text("tile,label\n" + rows)
    ran = run("audit-labels", "list.csv", "--embeddings", "e.npy", "--truth", "truth.csv")
    assert ran.code == 1
    assert "it has 'A', 'B'; the tiles have 'a', 'b'" in ran.err


@pytest.mark.parametrize(
    "name",
    ["$(touch x)", "`touch x`; rm -r *", "-rf", "a'b\"c", "\x00", "/dev/zero", "a\nb\x1b[2J"],
)
def test_a_hostile_name_in_decisions_is_quoted_and_never_opened(run, place, name):
    with (place / "d.csv").open("w", encoding="utf-8", newline="") as stream:
        header = ("tile", "label", "labels_file", "labels_digest")
        csv.writer(stream).writerows([header, ("a/1.png", "a", name, "00ff")])
    ran = run("audit-labels", "my tiles", "--decisions", "d.csv", "--changes", "c.csv")
    assert ran.code == 1
    shown = ran.err.partition("type: ")[2]
    assert len(shown.splitlines()) == 1
    assert "\x1b" not in shown
    words = shlex.split(shown)
    last = words[-1].removeprefix("--labels=")
    assert last in (name, name.replace("\x00", "\\x00"), "a\\nb\\x1b[2J")
    assert not (place / "x").exists()
