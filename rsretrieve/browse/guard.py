"""Which requests the app answers: those of the page that the user opened, and no others.

Every web page that is open in the same browser can send requests to this machine. A secret token
in every address keeps them out, and so do the headers Host (a page whose name was made to point to
this machine, "DNS rebinding", sends its own name) and Origin (another page sends its own address).
"""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

MOST_BYTES = 64 << 20
"""The largest file that may be dropped on the page."""
_OWN_NAMES = ("127.0.0.1", "localhost", "[::1]")
_USUAL_PORT = "80"  # browsers leave it out
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:{}; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
}


class Guard:
    """Answers requests with the right token from this machine's own page; refuses all others.

    Args:
        app: the app; it sees paths without the token.
        token: the secret part of every path.
        port: the port, which must be in Host; 0: any.
        images_from: scheme and host of the one server besides this one that the page may get
            images from; empty for none.
    """

    def __init__(self, app: App, token: str, port: int = 0, images_from: str = "") -> None:
        self._app, self._token, self._port = app, token, port
        policy = _POLICY.format(f" {images_from}" if images_from else "")
        self._headers = {"content-security-policy": policy, **_HEADERS}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":  # no WebSocket is used
            return
        headers = {
            name.decode("latin-1").lower(): value.decode("latin-1")
            for name, value in scope["headers"]
        }
        status = self._refusal(scope, headers)
        if status:
            await _refuse(send, status)
            return
        _, _, rest = scope["path"].removeprefix("/").partition("/")
        inner = {**scope, "path": f"/{rest}", "raw_path": f"/{rest}".encode(), "root_path": ""}

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                more = [(name.encode(), value.encode()) for name, value in self._headers.items()]
                message = {**message, "headers": [*message.get("headers", ()), *more]}
            await send(message)

        await self._app(inner, _limited(receive), with_headers)

    def _refusal(self, scope: Scope, headers: dict[str, str]) -> int:
        """The status by which a request is refused; 0 if it is answered."""
        hosts = [value for name, value in scope["headers"] if name.lower() == b"host"]
        if len(hosts) != 1 or not self._is_own(headers.get("host", "")):
            return 421
        origin = headers.get("origin", "")
        if origin and not self._is_own(origin.removeprefix("http://")):
            return 403
        if headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
            return 403
        given = scope["path"].removeprefix("/").partition("/")[0]
        if not hmac.compare_digest(given.encode(), self._token.encode()):
            return 403
        if scope["method"] not in ("GET", "HEAD", "POST"):
            return 405
        length = headers.get("content-length", "0")
        return 413 if not length.isdecimal() or int(length[:20]) > MOST_BYTES else 0

    def _is_own(self, host: str) -> bool:
        """Whether a host is this machine, at the app's port."""
        own = next((name for name in _OWN_NAMES if f"{host}:".startswith(f"{name}:")), None)
        if own is None:
            return False
        port = host.removeprefix(own).removeprefix(":") or _USUAL_PORT
        return not self._port or port == str(self._port)


def _limited(receive: Receive) -> Receive:
    """The same, but a body beyond `MOST_BYTES` ends as if the client had gone."""
    received = 0

    async def limited() -> Message:
        nonlocal received
        message = await receive()
        received += len(message.get("body", b""))
        return message if received <= MOST_BYTES else {"type": "http.disconnect"}

    return limited


async def _refuse(send: Send, status: int) -> None:
    text = b"This address is not answered. Open the address that rsretrieve browse printed.\n"
    headers = [(b"content-type", b"text/plain"), (b"content-length", str(len(text)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": text})
