"""An output that cannot be written where it is to lie is refused before the work."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import rsretrieve
from rsretrieve.errors import OutputExists, OutputRefused
from rsretrieve.export.output_paths import OutputPaths


@pytest.mark.parametrize(
    "command",
    [
        "audit-labels tiles --embeddings v.npy --output {0}/x.csv",
        "evaluate --index index --plot {0}/deep/ev.png",
        "index tiles --output {0}/i",
        "split tiles --output {0}/lists",
        "train tiles --output {0}/m",
        "compare tiles --test tiles --vary epochs=1,2 --output {0}/c",
        "demo --output {0}/demo",
        "find index --like a.tif --session {0}/s.json",
    ],
)
@pytest.mark.parametrize("parent", ["noisy.csv", "broken"])
def test_an_output_below_what_is_no_folder_is_refused_before_the_work(
    run, tmp_path, monkeypatch, command, parent
):
    (tmp_path / "noisy.csv").write_text("tile,label\n")
    (tmp_path / "broken").symlink_to("missing")
    monkeypatch.chdir(tmp_path)
    ran = run(*command.format(parent).split(), "--overwrite")
    assert (ran.code, ran.out) == (1, ""), ran.err
    what = "a file" if parent == "noisy.csv" else "a broken link"
    assert f"{parent} is {what}, not a folder" in ran.err


def test_an_output_in_a_folder_that_may_not_be_written_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, *_, **__: Path(path) != tmp_path)
    (tmp_path / "own").mkdir()
    for paths in (
        OutputPaths({"--csv": tmp_path / "new"}),
        OutputPaths({"--csv": tmp_path / "new" / "deep"}),
        OutputPaths(folder={"--output": tmp_path / "new"}),
    ):
        with pytest.raises(OutputRefused, match=r"folder .* is not writable"):
            paths.check()
    OutputPaths({"--csv": tmp_path / "own" / "new"}).check()
    OutputPaths(folder={"--output": tmp_path / "own"}).check()


def test_python_refuses_such_outputs_before_the_work_too(tmp_path):
    (tmp_path / "noisy.csv").write_text("")
    place = tmp_path / "noisy.csv" / "out"
    for work in (
        lambda: rsretrieve.train("tiles", place),
        lambda: rsretrieve.build_index("tiles", None, place),
        lambda: rsretrieve.build_index_from_embeddings("v.npy", place),
        lambda: rsretrieve.compare("tiles", place, test="t", vary={"epochs": [1, 2]}),
    ):
        with pytest.raises(OutputExists, match=r"noisy\.csv is a file, not a folder"):
            work()
