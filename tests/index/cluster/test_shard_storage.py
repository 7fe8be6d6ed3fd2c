import pickle
import re
from pathlib import Path

import pytest

from rsretrieve.errors import InputError, InvalidArgument, OutputExists
from rsretrieve.index.cluster import shard_storage
from rsretrieve.index.cluster.shard_storage import BucketStorage, FolderStorage, storage_at

CONTENT = bytes(range(256)) * 400


def test_a_folder_keeps_files(tmp_path):
    storage = FolderStorage(tmp_path / "shards")
    assert storage_at(str(tmp_path / "shards")) == storage
    assert storage.read("a") is None
    storage.write("a", CONTENT)
    storage.write("a", CONTENT[::-1])
    assert storage.read("a") == CONTENT[::-1]
    assert [path.name for path in (tmp_path / "shards").iterdir()] == ["a"]
    assert storage.names() == ["a"]
    assert FolderStorage(tmp_path / "gone").names() == []
    with pytest.raises(OutputExists, match="is a file"):
        FolderStorage(tmp_path / "shards" / "a").names()


def test_a_file_that_is_not_read_as_it_was_written_is_not_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(Path, "read_bytes", lambda _: b"other")
    with pytest.raises(OSError, match="not what is read"):
        FolderStorage(tmp_path).write("a", CONTENT)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("gs://bucket/shards", "gs"),
        ("s3://key:secret@bucket/shards", "credentials"),
        ("s3://bucket/shards?endpoint_override=x", "options"),
        ("s3://bucket", "folder in a bucket"),
    ],
)
def test_addresses_that_are_no_place_for_shards(where, said):
    with pytest.raises(InvalidArgument, match=said) as refused:
        storage_at(where)
    assert "secret" not in refused.value.message + refused.value.hint


@pytest.mark.medium
def test_a_bucket_keeps_files(faulty_store):
    storage = BucketStorage("s3://shards/run")
    assert storage.read("a") is None
    assert storage.names() == []
    storage.write("a", CONTENT)
    BucketStorage("s3://shards/run/deeper").write("b", CONTENT)
    assert {"a"} <= {*storage.names()} <= {"a", "deeper"}
    again = pickle.loads(pickle.dumps(storage))
    assert again.read("a") == CONTENT
    assert not re.search("testing", repr(storage))


@pytest.mark.slow
def test_nothing_is_lost_in_a_store_that_fails(faulty_store):
    storage = BucketStorage("s3://shards/run", limit_s=1.0)
    faulty_store.every = 3
    for number in range(20):
        storage.write(f"shard-{number}", CONTENT + bytes([number]))
    for number in range(20):
        assert storage.read(f"shard-{number}") == CONTENT + bytes([number])
    assert {"refused", "late"} < {*faulty_store.counts}
    assert faulty_store.counts["cut short on the way there"]
    assert faulty_store.counts["cut short on the way back"]


@pytest.mark.medium
def test_a_store_that_never_answers_is_named(monkeypatch):
    monkeypatch.setattr(shard_storage, "_FIRST_DELAY_S", 0.001)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    with pytest.raises(InputError, match="s3://shards/run: cannot read a"):
        BucketStorage("s3://shards/run", limit_s=1.0).read("a")
