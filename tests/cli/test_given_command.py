"""The command as it was typed: options that were meant, and the command to type next."""

from __future__ import annotations

import hashlib
import shlex

import pytest

from rsretrieve.cli.given_command import option_words, options_meant
from tests.support.tiles import noise, save_picture

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
    fixed = dict(line.split(",") for line in (place / "f.csv").read_text().splitlines()[1:])
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
