"""Wrong names and missing files are found before PyTorch loads and before a tile is read."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.support.tiles.made_tiles import noise, save_picture

PROGRAM = """
import json, os, sys
from rsretrieve.cli.main import main
for arguments in json.load(sys.stdin):
    print("BEGIN", file=sys.stderr, flush=True)
    if not os.fork():  # in a process that has loaded no more than the program
        sys.argv = ["rsretrieve", *arguments]
        try: main()
        except SystemExit as ended: code = ended.code
        print("LOADED", code, "torch" in sys.modules, file=sys.stderr, flush=True)
        os._exit(0)
    os.wait()
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


CASES = [
    ((*TRAIN, "--backbone", "resnet5O"), 2, "did you mean resnet50"),
    ((*TRAIN, "--weights", "w.safetensors"), 1, "w.safetensors: no such file"),
    ((*TRAIN, "--labels", "no.csv"), 1, "no.csv: no such file"),
    ((*TRAIN, "--labels", "none"), 2, "rsretrieve index TILES"),
    (("index", "tiles", "--weights", "default", "--output", "i"), 1, "give --model default"),
    (("index", "tiles", "--weights", "none", "--output", "i"), 1, "leave out --weights"),
    (("index", "tiles", "--weights", "tiles", "--output", "i"), 1, "tiles: it is a folder"),
    (("audit-labels", "tiles", "--weights", "none"), 1, "leave out --weights"),
    (("audit-labels", "tiles", "--weights", "no.pth"), 1, "give imagenet, or a .safetensors"),
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
]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    place = tmp_path_factory.mktemp("place")
    for name in ("a/0", "a/1", "b/0", "b/1"):
        save_picture(place / "tiles" / f"{name}.png", noise((3, 8, 8)))
    (place / "l.csv").write_text("id,class\na/0.png,a\n")
    for name, content in BAD.items():
        (place / name).write_bytes(b"tile,label\n" + content)
    (place / "e.pq").write_text("")
    (place / "twice.csv").write_text("tile,label,Label\na/0.png,a,b\n")
    return place


@pytest.fixture(scope="module")
def answers(place):
    """What each command says, by its arguments."""
    given = json.dumps([arguments for arguments, _, _ in CASES])
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        input=given,
        capture_output=True,
        text=True,
        check=True,
        cwd=place,
    )
    said = ran.stderr.split("BEGIN\n")[1:]
    return {arguments: text for (arguments, _, _), text in zip(CASES, said, strict=True)}


@pytest.mark.medium
@pytest.mark.parametrize(("arguments", "code", "said"), CASES)
def test_a_wrong_name_is_told_without_loading_pytorch(answers, arguments, code, said):
    assert answers[arguments].split()[-3:] == ["LOADED", str(code), "False"], answers[arguments]
    assert said in answers[arguments]


@pytest.mark.medium
@pytest.mark.usefixtures("answers")
def test_a_wrong_name_writes_nothing(place):
    assert {path.name for path in place.iterdir()} == {"tiles", *FILES}
