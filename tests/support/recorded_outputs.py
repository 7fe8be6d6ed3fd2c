"""What every command prints and writes for one small data set, as one JSON object.

    python -m tests.support.recorded_outputs OUTPUT.json

runs the installed program, each command in a process of its own. The tiles and embeddings are made
here, without the program, so that the same can be recorded with another version.
`recorded_outputs.json` was recorded with the version before the modules moved to their present
folders (0.1.0 of November 2026).
"""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import rasterio
import shapely
from pyarrow import parquet

CLASSES, PER_CLASS, SIDE_PX, DIMENSIONS = ("field", "forest", "water"), 60, 32, 16
EXACT_SUFFIXES = (".csv", ".geojson")
NOT_COMPARED = {"cost", "seconds", "tiles_per_second", "device", "bytes_on_disk", "notices"}
"""Of the JSON objects: they differ from run to run, and from machine to machine."""
SILENT = {"CUDA_VISIBLE_DEVICES": "", "RSRETRIEVE_CACHE_SIZE": "0"}

COMMANDS: dict[str, str] = {
    "split": "split tiles --output lists --seed 1 --json",
    "corrupt": "corrupt-labels tiles --rate 0.3 --seed 1 --output noisy.csv --json",
    "table": "corrupt-labels tiles --rate 0.2 --kind table --table table.csv --output t.csv --json",
    "train": (
        "train tiles --labels noisy.csv --output model --backbone shufflenet_v2_x0_5 --weights none"
        " --size 32 --epochs 2 --batch-size 16 --seed 3 --device cpu --json --quiet"
    ),
    "info model": "info model --json",
    "index": "index tiles --labels noisy.csv --model model --output index --json --quiet",
    "query image": "query tiles/water/00.tif --index index -k 2 --json --quiet",
    "audit model": "audit-labels tiles --labels noisy.csv --model model --json --quiet",
    "external": "index --from-embeddings vectors.parquet --output external --json --quiet",
    "info index": "info external --json",
    "verify": "index --verify --output external --json --quiet",
    "export": "index --export places.parquet --output external --json --quiet",
    "query tile": (
        "query --tile water/03.tif --tile forest/07.tif --index external -k 5 --json --quiet"
        " --csv hits.csv --geojson hits.geojson"
    ),
    "query place": "query --at 10.505,50.105 --index external -k 4 --json --quiet",
    "query filtered": (
        "query --tile water/03.tif --index external -k 9 --label water --exclude-self --jsonl"
        " --quiet"
    ),
    "evaluate": "evaluate --index external --json --quiet",
    "evaluate truth": "evaluate --index external --truth truth.csv --json --quiet",
    "audit": (
        "audit-labels --embeddings vectors.parquet --truth truth.csv --output audit.csv --json"
        " --fixed-labels fixed.csv --changes changes.csv --noise-matrix matrix.csv"
        " --fiftyone fiftyone.csv --budget 20 --quiet"
    ),
    "issues": "audit-labels --embeddings vectors.parquet --fail-on-issues --json --quiet",
    "decided": (
        "audit-labels tiles --labels noisy.csv --decisions decisions.csv --fixed-labels decided.csv"
        " --json --quiet"
    ),
    "refused output": "index --from-embeddings vectors.parquet --output external --json --quiet",
    "no such file": "query nofile.jpg --index external",
    "no such option": "query nofile.jpg --no-such-option",
    "no tiles": "train nowhere --output other",
    "help": "--help",
}


def make_inputs(folder: Path) -> None:
    """Write tiles of three classes, embeddings of them with some wrong labels, and tables."""
    rng = np.random.default_rng(7)
    ids = []
    for label_number, label in enumerate(CLASSES):
        for number in range(PER_CLASS):
            place = (500_000 + 400 * number, 5_500_000 + 400 * label_number)
            _write_tile(folder / "tiles" / label / f"{number:02}.tif", label_number, place, rng)
            ids.append(f"{label}/{number:02}.tif")
    true = np.repeat(np.arange(len(CLASSES)), PER_CLASS)
    centres = np.linalg.qr(rng.normal(size=(DIMENSIONS, len(CLASSES))))[0].T
    vectors = centres[true] + 0.15 * rng.normal(size=(len(true), DIMENSIONS))
    given = np.where(rng.random(len(true)) < 0.15, (true + 1) % len(CLASSES), true)
    columns = {
        "id": ids,
        "label": [CLASSES[i] for i in given],
        "embedding": vectors.astype(np.float32).tolist(),
        "path": [f"tiles/{name}" for name in ids],
        "geometry": [_square(10 + 0.05 * i, 50 + 0.01 * i) for i in range(len(ids))],
    }
    parquet.write_table(pyarrow.table(columns), folder / "vectors.parquet")
    _write_csv(folder / "truth.csv", "tile,label", zip(ids, (CLASSES[i] for i in true)))
    _write_csv(
        folder / "table.csv",
        "from,to,share",
        [("field", "forest", 1), ("forest", "water", 1), ("water", "field", 1)],
    )
    decided = [("water/01.tif", "water", "reject"), ("field/02.tif", "forest", "accept")]
    _write_csv(folder / "decisions.csv", "tile,label,decision", decided)


def _write_tile(path: Path, number: int, corner: tuple[int, int], rng: np.random.Generator) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    values = rng.normal(80 + 50 * number, 15, (3, SIDE_PX, SIDE_PX)).clip(1, 255).astype(np.uint8)
    transform = rasterio.Affine(10, 0, corner[0], 0, -10, corner[1])
    shape = {"width": SIDE_PX, "height": SIDE_PX, "count": 3, "dtype": "uint8"}
    with rasterio.open(path, "w", "GTiff", crs="EPSG:32632", transform=transform, **shape) as file:
        file.write(values)


def _square(lon: float, lat: float) -> bytes:
    return bytes(shapely.to_wkb(shapely.box(lon, lat, lon + 0.01, lat + 0.01)))


def _write_csv(path: Path, header: str, rows: Any) -> None:
    with path.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([header.split(","), *rows])


Runner = Callable[[list[str], Path], tuple[int, str]]
"""Runs a command in a folder; its exit code and its standard output."""


def record(folder: Path, run: Runner) -> dict[str, Any]:
    """Run all commands in a folder; what each printed, and what they wrote."""
    make_inputs(folder)
    before = {path for path in folder.rglob("*") if path.is_file()}
    outcomes = {
        name: _outcome(*run(line.split(), folder), folder) for name, line in COMMANDS.items()
    }
    written = sorted({path for path in folder.rglob("*") if path.is_file()} - before)
    return {
        "commands": outcomes,
        "files": [path.relative_to(folder).as_posix() for path in written],
        "tables": {
            path.relative_to(folder).as_posix(): _lines(path, folder)
            for path in written
            if path.suffix in EXACT_SUFFIXES and path.parent.name != "model"
        },
        "columns": {
            path.relative_to(folder).as_posix(): _columns(path)
            for path in written
            if path.suffix == ".parquet"
        },
    }


def in_a_process(command: list[str], folder: Path) -> tuple[int, str]:
    """Run the installed program."""
    ran = subprocess.run(
        [sys.executable, "-m", "rsretrieve", *command],
        cwd=folder,
        env={**os.environ, **SILENT},
        capture_output=True,
        text=True,
        check=False,
    )
    return ran.returncode, ran.stdout


def _outcome(code: int, output: str, folder: Path) -> dict[str, Any]:
    printed = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
    return {"code": code, "printed": [_comparable(one, folder) for one in printed]}


def _comparable(content: Any, folder: Path) -> Any:
    """The same without times, and with paths relative to the folder."""
    if isinstance(content, dict):
        return {
            name: type(value).__name__ if name in NOT_COMPARED else _comparable(value, folder)
            for name, value in content.items()
        }
    if isinstance(content, list):
        return [_comparable(value, folder) for value in content]
    if isinstance(content, str):
        return content.replace(f"{folder.resolve()}/", "").replace(str(folder.resolve()), "")
    return content


def _lines(path: Path, folder: Path) -> list[str]:
    return path.read_text(encoding="utf-8").replace(f"{folder.resolve()}/", "").splitlines()


def _columns(path: Path) -> list[str]:
    schema = parquet.read_schema(path)
    return [f"{field.name}: {field.type}" for field in schema]


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        found = record(Path(made), in_a_process)
    text = json.dumps(found, sort_keys=True, separators=(",", ":"))
    Path(sys.argv[1]).write_text(text + "\n", "utf-8")
