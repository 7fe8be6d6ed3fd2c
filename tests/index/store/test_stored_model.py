"""A model is copied into an index with every file that its description names."""

from __future__ import annotations

import pytest

from rsretrieve.errors import ModelDamaged
from rsretrieve.index.store.stored_model import (
    copy_model,
    stored_model_bytes,
    stored_model_problems,
)
from rsretrieve.network.metadata import ModelFolder, read_description
from tests.support.indexes.resealed import reseal
from tests.support.tiles.unreadable import UNREADABLE, put_unreadable


def test_a_copy_is_whole_and_holds_nothing_else(model, tmp_path):
    copy_model(model.folder, tmp_path / "copy")
    described = read_description(model.folder)
    names = {path.name for path in (tmp_path / "copy").iterdir()}
    assert names == {*described.files, "model.json", "model.safetensors"}
    assert ModelFolder.read(tmp_path / "copy").description == described
    assert stored_model_problems(tmp_path / "copy") == []
    total = sum((tmp_path / "copy" / name).stat().st_size for name in names)
    assert stored_model_bytes(tmp_path / "copy") == total


def test_changed_and_missing_files_are_named(model, tmp_path):
    copy_model(model.folder, tmp_path / "copy")
    (tmp_path / "copy" / "tiles.parquet").write_text("other")
    (tmp_path / "copy" / "network.onnx").unlink()
    found = " ".join(stored_model_problems(tmp_path / "copy"))
    assert "tiles.parquet" in found
    assert "network.onnx" in found
    (tmp_path / "copy" / "model.json").write_text("{}")
    assert "model.json" in " ".join(stored_model_problems(tmp_path / "copy"))


def test_a_damaged_model_is_not_copied(model, tmp_path):
    copy_model(model.folder, tmp_path / "copy")
    (tmp_path / "copy" / "tiles.parquet").write_text("other")
    with pytest.raises(ModelDamaged, match=r"tiles\.parquet"):
        copy_model(tmp_path / "copy", tmp_path / "second")


@pytest.mark.parametrize("kind", UNREADABLE)
@pytest.mark.parametrize("name", ["model.json", "model.safetensors", "tiles.parquet"])
def test_what_is_no_file_is_refused_and_nobody_waits(model, tmp_path, name, kind):
    copy_model(model.folder, tmp_path / "copy")
    put_unreadable(tmp_path / "copy" / name, kind)
    assert name in " ".join(stored_model_problems(tmp_path / "copy"))
    with pytest.raises(ModelDamaged, match=name):
        copy_model(tmp_path / "copy", tmp_path / "second")


def test_a_model_cannot_name_files_elsewhere(model, tmp_path):
    """A stranger's description that names a path is no description."""
    copy_model(model.folder, tmp_path / "copy")
    outside = {"files": {"../secret": "0" * 64}}
    reseal(tmp_path / "copy" / "model.json", lambda content: content.update(outside))
    with pytest.raises(ModelDamaged, match="secret"):
        copy_model(tmp_path / "copy", tmp_path / "second")
