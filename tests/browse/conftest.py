"""An index of small pictures with places, and its app."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow
import pytest
from PIL import Image
from pyarrow import parquet

from rsretrieve.browse.answers import AnswersFile
from rsretrieve.browse.app import KeptFiles
from rsretrieve.browse.index_view import IndexView
from rsretrieve.browse.kind_search import KindSearchFile
from rsretrieve.data.run_context import RunContext
from rsretrieve.errors import ModelNotFound
from rsretrieve.index.build_from_embeddings import index_embeddings
from rsretrieve.index.store.folder import open_index
from rsretrieve.index.write import IndexBuildOptions
from rsretrieve.search.search import SearchContext
from tests.support.vectors import unit_rows

COUNT = 30
TOKEN = "secret-token"


def no_model(_: int) -> object:
    raise ModelNotFound("no model")


@pytest.fixture(scope="session")
def index_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """30 tiles of three classes; the last five have no place, and one no label."""
    folder = tmp_path_factory.mktemp("browse")
    names = [f"tile {number:02}.png" for number in range(COUNT)]
    for number, name in enumerate(names):
        Image.fromarray(np.full((16, 16, 3), 8 * number, np.uint8)).save(folder / name)
    places = [number < COUNT - 5 for number in range(COUNT)]
    table = {
        "id": names,
        "embedding": unit_rows(COUNT, 8, 0).tolist(),
        "path": [str(folder / name) for name in names],
        "label": [None, *(f"class {number % 3}" for number in range(1, COUNT))],
        "longitude": [11 + number / 100 if there else None for number, there in enumerate(places)],
        "latitude": [47 + number / 100 if there else None for number, there in enumerate(places)],
    }
    parquet.write_table(pyarrow.table(table), folder / "tiles.parquet")
    options = IndexBuildOptions(folder / "index", None, None)
    index_embeddings(folder / "tiles.parquet", None, options, RunContext())
    return folder / "index"


@pytest.fixture
def view(index_folder: Path) -> IndexView:
    return IndexView(open_index(index_folder), SearchContext(no_model, RunContext()))


@pytest.fixture
def kept(view: IndexView, tmp_path: Path) -> KeptFiles:
    return KeptFiles(
        AnswersFile(tmp_path / "answers.csv", "answer", view.row_of),
        AnswersFile(tmp_path / "labels.csv", "label", view.row_of),
        KindSearchFile(view.store, tmp_path / "kind.session.json"),
    )
