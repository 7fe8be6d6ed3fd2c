"""The file name `-`: standard output in the program, a plain name elsewhere."""

from __future__ import annotations

import sys
from io import BytesIO, StringIO, TextIOWrapper
from pathlib import Path

import pytest

from rsretrieve._core.atomic_write import write_text
from rsretrieve._core.standard_output import files_on, is_standard_output, make_streams_usable
from rsretrieve._core.tables import write_csv


def test_a_file_named_so_goes_to_the_stream(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with StringIO() as stream, files_on(stream):
        write_csv(Path("-"), ("tile",), [("é",)], overwrite=False)
        assert stream.getvalue() == "tile\né\n"
    assert not list(tmp_path.iterdir())


def test_bytes_go_to_the_buffer_below_a_stream(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    below = BytesIO()
    stream = TextIOWrapper(below)
    with files_on(stream):
        write_text(Path("-"), "é", overwrite=False)
    assert below.getvalue() == "é".encode()
    stream.detach()


def test_nothing_is_written_after_an_error():
    def failing():
        yield ("a",)
        raise RuntimeError

    with StringIO() as stream, files_on(stream):
        with pytest.raises(RuntimeError):
            write_csv(Path("-"), ("tile",), failing(), overwrite=False)
        assert stream.getvalue() == ""


def test_in_python_it_is_a_name_like_any_other(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert not is_standard_output(Path("-"))
    write_text(Path("-"), "a", overwrite=False)
    assert (tmp_path / "-").read_text() == "a"


def test_characters_that_a_stream_lacks_are_similar_ones_or_escapes(monkeypatch):
    below = BytesIO()
    monkeypatch.setattr("sys.stdout", TextIOWrapper(below, encoding="latin-1"))
    monkeypatch.setattr("sys.stderr", None)
    make_streams_usable()
    sys.stdout.write("ö 1–2 −3 … →")
    sys.stdout.flush()
    sys.stderr.write("→")
    sys.stderr.close()
    assert below.getvalue().decode("latin-1") == "ö 1-2 -3 ... \\u2192"


def test_a_unicode_stream_stays_as_it_is(monkeypatch):
    below = BytesIO()
    monkeypatch.setattr("sys.stdout", TextIOWrapper(below, encoding="utf-8"))
    make_streams_usable()
    sys.stdout.write("–→")
    sys.stdout.flush()
    assert below.getvalue().decode("utf-8") == "–→"
