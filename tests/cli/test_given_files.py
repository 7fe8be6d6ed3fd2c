"""Whatever lies where a command is told to look for a file: one message that names it, no crash."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

GARBAGE = bytes(range(1, 200)) * 3


def _saved(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=True)
    return buffer.getvalue()


def _folder(path: Path) -> None:
    path.mkdir()


def _unreadable(path: Path) -> None:
    path.symlink_to(path)  # who may read everything cannot read this, either


def _holding(content: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(content)


PLACED: dict[str, Callable[[Path], object]] = {
    "nothing": lambda path: None,
    "a folder": _folder,
    "a link to itself": _unreadable,
    "an empty file": _holding(b""),
    "garbage": _holding(GARBAGE),
    "zeros": _holding(bytes(500)),
    "text": _holding(b'tile\nlabel,\n"a\n'),
    "columns of others": _holding(b"a,b\n1,2\n"),
    "JSON of others": _holding(b'{"type": "FeatureCollection", "features": [7]}'),
    "JSON nested without end": _holding(b"[" * 100_000),
    "the start of a Parquet file": _holding(b"PAR1" + GARBAGE + b"PAR1"),
    "the start of safetensors": _holding((2**40).to_bytes(8, "little") + GARBAGE),
    "an array of objects": _holding(_saved(np.array([{}, None], dtype=object))),
    "an array of text": _holding(_saved(np.array(["a", "b"]))),
    "an array without columns": _holding(_saved(np.zeros((3, 0), np.float32))),
    "an array of NaN": _holding(_saved(np.full((144, 4), np.nan, np.float32))),
}
COMMANDS: dict[str, tuple[str, ...]] = {
    "tiles, list": ("split", "{file}.csv", "--output", "{out}"),
    "tiles, Parquet": ("split", "{file}.parquet", "--output", "{out}"),
    "labels": ("split", "{tiles}", "--labels", "{file}.csv", "--output", "{out}"),
    "table": (
        *("corrupt-labels", "{tiles}", "--rate", "0.3", "--kind", "table", "--table", "{file}.csv"),
        *("--output", "{out}"),
    ),
    "model": ("index", "{tiles}", "--model", "{file}", "--output", "{out}"),
    "weights": ("train", "{tiles}", "--weights", "{file}.pth", "--output", "{out}"),
    "safe weights": ("train", "{tiles}", "--weights", "{file}.safetensors", "--output", "{out}"),
    "vectors": ("index", "--from-embeddings", "{file}.npy", "--output", "{out}"),
    "raster of vectors": ("index", "--from-embeddings", "{file}.tif", "--output", "{out}"),
    "vectors, CSV": ("index", "--from-embeddings", "{file}.csv", "--output", "{out}"),
    "vectors, Parquet": ("index", "--from-embeddings", "{file}.parquet", "--output", "{out}"),
    "index": ("query", "--tile", "a", "--index", "{file}"),
    "query": ("query", "{file}.jpg", "--index", "{index}"),
    "query's vectors": ("query", "{file}.npy", "--index", "{index}"),
    "polygons": ("query", "--tile", "{tile}", "--index", "{index}", "--within", "{file}.geojson"),
    "true labels": ("evaluate", "--index", "{index}", "--truth", "{file}.csv"),
    "embeddings": (
        *("audit-labels", "{tiles}", "--embeddings", "{file}.npy", "--output", "{out}"),
    ),
    "decisions": (
        *("audit-labels", "{tiles}", "--decisions", "{file}.csv", "--fixed-labels", "{out}"),
    ),
    "truth": (
        *("audit-labels", "{tiles}", "--model", "{model}", "--truth", "{file}.csv"),
        *("--output", "{out}"),
    ),
    "info": ("info", "{file}"),
}


@pytest.mark.medium
@pytest.mark.parametrize("placed", PLACED)
@pytest.mark.parametrize("command", COMMANDS)
def test_a_file_that_is_not_what_was_meant_is_named(
    run, landscape, model, index, tmp_path, command, placed
):
    file, out = tmp_path / "given", tmp_path / "out.csv"
    tile = min(landscape.glob("*/*")).relative_to(landscape)
    words = {"tiles": landscape, "model": model, "index": index, "tile": tile, "out": out}
    arguments = [word.format(file=file, **words) for word in COMMANDS[command]]
    (given,) = (Path(word) for word in arguments if word.startswith(str(file)))
    PLACED[placed](given)
    ran = run(*arguments, "--quiet")
    message = ran.err.strip()
    assert ran.code in (1, 2, 3), message
    assert "given" in message
    assert "Traceback" not in message
    assert len(message.splitlines()) <= 3
    assert not ran.out
    assert not out.exists()


WRITTEN: dict[str, tuple[str, ...]] = {
    "model": ("train", "{tiles}", "--weights", "none", "--epochs", "1", "--output", "{file}"),
    "index": ("index", "{tiles}", "--model", "{model}", "--output", "{file}"),
    "labels": ("corrupt-labels", "{tiles}", "--rate", "0.1", "--output", "{file}"),
    "lists": ("split", "{tiles}", "--output", "{file}"),
    "audit": ("audit-labels", "{tiles}", "--model", "{model}", "--output", "{file}"),
    "page": ("audit-labels", "{tiles}", "--model", "{model}", "--page", "{file}"),
    "hits": ("query", "--tile", "{tile}", "--index", "{index}", "--csv", "{file}"),
    "sheet": ("query", "--tile", "{tile}", "--index", "{index}", "--sheet", "{file}.png"),
    "geojson": ("query", "--tile", "{tile}", "--index", "{index}", "--geojson", "{file}"),
    "geopackage": ("query", "--tile", "{tile}", "--index", "{index}", "--gpkg", "{file}.gpkg"),
    "geoparquet": ("query", "--tile", "{tile}", "--index", "{index}", "--geoparquet", "{file}"),
}
IN_THE_WAY: dict[str, Callable[[Path], object]] = {
    "a file as its folder": lambda path: path.parent.write_bytes(b"mine"),
    "a folder that is full": lambda path: (path.mkdir(parents=True), (path / "mine").touch()),
    "a link to itself": lambda path: (path.parent.mkdir(), _unreadable(path)),
}


CASES = [
    (command, way)
    for command in WRITTEN
    for way in IN_THE_WAY
    if (command, way) != ("lists", "a folder that is full")  # whose files are others'
]


@pytest.mark.medium
@pytest.mark.parametrize(("command", "way"), CASES)
def test_what_is_in_the_way_of_an_output_is_named_and_stays(
    run, landscape, model, index, tmp_path, command, way
):
    file = tmp_path / "folder" / "wanted"
    tile = min(landscape.glob("*/*")).relative_to(landscape)
    words = {"tiles": landscape, "model": model, "index": index, "tile": tile, "file": file}
    arguments = [word.format(**words) for word in WRITTEN[command]]
    (wanted,) = (Path(word) for word in arguments if word.startswith(str(file)))
    IN_THE_WAY[way](wanted)
    before = sorted(tmp_path.rglob("*"))
    ran = run(*arguments, "--quiet")
    assert ran.code in (1, 2), ran.err
    assert "folder" in ran.err
    assert len(ran.err.strip().splitlines()) <= 3
    assert not ran.out
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("model.json", ("info", "{folder}")),
        ("manifest.json", ("info", "{folder}")),
        ("model.json", ("index", "{tiles}", "--model", "{folder}", "--output", "{out}")),
        ("manifest.json", ("query", "--tile", "a", "--index", "{folder}")),
    ],
)
@pytest.mark.parametrize("kind", ["pipe", "file without end"])
@pytest.mark.medium
def test_a_pipe_in_a_model_or_an_index_is_not_waited_for(
    run, landscape, tmp_path, name, command, kind
):
    folder = tmp_path / "folder"
    folder.mkdir()
    if kind == "pipe":
        os.mkfifo(folder / name)
    else:
        (folder / name).touch()
        os.truncate(folder / name, 1 << 40)
    words = {"folder": folder, "tiles": landscape, "out": tmp_path / "out"}
    ran = run(*(word.format(**words) for word in command))
    assert ran.code == 1
    assert name in ran.err
    assert ("is a pipe" if kind == "pipe" else "is larger than 64 MiB") in ran.err
