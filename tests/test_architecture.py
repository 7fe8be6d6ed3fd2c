"""The house: who may import whom, who may print, and what is imported when."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "rsretrieve"
GROUND = ("errors", "text", "choices", "progress", "storage", "sealing", "threads")
STATIONS = ("tiles", "learning", "retrieval", "audit", "report", "cli")
HEAVY = ("torch", "torchvision", "faiss", "rasterio", "pyarrow", "matplotlib", "pystac", "sympy")
MODULES = sorted(PACKAGE.rglob("*.py"))


def station_of(module: str) -> int:
    """Where on the way a module lies: the ground first, then the stations in their order."""
    first = module.split(".")[1] if "." in module else ""
    return STATIONS.index(first) + 1 if first in STATIONS else 0


def imports_of(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return names


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_imports_run_upstream_only(path):
    here = module_name(path)
    if here == "rsretrieve.__main__":
        return
    ours = {name for name in imports_of(path) if name.startswith("rsretrieve.")}
    below = {name for name in ours if station_of(name) > station_of(here)}
    assert not below


def test_every_module_lies_in_a_station_or_on_the_ground():
    tops = {module_name(path).split(".")[1] for path in MODULES if path.parent == PACKAGE}
    assert tops == {*GROUND, "__init__", "__main__"}
    assert {path.parent.name for path in MODULES} == {*STATIONS, "rsretrieve"}


def test_errors_imports_nothing_of_ours():
    assert not {n for n in imports_of(PACKAGE / "errors.py") if n.startswith("rsretrieve")}


PROGRAMS = ("rsretrieve.tiles.worker_process",)  # a process of its own, which may end itself


@pytest.mark.parametrize(
    "path",
    [p for p in MODULES if p.parent.name != "cli" and module_name(p) not in PROGRAMS],
    ids=module_name,
)
def test_the_library_never_prints_exits_or_asserts_on_input(path):
    called = {
        ast.unparse(node.func)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
    }
    assert not called & {"print", "exit", "sys.exit", "os._exit", "typer.echo"}


def test_only_the_faiss_library_imports_faiss_and_only_pixels_opens_images():
    users = {module_name(path) for path in MODULES if "faiss" in imports_of(path)}
    assert users == {"rsretrieve.retrieval.faiss_library"}
    openers = {
        module_name(path) for path in MODULES if "Image.open(" in path.read_text(encoding="utf-8")
    }
    assert openers == {"rsretrieve.tiles.pixels"}
    rasters = {name for name in map(module_name, MODULES) if "rasterio.open(" in text_of(name)}
    assert rasters == {"rsretrieve.tiles.rasters", "rsretrieve.tiles.landscape"}  # read, write


def text_of(module: str) -> str:
    return PACKAGE.parent.joinpath(*module.split(".")).with_suffix(".py").read_text("utf-8")


def loaded_after(*arguments: str) -> set[str]:
    """The heavy packages that a command leaves in `sys.modules`, in a process of its own."""
    code = (
        "import sys; sys.argv = ['rsretrieve', *sys.argv[1:]]\n"
        "from rsretrieve.cli.app import main\n"
        "try: main()\n"
        "except SystemExit as ended: code = ended.code\n"
        f"print('LOADED', code, *[name for name in {HEAVY} if name in sys.modules])"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True
    )
    last = ran.stdout.splitlines()[-1].split()
    assert last[:2] in (["LOADED", "0"], ["LOADED", "None"]), ran.stderr
    return set(last[2:])


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["--version"], ["train", "--help"], ["query", "--help"], ["index", "-h"]],
    ids=" ".join,
)
def test_help_answers_without_any_heavy_package(arguments):
    assert loaded_after(*arguments) == set()


def test_split_and_corrupt_labels_never_need_torch(landscape, tmp_path):
    lists = tmp_path / "lists"
    assert loaded_after("split", str(landscape), "--output", str(lists)) == set()
    noisy = str(tmp_path / "noisy.csv")
    arguments = [str(lists / "train.csv"), "--rate", "0.3", "--output", noisy]
    assert loaded_after("corrupt-labels", *arguments) == set()


def test_info_queries_by_tile_and_embeddings_made_elsewhere_never_need_torch(tmp_path):
    import numpy as np

    np.save(tmp_path / "vectors.npy", np.eye(5, 4, dtype=np.float32) + 0.1)
    arguments = ["--from-embeddings", str(tmp_path / "vectors.npy"), "--output"]
    index, exported = str(tmp_path / "index"), str(tmp_path / "out.parquet")
    for command in (
        ["index", *arguments, index],
        ["index", "--verify", "--output", index],
        ["index", "--export", exported, "--output", index],
        ["info", index],
        ["query", "--tile", "0", "--index", index],
    ):
        loaded = loaded_after(*command)
        assert "torch" not in loaded, command
        assert ("faiss" in loaded) <= (command[0] == "index")
