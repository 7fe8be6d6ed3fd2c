"""Which module may import which, who may print, and what is imported when."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.support.repository import PACKAGE

TESTS = PACKAGE.parent / "tests"
OTHER_TESTS = {".", "benchmarks", "docs", "security", "trials"}
LAYERS = (
    *("_core", "data", "synthetic", "network", "training"),
    *("index", "search", "evaluation", "audit", "costs", "export"),
    *("browse", "comparison", "api", "cli"),
)
HEAVY = (
    *("torch", "torchvision", "timm", "faiss", "rasterio", "pyarrow"),
    *("matplotlib", "pystac", "sympy"),
)
MODULES = sorted(PACKAGE.rglob("*.py"))
MOST_MODULES = 14  # in a folder


def module_name(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


PATHS = {module_name(path): path for path in MODULES}


def layer_of(module: str) -> int:
    """0 for the modules at the top (errors, enums, progress), then the packages in order."""
    parts = module.split(".")
    return LAYERS.index(parts[1]) + 1 if len(parts) > 1 and parts[1] in LAYERS else 0


def imports_of(path: Path) -> set[str]:
    """Every module that is imported anywhere in a file, also inside functions."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            submodules = {f"{node.module}.{alias.name}" for alias in node.names} & PATHS.keys()
            names |= submodules or {node.module}
    return names


def ours_of(module: str) -> set[str]:
    return imports_of(PATHS[module]) & PATHS.keys()


INTERFACE = ("rsretrieve", "rsretrieve.__main__")  # these import, lazily, from every layer


@pytest.mark.parametrize("module", sorted(PATHS.keys() - {*INTERFACE}))
def test_no_import_runs_upwards(module):
    above = {name for name in ours_of(module) if layer_of(name) > layer_of(module)}
    assert not above


def test_there_are_no_import_circles():
    """An import within a package counts, too, and one inside a function."""
    left = {module: ours_of(module) - {*INTERFACE} for module in PATHS.keys() - {*INTERFACE}}
    while free := {module for module, imported in left.items() if not imported & left.keys()}:
        left = {module: imported for module, imported in left.items() if module not in free}
    assert not left


def test_folders_are_small_and_no_two_modules_share_a_name():
    modules = [path for path in MODULES if path.name != "__init__.py"]
    per_folder = Counter(path.parent.relative_to(PACKAGE).as_posix() for path in modules)
    assert {folder: n for folder, n in per_folder.items() if n > MOST_MODULES} == {}
    per_name = Counter(path.stem for path in modules)
    assert {name: n for name, n in per_name.items() if n > 1} == {}


def test_every_package_has_its_layer():
    packages = {module.split(".")[1] for module in PATHS if module.count(".") > 1}
    assert packages == {*LAYERS}


def test_tests_mirror_the_tree():
    """`tests/<package>/test_<module>.py` tests that module; other tests have names of their own."""
    places: dict[str, set[str]] = {}
    for path in MODULES:
        folder = path.parent.relative_to(PACKAGE).as_posix()
        places.setdefault(path.stem.removesuffix("_command"), set()).add(folder)
    for path in TESTS.rglob("test_*.py"):
        folder = path.parent.relative_to(TESTS).as_posix()
        if folder not in OTHER_TESTS:
            assert folder in set.union(*places.values()), path
            assert folder in places.get(path.stem.removeprefix("test_"), {folder}), path


def test_errors_imports_nothing_of_ours():
    assert not {n for n in imports_of(PACKAGE / "errors.py") if n.startswith("rsretrieve")}


PROGRAMS = ("rsretrieve.data.workers.process",)  # a process of its own, which may end itself


@pytest.mark.parametrize(
    "path",
    [p for p in MODULES if "cli" not in p.parts and module_name(p) not in PROGRAMS],
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
    assert users == {"rsretrieve.index.vectors.faiss_loader"}
    openers = {
        module_name(path) for path in MODULES if "Image.open(" in path.read_text(encoding="utf-8")
    }
    assert openers == {"rsretrieve.data.reading.plain_images"}
    rasters = {name for name in map(module_name, MODULES) if "rasterio.open(" in text_of(name)}
    assert rasters == {
        "rsretrieve.data.reading.datasets",
        "rsretrieve.synthetic.scene",
        "rsretrieve.export.similarity_rasters",
    }  # read, write, write


def text_of(module: str) -> str:
    return PATHS[module].read_text(encoding="utf-8")


def loaded_after(*arguments: str) -> set[str]:
    """The heavy packages that a command leaves in `sys.modules`, in a process of its own."""
    code = (
        "import sys; sys.argv = ['rsretrieve', *sys.argv[1:]]\n"
        "from rsretrieve.cli.main import main\n"
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


@pytest.mark.medium
def test_split_and_corrupt_labels_never_need_torch(landscape, tmp_path):
    lists = tmp_path / "lists"
    assert loaded_after("split", str(landscape), "--output", str(lists)) == set()
    noisy = str(tmp_path / "noisy.csv")
    arguments = [str(lists / "train.csv"), "--rate", "0.3", "--output", noisy]
    assert loaded_after("corrupt-labels", *arguments) == set()


@pytest.mark.medium
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
