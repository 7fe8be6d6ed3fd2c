"""A flipped bit in a folder changes no answer without a word; a changed file is named."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from tests.support.indexes.folder_flips import BAD, REFUSED, copied, files_of, trial
from tests.support.indexes.resealed import reseal, unseal


@pytest.fixture(scope="module")
def place(model, index, landscape, tmp_path_factory):
    return copied(model, index, landscape, tmp_path_factory.mktemp("flips"))


@pytest.mark.exhaustive
@pytest.mark.medium
def test_no_flipped_bit_changes_an_answer_without_a_word(place):
    rng = np.random.default_rng(0)
    for path in files_of(place):
        counts = trial(place, path, 2, rng)
        assert counts.total() >= 4, path
        assert not any(counts[kind] for kind in BAD), (path, counts)
        if path.name in ("model.json", "manifest.json"):
            assert counts[REFUSED] == counts.total(), (path, counts)


@pytest.mark.medium
def test_a_missing_or_changed_training_table_ends_an_audit(run, model, landscape, tmp_path):
    copy = tmp_path / "model"
    shutil.copytree(model, copy)
    table = copy / "tiles.parquet"
    content = bytearray(table.read_bytes())
    content[len(content) // 2] ^= 1
    for change in (lambda: table.write_bytes(content), table.unlink):
        change()
        ran = run("audit-labels", landscape, "--model", copy, "--output", tmp_path / "a.csv")
        assert ran.code == 1
        assert str(table) in ran.err
        shown = run("info", copy, "--json")
        assert shown.json["changed_files"] == ["tiles.parquet"]
        assert "changed or missing files: tiles.parquet" in shown.err


def test_info_names_a_card_that_was_edited_and_everything_else_goes_on(run, model, tmp_path):
    copy = tmp_path / "model"
    shutil.copytree(model, copy)
    assert run("info", copy, "--json").json["changed_files"] == []
    (copy / "README.md").write_text("mine")
    shown = run("info", copy, "--json")
    assert (shown.code, shown.json["changed_files"]) == (0, ["README.md"])


@pytest.mark.medium
def test_a_model_of_an_earlier_version_is_used_with_a_notice(run, model, landscape, tmp_path):
    copy, output = tmp_path / "model", tmp_path / "a.csv"
    shutil.copytree(model, copy)
    unseal(copy / "model.json")
    ran = run("audit-labels", landscape, "--model", copy, "--output", output)
    assert ran.code == 0, ran.err
    assert ran.err.count(f"tiles.parquet and model.json of {copy} have no checksum") == 1
    whole = run("audit-labels", landscape, "--model", model, "--output", tmp_path / "b.csv")
    assert "no checksum" not in whole.err
    assert output.read_text() == (tmp_path / "b.csv").read_text()


def test_a_model_json_edited_by_hand_is_refused(run, model, tmp_path):
    copy = tmp_path / "model"
    shutil.copytree(model, copy)
    path = copy / "model.json"
    path.write_text(path.read_text().replace('"epochs": 12', '"epochs": 13'))
    ran = run("info", copy)
    assert ran.code == 1
    assert "its digest differs" in ran.err
    reseal(path)
    assert run("info", copy).code == 0
