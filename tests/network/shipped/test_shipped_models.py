"""The models that rsretrieve comes with: what they are, and how a name finds them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch

from rsretrieve.network.metadata import ModelFolder, changed_files, read_description
from rsretrieve.network.model_folder import load_model
from rsretrieve.network.runtime.graph import load_graph_model
from rsretrieve.network.shipped import shipped_models as module
from rsretrieve.network.shipped.shipped_models import (
    DEFAULT_MODEL,
    facts_of,
    given_model,
    no_such_model,
    shipped_folder,
    shipped_models,
    shipped_path,
)
from rsretrieve.network.unlabelled.class_metric import METRIC_FILE
from tests.support.repository import ROOT

MOST_BYTES = 10_000_000
NAMES = [model.name for model in shipped_models()]
CPU = torch.device("cpu")


def test_there_is_a_default() -> None:
    assert DEFAULT_MODEL in NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_model_is_whole_small_and_described(name: str) -> None:
    [model] = [one for one in shipped_models() if one.name == name]
    folder = ModelFolder.read(model.path)
    assert changed_files(folder) == ()
    files = {path.name: path.stat().st_size for path in model.path.iterdir()}
    own = {"model.json", "model.safetensors", "network.onnx", "README.md"}
    assert own <= {*files} <= own | {METRIC_FILE}
    assert sum(files.values()) == model.bytes <= MOST_BYTES
    card = (model.path / "README.md").read_text(encoding="utf-8")
    facts = facts_of(folder.description)
    assert facts is not None
    for told in (facts.weights, facts.trained_on, facts.licence, facts.command, model.backbone):
        assert told in card
    assert "Limits" in card
    assert str(ROOT.parent) not in card + (model.path / "model.json").read_text(encoding="utf-8")


@pytest.mark.medium
@pytest.mark.parametrize("name", NAMES)
def test_the_graph_of_a_shipped_model_embeds_as_its_network_does(name: str) -> None:
    path = shipped_path(name)
    assert path is not None
    description = read_description(path)
    size_px = description.preprocessing.size_px
    pixels = np.random.default_rng(0).integers(0, 256, (3, 3, size_px, size_px), dtype=np.uint8)
    graph = load_graph_model(ModelFolder(path, description))
    vectors = graph.embedder().vectors(pixels)
    network = load_model(path, CPU).network
    from rsretrieve.network.device import Precision
    from rsretrieve.network.embedder import Embedder

    expected = Embedder(network, description.preprocessing, CPU, Precision.FLOAT32)
    np.testing.assert_allclose(vectors, expected.vectors(pixels), atol=1e-4)
    assert vectors.shape == (3, description.dimensions)


def test_only_shipped_models_are_in_version_control() -> None:
    """Those of whoever works in a checkout are ignored, wherever `models/` is empty or not."""
    if not (ROOT / ".git").exists() or shutil.which("git") is None:
        pytest.skip("this is no checkout")
    for path, is_ignored in (
        ("models/mine/model.json", True),
        *((f"models/{name}/model.safetensors", False) for name in NAMES),
    ):
        ran = subprocess.run(["git", "-C", str(ROOT), "check-ignore", "-q", path], check=False)
        assert (ran.returncode == 0) is is_ignored, path


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The default model in a folder of its own, beside a model of a user; an empty folder is
    current."""
    source = shipped_path(DEFAULT_MODEL)
    assert source is not None
    for name in (DEFAULT_MODEL, "mine"):
        shutil.copytree(source, tmp_path / "shipped" / name)
    monkeypatch.setattr(module, "shipped_folder", lambda: tmp_path / "shipped")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "shipped"


def test_models_of_users_beside_them_are_not_listed(shipped: Path) -> None:
    assert [model.name for model in shipped_models()] == [DEFAULT_MODEL]
    assert shipped_path("mine") is None


@pytest.mark.parametrize("name", ["..", ".", "", "a/b", "default/", "nothing"])
def test_other_names_are_none_of_them(shipped: Path, name: str) -> None:
    assert shipped_path(name) is None


def test_a_damaged_model_is_not_listed(shipped: Path) -> None:
    (shipped / DEFAULT_MODEL / "model.json").write_text("{}")
    assert shipped_models() == []


def test_a_name_finds_the_model(shipped: Path) -> None:
    found = given_model(Path(DEFAULT_MODEL))
    assert (found.folder, found.is_shipped, found.notices) == (shipped / DEFAULT_MODEL, True, ())
    assert given_model(shipped / DEFAULT_MODEL).is_shipped
    assert given_model(None).folder is None
    for other in (Path("a/default"), Path("mine"), shipped / "mine"):
        assert (given_model(other).folder, given_model(other).is_shipped) == (other, False)


def test_a_model_of_the_user_comes_first_and_it_is_said(shipped: Path) -> None:
    shutil.copytree(shipped / "mine", DEFAULT_MODEL)
    found = given_model(Path(DEFAULT_MODEL))
    assert (found.folder, found.is_shipped) == (Path(DEFAULT_MODEL), False)
    assert str(shipped / DEFAULT_MODEL) in found.notices[0]


def test_a_folder_without_a_model_does_not_hide_it_and_it_is_said(shipped: Path) -> None:
    Path(DEFAULT_MODEL).mkdir()
    found = given_model(Path(DEFAULT_MODEL))
    assert (found.folder, found.is_shipped) == (shipped / DEFAULT_MODEL, True)
    assert "has no model" in found.notices[0]


def test_a_slip_names_the_model_that_was_meant() -> None:
    assert "default" in no_such_model(Path("defualt")).hint
    assert "rsretrieve models" in no_such_model(Path("something")).hint
    assert "rsretrieve models" not in no_such_model(Path("models/something")).hint


def test_the_models_lie_in_the_package_or_beside_it() -> None:
    assert shipped_folder().name == "models"
