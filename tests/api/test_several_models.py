"""Audits by several models, against other lists, and with a seed: the same as the command's."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow
import pytest

import rsretrieve
from tests.api.conftest import SMALL
from tests.conftest import run_here


@pytest.fixture(scope="module")
def other_model(made: Path, landscape: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of the same classes with another seed, size and number of dimensions."""
    folder = tmp_path_factory.mktemp("other") / "model"
    changed = {**SMALL, "size": 40, "dimensions": 8, "epochs": 1}
    rsretrieve.train(str(landscape), folder, seed=5, **changed)
    return folder


@pytest.mark.medium
def test_several_models_are_averaged_as_the_command_averages_them(
    workplace: Path, other_model: Path
) -> None:
    mine = rsretrieve.load_model("models/mine", device="cpu")
    said_too: list[object] = []  # of such models, the noise rate cannot be determined
    few = {"device": "cpu", "budget": 5, "progress": said_too.append}
    both = rsretrieve.audit_labels("tiles", [mine, other_model], **few)
    models = ("--model", "models/mine", "--model", str(other_model), "--budget", "5")
    output = ("--output", "audit.csv", "--page", "page.html", "--device", "cpu", "--json")
    said = run_here("audit-labels", "tiles", *models, *output)
    assert said.code == 0, said.err
    assert said.json["models"] == ["models/mine", str(other_model)]
    assert both.noise_interval == pytest.approx(said.json["noise_interval"], abs=1e-6)
    both.to_csv("ours.csv")
    assert Path("ours.csv").read_text() == Path("audit.csv").read_text()
    both.to_html("ours.html")
    for name in ("page.html", "ours.html"):
        text = Path(name).read_text(encoding="utf-8")
        assert f"models/mine and {other_model}" in text
    # The cosine to a prototype is the mean of those by each model.
    alone = [rsretrieve.audit_labels("tiles", each, **few).table for each in (mine, other_model)]
    one, other = (dict(zip(*columns(table))) for table in alone)
    for tile, similarity in zip(*columns(both.table)):
        assert similarity == pytest.approx((one[tile] + other[tile]) / 2, abs=1e-4)


def columns(table: pyarrow.Table) -> Iterator[list[Any]]:
    return (table.column(name).to_pylist() for name in ("tile", "own_similarity"))


@pytest.mark.medium
def test_models_of_other_classes_are_refused_before_a_tile_is_read(
    workplace: Path, other_model: Path
) -> None:
    first = rsretrieve.open_tiles("tiles").class_names[:3]
    some = [tile.id for tile in rsretrieve.open_tiles("tiles") if tile.label in first]
    Path("some.csv").write_text(
        "tile,path,label\n" + "".join(f"{t},tiles/{t},{t.split('/')[0]}\n" for t in some)
    )
    rsretrieve.train("some.csv", "models/some", **{**SMALL, "epochs": 1})
    with pytest.raises(rsretrieve.RsretrieveError, match="same classes"):
        rsretrieve.audit_labels("tiles", ["models/mine", "models/some"])
    for second, words in (("models/some", "only models/mine knows"), ("models/mine", "twice")):
        ran = run_here("audit-labels", "tiles", "--model", "models/mine", "--model", second)
        assert ran.code == 1
        assert words in ran.err
    with pytest.raises(rsretrieve.RsretrieveError, match="empty"):
        rsretrieve.audit_labels("tiles", [])


@pytest.mark.medium
def test_tiles_are_compared_with_other_lists(workplace: Path, landscape: Path) -> None:
    # Links to another folder would be allowed one by one, by new processes in every step.
    Path("tiles").unlink()
    shutil.copytree(landscape, "tiles", copy_function=os.link)
    tiles = rsretrieve.open_tiles("tiles")
    ids = [tile.id for tile in tiles]
    for name, chosen in (("train", ids[::2]), ("test", [*ids[1:20:2], ids[0]])):
        rows = "".join(f"{t},tiles/{t},{t.split('/')[0]}\n" for t in chosen)
        Path(f"{name}.csv").write_text("tile,path,label\n" + rows)
    said: list[object] = []  # 72 tiles are too few for calibrated probabilities
    few = {"budget": 3, "progress": said.append}
    found = rsretrieve.audit_labels("train.csv", "models/mine", against="test.csv", **few)
    assert found.leaks is not None
    ran = run_here(
        *("audit-labels", "train.csv", "--model", "models/mine", "--against", "test.csv"),
        *("--leaks", "leaks.csv", "--json", "--budget", "3"),
    )
    assert found.leaks.summary == ran.json["leaks"]
    assert {leak.tile for leak in found.leaks} >= {ids[0]}
    named = rsretrieve.audit_labels(
        "train.csv", "models/mine", against={"the test": "test.csv"}, **few
    )
    assert named.leaks is not None
    assert {leak.other_list for leak in named.leaks} == {"the test"}
    assert rsretrieve.audit_labels("train.csv", "models/mine", **few).leaks is None
    for spelling in ("train.csv", "./train.csv", Path("train.csv").absolute()):
        with pytest.raises(rsretrieve.RsretrieveError, match="audited tiles"):
            rsretrieve.audit_labels("train.csv", "models/mine", against=spelling)


def test_the_seed_changes_the_folds_and_the_same_seed_nothing(workplace: Path) -> None:
    def scores(seed: int) -> list[float]:
        said: list[object] = []
        audit = rsretrieve.audit_labels(
            "tiles", "models/mine", seed=seed, budget=3, progress=said.append
        )
        found: list[float] = audit.table.sort_by("tile").column("label_score").to_pylist()
        return found

    assert scores(0) == scores(0) != scores(1)
    for seed in ("0", "1"):
        options = ("--model", "models/mine", "--seed", seed, "--output", f"{seed}.csv")
        run_here("audit-labels", "tiles", *options)
    assert Path("0.csv").read_text() != Path("1.csv").read_text()
