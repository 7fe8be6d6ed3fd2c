"""`index` and `info` on what is there: verify, repair, export, embeddings made elsewhere."""

from __future__ import annotations

import json
import shutil
import tomllib

import numpy as np
import pyarrow
import pyogrio
import pytest
from pyarrow import parquet

from rsretrieve._core.locks import only_writer
from rsretrieve.index.store.folder import IndexContent, open_index, write_index_folder
from rsretrieve.index.vectors.vector_index import VectorIndex


@pytest.fixture
def copied(index, tmp_path):
    """A copy of the index, in a folder of its own."""
    return shutil.copytree(index, tmp_path / "i")


def damaged(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.medium
def test_verify_says_what_is_sound_and_what_is_not(run, copied):
    ran = run("index", "--verify", "--output", copied, "--json")
    assert ran.code == 0
    assert ran.json == {
        **{"index": str(copied), "sound": True, "problems": [], "tiles": 144},
        **{"embedded_again": 32, "changed_since": 0, "hint": ""},
    }
    damaged(copied / "embeddings.npy")
    ran = run("index", "--verify", "--output", copied)
    assert ran.code == 1
    assert f"problem: {copied}/embeddings.npy is not the file that manifest.json" in ran.out
    assert f"hint: `rsretrieve index --repair --output {copied}` repairs" in ran.out
    assert run("index", "--verify", "--output", copied / "none").code == 1


@pytest.mark.medium
def test_vectors_in_another_order_are_told_and_put_right(run, copied):
    store = open_index(copied)
    vectors = np.roll(store.vectors, 1, axis=0)
    kept = ("model", "model_fingerprint", "faiss_key", "recall_at_10")
    facts = {name: getattr(store.manifest, name) for name in kept}
    index = VectorIndex.build(vectors, "Flat")
    write_index_folder(copied, IndexContent(store.rows, vectors, facts), index, overwrite=True)
    ran = run("index", "--verify", "--output", copied)
    assert ran.code == 1
    assert " is not the vector of " in ran.out
    ran = run("index", "--repair", "--output", copied, "--json")
    assert ran.json["mended"] == ["all vectors from the tiles that the table names"]
    assert (ran.code, ran.json["sound"]) == (0, True)
    np.testing.assert_allclose(open_index(copied).vectors, store.vectors, atol=0.02)


@pytest.mark.medium
def test_repair_mends_and_says_what(run, copied, landscape):
    image = min((landscape / "forest").iterdir())
    damaged(copied / "index.faiss")
    assert run("index", "--verify", "--output", copied).code == 1
    ran = run("index", "--repair", "--output", copied, "--json")
    assert ran.code == 0
    assert ran.json["mended"] == ["index.faiss from embeddings.npy"]
    assert ran.json["sound"] is True
    assert run("query", image, "--index", copied).code == 0
    again = run("index", "--repair", "--output", copied)
    assert f"no errors in {copied}: 144 tiles checked (32 were embedded again" in again.out
    damaged(copied / "tiles.parquet")
    lost = run("index", "--repair", "--output", copied)
    assert (lost.code, lost.out) == (1, "")
    assert "tiles.parquet is damaged: the tile of each vector is unknown" in lost.err
    assert f"--output {copied} --overwrite" in lost.err


@pytest.mark.medium
def test_a_model_that_is_gone_is_a_notice_and_one_that_is_named_an_error(
    run, landscape, model, tmp_path
):
    shutil.copytree(model, tmp_path / "m")
    given = ("--model", tmp_path / "m", "--output", tmp_path / "i")
    assert run("index", landscape / "water", *given).code == 0
    shutil.rmtree(tmp_path / "m")
    ran = run("index", "--verify", "--output", tmp_path / "i")
    assert ran.code == 0
    assert "note: no tiles are embedded for comparison: " in ran.err
    assert "(give its path with --model)" in ran.err
    assert run("index", "--verify", *given).code == 1
    verified = run("index", "--verify", "--output", tmp_path / "i", "--model", model)
    assert "16 were embedded again" in verified.out


@pytest.mark.medium
def test_an_index_is_chosen_by_the_options(run, landscape, model, tmp_path):
    arguments = ("index", landscape, "--model", model, "--output", tmp_path / "i", "--json")
    ran = run(*arguments, "--memory", "100 kB", "--recall", "0.9", "--index", "IVF4,Flat")
    assert ran.json["faiss_key"] == "IVF4,Flat"
    assert set(ran.json["search"]) == {"nprobe"}
    assert ran.json["recall_at_10"] > 0.8
    manifest = json.loads((tmp_path / "i" / "manifest.json").read_text())
    assert manifest["goal"] == {
        **{"key": "IVF4,Flat", "recall": 0.9, "memory_bytes": 100_000, "append_only": False}
    }
    kept = run(*arguments, "--update")
    assert kept.json["faiss_key"] == "IVF4,Flat"
    assert kept.json["unchanged"] == 144
    rebuilt = run(*arguments, "--update", "--index", "auto")
    assert (rebuilt.json["faiss_key"], rebuilt.json["unchanged"]) == ("Flat", 144)


@pytest.mark.medium
def test_a_second_writer_is_refused_and_readers_are_not(run, landscape, model, copied):
    with only_writer(copied):
        ran = run("index", landscape, "--model", model, "--output", copied, "--update")
        assert (ran.code, ran.out) == (1, "")
        assert f"{copied} is being written by another rsretrieve" in ran.err
        assert run("query", min((landscape / "water").iterdir()), "--index", copied).code == 0


@pytest.mark.medium
def test_an_export_is_indexed_again_without_a_model_and_asked_with_it(
    run, index, landscape, tmp_path
):
    exported, again = tmp_path / "out.parquet", tmp_path / "again"
    ran = run("index", "--export", exported, "--output", index, "--json")
    assert ran.json == {
        **{"export": str(exported), "tiles": 144, "dimensions": 128, "georeferenced": 144}
    }
    refused = run("index", "--export", exported, "--output", index)
    assert refused.code == 1
    assert "already exists" in refused.err
    ran = run("index", "--from-embeddings", exported, "--output", again, "--json")
    assert (ran.code, ran.json["tiles"], ran.json["device"]) == (0, 144, "cpu")
    image = min((landscape / "forest").iterdir())
    queries = [run("query", image, "--index", i, "--json").json["queries"] for i in (index, again)]
    assert queries[0] == queries[1]


@pytest.mark.medium
def test_an_index_can_be_made_and_exported_at_once(run, landscape, model, tmp_path):
    ran = run(
        *("index", landscape / "water", "--model", model, "--output", tmp_path / "i"),
        *("--export", tmp_path / "out.parquet", "--json"),
    )
    assert ran.json["tiles"] == 16
    assert "16 embeddings, 16 with a footprint" in ran.err
    assert (tmp_path / "out.parquet").exists()


def test_vectors_of_a_list_are_indexed_and_bad_rows_listed(run, landscape, tmp_path):
    vectors = np.random.default_rng(0).standard_normal((3, 5))
    vectors[1] = 0
    np.save(tmp_path / "v.npy", vectors)
    (tmp_path / "list.csv").write_text("tile,label\nb,x\na,y\nc,\n")
    arguments = ("--from-embeddings", tmp_path / "v.npy", "--output", tmp_path / "i")
    ran = run("index", tmp_path / "list.csv", *arguments, "--json")
    assert (ran.code, ran.json["tiles"], ran.json["failed"]) == (3, 2, 1)
    assert "  a: its embedding is zero or missing" in ran.err
    image = min((landscape / "forest").iterdir())
    lost = run("query", image, "--index", tmp_path / "i")
    assert lost.code == 1
    folder = run("index", landscape, *arguments, "--overwrite")
    assert folder.code == 2
    assert "is a folder; its tiles have no order" in folder.err


@pytest.mark.medium
def test_embeddings_of_others_are_indexed_updated_and_exported(run, tmp_path):
    vectors = np.random.default_rng(0).standard_normal((6, 4)).astype(np.float32)
    columns = {f"embedding_{i}": vectors[:, i] for i in range(4)}
    table = pyarrow.table(
        {"name": list("abcdef"), "lon": np.arange(6.0), "lat": np.zeros(6), **columns}
    )
    parquet.write_table(table, tmp_path / "v.parquet")
    made = ("index", "--from-embeddings", tmp_path / "v.parquet", "--output", tmp_path / "i")
    chosen = ("--id-column", "name", "--vector-column", "embedding_", "--dims", "3", "--json")
    ran = run(*made, *chosen)
    assert (ran.code, ran.json["tiles"]) == (0, 6)
    lists = pyarrow.array([vectors[0].tolist(), None], pyarrow.list_(pyarrow.float32()))
    parquet.write_table(
        pyarrow.table({"name": ["g", "a"], "embedding": lists}), tmp_path / "changes.parquet"
    )
    changes = ("index", "--from-embeddings", tmp_path / "changes.parquet", "--output")
    ran = run(*changes, tmp_path / "i", "--update", "--changes-only", "--id-column", "name",
              "--dims", "3", "--json")  # fmt: skip
    counts = [ran.json[name] for name in ("tiles", "added", "removed", "unchanged")]
    assert (ran.code, counts) == (0, [6, 1, 1, 5])
    files = {name: tmp_path / f"out.{name}" for name in ("parquet", "gpkg", "json", "fgb")}
    ran = run("index", "--output", tmp_path / "i", "--export", files["parquet"], "--gpkg",
              files["gpkg"], "--stac", files["json"], "--json")  # fmt: skip
    assert (ran.code, ran.json["georeferenced"], ran.json["stac"]) == (0, 5, str(files["json"]))
    assert len(pyogrio.read_dataframe(files["gpkg"])) == 6
    assert json.loads(files["json"].read_text())["emb:dimensions"] == 3
    ran = run("query", "--tile", "b", "--index", tmp_path / "i", "-k", "6", "--gpkg", files["fgb"])
    assert "leaves them out" in ran.err
    assert len(pyogrio.read_dataframe(files["fgb"])) == 5
    ran = run("query", "--tile", "b", "--index", tmp_path / "i", "--gpkg", tmp_path / "a.shp")
    assert (ran.code, ".gpkg" in ran.err) == (2, True)


NOTHING = ("--output", "i")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "missing argument TILES"),
        (["t", "--model", "m", "--weights", "imagenet"], "--weights cannot be combined"),
        (["--update", "--model", "m"], "missing argument TILES"),
        (["t", "--model", "m", "--update", "--repair"], "cannot be combined"),
        (["--verify", "--overwrite"], "give no --overwrite"),
        (["t", "--verify"], "uses only the index of --output"),
        (["--repair", "--index", "Flat"], "uses only the index of --output"),
        (["--from-embeddings", "f.npy", "--model", "m"], "and --model cannot be combined"),
        (["--from-embeddings", "f.npy", "--labels", "l.csv"], "--labels applies to TILES"),
        (["--from-embeddings", "f.npy", "--stack", "B1,B2"], "--stack applies to TILES"),
        (["--from-embeddings", "f.npy", "--asset", "a"], "--asset applies to TILES"),
        (["--from-embeddings", "f.npy", "--trust-sources"], "--trust-sources applies to TILES"),
        (["--repair", "--labels", "l.csv"], "--labels is for TILES"),
        (["--repair", "--window", "16"], "--window is for TILES"),
        (["--verify", "--trust-sources"], "--trust-sources is for TILES"),
        (["--verify", "--stack", "B1,B2"], "--stack is for TILES"),
        (["--export", "f.parquet", "--labels", "l.csv"], "give no --labels"),
        (["--export", "f.parquet", "--weights", "w.pth"], "give no --weights"),
        (["--gpkg", "f.gpkg", "--asset", "a"], "give no --asset"),
        (["--export", "f.parquet", "--window", "16", "--max-nodata", "1"], "give no --window"),
        (["--export", "f.parquet", "--recall", "0.9"], "as it is"),
        (["--gpkg", "f.gpkg", "--recall", "0.9"], "as it is"),
        (["--gpkg", "f.gpkg", "--stac", "f.json"], "--stac describes the file of --export"),
        (["t", "--model", "m", "--dims", "3"], "--dims needs --from-embeddings"),
        (["--from-embeddings", "f.npy", "--changes-only"], "--changes-only needs --update"),
        (["--from-embeddings", "f.npy", "--verify"], "cannot be combined"),
        (["t", "--model", "m", "--memory", "much"], "expected a size such as 500MB"),
        (["t", "--model", "m", "--recall", "0"], "a recall must be above 0"),
    ],
)
def test_arguments_that_make_no_sense_are_wrong_usage(run, arguments, message):
    ran = run("index", *arguments, *NOTHING)
    assert (ran.code, ran.out) == (2, "")
    assert message in " ".join(ran.err.split())


# info


def test_info_says_what_a_model_is(run, model):
    ran = run("info", model, "--json")
    assert ran.code == 0
    assert (ran.json["kind"], ran.json["classes"], ran.json["path"]) == ("model", 9, str(model))
    assert ran.json["architecture"] == {"backbone": "shufflenet_v2_x0_5", "dimensions": 128}
    assert len(ran.json["fingerprint"]) == 64
    text = run("info", model).out
    assert "shufflenet_v2_x0_5" in text
    assert "9: bare_soil, beach, " in text
    assert ran.json["fingerprint"] in text


def test_info_says_what_an_index_is(run, index, model):
    ran = run("info", index, "--json")
    assert ran.code == 0
    told = ran.json
    assert (told["kind"], told["tiles"], told["faiss_key"]) == ("index", 144, "Flat")
    assert (told["model"], told["model_found"]) == (str(model), True)
    assert (told["georeferenced"], told["unlabelled"]) == (144, 0)
    assert sum(told["labels"].values()) == 144
    west, south, east, north = told["extent"]
    assert -180 < west < east < 180
    assert -90 < south < north < 90
    assert told["bytes_on_disk"] == sum(path.stat().st_size for path in index.iterdir())
    assert "144 tiles are georeferenced, lon" in run("info", index).out


def test_info_of_an_index_without_model_labels_and_places(run, tmp_path):
    np.save(tmp_path / "v.npy", np.eye(3))
    made = ("--from-embeddings", tmp_path / "v.npy", "--output", tmp_path / "i")
    assert run("index", *made).code == 0
    told = run("info", tmp_path / "i", "--json").json
    assert (told["model"], told["model_found"], told["extent"]) == (None, False, None)
    assert (told["labels"], told["unlabelled"]) == ({}, 3)
    assert "embeddings from elsewhere" in run("info", tmp_path / "i").out


def test_info_of_something_else_is_an_error(run, tmp_path):
    ran = run("info", tmp_path)
    assert (ran.code, ran.out) == (1, "")
    assert "is neither a model folder" in ran.err


def options_of(folder):
    return tomllib.loads((folder / "config.toml").read_text(encoding="utf-8"))["index"]


@pytest.mark.medium
def test_a_repair_keeps_the_options_of_the_run(run, copied):
    before = options_of(copied)
    damaged(copied / "embeddings.npy")
    assert run("index", "--repair", "--output", copied).code == 0
    assert options_of(copied) == before


@pytest.mark.medium
def test_the_options_of_an_updated_index_make_it_anew(run, landscape, model, tmp_path):
    tiles, updated = tmp_path / "tiles", tmp_path / "updated"
    shutil.copytree(landscape / "water", tiles / "water")
    first = ("index", tiles, "--model", model, "--index", "IVF2,Flat", "--recall", 0.5)
    assert run(*first, "--output", updated).code == 0
    shutil.copytree(landscape / "beach", tiles / "beach")
    assert run("index", tiles, "--output", updated, "--update").code == 0
    options = options_of(updated)
    assert (options["index"], options["recall"], options["model"]) == ("IVF2,Flat", 0.5, str(model))
    assert "update" not in options
    anew = tmp_path / "anew"
    assert run("index", "--config", updated / "config.toml", "--output", anew).code == 0
    one, other = open_index(updated), open_index(anew)
    assert one.rows.column("id") == other.rows.column("id")
    assert np.allclose(one.vectors, other.vectors, atol=1e-3)
    assert one.manifest.goal == other.manifest.goal


@pytest.mark.medium
def test_an_embedding_in_an_updated_index_makes_it_anew(run, landscape, tmp_path):
    tiles, updated, anew = (tmp_path / name for name in ("tiles", "updated", "anew"))
    shutil.copytree(landscape / "water", tiles / "water")
    assert run("index", tiles, "--output", updated).code == 0
    shutil.copytree(landscape / "beach", tiles / "beach")
    assert run("index", tiles, "--output", updated, "--update").code == 0
    options = options_of(updated)
    assert options["model"] == str(updated / "model")
    assert run("index", "--config", updated / "config.toml", "--output", anew).code == 0
    assert np.allclose(open_index(updated).vectors, open_index(anew).vectors, atol=1e-3)


def test_an_update_of_embeddings_is_made_anew_and_one_of_changes_has_no_options(run, tmp_path):
    index, whole, changes = tmp_path / "i", tmp_path / "whole.parquet", tmp_path / "c.parquet"
    vectors = np.eye(4, dtype=np.float32).tolist()
    parquet.write_table(pyarrow.table({"id": [*"abcd"], "embedding": vectors}), whole)
    parquet.write_table(pyarrow.table({"id": ["a"], "embedding": vectors[1:2]}), changes)
    made = ("index", "--output", index, "--from-embeddings")
    assert run(*made, whole).code == 0
    assert run(*made, whole, "--update").code == 0
    options = options_of(index)
    assert (options["from-embeddings"], options["index"]) == (str(whole), "auto")
    assert "update" not in options
    assert run("index", "--config", index / "config.toml", "--output", tmp_path / "j").code == 0
    assert run(*made, changes, "--update", "--changes-only").code == 0
    assert not (index / "config.toml").exists()
