"""Serve a folder over HTTP, in parts where parts are asked for: python range_server.py FOLDER LOG.

A process of its own: GDAL waits for its answers with Python's global lock held. Prints its port;
writes a line for every answer to LOG (its status, and how many bytes it had). While the folder
holds a file `.failing`, every answer is 500.
"""

from __future__ import annotations

import re
import sys
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

folder, log = Path(sys.argv[1]), Path(sys.argv[2])


class Handler(SimpleHTTPRequestHandler):
    """Answers with files, whole or in part."""

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = Path(self.translate_path(self.path))
        failing = (folder / ".failing").exists()
        if failing or not path.is_file():
            self.note(500 if failing else 404, 0)
            self.send_error(500 if failing else 404)
            return
        content = path.read_bytes()
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        first, last = 0, len(content) - 1
        if asked:
            first, last = int(asked[1]), min(int(asked[2] or last), last)
        part = content[first : last + 1] if self.command == "GET" else b""
        self.note(206 if asked else 200, len(part))
        self.send_response(206 if asked else 200)
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(last + 1 - first))
        if asked:
            self.send_header("Content-Range", f"bytes {first}-{last}/{len(content)}")
        self.end_headers()
        self.wfile.write(part)

    def note(self, status: int, sent: int) -> None:
        """Write a line to the log."""
        with log.open("a") as stream:
            stream.write(f"{status} {sent}\n")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder))) as server:
    sys.stdout.write(f"{server.server_port}\n")
    sys.stdout.flush()
    server.serve_forever()
