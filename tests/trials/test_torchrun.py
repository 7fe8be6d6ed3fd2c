"""`torchrun … -m rsretrieve train`: what it prints, how it ends, and how it goes on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from safetensors.torch import load_file

from rsretrieve.synthetic.scene import make_landscape, write_tiles
from tests.support.repository import ROOT

pytestmark = pytest.mark.slow
more = partial(pytest.param, marks=pytest.mark.exhaustive)
NETWORK = ("--backbone", "squeezenet1_1", "--weights", "none", "--size", "32")
ARGUMENTS = (*NETWORK, "--device", "cpu", "--batch-size", "16", "--dimensions", "16", "--seed", "3")
# With batch normalisation, whose state goes on, too.
NORMALISED = ("--backbone", "shufflenet_v2_x0_5", "--size", "16")
LIMIT_S = 240


@pytest.fixture(scope="module")
def tiles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("landscape") / "tiles"
    write_tiles(make_landscape(8, 16, seed=1), 16, folder)
    return folder


def command(processes: int, *arguments: object) -> list[str]:
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", processes)
    return [sys.executable, *map(str, (*launcher, "-m", "rsretrieve", *arguments))]


def environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "COLUMNS": "300"}


def torchrun(processes: int, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(processes, *arguments),
        env=environment(),
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )


def processes_of(launcher: int) -> Iterator[tuple[int, int]]:
    """The rank and the number of every process that a launcher started."""
    for task in Path(f"/proc/{launcher}/task").iterdir():
        for child in (task / "children").read_text().split():
            entries = Path(f"/proc/{child}/environ").read_bytes().split(b"\0")
            yield from ((int(e[5:]), int(child)) for e in entries if e.startswith(b"RANK="))


def test_two_processes_write_one_model_and_one_of_them_prints(tiles: Path, tmp_path: Path) -> None:
    output = tmp_path / "model"
    ran = torchrun(2, "train", tiles, "--output", output, *ARGUMENTS, "--epochs", 2, "--json")
    assert ran.returncode == 0, ran.stderr
    summary = json.loads(ran.stdout)
    assert summary["device"] == "cpu, 2 processes"
    assert ran.stderr.count("epoch 1/2") == 1
    assert ran.stderr.count("reading training tiles") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model"]
    assert (
        json.loads((output / "model.json").read_text())["training"]["device"] == "cpu, 2 processes"
    )


@pytest.mark.exhaustive
def test_a_dry_run_in_two_processes_predicts(tiles: Path, tmp_path: Path) -> None:
    output = tmp_path / "model"
    ran = torchrun(2, "train", tiles, "--output", output, *ARGUMENTS, "--dry-run", "--json")
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout)["tiles"] == 64
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("train", "missing"), 1, "missing"),
        more(("train", "{tiles}", *NETWORK, "--batch-size", "1"), 2, "2 tiles"),
        more(("train", "{tiles}", *NETWORK, "--batch-size", "auto"), 2, "--batch-size auto"),
        (("index", "{tiles}", "--output", "index"), 2, "several"),
        more(("train", "{tiles}", "--epochs", "many"), 2, "--epochs"),
    ],
)
def test_an_error_is_printed_once(
    arguments: tuple[str, ...], code: int, words: str, tiles: Path, tmp_path: Path
) -> None:
    given = [argument.format(tiles=tiles) for argument in arguments]
    output = () if "--output" in given else ("--output", tmp_path / "model")
    ran = torchrun(2, *given, *output)
    assert ran.returncode == 1  # of torchrun, whatever its processes end with
    starts = ("error:", "╭─ error")
    printed = [line for line in ran.stderr.splitlines() if line.lower().startswith(starts)]
    assert len(printed) == 1, ran.stderr
    assert words in ran.stderr
    assert f"exitcode  : {code}" in ran.stderr


def test_a_second_training_of_the_same_output_is_refused_and_ranks_are_not_a_second(
    tiles: Path, tmp_path: Path
) -> None:
    from rsretrieve._core.locks import only_writer

    with only_writer(tmp_path / "model"):
        arguments = ("train", tiles, "--output", tmp_path / "model", *ARGUMENTS)
        ran = torchrun(2, *arguments, "--epochs", 1)
    assert ran.stderr.count("is being written by another rsretrieve") == 1
    assert "exitcode  : 1" in ran.stderr


@pytest.mark.exhaustive
@pytest.mark.parametrize("killed", [0, 1])
def test_a_killed_process_ends_all_and_the_training_goes_on(
    killed: int, tiles: Path, tmp_path: Path
) -> None:
    arguments = ("train", tiles, *ARGUMENTS, *NORMALISED, "--epochs", 6)
    whole = torchrun(2, *arguments, "--output", tmp_path / "whole")
    assert whole.returncode == 0, whole.stderr
    output, errors = tmp_path / "model", tmp_path / "errors.txt"
    with errors.open("w") as stream:
        started = subprocess.Popen(
            command(2, *arguments, "--output", output), env=environment(), stderr=stream
        )
        checkpoint = tmp_path / ".model.unfinished" / "checkpoint.safetensors"
        while not checkpoint.exists():
            assert started.poll() is None, errors.read_text()
            time.sleep(0.01)
        os.kill(dict(processes_of(started.pid))[killed], signal.SIGKILL)
        assert started.wait(LIMIT_S) == 1
    text = errors.read_text()
    assert text.count("one of the 2 processes of the training ended") == 1, text
    assert text.count("--resume") == 1
    assert not output.exists()
    ran = torchrun(2, *arguments, "--output", output, "--resume")
    assert ran.returncode == 0, ran.stderr
    model, undisturbed = (load_file(p / "model.safetensors") for p in (output, tmp_path / "whole"))
    assert all((model[name] == undisturbed[name]).all() for name in undisturbed)


@pytest.mark.exhaustive
def test_a_training_goes_on_with_another_number_of_processes(tiles: Path, tmp_path: Path) -> None:
    output, errors = tmp_path / "model", tmp_path / "errors.txt"
    arguments = ("train", tiles, "--output", output, *ARGUMENTS, *NORMALISED, "--epochs", 6)
    with errors.open("w") as stream:
        started = subprocess.Popen(command(2, *arguments), env=environment(), stderr=stream)
        while not (tmp_path / ".model.unfinished" / "checkpoint.safetensors").exists():
            assert started.poll() is None, errors.read_text()
            time.sleep(0.01)
        started.send_signal(signal.SIGTERM)
        started.wait(LIMIT_S)
    ran = torchrun(4, *arguments, "--resume")
    assert ran.returncode == 0, ran.stderr
    assert ran.stderr.count("ran with 2 processes before, and goes on with 4") == 1
