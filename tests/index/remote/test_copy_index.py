"""Copies of an index in a store: the same index, checked block by block."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from rsretrieve._core.atomic_write import sha256_of_json
from rsretrieve.data.run_context import RunContext
from rsretrieve.errors import (
    IndexDamaged,
    IndexNotFound,
    InputError,
    InvalidArgument,
    OutputExists,
    OutputRefused,
)
from rsretrieve.index.build_from_embeddings import index_embeddings
from rsretrieve.index.cluster.shard_storage import BucketStorage, FolderStorage
from rsretrieve.index.remote import fetch_index as fetching
from rsretrieve.index.remote import listing as listings
from rsretrieve.index.remote import store_index as storing
from rsretrieve.index.remote.copy_index import copy_index
from rsretrieve.index.remote.listing import LISTING, Listing
from rsretrieve.index.store.folder import open_index
from rsretrieve.index.write import IndexBuildOptions
from rsretrieve.progress import Event, Noticed
from tests.support.tiles.unreadable import UNREADABLE, put_unreadable


def write_small_index(folder: Path, *, count: int, overwrite: bool = False) -> Path:
    """An index of unit vectors that do not depend on their number."""
    vectors = np.random.default_rng(0).normal(size=(100, 16)).astype(np.float32)[:count]
    source = folder.with_suffix(".npy")
    np.save(source, vectors / np.linalg.norm(vectors, axis=1, keepdims=True))
    options = IndexBuildOptions(folder, None, None, overwrite=overwrite)
    index_embeddings(source, None, options, RunContext())
    return folder


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of a kilobyte, so that small files have several."""
    for module in (listings, storing, fetching):
        monkeypatch.setattr(module, "BLOCK_BYTES", 1_000)


@pytest.fixture
def index(tmp_path: Path) -> Path:
    return write_small_index(tmp_path / "index", count=40)


@pytest.fixture
def store(tmp_path: Path) -> FolderStorage:
    return FolderStorage(tmp_path / "store")


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def copied(source: object, target: object, **more: bool):
    return copy_index(str(source), str(target), RunContext(), **more)


def test_a_copy_comes_back_to_the_bit(index, store, tmp_path):
    there = copied(index, store.folder.as_uri())
    back = copied(store.folder.as_uri(), tmp_path / "back")
    assert contents(tmp_path / "back") == contents(index)
    size = sum(map(len, contents(index).values()))
    assert there.size == back.size == back.transferred == size
    assert (there.tiles, there.files) == (back.tiles, back.files) == (40, len(contents(index)))
    assert not [path.name for path in tmp_path.iterdir() if path.name.startswith(".back")]


def test_only_blocks_that_are_missing_are_sent(index, store, tmp_path):
    copied(index, store.folder.as_uri())
    assert copied(index, store.folder.as_uri()).transferred == 0
    copied(store.folder.as_uri(), tmp_path / "back")
    assert copied(store.folder.as_uri(), tmp_path / "back", overwrite=True).transferred == 0
    write_small_index(index, count=41, overwrite=True)
    more = copied(index, store.folder.as_uri(), overwrite=True)
    assert 0 < more.transferred < more.size
    less = copied(store.folder.as_uri(), tmp_path / "back", overwrite=True)
    assert 0 < less.transferred < less.size
    assert contents(tmp_path / "back") == contents(index)


def test_an_interrupted_copy_goes_on(index, store, tmp_path, monkeypatch):
    size = sum(map(len, contents(index).values()))
    for works, source, target in (
        ("write", index, store.folder.as_uri()),
        ("read", store.folder.as_uri(), tmp_path / "back"),
    ):
        calls, real = [], getattr(FolderStorage, works)

        def failing(self, name, *more, calls=calls, real=real):
            calls.append(name)
            if len(calls) == 8:
                raise InputError("the store does not answer")
            return real(self, name, *more)

        with monkeypatch.context() as patched:
            patched.setattr(FolderStorage, works, failing)
            with pytest.raises(InputError):
                copied(source, target)
        assert 0 < copied(source, target).transferred < size
    assert contents(tmp_path / "back") == contents(index)


def test_another_index_is_not_replaced_unless_told(index, store, tmp_path):
    copied(index, store.folder.as_uri())
    other = write_small_index(tmp_path / "other", count=12)
    with pytest.raises(OutputExists):
        copied(other, store.folder.as_uri())
    with pytest.raises(OutputExists):
        copied(store.folder.as_uri(), other)
    assert len(open_index(other).rows) == 12
    copied(other, store.folder.as_uri(), overwrite=True)
    assert copied(store.folder.as_uri(), tmp_path / "back").tiles == 12


@pytest.mark.parametrize("how", ["cut short", "changed", "gone"])
def test_a_damaged_block_is_never_used(index, store, tmp_path, how):
    copied(index, store.folder.as_uri())
    block = max(store.folder.glob("block-*"), key=lambda path: path.name)
    if how == "gone":
        block.unlink()
    else:
        content = block.read_bytes()
        block.write_bytes(content[:-1] if how == "cut short" else content[:-1] + b"\x00\x01"[-1:])
        if block.read_bytes() == content:
            block.write_bytes(content[:-1] + b"\x02")
    with pytest.raises(IndexDamaged, match=block.name):
        copied(store.folder.as_uri(), tmp_path / "back")
    assert not (tmp_path / "back").exists()


def test_a_damaged_index_is_not_copied(index, store):
    with (index / "index.faiss").open("r+b") as stream:
        stream.seek(30)
        stream.write(b"x")
    with pytest.raises(IndexDamaged):
        copied(index, store.folder.as_uri())
    assert not store.folder.exists()


@pytest.mark.parametrize(
    "name",
    ["../outside", "/tmp/outside", "model/../../outside", "model/.hidden", "other.txt", "", 7],
)
def test_a_listing_cannot_name_a_file_outside_of_the_index(index, store, tmp_path, name):
    copied(index, store.folder.as_uri())
    content = json.loads((store.folder / LISTING).read_text())
    digest = hashlib.sha256(b"x").hexdigest()
    content["files"].append({"name": name, "size": 1, "blocks": [digest]})
    (store.folder / f"block-{digest}").write_bytes(b"x")
    resealed(store, content)
    with pytest.raises(IndexDamaged, match=LISTING):
        copied(store.folder.as_uri(), tmp_path / "back")
    assert not list(tmp_path.glob("outside*"))


@pytest.mark.parametrize(
    "change",
    [
        {"size": -1},
        {"size": 1 << 60},
        {"size": True},
        {"blocks": []},
        {"blocks": ["../../etc"]},
        {"name": "manifest.json"},
        {"more": 1},
    ],
)
def test_a_listing_with_impossible_values_is_refused(index, store, change):
    copied(index, store.folder.as_uri())
    content = json.loads((store.folder / LISTING).read_text())
    content["files"][-1] |= change
    text = resealed(store, content)
    with pytest.raises(IndexDamaged, match=LISTING):
        Listing.from_bytes(text, "s3://bucket/index")


@pytest.mark.parametrize("text", [b"", b"[]", b"\xff", b"{}", b"[" * 100_000, b'{"digest": 1}'])
def test_what_is_no_listing_is_refused(text):
    with pytest.raises(IndexDamaged, match=LISTING):
        Listing.from_bytes(text, "s3://bucket/index")


def test_a_listing_of_a_newer_version_is_refused(index, store):
    copied(index, store.folder.as_uri())
    content = json.loads((store.folder / LISTING).read_text())
    text = resealed(store, content | {"schema_version": 99})
    with pytest.raises(IndexDamaged, match="newer"):
        Listing.from_bytes(text, "s3://bucket/index")


def resealed(store: FolderStorage, content: dict[str, object]) -> bytes:
    plain = {key: value for key, value in content.items() if key != "digest"}
    text = json.dumps({**plain, "digest": sha256_of_json(plain)}).encode()
    (store.folder / LISTING).write_bytes(text)
    return text


def test_a_disk_that_is_too_small_is_named_before_the_first_block(
    index, store, tmp_path, monkeypatch
):
    copied(index, store.folder.as_uri())
    monkeypatch.setattr(Listing, "size", property(lambda _: 1 << 60))
    with pytest.raises(InputError, match="free"):
        copied(store.folder.as_uri(), tmp_path / "back")


@pytest.mark.parametrize("kind", UNREADABLE)
def test_what_is_no_file_is_refused_on_either_side_and_nobody_waits(index, store, tmp_path, kind):
    copied(index, store.folder.as_uri())
    for name in (
        LISTING,
        next(path.name for path in store.folder.iterdir() if path.name != LISTING),
    ):
        broken = tmp_path / f"{name[:8]}"
        shutil.copytree(store.folder, broken)
        put_unreadable(broken / name, kind)
        with pytest.raises((IndexDamaged, OSError)):
            copied(broken.as_uri(), tmp_path / "back")
    for name in ("manifest.json", "index.faiss", "embeddings.npy", "tiles.parquet"):
        shutil.copytree(index, tmp_path / f"of-{name}")
        put_unreadable(tmp_path / f"of-{name}" / name, kind)
        with pytest.raises(IndexDamaged, match=name):
            copied(tmp_path / f"of-{name}", (tmp_path / "other").as_uri())


def test_a_link_in_an_unfinished_copy_is_not_written_through(index, store, tmp_path):
    copied(index, store.folder.as_uri())
    (tmp_path / "mine").write_text("mine")
    (tmp_path / ".back.fetching").mkdir()
    (tmp_path / ".back.fetching" / "index.faiss").symlink_to(tmp_path / "mine")
    os.mkfifo(tmp_path / ".back.fetching" / "tiles.parquet")
    copied(store.folder.as_uri(), tmp_path / "back")
    assert contents(tmp_path / "back") == contents(index)
    assert (tmp_path / "mine").read_text() == "mine"


@pytest.mark.parametrize("name", ["", "model"])
def test_a_link_in_place_of_an_unfinished_copy_is_not_written_through(index, store, tmp_path, name):
    copied(index, store.folder.as_uri())
    (tmp_path / "mine").mkdir()
    link = tmp_path / ".back.fetching" / name
    link.parent.mkdir(exist_ok=True)
    link.symlink_to(tmp_path / "mine", target_is_directory=True)
    with pytest.raises(OutputRefused, match="is a link"):
        copied(store.folder.as_uri(), tmp_path / "back")
    assert list((tmp_path / "mine").iterdir()) == []


def test_one_side_is_a_folder_and_the_other_an_address(tmp_path):
    for source, target in ((tmp_path, tmp_path), ("s3://a/b", "s3://a/c")):
        with pytest.raises(InvalidArgument, match="one of them"):
            copied(source, target)


def test_a_store_without_a_copy_is_said(store, tmp_path):
    with pytest.raises(IndexNotFound, match="no index"):
        copied(store.folder.as_uri(), tmp_path / "back")


@pytest.mark.slow
def test_nothing_is_lost_in_a_store_that_fails(index, faulty_store, tmp_path):
    faulty_store.every = 4
    store = BucketStorage("s3://shards/index", limit_s=1.0)
    sent = storing.store_index(index, store, RunContext())
    fetched = fetching.fetch_index(store, tmp_path / "back", RunContext())
    assert sent.transferred == fetched.transferred == sent.size
    assert contents(tmp_path / "back") == contents(index)
    assert {"refused", "late", "cut short on the way back"} <= {*faulty_store.counts}


def test_the_options_of_the_run_are_copied_only_from_a_file(index, store, tmp_path):
    """No checksum covers config.toml: a link in a stranger's index leads to any file."""
    secret, config = tmp_path / "secret", index / "config.toml"
    secret.write_text("password")
    config.write_text("[index]")
    assert copied(index, store.folder.as_uri()).files == 5
    for make in (
        lambda: config.symlink_to(secret),
        config.mkdir,
        lambda: os.mkfifo(config),
    ):
        config.unlink() if not config.is_dir() else config.rmdir()
        make()
        events: list[Event] = []
        other, context = FolderStorage(tmp_path / "other"), RunContext(listener=events.append)
        copy = copy_index(str(index), other.folder.as_uri(), context, overwrite=True)
        assert copy.files == 4
        assert any("config.toml" in e.text for e in events if isinstance(e, Noticed))
        blocks = [path.read_bytes() for path in other.folder.iterdir()]
        assert b"password" not in b"".join(blocks)


@pytest.mark.parametrize("overwrite", [True, False])
def test_a_file_of_another_program_in_the_store_is_kept(index, store, overwrite):
    store.write(LISTING, b'{"pages": []}')
    with pytest.raises(OutputRefused, match=r"holds index\.json, which rsretrieve did not write"):
        copied(index, store.folder.as_uri(), overwrite=overwrite)
    assert store.read(LISTING) == b'{"pages": []}'
    assert store.names() == [LISTING]


def test_a_damaged_listing_is_replaced_when_told(index, store):
    copied(index, store.folder.as_uri())
    content = store.read(LISTING) or b""
    store.write(LISTING, content[:-20])
    copied(index, store.folder.as_uri(), overwrite=True)
    assert store.read(LISTING) == content


def test_a_damaged_listing_counts_as_another_copy(index, store):
    copied(index, store.folder.as_uri())
    content = store.read(LISTING) or b""
    for damaged in (content[:-20], content.replace(b'"size": ', b'"size": 7')):
        store.write(LISTING, damaged)
        with pytest.raises(OutputExists, match="damaged copy") as caught:
            copied(index, store.folder.as_uri())
        assert "--overwrite" in caught.value.hint
        assert store.read(LISTING) == damaged


@pytest.mark.parametrize("more", ["?d", "#d", "?", "?a=1#b"])
def test_an_address_of_a_folder_has_no_query_and_no_fragment(index, store, tmp_path, more):
    address = store.folder.as_uri() + more
    with pytest.raises(InvalidArgument, match="query or a fragment") as caught:
        copied(index, address)
    assert "%3F" in caught.value.hint
    with pytest.raises(InvalidArgument, match="query or a fragment"):
        copied(address, tmp_path / "back")
    assert not store.folder.exists()
    odd = tmp_path / "a b#c?d"
    copied(index, odd.as_uri())
    assert (odd / LISTING).is_file()


def test_what_the_user_put_beside_an_index_that_is_fetched_is_kept(index, store, tmp_path):
    copied(index, store.folder.as_uri())
    mine = tmp_path / ".back.fetching" / "mine"
    mine.parent.mkdir()
    mine.touch()
    copied(store.folder.as_uri(), tmp_path / "back")
    assert list(mine.parent.iterdir()) == [mine]
