import importlib.util
import io
import socket
import threading
from contextlib import redirect_stdout
from importlib.machinery import ModuleSpec

import pytest

from rsretrieve.errors import InputError, InvalidArgument, MissingPackage
from rsretrieve.index.cluster import ray_cluster
from rsretrieve.index.cluster.ray_cluster import check_ray

FOUND = ModuleSpec("ray", None)


@pytest.fixture
def with_ray(monkeypatch):
    monkeypatch.setattr(ray_cluster, "find_spec", lambda _: FOUND)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)


def test_without_ray_one_sentence_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr(ray_cluster, "find_spec", lambda _: None)
    with pytest.raises(MissingPackage, match="Ray") as refused:
        check_ray(None)
    assert "pip install 'rsretrieve[ray]'" in refused.value.hint


@pytest.mark.parametrize("address", [None, "auto", "local"])
def test_what_ray_finds_itself_needs_no_check(with_ray, address):
    check_ray(address)


@pytest.mark.parametrize("address", ["nowhere", "host:", ":6379", "host:port"])
def test_what_is_no_address_is_refused(with_ray, address):
    with pytest.raises(InvalidArgument, match="address"):
        check_ray(address)


@pytest.mark.parametrize("scheme", ["", "ray://"])
def test_where_nothing_answers_is_said_at_once(with_ray, scheme):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        check_ray(f"{scheme}127.0.0.1:{port}")
    with pytest.raises(InputError, match="no Ray cluster answers"):
        check_ray(f"{scheme}127.0.0.1:{port}")


def test_the_address_of_the_environment_counts(with_ray, monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "nowhere")
    with pytest.raises(InvalidArgument, match="nowhere"):
        check_ray(None)


def test_only_one_module_knows_of_ray():
    from tests.support.repository import PACKAGE

    users = {
        path.name
        for path in PACKAGE.rglob("*.py")
        if "import ray" in path.read_text(encoding="utf-8").replace("import ray_", "")
    }
    assert users == {"ray_cluster.py"}
    assert importlib.util.find_spec("rsretrieve.index.cluster.ray_cluster") is not None


def test_only_what_ray_prints_goes_to_standard_error():
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(ray_cluster.OutputOfOthers(out, err)):
        print("a result")  # noqa: T201
        thread = threading.Thread(target=print, args=("lost",), name="ray_listen_error_messages")
        thread.start()
        thread.join()
    assert (out.getvalue(), err.getvalue()) == ("a result\n", "lost\n")
