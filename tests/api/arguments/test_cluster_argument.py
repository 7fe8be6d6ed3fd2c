from importlib.machinery import ModuleSpec

import pytest

from rsretrieve.api.arguments.cluster_argument import ClusterArguments, given_long_list
from rsretrieve.api.call_report import CallReport
from rsretrieve.enums import Engine
from rsretrieve.errors import InvalidArgument, MissingPackage, TableError
from rsretrieve.index.cluster import ray_cluster
from rsretrieve.index.cluster.cluster_options import ClusterOptions


@pytest.fixture
def with_ray(monkeypatch):
    monkeypatch.setattr(ray_cluster, "find_spec", lambda _: ModuleSpec("ray", None))
    monkeypatch.delenv("RAY_ADDRESS", raising=False)


def test_the_local_engine_has_no_cluster():
    assert ClusterArguments().options(Engine.LOCAL, "auto") is None
    with pytest.raises(InvalidArgument, match="shards needs engine='ray'"):
        ClusterArguments(shards=3).options(Engine.LOCAL, "auto")


def test_arguments_are_the_options_of_a_cluster(with_ray, tmp_path):
    given = ClusterArguments("auto", 3, 2, tmp_path)
    expected = ClusterOptions("auto", 3, 2, str(tmp_path), "cpu")
    assert given.options(Engine.RAY, "cpu") == expected
    assert ClusterArguments().options(Engine.RAY, "auto") == ClusterOptions()


@pytest.mark.parametrize(
    "wrong",
    [
        {"address": 7},
        {"shards": 0},
        {"shards": 1.5},
        {"workers": "two"},
        {"shard_folder": 3},
        {"shard_folder": "gs://a/b"},
    ],
)
def test_wrong_arguments_are_named(with_ray, wrong):
    with pytest.raises(InvalidArgument):
        ClusterArguments(**wrong).options(Engine.RAY, "auto")


def test_without_ray_it_is_said(monkeypatch):
    monkeypatch.setattr(ray_cluster, "find_spec", lambda _: None)
    with pytest.raises(MissingPackage, match="Ray"):
        ClusterArguments().options(Engine.RAY, "auto")


def test_a_long_list_is_read_part_by_part(tmp_path, monkeypatch):
    path = tmp_path / "tiles.csv"
    path.write_text("tile\na.png\nb.png\n")
    call = CallReport(lambda _: None)
    assert given_long_list(path, call, refuse_repeated=True) is None
    assert given_long_list([path, 3], call, refuse_repeated=True) is None
    monkeypatch.setattr("rsretrieve.index.long_list.LONG_LIST_BYTES", 1)
    for given in (path, [str(path)]):
        assert given_long_list(given, call, refuse_repeated=True).count == 2


def test_a_long_list_that_names_a_tile_twice_is_told(tmp_path, monkeypatch):
    path = tmp_path / "tiles.csv"
    path.write_text("tile\na.png\na.png\n")
    monkeypatch.setattr("rsretrieve.index.long_list.LONG_LIST_BYTES", 1)
    told = []
    call = CallReport(told.append)
    assert given_long_list(path, call, refuse_repeated=False) is None
    assert "twice" in told[0].text
    with pytest.raises(TableError, match=r"a\.png"):
        given_long_list(path, call, refuse_repeated=True)
