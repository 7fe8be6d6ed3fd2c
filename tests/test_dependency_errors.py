"""What a user can make each library raise arrives as an error of ours, one by one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from rsretrieve.data.discovery.find_tiles import find_tiles
from rsretrieve.data.labels.labels import read_label_table
from rsretrieve.data.reading.pillow_reader import read_raw
from rsretrieve.data.tile import Tile
from rsretrieve.errors import (
    InputError,
    InvalidArgument,
    ModelDamaged,
    RsretrieveError,
    TableError,
    TileError,
    WeightsError,
)
from rsretrieve.index.vectors.vector_index import VectorIndex
from rsretrieve.network.device import choose_device
from rsretrieve.network.model_folder import load_model
from rsretrieve.network.network import build_network
from rsretrieve.network.pretrained import check_weights

GARBAGE = bytes(range(1, 200))
PNG_START = b"\x89PNG\r\n\x1a\n"


def raw(path: Path) -> object:
    return read_raw(Tile(path.name, str(path)))


def weights(path: Path) -> object:
    return check_weights("resnet18", str(path), size_px=64)


CASES = {
    "Pillow": ("a.png", PNG_START + GARBAGE, raw, TileError),
    "rasterio": ("a.tif", b"II*\0" + GARBAGE, raw, TileError),
    "GDAL's virtual rasters": ("a.vrt", b"<VRTDataset><", raw, TileError),
    "csv": ("a.csv", b'tile,label\n"a', read_label_table, TableError),
    "pyarrow": ("a.parquet", b"PAR1" + GARBAGE + b"PAR1", find_tiles, TableError),
    "pystac": ("a.json", b'{"type": "Feature", "assets": 7}', find_tiles, InputError),
    "json": ("a.json", GARBAGE, find_tiles, InputError),
    "safetensors": ("a.safetensors", GARBAGE, weights, WeightsError),
    "torch.load": ("a.pth", GARBAGE, weights, WeightsError),
}


@pytest.mark.parametrize("name", CASES)
def test_a_damaged_file_is_an_error_of_ours_that_names_it(name, tmp_path):
    file, content, read, error = CASES[name]
    path = tmp_path / file
    path.write_bytes(content)
    with pytest.raises(error) as caught:
        read(path)
    assert isinstance(caught.value, RsretrieveError)
    assert file in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_a_pickle_would_run_is_not_run(tmp_path):
    class Trap:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "sprung",))

    torch.save({"model": Trap()}, tmp_path / "a.pth")
    with pytest.raises(WeightsError, match=r"a\.pth: cannot be read as weights"):
        weights(tmp_path / "a.pth")
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("key", ["nonsense", "IVF0,Flat", "PQ7", "IVF99999999,Flat"])
def test_an_index_key_that_faiss_refuses_is_wrong_usage(key):
    with pytest.raises(InvalidArgument):
        VectorIndex.build(np.eye(16, 16, dtype=np.float32), key)


def test_a_file_that_faiss_refuses_says_so(tmp_path):
    (tmp_path / "index.faiss").write_bytes(GARBAGE)
    with pytest.raises(ValueError, match="cannot be read"):
        VectorIndex.read(tmp_path / "index.faiss")


def test_a_backbone_and_a_device_that_torch_does_not_know():
    with pytest.raises(InvalidArgument):
        build_network("no_such_net", bands=3, size_px=32, dimensions=8)
    with pytest.raises(InvalidArgument):
        choose_device("quantum")


def test_a_model_folder_of_garbage(tmp_path):
    (tmp_path / "model.json").write_bytes(GARBAGE)
    with pytest.raises(ModelDamaged):
        load_model(tmp_path, torch.device("cpu"))
