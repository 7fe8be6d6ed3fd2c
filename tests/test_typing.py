"""The types of the public interface, as a second type checker sees them in a small client."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import rsretrieve
from tests.support.repository import ROOT

CLIENT = ROOT / "tests" / "support" / "typed_client.py"


def test_the_client_uses_every_public_name() -> None:
    tree = ast.parse(CLIENT.read_text(encoding="utf-8"))
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    names |= {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert set(rsretrieve.__all__) <= names


@pytest.mark.slow
def test_the_client_is_right_for_pyright(tmp_path: Path) -> None:
    """basedpyright is pyright with its JavaScript engine in the package: nothing is downloaded."""
    program = shutil.which("basedpyright", path=str(Path(sys.executable).parent))
    if program is None:
        pytest.skip("basedpyright is not installed")
    (tmp_path / "pyrightconfig.json").write_text('{"typeCheckingMode": "standard"}')
    shutil.copyfile(CLIENT, tmp_path / "client.py")
    command = [program, "--project", str(tmp_path), "--pythonpath", sys.executable, str(tmp_path)]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout
