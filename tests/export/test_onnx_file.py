"""A model as one ONNX file: what onnxruntime computes, what lies beside it, and what is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from rsretrieve.data.preprocessing.preprocessing import BandStatistics, Preprocessing
from rsretrieve.data.run_context import RunContext
from rsretrieve.errors import InvalidArgument, ModelError, OutputExists
from rsretrieve.export import onnx_file
from rsretrieve.export.onnx_file import describe, generated_tiles, write_onnx
from rsretrieve.network.model import Model
from rsretrieve.network.network import build_network
from rsretrieve.network.runtime import graph_export

STATISTICS = BandStatistics((900.0, 1200.0), (300.0, 500.0), (0.0, 100.0), (3000.0, 4000.0))
UINT16 = Preprocessing(32, 4, (3, 1), "uint16", STATISTICS)
RGB = Preprocessing(
    32, 3, (1, 2, 3), "uint8", BandStatistics((90.0,) * 3, (40.0,) * 3, (0.0,) * 3, (255.0,) * 3)
)


class Described:
    """What the exporter needs of a description."""

    def __init__(self, preprocessing: Preprocessing, backbone: str) -> None:
        self.preprocessing, self.backbone = preprocessing, backbone
        self.dimensions, self.fingerprint, self.training = 8, "f" * 64, {"embeds_in": "float32"}


def model_of(preprocessing: Preprocessing, backbone: str = "squeezenet1_1") -> Model:
    torch.manual_seed(0)
    network = build_network(
        backbone, bands=len(preprocessing.bands), size_px=preprocessing.size_px, dimensions=8
    ).eval()
    described = Described(preprocessing, backbone)
    prototypes = np.empty((0, 8), np.float32)
    return Model(Path("m"), described, network, prototypes, 1.0, torch.device("cpu"))  # type: ignore[arg-type]


def by_hand(model: Model, tiles: np.ndarray) -> np.ndarray:
    """The embeddings by the definition: scale, subtract, divide, clip; the network; unit length."""
    preprocessing, statistics = model.description.preprocessing, model.description.preprocessing
    mean, deviation = (
        np.array(x)[:, None, None]
        for x in (statistics.statistics.mean, statistics.statistics.deviation)
    )
    found = []
    assert preprocessing.dtype == tiles.dtype
    for tile in tiles:
        normal = np.clip((tile.astype(float) - mean) / deviation, -8, 8).astype(np.float32)
        with torch.no_grad():
            vector = model.network(torch.from_numpy(normal)[None]).numpy()[0].astype(float)
        found.append(vector / np.linalg.norm(vector))
    return np.array(found)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("preprocessing", "opset"),
    [
        pytest.param(RGB, 18, id="uint8"),
        pytest.param(UINT16, 21, id="uint16"),
        pytest.param(RGB, 21, id="uint8, newer", marks=pytest.mark.exhaustive),
        pytest.param(UINT16, 18, id="uint16, older", marks=pytest.mark.exhaustive),
    ],
)
def test_batches_of_any_size_have_the_embeddings_of_pytorch(
    preprocessing: Preprocessing, opset: int, tmp_path: Path
) -> None:
    model, path = model_of(preprocessing), tmp_path / "deep" / "m.onnx"
    written = write_onnx(model, path, RunContext(), opset=opset)
    assert written.least_cosine >= 0.999
    assert (written.opset, written.bytes) == (opset, path.stat().st_size)
    onnx.checker.check_model(str(path), full_check=True)
    loaded = onnx.load(str(path))
    assert [(entry.domain, entry.version) for entry in loaded.opset_import] == [("", opset)]
    assert {entry.key: entry.value for entry in loaded.metadata_props} == {
        "model_fingerprint": "f" * 64
    }
    session = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    tiles = generated_tiles(preprocessing)
    expected = by_hand(model, tiles)
    for size in (1, 3, 8):
        [found] = session.run(["embedding"], {"pixels": tiles[:size].astype(np.float32)})
        np.testing.assert_allclose(found, expected[:size], atol=2e-5)
    assert {p.name for p in path.parent.iterdir()} == {"m.onnx", "m.onnx.json"}
    told = json.loads((tmp_path / "deep" / "m.onnx.json").read_text())
    side, channels = preprocessing.size_px, len(preprocessing.bands)
    assert told["input"]["shape"] == ["batch", channels, side, side]
    assert told["output"]["shape"] == ["batch", 8]
    assert told["checked"]["least_cosine"] == written.least_cosine
    assert (told["dtype"], told["bands"]) == (preprocessing.dtype, list(preprocessing.bands))


def test_generated_tiles_have_the_type_and_range_of_the_model() -> None:
    for preprocessing in (RGB, UINT16, replace(UINT16, dtype="float32")):
        tiles = generated_tiles(preprocessing)
        assert tiles.shape == (8, len(preprocessing.bands), 32, 32)
        assert tiles.dtype == preprocessing.dtype
        np.testing.assert_array_equal(tiles, generated_tiles(preprocessing))
        for band, low, high in zip(
            tiles.swapaxes(0, 1), preprocessing.statistics.low, preprocessing.statistics.high
        ):
            assert low <= band.min() < band.max() <= high


def test_the_description_names_what_a_program_must_do() -> None:
    told = describe(Described(UINT16, "squeezenet1_1"), 18)  # type: ignore[arg-type]
    assert told["invalid_pixels"]["values"] == [900.0, 1200.0]
    assert told["resize"]["size_px"] == 32
    assert told["resize"]["rounded_to"] == "uint16"
    assert told["jpeg_px"] is None
    reduced = Described(replace(RGB, reduced_jpeg=True), "squeezenet1_1")
    assert describe(reduced, 18)["jpeg_px"] == 64  # type: ignore[arg-type]
    assert json.loads(json.dumps(told, allow_nan=False)) == told


def exports(monkeypatch: pytest.MonkeyPatch, graph: bytes | None, cause: str = "") -> None:
    export = graph_export.Export(graph, cause)
    monkeypatch.setattr(graph_export, "export_standalone", lambda *_: export)


def constant_graph(vector: list[float]) -> bytes:
    """A graph that gives each tile the same embedding."""
    h = onnx.helper
    nodes = [
        h.make_node("ReduceMean", ["pixels"], ["mean"], axes=[1, 2, 3], keepdims=0),
        h.make_node("Mul", ["mean", "zero"], ["none"]),
        h.make_node("Unsqueeze", ["none", "one"], ["column"]),
        h.make_node("Add", ["column", "vector"], ["embedding"]),
    ]
    tensors = [
        onnx.numpy_helper.from_array(np.array(0, np.float32), "zero"),
        onnx.numpy_helper.from_array(np.array([1]), "one"),
        onnx.numpy_helper.from_array(np.array([vector], np.float32), "vector"),
    ]
    kind = onnx.TensorProto.FLOAT
    graph = h.make_graph(
        nodes,
        "constant",
        [h.make_tensor_value_info("pixels", kind, ["batch", 3, 32, 32])],
        [h.make_tensor_value_info("embedding", kind, ["batch", len(vector)])],
        tensors,
    )
    model = h.make_model(graph, opset_imports=[h.make_opsetid("", 17)], ir_version=9)
    return bytes(model.SerializeToString())


@pytest.mark.medium
@pytest.mark.parametrize(
    ("vector", "said"),
    [
        ([1.0] + [0.0] * 7, "does not agree"),
        ([float("nan")] * 8, "does not agree"),
        ([1.0], "agree"),
    ],
    ids=["other", "nan", "shape"],
)
def test_a_graph_that_computes_something_else_is_not_written(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, vector: list[float], said: str
) -> None:
    exports(monkeypatch, constant_graph(vector))
    (tmp_path / "m.onnx").write_text("old")
    with pytest.raises(ModelError, match=said):
        write_onnx(model_of(RGB), tmp_path / "m.onnx", RunContext(), overwrite=True)
    assert [p.name for p in tmp_path.iterdir()] == ["m.onnx"]
    assert (tmp_path / "m.onnx").read_text() == "old"


@pytest.mark.medium
def test_what_onnxruntime_cannot_run_or_the_exporter_cannot_write_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    model, path = model_of(RGB), tmp_path / "m.onnx"
    broken = onnx.load_model_from_string(constant_graph([1.0] * 8))
    broken.graph.node[0].op_type = "NoSuchOperator"
    exports(monkeypatch, broken.SerializeToString())
    with pytest.raises(ModelError, match="onnxruntime cannot run"):
        write_onnx(model, path, RunContext())
    exports(monkeypatch, None, "a shape depends on a value")
    with pytest.raises(ModelError, match="a shape depends on a value"):
        write_onnx(model, path, RunContext())
    monkeypatch.setattr(onnx_file, "LIMIT_BYTES", 10)
    exports(monkeypatch, constant_graph([1.0] * 8))
    with pytest.raises(ModelError, match="2 GB"):
        write_onnx(model, path, RunContext())
    assert not [*tmp_path.iterdir()]


@pytest.mark.medium
def test_wrong_names_and_opsets_and_existing_files_are_refused(tmp_path: Path) -> None:
    model = model_of(RGB)
    for name in ("m.bin", "-", "m"):
        with pytest.raises(InvalidArgument, match=r"\.onnx"):
            write_onnx(model, Path(name), RunContext())
    for opset in (17, 24):
        with pytest.raises(InvalidArgument, match="an opset lies in 18…23"):
            write_onnx(model, tmp_path / "m.onnx", RunContext(), opset=opset)


def test_an_existing_description_is_not_replaced(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    exports(monkeypatch, constant_graph([1.0] * 8))
    monkeypatch.setattr(onnx_file, "_require_agreement", lambda *_: 1.0)
    (tmp_path / "m.onnx.json").write_text("mine")
    with pytest.raises(OutputExists):
        write_onnx(model_of(RGB), tmp_path / "m.onnx", RunContext())
    assert [p.name for p in tmp_path.iterdir()] == ["m.onnx.json"]
    assert (tmp_path / "m.onnx.json").read_text() == "mine"
