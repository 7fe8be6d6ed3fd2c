"""Auditing labels: order, issues, classes, fixed labels, and what is left out."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from pyarrow import parquet

from rsretrieve.audit import audit as module
from rsretrieve.audit.audit import AuditRequest
from rsretrieve.audit.evidence.from_model import ModelEvidence
from rsretrieve.audit.issue_selection import IssueSelection
from rsretrieve.audit.label_quality import AssessmentOptions
from rsretrieve.audit.result import Audit
from rsretrieve.audit.result_table import SCHEMA, ClassifiedLabels, Row, rows_of
from rsretrieve.data.labels.confirmed import ConfirmedLabel, Rule
from rsretrieve.data.run_context import RunContext
from rsretrieve.data.tile import Tile, TileSet
from rsretrieve.errors import InvalidArgument, LabelsError, NoUsableTiles
from rsretrieve.index.embed_tiles import embed_tiles
from rsretrieve.network.model import Model
from rsretrieve.progress import Advanced, Event, Noticed, StageStarted
from tests.support.pages.audits import audit_of, audit_rows, finding


def audit_labels(
    model: Model,
    tiles: TileSet,
    context: RunContext,
    selection: IssueSelection | None = None,
    **asked: Any,
) -> Audit:
    options = AssessmentOptions(selection or IssueSelection())
    request = AuditRequest(tiles, ModelEvidence(model), options=options, **asked)
    return module.audit_labels(request, context)


@pytest.fixture(scope="module")
def audit(model: Model, noisy_tiles: TileSet) -> Audit:
    return audit_labels(model, noisy_tiles, RunContext())


def notices(events: list[Event]) -> list[str]:
    return [event.text for event in events if isinstance(event, Noticed)]


def truth_of(tiles: TileSet) -> dict[str, str]:
    return {tile.id: str(tile.label) for tile in tiles}


# Findings on each tile


def test_every_tile_is_scored_by_its_cosines_to_the_prototypes(
    audit: Audit, model: Model, noisy_tiles: TileSet
) -> None:
    names = model.description.class_names
    vectors = embed_tiles(model, noisy_tiles, RunContext()).vectors
    cosines_of = {
        tile.id: {
            name: sum(float(a) * float(b) for a, b in zip(w, vector))
            for name, w in zip(names, model.prototypes)
        }
        for tile, vector in zip(noisy_tiles, vectors)
    }
    assert len(audit.tiles) == 16
    for audited in audit_rows(audit):
        cosines, given = cosines_of[audited["tile"]], audited["given_label"]
        assert audited["predicted_label"] == max(cosines, key=lambda name: cosines[name])
        assert audited["own_similarity"] == pytest.approx(cosines[given], abs=1e-5)
        assert audited["predicted_similarity"] == pytest.approx(max(cosines.values()), abs=1e-5)
        assert audited["is_label_issue"] == (audited["predicted_label"] != given)
        assert audited["is_label_issue"] == (audited["label_score"] < 0.5)


def test_the_table_has_the_declared_columns(audit: Audit) -> None:
    assert audit.table.schema.equals(SCHEMA)
    assert all(field.metadata[b"meaning"] for field in SCHEMA)


def test_the_worst_labels_stand_first(audit: Audit) -> None:
    scores = [audited["label_score"] for audited in audit_rows(audit)]
    assert scores == sorted(scores)
    issues = [audited["is_label_issue"] for audited in audit_rows(audit)]
    assert issues == sorted(issues, reverse=True)
    assert rows_of(audit.issues) == audit_rows(audit)[: sum(issues)]


def test_labels_that_were_made_wrong_are_found(
    model: Model, tiles: TileSet, noisy_tiles: TileSet
) -> None:
    audit = audit_labels(model, noisy_tiles, RunContext(), true_labels=truth_of(tiles))
    assert audit.figures is not None
    assert audit.figures.noise_rate == pytest.approx(4 / 16)
    assert audit.figures.auroc is not None
    assert audit.figures.auroc > 0.8


def test_the_order_of_tiles_changes_only_that_of_equals(
    audit: Audit, model: Model, noisy_tiles: TileSet
) -> None:
    backwards = audit_labels(model, noisy_tiles.select(range(15, -1, -1)), RunContext())
    assert [a["tile"] for a in audit_rows(backwards)] == [a["tile"] for a in audit_rows(audit)]


# Classes, and fixed labels


def test_issues_are_counted_by_given_label(audit: Audit, noisy_tiles: TileSet) -> None:
    tiles = Counter(str(tile.label) for tile in noisy_tiles)
    issues = Counter(audited["given_label"] for audited in rows_of(audit.issues))
    assert [(entry.label, entry.tiles, entry.issues) for entry in audit.per_class] == [
        (name, tiles[name], issues[name]) for name in noisy_tiles.class_names
    ]
    assert sum(entry.issues for entry in audit.per_class) == len(audit.issues) > 0


def test_classes_without_a_tile_are_not_listed(model: Model, tiles: TileSet) -> None:
    name = tiles.class_names[2]
    only = tiles.select([i for i, tile in enumerate(tiles) if tile.label == name])
    audit = audit_labels(model, only, RunContext())
    assert [entry.label for entry in audit.per_class] == [name]


def judged(name: str, given: str, predicted: str, **more: Any) -> Row:
    is_issue = given != predicted
    confident = {"has_confident_suggestion": is_issue} | more
    return finding(Tile(name, name, given), predicted, issue=is_issue, score=0.5, **confident)


def test_fixed_labels_take_the_suggestion_for_issues_alone_and_stand_by_id() -> None:
    rows = (judged("b", "road", "water"), judged("c", "road", "road"), judged("a", "x", "y"))
    fixed = audit_of(*rows).fixed_labels()
    assert list(fixed.items()) == [("a", "y"), ("b", "water"), ("c", "road")]


def test_fixed_labels_take_confident_suggestions_alone() -> None:
    doubtful = judged("a", "road", "water", has_confident_suggestion=False)
    assert audit_of(doubtful, judged("b", "water", "road")).fixed_labels() == {
        "a": "road",
        "b": "road",
    }


def test_the_label_of_a_near_duplicate_is_suggested_where_the_audit_has_no_other() -> None:
    labels, other = np.array([0, 1, 0, 1]), np.array([1, 0, 3, 2])
    findings = SimpleNamespace(
        predicted=np.array([0, 1, 2, 1]), is_label_issue=np.array([False, True, False, False])
    )
    nothing = np.zeros(4, np.int8)
    classified = ClassifiedLabels(
        *(TileSet("here", ()), ("road", "water", "sand"), labels, findings),  # type: ignore[arg-type]
        *(nothing, nothing.astype(bool), other),
    )
    # The first keeps its own label: that of its near-duplicate is flagged. The third has another
    # prediction. The second and the fourth take the label of the other.
    assert classified.suggested.tolist() == [0, 0, 2, 0]


def kept_by_a_person(tiles: TileSet, ids: frozenset[str]) -> TileSet:
    given = {tile.id: tile.label for tile in tiles}
    return tiles.with_confirmed({name: ConfirmedLabel(Rule.REJECT, given[name]) for name in ids})


def test_confirmed_tiles_are_never_an_issue(
    audit: Audit, model: Model, noisy_tiles: TileSet
) -> None:
    confirmed = frozenset(audited["tile"] for audited in rows_of(audit.issues.slice(0, 2)))
    assert confirmed
    again = audit_labels(model, kept_by_a_person(noisy_tiles, confirmed), RunContext())
    assert {a["tile"] for a in rows_of(again.issues)} == {
        a["tile"] for a in rows_of(audit.issues)
    } - confirmed
    assert not confirmed & {a["tile"] for a in rows_of(again.to_review)}
    assert all(a["label_score"] > 0.99 for a in audit_rows(again) if a["tile"] in confirmed)
    assert again.wrong_left.undecided < audit.wrong_left.undecided
    expected = np.trace(again.noise_matrix.values) - np.trace(audit.noise_matrix.values)
    assert expected > 0.5 * len(confirmed)


def test_a_budget_is_spent_on_unconfirmed_labels(
    audit: Audit, model: Model, noisy_tiles: TileSet
) -> None:
    confirmed = frozenset(audited["tile"] for audited in audit_rows(audit)[:3])
    kept = kept_by_a_person(noisy_tiles, confirmed)
    again = audit_labels(model, kept, RunContext(), selection=IssueSelection(budget=3))
    assert [a["tile"] for a in rows_of(again.issues)] == [a["tile"] for a in audit_rows(audit)[3:6]]


def test_the_noise_matrix_counts_expected_tiles(audit: Audit) -> None:
    assert audit.noise_matrix is not None
    names, values = audit.noise_matrix.class_names, audit.noise_matrix.values
    expected: Counter[tuple[str, str]] = Counter()
    for audited in audit_rows(audit):
        given, wrong = audited["given_label"], audited["issue_probability"]
        right_class = given == audited["predicted_label"]
        other = audited["runner_up_label"] if right_class else audited["predicted_label"]
        expected[given, given] += 1 - wrong
        expected[given, other] += wrong
    for row, given in enumerate(names):
        for column, true in enumerate(names):
            assert values[row, column] == pytest.approx(expected[given, true])


def test_a_record_tells_what_training_and_prototypes_said_of_the_label(
    audit: Audit, model: Model, tiles: TileSet
) -> None:
    table = parquet.read_table(model.folder / "tiles.parquet").to_pydict()
    given = {audited["tile"]: audited["given_label"] for audited in audit_rows(audit)}
    rows = zip(table["tile"], table["label"], table["weight"])
    taught = {tile: weight if given[tile] == label else None for tile, label, weight in rows}
    assert 0 < sum(weight is None for weight in taught.values()) < len(taught)
    assert {a["tile"]: a["training_weight"] for a in audit_rows(audit)} == taught
    for audited in audit_rows(audit):
        # So few tiles are audited by prototypes alone, between the nearest two.
        assert audited["prototype_score"] == pytest.approx(audited["label_score"])
        ahead = audited["predicted_similarity"] - audited["runner_up_similarity"]
        expected = 1 / (1 + np.exp(-ahead / model.temperature))
        # Similarities are float32, known to 6e-8 near 1; they are divided by σ = 0.05.
        assert audited["predicted_probability"] == pytest.approx(expected, abs=1e-5)


def test_comparisons_are_the_nearest_trusted_tiles_of_both_classes(
    model: Model, noisy_tiles: TileSet
) -> None:
    audit = audit_labels(model, noisy_tiles, RunContext(), comparisons=3)
    vectors = dict(
        zip((t.id for t in noisy_tiles), embed_tiles(model, noisy_tiles, RunContext()).vectors)
    )
    trusted = [audit.tiles[a["row"]] for a in audit_rows(audit) if not a["needs_review"]]
    assert list(audit.comparisons) == [a["tile"] for a in rows_of(audit.to_review.slice(0, 3))]
    for audited in rows_of(audit.to_review.slice(0, 3)):
        found = audit.comparisons[audited["tile"]]
        asked = (
            (found.own, audited["given_label"]),
            (found.suggested, audited["suggested_label"]),
            (found.second, audited["second_label"]),
        )
        for tiles, label in asked:
            of_class = [t for t in trusted if t.label == label]
            similarities = {t.id: float(vectors[t.id] @ vectors[audited["tile"]]) for t in of_class}
            nearest = sorted(similarities, key=lambda name: -similarities[name])[:3]
            assert [t.id for t in tiles] == nearest


def test_without_asking_there_are_no_comparisons(audit: Audit) -> None:
    assert audit.comparisons == {}


def test_places_are_those_of_all_tiles(audit: Audit, noisy_tiles: TileSet) -> None:
    assert set(audit.places) == {tile.id for tile in noisy_tiles}


def test_prototypes_alone_tell_no_noise_rate(audit: Audit) -> None:
    assert len(audit.issues)
    assert audit.noise_rate is None
    assert audit.interval == (0.0, 1.0)
    assert "cannot be determined" in audit.noise_summary
    for entry in audit.per_class:
        assert entry.noise_rate is None
        assert entry.interval == (0.0, 1.0)


def test_a_budget_and_a_precision_choose_the_issues(model: Model, noisy_tiles: TileSet) -> None:
    one = audit_labels(model, noisy_tiles, RunContext(), selection=IssueSelection(budget=3))
    assert [a["is_label_issue"] for a in audit_rows(one)] == [True] * 3 + [False] * 13
    sure = audit_labels(
        model, noisy_tiles, RunContext(), selection=IssueSelection(expected_precision=0.9)
    )
    chosen = [a["issue_probability"] for a in rows_of(sure.issues)]
    assert not chosen or np.mean(chosen) >= 0.9


def test_few_tiles_per_class_are_audited_by_prototypes_alone(model: Model, tiles: TileSet) -> None:
    events: list[Event] = []
    audit_labels(model, tiles, RunContext(listener=events.append))
    (notice,) = notices(events)
    assert notice.startswith("16 tiles of 4 classes")
    assert "prototypes alone" in notice
    assert "not calibrated" in notice
    assert "too few to estimate a noise rate" in notice
    with pytest.raises(InvalidArgument, match="at least 2 folds"):
        AssessmentOptions(folds=1)


# The truth


def test_figures_are_measured_against_the_truth(
    model: Model, tiles: TileSet, noisy_tiles: TileSet
) -> None:
    truth = truth_of(tiles)
    audit = audit_labels(model, noisy_tiles, RunContext(), true_labels=truth)
    wrong = {tile.id for tile in noisy_tiles if tile.label != truth[tile.id]}
    flagged = {audited["tile"] for audited in rows_of(audit.issues)}
    found = wrong & flagged
    right = {a["tile"] for a in rows_of(audit.issues) if a["predicted_label"] == truth[a["tile"]]}
    assert audit.figures is not None
    assert audit.figures.precision == pytest.approx(len(found) / len(flagged))
    assert audit.figures.recall == pytest.approx(len(found) / len(wrong))
    assert audit.figures.suggestion_accuracy == pytest.approx(len(found & right) / len(found))


def test_without_the_truth_there_are_no_figures(audit: Audit) -> None:
    assert audit.figures is None


def test_true_labels_that_the_model_does_not_know_are_wrong_labels_still(
    model: Model, tiles: TileSet
) -> None:
    truth = {**truth_of(tiles), tiles[0].id: "glacier"}
    audit = audit_labels(model, tiles, RunContext(), true_labels=truth)
    assert audit.figures is not None
    assert audit.figures.noise_rate == pytest.approx(1 / 16)


def test_true_labels_that_lack_a_tile_are_refused(model: Model, tiles: TileSet) -> None:
    truth = truth_of(tiles)
    missing = [tile.id for tile in tiles][:5]
    for tile_id in missing:
        del truth[tile_id]
    shown = re.escape(", ".join(map(repr, missing[:3])))
    with pytest.raises(LabelsError, match=rf"lacks 5 of 16 tiles \({shown}, …\)") as caught:
        audit_labels(model, tiles, RunContext(), true_labels=truth)
    assert "every audited tile" in str(caught.value.hint)


# What is left out


def test_tiles_without_a_label_are_left_out_with_a_notice(model: Model, tiles: TileSet) -> None:
    events: list[Event] = []
    partly = tiles.relabelled({tiles[0].id: None, tiles[9].id: None})
    audit = audit_labels(model, partly, RunContext(listener=events.append))
    assert len(audit.tiles) == 14
    assert notices(events)[0].startswith("2 tiles have no label")


def test_labels_that_the_model_does_not_know_are_left_out_with_a_notice(
    model: Model, tiles: TileSet
) -> None:
    events: list[Event] = []
    foreign = tiles.relabelled({tiles[0].id: "glacier", tiles[1].id: "moor"})
    audit = audit_labels(model, foreign, RunContext(listener=events.append))
    assert len(audit.tiles) == 14
    assert notices(events)[0] == (
        "2 tiles have labels that the model does not know ('glacier', 'moor') and are left out"
    )


def test_labels_of_which_the_model_knows_none_are_refused(model: Model, tiles: TileSet) -> None:
    known = ", ".join(map(repr, tiles.class_names[:3]))
    message = re.escape(f"(the model knows {known}, …; the tiles have 'glacier')")
    with pytest.raises(LabelsError, match=message) as caught:
        audit_labels(model, tiles.relabelled({t.id: "glacier" for t in tiles}), RunContext())
    assert caught.value.hint == "write the classes as the model has them, or leave out --model"


def test_tiles_without_any_label_are_refused(model: Model, tiles: TileSet) -> None:
    nameless = tiles.relabelled({tile.id: None for tile in tiles})
    with pytest.raises(LabelsError, match=r"; the tiles have no labels\)$") as caught:
        audit_labels(model, nameless, RunContext())
    assert "--labels FILE.csv" in caught.value.hint


@pytest.mark.medium
def test_tiles_that_cannot_be_read_are_logged_and_left_out(model: Model, tiles: TileSet) -> None:
    context = RunContext()
    bad = TileSet("here", (replace(tiles[0], path="nowhere"), *tiles.tiles[1:]))
    audit = audit_labels(model, bad, context, true_labels=truth_of(tiles))
    assert len(audit.tiles) == 15
    assert [failure.tile_id for failure in context.failures] == [tiles[0].id]


def test_tiles_of_which_none_can_be_read_are_refused(model: Model, tiles: TileSet) -> None:
    bad = TileSet("here", (replace(tiles[0], path="nowhere"),))
    with pytest.raises(NoUsableTiles, match=r"^here: none of 1 tiles can be used"):
        audit_labels(model, bad, RunContext())


@pytest.mark.medium
def test_progress_names_every_stage(model: Model, tiles: TileSet) -> None:
    events: list[Event] = []
    audit_labels(model, tiles, RunContext(listener=events.append))
    stages = [event for event in events if isinstance(event, StageStarted)]
    assert [stage.name for stage in stages] == [
        "embedding tiles",
        "auditing labels",
        "searching near-duplicates with two labels",
        "comparing similar tiles at low resolution",
        "reading candidates for near-duplicates",
        "comparing pairs by their pixels",
    ]
    assert stages[2].total == len(tiles)
    totals = sum(stage.total or 0 for stage in stages)
    assert sum(event.tiles for event in events if isinstance(event, Advanced)) == totals
