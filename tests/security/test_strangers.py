"""Files from strangers: whatever they hold, an error of ours says what is wrong; nothing runs."""

from __future__ import annotations

import ast
import json
import struct
from dataclasses import asdict, replace

import numpy as np
import onnx
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

from rsretrieve._core.atomic_write import sha256_of_file
from rsretrieve.data.discovery.find_tiles import find_tiles
from rsretrieve.data.labels.labels import read_label_table
from rsretrieve.data.labels.true_labels import true_labels_by_id
from rsretrieve.data.preprocessing.preprocessing import BandStatistics, Preprocessing
from rsretrieve.errors import IndexStoreError, InputError, InvalidArgument, ModelError
from rsretrieve.index.store.manifest import Manifest, read_manifest, write_manifest
from rsretrieve.network import model_folder
from rsretrieve.network.metadata import GRAPH_FILE, ModelDescription, ModelFolder, read_description
from rsretrieve.network.model import PrototypeModel
from rsretrieve.network.network import EmbeddingNetwork
from rsretrieve.network.prototypes import Prototypes
from rsretrieve.network.runtime.graph import load_graph_model
from rsretrieve.network.runtime.graph_checks import OPERATORS
from rsretrieve.network.tensor_io import write_tensors
from tests.support.indexes.resealed import reseal_model
from tests.support.repository import PACKAGE

fuzzed = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
texts = st.text(st.characters(), max_size=12)
plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=8,
)
cells = texts | st.sampled_from(["tile", "path", "label", "a.png#0,0,8,8", "a#9,9,0,0", '"', "\r"])
tables = st.lists(st.lists(cells, max_size=4), max_size=5).map(
    lambda rows: "\n".join(",".join(row) for row in rows).encode("utf-8", "surrogatepass")
)
headed = st.binary(max_size=60).map(lambda rest: b"tile,path,label\n" + rest)
bytes_of_tables = st.binary(max_size=80) | tables | headed


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("strangers")


def read_truth(path):
    return true_labels_by_id(path, (), (), "tiles")


@pytest.mark.medium
@fuzzed
@given(bytes_of_tables, st.sampled_from([".csv", ".parquet"]))
def test_a_list_is_tiles_or_an_error_of_ours(place, content, suffix):
    path = place / f"list{suffix}"
    path.write_bytes(content)
    for read in (find_tiles, read_label_table, read_truth):
        try:
            read(path)
        except (InputError, InvalidArgument) as error:
            assert str(path) in str(error)  # noqa: PT017  # either is right


def description():
    statistics = BandStatistics((1.0,) * 3, (1.0,) * 3, (0.0,) * 3, (255.0,) * 3)
    preprocessing = Preprocessing(32, 3, (1, 2, 3), "uint8", statistics)
    return ModelDescription("resnet18", 8, preprocessing, ("a", "b"), {}, {}, {}, "0" * 64)


def of_before():
    """What a model.json without checksums holds: one that can be changed at will."""
    return {key: value for key, value in description().to_json().items() if key != "files"}


def manifest():
    names = ("index.faiss", "tiles.parquet", "embeddings.npy")
    return Manifest("model", "f", "Flat", "inner product", 2, 8, 1.0, dict.fromkeys(names, "0"))


@st.composite
def edited(draw, whole):
    """JSON with one value, at any depth, replaced by something else, or taken out."""
    content = json.loads(json.dumps(whole))
    here = content
    while True:
        key = draw(st.sampled_from(sorted(here)))
        if isinstance(here[key], dict) and here[key] and draw(st.booleans()):
            here = here[key]
            continue
        if draw(st.booleans()):
            here[key] = draw(plain)
        else:
            del here[key]
        return json.dumps(content).encode()


@pytest.mark.medium
@fuzzed
@given(st.binary(max_size=60) | plain.map(lambda v: json.dumps(v).encode()) | edited(
    of_before()))  # fmt: skip
def test_a_model_json_is_a_description_or_an_error_of_ours(place, content):
    folder = place / "model"
    folder.mkdir(exist_ok=True)
    (folder / "model.json").write_bytes(content)
    try:
        assert isinstance(read_description(folder), ModelDescription)
    except ModelError as error:
        assert str(folder) in str(error)  # noqa: PT017


@pytest.mark.medium
@fuzzed
@given(st.binary(max_size=60) | plain.map(lambda v: json.dumps(v).encode()) | edited(
    asdict(manifest())))  # fmt: skip
def test_a_manifest_is_one_or_an_error_of_ours(place, content):
    folder = place / "index"
    folder.mkdir(exist_ok=True)
    (folder / "manifest.json").write_bytes(content)
    try:
        assert isinstance(read_manifest(folder), Manifest)
    except IndexStoreError as error:
        assert str(folder) in str(error)  # noqa: PT017


ABSURD = ["1e999", "-1", "0", "1000000000000", "true", "[]", "[" * 100_000, '{"a":' * 100_000]


@pytest.mark.parametrize("value", ABSURD, ids=lambda value: value[:13])
def test_a_model_of_absurd_dimensions_is_refused_before_it_is_made(place, value):
    folder = place / "absurd"
    folder.mkdir(exist_ok=True)
    text = json.dumps(of_before())
    (folder / "model.json").write_text(text.replace('"dimensions": 8', f'"dimensions": {value}'))
    if value == "true":
        assert read_description(folder).dimensions == 1
        return
    with pytest.raises(ModelError, match="cannot be read as a model's description"):
        read_description(folder)


def test_a_model_of_tiles_beyond_all_memory_is_refused_before_it_is_made(place):
    folder = place / "immense"
    folder.mkdir(exist_ok=True)
    content = of_before()
    content["preprocessing"] |= {"size_px": 1 << 14, "bands": [1, 2, 3]}
    (folder / "model.json").write_text(json.dumps(content))
    with pytest.raises(ModelError, match="at most 268435456 values"):
        read_description(folder)


@pytest.mark.parametrize(
    ("key", "value"),
    [("tiles", "many"), ("tiles", -2), ("dimensions", 1 << 60), ("search", {"nprobe": "all"}),
     ("search", []), ("recall_at_10", "good"), ("model", None), ("faiss_key", 7), ("tiles", True)],
)  # fmt: skip
def test_a_sealed_manifest_of_another_kind_is_refused(place, key, value):
    folder = place / "sealed"
    folder.mkdir(exist_ok=True)
    write_manifest(folder / "manifest.json", replace(manifest(), **{key: value}))
    with pytest.raises(IndexStoreError, match=f"'{key}' has an invalid value"):
        read_manifest(folder)


def test_a_manifest_nested_without_end_is_refused(place):
    folder = place / "sealed"
    folder.mkdir(exist_ok=True)
    (folder / "manifest.json").write_text("[" * 100_000)
    with pytest.raises(IndexStoreError):
        read_manifest(folder)


numbers = st.integers(-2, 9) | st.sampled_from([64, 1 << 20, 1 << 40, -(1 << 63), (1 << 63) - 1])


@st.composite
def edited_graph(draw, serialised):
    """A graph of which one to three parts are others."""
    model = onnx.load_model_from_string(serialised)
    for _ in range(draw(st.integers(1, 3))):
        draw(st.sampled_from(EDITS))(draw, model.graph)
    return model.SerializeToString()


def edit_operator(draw, graph):
    draw(st.sampled_from(graph.node)).op_type = draw(st.sampled_from(sorted(OPERATORS)))


def edit_names(draw, graph):
    node = draw(st.sampled_from(graph.node))
    names = [name for other in graph.node for name in (*other.input, *other.output)]
    side = draw(st.sampled_from([node.input, node.output]))
    side.append(draw(st.sampled_from(names)))
    if draw(st.booleans()):
        side.pop(draw(st.integers(0, len(side) - 1)))


def edit_arguments(draw, graph):
    node = draw(st.sampled_from(graph.node))
    if node.attribute:
        attribute = draw(st.sampled_from(node.attribute))
        attribute.i, attribute.f = draw(numbers), draw(st.floats(width=32))
        attribute.ints.append(draw(numbers))
        if draw(st.booleans()):
            attribute.name = draw(st.sampled_from(["axis", "pads", "strides", "group", "perm"]))


def edit_constant(draw, graph):
    tensor = draw(st.sampled_from(graph.initializer))
    if draw(st.booleans()):
        tensor.dims[:] = draw(st.lists(numbers, max_size=3))
    elif tensor.raw_data:
        tensor.raw_data = draw(numbers).to_bytes(8, "little", signed=True) * (
            len(tensor.raw_data) // 8
        )


def edit_ends(draw, graph):
    value = draw(st.sampled_from([*graph.input, *graph.output]))
    sides = value.type.tensor_type.shape.dim
    draw(st.sampled_from(sides)).dim_value = draw(numbers)


EDITS = [edit_operator, edit_names, edit_arguments, edit_constant, edit_ends]


@pytest.fixture(scope="module")
def layers():
    """A backbone of four layers."""
    return torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 3),
        torch.nn.BatchNorm2d(4),
        torch.nn.ReLU(),
        torch.nn.AdaptiveAvgPool2d(1),
    )


def write_model_of(folder, layers, **tensors):
    """A model folder whose checksums are right, whoever made its tensors."""
    folder.mkdir(exist_ok=True)
    network = EmbeddingNetwork(layers, 4, 8).eval()
    model = PrototypeModel(network, Prototypes(2, 8, 1.0))
    weights = folder / model_folder.WEIGHTS_FILE
    write_tensors(weights, {**model.state_dict(), **tensors})
    said = replace(description(), weights_sha256=sha256_of_file(weights))
    model_folder.write_description(folder, said)
    return network


@pytest.fixture(scope="module")
def with_graph(place, layers):
    """A model folder with a graph, and the graph."""
    folder = place / "with_graph"
    network = write_model_of(folder, layers)
    export = model_folder.write_graph(folder, network, description().preprocessing)
    assert export.cause == ""
    model_folder.seal_folder(folder)
    return folder, export.graph


@pytest.mark.medium
@settings(fuzzed, max_examples=600)
@given(st.data())
def test_a_graph_with_right_checksums_embeds_or_is_refused(with_graph, data):
    folder, graph = with_graph
    (folder / GRAPH_FILE).write_bytes(data.draw(edited_graph(graph)))
    reseal_model(folder)
    try:
        embedder = load_graph_model(ModelFolder.read(folder)).embedder()
        tiles = np.zeros((2, 3, 32, 32), dtype=np.uint8)
        assert embedder.vectors(tiles).shape == (2, 8)
    except ModelError as error:
        assert str(folder) in str(error)  # noqa: PT017


BAD_SHAPES = [
    ("network.projection.weight", ()),
    ("network.projection.weight", (8,)),
    ("network.projection.weight", (0, 100_000_000)),
    ("network.projection.weight", (8, 0)),
    ("network.projection.weight", (4, 4)),
    ("network.projection.weight", (8, 2, 2)),
    ("prototypes.weight", ()),
    ("prototypes.weight", (8,)),
    ("prototypes.weight", (3, 8)),
    ("prototypes.weight", (0, 100_000_000)),
]


@pytest.mark.parametrize(("name", "shape"), BAD_SHAPES, ids=str)
def test_tensors_of_other_shapes_are_refused_before_anything_is_made(
    place, layers, monkeypatch, name, shape
):
    folder = place / "misshapen"
    write_model_of(folder, layers, **{name: torch.zeros(shape)})

    def made(*_, **__):
        raise AssertionError("a network was made, of whatever size")

    for maker in ("Prototypes", "EmbeddingNetwork", "build_network"):
        monkeypatch.setattr(model_folder, maker, made)
    with pytest.raises(ModelError, match=rf"does not fit model\.json \({name} has ") as caught:
        model_folder.load_model(folder, torch.device("cpu"))
    assert str(shape) in str(caught.value)


def test_a_model_without_prototypes_is_refused(place, layers):
    folder = place / "incomplete"
    write_model_of(folder, layers)
    weights = folder / model_folder.WEIGHTS_FILE
    state = load_file(weights)
    del state["prototypes.weight"]
    write_tensors(weights, state)
    text = read_description(folder)
    model_folder.write_description(folder, replace(text, weights_sha256=sha256_of_file(weights)))
    with pytest.raises(ModelError, match=r"\(prototypes\.weight is missing"):
        model_folder.load_model(folder, torch.device("cpu"))


@pytest.mark.medium
def test_nothing_of_ours_unpickles_a_file():
    """Pickles run what they like: only our own processes talk in them, over a socket."""
    loaders = {"pickle.load", "pickle.loads", "joblib.load", "torch.jit.load", "eval", "exec"}
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            called, given = ast.unparse(node.func), {k.arg: k.value for k in node.keywords}
            if path.name in ("process.py", "ray_cluster.py") and called == "pickle.loads":
                continue  # what the process that started it asks
            assert called not in loaders, path
            if called in ("torch.load", "torch.export.load"):
                assert ast.unparse(given["weights_only"]) == "True", path
            if called == "np.load":
                assert ast.unparse(given["allow_pickle"]) == "False", path


def test_weights_that_promise_more_than_they_hold_are_refused_before_memory_is_taken(tmp_path):
    from safetensors import SafetensorError

    header = {"a": {"dtype": "F32", "shape": [1 << 40], "data_offsets": [0, 1 << 42]}}
    text = json.dumps(header).encode()
    for length in (len(text), 1 << 60):
        path = tmp_path / "model.safetensors"
        path.write_bytes(struct.pack("<Q", length) + text + b"\0" * 16)
        with pytest.raises(SafetensorError):
            load_file(path)


def test_vectors_that_promise_more_than_they_hold_are_refused_before_memory_is_taken(tmp_path):
    from rsretrieve.index.store.folder import map_stored_vectors

    path = tmp_path / "embeddings.npy"
    with path.open("wb") as stream:
        facts = {"descr": "<f4", "fortran_order": False, "shape": (1 << 40, 8)}
        np.lib.format.write_array_header_1_0(stream, facts)
    with pytest.raises(ValueError, match="cannot be read"):
        map_stored_vectors(path, manifest())
