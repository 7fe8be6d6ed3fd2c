"""Wrong names and missing files are found before PyTorch loads and before a tile is read."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.support.tiles.made_tiles import noise, save_picture

PROGRAM = """
import sys
from rsretrieve.cli.main import main
sys.argv = ["rsretrieve", *sys.argv[1:]]
try: main()
except SystemExit as ended: code = ended.code
print("LOADED", code, "torch" in sys.modules)
"""

BAD = {
    "bytes.csv": b"a/0.png,Gr\xc3\xbcn\na/1.png,\xfcber\n",
    "lists.csv": b"a/0.png,a\na/1.png,\"['a', 'b']\"\n",
    "open.csv": b'a/0.png,"a\na/1.png,b\n',
    "short.csv": b"a/0.png,a\na/1.png\n",
    "two.csv": b"a/0.png,a\na/0.png,b\n",
}
FILES = ("l.csv", "e.pq", "twice.csv", *BAD)
TRAIN = ("train", "tiles", "--output", "m")


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a/0", "a/1", "b/0", "b/1"):
        save_picture(tmp_path / "tiles" / f"{name}.png", noise((3, 8, 8)))
    (tmp_path / "l.csv").write_text("id,class\na/0.png,a\n")
    for name, content in BAD.items():
        (tmp_path / name).write_bytes(b"tile,label\n" + content)
    (tmp_path / "e.pq").write_text("")
    (tmp_path / "twice.csv").write_text("tile,label,Label\na/0.png,a,b\n")
    return tmp_path


@pytest.mark.medium
@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ((*TRAIN, "--backbone", "resnet5O"), 2, "did you mean resnet50"),
        ((*TRAIN, "--weights", "w.safetensors"), 1, "w.safetensors: no such file"),
        ((*TRAIN, "--labels", "no.csv"), 1, "no.csv: no such file"),
        ((*TRAIN, "--labels", "none"), 2, "rsretrieve index TILES"),
        (("index", "tiles", "--weights", "default", "--output", "i"), 1, "give --model default"),
        ((*TRAIN, "--labels", "l.csv"), 1, "no column 'tile'"),
        (("train", "nowhere", "--output", "m"), 1, "nowhere: no such folder"),
        (("index", "tiles", "--model", "no", "--output", "i"), 1, "no model"),
        (("audit-labels", "tiles", "--model", "no"), 1, "no model"),
        (("audit-labels", "tiles", "--labels", "no.csv", "--embeddings", "e.npy"), 1, "no.csv"),
        (("audit-labels", "tiles", "--embeddings", "e.npy"), 1, "e.npy: no such file"),
        ((*TRAIN, "--val", "novalid"), 1, "novalid: no such folder"),
        ((*TRAIN, "--epochs", "-1"), 2, "from 0 on"),
        ((*TRAIN, "--q", "2"), 2, "q ≤ 1"),
        ((*TRAIN, "--bands", "0,1"), 2, "counted from 1"),
        ((*TRAIN, "--device", "gpu"), 2, "did you mean cuda"),
        ((*TRAIN, "--labels", "twice.csv"), 1, "'label' occurs more than once"),
        ((*TRAIN, "--labels", "bytes.csv"), 1, "line 3, character 9"),
        ((*TRAIN, "--labels", "lists.csv"), 1, "line 3, column 'label'"),
        ((*TRAIN, "--labels", "open.csv"), 1, "begins on line 2"),
        ((*TRAIN, "--labels", "short.csv"), 1, "line 3 has 1 fields"),
        ((*TRAIN, "--labels", "two.csv"), 1, "line 3 gives tile 'a/0.png' a second"),
        (("train", "tiles", "--output", "tiles"), 1, "tiles"),
        (("query", "nofile.jpg", "--index", "no"), 1, "nofile.jpg: no such file"),
        (("query", "nofile.tif#0,0,8,8", "--index", "no"), 1, "no such file"),
        (("query", "tiles/a/0.png", "--index", "no"), 1, "no holds no index"),
        (("evaluate", "--index", "no"), 1, "no holds no index"),
        (("index", "--from-embeddings", "no.npy", "--output", "i"), 1, "no such file"),
        (("index", "l.csv", "--from-embeddings", "no.txt", "--output", "i"), 1, "neither a .npy"),
        (("audit-labels", "tiles", "--embeddings", "l.csv"), 1, "no column of vectors"),
        (("audit-labels", "tiles", "--decisions", "l.csv", "--changes", "-"), 1, "no column"),
        (("audit-labels", "tiles", "--embeddings", "e.pq", "--truth", "l.csv"), 1, "no column"),
    ],
)
def test_a_wrong_name_is_told_without_loading_pytorch(place, arguments, code, said):
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments], capture_output=True, text=True, check=True
    )
    assert ran.stdout.split()[-3:] == ["LOADED", str(code), "False"], ran.stderr
    assert said in ran.stderr
    assert {path.name for path in place.iterdir()} == {"tiles", *FILES}
