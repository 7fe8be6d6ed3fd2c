"""`rsretrieve browse`: what it refuses before it serves."""

from __future__ import annotations

import socket
from importlib import util

import pytest

from rsretrieve.index.store.folder import open_index

HEADER = "tile,given_label,predicted_label,is_label_issue,issue_probability"


def test_a_folder_that_is_no_index_is_refused(run, tmp_path):
    refused = run("browse", tmp_path)
    assert refused.code
    assert "no index" in refused.err


def test_a_missing_package_is_named_with_the_way_out(run, index, monkeypatch):
    real = util.find_spec
    monkeypatch.setattr(util, "find_spec", lambda name: None if name == "uvicorn" else real(name))
    refused = run("browse", index)
    assert refused.code
    assert "uvicorn" in refused.err
    assert "rsretrieve[browse]" in refused.err


@pytest.mark.medium
def test_files_that_are_there_are_not_replaced(run, index, tmp_path):
    mine = tmp_path / "mine.csv"
    mine.write_text("name,age\nx,3\n")
    audit = tmp_path / "audit.csv"
    tile = open_index(index).rows[0].id
    audit.write_text(f"{HEADER}\n{tile},a,b,True,0.9\n")
    for option in ("--answers", "--decided", "--session"):
        refused = run("browse", index, option, mine, "--audit", audit, "--no-open")
        assert refused.code
        assert "mine.csv" in refused.err
    assert run("browse", index, "--answers", index / "manifest.json", "--no-open").code
    assert mine.read_text() == "name,age\nx,3\n"


@pytest.mark.medium
def test_a_port_that_is_taken_is_named(run, index, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        refused = run("browse", index, "--port", port, "--no-open")
    assert refused.code
    assert str(port) in refused.err


def test_umap_without_its_package_is_refused_with_the_extra(run, index, monkeypatch):
    real = util.find_spec
    monkeypatch.setattr(util, "find_spec", lambda name: None if name == "umap" else real(name))
    refused = run("browse", index, "--map", "umap", "--no-open")
    assert refused.code == 1
    assert "rsretrieve[umap]" in refused.err


@pytest.mark.medium
@pytest.mark.parametrize(
    ("given", "code"), [("no such folder", 1), ("https://tiles.example/{z}.png", 2), ("{s}", 2)]
)
def test_a_base_map_that_is_none_is_refused(run, index, given, code):
    refused = run("browse", index, "--base-map", given, "--no-open")
    assert refused.code == code
    assert "--base-map" in refused.err


@pytest.mark.medium
def test_decisions_need_an_audit_of_the_tiles_of_the_index(run, index, tmp_path):
    refused = run("browse", index, "--decided", tmp_path / "decided.csv", "--no-open")
    assert refused.code == 2
    assert "--audit" in refused.err
    audit = tmp_path / "audit.csv"
    audit.write_text(f"{HEADER}\nother.png,a,b,True,0.9\n")
    refused = run("browse", index, "--audit", audit, "--no-open")
    assert refused.code == 1
    assert "audit.csv" in refused.err
