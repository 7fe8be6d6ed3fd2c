"""A model's graph embeds as its network does; that of a stranger is checked before it runs."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import load_file
from torch import nn

from rsretrieve._core.atomic_write import sha256_of_file
from rsretrieve.data.preprocessing.preprocessing import BandStatistics, Preprocessing
from rsretrieve.errors import DeviceUnavailable, ModelDamaged
from rsretrieve.network import model_folder
from rsretrieve.network.device import Precision
from rsretrieve.network.embedder import Embedder
from rsretrieve.network.metadata import GRAPH_FILE, ModelDescription, ModelFolder
from rsretrieve.network.model import Model, PrototypeModel
from rsretrieve.network.network import EmbeddingNetwork, build_network
from rsretrieve.network.prototypes import Prototypes
from rsretrieve.network.runtime.graph import GraphModel, load_graph_model, open_embedding_model
from rsretrieve.network.runtime.graph_export import export_graph, graph_with_weights
from rsretrieve.training.recipe import PAPER
from tests.support.indexes.resealed import reseal_model

CPU = torch.device("cpu")
BACKBONES = {"resnet18": 3, "shufflenet_v2_x0_5": 6, "swin_v2_t": 2}
SIZE_PX, DIMENSIONS = 32, 8


def preprocessing_of(bands: int) -> Preprocessing:
    statistics = BandStatistics((900.0,) * bands, (300.0,) * bands, (0.0,) * bands, (4e3,) * bands)
    return Preprocessing(SIZE_PX, bands, tuple(range(1, bands + 1)), "uint16", statistics)


def write_model(folder: Path, name: str, network: EmbeddingNetwork, bands: int) -> ModelFolder:
    """A model folder with a graph."""
    folder.mkdir(exist_ok=True)
    model = PrototypeModel(network.eval(), Prototypes(2, DIMENSIONS, 0.125))
    sha256 = model_folder.write_weights(folder, model)
    export = model_folder.write_graph(folder, network, preprocessing_of(bands))
    assert export.graph is not None, export.cause
    description = ModelDescription(
        backbone=name,
        dimensions=DIMENSIONS,
        preprocessing=preprocessing_of(bands),
        class_names=("forest", "water"),
        recipe=PAPER.to_json(),
        training={},
        versions={},
        weights_sha256=sha256,
    )
    model_folder.write_description(folder, description)
    model_folder.seal_folder(folder)
    return ModelFolder.read(folder)


def pixels_of(tiles: int, bands: int) -> NDArray[np.uint16]:
    shape = (tiles, bands, SIZE_PX, SIZE_PX)
    return np.random.default_rng(0).integers(0, 4000, shape, dtype=np.uint16)


@pytest.mark.medium
@pytest.mark.parametrize(
    "name",
    ["resnet18", "shufflenet_v2_x0_5", pytest.param("swin_v2_t", marks=pytest.mark.exhaustive)],
)
def test_a_graph_embeds_as_the_network_does(name: str, tmp_path: Path) -> None:
    bands = BACKBONES[name]
    network = build_network(name, bands=bands, size_px=SIZE_PX, dimensions=DIMENSIONS)
    folder = write_model(tmp_path, name, network, bands)
    pixels = pixels_of(5, bands)
    before = pixels.copy()
    graph = load_graph_model(folder)
    embedder = graph.embedder()
    found = embedder.vectors(pixels)
    expected = Embedder(network, folder.description.preprocessing, CPU, Precision.FLOAT32)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected.vectors(pixels), rtol=0, atol=2e-5)
    np.testing.assert_array_equal(embedder.vectors(pixels[2:3]), found[2:3])
    np.testing.assert_array_equal(pixels, before)
    assert graph.device_name == "cpu"


@pytest.mark.medium
def test_weights_of_half_precision_stay_so_in_their_file_and_embed_alike(tmp_path: Path) -> None:
    network = build_network("resnet18", bands=3, size_px=SIZE_PX, dimensions=DIMENSIONS)
    with torch.no_grad():
        for layer in network.modules():
            if isinstance(layer, nn.Conv2d):
                layer.weight.copy_(layer.weight.half().float())
    model = PrototypeModel(network.eval(), Prototypes(2, DIMENSIONS, 0.125))
    sha256 = model_folder.write_weights(tmp_path, model, compact=True)
    weights = tmp_path / model_folder.WEIGHTS_FILE
    assert load_file(weights)["network.backbone.conv1.weight"].dtype == np.float16
    export = model_folder.write_graph(tmp_path, network, preprocessing_of(3))
    assert export.graph is not None, export.cause
    description = ModelDescription(
        *("resnet18", DIMENSIONS, preprocessing_of(3), ("forest", "water"), PAPER.to_json()),
        *({}, {}, sha256),
    )
    model_folder.write_description(tmp_path, description)
    model_folder.seal_folder(tmp_path)
    pixels = pixels_of(4, 3)
    found = load_graph_model(ModelFolder.read(tmp_path)).embedder().vectors(pixels)
    expected = Embedder(network, preprocessing_of(3), CPU, Precision.FLOAT32).vectors(pixels)
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-5)
    loaded = model_folder.load_model(tmp_path, CPU).network
    assert loaded.state_dict()["backbone.conv1.weight"].dtype == torch.float32
    again = Embedder(loaded, preprocessing_of(3), CPU, Precision.FLOAT32).vectors(pixels)
    np.testing.assert_array_equal(again, expected)


@pytest.mark.medium
def test_a_graph_can_take_the_weights_of_a_network_of_the_same_layers(tmp_path: Path) -> None:
    networks = [
        build_network("resnet18", bands=3, size_px=SIZE_PX, dimensions=count)
        for count in (DIMENSIONS, DIMENSIONS, DIMENSIONS + 1)
    ]
    first = write_model(tmp_path / "0", "resnet18", networks[0], 3)
    graph = (first.folder / GRAPH_FILE).read_bytes()
    for number, network in enumerate(networks[1:], start=1):
        folder = tmp_path / str(number)
        folder.mkdir()
        prototypes = Prototypes(2, network.projection.out_features, 0.125)
        model_folder.write_weights(folder, PrototypeModel(network, prototypes))
    weights = [tmp_path / name / model_folder.WEIGHTS_FILE for name in "12"]
    export = export_graph(networks[1], preprocessing_of(3), weights[0])
    assert graph_with_weights(graph, weights[0]) == export.graph
    with pytest.raises(ValueError, match="projection"):
        graph_with_weights(graph, weights[1])


class Layers(nn.Module):
    """A backbone of a few layers, all of a kind that batch norm and pooling go with."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.norm(self.layer(pixels)).relu().mean(dim=(2, 3))
        return found


class Sorting(Layers):
    """An operation that no graph of ours has."""

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return super().forward(pixels).sort(dim=1).values


class Growing(Layers):
    """What it does hangs on what it sees."""

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        found = super().forward(pixels)
        return found if found.sum() > 0 else found * 2


class Heavy(Layers):
    """It takes more memory than a network does."""

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        found = super().forward(pixels)
        return found + (found.unsqueeze(0).expand(1 << 24, 1, 4) + found).mean()


CANNOT_BE_WRITTEN = {
    Sorting: "TopK",
    Growing: r"data-dependent|has shape",
    Heavy: "memory or time",
}


@pytest.mark.medium
@pytest.mark.parametrize("kind", CANNOT_BE_WRITTEN)
def test_what_cannot_be_written_has_a_cause_and_no_graph(
    kind: type[nn.Module], tmp_path: Path
) -> None:
    network = EmbeddingNetwork(kind(), 4, DIMENSIONS).train()
    model_folder.write_weights(tmp_path, PrototypeModel(network, Prototypes(2, DIMENSIONS, 1.0)))
    before = torch.get_rng_state()
    export = export_graph(network, preprocessing_of(3), tmp_path / model_folder.WEIGHTS_FILE)
    assert export.graph is None
    assert re.search(CANNOT_BE_WRITTEN[kind], export.cause)
    assert all(module.training for module in network.modules())
    assert torch.equal(torch.get_rng_state(), before)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of a few layers; not to be changed."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("graph") / "model"
    write_model(folder, "resnet18", EmbeddingNetwork(Layers(), 4, DIMENSIONS), 3)
    return folder


@pytest.fixture
def stranger(written: Path, tmp_path: Path) -> Path:
    """A copy of it, to be changed."""
    return Path(shutil.copytree(written, tmp_path / "stranger"))


def change_graph(folder: Path, change: Callable[[Any], object]) -> ModelFolder:
    """Change a graph, and write the right checksums."""
    path = folder / GRAPH_FILE
    graph = onnx.load_model_from_string(path.read_bytes())
    change(graph)
    path.write_bytes(graph.SerializeToString())
    reseal_model(folder)
    return ModelFolder.read(folder)


@pytest.mark.medium
def test_a_graph_names_nothing_of_the_machine(written: Path) -> None:
    content = (written / GRAPH_FILE).read_bytes()
    for part in (str(Path(model_folder.__file__).parent), str(written), "site-packages", ".py"):
        assert part.encode() not in content


def test_weights_are_in_their_file_alone(written: Path) -> None:
    graph = onnx.load_model_from_string((written / GRAPH_FILE).read_bytes()).graph
    places = {t.name: t for t in graph.initializer if t.data_location == TensorProto.EXTERNAL}
    assert {"network.backbone.layer.weight", "network.projection.weight"} <= set(places)
    weights = load_file(written / model_folder.WEIGHTS_FILE)
    found = onnx.load(str(written / GRAPH_FILE)).graph.initializer  # as any program does
    arrays = {t.name: numpy_helper.to_array(t) for t in found if t.name in weights}
    assert arrays
    for name, array in arrays.items():
        np.testing.assert_array_equal(array, weights[name])


def node_before_the_end(graph: Any, kind: str, *more: Any, **attributes: Any) -> None:
    """Let an operator look at the pixels, and its result count for nothing."""
    graph.graph.node.insert(0, helper.make_node(kind, ["pixels", *more], ["new"], **attributes))


def constant(graph: Any, name: str, values: Any) -> str:
    graph.graph.initializer.append(numpy_helper.from_array(np.array(values), name))
    return name


def grown(graph: Any) -> None:
    for i in range(40):
        given = f"new{i - 1}" if i else "pixels"
        node = helper.make_node("Concat", [given, given], [f"new{i}"], axis=0)
        graph.graph.node.insert(i, node)


def first_weight(graph: Any) -> Any:
    return next(t for t in graph.graph.initializer if t.data_location == TensorProto.EXTERNAL)


def place(key: str, value: str) -> Callable[[Any], None]:
    def change(graph: Any) -> None:
        [entry] = [e for e in first_weight(graph).external_data if e.key == key]
        entry.value = value

    return change


def claiming_a_large_weight(graph: Any) -> None:
    """A tensor that says where it lies, but not that it lies there."""
    claimed = TensorProto(name="claimed", dims=[1 << 50], data_type=TensorProto.FLOAT)
    claimed.external_data.add(key="location", value="model.safetensors")
    graph.graph.initializer.append(claimed)
    node_before_the_end(graph, "Identity")
    graph.graph.node[0].input[0] = "claimed"


def with_loop(graph: Any) -> None:
    body = helper.make_graph([], "body", [], [])
    node_before_the_end(graph, "If", then_branch=body, else_branch=body)


def lying_about_a_shape(graph: Any) -> None:
    size = constant(graph, "size", np.array([1 << 20, 3, 32, 32], np.int64))
    node_before_the_end(graph, "Expand", size)
    said = helper.make_tensor_value_info("new", TensorProto.FLOAT, [1, 3, 32, 32])
    graph.graph.value_info.append(said)


def shaped_by_a_weight(graph: Any) -> None:
    node_before_the_end(graph, "Cast", to=TensorProto.INT64)
    graph.graph.node.insert(1, helper.make_node("Reshape", ["new", "new"], ["newer"]))


def divided_by_zero(graph: Any) -> None:
    [last] = [node for node in graph.graph.node if "embedding" in node.output]
    last.output[0] = "fine"
    zero = constant(graph, "zero", np.zeros((1, DIMENSIONS), np.float32))
    graph.graph.node.append(helper.make_node("Div", ["fine", zero], ["embedding"]))


def not_of_unit_length(graph: Any) -> None:
    divided_by_zero(graph)
    graph.graph.node[-1].op_type = "Mul"


def batch_of_any_size(graph: Any) -> None:
    graph.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "n"


def of_other_dimensions(graph: Any) -> None:
    graph.graph.output[0].type.tensor_type.shape.dim[1].dim_value = DIMENSIONS + 1


def einsum(graph: Any) -> None:
    node_before_the_end(graph, "Einsum", "pixels", equation="abcd,efgh->bcdfgh")
    again = helper.make_node(
        "Einsum", ["new", "pixels"], ["newer"], equation="bcdfgh,axyz->bcdfghx"
    )
    graph.graph.node.insert(1, again)


HOSTILE: dict[str, Callable[[Any], object]] = {
    "an operator of files": lambda g: node_before_the_end(g, "Scan"),
    "an operator of another domain": lambda g: node_before_the_end(g, "Relu", domain="com.evil"),
    "a branch": with_loop,
    "a function": lambda g: g.functions.append(
        helper.make_function("a", "f", ["x"], ["y"], [], [helper.make_opsetid("", 18)])
    ),
    "another domain": lambda g: g.opset_import.append(helper.make_opsetid("a", 1)),
    "operators of the future": lambda g: setattr(g.opset_import[0], "version", 99),
    "a private file": place("location", "/etc/passwd"),
    "a file above": place("location", "../model.safetensors"),
    "another file of the folder": place("location", "model.json"),
    "another place": place("offset", "8"),
    "a place before the file": place("offset", "-8"),
    "no number": place("offset", "eight"),
    "a larger piece": place("length", str(1 << 40)),
    "a weight that is not there": lambda g: setattr(first_weight(g), "name", "other"),
    "a weight of another shape": lambda g: first_weight(g).dims.append(1),
    "a weight of another type": lambda g: setattr(first_weight(g), "data_type", TensorProto.INT32),
    "a claim of a large weight": claiming_a_large_weight,
    "expanded": lying_about_a_shape,
    "padded": lambda g: node_before_the_end(
        g, "Pad", constant(g, "pads", np.array([0, 0, 10**6, 10**6, 0, 0, 10**6, 10**6]))
    ),
    "made": lambda g: g.graph.node.insert(
        0, helper.make_node("ConstantOfShape", [constant(g, "s", np.array([1 << 40]))], ["new"])
    ),
    "grown": grown,
    "multiplied": einsum,
    "too many": lambda g: [node_before_the_end(g, "Relu") for _ in range(20_001)],
    "a shape that hangs on pixels": shaped_by_a_weight,
    "any number of tiles": batch_of_any_size,
    "an embedding of other dimensions": of_other_dimensions,
    "an embedding that is not finite": divided_by_zero,
    "an embedding of zeros": not_of_unit_length,
    "no input": lambda g: g.graph.input.pop(),
    "no output": lambda g: g.graph.output.pop(),
    "no operators": lambda g: [g.graph.node.pop() for _ in range(len(g.graph.node))],
    "a circle": lambda g: g.graph.node[0].input.append("embedding"),
    "no arguments": lambda g: [node.input.pop() for node in g.graph.node if node.input],
    "a list without end": lambda g: node_before_the_end(g, "Transpose", perm=list(range(5000))),
}


@pytest.mark.parametrize("kind", HOSTILE)
@pytest.mark.medium
def test_a_graph_that_is_none_of_ours_is_refused(stranger: Path, kind: str) -> None:
    model = change_graph(stranger, HOSTILE[kind])
    with pytest.raises(ModelDamaged, match=r"network\.onnx cannot be run"):
        load_graph_model(model)


@pytest.mark.parametrize("content", [b"", b"\0" * 100, b"{}", b"\xff" * 50, b"x" * (17 << 20)])
def test_what_is_no_graph_at_all_is_refused(stranger: Path, content: bytes) -> None:
    (stranger / GRAPH_FILE).write_bytes(content)
    reseal_model(stranger)
    with pytest.raises(ModelDamaged, match=r"network\.onnx cannot be run"):
        load_graph_model(ModelFolder.read(stranger))


@pytest.mark.parametrize("name", [GRAPH_FILE, model_folder.WEIGHTS_FILE])
@pytest.mark.parametrize("damage", ["gone", "edited"])
def test_a_file_that_was_touched_is_refused(stranger: Path, name: str, damage: str) -> None:
    model = ModelFolder.read(stranger)
    if damage == "gone":
        (stranger / name).unlink()
    else:
        (stranger / name).write_bytes((stranger / name).read_bytes() + b" ")
    with pytest.raises(ModelDamaged, match=name.replace(".", r"\.")):
        load_graph_model(model)


@pytest.mark.medium
def test_few_tiles_are_embedded_by_the_graph_and_many_by_pytorch(tmp_path: Path) -> None:
    network = build_network("resnet18", bands=3, size_px=SIZE_PX, dimensions=DIMENSIONS)
    folder = write_model(tmp_path, "resnet18", network, 3)
    kinds = {
        (tiles, device): type(open_embedding_model(folder, tiles, device))
        for tiles in (1, 32, 33)
        for device in ("auto", "cpu")
    }
    assert kinds == {key: GraphModel if key[0] < 33 else Model for key in kinds}
    if not torch.cuda.is_available():
        with pytest.raises(DeviceUnavailable):
            open_embedding_model(folder, 1, "cuda")
    without = replace(folder, description=replace(folder.description, files={}))
    assert isinstance(open_embedding_model(without, 1, "auto"), Model)


@pytest.mark.medium
def test_a_folder_of_before_is_loaded_and_embeds_the_same(stranger: Path, tmp_path: Path) -> None:
    """Models of before 0.7 have a `backbone.json`, which nothing reads any more."""
    network = build_network("resnet18", bands=3, size_px=SIZE_PX, dimensions=DIMENSIONS)
    folder = write_model(tmp_path / "new", "resnet18", network, 3)
    expected = model_folder.load_model(folder.folder, CPU).embedder().vectors(pixels_of(3, 3))
    (folder.folder / GRAPH_FILE).unlink()
    (folder.folder / "backbone.json").write_text('{"nodes":[]}\n')
    program = sha256_of_file(folder.folder / "backbone.json")
    model_folder.write_description(
        folder.folder, replace(folder.description, files={}, program_sha256=program)
    )
    before = ModelFolder.read(folder.folder)
    assert before.description.program_sha256 == program
    assert before.description.fingerprint == folder.description.fingerprint
    found = open_embedding_model(before, 1, "cpu")
    np.testing.assert_array_equal(found.embedder().vectors(pixels_of(3, 3)), expected)
