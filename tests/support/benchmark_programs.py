"""The programs in `benchmarks/`, run in this process, on tiles that are made up."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import Result
from PIL import Image
from typer import Typer
from typer.testing import CliRunner

from rsretrieve.data.discovery.find_tiles import find_tiles
from rsretrieve.data.reading.pillow_reader import read_raw
from rsretrieve.synthetic.scene import make_landscape, write_tiles
from tests.support.repository import ROOT


def made_up_data(folder: Path) -> Path:
    """Made-up tiles under the name of a real data set."""
    write_tiles(make_landscape(12, 16, seed=0), 16, folder / "bands")
    for tile in find_tiles(folder / "bands"):
        path = (folder / "ucmerced" / tile.id).with_suffix(".png")
        path.parent.mkdir(parents=True, exist_ok=True)
        rgb = read_raw(tile).values[[2, 1, 0]].transpose(1, 2, 0)
        Image.fromarray((rgb // 16).clip(1, 255).astype(np.uint8)).save(path)
    return folder


def run_benchmark(name: str, data: Path, *arguments: str, **changed: Any) -> Result:
    """Run `benchmarks/NAME.py ARGUMENTS…`, its work and its results beside the tiles.

    Args:
        name: of the program.
        data: see `made_up_data`.
        arguments: the program's, beside those that all share.
        changed: values of the module to be others meanwhile.
    """
    places = ("--data", data, "--work", data / "work", "--results", data / f"{name}.csv")
    shared = [*map(str, places), "--weights", "none", "--device", "cpu"]
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "benchmarks"))
        module = import_module(name)
        for attribute, value in changed.items():
            patch.setattr(module, attribute, value)
        app = Typer()
        app.command()(module.main)
        ran = CliRunner().invoke(app, [*shared, *arguments])
    assert ran.exit_code == 0, ran.output
    return ran
