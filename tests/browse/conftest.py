"""An index of small pictures with places, an audit of its labels, and its app."""

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
from rsretrieve.browse.review.decided_file import DecidedFile
from rsretrieve.browse.review.label_review import Review
from rsretrieve.browse.review.saved_audit import SavedAudit
from rsretrieve.data.run_context import RunContext
from rsretrieve.errors import ModelNotFound
from rsretrieve.index.build_from_embeddings import index_embeddings
from rsretrieve.index.store.folder import open_index
from rsretrieve.index.write import IndexBuildOptions
from rsretrieve.search.search import SearchContext
from tests.support.indexes.vectors import unit_rows

COUNT = 30
TOKEN = "secret-token"


AUDIT_HEADER = (
    "tile,given_label,predicted_label,is_label_issue,kind,runner_up_label,twin,"
    "issue_probability,neighbour_share,predicted_probability"
)


def audit_text() -> str:
    """An audit of tiles 01 to 29: nine wrong labels, an off-topic tile, and a near-duplicate.

    The labels of tiles 01 to 09 are wrong, tile 01's most probably; tile 10 is off-topic; tile 11
    has nearly the same content as tile 12. The last tile is none of the index.
    """
    lines = [AUDIT_HEADER]
    for number in range(1, COUNT):
        given, other, third = (f"class {(number + step) % 3}" for step in range(3))
        wrong = 0.99 - number / 100 if number < 10 else 0.05
        kind = "wrong_label" if number < 10 else {10: "off_topic", 11: "duplicate"}.get(number, "")
        twin = "tile 12.png" if number == 11 else ""
        names = (other, True, kind, given if number % 2 else third)
        if number >= 10:
            names = (given, False, kind, other)
        lines.append(
            f"tile {number:02}.png,{given},{names[0]},{names[1]},{names[2]},{names[3]},{twin},"
            f"{wrong:.3f},0.5,{wrong - 0.05 if number < 10 else 0.9:.3f}"
        )
    lines.append("elsewhere.png,class 1,class 2,True,wrong_label,class 0,,0.9,0.5,0.9")
    return "\n".join(lines) + "\n"


def no_model(_: int) -> object:
    raise ModelNotFound("no model")


@pytest.fixture(scope="session")
def index_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """30 tiles of three classes; the last five have no place, and one no label.

    Tile n has the grey level 8 n; the first has 1, because 0 means no data.
    """
    folder = tmp_path_factory.mktemp("browse")
    names = [f"tile {number:02}.png" for number in range(COUNT)]
    for number, name in enumerate(names):
        Image.fromarray(np.full((16, 16, 3), max(1, 8 * number), np.uint8)).save(folder / name)
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
def audit_file(tmp_path: Path) -> Path:
    path = tmp_path / "audit.csv"
    path.write_text(audit_text())
    return path


@pytest.fixture
def review(view: IndexView, audit_file: Path, tmp_path: Path) -> Review:
    saved = SavedAudit.read(audit_file, view.store, view.row_of)
    return Review(view, saved, DecidedFile(tmp_path / "decisions.csv"))


@pytest.fixture
def kept(view: IndexView, tmp_path: Path) -> KeptFiles:
    return KeptFiles(
        AnswersFile(tmp_path / "answers.csv", "answer", view.row_of),
        KindSearchFile(view.store, tmp_path / "kind.session.json"),
    )
