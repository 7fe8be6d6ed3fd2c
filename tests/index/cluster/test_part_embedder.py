from dataclasses import replace

import pytest

import rsretrieve
from rsretrieve._core.atomic_write import sha256_of_file
from rsretrieve.errors import InputError
from rsretrieve.index.cluster.part_embedder import (
    EmbeddingJob,
    PartEmbedder,
)
from rsretrieve.index.cluster.parts import parts_of
from rsretrieve.index.cluster.run_files import PROBE, model_file
from rsretrieve.index.cluster.shard_file import read_shard
from rsretrieve.index.cluster.shard_storage import FolderStorage


@pytest.fixture
def job(model, tmp_path):
    storage = FolderStorage(tmp_path / "shards")
    storage.write(PROBE, b"this run")
    files = [path for path in model.folder.iterdir() if path.is_file()]
    for path in files:
        storage.write(model_file(path.name), path.read_bytes())
    names = {path.name: sha256_of_file(path) for path in files}
    return EmbeddingJob(
        rsretrieve.__version__, "cpu", 1, storage, b"this run", None, False, 2, names
    )


@pytest.fixture
def part(tiles):
    (part,) = parts_of([tiles.select(range(4))], "run")
    return part


def test_a_part_becomes_a_shard_and_is_embedded_once(job, part):
    embedder = PartEmbedder(job)
    first = embedder.embed(part)
    assert (first.error, first.tiles, first.embedded) == (None, 4, 4)
    again = embedder.embed(part)
    assert (again.error, again.embedded, again.sha256) == (None, 0, first.sha256)
    shard = read_shard(job.storage.read(part.shard), part.digest, 8)
    assert shard.rows.column("id").to_pylist() == [tile.id for tile in part.tiles.load()]
    assert len(shard.features) == 2


def test_labels_are_those_of_today(job, part, tiles):
    PartEmbedder(job).embed(part)
    some = tiles.select(range(4)).relabelled({tiles[0].id: "new"})
    (again,) = parts_of([some], "run")
    report = PartEmbedder(job).embed(again)
    shard = read_shard(job.storage.read(again.shard), again.digest, 8)
    assert (again.shard, report.embedded) == (part.shard, 0)
    assert shard.rows.column("label").to_pylist()[0] == "new"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"version": "0"}, "has rsretrieve"),
        ({"probe": b"another run"}, "does not see"),
        ({"model": {"model.json": "0" * 64}}, "not what was written"),
    ],
)
def test_what_does_not_fit_together_ends_the_run(job, part, changes, said):
    error = PartEmbedder(replace(job, **changes)).embed(part).error
    assert isinstance(error, InputError)
    assert said in error.message


def test_a_full_disk_ends_the_run_and_names_the_machine(job, part, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(FolderStorage, "write", full)
    error = PartEmbedder(job).embed(part).error
    assert isinstance(error, InputError)
    assert "No space left" in error.message
