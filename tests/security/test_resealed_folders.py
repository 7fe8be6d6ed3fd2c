"""Folders of strangers who wrote the right checksums: an error of ours, and no crash."""

from __future__ import annotations

import shutil
import struct
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest
import torch
from pyarrow import parquet
from safetensors.torch import load_file, save_file

from rsretrieve._core.tables import read_table
from rsretrieve.data.geo.reference_systems import checked_crs
from rsretrieve.data.run_context import RunContext
from rsretrieve.errors import IndexDamaged, ModelDamaged, TableError
from rsretrieve.index.external.embeddings_file import read_embeddings
from rsretrieve.index.store.folder import open_index
from rsretrieve.index.vectors import faiss_checks
from rsretrieve.index.vectors.faiss_loader import faiss_module
from rsretrieve.network.metadata import ModelFolder
from rsretrieve.network.model_folder import load_model
from rsretrieve.network.runtime.graph import load_graph_model
from tests.support.indexes.resealed import reseal, reseal_index, reseal_model

CPU = torch.device("cpu")


@pytest.fixture
def stranger(model, tmp_path):
    shutil.copytree(model, tmp_path / "model")
    return tmp_path / "model"


@pytest.fixture
def strange(index, tmp_path):
    shutil.copytree(index, tmp_path / "index")
    return tmp_path / "index"


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize(
    "name", ["network.projection.weight", "prototypes.weight", "prototypes.log_temperature"]
)
def test_numbers_that_are_not_finite_are_damage(stranger, name, value):
    state = load_file(stranger / "model.safetensors")
    state[name].view(-1)[0] = value
    save_file(state, stranger / "model.safetensors")
    reseal_model(stranger)
    with pytest.raises(ModelDamaged, match=f"{name} is damaged"):
        load_model(stranger, CPU)
    with pytest.raises(ModelDamaged, match=f"{name} is damaged"):
        load_graph_model(ModelFolder.read(stranger))


def test_a_negative_variance_and_an_overflow_of_half_precision_are_damage(stranger):
    state = load_file(stranger / "model.safetensors")
    variance = next(name for name in state if name.endswith("running_var"))
    for change in ({variance: -state[variance]}, {variance: (state[variance] + 1e6).half()}):
        save_file({**state, **change}, stranger / "model.safetensors")
        reseal_model(stranger)
        with pytest.raises(ModelDamaged, match="is damaged"):
            load_model(stranger, CPU)


@pytest.mark.parametrize(
    "change",
    [
        {"class_names": ["a"] * 9},
        {"class_names": "abc"},
        {"files": {"../x": "0"}},
    ],
    ids=str,
)
def test_a_resealed_description_of_nonsense_is_refused(stranger, change):
    reseal(stranger / "model.json", lambda said: said.update(change))
    with pytest.raises(ModelDamaged, match="cannot be read as a model's description"):
        load_model(stranger, CPU)


@pytest.mark.parametrize("value", [-1.0, 1e-320, 1e300])
def test_a_deviation_that_no_pixels_have_is_refused(stranger, value):
    def change(said):
        said["preprocessing"]["statistics"]["deviation"][0] = value

    reseal(stranger / "model.json", change)
    with pytest.raises(ModelDamaged, match="cannot be read as a model's description"):
        load_model(stranger, CPU)


MANIFESTS = [
    {"tiles": 10**15}, {"dimensions": 0}, {"search": {"nprobe": 0}}, {"search": {"nprobe": -1}},
    {"search": {"efSearch": 2**40}}, {"windows": {"window_px": "a"}}, {"windows": {"a": 1}},
    {"model": 3}, {"sha256": {}}, {"goal": 7}, {"provenance": []}, {"faiss_key": "F" * 300},
    {"similarity_floor": "high"}, {"schema_version": 0.5},
]  # fmt: skip


@pytest.mark.medium
@pytest.mark.parametrize("change", MANIFESTS, ids=str)
def test_a_resealed_manifest_of_nonsense_ends_every_command_with_a_reason(
    run, strange, model, tile_of, tmp_path, change
):
    reseal(strange / "manifest.json", lambda said: said.update(change))
    for command in (
        ("info", strange),
        ("query", "--tile", tile_of, "--index", strange),
        ("evaluate", "--index", strange),
        ("index", "--verify", "--output", strange),
        ("index", "--export", tmp_path / "out.parquet", "--output", strange),
        ("index", "--repair", "--model", model, "--output", strange),
    ):
        ran = run(*command)
        assert ran.code in (0, 1), (command, ran.err)
        assert ran.code == 1 or command[1] == "--repair", command


@pytest.fixture
def tile_of(index):
    return open_index(index).rows.column("id")[0]


@pytest.mark.parametrize(
    "header",
    ["(1000000000000000000, 1000)", "(-1, 8)", "(0, 8)", "()", "(2, 8, 1)", "(4, 99999999999)"],
)
def test_a_resealed_array_of_another_shape_is_refused(run, strange, tile_of, header):
    text = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {header}, }}".encode()
    text += b" " * (63 - (10 + len(text)) % 64) + b"\n"
    content = b"\x93NUMPY\1\0" + struct.pack("<H", len(text)) + text + b"x" * 400
    (strange / "embeddings.npy").write_bytes(content)
    reseal_index(strange)
    ran = run("query", "--tile", tile_of, "--index", strange)
    assert ran.code == 1, ran.err
    assert "embeddings.npy" in ran.err
    array = strange.parent / "array.npy"
    array.write_bytes(content)
    ran = run("index", "--from-embeddings", array, "--output", strange.parent / "other")
    assert ran.code == 1, ran.err


def changed_table(table, name, values):
    return table.set_column(table.column_names.index(name), name, values)


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("id", lambda n: pa.array(range(n))),
        ("path", lambda n: pa.nulls(n, pa.string())),
        ("label", lambda n: pa.array([["a"]] * n)),
        ("footprint", lambda n: pa.nulls(n, pa.list_(pa.list_(pa.float64(), 2)))),
        ("size_bytes", lambda n: pa.array([-9] * n)),
        ("bounds", lambda n: pa.array([[np.nan] * 4] * n, pa.list_(pa.float64(), 4))),
    ],
)
def test_a_resealed_table_of_other_values_is_refused(run, strange, tile_of, name, make):
    table = parquet.read_table(strange / "tiles.parquet")
    parquet.write_table(changed_table(table, name, make(len(table))), strange / "tiles.parquet")
    reseal_index(strange)
    for command in (("query", "--tile", tile_of, "--index", strange), ("info", strange)):
        ran = run(*command)
        assert ran.code == 1, ran.err
        assert "tiles.parquet" in ran.err


def test_a_table_of_other_rows_than_the_manifest_says_is_refused(strange):
    table = parquet.read_table(strange / "tiles.parquet")
    parquet.write_table(table.slice(1), strange / "tiles.parquet")
    reseal_index(strange)
    with pytest.raises(IndexDamaged, match=r"tiles\.parquet .* rows"):
        open_index(strange)


def test_a_megabyte_of_one_text_for_many_rows_is_refused(tmp_path):
    path = tmp_path / "list.parquet"
    ids = pa.array(["x" * 1_000_000]).dictionary_encode().take(pa.array([0] * 5000))
    parquet.write_table(pa.table({"tile": ids}), path)
    assert path.stat().st_size < 2_000_000
    with pytest.raises(TableError, match="far longer"):
        list(read_table(path, ["tile"]))
    vectors = pa.array([[1.0, 0.0]] * 5000)
    parquet.write_table(pa.table({"id": ids, "embedding": vectors}), path)
    with pytest.raises(TableError, match="far longer"):
        read_embeddings(path, None, RunContext())


FINE = ["EPSG:32618", "OGC:CRS84", 'GEOGCS["WGS 84",DATUM["WGS_1984"]]',
        '{"$schema": "https://proj.org/x", "type": "GeographicCRS"}']  # fmt: skip
STRANGE = ["+init=/etc/passwd:1", "+proj=longlat +nadgrids=/x", "http://host/x", "/vsicurl/x",
           'PROJCS["a",EXTENSION["PROJ4","+proj=merc +nadgrids=/x"]]', '{"type": "BoundCRS"}',
           "GEOGCS", "", None, 7]  # fmt: skip


def test_a_reference_system_that_names_a_file_is_not_read():
    for text in FINE:
        assert checked_crs(text) == text
    for text in STRANGE:
        with pytest.raises(ValueError, match="not a coordinate reference system that is read"):
            checked_crs(text)


SEARCHES = """
import sys, pathlib
from rsretrieve.errors import RsretrieveError
from rsretrieve.index.vectors.vector_index import VectorIndex
import numpy as np
whole = pathlib.Path(sys.argv[1]).read_bytes()
path, seed = pathlib.Path(sys.argv[2]), int(sys.argv[3])
rng = np.random.default_rng(seed)
stored = np.load(sys.argv[4])
read = 0
for _ in range(60):
    content = bytearray(whole)
    place = int(rng.integers(4, min(len(content), rng.choice([200, len(content)])) - 8))
    value = int(rng.choice([0, 1, 2**31 - 1, 2**32 - 1, 2**40, 2**63 - 1, len(stored)]))
    size = int(rng.choice([4, 8]))
    content[place : place + size] = (value & (2 ** (8 * size) - 1)).to_bytes(size, "little")
    path.write_bytes(content)
    try:
        index = VectorIndex.read(path, None, stored, mapped=True)
        _, rows = index.search(stored[:4], 16)
        assert ((rows >= -1) & (rows < len(stored))).all()
        read += 1
    except (ValueError, RsretrieveError):
        pass
print("done", read)
"""


def _bit_codes(vectors):
    faiss = faiss_module()
    built = faiss.index_factory(vectors.shape[1], "IVF4,RaBitQ", faiss.METRIC_INNER_PRODUCT)
    built.train(vectors)
    built.add(vectors)
    return built


@pytest.mark.parametrize(
    "change",
    [
        lambda index: setattr(index, "qb", 200),
        lambda index: setattr(index.rabitq, "d", 1 << 20),
        lambda index: setattr(index.rabitq, "code_size", 1 << 20),
        lambda index: setattr(index, "code_size", 4),
        lambda index: setattr(index.rabitq, "metric_type", 1),
        lambda index: setattr(index.rabitq, "nb_bits", 4),
        lambda index: setattr(index.rabitq, "nb_bits", 200),
        lambda index: setattr(index, "ntotal", 400),
        lambda index: setattr(index, "nprobe", 99),
    ],
)
def test_bit_codes_that_lie_about_their_size_are_refused(change):
    """Each would read or write out of bounds in a search."""
    vectors = np.random.default_rng(0).normal(size=(200, 16)).astype(np.float32)
    index = _bit_codes(vectors)
    assert faiss_checks.is_sound(faiss_module(), index)
    change(index)
    with pytest.raises(ValueError, match="is inconsistent"):
        faiss_checks.is_sound(faiss_module(), index)


@pytest.mark.medium
@pytest.mark.parametrize(
    "key",
    [
        *("Flat", "IVF4,Flat", "IVF4,PQ4x4", "IVF4,SQ8", "HNSW8", "PCA4,IVF4,Flat"),
        *("IVF4,RaBitQ", "IVF4,RaBitQ4"),
    ],
)
def test_no_header_of_faiss_ends_the_process(tmp_path, key):
    faiss, rng = faiss_module(), np.random.default_rng(0)
    vectors = rng.normal(size=(200, 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    built = faiss.index_factory(8, key, faiss.METRIC_INNER_PRODUCT)
    built.train(vectors)
    built.add(vectors)
    faiss.write_index(built, str(tmp_path / "whole"))
    np.save(tmp_path / "vectors.npy", vectors)
    arguments = [tmp_path / "whole", tmp_path / "changed", 0, tmp_path / "vectors.npy"]
    ran = subprocess.run(
        [sys.executable, "-c", SEARCHES, *map(str, arguments)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr[-500:]
    assert 0 < int(ran.stdout.split()[-1]) < 60
