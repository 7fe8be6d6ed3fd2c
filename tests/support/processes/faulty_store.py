"""A server with the interface of S3 in this process, which fails as real ones do."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import Any
from urllib.request import Request, urlopen

BUCKET = "shards"


class Faults:
    """Fails some of the requests of each method: in turn they are refused, cut short or late.

    Attributes:
        late_s: how late.
        counts: how often each fault happened.
        every: every so-manieth request of a kind fails; 0: none.
    """

    def __init__(self, application: Callable[..., Any], late_s: float) -> None:
        self._application, self.late_s = application, late_s
        self.counts: Counter[str] = Counter()
        self.every, self._lock = 0, threading.Lock()
        self._seen: Counter[str] = Counter()

    def __call__(self, environ: dict[str, Any], start: Callable[..., Any]) -> Any:
        fault = self._next(environ["REQUEST_METHOD"])
        if fault == "refused":
            start("503 Slow Down", [("Content-Length", "0")])
            return [b""]
        if fault == "late":
            time.sleep(self.late_s)
        if fault == "cut short on the way there":
            half = int(environ["CONTENT_LENGTH"]) // 2
            environ["wsgi.input"] = BytesIO(environ["wsgi.input"].read(half))
            environ["CONTENT_LENGTH"] = str(half)
        answer = b"".join(self._application(environ, start))
        return [answer[: len(answer) // 2] if fault == "cut short on the way back" else answer]

    def _next(self, method: str) -> str:
        with self._lock:
            self._seen[method] += 1
            turn, left = divmod(self._seen[method], self.every or self._seen[method] + 1)
            if left or not turn:
                return ""
            kinds = {
                "GET": ("refused", "cut short on the way back", "late"),
                "PUT": ("refused", "cut short on the way there", "late"),
            }.get(method, ("refused", "late"))
            fault = kinds[turn % len(kinds)]
            self.counts[fault] += 1
            return fault


@contextmanager
def served_store(late_s: float = 1.5) -> Iterator[tuple[str, Faults]]:
    """An empty store: its endpoint, and what makes it fail."""
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import make_server

    faults = Faults(DomainDispatcherApplication(create_backend_app), late_s)
    server = make_server("127.0.0.1", 0, faults, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    endpoint = f"http://127.0.0.1:{server.server_port}"
    # What earlier tests of this process stored is there otherwise.
    with urlopen(Request(f"{endpoint}/moto-api/reset", method="POST")):
        pass
    try:
        yield endpoint, faults
    finally:
        server.shutdown()
        thread.join()
