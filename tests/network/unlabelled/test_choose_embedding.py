"""Which embedding is chosen, and that it is a model folder like any other."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from rsretrieve.data.preprocessing.preprocessing import BandStatistics, Preprocessing
from rsretrieve.data.run_context import RunContext
from rsretrieve.data.tile import Tile, TileSet
from rsretrieve.errors import InvalidArgument, ModelDamaged, NoUsableTiles, WeightsError
from rsretrieve.network.device import Precision
from rsretrieve.network.embedder import Embedder
from rsretrieve.network.metadata import ModelFolder, changed_files, read_description
from rsretrieve.network.model_folder import load_model
from rsretrieve.network.network import build_network
from rsretrieve.network.runtime.graph import load_graph_model
from rsretrieve.network.shipped.shipped_models import shipped_path
from rsretrieve.network.tensor_io import write_tensors
from rsretrieve.network.unlabelled import choose_embedding
from rsretrieve.network.unlabelled.choose_embedding import (
    EmbeddingRequest,
    Method,
    choose,
    embedding_for,
    imagenet_is_cached,
)
from rsretrieve.progress import Noticed
from tests.support.indexes.resealed import reseal

CPU = torch.device("cpu")
NOTHING = EmbeddingRequest()


@pytest.fixture(autouse=True)
def no_weights_here(tmp_path, monkeypatch):
    """Nothing is in torchvision's cache, and no model is shipped."""
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    monkeypatch.setattr(choose_embedding, "shipped_path", lambda name: None)


def measured(bands, dtype):
    numbers = (1.0,) * bands
    statistics = BandStatistics(numbers, numbers, (0.0,) * bands, numbers)
    return Preprocessing(32, bands, tuple(range(1, bands + 1)), dtype, statistics)


def made(tiles, request, folder):
    """The model, and what was said."""
    said = []
    folder.mkdir(parents=True)
    model = embedding_for(tiles, request, folder, CPU, RunContext(listener=said.append))
    return model, " ".join(event.text for event in said if isinstance(event, Noticed))


@pytest.fixture
def weights(tmp_path):
    """Weights of a small network."""
    torch.manual_seed(0)
    network = build_network("squeezenet1_1", bands=3, size_px=128, dimensions=4)
    write_tensors(tmp_path / "weights.safetensors", network.backbone.state_dict())
    return tmp_path / "weights.safetensors"


@pytest.mark.parametrize(("bands", "dtype"), [(6, "uint16"), (1, "uint8"), (3, "uint16")])
def test_other_tiles_than_rgb_get_random_convolutions(bands, dtype):
    choice = choose(measured(bands, dtype), NOTHING)
    assert choice.method is Method.RANDOM
    assert f"{bands} band" in choice.reason
    assert dtype in choice.reason


def test_rgb_tiles_take_what_this_machine_has(tmp_path, monkeypatch):
    rgb = measured(3, "uint8")
    choice = choose(rgb, NOTHING)
    assert choice.method is Method.RANDOM
    assert "--weights imagenet" in choice.reason
    cached = tmp_path / "hub" / "checkpoints" / "mobilenet_v2-7ebf99e0.pth"
    cached.parent.mkdir(parents=True)
    cached.touch()
    assert imagenet_is_cached("mobilenet_v2")
    assert choose(rgb, NOTHING).method is Method.FROZEN
    monkeypatch.setattr(choose_embedding, "shipped_path", lambda name: tmp_path / name)
    choice = choose(rgb, NOTHING)
    assert (choice.method, choice.folder) == (Method.SHIPPED, tmp_path / "default")
    assert choose(measured(6, "uint16"), NOTHING).method is Method.RANDOM
    assert choose(rgb, EmbeddingRequest("imagenet")).method is Method.FROZEN


@pytest.mark.medium
def test_random_convolutions_are_a_model_folder_like_any_other(six_band_tiles, tmp_path):
    model, said = made(six_band_tiles, NOTHING, tmp_path / "m")
    description = read_description(tmp_path / "m")
    assert description.class_names == ()
    assert description.fingerprint[:12] in said
    assert "random convolutional features" in said
    assert "6 bands of uint16" in said
    assert changed_files(ModelFolder(tmp_path / "m", description)) == ()
    names = {path.name for path in (tmp_path / "m").iterdir()}
    assert names == {"model.json", "model.safetensors", "network.onnx", "README.md"}
    pixels = np.random.default_rng(0).integers(0, 4000, (3, 6, 64, 64), dtype=np.uint16)
    graph = load_graph_model(ModelFolder(tmp_path / "m", description))
    expected = model.embedder().vectors(pixels)
    np.testing.assert_allclose(graph.embedder().vectors(pixels), expected, atol=1e-4)
    np.testing.assert_allclose(np.linalg.norm(expected, axis=1), 1, rtol=1e-5)


@pytest.mark.medium
def test_an_embedding_can_be_made_again(six_band_tiles, tmp_path):
    one, _ = made(six_band_tiles, NOTHING, tmp_path / "1")
    same, _ = made(six_band_tiles, NOTHING, tmp_path / "2")
    other, _ = made(six_band_tiles, EmbeddingRequest(seed=1), tmp_path / "3")
    assert one.description.fingerprint == same.description.fingerprint
    assert one.description.fingerprint != other.description.fingerprint


@pytest.mark.medium
def test_it_finds_the_class_of_most_tiles(six_band_tiles, tmp_path):
    """Neighbours agree more often than chance, though no label was used."""
    from rsretrieve.index.embed_tiles import embed_tiles

    model, _ = made(six_band_tiles, NOTHING, tmp_path / "m")
    found = embed_tiles(model, six_band_tiles, RunContext())
    likeness = found.vectors @ found.vectors.T
    np.fill_diagonal(likeness, -2)
    labels = np.array([tile.label for tile in found.tiles])
    assert (labels[likeness.argmax(axis=1)] == labels).mean() > 0.6


@pytest.mark.medium
def test_frozen_features_are_centred_and_say_their_weights(tiles, weights, tmp_path):
    request = EmbeddingRequest(str(weights), "squeezenet1_1")
    model, said = made(tiles, request, tmp_path / "m")
    assert "weights.safetensors" in said
    assert "squeezenet1_1" in said
    vectors = model.embedder().vectors(
        np.random.default_rng(0).integers(0, 256, (4, 3, 128, 128), dtype=np.uint8)
    )
    assert vectors.shape == (4, model.description.dimensions)
    assert model.description.recipe["method"] == "frozen features"


@pytest.mark.medium
def test_frozen_features_take_other_bands(six_band_tiles, weights, tmp_path):
    request = EmbeddingRequest(str(weights), "squeezenet1_1")
    model, said = made(six_band_tiles, request, tmp_path / "m")
    assert "adapted from 3 to 6 bands" in said
    assert model.description.preprocessing.bands == (1, 2, 3, 4, 5, 6)


@pytest.fixture
def rgb_tiles(tmp_path):
    """Twelve tiles of 8-bit RGB: four of each of three textures."""
    random = np.random.default_rng(0)
    found = []
    for number in range(12):
        grain = (1, 8, 32)[number % 3]
        coarse = random.integers(0, 256, (64 // grain, 64 // grain, 3), dtype=np.uint8)
        pixels = coarse.repeat(grain, axis=0).repeat(grain, axis=1)
        path = tmp_path / "rgb" / f"{number:02}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(pixels).save(path)
        found.append(Tile(path.name, str(path), str(number % 3)))
    return TileSet("rgb", tuple(found), folders=(str(tmp_path / "rgb"),))


@pytest.mark.medium
def test_rgb_tiles_get_the_shipped_model_with_components_of_their_own(
    rgb_tiles, tmp_path, monkeypatch
):
    source = shipped_path("default")
    monkeypatch.setattr(choose_embedding, "shipped_path", lambda name: source)
    few, said = made(rgb_tiles, NOTHING, tmp_path / "1")
    assert few.folder == source
    assert "the model default" in said
    assert "fitted" not in said
    monkeypatch.setattr(choose_embedding, "ENOUGH_TILES", 12)
    fitted, said = made(rgb_tiles, NOTHING, tmp_path / "2")
    assert "fitted to 12 of these tiles" in said
    assert fitted.description.fingerprint != few.description.fingerprint
    assert fitted.description.recipe["model"] == few.description.fingerprint
    assert fitted.description.recipe["tiles"] == 12
    folder = ModelFolder(tmp_path / "2", read_description(tmp_path / "2"))
    assert changed_files(folder) == ()
    # Few tiles have few components: the graph of the shipped model does not fit.
    assert fitted.description.dimensions < few.description.dimensions
    graph = load_graph_model(folder)
    pixels = np.random.default_rng(1).integers(0, 256, (2, 3, 128, 128), dtype=np.uint8)
    exact = Embedder(fitted.network, folder.description.preprocessing, CPU, Precision.FLOAT32)
    np.testing.assert_allclose(graph.embedder().vectors(pixels), exact.vectors(pixels), atol=1e-3)


def test_unknown_names_are_refused_before_a_tile_is_read(tmp_path):
    nothing = TileSet("none", (Tile("a", str(tmp_path / "a.tif")),))
    with pytest.raises(WeightsError, match="no such"):
        made(nothing, EmbeddingRequest(str(tmp_path / "no.pth")), tmp_path / "1")
    with pytest.raises(NoUsableTiles):
        made(nothing, NOTHING, tmp_path / "2")


@pytest.mark.medium
def test_one_tile_is_enough(six_band_tiles, tmp_path):
    one = six_band_tiles.select([0])
    model, _ = made(one, NOTHING, tmp_path / "m")
    assert model.description.dimensions >= 1


@pytest.mark.medium
def test_a_description_that_asks_for_more_filters_than_the_file_has_is_refused(
    six_band_tiles, tmp_path
):
    made(six_band_tiles, NOTHING, tmp_path / "m")
    architecture = {"backbone": "random-convolutions-9999", "dimensions": 63}
    reseal(tmp_path / "m" / "model.json", lambda content: content.update(architecture=architecture))
    with pytest.raises(ModelDamaged, match=r"convolutions\.0"):
        load_model(tmp_path / "m", CPU)


def test_the_request_says_whether_a_network_was_asked_for():
    assert not NOTHING.is_frozen
    assert EmbeddingRequest(backbone="resnet18").is_frozen
    assert replace(NOTHING, weights="imagenet").is_frozen
    with pytest.raises(InvalidArgument, match="no such backbone"):
        build_network("random-convolutions-x", bands=3, size_px=32, dimensions=2)
