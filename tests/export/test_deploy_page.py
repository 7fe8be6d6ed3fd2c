"""The code of docs/scale/deploy.md: what it shows gives what rsretrieve gives."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rsretrieve.data.preprocessing.preprocessing import Preprocessing, resized
from rsretrieve.data.reading.pillow_reader import read_raw
from rsretrieve.data.run_context import RunContext
from rsretrieve.data.tile import Tile
from rsretrieve.export.onnx_file import write_onnx
from tests.export.test_onnx_file import RGB, by_hand, model_of
from tests.support.repository import ROOT
from tests.support.tiles.made_tiles import noise, save_picture

PAGE = (ROOT / "docs" / "scale" / "deploy.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.slow
def test_the_python_block_gives_the_embeddings_of_the_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    model = model_of(replace(RGB, reduced_jpeg=True))
    write_onnx(model, Path("mine.onnx"), RunContext())
    pictures = [noise((3, 45, 70), seed=1), noise((3, 32, 32), seed=2)]
    for name, values in zip(("one", "two"), pictures):
        save_picture(tmp_path / f"{name}.png", values)
    [block] = blocks("python")
    names: dict[str, np.ndarray] = {}
    exec(block, names)
    tiles = np.stack([resized(values, 32) for values in pictures])
    expected = by_hand(model, tiles)
    np.testing.assert_allclose(names["embeddings"], expected, atol=2e-5)
    np.testing.assert_allclose(names["similarities"], expected @ expected.T, atol=1e-4)
    for width, height in ((600, 600), (600, 130), (70, 600), (255, 257)):
        assert_read_as_a_tile(names["read"], model.description.preprocessing, width, height)


def assert_read_as_a_tile(
    read: Callable[[str], np.ndarray], preprocessing: Preprocessing, width: int, height: int
) -> None:
    """The page and the program decode a JPEG at the same reduced size."""
    values = noise((3, height, width), seed=width)
    Image.fromarray(values.transpose(1, 2, 0)).save("tile.jpg", quality=90)
    raw = read_raw(Tile("tile", "tile.jpg"), preprocessing.jpeg_px)
    np.testing.assert_array_equal(read("tile.jpg"), preprocessing.apply("tile", raw))


@pytest.mark.medium
@pytest.mark.skipif(shutil.which("node") is None, reason="Node.js is not installed")
@pytest.mark.parametrize(("height", "width"), [(45, 70), (32, 32), (20, 96), (7, 9)])
def test_the_resizing_in_javascript_is_that_of_pillow(
    tmp_path: Path, height: int, width: int
) -> None:
    values = noise((4, height, width), seed=3).transpose(1, 2, 0)
    given = {"values": values.ravel().tolist(), "width": width, "height": height}
    (tmp_path / "given.json").write_text(json.dumps(given))
    script = blocks("javascript")[0] + (
        'const given = JSON.parse(require("fs").readFileSync("given.json"));'
        "const found = resize(given.values, given.width, given.height, 4, 32);"
        "console.log(JSON.stringify(Array.from(found)));"
    )
    (tmp_path / "resize.js").write_text(script)
    ran = subprocess.run(
        ["node", "resize.js"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    found = np.array(json.loads(ran.stdout)).reshape(32, 32, 4)
    # RGBX: Pillow would multiply the colours of RGBA by alpha.
    picture = Image.fromarray(np.ascontiguousarray(values), "RGBX")
    expected = np.asarray(picture.resize((32, 32), Image.Resampling.BILINEAR), int)
    assert np.abs(found - expected).max() <= 1
    assert (found == expected).mean() > 0.99
