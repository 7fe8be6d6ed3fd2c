"""What `rsretrieve.train` stores so that the command repeats it, and what it refuses early."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

import rsretrieve
from rsretrieve.errors import InvalidArgument, OutputExists

QUICK = {"backbone": "squeezenet1_1", "weights": "none", "size": 32, "dimensions": 8}


@pytest.mark.medium
@pytest.mark.filterwarnings("ignore:.* validation tiles are training tiles")
def test_paths_of_validation_tiles_are_stored_and_objects_are_named(
    landscape: Path, tmp_path: Path
) -> None:
    paths = [str(landscape)]
    tiles = rsretrieve.open_tiles(landscape)
    stored = {}
    for name, validation in (("paths", paths), ("objects", tiles), ("none", None)):
        folder = tmp_path / name
        rsretrieve.train(landscape, folder, validation=validation, epochs=0, **QUICK)
        stored[name] = (folder / "config.toml").read_text(encoding="utf-8")
    assert tomllib.loads(stored["paths"])["train"]["val"] == paths
    assert "val" not in tomllib.loads(stored["objects"])["train"]
    assert "# val is missing" in stored["objects"]
    assert "is missing" not in stored["paths"] + stored["none"]


def test_events_never_go_into_the_output_or_a_model(landscape: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match="log_dir and output"):
        rsretrieve.train(landscape, tmp_path / "runs" / "a", log_dir=tmp_path / "runs", **QUICK)
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(OutputExists, match="not a folder"):
        rsretrieve.train(landscape, tmp_path / "a", log_dir=file, **QUICK)


def test_an_embedding_has_no_more_dimensions_than_a_model_may_have(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match="at most 65,536 dimensions"):
        rsretrieve.train(tmp_path, tmp_path / "a", **QUICK | {"dimensions": 10**12})
