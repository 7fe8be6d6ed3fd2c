from importlib.machinery import ModuleSpec

import pytest

from rsretrieve.index.cluster import ray_cluster


@pytest.fixture
def with_ray(monkeypatch):
    monkeypatch.setattr(ray_cluster, "find_spec", lambda _: ModuleSpec("ray", None))
    monkeypatch.delenv("RAY_ADDRESS", raising=False)


@pytest.fixture
def tiles(tmp_path):
    (tmp_path / "tiles").mkdir()
    return tmp_path / "tiles"


@pytest.mark.parametrize(
    "given", [("--address", "h:1"), ("--shards", 3), ("--workers", 2), ("--shard-folder", "s")]
)
def test_options_of_a_cluster_need_its_engine(run, tiles, tmp_path, given):
    ran = run("index", tiles, "--output", tmp_path / "index", *given)
    assert ran.code == 2
    assert f"{given[0]} needs --engine ray" in ran.err


def test_without_ray_the_command_says_how_to_get_it(run, tiles, tmp_path, monkeypatch):
    monkeypatch.setattr(ray_cluster, "find_spec", lambda _: None)
    ran = run("index", tiles, "--output", tmp_path / "index", "--engine", "ray")
    assert ran.code == 1
    assert "pip install 'rsretrieve[ray]'" in ran.err
    assert not (tmp_path / "index").exists()


def test_a_cluster_that_does_not_answer_is_named(run, with_ray, tiles, tmp_path):
    arguments = ("--engine", "ray", "--address", "127.0.0.1:9")
    ran = run("index", tiles, "--output", tmp_path / "index", *arguments)
    assert ran.code == 1
    assert "no Ray cluster answers at 127.0.0.1:9" in ran.err


@pytest.mark.parametrize(
    ("folder", "said"), [("gs://b/c", "stored"), ("s3://key:word@b/c", "credentials")]
)
def test_a_place_that_is_none_for_shards_is_refused(run, with_ray, tiles, tmp_path, folder, said):
    arguments = ("--engine", "ray", "--shard-folder", folder)
    ran = run("index", tiles, "--output", tmp_path / "index", *arguments)
    assert ran.code == 2
    assert said in ran.err
    assert "word" not in ran.err


def test_only_tiles_are_embedded_on_a_cluster(run, with_ray, tmp_path):
    given = ("--from-embeddings", tmp_path / "vectors.npy", "--engine", "ray")
    ran = run("index", "--output", tmp_path / "index", *given)
    assert ran.code == 2
    assert "--engine ray embeds TILES" in ran.err
