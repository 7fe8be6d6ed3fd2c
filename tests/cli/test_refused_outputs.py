"""No output may be an input, a tile, a file of an index or a model, or another output."""

from __future__ import annotations

import hashlib
import os
import shutil
from importlib.machinery import ModuleSpec
from pathlib import Path

import numpy as np
import pytest

from rsretrieve._core.folders.known_folders import INDEX_FOLDER, MODEL_FOLDER
from rsretrieve.errors import InvalidArgument, OutputExists, OutputRefused
from rsretrieve.export.output_paths import OutputPaths
from rsretrieve.index.cluster import ray_cluster


def content(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture
def own(landscape, model, index, noisy, tmp_path):
    """Copies that a command could destroy, and what else it is given."""
    shutil.copytree(landscape, tmp_path / "tiles")
    shutil.copytree(model, tmp_path / "model")
    shutil.copytree(index, tmp_path / "index")
    shutil.copy(noisy, tmp_path / "labels.csv")
    (tmp_path / "area.geojson").write_text(
        '{"type": "Polygon", "coordinates": [[[-180,-90],[180,-90],[180,90],[-180,90],[-180,-90]]]}'
    )
    np.save(tmp_path / "vectors.npy", np.eye(144, 8, dtype=np.float32) + 0.1)
    (tmp_path / "aid.csv").write_text("from,to,share\nriver,pond,1\n")
    (tmp_path / "mine.toml").write_text("[audit-labels]\n[query]\n")
    (tmp_path / "link.csv").symlink_to("labels.csv")
    (tmp_path / "hard.csv").hardlink_to(tmp_path / "labels.csv")
    tiles = sorted((tmp_path / "tiles").glob("*/*.tif"))
    (tmp_path / "tile-link.tif").symlink_to(tiles[0])
    return {"d": tmp_path, "tile": tiles[0], "id": tiles[0].relative_to(tmp_path / "tiles")}


INDEX_DATA = ("index.faiss", "tiles.parquet", "embeddings.npy")
AUDIT = "audit-labels {d}/tiles --model {d}/model --labels {d}/labels.csv"
NOISE = "corrupt-labels {d}/tiles --rate 0.1 --labels {d}/labels.csv"
QUERY = "query --tile {id} --index {d}/index"
COMPARE = "compare {d}/tiles --test {d}/tiles --vary epochs=1,2"
TRAIN = "train {d}/tiles --weights none --epochs 1"
REFUSED = [  # the command, what its message names
    (f"{QUERY} --csv {{d}}/index/manifest.json", ["--csv", "index folder"]),
    (f"{QUERY} --csv {{d}}/index/deep/down/new.csv", ["--csv", "index folder"]),
    (f"{QUERY} --geojson {{d}}/model/new.json", ["--geojson", "model folder"]),
    (f"{QUERY} --within {{d}}/area.geojson --geojson {{d}}/area.geojson", ["--within"]),
    ("query {tile} --index {d}/index --sheet {tile}", ["--sheet", "query"]),
    ("query {tile}#0,0,8,8 --index {d}/index --sheet {tile}", ["--sheet", "query"]),
    ("query --like {tile}@2 --index {d}/index --sheet {tile}", ["--sheet", "query"]),
    (f"{QUERY} --csv {{d}}/index", ["--csv", "--index"]),
    (f"{AUDIT} --output {{d}}/labels.csv", ["--output", "--labels"]),
    (f"{AUDIT} --page {{d}}/link.csv", ["--page", "--labels"]),
    (f"{AUDIT} --changes {{d}}/hard.csv", ["--changes", "--labels"]),
    (f"{AUDIT} --fixed-labels {{d}}/model/model.json", ["--fixed-labels", "model folder"]),
    (f"{AUDIT} --truth {{d}}/aid.csv --output {{d}}/aid.csv", ["--output", "--truth"]),
    (f"{AUDIT} --decisions {{d}}/aid.csv --output {{d}}/aid.csv", ["--output", "--decisions"]),
    (f"{AUDIT} --output {{tile}}", ["--output", "the tile"]),
    (f"{AUDIT} --output {{d}}/tile-link.tif", ["--output", "the tile"]),
    (
        "audit-labels {d}/tiles --embeddings {d}/vectors.npy --output {d}/vectors.npy",
        ["--output", "--embeddings"],
    ),
    (f"{NOISE} --output {{d}}/labels.csv", ["--output", "--labels"]),
    (f"{NOISE} --output {{d}}/index/tiles.parquet", ["--output", "index folder"]),
    (f"{NOISE} --output {{tile}}", ["--output", "the tile"]),
    (
        f"{NOISE} --kind table --table {{d}}/aid.csv --output {{d}}/aid.csv",
        ["--output", "--table"],
    ),
    ("split {d}/tiles --output {d}/index", ["--output", "index folder"]),
    ("split {d}/lists/train.csv --output {d}/lists", ["--output", "TILES"]),
    ("index {d}/tiles --model {d}/model --output {d}/model", ["--output", "--model"]),
    ("index {d}/tiles --model {d}/model --output {d}/tiles", ["--output", "TILES"]),
    ("index {d}/tiles --model {d}/model --output {d}", ["--output", "TILES"]),
    ("index {d}/tiles --model {d}/model --output {d}/model/index", ["--output", "model folder"]),
    ("index --from-embeddings {d}/index/embeddings.npy --output {d}/index", ["--from-embeddings"]),
    ("index --output {d}/index --export {d}/index/new.parquet", ["--export", "index folder"]),
    (
        "index {d}/tiles --model {d}/model --output {d}/new --export {d}/new/a.parquet",
        ["--export", "--output"],
    ),
    (f"{TRAIN} --output {{d}}/tiles", ["--output", "TILES"]),
    (f"{TRAIN} --output {{d}}/index/model", ["--output", "index folder"]),
    (f"{TRAIN} --output {{d}}/index", ["did not write"]),
    (f"{TRAIN} --labels {{d}}/labels.csv --output {{d}}", ["--output"]),
    (f"{TRAIN} --output {{d}}/a --log-dir {{d}}/a/logs", ["--log-dir", "--output"]),
    (f"{TRAIN} --output {{d}}/a --log-dir {{d}}/model", ["--log-dir", "model folder"]),
    (f"{TRAIN} --output {{d}}/a --log-dir {{d}}/index/logs", ["--log-dir", "index folder"]),
    (f"{TRAIN} --output {{d}}/a --log-dir {{d}}/labels.csv", ["--log-dir", "not a folder"]),
    (f"{TRAIN} --output {{d}}/a --log-dir {{d}}/labels.csv/b", ["--log-dir", "not a folder"]),
    (f"{TRAIN} --output {{d}}/model --config {{d}}/model/config.toml", ["--output", "--config"]),
    ("index {d}/tiles --output {d}/index --config {d}/index/config.toml", ["--config"]),
    (f"{AUDIT} --output {{d}}/mine.toml --config {{d}}/mine.toml", ["--output", "--config"]),
    (f"{QUERY} --csv {{d}}/mine.toml --config {{d}}/mine.toml", ["--csv", "--config"]),
    ("export {d}/model --onnx {d}/model/m.onnx", ["--onnx", "model folder"]),
    ("export {d}/model --onnx {d}/index/m.onnx", ["--onnx", "index folder"]),
    ("demo --output {d}/index", ["--output", "index folder"]),
    (f"{COMPARE} --val {{d}}/aid.csv --output {{d}}/aid.csv", ["--output", "validation"]),
    (f"{COMPARE} --weights {{d}}/model --output {{d}}/model", ["--output", "weights"]),
    (f"{COMPARE} --noise table:{{d}}/aid.csv:0.1 --output {{d}}/aid.csv", ["--output", "noise"]),
    (f"{COMPARE} --noise instance:{{d}}/model:0.1 --output {{d}}/model", ["--output", "noise"]),
    (
        f"{COMPARE} --vary weights=none,{{d}}/vectors.npy --output {{d}}/vectors.npy",
        ["--output", "weights"],
    ),
]


@pytest.mark.parametrize(("command", "named"), REFUSED, ids=[command for command, _ in REFUSED])
def test_what_would_destroy_an_input_is_refused_though_overwriting_is_allowed(
    run, own, command, named
):
    if "lists" in command:
        assert run("split", own["d"] / "tiles", "--output", own["d"] / "lists").code == 0
    before = content(own["d"])
    words = [word.format(**own) for word in command.split()]
    ran = run(*words, "--overwrite")
    assert (ran.code, ran.out) == (1, ""), ran.err
    assert "Traceback" not in ran.err
    assert len(ran.err.strip().splitlines()) <= 3
    for name in named:
        assert name in ran.err
    assert content(own["d"]) == before


TWICE = [
    f"{QUERY} --csv {{d}}/x --geojson {{d}}/x",
    f"{QUERY} --csv {{d}}/x --sheet {{d}}/index/../x",
    f"{QUERY} --geoparquet {{d}}/hard.csv --sheet {{d}}/labels.csv --overwrite",
    f"{AUDIT} --output {{d}}/x --fiftyone {{d}}/x",
    f"{TRAIN} --output {{d}}/runs/a --log-dir {{d}}/runs",
]


@pytest.mark.parametrize("command", TWICE)
def test_one_file_for_two_outputs_is_wrong_usage(run, own, command):
    words = [word.format(**own) for word in command.split()]
    before = content(own["d"])
    ran = run(*words)
    assert (ran.code, ran.out) == (2, ""), ran.err
    named = [word for word in words if word.startswith("--") and word != "--overwrite"][-2:]
    for name in (*named, "would write the same file"):
        assert name in " ".join(ran.err.split())
    assert content(own["d"]) == before


@pytest.mark.medium
@pytest.mark.parametrize(
    "command",
    [
        f"{QUERY} --csv {{d}}/x.csv --geojson {{d}}/y.json",
        f"{QUERY} --csv {{d}}/tiles/hits.csv",
        f"{NOISE} --output {{d}}/tiles/noisy.csv",
        "split {d}/tiles --output {d}/tiles/lists",
        "index --output {d}/index --export {d}/new.parquet",
        "index {d}/tiles --model {d}/model --output {d}/index --update",
        "index --verify --output {d}/index",
    ],
)
def test_what_destroys_nothing_is_written(run, own, command):
    ran = run(*(word.format(**own) for word in command.split()))
    assert ran.code == 0, ran.err


def test_nothing_heavy_is_loaded_and_no_tile_is_looked_for_before(run, own, monkeypatch):
    def looked(*_, **__):
        raise AssertionError("the outputs are looked at first")

    monkeypatch.setattr("rsretrieve.data.discovery.find_tiles.find_tiles", looked)
    for command, named in ((REFUSED[8]), (REFUSED[17]), (REFUSED[23])):
        ran = run(*(word.format(**own) for word in command.split()), "--overwrite")
        assert ran.code == 1
        assert named[0] in ran.err


def test_a_file_output_is_no_folder(tmp_path):
    with pytest.raises(OutputExists, match=r"--csv .* is a folder"):
        OutputPaths({"--csv": tmp_path}, overwrite=True).check()
    with pytest.raises(OutputExists, match="already exists"):
        OutputPaths({"--csv": tmp_path}).check()


def test_links_in_a_circle_and_names_that_are_no_path_are_no_crash(tmp_path):
    circle = tmp_path / "circle"
    circle.symlink_to(circle)
    inputs = {"a": circle, "b": "https://example.org/a.tif", "c": "a\0b", "d": None}
    OutputPaths({"--csv": tmp_path / "new", "--page": None}, inputs=inputs).check()
    with pytest.raises(InvalidArgument, match="same file"):
        OutputPaths({"--csv": circle, "--page": circle}).check()


@pytest.mark.medium
def test_of_a_million_tiles_few_are_looked_at(tmp_path, monkeypatch):
    looked_at: list[object] = []

    def counted(path, *args, lstat=os.lstat, **options):
        looked_at.append(path)
        return lstat(path, *args, **options)

    monkeypatch.setattr(os, "lstat", counted)
    (tmp_path / "out.tif").touch()
    (tmp_path / "folder").mkdir()
    paths = [f"{tmp_path}/class_{i % 50}/tile_{i:07}.tif" for i in range(1_000_000)]
    checked = OutputPaths({"--csv": tmp_path / "out.tif"}, {"--output": tmp_path / "folder"})
    checked.check_tiles(lambda: paths)
    assert 50 <= len(looked_at) < 2000, "some calls for each of the 50 folders"
    with pytest.raises(OutputRefused, match=r"--csv .*out\.tif is the tile"):
        checked.check_tiles(lambda: [*paths[:9], os.path.join(tmp_path, "folder", "..", "out.tif")])  # noqa: PTH118
    with pytest.raises(OutputRefused, match=r"--output would replace .*, which contains the tile"):
        checked.check_tiles(lambda: [*paths[:9], f"{tmp_path}/folder/deep/a.tif"])


def test_tiles_are_not_asked_for_where_nothing_is_there_yet(tmp_path):
    def asked():
        raise AssertionError("there is nothing to be destroyed")

    OutputPaths({"--csv": tmp_path / "new"}, {"--output": tmp_path / "out"}).check_tiles(asked)
    assert not any(tmp_path.iterdir())


def test_a_folder_of_another_program_is_not_replaced_and_files_of_the_user_are_kept(run, tmp_path):
    """Others call a file manifest.json, too; an update and a rebuild write a whole new folder."""
    planet, mine = tmp_path / "planet", tmp_path / "mine"
    np.save(tmp_path / "vectors.npy", np.eye(20, 8, dtype=np.float32) + 0.1)
    (planet / "img").mkdir(parents=True)
    (planet / "manifest.json").write_text("{}")
    (planet / "img" / "scene.tif").write_text("mine")
    vectors = ("index", "--from-embeddings", tmp_path / "vectors.npy", "--output")
    ran = run(*vectors, planet, "--overwrite")
    assert (ran.code, "did not write" in ran.err) == (1, True)
    assert content(planet).keys() == {"manifest.json", "img/scene.tif"}
    assert run(*vectors, mine).code == 0
    (mine / "notes.txt").write_text("mine")
    for option in ("--overwrite", "--update"):
        assert run(*vectors, mine, option).code == 0
        assert (mine / "notes.txt").read_text() == "mine"


def test_every_file_of_a_model_and_an_index_is_known(own):
    for kind in (MODEL_FOLDER, INDEX_FOLDER):
        files = content(own["d"] / kind.name).keys()
        assert files <= kind.writes
        assert files <= kind.own_files(own["d"] / kind.name)


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("new", "would write the same file"),
        ("new/shards", "which --output replaces"),
        ("tiles", "TILES"),
        ("tiles/deep/shards", "TILES"),
        ("model", "model folder"),
        ("model/shards", "model folder"),
        ("index/shards", "index folder"),
        ("mine", "holds run.json"),
        ("labels.csv", "--labels"),
    ],
)
def test_shards_lie_in_no_folder_of_something_else(run, tmp_path, monkeypatch, place, said):
    monkeypatch.setattr(ray_cluster, "find_spec", lambda _: ModuleSpec("ray", None))
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    files = {
        "mine/run.json": '{"mine": 1}',
        "tiles/a.tif": "",
        "labels.csv": "tile,label\na.tif,b\n",
        "model/model.json": "",
        "model/model.safetensors": "",
        "model/network.onnx": "",
        "index/manifest.json": "",
        **dict.fromkeys((f"index/{name}" for name in INDEX_DATA), ""),
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    before = content(tmp_path)
    words = "index {d}/tiles --labels {d}/labels.csv --output {d}/new --engine ray --overwrite"
    given = [word.format(d=tmp_path) for word in words.split()]
    ran = run(*given, "--model", tmp_path / "model", "--shard-folder", tmp_path / place)
    assert (ran.code in (1, 2), ran.out) == (True, ""), ran.err
    assert said in " ".join(ran.err.split())
    assert "Traceback" not in ran.err
    assert content(tmp_path) == before
