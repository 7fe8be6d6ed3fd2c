"""The sentence of the verdict."""

from __future__ import annotations

import numpy as np
import pytest

from rsretrieve.comparison.paired_difference import PairedDifference, paired_difference
from rsretrieve.comparison.verdict import Judged, metric_name, overall


def difference(estimate, low, high, *, by_seed=(0.01, 0.02, 0.03), query_sd=0.1, queries=400):
    return PairedDifference(
        *(estimate, low, high, 0.95, by_seed, 0.0, 0.0, query_sd), rest_sd=0.1, queries=queries
    )


def test_a_better_choice_is_named_with_its_interval():
    said = Judged("labels=fixed.csv", "labels=noisy.csv", difference(0.014, 0.002, 0.026)).sentence
    assert said == "labels=fixed.csv is better than labels=noisy.csv by 0.014 mAP, 95 % 0.002…0.026"


def test_a_worse_choice_is_called_worse_by_a_positive_number():
    said = Judged("loss=nsl", "loss=rnsl", difference(-0.014, -0.026, -0.002)).sentence
    assert said == "loss=nsl is worse than loss=rnsl by 0.014 mAP, 95 % 0.002…0.026"


def test_an_end_of_the_interval_that_is_not_zero_is_not_shown_as_zero():
    said = Judged("a=1", "a=2", difference(0.01, 0.0003, 0.02)).sentence
    assert "0.0003…0.020" in said


def test_without_a_difference_it_says_how_many_seeds_it_would_take():
    found = difference(0.004, -0.02, 0.028, by_seed=(0.0, 0.004, 0.008), query_sd=0.02)
    said = Judged("a=1", "a=2", found).sentence
    assert "no difference can be shown" in said
    assert "−0.020…0.028" in said
    more = found.seeds_for(0.01) - 3
    assert f"{more} more seed" in said


def test_without_a_difference_it_says_that_seeds_do_not_suffice():
    said = Judged("a=1", "a=2", difference(0.0, -0.1, 0.1, query_sd=0.5)).sentence
    assert "more seeds would not suffice" in said
    assert "test tiles" in said


def test_what_would_have_been_seen_is_said():
    found = paired_difference(np.ones((5, 500)), np.ones((5, 500)))
    assert "would have been shown" in Judged("a=1", "a=2", found).sentence


def test_too_few_seeds_are_no_verdict():
    assert "too few seeds" in Judged("a=1", "a=2", None).sentence


def test_several_comparisons_are_corrected_and_say_so():
    one = Judged("a=1", "a=0", difference(0.1, 0.05, 0.15))
    assert "Bonferroni" not in overall([one])
    said = overall([one, one])
    assert "97.5 %" in said
    assert "Bonferroni" in said


def test_every_sentence_begins_as_sentences_do_and_names_stay_as_they_are():
    none = Judged("loss=nsl", "loss=rnsl", difference(-0.004, -0.02, 0.012))
    better = Judged("labels=fixed.csv", "labels=noisy.csv", difference(0.1, 0.05, 0.15))
    said = overall([none, better, none])
    assert said.startswith("No difference can be shown between loss=nsl and loss=rnsl (−0.004 mAP")
    assert ". labels=fixed.csv is better" in said
    assert ". No difference" in said
    assert ". no difference" not in said


@pytest.mark.parametrize(
    ("metric", "name"),
    [("map", "mAP"), ("map_at_r", "mAP@R"), ("precision_at_5", "P@5"), ("recall_at_1", "R@1")],
)
def test_figures_have_their_usual_names(metric, name):
    assert metric_name(metric) == name
