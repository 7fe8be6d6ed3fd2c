"""What a stranger's list names is fetched from public addresses alone, also behind a redirect."""

from __future__ import annotations

import socket
import threading
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from rsretrieve.data import address_guard
from rsretrieve.data.access import Readable, policy_for
from rsretrieve.data.address_guard import allow_typed, guard_address, why_refused
from rsretrieve.data.discovery.find_tiles import find_tiles
from rsretrieve.data.tile import Tile
from rsretrieve.errors import TileError


@pytest.fixture
def server():
    """A server on this machine that answers, or sends on to itself; and what it was asked."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_response(302 if self.path.startswith("/on") else 200)
            self.send_header("Location", "/there")
            self.end_headers()
            self.wfile.write(b"private")

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as made:
        threading.Thread(target=made.serve_forever, daemon=True).start()
        yield made.server_address[1], asked
        made.shutdown()


@pytest.fixture(autouse=True)
def _no_proxy_of_the_users_own(monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(address_guard, "TYPED_HOSTS", set())


def through_the_guard(url):
    """What comes by the proxy: a status and a body."""
    proxies = urllib.request.ProxyHandler({"http": f"http://{guard_address()}"})
    try:
        with urllib.request.build_opener(proxies).open(url, timeout=10) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, b""


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "localhost", "[::1]", "0.0.0.0", "2130706433", "0x7f000001", "127.1"),
        *("10.0.0.1", "192.168.1.1", "172.16.0.9", "169.254.169.254", "[fe80::1]", "[fd00::1]"),
        *("[::ffff:127.0.0.1]", "100.64.0.1", "224.0.0.1", "[2002:7f00:1::]", "user@127.0.0.1"),
    ],
)
def test_addresses_that_are_not_public_are_refused(host):
    assert "not a host of the public internet" in why_refused(f"http://{host}:8000/a.tif")
    with pytest.raises(TileError, match="--trust-sources"):
        policy_for(Tile("a", f"https://{host}/a.tif"), Readable(()))


def test_a_public_address_may_be_asked_by_the_guard_alone():
    policy = policy_for(Tile("a", "https://8.8.8.8/a.tif"), Readable(()))
    assert policy.network
    assert policy.proxy == guard_address()
    assert policy.ports == (int(guard_address().rpartition(":")[2]),)
    assert policy.readable == ()


@pytest.mark.parametrize("path", ["ftp://8.8.8.8/a.tif", "https:///a.tif", "zip+https://8.8.8.8/a"])
def test_other_schemes_and_no_host_are_refused(path):
    with pytest.raises(TileError, match="--trust-sources"):
        policy_for(Tile("a", path), Readable(()))


def test_the_guard_connects_to_no_private_address(server):
    port, asked = server
    assert through_the_guard(f"http://127.0.0.1:{port}/a") == (403, b"")
    assert through_the_guard(f"http://localhost:{port}/a") == (403, b"")
    assert asked == []


def test_a_host_that_the_user_typed_may_be_asked_and_no_other_port_of_it(server):
    port, asked = server
    allow_typed(f"http://127.0.0.1:{port}/item.json")
    assert why_refused(f"http://127.0.0.1:{port}/a.tif") == ""
    assert why_refused(f"http://127.0.0.1:{port + 1}/a.tif")
    assert through_the_guard(f"http://127.0.0.1:{port}/on?x=1") == (200, b"private")
    assert asked == ["/on?x=1", "/there"]


def test_a_redirect_is_a_new_question_to_the_guard(server, monkeypatch):
    port, asked = server
    monkeypatch.setattr(address_guard, "TYPED_HOSTS", {("127.0.0.1", port)})
    monkeypatch.setattr(BaseHTTPRequestHandler, "send_header", _to_localhost(port))
    assert through_the_guard(f"http://127.0.0.1:{port}/on") == (403, b"")
    assert asked == ["/on"]


def _to_localhost(port):
    as_before = BaseHTTPRequestHandler.send_header

    def send_header(handler, name, value):
        if name == "Location":
            value = f"http://localhost:{port}/private"
        as_before(handler, name, value)

    return send_header


def test_a_tunnel_leads_to_typed_hosts_only(server):
    port, _ = server
    for typed, answer in ((False, b"403"), (True, b"200")):
        if typed:
            allow_typed(f"https://127.0.0.1:{port}")
        host, _, number = guard_address().partition(":")
        with socket.create_connection((host, int(number)), 10) as line:
            line.sendall(f"CONNECT 127.0.0.1:{port} HTTP/1.1\r\n\r\n".encode())
            assert line.recv(100).split()[1] == answer


def test_what_is_no_request_is_answered_and_ends_nothing():
    host, _, number = guard_address().partition(":")
    for text in (b"\r\n", b"GET\r\n\r\n", b"CONNECT nowhere.invalid:1 HTTP/1.1\r\n\r\n"):
        with socket.create_connection((host, int(number)), 10) as line:
            line.sendall(text)
            assert line.recv(100).split()[1] == b"502"


def test_a_proxy_of_the_users_own_is_kept(monkeypatch):
    monkeypatch.setenv("https_proxy", "http://proxy.example:3128")
    assert guard_address() == ""
    assert policy_for(Tile("a", "https://8.8.8.8/a.tif"), Readable(())).ports == ()


def test_the_hosts_of_a_list_are_said_once(tmp_path):
    path = tmp_path / "list.csv"
    path.write_text("tile,path\na,https://8.8.8.8/a.tif\nb,https://8.8.8.8/b.tif\nc,vrt://c.tif\n")
    (notice,) = find_tiles(path).notices
    assert notice.endswith("names tiles that are fetched from '8.8.8.8'")
