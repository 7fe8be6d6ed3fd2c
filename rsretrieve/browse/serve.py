"""Serve the app on this machine alone."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Callable
from contextlib import suppress

import uvicorn

from rsretrieve.browse.guard import Guard
from rsretrieve.errors import InvalidArgument

HOST = "127.0.0.1"
_MOST_SECONDS = 2  # that requests may still take after Ctrl-C


class _Server(uvicorn.Server):
    """Says where it serves as soon as it does: from then on it handles Ctrl-C."""

    def __init__(self, config: uvicorn.Config, opened: Callable[[], None]) -> None:
        super().__init__(config)
        self._opened = opened

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to serve, and say so."""
        await super().startup(sockets)
        self._opened()


def serve(make: Callable[[str, int], Guard], port: int, opened: Callable[[str], None]) -> None:
    """Serve until the user presses Ctrl-C.

    Args:
        make: makes the app, of the secret token and the port.
        port: the port; 0: any that is free.
        opened: called with the address of the page as soon as it is answered.

    Raises:
        InvalidArgument: the port is taken.
    """
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((HOST, port))
    except OSError as error:
        listening.close()
        raise InvalidArgument(
            f"port {port} cannot be used ({error.strerror})",
            hint="leave out --port: a free one is chosen",
        ) from error
    with listening:
        listening.listen()
        port = int(listening.getsockname()[1])
        token = secrets.token_urlsafe(32)
        config = uvicorn.Config(
            make(token, port),
            log_level="error",
            access_log=False,
            server_header=False,
            lifespan="off",
            ws="none",
            timeout_graceful_shutdown=_MOST_SECONDS,
        )
        address = f"http://{HOST}:{port}/{token}/"
        with suppress(KeyboardInterrupt):  # the usual end
            _Server(config, lambda: opened(address)).run(sockets=[listening])
