"""Files from strangers: whatever they hold, an error of ours says what is wrong; nothing runs."""

from __future__ import annotations

import ast
import json
import struct
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

from rsretrieve.errors import IndexStoreError, InputError, InvalidArgument, ModelError
from rsretrieve.learning import model_store
from rsretrieve.learning.backbone_program import export_program
from rsretrieve.learning.description import ModelDescription, read_description
from rsretrieve.learning.losses import Prototypes
from rsretrieve.learning.model import PrototypeModel
from rsretrieve.learning.network import EmbeddingNetwork
from rsretrieve.learning.tensor_file import write_tensors
from rsretrieve.retrieval.manifest import Manifest, read_manifest, write_manifest
from rsretrieve.storage import sha256_of_file
from rsretrieve.tiles.catalog import find_tiles
from rsretrieve.tiles.labels import read_labels, read_true_labels
from rsretrieve.tiles.preprocessing import BandStatistics, Preprocessing

PACKAGE = Path(__file__).parent.parent / "rsretrieve"
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


@fuzzed
@given(bytes_of_tables, st.sampled_from([".csv", ".parquet"]))
def test_a_list_is_tiles_or_an_error_of_ours(place, content, suffix):
    path = place / f"list{suffix}"
    path.write_bytes(content)
    for read in (find_tiles, read_labels, read_true_labels):
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
    with pytest.raises(IndexStoreError, match=f"'{key}' is not what it should be"):
        read_manifest(folder)


def test_a_manifest_nested_without_end_is_refused(place):
    folder = place / "sealed"
    folder.mkdir(exist_ok=True)
    (folder / "manifest.json").write_text("[" * 100_000)
    with pytest.raises(IndexStoreError):
        read_manifest(folder)


small = st.none() | st.booleans() | st.integers(-9, 99) | st.floats(-9, 99) | texts
"""What takes no great memory where it becomes a size."""
floats = st.integers(-1, 9).map(float)


@st.composite
def edited_program(draw, program):
    """A backbone's program of which one to three arguments are others."""
    content = json.loads(json.dumps(program))
    for _ in range(draw(st.integers(1, 3))):
        here = content["nodes"][draw(st.integers(0, len(content["nodes"]) - 1))]
        arguments = here.get("args")
        if isinstance(arguments, list) and arguments and draw(st.booleans()):
            here, key = arguments, draw(st.integers(0, len(arguments) - 1))
        else:
            key = draw(st.sampled_from(["op", "args", "kwargs"]))
        here[key] = draw(
            small
            | st.lists(small, max_size=4)
            | st.builds(lambda number: {"node": number}, st.integers(-1, 9) | floats | small)
            | st.builds(lambda name: {"tensor": name}, st.sampled_from(["0.weight", "1.bias", "2"]))
        )
    if draw(st.booleans()):
        add_reshaping(content, draw(st.lists(st.integers(-1, 4), max_size=4)))
    if draw(st.booleans()):
        content["output"] = {"node": draw(small)}
    return content


def add_reshaping(program, shape):
    """Let a program end with features of that shape."""
    arguments = [program["output"], shape]
    program["nodes"].append({"op": "reshape.default", "args": arguments, "kwargs": {}})
    program["output"] = {"node": len(program["nodes"])}


@pytest.fixture(scope="module")
def layers():
    """A backbone of four layers."""
    return torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 3),
        torch.nn.BatchNorm2d(4),
        torch.nn.ReLU(),
        torch.nn.AdaptiveAvgPool2d(1),
    )


@pytest.fixture(scope="module")
def program(layers):
    """What they compute."""
    return export_program(layers, 3, 32).program


def write_model_of(folder, layers, program, **tensors):
    """A model folder whose checksums are right, whoever made its program and its tensors."""
    folder.mkdir(exist_ok=True)
    model = PrototypeModel(EmbeddingNetwork(layers, 4, 8), Prototypes(2, 8, 1.0))
    weights = folder / model_store.WEIGHTS_FILE
    write_tensors(weights, {**model.state_dict(), **tensors})
    model_store.write_description(
        folder,
        replace(
            description(),
            weights_sha256=sha256_of_file(weights),
            program_sha256=model_store.write_program(folder, program),
        ),
    )


@fuzzed
@given(st.data())
def test_a_program_with_right_checksums_embeds_or_is_refused(place, layers, program, data):
    folder = place / "programmed"
    write_model_of(folder, layers, data.draw(edited_program(program)))
    try:
        model = model_store.load_model(folder, torch.device("cpu"))
        embedder = model.embedder()
        for count in (1, 2, 3):
            tiles = np.zeros((count, 3, 32, 32), dtype=np.uint8)
            assert embedder.embed(tiles).shape == (count, 8)
    except ModelError as error:
        assert str(folder) in str(error)  # noqa: PT017


@pytest.mark.parametrize("shape", [[1, -1], [2, -1], [-1, 2], [-1], [0, 4], [2, 4]], ids=str)
def test_a_program_that_embeds_another_number_of_tiles_is_refused(place, layers, program, shape):
    content = json.loads(json.dumps(program))
    add_reshaping(content, shape)
    write_model_of(place / "reshaped", layers, content)
    with pytest.raises(ModelError, match=r"backbone\.json cannot embed a tile"):
        model_store.load_model(place / "reshaped", torch.device("cpu"))


@pytest.mark.parametrize("number", [1.0, True])
def test_a_program_that_runs_but_cannot_be_folded_is_refused(place, layers, program, number):
    content = json.loads(json.dumps(program))
    [norm] = (node for node in content["nodes"] if node["op"] == "batch_norm.default")
    assert norm["args"][0] == {"node": 1}
    norm["args"][0] = {"node": number}
    write_model_of(place / "unfolded", layers, content)
    try:
        model_store.load_model(place / "unfolded", torch.device("cpu")).embedder()
    except ModelError as error:
        assert "backbone.json cannot embed a tile" in str(error)  # noqa: PT017


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


@pytest.mark.parametrize("programmed", [True, False])
@pytest.mark.parametrize(("name", "shape"), BAD_SHAPES, ids=str)
def test_tensors_of_other_shapes_are_refused_before_anything_is_made(
    place, layers, program, monkeypatch, name, shape, programmed
):
    folder = place / "misshapen"
    write_model_of(folder, layers, program if programmed else None, **{name: torch.zeros(shape)})

    def made(*_, **__):
        raise AssertionError("a network was made, of whatever size")

    for maker in ("Prototypes", "EmbeddingNetwork", "build_network"):
        monkeypatch.setattr(model_store, maker, made)
    with pytest.raises(ModelError, match=rf"does not fit model\.json \({name} is ") as caught:
        model_store.load_model(folder, torch.device("cpu"))
    assert str(shape) in str(caught.value)


def test_a_model_without_prototypes_is_refused(place, layers, program):
    folder = place / "incomplete"
    write_model_of(folder, layers, program)
    weights = folder / model_store.WEIGHTS_FILE
    state = load_file(weights)
    del state["prototypes.weight"]
    write_tensors(weights, state)
    text = read_description(folder)
    model_store.write_description(folder, replace(text, weights_sha256=sha256_of_file(weights)))
    with pytest.raises(ModelError, match=r"\(prototypes\.weight is not there"):
        model_store.load_model(folder, torch.device("cpu"))


@pytest.mark.parametrize("content", ["", "[" * 100_000, "[]", "{}"], ids=lambda c: c[:2])
def test_what_is_no_program_at_all_is_refused(place, layers, program, content):
    folder = place / "unprogrammed"
    write_model_of(folder, layers, program)
    (folder / model_store.PROGRAM_FILE).write_text(content)
    sha256 = sha256_of_file(folder / model_store.PROGRAM_FILE)
    text = read_description(folder)
    model_store.write_description(folder, replace(text, program_sha256=sha256))
    with pytest.raises(ModelError, match=r"backbone\.json cannot embed a tile"):
        model_store.load_model(folder, torch.device("cpu"))


def test_nothing_of_ours_unpickles_a_file():
    """Pickles run what they like: only our own processes talk in them, over a socket."""
    loaders = {"pickle.load", "pickle.loads", "joblib.load", "torch.jit.load", "eval", "exec"}
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            called, given = ast.unparse(node.func), {k.arg: k.value for k in node.keywords}
            if path.name == "worker_process.py" and called == "pickle.loads":
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
    from rsretrieve.retrieval.index_store import read_vectors

    path = tmp_path / "embeddings.npy"
    with path.open("wb") as stream:
        facts = {"descr": "<f4", "fortran_order": False, "shape": (1 << 40, 8)}
        np.lib.format.write_array_header_1_0(stream, facts)
    with pytest.raises(ValueError, match="cannot be read"):
        read_vectors(path, manifest())
