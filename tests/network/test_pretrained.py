"""Pre-trained weights: found, unwrapped, adapted to bands and sizes, or refused with a reason."""

from __future__ import annotations

import argparse
import pickle
import re
from pathlib import Path
from urllib.error import URLError

import pytest
import torch
import torchvision
from safetensors.torch import save_file
from torch import Tensor, nn

from rsretrieve.errors import InvalidArgument, WeightsError
from rsretrieve.network import pretrained
from rsretrieve.network.backbones.input_bands import InputBands
from rsretrieve.network.network import EmbeddingNetwork, build_network, outline_network
from rsretrieve.network.pretrained import (
    WeightsReport,
    adapt_bands,
    check_weights,
    fit_weights,
    load_weights,
)

NAME = "squeezenet1_1"
TENSORS = 50  # of SqueezeNet 1.1 without its classifying layer: 25 layers with weight and bias


def fresh(bands: int = 3) -> EmbeddingNetwork:
    return build_network(NAME, bands=bands, size_px=32, dimensions=8)


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    """Weights by torchvision's names, classifying layer included."""
    torch.manual_seed(1)
    return dict(torchvision.models.get_model(NAME, weights=None).state_dict())


def holds(network: EmbeddingNetwork, state: dict[str, Tensor]) -> bool:
    own = network.backbone.state_dict()
    return all(torch.equal(value, state[key]) for key, value in own.items())


def prefixed(prefix: str, state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {prefix + key: value for key, value in state.items()}


# Files


def test_safetensors_files_are_read(tmp_path: Path, state: dict[str, Tensor]) -> None:
    path, network = tmp_path / "backbone.safetensors", fresh()
    save_file(state, path)
    report = load_weights(network, NAME, str(path))
    assert report == WeightsReport(str(path), TENSORS, TENSORS)
    assert str(report) == f"weights {path}: 50 of 50 tensors matched"
    assert holds(network, state)


@pytest.mark.parametrize(
    "wrapping", [None, "state_dict", "model_state_dict", "model", "state_dict_ema", "teacher"]
)
@pytest.mark.parametrize(
    "prefix", ["", "module.", "backbone.", "model.", "model.backbone.", "module.encoder_q."]
)
@pytest.mark.medium
def test_pth_files_are_read_out_of_their_wrappings(
    tmp_path: Path, state: dict[str, Tensor], wrapping: str | None, prefix: str
) -> None:
    content = prefixed(prefix, state)
    torch.save(content if wrapping is None else {wrapping: content, "epoch": 3}, tmp_path / "w.pth")
    network = fresh()
    assert load_weights(network, NAME, str(tmp_path / "w.pth")).matched == TENSORS
    assert holds(network, state)


def test_of_several_networks_in_a_file_the_first_is_taken_and_it_is_said(
    tmp_path: Path, state: dict[str, Tensor]
) -> None:
    other = {key: torch.zeros_like(value) for key, value in state.items()}
    content = prefixed("module.encoder_q.", state) | prefixed("module.encoder_k.", other)
    torch.save({"state_dict": content}, tmp_path / "w.pth")
    network = fresh()
    report = load_weights(network, NAME, str(tmp_path / "w.pth"))
    assert "several networks, and that of module.encoder_q.*" in report.remark
    assert holds(network, state)


def test_options_of_a_training_program_beside_the_weights_do_no_harm(
    tmp_path: Path, state: dict[str, Tensor]
) -> None:
    content = {"model": state, "args": argparse.Namespace(lr=0.1)}
    torch.save(content, tmp_path / "w.pth")
    assert load_weights(fresh(), NAME, str(tmp_path / "w.pth")).matched == TENSORS


def test_a_wrapping_inside_a_wrapping_is_opened(tmp_path: Path, state: dict[str, Tensor]) -> None:
    torch.save({"state_dict": {"model": state}}, tmp_path / "w.pth")
    assert load_weights(fresh(), NAME, str(tmp_path / "w.pth")).matched == TENSORS


def test_the_projection_is_left_as_it_is(state: dict[str, Tensor]) -> None:
    network = fresh()
    before = network.projection.weight.clone()
    fit_weights(network, state, "here")
    assert torch.equal(network.projection.weight, before)


def test_weights_given_are_not_changed_by_adapting_them(state: dict[str, Tensor]) -> None:
    before = {key: value.clone() for key, value in state.items()}
    fit_weights(fresh(bands=5), state, "here")
    assert all(torch.equal(value, before[key]) for key, value in state.items())


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "nowhere.pth"
    message = re.escape(f"--weights {path}: no such file")
    with pytest.raises(WeightsError, match=f"^{message}$") as caught:
        load_weights(fresh(), NAME, str(path))
    assert caught.value.hint == (
        "give imagenet, none, a .safetensors or .pth file, or a model folder"
    )


@pytest.mark.parametrize("name", ["w.pth", "w.safetensors", "w"])
@pytest.mark.parametrize("content", [b"", b"garbage" * 100], ids=["empty", "garbage"])
def test_garbage_is_refused(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    message = re.escape(f"--weights {tmp_path / name}: cannot be read as weights (")
    with pytest.raises(WeightsError, match=f"^{message}"):
        load_weights(fresh(), NAME, str(tmp_path / name))


def test_a_pth_file_cut_short_is_refused(tmp_path: Path, state: dict[str, Tensor]) -> None:
    path = tmp_path / "w.pth"
    torch.save(state, path)
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(WeightsError, match=r"cannot be read as weights"):
        load_weights(fresh(), NAME, str(path))


@pytest.mark.parametrize("content", [[1, 2], 7, "text"], ids=str)
def test_a_pth_file_without_a_table_of_tensors_is_refused(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "w.pth")
    with pytest.raises(WeightsError, match=r"no named tensors"):
        load_weights(fresh(), NAME, str(tmp_path / "w.pth"))


class Intruder:
    """What a malicious file holds: a call that unpickling would make."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.trace,)


@pytest.mark.parametrize("plain", [False, True], ids=["torch archive", "bare pickle"])
def test_code_in_a_pth_file_is_refused_and_never_runs(tmp_path: Path, plain: bool) -> None:
    path, trace = tmp_path / "w.pth", tmp_path / "trace"
    if plain:
        path.write_bytes(pickle.dumps(Intruder(trace), protocol=2))
    else:
        torch.save({"features": Intruder(trace)}, path)
    with pytest.raises(WeightsError, match=r"cannot be read as weights"):
        load_weights(fresh(), NAME, str(path))
    assert not trace.exists()


# What fits


def test_weights_of_another_backbone_are_refused(state: dict[str, Tensor]) -> None:
    network = build_network("resnet18", bands=3, size_px=32, dimensions=8)
    message = "weights here: 0 of 100 tensors matched; at least nine tenths are needed"
    with pytest.raises(WeightsError, match=f"^{message}$") as caught:
        fit_weights(network, state, "here")
    assert "weights of this --backbone" in caught.value.hint


@pytest.mark.parametrize(("missing", "enough"), [(5, True), (6, False)])
def test_nine_tenths_of_the_tensors_are_enough(
    state: dict[str, Tensor], missing: int, enough: bool
) -> None:
    keys = [key for key in state if not key.startswith("classifier")]
    part = {key: state[key] for key in keys[missing:]}
    if enough:
        assert fit_weights(fresh(), part, "here").matched == TENSORS - missing
    else:
        with pytest.raises(WeightsError, match=r"^weights here: 44 of 50 tensors matched"):
            fit_weights(fresh(), part, "here")


@pytest.mark.parametrize("bands", [1, 3, 6])
def test_weights_are_checked_without_a_network_of_values(
    tmp_path: Path, state: dict[str, Tensor], monkeypatch: pytest.MonkeyPatch, bands: int
) -> None:
    file = str(tmp_path / "w.safetensors")
    save_file(state, file)
    made = []

    def outline(*names: str, **sizes: int) -> EmbeddingNetwork:
        made.append(outline_network(*names, **sizes))
        return made[-1]

    monkeypatch.setattr(pretrained, "outline_network", outline)
    check_weights(NAME, file, size_px=32, bands=bands)
    with pytest.raises(WeightsError, match="0 of 100 tensors matched"):
        check_weights("resnet18", file, size_px=32, bands=bands)
    assert all(p.is_meta for network in made for p in network.parameters())
    with pytest.raises(InvalidArgument, match="cannot take tiles of 16 px"):
        check_weights(NAME, "none", size_px=16)


def test_a_network_that_needs_values_is_built_with_them(monkeypatch: pytest.MonkeyPatch) -> None:
    made = torchvision.models.get_model

    def valued(name: str, **options: object) -> nn.Module:
        assert float(torch.ones(1)) == 1  # fails without values
        return made(name, **options)

    monkeypatch.setattr(torchvision.models, "get_model", valued)
    network = outline_network(NAME, bands=3, size_px=32)
    assert not any(p.is_meta for p in network.parameters())


def test_a_refusal_leaves_the_network_as_it_was(state: dict[str, Tensor]) -> None:
    network = fresh()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    with pytest.raises(WeightsError, match=r"nine tenths"):
        fit_weights(network, {"features.0.weight": state["features.0.weight"]}, "here")
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())


def test_tensors_of_another_shape_do_not_count(state: dict[str, Tensor]) -> None:
    odd = {key: torch.zeros(2, 2) for key in state}
    with pytest.raises(WeightsError, match=r"0 of 50 tensors matched"):
        fit_weights(fresh(), odd, "here")


def test_batch_counters_of_batch_norm_are_not_asked_for() -> None:
    network = build_network("resnet18", bands=3, size_px=32, dimensions=8)
    own = network.backbone.state_dict()
    part = {key: value for key, value in own.items() if not key.endswith("num_batches_tracked")}
    assert fit_weights(network, part, "here") == WeightsReport("here", 100, 100)


# Bands


@pytest.mark.parametrize("bands", [1, 2, 4, 5, 6, 13])
def test_a_tile_alike_in_every_band_excites_the_first_layer_as_before(bands: int) -> None:
    torch.manual_seed(0)
    weight, grey = torch.randn(8, 3, 5, 5), torch.randn(1, 1, 9, 9)
    before = nn.functional.conv2d(grey.repeat(1, 3, 1, 1), weight)
    adapted = adapt_bands(weight, bands)
    after = nn.functional.conv2d(grey.repeat(1, bands, 1, 1), adapted)
    assert adapted.shape == (8, bands, 5, 5)
    torch.testing.assert_close(after, before, rtol=1e-4, atol=1e-4)


def test_bands_are_filtered_by_the_three_filters_in_turn() -> None:
    weight = torch.tensor([1.0, 2.0, 3.0]).view(1, 3, 1, 1)
    scaled = [x * 3 / 5 for x in (1, 2, 3, 1, 2)]
    missing = (6 - sum(scaled)) / 5
    expected = [x + missing for x in scaled]
    assert adapt_bands(weight, 5).flatten().tolist() == pytest.approx(expected)


@pytest.mark.parametrize("bands", [1, 2, 4, 5])
def test_the_response_to_a_grey_tile_stays_whatever_the_number_of_bands(bands: int) -> None:
    weight = torch.tensor([1.0, 2.0, 3.0]).view(1, 3, 1, 1)
    assert adapt_bands(weight, bands).sum().item() == pytest.approx(6.0)


def test_three_band_weights_are_adapted_to_more_bands(state: dict[str, Tensor]) -> None:
    network = fresh(bands=5)
    assert fit_weights(network, state, "here").matched == TENSORS
    first = network.backbone.state_dict()["features.0.weight"]
    assert torch.allclose(first, adapt_bands(state["features.0.weight"], 5))


# Position embeddings


@pytest.fixture(scope="module")
def vit() -> EmbeddingNetwork:
    """A vision transformer for five bands and tiles of 64 px, which are 2 × 2 patches."""
    return build_network("vit_b_32", bands=5, size_px=64, dimensions=8)


def vit_state(vit: EmbeddingNetwork, patches: int) -> dict[str, Tensor]:
    """Weights by torchvision's names for three bands and so many patches; positions are ones."""
    state = dict(vit.backbone.state_dict())
    state["conv_proj.weight"] = torch.ones(768, 3, 32, 32)
    state["encoder.pos_embedding"] = torch.ones(1, 1 + patches, 768)
    return state


@pytest.mark.medium
def test_a_vision_transformer_takes_any_bands_and_sizes_of_its_patches(
    vit: EmbeddingNetwork,
) -> None:
    with torch.inference_mode():
        embeddings = vit(torch.randn(2, 5, 64, 64))
    assert embeddings.shape == (2, 8)
    assert embeddings.norm(dim=1).tolist() == pytest.approx([1, 1], abs=1e-5)


def test_position_embeddings_are_interpolated_to_the_size(vit: EmbeddingNetwork) -> None:
    report = fit_weights(vit, vit_state(vit, patches=7 * 7), "here")
    assert report.matched == report.wanted
    positions = vit.backbone.state_dict()["encoder.pos_embedding"]
    assert positions.shape == (1, 1 + 2 * 2, 768)
    torch.testing.assert_close(positions, torch.ones_like(positions))
    assert vit.backbone.state_dict()["conv_proj.weight"].shape == (768, 5, 32, 32)


def test_position_embeddings_of_no_square_are_refused(vit: EmbeddingNetwork) -> None:
    with pytest.raises(WeightsError):
        fit_weights(vit, vit_state(vit, patches=50), "here")


# ImageNet


def test_imagenet_weights_come_from_torchvision(
    monkeypatch: pytest.MonkeyPatch, state: dict[str, Tensor]
) -> None:
    stored = torchvision.models.get_model(NAME, weights=None)
    stored.load_state_dict(state)
    asked: list[object] = []

    def download(name: str, **arguments: object) -> nn.Module:
        asked.append((name, arguments["weights"]))
        return stored

    network = fresh()
    monkeypatch.setattr(torchvision.models, "get_model", download)
    assert load_weights(network, NAME, "imagenet") == WeightsReport("imagenet", TENSORS, TENSORS)
    assert asked == [(NAME, torchvision.models.SqueezeNet1_1_Weights.DEFAULT)]
    assert holds(network, state)


@pytest.mark.parametrize(
    "error", [URLError("no route"), OSError("disk full"), RuntimeError("hash")]
)
def test_imagenet_weights_that_cannot_be_had_tell_what_to_do(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    get_model = torchvision.models.get_model

    def offline(name: str, *, weights: object, **others: object) -> nn.Module:
        if weights is not None:
            raise error
        return get_model(name, weights=None, **others)

    monkeypatch.setattr(torchvision.models, "get_model", offline)
    message = re.escape(f"the ImageNet weights of {NAME} could not be downloaded ({error})")
    with pytest.raises(WeightsError, match=f"^{message}$") as caught:
        check_weights(NAME, "imagenet", size_px=32, otherwise="start without them")
    assert "squeezenet1_1-b8a52dc0.pth" in caught.value.hint
    assert "--weights FILE" in caught.value.hint
    assert caught.value.hint.endswith("; or start without them")
    assert "none" not in caught.value.hint


# Bands of the weights


def first_layer(network: EmbeddingNetwork) -> Tensor:
    return network.backbone.state_dict()["features.0.weight"]


@pytest.mark.parametrize("bands", [(4, 3, 2), (13, 1), (2,)])
def test_bands_are_picked_from_weights_of_all_bands(
    state: dict[str, Tensor], bands: tuple[int, ...]
) -> None:
    torch.manual_seed(3)
    many = torch.randn(64, 13, 3, 3)
    network = fresh(bands=len(bands))
    given = {**state, "features.0.weight": many}
    report = fit_weights(network, given, "here", InputBands(bands, 13))
    for channel, band in enumerate(bands):
        assert torch.equal(first_layer(network)[:, channel], many[:, band - 1])
    assert ",".join(map(str, bands)) in str(report)


def test_bands_of_a_model_are_found_by_their_numbers(state: dict[str, Tensor]) -> None:
    network = fresh()
    inputs = InputBands((8, 2, 3), 13, trained=(2, 3, 8))
    report = fit_weights(network, state, "here", inputs)
    assert torch.equal(first_layer(network), state["features.0.weight"][:, [2, 0, 1]])
    assert "8,2,3" in report.remark


def test_weights_of_the_same_bands_have_no_remark(state: dict[str, Tensor]) -> None:
    for inputs in (
        None,
        InputBands((1, 2, 3), 3),
        InputBands((3, 2, 1), 3),  # the tiles are blue, green, red
        InputBands((2, 3, 8), 13, trained=(2, 3, 8)),
    ):
        network = fresh()
        assert fit_weights(network, state, "here", inputs).remark == ""
        assert torch.equal(first_layer(network), state["features.0.weight"])


@pytest.mark.parametrize(
    ("bands", "inputs", "words"),
    [
        (6, InputBands((1, 2, 3, 4, 5, 6), 6), "adapted from 3 to 6"),
        (1, InputBands((1,), 1), "adapted from 3 to 1"),
        (3, InputBands((8, 4, 3), 13), "red, green, blue"),
        (3, InputBands((5, 6, 7), 13, trained=(2, 3, 4)), "2,3,4"),
    ],
)
def test_weights_of_other_bands_say_so(
    state: dict[str, Tensor], bands: int, inputs: InputBands, words: str
) -> None:
    report = fit_weights(fresh(bands), state, "here", inputs)
    assert words in str(report)
    assert report.matched == TENSORS
