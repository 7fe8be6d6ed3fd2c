"""The app of `rsretrieve browse` over many tiles: search by click, frames of the map, memory.

    python benchmarks/browse.py --tiles 100000

An index of unit vectors in clusters, with places, is made in a temporary folder and served by the
program itself. Printed are: the time to the first answers, the time of a search by click (median
and largest of 50 tiles), the peak memory of the server, whether it loaded PyTorch, and, where
Chromium is installed, the time of a frame while the map is moved.
"""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import numpy as np
import pyarrow
from pyarrow import parquet

from rsretrieve.data.run_context import RunContext
from rsretrieve.index.build_from_embeddings import index_embeddings
from rsretrieve.index.write import IndexBuildOptions

FRAMES = """async () => {
  const canvas = document.getElementById('map'), box = canvas.getBoundingClientRect();
  const send = (kind, x) => canvas.dispatchEvent(new PointerEvent(kind,
    { clientX: box.x + x, clientY: box.y + 200, pointerId: 1, bubbles: true }));
  canvas.setPointerCapture = () => {};
  const times = [];
  send('pointerdown', 100);
  for (let step = 0; step < 60; step++) {
    const started = performance.now();
    send('pointermove', 110 + 3 * step);
    await new Promise(requestAnimationFrame);
    await new Promise(requestAnimationFrame);
    times.push((performance.now() - started) / 2);
  }
  send('pointerup', 300);
  return times;
}"""


def write_index(folder: Path, count: int, dimensions: int) -> None:
    """An index of vectors in 200 clusters, whose places form a grid."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(200, dimensions))
    which = rng.integers(0, 200, count)
    vectors = centres[which] + 0.7 * rng.normal(size=(count, dimensions))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    side = int(np.ceil(np.sqrt(count)))
    flat = pyarrow.array(vectors.astype(np.float32).ravel())
    table = {
        "id": [f"tile_{number:07}.tif" for number in range(count)],
        "embedding": pyarrow.FixedSizeListArray.from_arrays(flat, dimensions),
        "label": [f"class {number % 20}" for number in which],
        "longitude": 10 + (np.arange(count) % side) / side,
        "latitude": 47 + (np.arange(count) // side) / side,
    }
    parquet.write_table(pyarrow.table(table), folder / "tiles.parquet")
    options = IndexBuildOptions(folder / "index", None, None)
    index_embeddings(folder / "tiles.parquet", None, options, RunContext())


def asked(address: str, body: object = None) -> bytes:
    """The answer to a request."""
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(address, data)) as answer:
        content: bytes = answer.read()
    return content


def frames(address: str) -> list[float]:
    """Milliseconds of each frame while the map is moved; empty without a browser."""
    path = shutil.which("chromium") or shutil.which("google-chrome")
    if path is None:
        return []
    from playwright.sync_api import expect, sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1200, "height": 800})
        page.goto(address)
        expect(page.locator("#count")).to_contain_text("tiles", timeout=60_000)
        found: list[float] = page.evaluate(FRAMES)
        browser.close()
    return found


def main() -> None:
    """Measure, and print one line each."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--tiles", type=int, default=100_000)
    parser.add_argument("--dimensions", type=int, default=128)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_index(folder, given.tiles, given.dimensions)
        command = [sys.executable, "-m", "rsretrieve", "browse", str(folder / "index"), "--no-open"]
        program = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=folder)
        assert program.stdout is not None
        started = time.perf_counter()
        address = program.stdout.readline().strip()
        asked(address)
        asked(f"{address}facts")
        asked(f"{address}points")
        print(f"start to map: {time.perf_counter() - started:.2f} s")
        rows = np.random.default_rng(1).integers(0, given.tiles, 51).tolist()
        times = []
        for row in rows:
            started = time.perf_counter()
            asked(f"{address}search", {"likes": [row], "k": 60})
            times.append(1000 * (time.perf_counter() - started))
        print(
            f"first search {times[0]:.0f} ms; median of 50 {statistics.median(times[1:]):.0f} ms, ",
            end="",
        )
        print(f"largest {max(times[1:]):.0f} ms")
        if drawn := frames(address):
            print(f"frames: median {statistics.median(drawn):.0f} ms, largest {max(drawn):.0f} ms")
        status = Path(f"/proc/{program.pid}/status").read_text()
        maps = Path(f"/proc/{program.pid}/maps").read_text()
        peak = int(status.partition("VmHWM:")[2].split()[0]) / 1e3
        print(f"peak memory {peak:.0f} MB; PyTorch loaded: {'libtorch' in maps}")
        program.send_signal(signal.SIGINT)
        program.wait()


if __name__ == "__main__":
    main()
