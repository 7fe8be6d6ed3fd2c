"""Wrong names and missing files are found before PyTorch loads and before a tile is read."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.support.tiles import noise, save_picture

PROGRAM = """
import sys
from rsretrieve.cli.main import main
sys.argv = ["rsretrieve", *sys.argv[1:]]
try: main()
except SystemExit as ended: code = ended.code
print("LOADED", code, "torch" in sys.modules)
"""

TRAIN = ("train", "tiles", "--output", "m")


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a/0", "a/1", "b/0", "b/1"):
        save_picture(tmp_path / "tiles" / f"{name}.png", noise((3, 8, 8)))
    (tmp_path / "l.csv").write_text("id,class\na/0.png,a\n")
    return tmp_path


@pytest.mark.medium
@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ((*TRAIN, "--backbone", "resnet5O"), 2, "did you mean resnet50"),
        ((*TRAIN, "--weights", "w.safetensors"), 1, "w.safetensors: no such file"),
        ((*TRAIN, "--labels", "no.csv"), 1, "no.csv: no such file"),
        ((*TRAIN, "--labels", "l.csv"), 1, "no column 'tile'"),
        (("train", "nowhere", "--output", "m"), 1, "nowhere: no such folder"),
        (("index", "tiles", "--model", "no", "--output", "i"), 1, "no model"),
        (("audit-labels", "tiles", "--model", "no"), 1, "no model"),
        (("audit-labels", "tiles", "--labels", "no.csv", "--embeddings", "e.npy"), 1, "no.csv"),
    ],
)
def test_a_wrong_name_is_told_without_loading_pytorch(place, arguments, code, said):
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments], capture_output=True, text=True, check=True
    )
    assert ran.stdout.split()[-3:] == ["LOADED", str(code), "False"], ran.stderr
    assert said in ran.stderr
    assert {path.name for path in place.iterdir()} == {"tiles", "l.csv"}
