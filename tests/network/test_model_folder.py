"""The model folder: what is saved is loaded, and what is damaged is named."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from rsretrieve._core.atomic_write import sha256_of_json
from rsretrieve.data.preprocessing.preprocessing import Preprocessing
from rsretrieve.errors import ModelDamaged, ModelNotFound
from rsretrieve.network import model_folder
from rsretrieve.network.metadata import ModelDescription, read_description
from rsretrieve.network.model import PrototypeModel
from rsretrieve.network.model_folder import load_model
from rsretrieve.network.network import EmbeddingNetwork
from rsretrieve.network.prototypes import Prototypes
from rsretrieve.progress import EpochFinished
from rsretrieve.training.recipe import PAPER
from tests.support.indexes.resealed import reseal

CPU = torch.device("cpu")


@pytest.fixture
def trained(network: EmbeddingNetwork) -> PrototypeModel:
    return PrototypeModel(network, Prototypes(3, 8, 0.125))


@pytest.fixture
def description(preprocessing: Preprocessing) -> ModelDescription:
    return ModelDescription(
        backbone="squeezenet1_1",
        dimensions=8,
        preprocessing=preprocessing,
        class_names=("forest", "größe", "water"),
        recipe=PAPER.to_json(),
        training={"epochs": 3, "kept_fraction": 0.5},
        versions={"torch": "2"},
        weights_sha256="",
    )


@pytest.fixture
def folder(tmp_path: Path, trained: PrototypeModel, description: ModelDescription) -> Path:
    """A model folder."""
    sha256 = model_folder.write_weights(tmp_path, trained)
    model_folder.write_description(tmp_path, replace(description, weights_sha256=sha256))
    return tmp_path


def edited(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    reseal(folder / "model.json", change)


# Round trips


def test_a_description_is_read_as_it_was_written(
    folder: Path, description: ModelDescription
) -> None:
    read = read_description(folder)
    assert len(read.weights_sha256) == 64
    assert replace(read, weights_sha256="") == description
    assert ModelDescription.from_json(read.to_json()) == read


def test_the_description_holds_what_the_contract_names(folder: Path) -> None:
    content = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    assert list(content) == [
        "schema_version",
        "architecture",
        "preprocessing",
        "class_names",
        "recipe",
        "training",
        "versions",
        "weights_sha256",
        "files",
        "digest",
    ]
    assert content["schema_version"] == 2
    assert content["architecture"] == {"backbone": "squeezenet1_1", "dimensions": 8}
    assert content["preprocessing"]["statistics"]["mean"] == [100.0] * 3


def test_a_model_of_before_decodes_jpegs_whole_and_keeps_its_fingerprint(folder: Path) -> None:
    content = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    assert "reduced_jpeg" not in content["preprocessing"]
    edited(folder, lambda content: content.update(schema_version=1))
    of_before = read_description(folder)
    assert of_before.preprocessing.jpeg_px is None
    parts = ("architecture", "preprocessing", "weights_sha256")
    as_text = json.dumps({part: content[part] for part in parts}, sort_keys=True)
    assert sha256_of_json(json.loads(as_text)) == of_before.fingerprint
    reduced = replace(of_before, preprocessing=replace(of_before.preprocessing, reduced_jpeg=True))
    assert reduced.fingerprint != of_before.fingerprint
    assert ModelDescription.from_json(reduced.to_json()) == reduced


def test_a_loaded_model_embeds_as_the_saved_one(
    folder: Path, trained: PrototypeModel, pixels: NDArray[np.uint8]
) -> None:
    model = load_model(folder, CPU)
    saved = replace(model, network=trained.network)
    assert torch.equal(model.embedder().embed(pixels), saved.embedder().embed(pixels))
    assert (model.folder, model.device) == (folder, CPU)
    assert not model.network.training


def test_loaded_prototypes_are_unit_rows_at_the_saved_temperature(
    folder: Path, trained: PrototypeModel
) -> None:
    model = load_model(folder, CPU)
    assert model.prototypes.dtype == np.float32
    assert np.linalg.norm(model.prototypes, axis=1) == pytest.approx(np.ones(3), abs=1e-6)
    assert np.array_equal(model.prototypes, trained.prototypes.unit.detach().numpy())
    assert model.temperature == pytest.approx(0.125)


@pytest.mark.filterwarnings("ignore:Converting a tensor with requires_grad=True to a scalar")
def test_a_model_with_a_learned_temperature_is_loaded(
    tmp_path: Path, network: EmbeddingNetwork, description: ModelDescription
) -> None:
    learned = PrototypeModel(network, Prototypes(3, 8, 0.3, learn_temperature=True))
    sha256 = model_folder.write_weights(tmp_path, learned)
    model_folder.write_description(tmp_path, replace(description, weights_sha256=sha256))
    assert load_model(tmp_path, CPU).temperature == pytest.approx(0.3)


def test_a_model_gives_log_probabilities_of_tiles(trained: PrototypeModel) -> None:
    log_p = trained(torch.zeros(2, 3, 32, 32)).detach()
    assert log_p.exp().sum(dim=1).tolist() == pytest.approx([1, 1])


# The fingerprint


@pytest.mark.parametrize(
    "change",
    [
        {"backbone": "resnet18"},
        {"dimensions": 9},
        {"weights_sha256": "0"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_the_fingerprint_hangs_on_architecture_and_weights(
    description: ModelDescription, change: dict[str, Any]
) -> None:
    assert replace(description, **change).fingerprint != description.fingerprint


def test_the_fingerprint_hangs_on_the_preprocessing(description: ModelDescription) -> None:
    turned = replace(description.preprocessing, bands=(3, 2, 1))
    assert replace(description, preprocessing=turned).fingerprint != description.fingerprint


def test_the_fingerprint_hangs_on_nothing_else(description: ModelDescription) -> None:
    other = replace(description, class_names=("a",), recipe={}, training={}, versions={})
    assert other.fingerprint == description.fingerprint


def test_the_fingerprint_survives_json(folder: Path) -> None:
    read = read_description(folder)
    assert ModelDescription.from_json(json.loads(json.dumps(read.to_json()))).fingerprint == (
        read.fingerprint
    )


# Damage


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    message = re.escape(f"{tmp_path} has no model (model.json is missing)")
    with pytest.raises(ModelNotFound, match=f"^{message}$") as caught:
        load_model(tmp_path, CPU)
    assert "rsretrieve train" in caught.value.hint


def test_a_model_by_a_newer_version_is_refused(folder: Path) -> None:
    edited(folder, lambda content: content.update(schema_version=3))
    message = re.escape(
        f"{folder / 'model.json'} was written by a newer rsretrieve (schema 3; this one reads "
        "up to 2)"
    )
    with pytest.raises(ModelDamaged, match=f"^{message}$") as caught:
        load_model(folder, CPU)
    assert caught.value.hint == "pip install --upgrade rsretrieve"


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", '"text"', "{}", '{"schema_version": "2"}', "\xff"]
)
def test_a_description_that_is_none_is_refused(folder: Path, text: str) -> None:
    (folder / "model.json").write_bytes(text.encode("latin-1"))
    message = re.escape(f"{folder / 'model.json'} cannot be read as a model's description (")
    with pytest.raises(ModelDamaged, match=f"^{message}"):
        load_model(folder, CPU)


@pytest.mark.parametrize(
    "key",
    [
        "architecture",
        "preprocessing",
        "class_names",
        "recipe",
        "training",
        "versions",
        "weights_sha256",
        "schema_version",
    ],
)
@pytest.mark.medium
def test_a_description_that_lacks_a_part_is_refused(folder: Path, key: str) -> None:
    edited(folder, lambda content: content.pop(key))
    with pytest.raises(ModelDamaged, match=rf"description \('{key}'\)$"):
        load_model(folder, CPU)


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content.update(architecture=[]),
        lambda content: content["architecture"].update(dimensions="many"),
        lambda content: content["preprocessing"].update(bands=[1, 2, 7]),
        lambda content: content["preprocessing"]["statistics"].update(deviation=[0, 0, 0]),
        lambda content: content["preprocessing"].update(size_px=1),
    ],
)
def test_a_description_edited_into_nonsense_is_refused(
    folder: Path, change: Callable[[dict[str, Any]], object]
) -> None:
    edited(folder, change)
    with pytest.raises(ModelDamaged, match=r"cannot be read as a model's description"):
        load_model(folder, CPU)


def test_a_description_of_an_unknown_backbone_is_refused(folder: Path) -> None:
    edited(folder, lambda content: content["architecture"].update(backbone="ResNet50"))
    with pytest.raises(ModelDamaged, match=r"model\.json: no such backbone: 'ResNet50'$") as caught:
        load_model(folder, CPU)
    assert "resnet50" in caught.value.hint


@pytest.mark.parametrize(
    "name",
    [
        *("timm/hf-hub:timm/resnet18.a1_in1k", "timm/local-dir:/etc", "timm/../resnet18"),
        "levels-1m/timm/local-dir:/etc",
    ],
)
def test_a_description_that_names_an_address_is_refused(folder: Path, name: str) -> None:
    edited(folder, lambda content: content["architecture"].update(backbone=name))
    with pytest.raises(ModelDamaged, match="no such backbone"):
        load_model(folder, CPU)


@pytest.mark.medium
@pytest.mark.parametrize("levels", ["", "levels-3ms/"])
def test_a_huge_backbone_of_a_small_file_is_refused_before_it_takes_memory(
    folder: Path, levels: str
) -> None:
    name = f"{levels}timm/vit_7b_patch16_dinov3"
    edited(folder, lambda content: content["architecture"].update(backbone=name))
    with pytest.raises(ModelDamaged, match=r"7b_patch16_dinov3 has 6,7\d\d,\d{3},\d{3} parameters"):
        load_model(folder, CPU)


def test_weights_that_do_not_fit_the_description_are_refused(folder: Path) -> None:
    edited(folder, lambda content: content["class_names"].append("one more"))
    message = rf"^{re.escape(str(folder / 'model.safetensors'))} does not fit model\.json \("
    with pytest.raises(ModelDamaged, match=message):
        load_model(folder, CPU)


def test_a_model_that_finds_no_memory_is_not_called_damaged(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def greedy(_: Path) -> None:
        raise RuntimeError("[enforce fail at alloc_cpu.cpp] can't allocate memory: you tried")

    monkeypatch.setattr(torch, "from_numpy", greedy)
    with pytest.raises(RuntimeError, match="can't allocate memory"):
        load_model(folder, CPU)


def test_edited_weights_are_refused(folder: Path) -> None:
    path = folder / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    message = re.escape(f"{path} is not the file that model.json describes (its SHA-256 differs)")
    with pytest.raises(ModelDamaged, match=f"^{message}$") as caught:
        load_model(folder, CPU)
    assert caught.value.hint == "copy the model folder again, or train the model again"


@pytest.mark.parametrize("kept_bytes", [0, 1000])
def test_weights_cut_short_are_refused(folder: Path, kept_bytes: int) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:kept_bytes])
    with pytest.raises(ModelDamaged, match=r"its SHA-256 differs"):
        load_model(folder, CPU)


def test_missing_weights_are_refused(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.unlink()
    with pytest.raises(ModelDamaged, match=f"^{re.escape(str(path))} cannot be read"):
        load_model(folder, CPU)


def test_weights_that_are_no_safetensors_are_refused_though_described(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(b"no tensors")
    sha256 = model_folder.sha256_of_file(path)
    edited(folder, lambda content: content.update(weights_sha256=sha256))
    with pytest.raises(ModelDamaged, match=f"^{re.escape(str(path))} cannot be read"):
        load_model(folder, CPU)


# What lies beside


def test_the_history_is_a_row_an_epoch(tmp_path: Path) -> None:
    first = EpochFinished(1, 2, 0.1, 1.5, 1.0, 0.0, 0.05, None, 2.0, 30.0)
    model_folder.write_history(tmp_path, [first, replace(first, epoch=2, validation_accuracy=0.5)])
    assert (tmp_path / "history.csv").read_text(encoding="utf-8") == (
        "epoch,epochs,learning_rate,loss,kept_fraction,relabelled_fraction,temperature,"
        "validation_accuracy,seconds,"
        "tiles_per_second\n"
        "1,2,0.1,1.5,1.0,0.0,0.05,,2.0,30.0\n"
        "2,2,0.1,1.5,1.0,0.0,0.05,0.5,2.0,30.0\n"
    )
