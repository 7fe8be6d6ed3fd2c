"""What the objects of the interface hold, how they look, and what they become."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pandas
import pytest

import rsretrieve
from rsretrieve._core.tables import read_table
from rsretrieve.audit.result_table import CSV_COLUMNS
from rsretrieve.data.discovery.find_tiles import find_tiles
from rsretrieve.data.tile import Tile, TileSet
from rsretrieve.errors import InvalidArgument, MissingPackage
from rsretrieve.export.results import HIT_COLUMNS
from tests.api.conftest import MAY_BE_UNSURE
from tests.conftest import run_here

pytestmark = MAY_BE_UNSURE


@pytest.fixture
def model(workplace):
    return rsretrieve.load_model("models/mine", device="cpu")


@pytest.fixture
def index(workplace):
    return rsretrieve.open_index("index", device="cpu")


@pytest.fixture
def audit(workplace, model):
    return rsretrieve.audit_labels("tiles", model)


def test_tiles_behave_like_a_sequence(workplace):
    tiles = rsretrieve.open_tiles(Path("tiles"))
    assert [tile.id for tile in tiles] == [tile.id for tile in find_tiles("tiles")]
    assert tiles[-1] == [*tiles][-1]
    assert [t.id for t in tiles[2:6:2]] == [tiles[2].id, tiles[4].id]
    assert rsretrieve.open_tiles(tiles) is tiles
    assert rsretrieve.open_tiles(tiles.tile_set).tile_set is tiles.tile_set
    with pytest.raises(IndexError):
        tiles[144]


def test_labels_come_from_a_file_a_mapping_or_a_table(workplace):
    tile_id = "beach/beach_1_7.tif"
    Path("labels.csv").write_text(f"tile,label\n{tile_id},sea\n")
    table = pandas.DataFrame({"tile": [tile_id, "road/none.tif"], "label": ["sea", None]})
    with pytest.warns(rsretrieve.RsretrieveWarning) as warned:
        of_file = rsretrieve.open_tiles("tiles", labels="labels.csv")
    assert any("keep their label" in str(warning.message) for warning in warned)
    assert any("'sea'" in str(warning.message) for warning in warned)
    of_mapping = rsretrieve.open_tiles("tiles", labels={tile_id: "sea"})
    of_table = rsretrieve.open_tiles("tiles", labels=table)
    for tiles in (of_file, of_mapping, of_table):
        assert {t.id for t in tiles if t.label == "sea"} == {tile_id}
    assert "labels.csv" in of_file.inputs


def test_a_scene_is_cut_as_the_commands_cut_it(workplace):
    tiles = rsretrieve.open_tiles("scene.tif", window=np.int64(64), stride=32)
    assert len(tiles) == 11 * 11
    assert tiles[0].window.width == 64


@pytest.mark.parametrize("count", [0, 1, 50_000])
def test_a_set_of_tiles_is_short_however_many_there_are(count):
    tile_set = TileSet("many", tuple(Tile(f"{n % 97}/{n}", "p", str(n % 97)) for n in range(count)))
    tiles = rsretrieve.Tiles(tile_set)
    for shown in (repr(tile_set), repr(tiles), tiles._repr_html_()):
        assert str(count) in shown.replace(",", "")
        assert len(shown) < 5_000
    assert len(repr(tile_set)) + len(repr(tiles)) < 250


def test_everything_shows_itself_in_a_few_lines(index, model, audit):
    hits = index.search("beach/beach_1_7.tif", k=50)
    shown = (rsretrieve.open_tiles("tiles"), model, index, hits, audit, rsretrieve.evaluate(index))
    for one in shown:
        assert repr(one).startswith(f"<{type(one).__name__}")
        assert len(repr(one).splitlines()) <= 7
        assert len(repr(one)) < 500
        html = one._repr_html_()
        assert html.startswith("<p><b>")
        assert html.endswith("</table>")


def test_what_a_name_holds_is_no_html(workplace):
    hostile = "<script>alert(1)</script>"
    tiles = rsretrieve.Tiles(TileSet(hostile, (Tile("a\n\x1b[31m", "p", hostile),)))
    assert "<script" not in tiles._repr_html_()
    assert "&lt;script" in tiles._repr_html_()
    assert "\x1b" not in repr(tiles)


def test_embeddings_are_those_of_the_index(index, model):
    vectors = model.embed("tiles")
    assert vectors.shape == (144, 16)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(vectors, index.embeddings, atol=2e-3)


def test_every_way_to_ask_gives_the_same_hits(index):
    tile_id, path = "beach/beach_1_7.tif", Path("tiles/beach/beach_1_7.tif")
    [place] = [hit.place for hit in index.search(tile_id, k=1)]
    row = index.to_dataframe()["tile"].tolist().index(tile_id)
    vector = index.embeddings[row]
    expected = [hit.tile for hit in index.search(tile_id)]
    for query in (path, str(path), place.centre, vector, vector * 7, [*vector], vector[None]):
        assert [hit.tile for hit in index.search(query)][:3] == expected[:3]
    np.save("query.npy", vector)
    assert [hit.tile for hit in index.search("query.npy")] == expected


def test_hits_are_those_of_the_command(index, workplace):
    hits = index.search("beach/beach_1_7.tif", k=4, labels="beach", exclude_self=True)
    arguments = ("--tile", "beach/beach_1_7.tif", "--index", "index", "-k", 4, "--label", "beach")
    said = run_here("query", *arguments, "--exclude-self", "--jsonl")
    assert json.loads(hits.to_json()) == json.loads(said.out)
    assert list(hits.to_dataframe().columns) == list(HIT_COLUMNS)
    assert hits.to_dataframe()["tile"].tolist() == [hit.tile for hit in hits]


def test_an_index_and_its_hits_lie_on_the_map(index):
    table, hits = index.to_geodataframe(), index.search("beach/beach_1_7.tif", k=5)
    placed = hits.to_geodataframe()
    assert table.crs.to_epsg() == placed.crs.to_epsg() == 4326
    row = table.set_index("tile").loc[hits[0].tile]
    assert row.geometry.equals(placed.geometry[0])
    assert placed.geometry[0].centroid.x == pytest.approx(hits[0].place.centre[0])


def test_an_audit_is_that_of_the_command(audit, workplace):
    options = ("--model", "models/mine", "--output", "said.csv", "--fixed-labels", "fixed.csv")
    said = run_here("audit-labels", "tiles", *options, "--json")
    assert audit.noise_rate == pytest.approx(said.json["noise_rate"], abs=1e-6)
    assert audit.noise_interval == pytest.approx(said.json["noise_interval"], abs=1e-6)
    audit.to_csv("ours.csv")
    audit.fixed_labels("our_labels.csv")
    assert Path("ours.csv").read_bytes() == Path("said.csv").read_bytes()
    assert Path("our_labels.csv").read_bytes() == Path("fixed.csv").read_bytes()
    rows = [row["tile"] for _, row in read_table(Path("fixed.csv"), ("tile",))]
    assert audit.fixed_labels()["tile"].tolist() == rows


@pytest.mark.medium
def test_issues_are_the_flagged_labels_worst_first(workplace, model):
    audit = rsretrieve.audit_labels("tiles", model, budget=7)
    issues = audit.issues
    assert list(issues.columns) == list(CSV_COLUMNS)
    assert len(issues) == 7
    assert issues["is_label_issue"].all()
    assert issues["label_score"].is_monotonic_increasing
    assert audit.table.num_rows == len(audit.to_dataframe()) == 144
    assert audit.table.column("tile").to_pylist()[:7] == issues["tile"].tolist()


@pytest.mark.medium
def test_decided_labels_are_no_issues_and_are_what_is_fixed(workplace, model):
    worst = rsretrieve.audit_labels("tiles", model, budget=1).issues["tile"][0]
    Path("decisions.csv").write_text(f"tile,label\n{worst},road\n")
    audit = rsretrieve.audit_labels("tiles", model, decisions="decisions.csv")
    assert worst not in audit.issues["tile"].tolist()
    fixed = audit.fixed_labels().set_index("tile")["label"]
    given = {tile.id: tile.label for tile in rsretrieve.open_tiles("tiles")}
    assert fixed.to_dict() == {**given, worst: "road"}


def test_decisions_of_two_files_are_merged(workplace):
    vectors = np.repeat(np.eye(3, 4, dtype=np.float32), 12, axis=0)
    vectors += np.random.default_rng(0).normal(0, 0.05, vectors.shape).astype(np.float32)
    np.save("vectors.npy", vectors)
    rows = "".join(f"t{i},{'abc'[i // 12] if i else 'c'}\n" for i in range(36))
    Path("list.csv").write_text("tile,label\n" + rows)
    Path("ada.csv").write_text("tile,label,by\nt0,a,Ada\nt1,b,Ada\n")
    Path("bob.csv").write_text("tile,label,by\nt0,b,Bob\nt2,b,Bob\n")
    with pytest.warns(UserWarning, match="1 tiles different labels"):
        audit = rsretrieve.audit_labels(
            "list.csv", embeddings="vectors.npy", decisions=["ada.csv", "bob.csv"]
        )
    fixed = audit.fixed_labels().set_index("tile")["label"]
    assert fixed[["t0", "t1", "t2"]].tolist() == ["c", "b", "b"]
    audit.to_html("audit.html", tiles=1)
    assert "Ada" in Path("audit.html").read_text(encoding="utf-8")
    with pytest.raises(InvalidArgument, match="at most 20000"):
        audit.to_html("b.html", tiles=20_001)
    with pytest.raises(InvalidArgument, match="the list of files is empty"):
        rsretrieve.audit_labels("list.csv", embeddings="vectors.npy", decisions=[])


def test_embeddings_made_elsewhere_are_indexed_and_audited(workplace):
    vectors = np.repeat(np.eye(3, 4, dtype=np.float32), 12, axis=0)
    vectors += np.random.default_rng(0).normal(0, 0.05, vectors.shape).astype(np.float32)
    np.save("vectors.npy", vectors)
    rows = "".join(f"t{i},{'abc'[i // 12] if i else 'c'}\n" for i in range(36))
    Path("list.csv").write_text("tile,label\n" + rows)
    index = rsretrieve.build_index_from_embeddings("vectors.npy", "made", tiles="list.csv")
    assert index.class_names == ("a", "b", "c")
    assert {hit.label for hit in index.search("t20", k=5)} == {"b"}
    assert "made elsewhere" in index._repr_html_()
    audit = rsretrieve.audit_labels("list.csv", embeddings="vectors.npy")
    assert audit.issues["tile"].tolist() == ["t0"]


def test_figures_are_those_of_the_command(index):
    figures = rsretrieve.evaluate(index)
    said = run_here("evaluate", "--index", "index", "--json").json
    assert figures.map == pytest.approx(said["map"])
    assert {str(k): v for k, v in figures.precision_at.items()} == said["precision_at"]
    assert set(figures.to_dict()) == set(said)
    assert rsretrieve.evaluate("index", rsretrieve.open_tiles("tiles")[:20]).queries == 20


@pytest.mark.filterwarnings("ignore:.*less similar to the tiles of the index")
def test_an_index_is_brought_up_to_date(workplace, model):
    tiles = rsretrieve.open_tiles("tiles")
    rsretrieve.build_index(tiles[:100], model, "part")
    index = rsretrieve.build_index(tiles, model, "part", update=True, index="auto")
    assert len(index) == 144
    assert index.store.manifest.faiss_key == "Flat"
    other = rsretrieve.build_index(tiles, model, "part", update=True, index="HNSW8")
    assert other.store.manifest.faiss_key == "HNSW8"


def test_a_moved_model_is_named(workplace):
    opened = rsretrieve.open_index("index", model="models/mine")
    assert opened.verify().embedded_again == 32
    assert len(opened.search(Path("tiles/beach/beach_1_7.tif"), k=2)) == 2


@pytest.mark.medium
@pytest.mark.parametrize(
    ("package", "ask"),
    [
        ("pandas", lambda: rsretrieve.open_tiles("tiles").to_dataframe()),
        ("pandas", lambda: rsretrieve.open_index("index").to_dataframe()),
        ("pandas", lambda: rsretrieve.audit_labels("tiles", "models/mine").issues),
        ("pandas", lambda: rsretrieve.audit_labels("tiles", "models/mine").fixed_labels()),
        ("geopandas", lambda: rsretrieve.open_index("index").to_geodataframe()),
    ],
)
def test_without_an_optional_package_its_extra_is_named(package, ask, workplace, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingPackage, match=package) as caught:
        ask()
    assert "rsretrieve[dataframe]" in caught.value.hint


def test_without_pandas_the_rest_works(audit, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    assert audit.table.num_rows == 144
    audit.fixed_labels("fixed.csv")
    audit.to_csv("audit.csv")
    assert "labels flagged" in audit._repr_html_()
