"""The script of the review in Node.js: what it sends, and what becomes of the answer."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

import rsretrieve.browse
import rsretrieve.export.html
from rsretrieve.browse.guard import MOST_BYTES

ASSETS = Path(rsretrieve.export.html.__file__).with_name("assets")
SCRIPT = "\n".join(
    path.read_text(encoding="utf-8")
    for path in (
        *(
            ASSETS / name
            for name in ("state.js", "csv.js", "encoding.js", "decisions.js", "progress.js")
        ),
        Path(rsretrieve.browse.__file__).with_name("page") / "review.js",
    )
)
# Whatever else the script touches, such as elements, does nothing.
PROGRAM = """
const { page, load, answers } = JSON.parse(require("fs").readFileSync(0, "utf8"));
const anything = new Proxy(function () {}, {
  get: (_, name) => (name === Symbol.toPrimitive ? () => "" : anything),
  set: () => true, apply: () => anything, construct: () => anything,
});
const nothing = new Proxy({}, { get: () => () => anything, set: () => true });
globalThis.document = { getElementById: (id) => (
  id === "data" ? { textContent: JSON.stringify(page) } : anything) };
Object.assign(globalThis, {
  Pictures: {}, Comparisons: {}, MORE_ACTS: [], KEYS: {}, ACTIONS: {}, View: nothing, Bulk: nothing,
  Filters: nothing, History: { act: (name, positions, does) => does(), acts: [] },
  byId: document.getElementById, element: () => anything, addEventListener: () => {},
  location: { hash: "" }, shown: (text) => text, counted: String, sentBodies: [], said: [],
  fetch: async (name, { body }) => {
    sentBodies.push(JSON.parse(body));
    return { ok: true, json: async () => answers.shift() ?? { refused: [] } };
  },
});
new Function(process.argv[1] + `;
  Decisions.onLost = () => {};
  Progress.show = (text) => said.push(text ?? "");
  Decisions.restore();
  const begun = [...Decisions.of];
  Decisions.set(1, "accept", "water");
  const bytes = new TextEncoder().encode(globalThis.loadedText);
  load({ name: "old.csv", arrayBuffer: async () => bytes });
  setTimeout(() => {
    console.log(JSON.stringify({ begun, sent: sentBodies, said, of: [...Decisions.of],
      others: [...Decisions.others.keys()], kept: Decisions.kept }));
    process.exit(0);
  }, 200);
`.replace("globalThis.loadedText", JSON.stringify(load)))();
"""
CARD = {"given": "beach", "suggested": "water", "kind": "wrong_label"}
CARDS = [{**CARD, "tile": name} for name in ("a.tif", "b.tif", "c.tif", "d.tif")]
HEADER = "tile,label,decision,given_label,suggested_label,by\n"


@pytest.fixture
def reviewed():
    node = shutil.which("node")
    if node is None:
        pytest.skip("no Node.js on this machine")

    def run(load, *, kept=(), earlier=(), answers=()):
        page = {"id": "x", "cards": CARDS, "kept": [*kept], "earlier": [*earlier]}
        ran = subprocess.run(
            [node, "-e", PROGRAM, SCRIPT],
            input=json.dumps({"page": page, "load": HEADER + load, "answers": [*answers]}),
            capture_output=True,
            text=True,
            encoding="utf-8",
            check=False,
        )
        assert ran.returncode == 0, ran.stderr
        return json.loads(ran.stdout)

    return run


def sent(found):
    """The decisions that were sent, by card and by tile."""
    cards, others = {}, {}
    for body in found["sent"]:
        cards |= {int(key): cells and cells[:2] for key, cells in body["cards"].items()}
        others |= {tile: cells and cells[:2] for tile, cells in body["others"].items()}
    return cards, others


def test_decisions_of_an_earlier_audit_are_sent_as_this_page_would_make_them(reviewed):
    found = reviewed(
        "a.tif,forest,accept,beach,forest,\nc.tif,sand,skip,sand,water,\nfar.tif,x,choose,y,z,\n"
    )
    cards, others = sent(found)
    assert cards == {0: ["choose", "forest"], 1: ["accept", "water"], 2: ["skip", "beach"]}
    assert others == {"far.tif": ["x", "choose"]}
    assert found["kept"] is True


def test_rows_that_nobody_decided_on_are_neither_shown_nor_sent(reviewed):
    found = reviewed(
        "a.tif,beach,undecided,beach,,\nc.tif,water,suggestion,beach,,\nfar.tif,x,undecided,x,,\n"
        "bad.tif,x,remove,y,,\n",
        kept=[[3, "undecided", "beach", "", ""]],
        earlier=[["e.tif", "x", "suggestion", "y", "", "", "", "", "", ""]],
    )
    assert found["begun"] == []
    assert sent(found) == ({1: ["accept", "water"]}, {})
    assert found["others"] == []
    told = "".join(found["said"])
    assert "nobody decided on are left out: 3" in told
    assert "contradict themselves are left out: bad.tif" in told


def test_a_decision_that_the_program_refuses_is_taken_back_and_named(reviewed):
    found = reviewed(
        "a.tif,forest,choose,beach,,Ada\nc.tif,forest,choose,beach,,Ada\nfar.tif,x,choose,y,,Ada\n",
        kept=[[2, "reject", "beach", "Ada", ""]],
        answers=[{"refused": ["a.tif", "c.tif", "far.tif"]}],
    )
    assert len(found["sent"]) == 1
    assert sent(found)[0] == {
        0: ["choose", "forest"],
        1: ["accept", "water"],
        2: ["choose", "forest"],
    }
    assert {position: decision["label"] for position, decision in found["of"]} == {
        1: "water",
        2: "beach",
    }
    assert found["others"] == []
    assert "not kept: a.tif, c.tif, far.tif" in "".join(found["said"])
    assert found["kept"] is True


def test_a_tile_that_is_called_as_javascript_calls_a_prototype_is_sent(reviewed):
    found = reviewed("__proto__,x,choose,y,z,\nconstructor,x,choose,y,z,\n")
    assert sent(found)[1] == {"__proto__": ["x", "choose"], "constructor": ["x", "choose"]}
    assert found["kept"] is True


SENDING = """
const { size } = JSON.parse(process.argv[1]);
let sent = 0;
globalThis.fetch = async () => { sent += 1; return { ok: true, json: async () => [] }; };
let said = "";
try { await postFile({ name: "big.tif", size }, {}); } catch (error) { said = error.message; }
console.log(JSON.stringify({ sent, said }));
"""


@pytest.mark.parametrize("beyond", [0, 1])
def test_a_file_above_the_limit_of_the_program_is_not_sent(beyond):
    node = shutil.which("node")
    if node is None:
        pytest.skip("no Node.js on this machine")
    script = Path(rsretrieve.browse.__file__).with_name("page") / "requests.js"
    command = [node, "--input-type=module", "-e", script.read_text(encoding="utf-8") + SENDING]
    given = json.dumps({"size": MOST_BYTES + beyond})
    ran = subprocess.run([*command, given], capture_output=True, text=True, check=True)
    found = json.loads(ran.stdout)
    assert found["sent"] == 1 - beyond
    assert ("64 MiB" in found["said"]) == bool(beyond)
