"""split, corrupt-labels, audit-labels and evaluate."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

AUDIT_HEADER = (
    "tile,given_label,predicted_label,is_label_issue,label_score,own_similarity,"
    "predicted_similarity,kind,runner_up_label,runner_up_similarity,twin,issue_probability,neighbour_share,"
    "area_under_margin,training_weight,prototype_score,predicted_probability,"
    "witnessed_probability"
)
EVALUATION_KEYS = {
    *("queries", "gallery", "knn_accuracy", "map", "map_at_r", "precision_at", "recall_at"),
    *("nmi", "gallery_labels", "left_out", "per_class"),
}
TRUTH_KEYS = {
    *("noise_rate", "auroc", "average_precision", "precision", "recall", "f1"),
    "suggestion_accuracy",
}


def rows_of(path):
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def check_fixed(rows, fixed):
    """`--fixed-labels` takes the most probable suggestions of clear issues.

    Args:
        rows: of the audit's CSV.
        fixed: tile → label.

    Returns:
        How many labels were changed.
    """
    by_tile = {row["tile"]: row for row in rows}
    assert fixed.keys() == by_tile.keys()
    changed = [by_tile[t] for t in fixed if fixed[t] != by_tile[t]["given_label"]]
    for row in changed:
        assert fixed[row["tile"]] == row["predicted_label"]
        assert row["is_label_issue"] == "True"
        assert row["kind"] in ("wrong_label", "duplicate")
    left = [
        float(row["predicted_probability"])
        for row in rows
        if row["kind"] == "wrong_label" and row not in changed
    ]
    least = min((float(row["predicted_probability"]) for row in changed), default=1.0)
    assert max(left, default=0.0) <= least
    return len(changed)


def test_split_writes_three_lists_class_by_class_that_can_be_read_again(run, landscape, tmp_path):
    ran = run("split", landscape, "--output", tmp_path, "--fractions", "0.5,0.25,0.25", "--json")
    assert ran.code == 0
    assert ran.json == {"output": str(tmp_path), "train": 72, "val": 36, "test": 36}
    parts = {name: rows_of(tmp_path / f"{name}.csv") for name in ("train", "val", "test")}
    ids = [row["tile"] for rows in parts.values() for row in rows]
    assert len(ids) == len(set(ids)) == 144
    assert sum(row["label"] == "forest" for row in parts["train"]) == 8
    refused = run("split", landscape, "--output", tmp_path)
    assert refused.code == 1
    noisy = run(
        *("corrupt-labels", tmp_path / "val.csv", "--rate", 1, "--output", tmp_path / "n.csv"),
        "--json",
    )
    assert noisy.json == {"labels": str(tmp_path / "n.csv"), "tiles": 36, "changed": 36}


@pytest.mark.parametrize("fractions", ["0.5,0.5", "0.9,0.2,0.1", "a,b,c", "0.5,0.5,-0.1"])
def test_fractions_that_make_no_sense_are_wrong_usage(run, landscape, tmp_path, fractions):
    ran = run("split", landscape, "--output", tmp_path, f"--fractions={fractions}")
    assert (ran.code, ran.out) == (2, "")
    assert not list(tmp_path.iterdir())


def test_corrupt_labels_writes_the_true_label_beside_and_is_seeded(run, landscape, tmp_path):
    def corrupted(name, seed):
        output = tmp_path / name
        ran = run(
            "corrupt-labels", landscape, "--rate", 0.5, "--seed", seed, "--output", output, "--json"
        )
        rows = rows_of(output)
        assert list(rows[0]) == ["tile", "label", "true_label"]
        assert all(row["tile"].startswith(row["true_label"]) for row in rows)
        assert ran.json["changed"] == sum(row["label"] != row["true_label"] for row in rows)
        return [row["label"] for row in rows]

    assert corrupted("a.csv", 1) == corrupted("b.csv", 1)
    assert corrupted("c.csv", 2) != corrupted("a2.csv", 1)


@pytest.mark.medium
def test_corrupt_labels_along_a_table_and_by_instance(run, landscape, model, tmp_path):
    table = tmp_path / "table.csv"
    names = sorted(path.name for path in landscape.iterdir() if path.is_dir())
    lines = [f"{name},{names[i - 1]},1" for i, name in enumerate(names)]
    table.write_text("from,to,share\n" + "\n".join(lines) + "\n")
    output = tmp_path / "t.csv"
    ran = run(
        *("corrupt-labels", landscape, "--rate", 1, "--kind", "table", "--table", table),
        *("--output", output),
    )
    assert ran.code == 0
    assert all(row["label"] == names[names.index(row["true_label"]) - 1] for row in rows_of(output))
    output = tmp_path / "i.csv"
    ran = run(
        *("corrupt-labels", landscape, "--rate", 0.2, "--kind", "instance", "--model", model),
        *("--output", output, "--json"),
    )
    assert 10 <= ran.json["changed"] <= 50


@pytest.mark.parametrize(
    "arguments", [["--kind", "table"], ["--kind", "instance"], ["--table", "aid"]], ids=" ".join
)
def test_kinds_of_noise_need_what_they_need(run, landscape, tmp_path, arguments):
    ran = run(
        "corrupt-labels", landscape, "--rate", 0.1, "--output", tmp_path / "n.csv", *arguments
    )
    assert ran.code == 2
    option = " ".join(arguments)
    assert f"{option} needs" in ran.err or "--table needs --kind table" in ran.err


def test_a_published_table_is_for_its_own_classes(run, landscape, tmp_path):
    ran = run(
        *("corrupt-labels", landscape, "--rate", 0.1, "--kind", "table", "--table", "aid"),
        *("--output", tmp_path / "n.csv"),
    )
    assert ran.code == 1
    assert "no row for 7 of the 9 classes" in ran.err


@pytest.mark.medium
def test_audit_labels_writes_the_contract_s_csv_worst_first_and_json(
    run, landscape, noisy, model, tmp_path
):
    output, page, fixed = (tmp_path / name for name in ("audit.csv", "audit.html", "fixed.csv"))
    ran = run(
        *("audit-labels", landscape, "--labels", noisy, "--model", model, "--truth", noisy),
        *("--output", output, "--page", page, "--fixed-labels", fixed, "--json"),
        *("--fix-precision", "0.7", "--budget", 40),
    )
    assert ran.code == 0
    assert set(ran.json) - {"notices"} == {
        *("tiles", "issues", "noise_rate", "noise_interval", "per_class", "device", "kinds"),
        *("undecided", "wrong_labels_left", "wrong_labels_left_interval", "truth", "models"),
    }
    assert ran.json["models"] == [str(model)]
    assert set(ran.json["truth"]) == TRUTH_KEYS
    assert 0.2 < ran.json["truth"]["noise_rate"] < 0.4
    assert sum(entry["issues"] for entry in ran.json["per_class"]) == ran.json["issues"]
    assert set(ran.json["per_class"][0]) == {
        *("label", "tiles", "issues", "noise_rate", "noise_interval")
    }
    assert output.read_text().splitlines()[0] == AUDIT_HEADER
    rows = rows_of(output)
    scores = [float(row["label_score"]) for row in rows]
    assert scores == sorted(scores)
    # How well a model of a few epochs ranks depends on the arithmetic of PyTorch (0.70 to 0.78 with
    # the versions that are tested). The figure itself does not: it is computed again here.
    true = {row["tile"]: row["true_label"] for row in rows_of(noisy)}
    wrong = [row["given_label"] != true[row["tile"]] for row in rows]
    auroc = roc_auc_score(wrong, -np.arange(len(rows)))
    assert ran.json["truth"]["auroc"] == pytest.approx(auroc, abs=1e-3)
    assert auroc > 0.65
    assert sum(row["is_label_issue"] == "True" for row in rows) == ran.json["issues"]
    taken = check_fixed(rows, {row["tile"]: row["label"] for row in rows_of(fixed)})
    issues = ran.json["issues"]
    said = " ".join(ran.err.split())
    summary = f"{issues} of 144 labels flagged: {taken} fixed, {issues - taken} left for a person"
    assert summary in said
    is_told = ran.json["noise_rate"] is not None
    assert ("none is fixed" in said) != is_told
    assert taken == 0 or is_told
    html = page.read_text(encoding="utf-8")
    assert html.count('"own":') == sum(ran.json["kinds"].values()) >= ran.json["issues"]
    assert "http://" not in html


@pytest.mark.medium
def test_audit_labels_for_people_ends_with_a_sentence(run, landscape, noisy, model):
    ran = run(
        *("audit-labels", landscape, "--labels", noisy, "--model", model, "--truth", noisy),
        *("--budget", 40),
    )
    assert ran.code == 0
    assert "the worst 20 of" in ran.out
    assert "of 144 labels flagged" in ran.out
    truth = {row["tile"]: row for row in rows_of(noisy)}
    wrong = sum(row["label"] != row["true_label"] for row in truth.values())
    assert f"true labels: {wrong} of 144 labels are wrong" in ran.out
    assert "auroc" in ran.out


@pytest.mark.medium
def test_fail_on_issues_exits_4(run, landscape, noisy, model):
    arguments = ["audit-labels", landscape, "--labels", noisy, "--model", model, "--budget", 40]
    assert run(*arguments, "--fail-on-issues", "--json").code == 4


def test_audit_labels_refuses_to_overwrite_and_needs_known_labels(
    run, landscape, noisy, model, tmp_path
):
    there = tmp_path / "audit.csv"
    there.touch()
    ran = run("audit-labels", landscape, "--model", model, "--output", there)
    assert ran.code == 1
    assert there.read_bytes() == b""
    ran = run("audit-labels", landscape / "water", "--model", model)
    assert ran.code == 1
    assert "no tile has a label that the model knows" in ran.err
    partial = tmp_path / "truth.csv"
    partial.write_text("tile,label\nforest/none.tif,forest\n")
    ran = run("audit-labels", landscape, "--model", model, "--truth", partial)
    assert ran.code == 1
    assert "the file of true labels lacks 144 of 144 tiles" in ran.err


def test_evaluate_leaves_one_out_and_prints_the_contract_s_json(run, index):
    ran = run("evaluate", "--index", index, "--json")
    assert ran.code == 0
    assert set(ran.json) == EVALUATION_KEYS
    assert (ran.json["queries"], ran.json["gallery"]) == (144, 144)
    assert set(ran.json["precision_at"]) == {"1", "5", "10", "20", "50"}
    assert set(ran.json["recall_at"]) == {"1", "5", "10"}
    assert ran.json["gallery_labels"] == "given labels"
    assert 1 / 9 < ran.json["map"] < 1
    assert ran.json["precision_at"]["1"] < 1, "a query was its own hit"


@pytest.mark.medium
def test_evaluate_queries_against_the_clean_gallery(run, landscape, noisy, index, tmp_path):
    assert run("split", landscape, "--output", tmp_path, "--quiet").code == 0
    ran = run("evaluate", tmp_path / "test.csv", "--index", index, "--truth", noisy, "--json")
    assert ran.json["gallery_labels"] == "clean gallery"
    assert (ran.json["queries"], ran.json["gallery"]) == (28, 144)
    assert ran.json["precision_at"]["1"] < 1, "a query was its own hit"
    text = run("evaluate", tmp_path / "test.csv", "--index", index)
    assert "mAP@R" in text.out
    wrong = run("evaluate", "--index", index, "--labels", noisy)
    assert wrong.code == 2
