"""Wrong types and values are errors of ours, which say what was given and what is expected."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch

import rsretrieve
from rsretrieve.api.arguments.checks import numbers, path_of, texts, whole
from rsretrieve.errors import (
    IndexNotFound,
    InputError,
    InvalidArgument,
    LabelsError,
    ModelNotFound,
    OutputExists,
    OutputRefused,
    TilesNotFound,
    WeightsError,
)
from tests.api.conftest import MAY_BE_UNSURE

WRONG = {  # the function, its arguments, what the message says
    "tiles of a number": ("open_tiles", (7,), {}, "path.*7.*int"),
    "tiles of bytes": ("open_tiles", (b"tiles",), {}, "bytes"),
    "tiles of nothing": ("open_tiles", ("",), {}, "path"),
    "a path with NUL": ("open_tiles", ("a\0b",), {}, "path"),
    "a list of numbers": ("open_tiles", (["tiles", 3],), {}, "3"),
    "an empty list": ("open_tiles", ([],), {}, "tiles"),
    "a window in words": ("open_tiles", ("scene.tif",), {"window": "big"}, "window.*whole number"),
    "a window of half": ("open_tiles", ("scene.tif",), {"window": 0.5}, "window.*0.5"),
    "a window of True": ("open_tiles", ("scene.tif",), {"window": True}, "window.*True"),
    "stride alone": ("open_tiles", ("tiles",), {"stride": 8}, "need a window"),
    "edges": ("open_tiles", ("scene.tif",), {"window": 32, "edges": "cut"}, "'drop', 'pad'"),
    "trust": ("open_tiles", ("tiles",), {"trust_sources": "yes"}, "trust_sources.*True or False"),
    "labels": ("open_tiles", ("tiles",), {"labels": 3}, "mapping of tile ids"),
    "labels of numbers": ("open_tiles", ("tiles",), {"labels": {"a": 3}}, "texts"),
    "strict": ("open_tiles", ("tiles",), {"strict": 1}, "strict"),
    "progress": ("open_tiles", ("tiles",), {"progress": True}, "progress.*function"),
    "recipe": ("train", ("tiles", "new"), {"recipe": "magic"}, "'robust', 'paper'"),
    "an option": ("train", ("tiles", "new"), {"epoch": 3}, "epoch"),
    "epochs in words": ("train", ("tiles", "new"), {"epochs": "many"}, "epochs.*whole"),
    "epochs below 0": ("train", ("tiles", "new"), {"epochs": -1}, "epochs.*at least 0"),
    "normalisation": (
        "train",
        ("tiles", "new"),
        {"normalise_by": "all"},
        "'weights', 'tiles', 'reflectance'",
    ),
    "a frozen backbone": ("train", ("tiles", "new"), {"freeze_backbone": 1}, "freeze_backbone"),
    "a model of timm": ("train", ("tiles", "new"), {"backbone": "timm/resnet19"}, "such backbone"),
    "a learning rate": ("train", ("tiles", "new"), {"learning_rate": np.nan}, "learning_rate"),
    "q": ("train", ("tiles", "new"), {"q": 2}, "q ≤ 1"),
    "loss": ("train", ("tiles", "new"), {"loss": "l2"}, "t-rnsl"),
    "bands in words": ("train", ("tiles", "new"), {"bands": "1,2"}, "band numbers"),
    "band 0": ("train", ("tiles", "new"), {"bands": [0]}, "band.*at least 1"),
    "a backbone": ("train", ("tiles", "new"), {"backbone": "no_net", "weights": "none"}, "no_net"),
    "a negative seed": ("train", ("tiles", "new"), {"seed": -1}, "seed"),
    "a seed beyond": ("train", ("tiles", "new"), {"seed": 1 << 70}, "seed"),
    "an output": ("train", ("tiles", None), {}, "output.*path"),
    "a device": ("load_model", ("models/mine",), {"device": "quantum"}, "quantum"),
    "a device of a number": ("load_model", ("models/mine",), {"device": 0}, "device.*text"),
    "a model of a number": ("build_index", ("tiles", 3, "new"), {}, "model.*3"),
    "weights and a model": (
        "build_index",
        ("tiles", "models/mine", "new"),
        {"weights": "imagenet"},
        "weights.*a model",
    ),
    "weights and an update": (
        "build_index",
        ("tiles", None, "index"),
        {"backbone": "resnet18", "update": True},
        "an update",
    ),
    "weights of a number": ("build_index", ("tiles", None, "new"), {"weights": 3}, "weights"),
    "a backbone of a number": ("build_index", ("tiles", None, "new"), {"backbone": 3}, "backbone"),
    "an unknown backbone": ("audit_labels", ("tiles",), {"backbone": "resnot18"}, "resnot18"),
    "recall": ("build_index", ("tiles", "models/mine", "new"), {"recall": 2}, "recall.*2"),
    "memory": ("build_index", ("tiles", "models/mine", "new"), {"memory": "much"}, "2GB"),
    "an index key": ("build_index", ("tiles", "models/mine", "new"), {"index": 3}, "index.*text"),
    "an index of a list": ("open_index", (["index"],), {}, "list"),
    "a model and embeddings": (
        "audit_labels",
        ("tiles", "models/mine"),
        {"embeddings": "e.npy"},
        "either a model or embeddings",
    ),
    "weights to audit with and a model": (
        "audit_labels",
        ("tiles", "models/mine"),
        {"weights": "imagenet"},
        "do not go together",
    ),
    "no tiles": ("audit_labels", (None, "models/mine"), {}, "tiles are missing"),
    "a budget": ("audit_labels", ("tiles", "models/mine"), {"budget": 0}, "budget"),
    "two choices": (
        "audit_labels",
        ("tiles", "models/mine"),
        {"budget": 3, "expected_precision": 0.5},
        "budget",
    ),
    "one fold": ("audit_labels", ("tiles", "models/mine"), {"cross_fit": 1}, "cross_fit"),
    "a model without queries": ("evaluate", ("index",), {"model": "models/mine"}, "queries"),
    "a folder for rows": (
        "build_index_from_embeddings",
        ("vectors.npy", "new"),
        {"tiles": "tiles"},
        "no order",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_argument_is_an_error_of_ours(case, workplace):
    name, arguments, options, message = WRONG[case]
    with pytest.raises(InvalidArgument, match=message) as caught:
        getattr(rsretrieve, name)(*arguments, **options)
    assert len(str(caught.value)) < 250
    assert sorted(os.listdir(workplace)) == ["index", "models", "scene.tif", "tiles"]


@pytest.mark.parametrize("given", ["none", "models/mine"])
def test_models_and_none_are_no_weights_without_training(given, workplace):
    with pytest.raises(WeightsError, match=given):
        rsretrieve.audit_labels("tiles", weights=given)


ABSENT = {
    "tiles": ("open_tiles", ("nowhere",), TilesNotFound),
    "a model": ("load_model", ("nowhere",), ModelNotFound),
    "an index": ("open_index", ("nowhere",), IndexNotFound),
    "an index to measure": ("evaluate", ("nowhere",), IndexNotFound),
    "a model to build with": ("build_index", ("tiles", "nowhere", "new"), ModelNotFound),
    "a model to audit with": ("audit_labels", ("tiles", "nowhere"), ModelNotFound),
}


@pytest.mark.parametrize("case", ABSENT)
def test_what_is_missing_is_also_a_file_not_found(case, workplace):
    name, arguments, error = ABSENT[case]
    with pytest.raises(error, match="nowhere") as caught:
        getattr(rsretrieve, name)(*arguments)
    assert isinstance(caught.value, FileNotFoundError)
    assert len(getattr(caught.value, "__notes__", [])) <= 1


QUERIES = {
    "nothing": (None, InvalidArgument, "NoneType"),
    "words that name nothing": ("no/such.tif", InputError, "neither a tile"),
    "a path that is not there": (Path("no/such.tif"), InputError, "no file"),
    "a vector of other dimensions": (np.ones(5), InvalidArgument, "16 dimensions"),
    "two vectors": (np.ones((2, 16)), InvalidArgument, "16"),
    "zeros": (np.zeros(16), InvalidArgument, "not zero"),
    "not a number": (np.full(16, np.nan), InvalidArgument, "finite"),
    "too large a number": (np.full(16, 1e200), InvalidArgument, "finite"),
    "words": (["a", "b", "c"], InvalidArgument, "vector"),
    "a tensor with gradients": (torch.ones(16, requires_grad=True), InvalidArgument, "vector"),
    "no point on Earth": ((500, 0), InvalidArgument, "degrees"),
    "a point without a number": ((float("nan"), 0), InvalidArgument, "2 numbers"),
    "the wrong ocean": ((0.0, 0.0), InputError, "no tile"),
}


@pytest.mark.parametrize("case", QUERIES)
def test_a_query_that_makes_no_sense_says_what_a_query_is(case, workplace):
    query, error, message = QUERIES[case]
    with pytest.raises(error, match=message):
        rsretrieve.open_index("index").search(query)


FILTERS = {
    "k": ({"k": 0}, InvalidArgument, "k"),
    "k of a text": ({"k": "ten"}, InvalidArgument, "k"),
    "labels": ({"labels": 3}, InvalidArgument, "labels"),
    "a label that no tile has": ({"labels": "sea"}, LabelsError, "sea"),
    "bbox": ({"bbox": (1, 2, 3)}, InvalidArgument, "bbox.*4 numbers"),
    "bbox in words": ({"bbox": "1234"}, InvalidArgument, "bbox"),
    "within": ({"within": 3}, InvalidArgument, "within"),
    "min_similarity": ({"min_similarity": 2}, InvalidArgument, "similarity"),
    "exclude_self": ({"exclude_self": "no"}, InvalidArgument, "exclude_self"),
}


@pytest.mark.parametrize("case", FILTERS)
def test_a_filter_that_makes_no_sense_is_refused(case, workplace):
    options, error, message = FILTERS[case]
    with pytest.raises(error, match=message):
        rsretrieve.open_index("index").search("beach/beach_1_7.tif", **options)


def test_a_misspelt_option_names_the_nearest(workplace):
    with pytest.raises(InvalidArgument) as caught:
        rsretrieve.train("tiles", "new", learning_rat=0.1)
    assert "learning_rate" in caught.value.hint
    assert caught.value.__notes__ == [f"hint: {caught.value.hint}"]


def test_numbers_of_numpy_are_numbers():
    assert whole(np.int64(3), "n") == 3
    assert numbers(np.array([1, 2], np.float32), "n", 2) == (1.0, 2.0)
    assert texts(["a", "b"], "n") == ("a", "b")
    assert path_of(Path("a"), "p") == Path("a")


def test_nothing_is_replaced_unless_it_is_asked_for(workplace):
    with pytest.raises(OutputExists) as caught:
        rsretrieve.build_index("tiles", "models/mine", "index")
    assert "overwrite=True" in caught.value.__notes__[0]
    assert "--" not in caught.value.__notes__[0]
    with pytest.raises(OutputExists):
        rsretrieve.train("tiles", "models/mine", weights="none")
    (workplace / "own").mkdir()
    (workplace / "own" / "thesis.txt").write_text("mine")
    with pytest.raises(OutputExists, match="did not write"):
        rsretrieve.train("tiles", "own", weights="none", overwrite=True)


@pytest.mark.medium
@MAY_BE_UNSURE
def test_no_input_is_ever_replaced(workplace):
    with pytest.raises(OutputRefused, match="is also the input tiles"):
        rsretrieve.build_index("tiles", "models/mine", "tiles", overwrite=True)
    hits = rsretrieve.open_index("index").search("beach/beach_1_7.tif")
    with pytest.raises(OutputRefused, match="is the tile"):
        hits.to_sheet(hits[0].path, overwrite=True)
    audit = rsretrieve.audit_labels("tiles", rsretrieve.load_model("models/mine"))
    for path in ("models/mine/page.html", "index/page.html"):
        with pytest.raises(OutputRefused, match="folder"):
            audit.to_html(path)
    with pytest.raises(OutputRefused, match="is the tile"):
        audit.fixed_labels(hits[0].path, overwrite=True)
    audit.to_csv("audit.csv")
    with pytest.raises(OutputExists):
        audit.to_csv("audit.csv")
