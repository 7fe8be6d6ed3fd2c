"""What the commands print and write is what a recorded version gave.

After a wanted change, run `python -m tests.support.recorded_outputs` with the path of
`recorded_outputs.json`, and read the difference.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import run_here
from tests.support.recorded_outputs import record

RECORDED = Path(__file__).parents[1] / "support" / "recorded_outputs.json"
BY_A_TRAINED_MODEL = {"train", "info model", "index", "query image", "audit model"}
"""Commands whose figures differ from processor to processor: their keys and types are compared."""


def kinds_of(content: Any) -> Any:
    """The same with types instead of values; of a list, those of its first element.

    Notices may be absent, and a figure may be null where it cannot be determined.
    """
    if isinstance(content, dict):
        return {name: kinds_of(value) for name, value in content.items() if name != "notices"}
    if isinstance(content, list):
        return [kinds_of(value) for value in content[:1]]
    if content is None or isinstance(content, int | float):
        return "number or null"
    return type(content).__name__


def near(content: Any) -> Any:
    """The same with numbers that may differ by what processors differ."""
    if isinstance(content, dict):
        return {name: near(value) for name, value in content.items()}
    if isinstance(content, list):
        return [near(value) for value in content]
    if isinstance(content, float):
        return pytest.approx(content, rel=1e-3, abs=1e-4)
    return content


def cells(line: str) -> list[str | float]:
    return [float(cell) if "." in cell and number(cell) else cell for cell in line.split(",")]


def number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def in_this_process(command: list[str], folder: Path) -> tuple[int, str]:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        ran = run_here(*command)
    return ran.code, ran.out


@pytest.mark.slow
def test_outputs_are_those_recorded(tmp_path: Path) -> None:
    recorded = json.loads(RECORDED.read_text(encoding="utf-8"))
    found = record(tmp_path, in_this_process)
    assert found["files"] == recorded["files"]
    assert found["columns"] == recorded["columns"]
    for name, outcome in recorded["commands"].items():
        code, printed = (found["commands"][name][key] for key in ("code", "printed"))
        assert code == outcome["code"], name
        if name in BY_A_TRAINED_MODEL:
            assert kinds_of(printed) == kinds_of(outcome["printed"]), name
        else:
            assert printed == near(outcome["printed"]), name
    assert found["tables"].keys() == recorded["tables"].keys()
    for name, lines in recorded["tables"].items():
        if name.endswith(".geojson"):
            content = json.loads("\n".join(found["tables"][name]))
            assert content == near(json.loads("\n".join(lines))), name
        else:
            rows = [cells(line) for line in found["tables"][name]]
            assert rows == [near(cells(line)) for line in lines], name
