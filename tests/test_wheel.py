"""What the wheel and the source archive hold: the shipped models, and no others."""

from __future__ import annotations

import os
import subprocess
import sys
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


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the source archive, and the wheel that was built from it."""
    if not (ROOT / "pyproject.toml").is_file():
        pytest.skip("the source is not beside these tests")
    pytest.importorskip("build")
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return folder


def run_outside(folder: Path, sources: Path, *arguments: str) -> str:
    """Run Python in a folder, with the package from another one; its standard output."""
    environment = {**os.environ, "PYTHONPATH": str(sources)}
    command = [sys.executable, *arguments]
    ran = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


@pytest.mark.slow
def test_the_wheel_of_the_source_archive_works_without_the_source(
    built: Path, landscape: Path, tmp_path: Path
) -> None:
    [wheel] = built.glob("*.whl")
    package = tmp_path / "package"
    ZipFile(wheel).extractall(package)
    code = "import rsretrieve; print(rsretrieve.__file__, len(rsretrieve.shipped_models()))"
    assert run_outside(tmp_path, package, "-c", code).startswith(str(package))
    program = ("-m", "rsretrieve")
    run_outside(tmp_path, package, *program, "index", str(landscape), "--output", "index", "-q")
    answer = run_outside(
        tmp_path, package, *program, "query", "--tile", "beach/beach_1_7.tif", "--index", "index"
    )
    assert "beach/beach_1_7.tif" in answer


@pytest.mark.slow
@pytest.mark.exhaustive
def test_the_source_archive_tests_itself(built: Path, tmp_path: Path) -> None:
    [archive] = built.glob("*.tar.gz")
    with tarfile.open(archive) as opened:
        opened.extractall(tmp_path, filter="data")
    [source] = tmp_path.iterdir()
    for name in ("mkdocs.yml", "CITATION.cff", ".github/ISSUE_TEMPLATE", "docs/index.md"):
        assert (source / name).exists()
    tests = ["tests/test_architecture.py", "tests/test_readme.py", "tests/test_errors.py"]
    passed = run_outside(source, source, "-m", "pytest", "-q", *tests)
    assert " passed" in passed
