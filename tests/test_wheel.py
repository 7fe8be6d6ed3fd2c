"""What the wheel and the source archive hold: the shipped models, and no others."""

from __future__ import annotations

import tarfile
from pathlib import Path
from zipfile import ZipFile

import pytest

from rsretrieve.network.metadata import read_description
from rsretrieve.network.shipped.shipped_models import shipped_models
from tests.support.repository import ROOT

pytestmark = pytest.mark.medium
FILES = ("README.md", "model.json", "model.safetensors", "network.onnx")
SHIPPED = {
    f"models/{model.name}/{file}"
    for model in shipped_models()
    for file in {*FILES, *read_description(model.path).files}
}


@pytest.fixture
def model_of_a_user():
    """A folder in `models/`, as a training leaves it there."""
    if not (ROOT / "pyproject.toml").is_file():
        pytest.skip("the source is not beside these tests")
    pytest.importorskip("hatchling")
    folder = ROOT / "models" / "of-a-test"
    folder.mkdir(exist_ok=True)
    (folder / "model.json").write_text("{}")
    yield folder
    (folder / "model.json").unlink()
    folder.rmdir()


@pytest.mark.usefixtures("model_of_a_user")
def test_the_wheel_holds_the_shipped_models(tmp_path: Path) -> None:
    from hatchling.builders.wheel import WheelBuilder

    [path] = WheelBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"])
    names = {name for name in ZipFile(path).namelist() if "/models/" in f"/{name}"}
    assert names == {f"rsretrieve/{name}" for name in SHIPPED}


@pytest.mark.usefixtures("model_of_a_user")
def test_the_source_archive_holds_the_shipped_models(tmp_path: Path) -> None:
    from hatchling.builders.sdist import SdistBuilder

    [path] = SdistBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"])
    with tarfile.open(path) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    found = {name for name in names if name.startswith("models/")}
    assert found == {*SHIPPED, "models/README.md"}
