"""The index folder: written whole, read checked, refused where a file was touched."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rsretrieve._core.atomic_write import sha256_of_file, sha256_of_json, write_json
from rsretrieve.errors import IndexDamaged, IndexNotFound, OutputExists
from rsretrieve.index.store import folder as index_store
from rsretrieve.index.store.folder import IndexContent, IndexStore, open_index, write_index_folder
from rsretrieve.index.store.manifest import read_manifest
from rsretrieve.index.store.tile_table import IndexedTile
from rsretrieve.index.vectors.vector_index import VectorIndex
from tests.support.tiles.unreadable import UNREADABLE, put_unreadable

FILES = ("manifest.json", "index.faiss", "tiles.parquet", "embeddings.npy")
DATA_FILES = FILES[1:]
FACTS = {
    "model": "/models/one",
    "model_fingerprint": "f" * 64,
    "faiss_key": "Flat",
    "recall_at_10": 1.0,
}
ROWS = [IndexedTile(name, f"/{name}", None, 1, 1, None) for name in ("a", "b", "c")]
VECTORS = np.eye(3, 4, dtype=np.float32)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An index of three tiles."""
    path = tmp_path / "index"
    write_index_folder(
        path,
        IndexContent(ROWS, VECTORS, FACTS),
        VectorIndex.build(VECTORS, "Flat"),
        overwrite=False,
    )
    return path


def edited(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    path = folder / "manifest.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    change(content)
    # As by somebody who knows how it is sealed: by the digest, and by the layout.
    content.pop("digest", None)
    write_json(path, {**content, "digest": sha256_of_json(content)}, overwrite=True)


def resealed(folder: Path, name: str) -> None:
    """Let the manifest agree with a file that was changed."""
    edited(folder, lambda content: content["sha256"].update({name: sha256_of_file(folder / name)}))


def test_an_index_is_read_as_it_was_written(folder: Path) -> None:
    store = open_index(folder)
    assert store.rows == ROWS
    assert np.array_equal(store.vectors, VECTORS)
    assert store.open_vector_index().search(VECTORS, 1)[1].tolist() == [[0], [1], [2]]
    manifest = store.manifest
    assert (manifest.tiles, manifest.dimensions, manifest.metric) == (3, 4, "inner product")
    assert (manifest.model, manifest.model_fingerprint) == ("/models/one", "f" * 64)


def test_the_folder_holds_what_the_contract_names(folder: Path) -> None:
    assert {path.name for path in folder.iterdir()} == set(FILES)
    content = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    assert content == {
        **FACTS,
        "metric": "inner product",
        "tiles": 3,
        "dimensions": 4,
        "sha256": {name: sha256_of_file(folder / name) for name in DATA_FILES},
        "schema_version": 1,
        "search": {},
        "predicted_bytes": None,
        "goal": {},
        "similarity_floor": None,
        "provenance": {},
        "windows": {},
        "tile_scale": {},
        "packing": {},
        "places": 0,
        "cost": {},
        "digest": content["digest"],
    }


def test_vectors_are_mapped_not_read(folder: Path) -> None:
    assert isinstance(open_index(folder).vectors, np.memmap)


def test_an_index_that_is_there_is_not_overwritten(folder: Path) -> None:
    with pytest.raises(OutputExists, match=r"already exists"):
        write_index_folder(
            folder,
            IndexContent([], VECTORS[:0], FACTS),
            VectorIndex.build(VECTORS, "Flat"),
            overwrite=False,
        )
    assert len(open_index(folder).rows) == 3


def test_a_crash_while_writing_leaves_the_old_index_whole(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*_: object, **__: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(index_store, "write_table", crash)
    with pytest.raises(OSError, match=r"no space left"):
        write_index_folder(
            folder,
            IndexContent([], VECTORS[:0], FACTS),
            VectorIndex.build(VECTORS, "Flat"),
            overwrite=True,
        )
    assert len(open_index(folder).rows) == 3
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


@pytest.mark.parametrize(
    ("model", "held"), [("model", False), ("/models/one", True)], ids=["missing", "not named"]
)
def test_an_index_that_nobody_could_read_takes_no_ones_place(
    folder: Path, model: str, held: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def copied(_: Path, target: Path) -> None:
        target.mkdir()
        (target / "model.json").write_text("{}")

    monkeypatch.setattr(index_store, "copy_model", copied)
    content = IndexContent(ROWS, VECTORS, {**FACTS, "model": model})
    content = replace(content, model=folder if held else None)
    with pytest.raises(ValueError, match="names the model"):
        write_index_folder(folder, content, VectorIndex.build(VECTORS, "Flat"), overwrite=True)
    assert open_index(folder).manifest.model == "/models/one"
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


# Damage


def test_a_folder_without_an_index_is_refused(tmp_path: Path) -> None:
    message = re.escape(f"{tmp_path} holds no index (manifest.json is missing)")
    with pytest.raises(IndexNotFound, match=f"^{message}$") as caught:
        open_index(tmp_path)
    assert "rsretrieve index TILES --output DIR" in caught.value.hint


def flipped(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-8])


@pytest.mark.parametrize("name", DATA_FILES)
@pytest.mark.parametrize("damage", [flipped, cut_short, Path.unlink])
def test_a_file_that_is_edited_cut_short_or_missing_is_named(
    folder: Path, name: str, damage: Callable[[Path], object]
) -> None:
    damage(folder / name)
    message = re.escape(f"{folder / name} is not the file that manifest.json describes")
    with pytest.raises(IndexDamaged, match=f"^{message}$") as caught:
        open_index(folder).open_vector_index()
    assert caught.value.hint == (
        f"`rsretrieve index --repair --output {folder}` repairs what can be repaired; or build it "
        "again with --overwrite"
    )


@pytest.mark.parametrize("kind", UNREADABLE)
@pytest.mark.parametrize("name", FILES)
def test_what_is_no_file_is_refused_and_nobody_waits(folder: Path, name: str, kind: str) -> None:
    put_unreadable(folder / name, kind)
    with pytest.raises(IndexDamaged, match=re.escape(str(folder / name))):
        open_index(folder).open_vector_index()


@pytest.mark.parametrize("kind", UNREADABLE)
def test_skipped_windows_in_what_is_no_file_are_refused(folder: Path, kind: str) -> None:
    content = replace(open_index(folder).content(), skipped=ROWS[:1])
    facts = {**content.facts, "faiss_key": "Flat", "recall_at_10": 1.0}
    index = VectorIndex.build(VECTORS, "Flat")
    write_index_folder(folder, replace(content, facts=facts), index, overwrite=True)
    put_unreadable(folder / "skipped.parquet", kind)
    with pytest.raises(IndexDamaged, match=r"skipped\.parquet"):
        _ = open_index(folder).skipped


def test_an_index_by_a_newer_version_is_refused(folder: Path) -> None:
    edited(folder, lambda content: content.update(schema_version=2, novelty=True))
    message = re.escape(
        f"{folder / 'manifest.json'} was written by a newer rsretrieve (schema 2; this one reads "
        "up to 1)"
    )
    with pytest.raises(IndexDamaged, match=f"^{message}$") as caught:
        read_manifest(folder)
    assert caught.value.hint == "pip install --upgrade rsretrieve"


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", "7", "{}", '{"schema_version": "1"}', '{"schema_version": 1}']
)
def test_a_manifest_that_is_none_is_refused(folder: Path, text: str) -> None:
    (folder / "manifest.json").write_text(text, encoding="utf-8")
    message = re.escape(f"{folder / 'manifest.json'} cannot be read as an index's manifest (")
    with pytest.raises(IndexDamaged, match=f"^{message}") as raised:
        open_index(folder)
    assert f"--output {folder} --overwrite" in raised.value.hint
    assert "--repair" not in raised.value.hint  # which cannot repair it


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content.pop("model"),
        lambda content: content.update(sha256=None),
        lambda content: content["sha256"].pop("index.faiss"),
        lambda content: content["sha256"].update({"../../elsewhere": "0"}),
        lambda content: content.update(packing={"scales": [0.0], "offsets": [0.0]}),
        lambda content: content.update(packing={"scales": [1e-4], "offsets": []}),
        lambda content: content.update(packing={"scales": "many"}),
    ],
)
def test_a_manifest_edited_into_nonsense_is_refused(
    folder: Path, change: Callable[[dict[str, Any]], object]
) -> None:
    edited(folder, change)
    with pytest.raises(IndexDamaged, match=r"cannot be read as an index's manifest"):
        open_index(folder)


def test_a_table_of_another_length_is_refused(folder: Path) -> None:
    edited(folder, lambda content: content.update(tiles=4))
    with pytest.raises(IndexDamaged, match=r"tiles\.parquet .*3 rows for 4 tiles"):
        open_index(folder)


@pytest.mark.parametrize("vectors", [VECTORS[:2], VECTORS[:, :2], VECTORS.astype(np.float64)])
def test_vectors_of_another_shape_or_type_are_refused(folder: Path, vectors: Any) -> None:
    np.save(folder / "embeddings.npy", vectors)
    resealed(folder, "embeddings.npy")
    store = open_index(folder)
    message = r"embeddings\.npy holds \(\d, \d\) float\d\d for \(3, 4\) float32$"
    with pytest.raises(IndexDamaged, match=message):
        _ = store.vectors


def test_vectors_that_are_pickled_are_refused(folder: Path) -> None:
    np.save(folder / "embeddings.npy", np.array([{}]), allow_pickle=True)
    resealed(folder, "embeddings.npy")
    store = open_index(folder)
    with pytest.raises(IndexDamaged, match=r"embeddings\.npy cannot be read as an array"):
        _ = store.vectors


def test_a_faiss_file_that_is_none_is_refused_when_it_is_opened(folder: Path) -> None:
    (folder / "index.faiss").write_bytes(b"nothing")
    resealed(folder, "index.faiss")
    store = open_index(folder)
    with pytest.raises(IndexDamaged, match=r"index\.faiss cannot be read \("):
        store.open_vector_index()


def test_what_a_later_version_adds_is_passed_over(folder: Path) -> None:
    edited(folder, lambda content: content.update(novelty=1))
    assert open_index(folder).rows == ROWS


def test_an_index_from_before_there_was_a_digest_is_read(folder: Path) -> None:
    path = folder / "manifest.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    first = (*FACTS, "metric", "tiles", "dimensions", "sha256", "schema_version")
    path.write_text(json.dumps({key: content[key] for key in first}), encoding="utf-8")
    assert open_index(folder).rows == ROWS
    content["digset"] = content.pop("digest")
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(IndexDamaged, match=r"unknown key 'digset'"):
        open_index(folder)


def test_an_index_whose_faiss_file_is_another_s_is_refused(folder: Path) -> None:
    VectorIndex.build(VECTORS[:2], "Flat").write(folder / "index.faiss")
    resealed(folder, "index.faiss")
    with pytest.raises(IndexDamaged, match=r"holds 2 vectors of 4 dimensions, not 3 of 4$"):
        open_index(folder).open_vector_index()


def test_who_opened_an_index_goes_on_with_it_when_another_takes_its_place(folder: Path) -> None:
    store = open_index(folder)
    other = VECTORS[::-1].copy()
    write_index_folder(
        folder,
        IndexContent(ROWS[::-1], other, FACTS),
        VectorIndex.build(other, "Flat"),
        overwrite=True,
    )
    assert np.array_equal(store.vectors, VECTORS)
    assert store.open_vector_index().search(VECTORS, 1)[1].tolist() == [[0], [1], [2]]
    assert open_index(folder).open_vector_index().search(VECTORS, 1)[1].tolist() == [[2], [1], [0]]


def test_an_index_that_is_replaced_while_it_is_opened_is_opened_anew(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = index_store.HeldFiles
    other = VECTORS[::-1].copy()

    def replaced_first(path: Path, names: tuple[str, ...]) -> object:
        monkeypatch.setattr(index_store, "HeldFiles", held)
        built = VectorIndex.build(other, "Flat")
        write_index_folder(folder, IndexContent(ROWS[::-1], other, FACTS), built, overwrite=True)
        return held(path, names)

    monkeypatch.setattr(index_store, "HeldFiles", replaced_first)
    store = open_index(folder)
    assert (store.rows, store.vectors.tolist()) == (ROWS[::-1], other.tolist())


def test_no_file_stays_open_when_an_index_is_let_go(folder: Path) -> None:
    def handles() -> int:
        return len(list(Path("/dev/fd").iterdir()))

    before = handles()
    for _ in range(5):
        _ = open_index(folder).vectors[0]
    assert handles() <= before + 1  # of listing the handles itself


def test_an_index_can_be_moved(folder: Path, tmp_path: Path) -> None:
    moved = Path(shutil.move(folder, tmp_path / "elsewhere"))
    assert isinstance(open_index(moved), IndexStore)
    assert open_index(moved).open_vector_index().search(VECTORS, 1)[1].tolist() == [[0], [1], [2]]


def rewritten(folder: Path) -> None:
    content = IndexContent(ROWS, VECTORS, FACTS)
    write_index_folder(folder, content, VectorIndex.build(VECTORS, "Flat"), overwrite=True)


def test_what_the_user_put_into_an_index_is_carried_over(folder: Path) -> None:
    (folder / "notes.txt").write_text("mine")
    (folder / "maps" / "deep").mkdir(parents=True)
    (folder / "maps" / "deep" / "a.tif").write_text("mine")
    (folder / "config.toml").symlink_to(folder / "notes.txt")
    rewritten(folder)
    assert {path.name for path in folder.iterdir()} == {*FILES, "notes.txt", "maps"}
    assert (folder / "notes.txt").read_text() == "mine"
    assert (folder / "maps" / "deep" / "a.tif").read_text() == "mine"
    assert len(open_index(folder).rows) == 3
    assert list(folder.parent.iterdir()) == [folder]


@pytest.mark.parametrize("name", ["model/model.json", "model/deep/mine", "skipped.parquet/mine"])
def test_what_the_user_put_in_place_of_a_file_of_an_index_is_refused(
    folder: Path, name: str
) -> None:
    (folder / name).parent.mkdir(parents=True)
    (folder / name).write_text("mine")
    with pytest.raises(OutputExists, match="which rsretrieve did not write and would replace"):
        rewritten(folder)
    assert (folder / name).read_text() == "mine"


@pytest.mark.parametrize("data", [(), ("tiles.parquet",), DATA_FILES])
def test_a_folder_with_a_manifest_of_another_program_is_never_replaced(
    folder: Path, data: tuple[str, ...]
) -> None:
    for name in set(DATA_FILES) - set(data):
        (folder / name).unlink()
    (folder / "manifest.json").write_text('{"files": ["scene.tif"]}')
    with pytest.raises(OutputExists, match=r"its manifest\.json is another program's"):
        rewritten(folder)
    assert {path.name for path in folder.iterdir()} == {"manifest.json", *data}
