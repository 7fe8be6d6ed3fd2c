"""Requests to an app, without a server."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import anyio

HOST = "127.0.0.1:8000"


@dataclass(frozen=True)
class Answer:
    """What an app answered."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body."""
        return json.loads(self.body)


def asked(
    app: Any,
    path: str,
    *,
    method: str = "GET",
    body: bytes = b"",
    headers: dict[str, str] | None = None,
    query: str = "",
) -> Answer:
    """Send one request, as a browser on this machine does."""
    given = {"host": HOST, "content-length": str(len(body)), **(headers or {})}
    scope = {
        **{"type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1"},
        **{"method": method, "scheme": "http", "path": path, "raw_path": path.encode()},
        **{"query_string": query.encode(), "root_path": "", "server": ("127.0.0.1", 8000)},
        "headers": [(name.encode(), value.encode("latin-1")) for name, value in given.items()],
        "client": ("127.0.0.1", 1),
    }
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        sent.append(dict(message))

    anyio.run(app, scope, receive, send)
    start = sent[0]
    found = {name.decode(): value.decode() for name, value in start["headers"]}
    content = b"".join(message.get("body", b"") for message in sent[1:])
    return Answer(start["status"], found, content)


def posted(app: Any, path: str, content: object) -> Answer:
    """Send JSON."""
    return asked(app, path, method="POST", body=json.dumps(content).encode())
