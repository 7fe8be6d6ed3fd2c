"""The decisions that the page saves: the CSV is as safe in a spreadsheet as those we write."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rsretrieve.export.html
from rsretrieve._core.formulas import neutralised
from rsretrieve._core.tables import encoding_notices, read_table, write_csv
from rsretrieve.audit.decisions.saved_decisions import Decision, LabelsOrigin, read_decisions
from rsretrieve.data.labels.confirmed import Rule
from rsretrieve.errors import TableError
from rsretrieve.export.html.page_request import ReviewSettings
from tests.support.csv_files import CSV_FILES

ASSETS = Path(rsretrieve.export.html.__file__).with_name("assets")
SCRIPT = "\n".join(
    (ASSETS / name).read_text(encoding="utf-8")
    for name in ("state.js", "csv.js", "encoding.js", "decisions.js")
)
PROGRAM = """
globalThis.document = { getElementById: () => ({ textContent: '{"id": "a", "cards": []}' }) };
const { quoted, tableRows } = new Function(
  process.argv[1] + "; return { quoted, tableRows };")();
const { texts, file } = JSON.parse(require("fs").readFileSync(0, "utf8"));
const saved = "tile,label\\n" + texts.map((text) => quoted(text) + ",a\\n").join("");
const [read, again] = [file, saved].map((text) => tableRows(text, ["tile"]).rows);
console.log(JSON.stringify({ saved, read, again }));
"""
RISKY = ["=1+1", "+a", "-a", "@a", "\ta", "\ra", "\na", " =a", "\xa0=a", "\ufeff=a", "＝a", "＋a"]
RISKY += [
    "－a",
    "＠a",
    "'=a",
    "''=a",
    "-0.5",
    "+3",
    "1e-7",
    "a;=1",
    "a\t@b",
    'a;"=1',
    "'tis",
    "a,b",
]
texts = st.text(st.sampled_from("=+-@＝＋－＠\t\n ;,'\"a1.e\xa0\u3000"), min_size=1, max_size=8)


@pytest.fixture(scope="module")
def node():
    path = shutil.which("node")
    if path is None:
        pytest.skip("no Node.js on this machine")
    return path


SAVING = """
const data = JSON.parse(require("fs").readFileSync(0, "utf8"));
const text = JSON.stringify(data.page);
globalThis.document = { getElementById: () => ({ textContent: text, value: "Ada" }) };
globalThis.localStorage = { getItem: (key) => data.kept[key] ?? null, setItem: () => {} };
const Decisions = new Function(
  process.argv[1] + "; return Decisions;")();
Decisions.restore();
Decisions.set(data.page.cards.length - 1, "accept", "water");
const found = data.load ? Decisions.readCsv(data.load) : null;
console.log(JSON.stringify({ found, csv: Decisions.csv() }));
"""


def on_page(node, content):
    """What a page read from a file, and what it saves; its last card is decided on."""
    command = [node, "-e", SAVING, SCRIPT]
    given = json.dumps(content)
    ran = subprocess.run(
        command, input=given, capture_output=True, text=True, check=True, encoding="utf-8"
    )
    return json.loads(ran.stdout)


CARD = {"tile": "a.png", "given": "road", "suggested": "water", "kind": "wrong_label"}
TWO_CARDS = {"id": "a", "cards": [CARD, {**CARD, "tile": "b.png"}]}


@pytest.mark.parametrize(("file", "digest"), [("/my labels.csv", "ab12"), ("", "")])
def test_saved_decisions_name_their_labels_and_hold_the_earlier_ones(node, tmp_path, file, digest):
    earlier = Decision("b.png", "sand", Rule.PERSON, "Bob", "then", None)
    settings_ = ReviewSettings("", LabelsOrigin(file, digest), (earlier,))
    page = {"id": "a", "cards": [CARD], "labelsFile": file, "labelsDigest": digest}
    page["earlier"] = settings_.earlier_rows()
    # Rows that an older page kept have fewer cells; rows of a file name other labels.
    kept = {"rsretrieve-audit-a-others": json.dumps([["c.png", ["c.png", "x"] + [""] * 6]])}
    load = "tile,label,labels_file,labels_digest\nd.png,y,/old.csv,ff\n"
    ran = on_page(node, {"page": page, "kept": kept, "load": load})
    (tmp_path / "d.csv").write_text(ran["csv"], encoding="utf-8")
    saved = read_decisions(tmp_path / "d.csv")
    assert saved.origin == LabelsOrigin(file, digest)
    assert saved.is_from_page
    assert [(d.tile_id, d.label, d.rule) for d in saved.decisions] == [
        ("a.png", "water", Rule.ACCEPT),
        ("b.png", "sand", Rule.PERSON),
        ("c.png", "x", Rule.PERSON),
        ("d.png", "y", Rule.PERSON),
    ]


HEADER = "tile,label,decision,given_label,suggested_label\n"
LEFT_OUT = [  # cells of a row, and whether it contradicts itself
    ("road,undecided,road,", False),
    ("water,suggestion,road,", False),
    ("road, Undecided ,,", False),
    ("forest,accept,beach,water", True),
    ("forest,reject,beach,", True),
    ("forest,remove,beach,", True),
    (",accept,beach,water", True),
    ("None,choose,beach,", True),
    ("forest,perhaps,beach,", True),
    ("forest,skip,beach,", True),
]


def decisions_of(path, text):
    path.write_text(text, encoding="utf-8")
    return [(d.tile_id, d.label, d.rule) for d in read_decisions(path).decisions]


@pytest.mark.parametrize("tile", ["a.png", "elsewhere.png"])
@pytest.mark.parametrize(("cells", "is_wrong"), LEFT_OUT)
def test_rows_that_are_no_decision_of_a_person_are_left_out(node, tmp_path, tile, cells, is_wrong):
    read = on_page(node, {"page": TWO_CARDS, "kept": {}, "load": f"{HEADER}{tile},{cells}\n"})
    assert read["found"]["taken"] == 0
    assert (read["found"]["open"], read["found"]["wrong"]) == ((0, [tile]) if is_wrong else (1, []))
    saved = decisions_of(tmp_path / "d.csv", read["csv"])
    assert saved == [("b.png", "water", Rule.ACCEPT)]


@pytest.mark.parametrize(
    ("cells", "label", "rule"),
    [
        ("forest,accept,beach,forest", "forest", Rule.CHOOSE),
        ("beach,reject,beach,forest", "beach", Rule.CHOOSE),
        ("road,accept,beach,road", "road", Rule.REJECT),
        ("water,choose,beach,road", "water", Rule.ACCEPT),
        ("beach,skip,beach,forest", "road", Rule.SKIP),
        (",remove,beach,forest", None, Rule.REMOVE),
        ("water,,,", "water", Rule.ACCEPT),
        ("road,Person,,", "road", Rule.REJECT),
        (" water ,ACCEPT,road,water", "water", Rule.ACCEPT),
        ("nan,,road,", None, Rule.REMOVE),
    ],
)
def test_decisions_of_an_earlier_audit_fit_the_suggestions_of_this_page(
    node, tmp_path, cells, label, rule
):
    read = on_page(node, {"page": TWO_CARDS, "kept": {}, "load": f"{HEADER}a.png,{cells}\n"})
    assert read["found"]["taken"] == 1
    saved = decisions_of(tmp_path / "d.csv", read["csv"])
    assert saved == [("a.png", label, rule), ("b.png", "water", Rule.ACCEPT)]


@pytest.mark.parametrize("rule", [Rule.ACCEPT, Rule.REJECT])
def test_a_suggestion_that_is_the_given_label_keeps_the_rule(node, tmp_path, rule):
    page = {"id": "a", "cards": [{**CARD, "suggested": "road"}, {**CARD, "tile": "b.png"}]}
    load = f"{HEADER}a.png,road,{rule.value},road,road\n"
    read = on_page(node, {"page": page, "kept": {}, "load": load})
    assert decisions_of(tmp_path / "d.csv", read["csv"])[0] == ("a.png", "road", rule)


def test_what_an_older_page_kept_in_the_browser_fits_its_suggestions(node, tmp_path):
    decision = {"decision": "accept", "label": "forest", "by": "", "at": ""}
    other = ["c.png", ["c.png", "x", "undecided", "x", "", "", "", ""]]
    kept = {
        "rsretrieve-audit-a": json.dumps({"a.png": decision}),
        "rsretrieve-audit-a-others": json.dumps([other]),
    }
    ran = on_page(node, {"page": TWO_CARDS, "kept": kept})
    assert decisions_of(tmp_path / "d.csv", ran["csv"]) == [
        ("a.png", "forest", Rule.CHOOSE),
        ("b.png", "water", Rule.ACCEPT),
    ]


LOADING = """
const data = JSON.parse(require("fs").readFileSync(0, "utf8"));
globalThis.document = { getElementById: () => ({ textContent: JSON.stringify(data.page) }) };
const { Decisions, decoded } = new Function(
  process.argv[1] + "; return { Decisions, decoded };")();
try {
  const { text, guessed } = decoded(Uint8Array.from(data.bytes));
  Decisions.readCsv(text);
  const labels = [...Decisions.of.values()].map(({ label }) => label);
  console.log(JSON.stringify({ labels, guessed }));
} catch (error) {
  console.log(JSON.stringify({ error: error.message }));
}
"""


@pytest.mark.parametrize("name", CSV_FILES)
def test_a_file_is_read_or_refused_as_the_program_does_it(node, tmp_path, name):
    content, _ = CSV_FILES[name]
    (tmp_path / "d.csv").write_bytes(content)
    content = json.dumps({"page": TWO_CARDS, "bytes": [*content]})
    command = [node, "-e", LOADING, SCRIPT]
    ran = subprocess.run(command, input=content, capture_output=True, text=True, check=True)
    loaded = json.loads(ran.stdout)
    try:
        expected = [each.label for each in read_decisions(tmp_path / "d.csv").decisions]
    except TableError:
        assert loaded["error"]
    else:
        assert loaded["labels"] == expected
        assert bool(loaded["guessed"]) == bool(encoding_notices(tmp_path / "d.csv"))


def in_javascript(node, given, file):
    content = json.dumps({"texts": given, "file": file})
    command = [node, "-e", PROGRAM, SCRIPT]
    ran = subprocess.run(
        command, input=content, capture_output=True, text=True, check=True, encoding="utf-8"
    )
    return json.loads(ran.stdout)


def same_on_both_sides(node, folder, given):
    write_csv(folder / "ours.csv", ("tile", "label"), [(t, "a") for t in given], overwrite=True)
    ran = in_javascript(node, given, (folder / "ours.csv").read_bytes().decode())
    (folder / "theirs.csv").write_bytes(ran["saved"].encode())
    read = [row["tile"] for _, row in read_table(folder / "theirs.csv", ("tile",))]
    assert read == given
    assert [row[0] for row in ran["read"]] == given
    assert [row[0] for row in ran["again"]] == given
    return ran["saved"]


def test_page_and_program_mark_the_same_texts_and_read_one_another(node, tmp_path):
    saved = same_on_both_sides(node, tmp_path, RISKY)
    for text in RISKY:
        assert neutralised(text).replace('"', '""') in saved


@pytest.mark.medium
@settings(max_examples=20, deadline=None)
@given(st.lists(texts, min_size=20, max_size=60))
def test_whatever_the_text(node, tmp_path_factory, given):
    saved = same_on_both_sides(node, tmp_path_factory.mktemp("saved"), given)
    assert saved.count("'") >= sum(neutralised(text).count("'") for text in given)
