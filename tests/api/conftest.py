"""A folder with tiles, a scene, a model and an index, as the examples expect it."""

from __future__ import annotations

from pathlib import Path

import pytest

import rsretrieve
from rsretrieve.synthetic.scene import make_landscape, write_scene
from tests.conftest import CELL_PX, CELLS
from tests.support.made_once import made_once

QUICK = {
    "backbone": "resnet18",
    "weights": "none",
    "size": 32,
    "dimensions": 16,
    "epochs": 4,
    "learning_rate": 0.03,
    "batch_size": 16,
}

LEARNED = {**QUICK, "epochs": 8, "learning_rate": 0.02}
"""A training that tells all classes apart, on every processor."""

SMALL = {**QUICK, "backbone": "squeezenet1_1"}
"""A training that only must have been one: the graph of this backbone is exported faster."""


MAY_BE_UNSURE = pytest.mark.filterwarnings("ignore:the noise rate cannot be determined")
"""For audits of so small a model: whether the rate can be told depends on the processor."""


@pytest.fixture(scope="session")
def made(landscape: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the interface itself made, once for all tests; not to be changed."""

    def make(folder: Path) -> None:
        write_scene(make_landscape(CELLS, CELL_PX, seed=1), folder / "scene.tif")
        model = rsretrieve.train(str(landscape), folder / "models" / "mine", **LEARNED)
        rsretrieve.build_index(landscape, model, str(folder / "index"))

    return made_once(tmp_path_factory, "made", make)


@pytest.fixture
def workplace(made: Path, landscape: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder of a test, with links to all of that."""
    (tmp_path / "models").mkdir()
    (tmp_path / "tiles").symlink_to(landscape)
    for name in ("scene.tif", "models/mine", "index"):
        (tmp_path / name).symlink_to(made / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path
