"""A disk that fills up, and Ctrl-C: what was there stays, one line says why, nothing is left."""

from __future__ import annotations

import hashlib
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module

import pytest

from rsretrieve.training import train
from tests.support.programs import TRAINING

TINY = (*TRAINING, "--epochs", 1, "--device", "cpu")


@contextmanager
def files_end_at(size_bytes: int) -> Iterator[None]:
    """No file can grow beyond this: what a full disk is to who writes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def content(folder):
    """The digest of every file, by its path; but for what is kept to go on with indexing."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.parent.name.endswith(".embedding")
    }


def errors(ran):
    return [line for line in ran.err.splitlines() if line.startswith("error: ")]


@pytest.mark.medium
@pytest.mark.parametrize(
    ("place", "size_bytes", "wanted", "left"),
    [
        ("loop.write_checkpoint", 1_000, ".model.unfinished/checkpoint.safetensors", []),
        ("loop.write_checkpoint", 500_000, ".model.unfinished/checkpoint.safetensors", []),
        ("train.write_model", 500_000, "model", [".model.unfinished"]),
    ],
    ids=["no checkpoint", "part of one", "no weights"],
)
def test_a_training_for_which_there_is_no_room(
    run, landscape, tmp_path, monkeypatch, place, size_bytes, wanted, left
):
    """From some moment on: before that, the processes that read tiles are to start."""
    writes = import_module(f"rsretrieve.training.{place.partition('.')[0]}")
    name = place.partition(".")[2]
    write = getattr(writes, name)

    def without_room(*arguments):
        with files_end_at(size_bytes):
            return write(*arguments)

    command = ("train", landscape, "--output", tmp_path / "model", *TINY)
    with monkeypatch.context() as patch:
        patch.setattr(writes, name, without_room)
        ran = run(*command)
    assert ran.code == 1
    assert errors(ran) == [f"error: {tmp_path / wanted}: File too large"]
    assert [path.name for path in tmp_path.iterdir()] == left
    assert run(*command, *["--resume"] * len(left)).code == 0


@pytest.mark.medium
def test_what_there_is_no_room_for_replaces_nothing(run, landscape, model, index, tmp_path):
    """An index, an audit's CSV and page, hits and lists, written over what is there."""
    old = tmp_path / "old"
    (old / "lists").mkdir(parents=True)
    index_there = old / "index"
    run("index", landscape, "--model", model, "--output", index_there, "--quiet")
    for name in ("audit.csv", "audit.html", "hits.csv", "hits.geojson", "sheet.png"):
        (old / name).write_text("what was there")
    (old / "lists" / "train.csv").write_text("what was there")
    before = content(old)
    image = next(landscape.rglob("*.tif"))
    outputs = {"--csv": "hits.csv", "--geojson": "hits.geojson", "--sheet": "sheet.png"}
    commands = [
        ["index", landscape, "--model", model, "--output", index_there],
        ["audit-labels", landscape, "--model", model, "--output", old / "audit.csv"],
        ["audit-labels", landscape, "--model", model, "--output", tmp_path / "a.csv",
         "--page", old / "audit.html"],
        ["split", landscape, "--output", old / "lists"],
        *(["query", image, "--index", index, name, old / file] for name, file in outputs.items()),
    ]  # fmt: skip
    for command in commands:
        (tmp_path / "a.csv").unlink(missing_ok=True)
        with files_end_at(100):
            ran = run(*command, "--overwrite")
        assert ran.code == 1, (command, ran.err)
        [error] = errors(ran)
        wanted = old / ".index.embedding" if command[0] == "index" else command[-1]
        wanted = tmp_path / "a.csv" if "--page" in command else wanted
        wanted = wanted / "train.csv" if command[0] == "split" else wanted
        assert error == f"error: {wanted}: File too large"
        assert content(old) == before


@pytest.fixture
def sigint_heard():
    """As in a terminal: what a shell starts in the background ignores Ctrl-C."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.medium
@pytest.mark.usefixtures("sigint_heard")
def test_ctrl_c_leaves_what_was_there(run, landscape, model, tmp_path, monkeypatch):
    """In the middle of reading, and in the middle of writing."""
    index_there = tmp_path / "index"
    run("index", landscape, "--model", model, "--output", index_there, "--quiet")
    before = content(tmp_path)

    def interrupted(*_, **__):
        signal.raise_signal(signal.SIGINT)

    for place in (
        "rsretrieve.data.loading.read_through.read_in_order",
        "rsretrieve.index.store.folder._write_vectors",
    ):
        with monkeypatch.context() as patch:
            patch.setattr(place, interrupted)
            ran = run("index", landscape, "--model", model, "--output", index_there, "--overwrite")
        assert (ran.code, ran.out) == (130, "")
        assert errors(ran) == ["error: interrupted"]
        kept = {name: digest for name, digest in content(tmp_path).items() if name in before}
        assert kept == before


@pytest.mark.medium
@pytest.mark.usefixtures("sigint_heard")
def test_ctrl_c_before_the_first_epoch_is_done_leaves_nothing(
    run, landscape, tmp_path, monkeypatch
):
    def interrupted(*_):
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(train.TrainingLoop, "run_epoch", interrupted)
    ran = run("train", landscape, "--output", tmp_path / "model", *TINY)
    assert ran.code == 130
    assert errors(ran) == ["error: interrupted"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.medium
def test_what_a_killed_training_left_before_its_first_epoch_is_in_nobodys_way(
    run, landscape, tmp_path
):
    left = tmp_path / ".model.unfinished"
    left.mkdir()
    (left / ".checkpoint.safetensors.abc.safetensors").write_text("half of one")
    ran = run("train", landscape, "--output", tmp_path / "model", *TINY)
    assert ran.code == 0, ran.err
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
