"""An index file that names another file: FAISS would map it, and is never given the chance."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rsretrieve._core import file_notes
from rsretrieve.index.vectors import named_files, vector_index
from rsretrieve.index.vectors.faiss_checks import is_sound
from rsretrieve.index.vectors.faiss_loader import faiss_module
from rsretrieve.index.vectors.named_files import refuse_named_files
from rsretrieve.index.vectors.vector_index import VectorIndex
from tests.support.indexes.vectors import unit_rows

VECTORS = unit_rows(400, 8, 0)
CELLS = 4


def on_disk(outside: Path, metric: int) -> Any:
    """A trained, empty index whose lists lie in a file elsewhere."""
    faiss = faiss_module()
    index = faiss.index_factory(8, f"IVF{CELLS},Flat", metric)
    index.train(VECTORS)
    lists = faiss.OnDiskInvertedLists(CELLS, index.code_size, str(outside))
    index.replace_invlists(lists, True)
    lists.this.disown()
    return index


def plain(index: Any) -> Any:
    index.add(VECTORS)
    return index


def behind_a_transform(index: Any) -> Any:
    faiss = faiss_module()
    rotation = faiss.RandomRotationMatrix(8, 8)
    rotation.init(0)
    outer = faiss.IndexPreTransform(rotation, index)
    outer.add(VECTORS)
    return outer


def with_ids(index: Any) -> Any:
    outer = faiss_module().IndexIDMap(index)
    outer.add_with_ids(VECTORS, np.arange(len(VECTORS)))
    return outer


def refined(index: Any) -> Any:
    outer = faiss_module().IndexRefineFlat(index)
    outer.add(VECTORS)
    return outer


def as_coarse_quantizer(index: Any) -> Any:
    faiss = faiss_module()
    index.add(VECTORS[:CELLS])
    outer = faiss.IndexIVFFlat(index, 8, CELLS, faiss.METRIC_INNER_PRODUCT)
    outer.train(VECTORS)
    outer.add(VECTORS)
    return outer


def as_coarse_quantizer_behind_a_transform(index: Any) -> Any:
    return behind_a_transform(as_coarse_quantizer(index))


WRAPPED = [
    *(plain, behind_a_transform, with_ids, refined, as_coarse_quantizer),
    as_coarse_quantizer_behind_a_transform,
]


def mapped(path: Path) -> bool:
    return str(path) in Path("/proc/self/maps").read_text()


@pytest.mark.parametrize("wrap", WRAPPED)
@pytest.mark.parametrize("is_mapped", [True, False])
def test_no_file_that_an_index_names_is_opened(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    wrap: Callable[[Any], Any],
    is_mapped: bool,
) -> None:
    faiss, outside, path = faiss_module(), tmp_path / "outside.bin", tmp_path / "index.faiss"
    index = on_disk(outside, faiss.METRIC_INNER_PRODUCT)
    outer = wrap(index)
    faiss.write_index(outer, str(path))
    del outer, index
    read = faiss.read_index(str(path))  # so FAISS does open it
    assert mapped(outside)
    del read
    monkeypatch.setattr(vector_index, "read_checked", lambda *_: pytest.fail("was read"))
    outside.write_bytes(b"")  # which would kill the process
    with pytest.raises(ValueError, match="names another file"):
        VectorIndex.read(path, mapped=is_mapped)
    assert not mapped(outside)


def test_lists_of_other_kinds_are_refused(tmp_path: Path) -> None:
    faiss = faiss_module()
    index = plain(on_disk(tmp_path / "outside.bin", faiss.METRIC_INNER_PRODUCT))
    with pytest.raises(ValueError, match="kind of lists"):
        is_sound(faiss, index)


def test_an_index_without_lists_is_refused(tmp_path: Path) -> None:
    built = VectorIndex.build(VECTORS, "IVF4,Flat").cpu_index
    built.replace_invlists(None, False)
    path = tmp_path / "index.faiss"
    faiss_module().write_index(built, str(path))
    assert b"il00" in path.read_bytes()
    with pytest.raises(ValueError, match="no lists"):
        VectorIndex.read(path)


@pytest.mark.parametrize("block_bytes", [1, 3, 7, 1 << 24])
def test_a_mark_is_found_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block_bytes: int
) -> None:
    monkeypatch.setattr(named_files, "BLOCK_BYTES", block_bytes)
    numbers = [1, 32, 1, *[0] * 3, 1, *[0] * 2, 3]
    lists = b"ilod" + np.array(numbers, "<u8").tobytes() + b"/a\0" + bytes(8)
    for before in range(9):
        path = tmp_path / str(before)
        path.write_bytes(b"x" * before + b"ilo" + lists)
        with pytest.raises(ValueError, match="names another file"):
            refuse_named_files(path)


def test_a_mark_in_codes_names_no_file(tmp_path: Path) -> None:
    random = np.random.default_rng(0).bytes(1000)
    huge = np.full(30, 1 << 60, "<u8").tobytes()
    for after in (b"", b"i", random, huge, bytes(1000), bytes(40) + b"\1" * 4):
        (tmp_path / "codes").write_bytes(b"codesilod" + after)
        refuse_named_files(tmp_path / "codes")


def test_a_large_file_is_searched_once_until_it_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(named_files, "NOTED_FROM_BYTES", 1)
    path, opened = tmp_path / "index.faiss", list[Path]()
    open_regular = named_files.open_regular
    monkeypatch.setattr(
        named_files, "open_regular", lambda path: opened.append(path) or open_regular(path)
    )
    VectorIndex.build(VECTORS, "IVF4,Flat").write(path)
    for _ in range(3):
        refuse_named_files(path)
    assert len(opened) == 1
    path.write_bytes(path.read_bytes())
    refuse_named_files(path)
    assert len(opened) == 2
    assert file_notes.NOTED_FROM_BYTES > 1 << 20
