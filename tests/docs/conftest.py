"""A folder with the files that the documentation names, made once for all pages."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pyarrow
import pytest
from pyarrow import parquet

from tests.conftest import run_here
from tests.support.made_once import made_once
from tests.support.programs import TRAINING
from tests.support.repository import ROOT

sys.path.insert(0, str(ROOT / "tools" / "site"))
TINY_NETWORK = "timm/test_efficientnet"
"""Takes the place of EfficientNet-Lite0, which needs ten times as long."""


@pytest.fixture(scope="session")
def examples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of the examples, a model and an index; not to be changed."""
    return made_once(tmp_path_factory, "examples", _write_examples)


def _write_examples(folder: Path) -> None:
    from example_files import write_example_files

    write_example_files(folder)
    _write_weights(folder / "lite0.safetensors")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        _run("train", "tiles", "--labels", "noisy.csv", "--output", "models/mine", *_QUICK)
        _run("index", "tiles", "--model", "models/mine", "--output", "index")
        _run("split", "tiles", "--output", "lists")
        _run("index", "--export", "embeddings.parquet", "--output", "index")
    _write_changes(folder)
    demo = folder / "demo" / "tiles" / "beach"
    demo.mkdir(parents=True)
    shutil.copyfile(folder / "example.tif", demo / "beach_0_24.tif")
    shutil.copytree(folder / "index", folder / "demo" / "index")


_QUICK = (*TRAINING, *("--epochs", 6, "--learning-rate", 0.03, "--batch-size", 16, "--quiet"))


def _run(*arguments: object) -> None:
    ran = run_here(*arguments)
    assert ran.code == 0, ran.err


def _write_changes(folder: Path) -> None:
    """Three rows of the exported embeddings; the last one has lost its vector."""
    rows = parquet.read_table(folder / "embeddings.parquet").slice(0, 3)
    column = rows.schema.get_field_index("embedding")
    vectors = pyarrow.array([*rows["embedding"].to_pylist()[:2], None], rows["embedding"].type)
    changed = rows.set_column(column, rows.schema.field(column), vectors)
    parquet.write_table(changed, folder / "changes.parquet")


def _write_weights(path: Path) -> None:
    """Random weights under timm's names: the examples name a file of weights."""
    import timm
    from safetensors.torch import save_file

    save_file(timm.create_model(TINY_NETWORK.removeprefix("timm/")).state_dict(), path)


@pytest.fixture
def folder(examples: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder of a page: that of `examples` again, which a page may change."""
    place = tmp_path / "example"
    shutil.copytree(examples, place, copy_function=os.link)
    monkeypatch.chdir(place)
    return place
