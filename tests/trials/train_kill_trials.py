"""Kill `train` at random moments, go on with `--resume`, and compare the weights to the bit.

    python -m tests.trials.train_kill_trials WORK --kills 50

A training is killed by `kill -9` at random moments until it has been killed four times or is done,
and gone on with each time by the command that its own message names. In the end its weights, and
what it says of every tile, are byte for byte those of a training that nobody disturbed, and
nothing else lies beside the model. One line a kill; exit code 1 at the first that is not so.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import shutil
import signal
import sys
import time
from pathlib import Path

import timm  # noqa: F401  (imported before the forks)
import torch

from rsretrieve.cli import main as app
from rsretrieve.export import model_card  # noqa: F401
from rsretrieve.synthetic.scene import make_landscape, write_tiles
from rsretrieve.training.run.unfinished_training import checkpoint_path
from tests.trials.kill_trials import Broken, forked

COMPARED = ("model.safetensors", "tiles.parquet")
MOST_KILLS = 4  # of one training
NETWORK, BANDS, SIZE_PX = "timm/test_resnet", 6, 16
ARGUMENTS = (
    *("--backbone", NETWORK, "--weights", "none", "--size", str(SIZE_PX), "--device", "cpu"),
    *("--epochs", "6", "--batch-size", "16", "--seed", "3", "--dimensions", "16"),
)


def program(tiles: Path, output: Path, *more: str) -> int:
    """Run `rsretrieve train` here, and say how it ended."""
    torch.set_num_threads(1)
    errors = os.open(output.with_name("stderr.txt"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.dup2(errors, 2)
    sys.argv = ["rsretrieve", "train", str(tiles), "--output", str(output), *ARGUMENTS, *more]
    try:
        app.main()
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0


def finished(pid: int) -> int:
    """Wait for a fork; its exit code, or minus the signal."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def digests(model: Path) -> dict[str, str]:
    """Of the files that must not differ."""
    return {name: hashlib.sha256((model / name).read_bytes()).hexdigest() for name in COMPARED}


def go_on(model: Path) -> list[str]:
    """What is to be given to go on: `--resume` once an epoch is done."""
    return ["--resume"] if checkpoint_path(model).exists() else []


def killed_training(
    tiles: Path, model: Path, kills: int, length_s: float, chance: random.Random
) -> list[str]:
    """Train, killed up to so many times; a line a kill. The model is complete in the end."""
    lines: list[str] = []
    while len(lines) < kills:
        pid = forked(lambda: program(tiles, model, *go_on(model)))
        wait_s = chance.uniform(0.1, 1.0) * length_s
        time.sleep(wait_s)
        os.kill(pid, signal.SIGKILL)
        if finished(pid) != -signal.SIGKILL or model.exists():
            break  # it was done before
        kept = "some epochs are kept" if go_on(model) else "nothing is kept yet"
        lines.append(f"after {wait_s:.2f} of {length_s:.2f} s: killed, {kept}")
    if not model.exists():
        code = finished(forked(lambda: program(tiles, model, *go_on(model))))
        if code:
            said = model.with_name("stderr.txt").read_text()
            raise Broken(f"going on ended with {code}: {said}")
    return lines


def check(model: Path, wanted: dict[str, str]) -> None:
    """Raise `Broken` where something differs, or lies about."""
    if digests(model) != wanted:
        raise Broken("the weights, or the tiles' table, differ from the undisturbed training's")
    ours = {model.name, "stderr.txt", f".{model.name}.lock"}
    beside = {path.name for path in model.parent.iterdir()} - ours
    if beside - {f".{model.name}.unfinished"}:
        raise Broken(f"left beside the model: {sorted(beside)}")


def main() -> int:
    """Run the trials."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("work", type=Path)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    work, chance = given.work.resolve(), random.Random(given.seed)
    tiles, whole = work / "tiles", work / "whole" / "model"
    write_tiles(make_landscape(8, SIZE_PX, seed=1), SIZE_PX, tiles)
    whole.parent.mkdir()
    try:
        started = time.perf_counter()
        if finished(forked(lambda: program(tiles, whole))):
            raise Broken(whole.with_name("stderr.txt").read_text())
        length_s, wanted = time.perf_counter() - started, digests(whole)
        done = 0
        while done < given.kills:
            model = work / "here" / "model"
            model.parent.mkdir()
            most = min(MOST_KILLS, given.kills - done)
            for line in killed_training(tiles, model, most, length_s, chance):
                done += 1
                print(f"{done}: {line}", flush=True)
            check(model, wanted)
            shutil.rmtree(model.parent)
        print(f"{done} kills; the weights are the undisturbed training's, to the bit")
    except Broken as broken:
        print(f"BROKEN: {broken}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
