"""What every test may use: a made-up landscape, and the program run in this process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

# Workers run side by side: more than one thread each, and they spin against one another.
os.environ.setdefault("OMP_NUM_THREADS", "1")

CELLS, CELL_PX = 12, 32


def pytest_addoption(parser: pytest.Parser) -> None:
    """How much of what takes long is done."""
    parser.addoption("--kills", type=int, default=1, help="how often the index is killed")


ON_ONE_CORE = {"api", "audit", "benchmarks", "cli", "comparison", "docs", "evaluation", "search"}
TRAINED = {"model", "other_model", "index", "store", "audit", "made"}
"""Fixtures for which a network is trained, which takes seconds in each test process."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs a trained model as `medium`."""
    for item in items:
        if TRAINED & {*getattr(item, "fixturenames", ())}:
            item.add_marker(pytest.mark.medium)


@pytest.fixture(autouse=True, scope="session")
def _cache_of_the_tests_own(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Nothing is noted in the cache of whoever runs the tests."""
    os.environ["XDG_CACHE_HOME"] = str(tmp_path_factory.mktemp("cache"))
    os.environ.pop("RSRETRIEVE_CACHE", None)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Tests and their fixtures, also those of a session, share what takes long to start."""
    package = item.path.relative_to(Path(__file__).parent).parts
    with _core_of_its_own(package), pytest.MonkeyPatch.context() as patch:
        _start_workers_at_once(package, patch)
        _export_graphs_once(package, patch)
        # Tests of whole commands keep decoded tiles, as users do: most read the same ones.
        patch.setenv("RSRETRIEVE_CACHE_SIZE", "200MB" if package[0] in ON_ONE_CORE else "0")
        return (yield)


@contextmanager
def _core_of_its_own(package: tuple[str, ...]) -> Iterator[None]:
    """Where test processes run side by side, tests of whole commands keep to one core each.

    Otherwise every command would start a decoding worker for each core of the machine: each
    takes half a second, for a hundred small tiles. Tests of `data` and `security` use several.
    """
    side_by_side = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", 1)) > 1
    if not side_by_side or package[0] not in ON_ONE_CORE or not hasattr(os, "sched_setaffinity"):
        yield
        return
    cores = sorted(os.sched_getaffinity(0))
    number = int(os.environ["PYTEST_XDIST_WORKER"].removeprefix("gw"))
    os.sched_setaffinity(0, {cores[number % len(cores)]})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


def _start_workers_at_once(package: tuple[str, ...], patch: pytest.MonkeyPatch) -> None:
    """Fork workers where Linux can, except in tests of the workers themselves."""
    if sys.platform == "linux" and not _is_below(package, "data/workers", "security", "trials"):
        from rsretrieve.data.workers import pool
        from tests.support.processes.forked_worker import ForkedWorker

        patch.setattr(pool, "Worker", ForkedWorker)


def _export_graphs_once(package: tuple[str, ...], patch: pytest.MonkeyPatch) -> None:
    """Export the graph of a kind of network once, except in tests of the exporter."""
    module = sys.modules.get("rsretrieve.network.model_folder")
    if module is not None and not _is_below(package, "network/runtime", "security", "trials"):
        from tests.support.processes.exported_once import export_once

        patch.setattr(module, "export_graph", export_once)


def _is_below(package: tuple[str, ...], *folders: str) -> bool:
    return any("/".join(package).startswith(f"{folder}/") for folder in folders)


@pytest.fixture(autouse=True, scope="session")
def _graphs_of_this_run(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Test processes share the graphs that `export_once` exports."""
    from tests.support.made_once import FOLDER_OF_GRAPHS, folder_of_run

    os.environ[FOLDER_OF_GRAPHS] = str(folder_of_run(tmp_path_factory))


@pytest.fixture(autouse=True, scope="session")
def _workers_know_functions_of_tests() -> Iterator[None]:
    """Decoding workers import the functions that tests call in them before they are confined.

    Confined, they may not list this repository. Python lists a folder of modules again as soon as
    a file in it is new, as those of coverage are, and then finds no module there.
    """
    from rsretrieve.data.workers import pool

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            pool, "Worker", partial(pool.Worker, "tests.support.processes.worker_functions")
        )
        yield


@dataclass(frozen=True)
class Outcome:
    """What a run of the program gave."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output, which must be one JSON object and nothing else."""
        return json.loads(self.out)


Run = Callable[..., Outcome]


def run_here(*arguments: object) -> Outcome:
    """Run `rsretrieve ARGUMENTS…` in this process."""
    from rsretrieve.cli.main import main

    with (
        pytest.MonkeyPatch.context() as patch,
        redirect_stdout(StringIO()) as out,
        redirect_stderr(StringIO()) as err,
    ):
        patch.setattr(sys, "argv", ["rsretrieve", *map(str, arguments)])
        # Messages as they are, not wrapped to the terminal of whoever runs the tests.
        patch.setenv("COLUMNS", "200")
        with pytest.raises(SystemExit) as ended:
            main()
    return Outcome(int(ended.value.code or 0), out.getvalue(), err.getvalue())


@pytest.fixture
def run() -> Run:
    """What runs `rsretrieve ARGUMENTS…` in this process."""
    return run_here


@pytest.fixture(scope="session")
def landscape(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 144 georeferenced six-band tiles in nine class sub-folders; not to be changed."""
    from rsretrieve.synthetic.scene import make_landscape, write_tiles
    from tests.support.made_once import made_once

    def write(folder: Path) -> None:
        write_tiles(make_landscape(CELLS, CELL_PX, seed=1), CELL_PX, folder / "tiles")

    return made_once(tmp_path_factory, "landscape", write) / "tiles"


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real tiles; the test is skipped where there is none."""
    folder = os.environ.get("RSRETRIEVE_DATA")
    if not folder:
        pytest.skip("RSRETRIEVE_DATA is not set: no real tiles on this machine")
    return Path(folder)


@dataclass(frozen=True)
class Served:
    """A folder behind a URL, and what was fetched from it."""

    folder: Path
    url: str
    log: Path

    def _answers(self) -> list[list[int]]:
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return [list(map(int, line.split())) for line in lines]

    @property
    def sent_bytes(self) -> int:
        return sum(sent for _, sent in self._answers())

    @property
    def ranges(self) -> int:
        return sum(status == 206 for status, _ in self._answers())

    def fail(self) -> None:
        """From now on every answer is an error of the server's."""
        (self.folder / ".failing").touch()


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    """A folder and its server on this machine, asked directly whatever the proxy is."""
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "127.0.0.1")
    monkeypatch.setenv("GDAL_HTTP_TIMEOUT", "20")
    folder, log = tmp_path / "served", tmp_path / "served.log"
    folder.mkdir()
    program = Path(__file__).parent / "support" / "processes" / "range_server.py"
    command = [sys.executable, str(program), str(folder), str(log)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        yield Served(folder, f"http://127.0.0.1:{int(server.stdout.readline())}", log)
        server.terminate()


@pytest.fixture(autouse=True)
def _gpu_or_skip(request: pytest.FixtureRequest) -> None:
    """Skip the tests marked `gpu` where there is none."""
    if request.node.get_closest_marker("gpu"):
        import torch

        if not torch.cuda.is_available():
            pytest.skip("no CUDA GPU on this machine")
