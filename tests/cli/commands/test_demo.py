"""The exit code of `rsretrieve demo` is that of its steps."""

from __future__ import annotations

from functools import wraps
from pathlib import Path

import pytest
import typer

from rsretrieve.cli import main


@pytest.fixture
def demo(run, monkeypatch, tmp_path):
    """Runs the demo with steps that do nothing but end with the codes that are given."""

    def tiles(_, __, folder: Path, **___):
        for name in ("beach", "dense_houses", "fields", "road"):
            (folder / name).mkdir(parents=True)
            (folder / name / "0.tif").touch()
        return 4

    def demo_of(ends):
        done = []

        def step(name, original):
            @wraps(original)
            def ended(**_):
                done.append(name)
                end = ends.get(name, 0)
                raise typer.Exit(end) if isinstance(end, int) else end

            return ended

        for command in main.app.registered_commands:
            name = command.callback.__name__
            if name != "demo":
                monkeypatch.setattr(command, "callback", step(name, command.callback))
        return run("demo", "--output", tmp_path / "demo"), done

    monkeypatch.setattr("rsretrieve.synthetic.scene.make_landscape", lambda *_: None)
    monkeypatch.setattr("rsretrieve.synthetic.scene.write_tiles", tiles)
    return demo_of


STEPS = ["split", "corrupt_labels", "train", "index", "query", "audit_labels", "evaluate"]


@pytest.mark.parametrize(("end", "code"), [(130, 130), (KeyboardInterrupt(), 130), (1, 1), (2, 2)])
def test_a_step_that_ends_otherwise_ends_the_demo(demo, end, code):
    ran, done = demo({"train": end})
    assert (ran.code, done) == (code, STEPS[:3]), ran.err
    assert "rsretrieve train" in ran.out
    assert "rsretrieve index" not in ran.out
    assert "Open" not in ran.out


def test_tiles_that_cannot_be_read_are_told_by_the_exit_code_at_the_end(demo):
    ran, done = demo({"index": 3})
    assert (ran.code, done) == (3, STEPS), ran.err
    assert "Open" in ran.out


def test_a_demo_whose_steps_all_succeed_exits_0(demo):
    ran, done = demo({})
    assert (ran.code, done) == (0, STEPS), ran.err
