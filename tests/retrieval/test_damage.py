"""A byte changed anywhere in any file of an index is told, and never gives a wrong hit."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from rsretrieve.errors import IndexStoreError
from rsretrieve.retrieval import ranking
from rsretrieve.retrieval.index_store import open_index
from rsretrieve.retrieval.manifest import DATA_FILES, MANIFEST_FILE
from rsretrieve.retrieval.questions import QueryRequest
from rsretrieve.retrieval.search import Means, QueryResult, answer
from rsretrieve.retrieval.verifying import verify_index
from rsretrieve.tiles.failures import FailureLog
from tests.retrieval.planet import make_planet

PLACES = 200
TILES = ("scenes/0.tif#5,0,8,8", "scenes/30.tif#19,0,8,8")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("damage") / "index"
    make_planet(path, "IVF16,Flat")
    return path


def no_model(*_: object) -> None:
    """Verification does without: every byte is vouched for by checksums."""


def found(folder: Path) -> list[QueryResult]:
    request = QueryRequest(tiles=TILES, k=12)
    return answer(open_index(folder), request, Means(no_model, FailureLog()))  # type: ignore[arg-type]


def told(folder: Path) -> list[QueryResult] | str:
    """The hits, or what is said instead."""
    try:
        return found(folder)
    except IndexStoreError as error:
        return str(error)


def damaged_at(path: Path, rng: np.random.Generator) -> Iterator[int]:
    """Change one byte, at one random place after the other, and mend it again."""
    whole = path.read_bytes()
    for place in rng.choice(len(whole), min(PLACES, len(whole)), replace=False).tolist():
        content = bytearray(whole)
        content[place] ^= int(rng.integers(1, 256))
        path.write_bytes(content)
        yield place
    path.write_bytes(whole)


@pytest.mark.parametrize("by_index", [True, False])
@pytest.mark.parametrize("name", [MANIFEST_FILE, *DATA_FILES])
def test_a_changed_byte_is_told_and_gives_no_wrong_hit(
    folder: Path, name: str, by_index: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if by_index:  # or such few tiles are looked at without it
        monkeypatch.setattr(ranking, "_FEW_NUMBERS", 0)
    expected, refused = found(folder), 0
    for place in damaged_at(folder / name, np.random.default_rng(3)):
        verified = verify_index(folder, no_model)
        assert not verified.sound, place
        assert str(folder / name) in verified.problems[0], place
        assert f"`rsretrieve index --repair --output {folder}`" in verified.hint
        answered = told(folder)
        assert answered == expected or name in answered, place
        refused += answered != expected
    read = by_index or name != "index.faiss"
    assert refused == (PLACES if read else 0)
    assert verify_index(folder, no_model).sound
