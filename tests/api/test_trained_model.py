"""A model by the name of one that rsretrieve comes with."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import rsretrieve
from rsretrieve.network.shipped.shipped_models import shipped_path
from rsretrieve.progress import Event, Noticed

pytestmark = pytest.mark.medium


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    """Four tiles of 8-bit RGB."""
    random = np.random.default_rng(0)
    (tmp_path / "photographs").mkdir()
    for number in range(4):
        pixels = random.integers(0, 64 << (number % 3), (48, 48, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "photographs" / f"{number}.png")
    return tmp_path / "photographs"


def test_a_shipped_model_is_loaded_by_its_name(photographs: Path, tmp_path: Path) -> None:
    listed = {model.name: model for model in rsretrieve.shipped_models()}
    model = rsretrieve.load_model("default")
    assert model.path == listed["default"].path == shipped_path("default")
    assert model.fingerprint == listed["default"].fingerprint
    vectors = model.embed(photographs)
    assert vectors.shape == (4, listed["default"].dimensions)
    for given, folder in ((model, "by_model"), ("default", "by_name")):
        built = rsretrieve.build_index(photographs, given, tmp_path / folder)
        assert built.store.manifest.has_stored_model
        assert built.store.manifest.model_fingerprint == model.fingerprint
    opened = rsretrieve.open_index(tmp_path / "by_name", model="default")
    assert opened.search(photographs / "0.png", k=1)[0].tile == "0.png"


def test_a_folder_of_that_name_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = shipped_path("default")
    assert source is not None
    shutil.copytree(source, tmp_path / "default")
    monkeypatch.chdir(tmp_path)
    with pytest.warns(rsretrieve.RsretrieveWarning, match="folder default is used"):
        assert rsretrieve.load_model("default").path == Path("default")


def test_a_slip_names_the_model_that_was_meant() -> None:
    with pytest.raises(FileNotFoundError) as caught:
        rsretrieve.load_model("defualt")
    assert "did you mean default" in caught.value.__notes__[0]


def test_tiles_without_a_model_take_it(photographs: Path, tmp_path: Path) -> None:
    said: list[Event] = []
    index = rsretrieve.build_index(photographs, None, tmp_path / "i", progress=said.append)
    assert "model default" in " ".join(e.text for e in said if isinstance(e, Noticed))
    assert index.store.manifest.model_fingerprint == rsretrieve.load_model("default").fingerprint
