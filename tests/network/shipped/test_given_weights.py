"""What `train --weights` means: a keyword, a file, a model folder, or a model that ships."""

from __future__ import annotations

import shutil

import pytest

from rsretrieve.errors import WeightsError
from rsretrieve.network.metadata import read_description
from rsretrieve.network.shipped.given_weights import (
    check_frozen_weights,
    given_weights,
    model_folder_of,
    weights_path,
)
from rsretrieve.network.shipped.shipped_models import shipped_path


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("given", ["imagenet", "none", "w.safetensors", "models/mine", "defualt"])
def test_other_names_stay_as_they_are(given):
    found = given_weights(given)
    assert (found.source, found.notices, found.backbone) == (given, (), None)


@pytest.mark.parametrize("word", ["imagenet", "none"])
def test_keywords_are_no_paths_whatever_lies_here(tmp_path, word):
    shutil.copytree(shipped_path("default"), tmp_path / word)
    found = given_weights(word)
    assert (found.source, found.backbone, found.path) == (word, None, None)
    assert weights_path(word) is model_folder_of(word) is None
    named = given_weights(f"./{word}")
    assert named.backbone
    assert model_folder_of(named.source) == tmp_path.relative_to(tmp_path) / word


def test_the_name_of_a_model_that_ships_means_its_folder_and_its_backbone():
    found, path = given_weights("default"), shipped_path("default")
    assert found.source == str(path)
    assert found.backbone == read_description(path).backbone


def test_what_the_user_has_comes_first(tmp_path):
    (tmp_path / "default").touch()
    assert given_weights("default").source == "default"
    (tmp_path / "default").unlink()
    shutil.copytree(shipped_path("default"), tmp_path / "default")
    found = given_weights("default")
    assert found.source == "default"
    assert "folder default is used" in found.notices[0]
    assert found.backbone


def test_imagenet_and_files_are_weights_without_training(tmp_path):
    (tmp_path / "w.pth").touch()
    for given in (None, "imagenet", "w.pth"):
        check_frozen_weights(given)


@pytest.mark.parametrize(
    ("given", "reason", "hint"),
    [
        ("none", "needs weights", "leave out --weights"),
        ("default", "is a model", "give --model default"),
        ("mine", "is a model", "give --model mine"),
        ("empty", "is a folder", "give imagenet, or a .safetensors"),
        ("gone.pth", "no such file", "give imagenet, or a .safetensors"),
    ],
)
def test_other_weights_without_training_are_refused_with_what_can_be_given(
    tmp_path, given, reason, hint
):
    shutil.copytree(shipped_path("default"), tmp_path / "mine")
    (tmp_path / "empty").mkdir()
    with pytest.raises(WeightsError, match=f"--weights {given}.*{reason}") as raised:
        check_frozen_weights(given)
    assert hint in raised.value.hint
    assert "none" not in raised.value.hint
