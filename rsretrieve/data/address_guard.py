"""A proxy that connects to public addresses only; untrusted addresses are fetched through it.

An untrusted list may name a server behind the user's firewall, or one that redirects to it. The
proxy resolves names and makes all connections, only to addresses of the public internet. The
process that decodes can reach nothing but the proxy.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import threading
from contextlib import suppress
from functools import lru_cache
from http import HTTPStatus
from socketserver import StreamRequestHandler, ThreadingTCPServer
from urllib.parse import urlsplit

_HEAD_BYTES, _LINES, _PIECE_BYTES = 65_536, 200, 65_536
_TIMEOUT_S = 30.0
_PORTS = {"http": 80, "https": 443}
_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "gdal_http_proxy", "gdal_https_proxy")
TYPED_HOSTS: set[tuple[str, int]] = set()
_START = threading.Lock()
_running: list[ThreadingTCPServer] = []


class _NotPublic(Exception):
    """A host outside the public internet; the text gives the reason."""


def allow_typed(url: str) -> None:
    """Allow the host of a URL that the user typed, public or not."""
    with suppress(ValueError):
        TYPED_HOSTS.add(_host_and_port(url))


def why_refused(url: str) -> str:
    """Why an untrusted address is not fetched; empty if it may be."""
    try:
        host, port = _host_and_port(url)
        if urlsplit(url).scheme.lower() in _PORTS:
            _address_of(host, port)
    except (_NotPublic, ValueError) as error:
        return f"{url} is not fetched: {error}"
    except OSError:
        pass  # it has no address now: reading it reports the error
    return ""


def guard_address() -> str:
    """The proxy, `127.0.0.1:PORT`, started when first needed; empty if the user has a proxy.

    The user's proxy has rules of its own.
    """
    if any(name.lower() in _PROXIES and value for name, value in os.environ.items()):
        return ""
    with _START:
        if not _running:
            server = _Server(("127.0.0.1", 0), _Handler)
            threading.Thread(target=server.serve_forever, daemon=True, name="addresses").start()
            _running.append(server)
        return f"127.0.0.1:{_running[0].server_address[1]}"


def _host_and_port(url: str) -> tuple[str, int]:
    """Host and port of a URL.

    Raises:
        ValueError: it names no host.
    """
    parts = urlsplit(url)
    if not parts.hostname:
        raise ValueError("it names no host")
    return parts.hostname.lower(), parts.port or _PORTS.get(parts.scheme.lower(), 443)


@lru_cache(maxsize=1024)
def _public_address(host: str, port: int) -> str:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = [str(entry[4][0]) for entry in found]
    for address in addresses:
        if not _is_public(address):
            raise _NotPublic(f"{host} is not a host of the public internet ({address})")
    return addresses[0]


def _is_public(address: str) -> bool:
    parsed = ipaddress.ip_address(address.partition("%")[0])
    inner = getattr(parsed, "ipv4_mapped", None) or getattr(parsed, "sixtofour", None)
    if inner is not None and not _is_public(str(inner)):
        return False
    return parsed.is_global and not parsed.is_multicast


def _address_of(host: str, port: int) -> str:
    """The address to connect to.

    Raises:
        _NotPublic: the host is not public.
        OSError: the name has no address.
    """
    return host if (host.lower(), port) in TYPED_HOSTS else _public_address(host, port)


class _Server(ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True


class _Handler(StreamRequestHandler):
    """One request: `CONNECT host:port`, or a plain one with a whole URL."""

    timeout = _TIMEOUT_S

    def handle(self) -> None:
        """Connect to the requested host, and forward data in both directions."""
        try:
            method, target, version = self.rfile.readline(_HEAD_BYTES).decode("latin-1").split()
            headers = self._headers()
            tunnel = method.upper() == "CONNECT"
            url = f"https://{target}" if tunnel else target
            host, port = _host_and_port(url)
            with socket.create_connection((_address_of(host, port), port), _TIMEOUT_S) as remote:
                if tunnel:
                    self.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
                else:
                    remote.sendall(_request(method, target, version, headers))
                self._forward(remote)
        except _NotPublic:
            self._refuse(HTTPStatus.FORBIDDEN)
        except (OSError, ValueError):
            self._refuse(HTTPStatus.BAD_GATEWAY)

    def _headers(self) -> list[bytes]:
        lines: list[bytes] = []
        while len(lines) < _LINES and (line := self.rfile.readline(_HEAD_BYTES)).strip():
            lines.append(line)
        return lines

    def _refuse(self, status: HTTPStatus) -> None:
        answer = f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Length: 0\r\n"
        with suppress(OSError):
            self.wfile.write(f"{answer}Connection: close\r\n\r\n".encode())

    def _forward(self, remote: socket.socket) -> None:
        onward = threading.Thread(target=_copy, args=(self.connection, remote), daemon=True)
        onward.start()
        _copy(remote, self.connection)


def _request(method: str, url: str, version: str, headers: list[bytes]) -> bytes:
    """A request in the form for the host: a path instead of the URL, one reply a connection."""
    parts = urlsplit(url)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    kept = [line for line in headers if not line.lower().startswith((b"proxy-", b"connection:"))]
    head = f"{method} {path} {version}\r\n".encode("latin-1")
    return b"".join([head, *kept, b"Connection: close\r\n\r\n"])


def _copy(source: socket.socket, target: socket.socket) -> None:
    """Forward all data until the source is closed."""
    with suppress(OSError):
        while piece := source.recv(_PIECE_BYTES):
            target.sendall(piece)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)
