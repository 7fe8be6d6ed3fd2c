"""`rsretrieve browse`: what it refuses before it serves."""

from __future__ import annotations

import socket
from importlib import util

import pytest


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
    for option in ("--answers", "--decided", "--session"):
        refused = run("browse", index, option, mine, "--no-open")
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
