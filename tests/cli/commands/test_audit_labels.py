"""audit-labels: from embeddings alone, exports, decisions, and what does not go together."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys

import numpy as np
import pyarrow
import pytest
from pyarrow import parquet

from rsretrieve.audit.classifier_sets import LIKELY, MOST_SCORES
from rsretrieve.audit.estimators.neighbors import MOST_EXACT
from rsretrieve.audit.label_quality import FEWEST_PER_CLASS
from tests.support.repository import DOCS

CLASSES, PER_CLASS = ("field", "forest", "water"), 30


def rows_of(path):
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture
def clusters(tmp_path):
    """90 embeddings of three classes, with a list: each tenth label wrong, two near-duplicates."""
    rng = np.random.default_rng(0)
    true = np.repeat(np.arange(3), PER_CLASS)
    vectors = 4 * np.eye(3, 8)[true] + rng.normal(0, 0.4, (90, 8))
    vectors[1] = vectors[10]  # the very same; tile 10 is labelled wrong
    given = np.where(np.arange(90) % 10 == 0, (true + 1) % 3, true)
    np.save(tmp_path / "e.npy", vectors.astype(np.float32))
    names = [f"{i:02d}.jpg" for i in range(90)]
    with (tmp_path / "list.csv").open("w", encoding="utf-8") as stream:
        stream.writelines(["tile,label\n", *(f"{n},{CLASSES[g]}\n" for n, g in zip(names, given))])
    with (tmp_path / "truth.csv").open("w", encoding="utf-8") as stream:
        stream.writelines(["tile,label\n", *(f"{n},{CLASSES[t]}\n" for n, t in zip(names, true))])
    table = {
        "tile": names,
        "embedding": vectors.tolist(),
        "label": [CLASSES[g] for g in given],
    }
    parquet.write_table(pyarrow.table(table), tmp_path / "e.parquet")
    return tmp_path


@pytest.mark.medium
def test_embeddings_are_audited_without_any_image(run, clusters):
    ran = run(
        *("audit-labels", clusters / "list.csv", "--embeddings", clusters / "e.npy"),
        *("--output", clusters / "a.csv", "--page", clusters / "a.html", "--json"),
        *("--truth", clusters / "truth.csv", "--fixed-labels", clusters / "fixed.csv"),
        *("--changes", clusters / "log.csv"),
    )
    assert ran.code == 0, ran.err
    assert (ran.json["issues"], ran.json["device"]) == (9, "cpu")
    assert ran.json["truth"]["f1"] == ran.json["truth"]["suggestion_accuracy"] == 1
    assert ran.json["kinds"] == {
        **{"wrong_label": 8, "duplicate": 2, "ambiguous": 0},
        **{"off_topic": 0, "rare_class": 0},
    }
    twins = {r["tile"]: r["twin"] for r in rows_of(clusters / "a.csv") if r["twin"]}
    assert twins == {"01.jpg": "10.jpg", "10.jpg": "01.jpg"}
    assert rows_of(clusters / "fixed.csv") == rows_of(clusters / "truth.csv")
    assert {row["rule"] for row in rows_of(clusters / "log.csv")} == {"suggestion"}
    assert len(rows_of(clusters / "log.csv")) == 9
    page = (clusters / "a.html").read_text(encoding="utf-8")
    assert "no such file" in page
    assert "10.jpg has nearly the same embedding and the label forest" in page


def test_a_parquet_table_needs_no_list(run, clusters):
    output = clusters / "a.csv"
    embeddings = ("--embeddings", clusters / "e.parquet")
    ran = run("audit-labels", *embeddings, "--output", output, "--json")
    assert (ran.code, ran.json["issues"]) == (0, 9)
    by_array = run(
        *("audit-labels", clusters / "list.csv", "--embeddings", clusters / "e.npy"),
        *("--output", clusters / "b.csv", "--json"),
    )
    assert by_array.json == ran.json
    one, other = rows_of(output), rows_of(clusters / "b.csv")
    assert [row["tile"] for row in one[:9]] == [row["tile"] for row in other[:9]]
    fixed = run("audit-labels", *embeddings, "--labels", clusters / "truth.csv", "--json")
    assert fixed.json["issues"] == 0


@pytest.mark.medium
def test_embeddings_need_no_torch(clusters):
    code = (
        "import sys; sys.argv = ['rsretrieve', *sys.argv[1:]]\n"
        "from rsretrieve.cli.main import main\n"
        "try: main()\n"
        "except SystemExit: print('torch' in sys.modules or 'faiss' in sys.modules)"
    )
    command = [sys.executable, "-c", code, "audit-labels", str(clusters / "list.csv")]
    command += [
        "--embeddings",
        str(clusters / "e.npy"),
        "--json",
        "--page",
        str(clusters / "p.html"),
    ]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines()[-1] == "False", ran.stderr


def test_embeddings_that_point_nowhere_are_left_out_and_listed(run, clusters):
    vectors = np.load(clusters / "e.npy")
    vectors[3], vectors[7, 2] = 0, np.nan
    np.save(clusters / "e.npy", vectors)
    arguments = ("audit-labels", clusters / "list.csv", "--embeddings", clusters / "e.npy")
    ran = run(*arguments, "--json")
    assert (ran.code, ran.json["tiles"]) == (3, 88)
    assert "03.jpg: its embedding is zero or missing" in ran.err
    assert "07.jpg: its embedding is not finite" in ran.err
    assert run(*arguments, "--strict").code == 1
    np.save(clusters / "e.npy", vectors * 0)
    none = run(*arguments)
    assert (none.code, "none of 90 embeddings can be used" in none.err) == (1, True)


def test_fixed_labels_hold_tiles_that_were_not_audited_as_they_are(run, clusters):
    vectors = np.load(clusters / "e.npy")
    vectors[3], vectors[10] = 0, np.nan  # one with a right label, and one with a wrong one
    np.save(clusters / "e.npy", vectors)
    lines = (clusters / "list.csv").read_text(encoding="utf-8").splitlines()
    lines[1 + 5] = "05.jpg,"  # without a label
    (clusters / "list.csv").write_text("\n".join(lines), encoding="utf-8")
    ran = run(
        *("audit-labels", clusters / "list.csv", "--embeddings", clusters / "e.npy"),
        *("--fixed-labels", clusters / "fixed.csv"),
    )
    assert ran.code == 3
    assert re.search(r"\d+ of 87 labels flagged: 8 fixed, \d+ left for a person", ran.err)
    assert "2 labels that were not audited" in ran.err
    before = {row["tile"]: row["label"] for row in rows_of(clusters / "list.csv")}
    after = {row["tile"]: row["label"] for row in rows_of(clusters / "fixed.csv")}
    assert list(after) == sorted(before)
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {f"{i}0.jpg" for i in (0, *range(2, 9))}


def test_embeddings_without_labels_are_told_so(run, clusters):
    table = parquet.read_table(clusters / "e.parquet").drop_columns("label")
    parquet.write_table(table, clusters / "e.parquet")
    ran = run("audit-labels", "--embeddings", clusters / "e.parquet")
    assert ran.code == 1
    assert "e.parquet: no tile has a label" in ran.err
    assert "model" not in ran.err


def test_help_and_documentation_say_what_depends_on_the_size(run):
    said = " ".join(run("audit-labels", "--help").out.replace("│", " ").split())
    written = " ".join((DOCS / "concepts" / "audit.md").read_text(encoding="utf-8").split())
    for words in (
        f"Above {MOST_SCORES:,} tiles × classes, the probabilities of the {LIKELY} likely",
        f"Above {MOST_EXACT:,} tiles, neighbours are searched approximately",
        f"Below {FEWEST_PER_CLASS} tiles per class, the prototypes are the only estimator",
    ):
        assert words in said
        assert words in written


def test_one_class_alone_cannot_be_audited(run, clusters):
    (clusters / "list.csv").write_text(
        "tile,label\n" + "".join(f"{i:02d}.jpg,field\n" for i in range(90)), encoding="utf-8"
    )
    ran = run("audit-labels", clusters / "list.csv", "--embeddings", clusters / "e.npy")
    assert ran.code == 1
    assert "every tile has the same label ('field')" in ran.err


@pytest.mark.medium
def test_exports_of_a_model_s_audit(run, landscape, noisy, model, tmp_path):
    ran = run(
        *("audit-labels", landscape, "--labels", noisy, "--model", model, "--json"),
        *("--budget", 40),
        *("--fiftyone", tmp_path / "f.csv", "--label-studio", tmp_path / "l.json"),
        *("--geojson", tmp_path / "g.json"),
    )
    assert ran.code == 0, ran.err
    checked = sum(ran.json["kinds"].values())
    assert len(rows_of(tmp_path / "f.csv")) == 144
    assert f"LOCAL_FILES_DOCUMENT_ROOT={landscape}" in ran.err
    assert len(json.loads((tmp_path / "l.json").read_text())) == checked > 0
    features = json.loads((tmp_path / "g.json").read_text())["features"]
    assert len(features) == checked
    assert all(feature["geometry"] for feature in features)


def test_tiles_behind_urls_go_to_label_studio_without_any_folder(run, clusters):
    lines = (clusters / "list.csv").read_text(encoding="utf-8").splitlines()[1:]
    named = [f"{line},https://example.org/{line.split(',')[0]}" for line in lines]
    (clusters / "far.csv").write_text("\n".join(["tile,label,path", *named]), encoding="utf-8")
    ran = run(
        *("audit-labels", clusters / "far.csv", "--embeddings", clusters / "e.npy"),
        *("--label-studio", clusters / "l.json"),
    )
    assert (ran.code, "LOCAL_FILES_DOCUMENT_ROOT" in ran.err) == (0, False), ran.err
    images = [task["data"]["image"] for task in json.loads((clusters / "l.json").read_text())]
    assert len(images) == 10
    assert all(image.startswith("https://example.org/") for image in images)


def test_places_of_embeddings_reach_maps_and_samples(run, clusters):
    table = parquet.read_table(clusters / "e.parquet")
    corner = [[i / 10, 47.0] for i in range(90)]
    feet = [[c, [c[0], 46.9], [c[0] + 0.1, 46.9], [c[0] + 0.1, 47.0]] for c in corner]
    columns = {"crs": ["EPSG:4326"] * 90, "bounds": [[0.0, 46.9, 0.1, 47.0]] * 90}
    for name, values in {**columns, "footprint": feet}.items():
        table = table.append_column(name, [values])
    parquet.write_table(table, clusters / "placed.parquet")
    ran = run(
        *("audit-labels", "--embeddings", clusters / "placed.parquet"),
        *("--geojson", clusters / "g.json", "--fiftyone", clusters / "f.csv"),
    )
    assert (ran.code, "no georeference" in ran.err) == (0, False), ran.err
    features = json.loads((clusters / "g.json").read_text())["features"]
    assert len(features) == 10
    assert all(feature["geometry"]["type"] == "Polygon" for feature in features)
    samples = rows_of(clusters / "f.csv")  # those with which nothing is wrong, too
    assert [float(row["lon"]) for row in samples] == pytest.approx(
        [c[0] + 0.05 for c in corner], abs=1e-9
    )


@pytest.fixture
def decisions(clusters):
    path = clusters / "decisions.csv"
    path.write_text(
        "tile,label,decision,given_label,by\n10.jpg,field,accept,forest,Ada\n"
        "20.jpg,forest,reject,forest,Ada\n30.jpg,,remove,water,Ada\n40.jpg,water,skip,water,Ada\n",
        encoding="utf-8",
    )
    return path


def test_decisions_alone_need_no_model(run, clusters, decisions):
    fixed, log = clusters / "fixed.csv", clusters / "log.csv"
    ran = run(
        *("audit-labels", clusters / "list.csv", "--decisions", decisions),
        *("--fixed-labels", fixed, "--changes", log),
    )
    assert (ran.code, "3 of 90" in ran.out, "2 labels changed" in ran.out) == (0, True, True)
    before = {row["tile"]: row["label"] for row in rows_of(clusters / "list.csv")}
    after = {row["tile"]: row["label"] for row in rows_of(fixed)}
    assert after == {**before, "10.jpg": "field", "30.jpg": ""}
    assert [(row["tile"], row["rule"], row["by"]) for row in rows_of(log)] == [
        ("10.jpg", "accept", "Ada"),
        ("20.jpg", "reject", "Ada"),
        ("30.jpg", "remove", "Ada"),
    ]


@pytest.mark.parametrize("overwrite", [[], ["--overwrite"]])
def test_two_outputs_never_go_to_one_file(run, clusters, overwrite):
    (clusters / "here").symlink_to(clusters)
    ran = run(
        *("audit-labels", clusters / "list.csv", "--embeddings", clusters / "e.npy"),
        *("--output", clusters / "s.csv", "--changes", clusters / "c.csv"),
        *("--fixed-labels", clusters / "here" / "s.csv", *overwrite),
    )
    assert ran.code == 2
    said = " ".join(ran.err.replace("│", " ").split())
    assert "--fixed-labels and --output would write the same file" in said
    assert not (clusters / "s.csv").exists()


def test_an_audit_after_decisions_leaves_decided_tiles_alone(run, clusters, decisions):
    ran = run(
        *("audit-labels", clusters / "list.csv", "--embeddings", clusters / "e.npy"),
        *("--decisions", decisions, "--fixed-labels", clusters / "fixed.csv", "--json"),
        *("--output", clusters / "a.csv"),
    )
    assert ran.code == 0
    assert (ran.json["decisions"], ran.json["changed"]) == (3, 2)
    issues = {r["tile"] for r in rows_of(clusters / "a.csv") if r["is_label_issue"] == "True"}
    assert issues == {"00.jpg", "40.jpg", "50.jpg", "60.jpg", "70.jpg", "80.jpg"}
    assert ran.json["tiles"] == 89  # one has no label any more
    before = {row["tile"]: row["label"] for row in rows_of(clusters / "list.csv")}
    after = {row["tile"]: row["label"] for row in rows_of(clusters / "fixed.csv")}
    assert {name for name in before if before[name] != after[name]} == {"10.jpg", "30.jpg"}


def test_decisions_of_two_reviewers_are_merged_and_their_disagreements_listed(
    run, clusters, decisions
):
    other = clusters / "bob.csv"
    other.write_text(
        "tile,label,decision,given_label,by\n10.jpg,water,choose,forest,Bob\n"
        "30.jpg,,remove,water,Bob\n50.jpg,forest,choose,water,Bob\n",
        encoding="utf-8",
    )
    both = ("--decisions", decisions, "--decisions", other)
    fixed, log = clusters / "fixed.csv", clusters / "log.csv"
    arguments = (*both, "--fixed-labels", fixed, "--changes", log)
    ran = run("audit-labels", clusters / "list.csv", *arguments, "--json")
    assert ran.json["disagreements"] == [
        {
            "tile": "10.jpg",
            "decisions": [
                {"file": str(decisions), "by": "Ada", "decision": "accept", "label": "field"},
                {"file": str(other), "by": "Bob", "decision": "choose", "label": "water"},
            ],
        }
    ]
    before = {row["tile"]: row["label"] for row in rows_of(clusters / "list.csv")}
    after = {row["tile"]: row["label"] for row in rows_of(fixed)}
    assert after == {**before, "30.jpg": "", "50.jpg": "forest"}
    assert {row["tile"]: row["by"] for row in rows_of(log)} == {
        "20.jpg": "Ada",
        "30.jpg": "Ada; Bob",
        "50.jpg": "Bob",
    }
    ran = run("audit-labels", clusters / "list.csv", *arguments, "--overwrite")
    assert "Ada: field; Bob: water" in ran.out
    assert "different labels ('10.jpg')" in " ".join(ran.err.split())


def test_the_next_page_begins_with_the_tiles_in_disagreement(run, clusters, decisions):
    other = clusters / "bob.csv"
    other.write_text("tile,label,by\n20.jpg,water,Bob\n", encoding="utf-8")
    ran = run(
        *("audit-labels", clusters / "list.csv", "--embeddings", clusters / "e.npy"),
        *("--decisions", decisions, "--decisions", other, "--page", clusters / "p.html"),
        *("--page-tiles", "3"),
    )
    assert ran.code == 0
    text = (clusters / "p.html").read_text(encoding="utf-8")
    data = json.loads(text.split('<script id="data" type="application/json">')[1].split("</")[0])
    assert data["cards"][0]["tile"] == "20.jpg"
    assert data["cards"][0]["opinions"] == [["Ada", "forest"], ["Bob", "water"]]
    assert len(data["cards"]) == 3
    assert "Only the worst 3 are shown" in text


@pytest.mark.medium
def test_decided_labels_are_known_to_the_next_audit(run, clusters, decisions):
    audit = ("audit-labels", clusters / "list.csv", "--embeddings", clusters / "e.npy", "--json")
    decided = clusters / "decided.csv"
    first = run(*audit)
    assert first.json["undecided"] == 90
    assert run(*audit, "--decisions", decisions, "--fixed-labels", decided).code == 0
    rows = {row["tile"]: row for row in rows_of(decided)}
    assert (rows["10.jpg"]["decision"], rows["10.jpg"]["given_label"]) == ("accept", "forest")
    assert (rows["20.jpg"]["decision"], rows["30.jpg"]["decision"]) == ("reject", "remove")
    assert {rows[name]["decision"] for name in ("40.jpg", "11.jpg")} == {"undecided"}
    again = run(*audit, "--labels", decided, "--budget", "89", "--output", clusters / "a.csv")
    issues = {row["tile"] for row in rows_of(clusters / "a.csv") if row["is_label_issue"] == "True"}
    assert not {"10.jpg", "20.jpg", "30.jpg"} & issues
    assert (again.json["issues"], again.json["undecided"]) == (87, 87)
    low, high = again.json["wrong_labels_left_interval"]
    assert low <= again.json["wrong_labels_left"] <= high
    assert again.json["wrong_labels_left"] < first.json["wrong_labels_left"]
    later = clusters / "later.csv"
    later.write_text("tile,label,decision\n50.jpg,forest,choose\n", encoding="utf-8")
    both = clusters / "both.csv"
    arguments = ("--labels", decided, "--decisions", later, "--fixed-labels", both)
    assert run(*audit, *arguments).code == 0
    known = {row["tile"] for row in rows_of(both) if row["decision"] != "undecided"}
    assert known == {"10.jpg", "20.jpg", "30.jpg", "50.jpg"}


@pytest.mark.medium
def test_figures_against_the_truth_are_those_of_labels_that_nobody_decided_on(run, clusters):
    audit = ("audit-labels", clusters / "list.csv", "--embeddings", clusters / "e.npy")
    audit += ("--truth", clusters / "truth.csv")
    assert "true labels: 9 of 90 labels are wrong (10.0%);" in run(*audit).out
    path = clusters / "some.csv"  # two wrong labels are kept by mistake, and one is corrected
    kept = "10.jpg,forest,reject,forest\n20.jpg,forest,reject,forest\n"
    path.write_text(f"tile,label,decision,given_label\n{kept}", encoding="utf-8")
    said = run(*audit, "--decisions", path).out
    assert "9 of 90 labels are wrong (10.0%), 7 of them among the 88 that nobody decided on" in said
    found = run(*audit, "--decisions", path, "--json").json["truth"]
    assert found["noise_rate"] == pytest.approx(0.1)
    assert found["auroc"] == found["recall"] == found["f1"] == 1
    true = {row["tile"]: row["label"] for row in rows_of(clusters / "truth.csv")}
    rest = [f"{i}0.jpg,{true[f'{i}0.jpg']},choose\n" for i in (0, *range(3, 9))]
    path.write_text(
        f"tile,label,decision\n{''.join(rest)}10.jpg,forest,choose\n20.jpg,forest,choose\n"
    )
    said = run(*audit, "--decisions", path).out
    assert "2 of 90 labels are wrong (2.2%), 0 of them among the 81" in said
    assert "auroc" not in said


def test_the_summary_names_the_page_and_tells_flagged_labels_from_others(run, clusters):
    page = clusters / "p.html"
    audit = ("audit-labels", clusters / "list.csv", "--embeddings", clusters / "e.npy")
    ran = run(*audit, "--page", page)
    assert f"page: {page}" in ran.out
    assert "9 of 90 labels flagged" in ran.out
    assert "10 tiles to review: 2 duplicate with two labels, 8 wrong label" in ran.out
    assert "1 of them with a label that is not flagged: duplicate" in ran.out
    assert "estimating prototypes (90 tiles)" in ran.err
    assert "page:" not in run(*audit).out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["list.csv", "--embeddings", "e.npy", "--weights", "imagenet"], "do not go together"),
        (["list.csv", "--embeddings", "e.npy", "--model", "m"], "do not go together"),
        (
            ["list.csv", "--embeddings", "e.npy", "--budget", "3", "--expected-precision", "0.9"],
            "do not go together",
        ),
        (["--model", "m"], "Missing argument 'TILES'"),
        (["--embeddings", "e.npy"], "does not name its tiles"),
        (["list.csv", "--embeddings", "e.npy", "--device", "cuda"], "runs on the CPU"),
        (["list.csv", "--decisions", "decisions.csv"], "--decisions without --model"),
        (
            ["list.csv", "--decisions", "d.csv", "--changes", "l.csv", "--page", "p.html"],
            "takes no other",
        ),
        (
            ["list.csv", "--decisions", "d.csv", "--changes", "l.csv", "--truth", "truth.csv"],
            "--truth needs an audit",
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_does_not_go_together_is_wrong_usage(run, clusters, monkeypatch, arguments, said):
    monkeypatch.chdir(clusters)
    ran = run("audit-labels", *arguments)
    assert ran.code == 2
    assert said in " ".join(ran.err.split())


def test_a_higher_precision_fixes_fewer_labels(run, clusters):
    arguments = ("audit-labels", clusters / "list.csv", "--embeddings", clusters / "e.npy")
    changed = []
    for precision in ("0.5", "0.9999", "1"):
        out = clusters / f"{precision}.csv"
        ran = run(*arguments, "--changes", out, "--fix-precision", precision)
        assert ran.code == 0, ran.err
        changed.append(len(rows_of(out)))
    assert changed[0] >= changed[1] >= changed[2] == 0
    assert changed[0] > 0


@pytest.mark.parametrize(
    ("precision", "said"),
    [
        *((number, "precision of fixed labels") for number in ("0", "1.5", "-1")),
        ("nan", "NaN is no number"),
    ],
)
def test_a_precision_out_of_range_is_refused(run, clusters, precision, said):
    ran = run(
        *("audit-labels", clusters / "list.csv", "--embeddings", clusters / "e.npy"),
        *("--changes", clusters / "c.csv", f"--fix-precision={precision}"),
    )
    assert ran.code == 2
    assert said in ran.err


def test_a_precision_without_a_file_to_fix_is_wrong_usage(run, clusters):
    ran = run(
        *("audit-labels", clusters / "list.csv", "--embeddings", clusters / "e.npy"),
        *("--fix-precision", "0.9"),
    )
    assert ran.code == 2
    assert "--fixed-labels" in ran.err
