"""What the page asks, and what it is answered."""

from __future__ import annotations

import csv
import io
import shutil
from pathlib import Path
from urllib.parse import urlencode

import numpy as np
import pytest
from PIL import Image

from rsretrieve.browse.answers import AnswersFile
from rsretrieve.browse.app import KeptFiles, make_app
from rsretrieve.browse.index_view import IndexView
from rsretrieve.browse.kind_search import KindSearchFile
from rsretrieve.data.failures import Failure
from rsretrieve.data.tile import Tile, TileSet
from rsretrieve.errors import TileError
from rsretrieve.index.embed_tiles import no_usable_tiles
from rsretrieve.index.store.folder import open_index
from tests.browse.conftest import COUNT, TOKEN
from tests.browse.requests import asked, posted


@pytest.fixture
def app(view, kept):
    return make_app(view, kept, TOKEN)


def test_facts_and_points_describe_every_tile(app, view):
    facts = asked(app, f"/{TOKEN}/facts").json
    assert (facts["tiles"], facts["placed"]) == (COUNT, COUNT - 5)
    assert facts["labels"] == ["class 0", "class 1", "class 2"]
    points = np.frombuffer(asked(app, f"/{TOKEN}/points").body, np.float32)
    points = points.reshape(COUNT, len(facts["columns"]))
    assert np.allclose(points[:25, 0], 11 + np.arange(25) / 100, atol=1e-4)
    assert np.isnan(points[25:, :2]).all()
    assert points[:4, 4].tolist() == [-1, 1, 2, 0]


def test_a_search_is_the_plain_ranking(app, view):
    found = posted(app, f"/{TOKEN}/search", {"likes": [3, 4], "unlikes": [9], "k": 7}).json
    vectors = np.asarray(view.store.vectors, np.float64)
    query = vectors[[3, 4]].mean(axis=0) - 0.5 * vectors[9]
    expected = np.argsort(-vectors @ query)[:7]
    assert [hit["row"] for hit in found] == expected.tolist()
    similarities = vectors[expected] @ query / np.linalg.norm(query)
    assert np.allclose([hit["similarity"] for hit in found], similarities, atol=1e-3)


def test_a_search_keeps_to_labels_and_a_box(app):
    wanted = {"likes": [3], "labels": ["class 1"], "bbox": [11.0, 47.0, 11.1, 47.1]}
    rows = {hit["row"] for hit in posted(app, f"/{TOKEN}/search", wanted).json}
    assert rows == {1, 4, 7, 10}


def test_a_place_finds_the_tile_there(app):
    found = posted(app, f"/{TOKEN}/search", {"point": [11.05, 47.05], "k": 3})
    assert found.status == 200, found.body
    assert found.json[0]["row"] == 5


@pytest.mark.parametrize(
    "wanted",
    [
        {},
        {"likes": [COUNT]},
        {"likes": [-1]},
        {"likes": [True]},
        {"likes": "3"},
        {"likes": [3], "k": 0},
        {"likes": [3], "k": 10**9},
        {"likes": [3], "k": float("inf")},
        {"likes": [3], "k": float("nan")},
        {"likes": [3], "bbox": [10**400, 0, 1, 1]},
        {"point": [10**400, 0]},
        {"point": [float("inf"), 0]},
        {"likes": [3], "bbox": [1, 2]},
        {"likes": [3], "bbox": [0, 50, 1, 40]},
        {"likes": [3], "labels": ["no such label"]},
        {"likes": [3], "unlikes": [3] * 20_000},
        {"point": [1]},
        {"point": [500, 0]},
        [],
    ],
)
def test_what_cannot_be_searched_is_said(app, wanted):
    answer = posted(app, f"/{TOKEN}/search", wanted)
    assert answer.status == 400
    assert answer.json["error"]


def test_a_picture_is_the_tile(app):
    answer = asked(app, f"/{TOKEN}/picture/9/96")
    picture = np.asarray(Image.open(io.BytesIO(answer.body)).convert("RGB"))
    assert picture.shape == (96, 96, 3)
    assert np.abs(picture.astype(int) - 72).max() <= 4


def test_a_tile_that_is_gone_is_said(app, monkeypatch, tmp_path):
    monkeypatch.setattr(IndexView, "picture", raising_gone)
    answer = asked(app, f"/{TOKEN}/picture/9/96")
    assert answer.status == 404
    assert b"gone" in answer.body


def raising_gone(*_):
    raise TileError("tile 09.png", "it is gone")


def test_answers_are_kept_after_every_one(app, kept):
    assert posted(app, f"/{TOKEN}/answers", {"3": "yes", "4": "no"}).json["kept"] == 2
    posted(app, f"/{TOKEN}/answers", {"3": ""})
    rows = list(csv.DictReader(io.StringIO(kept.answers.path.read_text())))
    assert rows == [{"tile": "tile 04.png", "answer": "no"}]
    assert asked(app, f"/{TOKEN}/facts").json["answers"] == {"4": "no"}


@pytest.mark.parametrize(
    "given", [{"3": "maybe"}, {"-1": "yes"}, {"x": "yes"}, {"99": "no"}, {"3": 1}]
)
def test_an_answer_that_is_none_is_refused(app, kept, given):
    assert posted(app, f"/{TOKEN}/answers", given).status == 400
    assert not kept.answers.path.exists()


def test_a_dropped_file_is_embedded_and_removed(app, monkeypatch):
    seen = []

    def searched(_, path, wanted):
        seen.append((path, wanted.k, Path(path).read_bytes()))
        return [{"row": 1}]

    monkeypatch.setattr(IndexView, "search_file", searched)
    query = "name=a%20b.PNG&wanted=%7B%22k%22%3A5%7D"
    answer = asked(app, f"/{TOKEN}/search-file", method="POST", body=b"pixels", query=query)
    assert answer.json == [{"row": 1}]
    [(path, k, content)] = seen
    assert (k, content) == (5, b"pixels")
    assert path.endswith(".png")
    assert not Path(path).exists()
    refused = asked(app, f"/{TOKEN}/search-file", method="POST", body=b"x", query="name=a.html")
    assert refused.status == 400


@pytest.mark.parametrize("wanted", ["%7B", "%5B%5D", "5", "%7B%22k%22%3A1e999%7D", "[" * 5000])
def test_a_broken_search_by_a_file_is_refused(app, wanted):
    query = f"name=a.png&wanted={wanted}"
    answer = asked(app, f"/{TOKEN}/search-file", method="POST", body=b"x", query=query)
    assert answer.status == 400
    assert "request" in answer.json["error"]


def test_each_dropped_file_has_its_own_reason_and_its_own_name(app, monkeypatch):
    """Failures of an earlier file are no reason of a later one; nor is a path of a moment told."""
    reasons = iter(["it is cut off", "it has one band"])

    def failing(store, request, context):
        [path] = request.images
        tile = Tile(Path(path).name, path)
        context.run_context.add_failure(Failure(tile, next(reasons)))
        raise no_usable_tiles(TileSet(path, (tile,)), context.run_context)

    monkeypatch.setattr("rsretrieve.browse.index_view.run_queries", failing)
    for name, reason in (("my dropped.png", "cut off"), (r"x\\1.PNG", "one band")):
        answer = asked(
            app,
            f"/{TOKEN}/search-file",
            method="POST",
            body=b"x",
            query=urlencode({"name": name}),
        )
        said = answer.json["error"]
        assert reason in said
        assert said.count(name) == 2
        assert "rsretrieve-" not in said


def test_an_index_whose_name_and_tiles_are_no_unicode_is_shown(view, kept, tmp_path, monkeypatch):
    odd = "\udcfc.png"
    folder = shutil.copytree(view.store.folder, tmp_path / "idx\udcfc")
    view = IndexView(open_index(folder), view.context)
    view.ids[3] = odd
    answers = AnswersFile(folder.parent / "\udcfc.csv", "answer", view.row_of)
    kind = KindSearchFile(view.store, folder.parent / "\udcfc.json")
    app = make_app(view, KeptFiles(answers, kind), TOKEN)
    assert posted(app, f"/{TOKEN}/answers", {"3": "yes"}).json["file"] == str(answers.path)
    assert asked(app, f"/{TOKEN}/facts").json["index"] == "idx\udcfc"
    assert posted(app, f"/{TOKEN}/tiles", {"rows": [3]}).json[0]["tile"] == odd
    assert posted(app, f"/{TOKEN}/find", {"likes": [0, 4], "unlikes": [1]}).status == 200
    monkeypatch.setattr(IndexView, "picture", raising_odd)
    answer = asked(app, f"/{TOKEN}/picture/9/96")
    assert (answer.status, answer.body) == (404, rb"\udcfc.png: it is gone")


def raising_odd(*_):
    raise TileError("\udcfc.png", "it is gone")


def test_without_its_model_a_dropped_file_is_refused_with_the_reason(app):
    content = io.BytesIO()
    Image.new("RGB", (8, 8)).save(content, format="PNG")
    body = content.getvalue()
    answer = asked(app, f"/{TOKEN}/search-file", method="POST", body=body, query="name=a.png")
    assert answer.status == 400
    assert "model" in answer.json["error"]
