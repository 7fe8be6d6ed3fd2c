"""Names of choices, and which of them are compared."""

from __future__ import annotations

import itertools

import pytest

from rsretrieve.api.comparing.grid_choices import text_of_value, vary_words
from rsretrieve.cli.commands.comparing.compared_options import parsed_vary
from rsretrieve.comparison.choice import TrainingChoice, contrasts_of, named, named_apart, slug_of
from rsretrieve.errors import InvalidArgument
from rsretrieve.training.recipe import ROBUST


def choices(**vary):
    return [
        TrainingChoice(tuple(zip(vary, values)), ROBUST, "none")
        for values in itertools.product(*vary.values())
    ]


def pairs(found, chosen):
    return [(chosen[c.baseline].name, chosen[c.choice].name) for c in found]


def test_the_values_of_the_first_name_are_compared_all_others_being_equal():
    chosen = choices(loss=("nsl", "rnsl"), noise=("uniform:0.1", "uniform:0.3"))
    assert pairs(contrasts_of(chosen), chosen) == [
        ("loss=nsl, noise=uniform:0.1", "loss=rnsl, noise=uniform:0.1"),
        ("loss=nsl, noise=uniform:0.3", "loss=rnsl, noise=uniform:0.3"),
    ]


def test_the_baseline_can_be_another_value():
    chosen = choices(loss=("nsl", "rnsl", "t-rnsl"))
    found = pairs(contrasts_of(chosen, "rnsl"), chosen)
    assert found == [("loss=rnsl", "loss=nsl"), ("loss=rnsl", "loss=t-rnsl")]


def test_a_baseline_that_is_not_there_and_a_single_value_are_refused():
    with pytest.raises(InvalidArgument, match="none of the values of loss"):
        contrasts_of(choices(loss=("nsl", "rnsl")), "softmax")
    with pytest.raises(InvalidArgument, match="nothing to compare"):
        contrasts_of(choices(loss=("nsl",), epochs=("1", "2")))


def test_names_are_short_and_slugs_are_different():
    assert named([("labels", "/data/made/noisy.csv")]) == "labels=noisy.csv"
    one, other = (slug_of([("labels", f"{folder}/noisy.csv")]) for folder in "ab")
    assert one != other
    long = slug_of([("noise", f"table:{'x' * 300}.csv:0.3")])
    assert len(long) < 80
    assert not {*long} & {*"/\\: "}


def test_the_config_of_a_cell_has_every_option_that_is_not_the_default():
    choice = TrainingChoice((("epochs", "3"),), ROBUST.changed(epochs=3), "none", bands=(3, "B2"))
    config = choice.config({"tiles": ["t"], "labels": None, "seed": 4})
    assert (config["epochs"], config["seed"], config["bands"]) == (3, 4, "3,B2")
    assert config["freeze-backbone"] is None


@pytest.mark.parametrize("option", ["labels", "weights", "val"])
def test_files_of_one_name_are_told_apart_by_the_shortest_ends(option):
    values = ("run1/fixed.csv", "/a/run2/fixed.csv", "fixed.csv", "run1/other.csv")
    shown = [one.name for one in named_apart(choices(**{option: values}))]
    assert shown == [
        *(f"{option}=run1/fixed.csv", f"{option}=run2/fixed.csv", f"{option}=fixed.csv"),
        f"{option}=other.csv",
    ]
    same = [one.name for one in named_apart(choices(**{option: ("a.csv", "./a.csv")}))]
    assert same == [f"{option}=a.csv", f"{option}=./a.csv"]


@pytest.mark.parametrize(
    "vary",
    [
        {"validation": ["a.csv", "b.csv"]},
        {"bands": [[3, 2, 1]], "loss": ["nsl", "rnsl"]},
        {"bands": [[3, 2, 1], [4]], "batch_size": [8, "auto"]},
        {"freeze_backbone": [True, False], "normalise_by": ["weights", "tiles"]},
        {"learning_rate": [0.1, 1e-5], "noise": ["none", "uniform:0.3"]},
    ],
)
def test_the_command_repeats_what_python_varies(vary):
    words = vary_words(vary)
    assert words is not None
    one, other = (
        {name: [text_of_value(value) for value in values] for name, values in side.items()}
        for side in (parsed_vary(words), vary)
    )
    assert one == other


def test_values_that_no_command_can_hold_are_told():
    assert vary_words({"validation": [["a.csv", "b.csv"], "c.csv"]}) is None
    assert vary_words({"validation": [object()]}) is None
    assert vary_words({"labels": ["a;b.csv", "c.csv"]}) is None
