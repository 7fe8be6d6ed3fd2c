"""The files beside shards: none of another program is replaced or removed."""

from __future__ import annotations

import json
import os

import pytest

from rsretrieve.errors import InputError, OutputExists, OutputRefused
from rsretrieve.index.cluster.run_files import (
    PROBE,
    TRAINED,
    encoded_name,
    model_file,
    remove_own_shards,
    require_own_files,
)
from rsretrieve.index.cluster.shard_storage import BucketStorage, FolderStorage

RUN = json.dumps({"started": 1, "model_fingerprint": "f", "windows": {}, "packing": {}}).encode()
OURS = (TRAINED, encoded_name(0), encoded_name(1234567), model_file("model.json"))
SHARD = f"000000-{24 * 'a'}.parquet"


@pytest.fixture
def storage(tmp_path):
    (tmp_path / ".index.shards").mkdir()
    return FolderStorage(tmp_path / ".index.shards")


@pytest.mark.parametrize("name", OURS)
def test_the_files_of_a_run_are_replaced_and_no_others(storage, name):
    require_own_files(storage)
    storage.write("notes.txt", b"mine")
    storage.write(SHARD, b"a shard")
    require_own_files(storage)
    storage.write(name, b"mine")
    with pytest.raises(OutputRefused, match=f"holds {name}, which rsretrieve did not write"):
        require_own_files(storage)
    storage.write(PROBE, RUN)
    require_own_files(storage)


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"[]", b"\xff", b'{"started": 1}', RUN + b" " * (1 << 20)]
)
def test_a_foreign_file_with_the_name_of_the_probe_is_refused(storage, content):
    storage.write(PROBE, content)
    with pytest.raises(OutputRefused, match=PROBE):
        require_own_files(storage)
    assert storage.read(PROBE) == content


def test_what_is_no_file_is_refused(storage, tmp_path):
    os.mkfifo(storage.folder / PROBE)
    with pytest.raises(OutputRefused, match=PROBE):
        require_own_files(storage)
    (tmp_path / "file").touch()
    with pytest.raises(OutputExists, match="is a file"):
        require_own_files(FolderStorage(tmp_path / "file"))


def test_only_the_files_of_runs_are_removed(storage, tmp_path):
    for name in (*OURS, SHARD, f".{SHARD}.abcdefgh.parquet", "notes.txt"):
        storage.write(name, b"")
    remove_own_shards(tmp_path / "index")
    assert {*storage.names()} == {*OURS, "notes.txt"}
    storage.write(PROBE, RUN)
    remove_own_shards(tmp_path / "index")
    assert storage.names() == ["notes.txt"]
    (storage.folder / "notes.txt").unlink()
    storage.write(SHARD, b"")
    remove_own_shards(tmp_path / "index")
    assert not storage.folder.exists()


@pytest.mark.medium
def test_files_of_others_in_a_bucket_are_refused(faulty_store):
    storage = BucketStorage("s3://shards/other")
    require_own_files(storage)
    storage.write("model-x.bin", b"mine")
    with pytest.raises(OutputRefused, match="model-x"):
        require_own_files(storage)
    storage.write(PROBE, RUN)
    require_own_files(storage)


@pytest.mark.medium
def test_a_store_that_does_not_answer_is_named(monkeypatch):
    monkeypatch.setattr("rsretrieve.index.cluster.shard_storage._FIRST_DELAY_S", 0.001)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    with pytest.raises(InputError, match="s3://shards/run: cannot"):
        require_own_files(BucketStorage("s3://shards/run", limit_s=1.0))
