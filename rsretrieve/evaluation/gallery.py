"""The labelled tiles of an index: each content once, and why other tiles are left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from rsretrieve._core.paths import storable
from rsretrieve._core.text import some_of
from rsretrieve.data.discovery.image_areas import areas_of
from rsretrieve.data.file_state import FileStates
from rsretrieve.data.run_context import RunContext
from rsretrieve.data.tile import Tile
from rsretrieve.data.window import window_text
from rsretrieve.errors import LabelsError
from rsretrieve.index.store.folder import IndexStore

_Key = tuple[str, str]
"""A content or a path, and the window."""


@dataclass(frozen=True)
class LeftOut:
    """How many tiles the figures do not count, by reason.

    Attributes:
        gallery_without_label: tiles of the index without a label; with true labels, without one
            of these.
        gallery_copies: tiles of the index with the content of another tile of the same label.
        gallery_contradicting: tiles of the index with one content and different labels.
        queries_without_label: queries without a label.
        queries_copies: queries with the content of another query of the same label.
        queries_contradicting: queries with one content and different labels.
        queries_without_relevant: queries without a tile of their label in the gallery.
    """

    gallery_without_label: int = 0
    gallery_copies: int = 0
    gallery_contradicting: int = 0
    queries_without_label: int = 0
    queries_copies: int = 0
    queries_contradicting: int = 0
    queries_without_relevant: int = 0


@dataclass(frozen=True)
class Gallery:
    """The tiles that are searched.

    Attributes:
        vectors: (N, D) float32, unit rows.
        labels: N labels.
        left_out: the tiles of the index that are not among them.
        contents: the row by content and window; of tiles whose content is known.
        paths: the row, and whether its content is known, by path and window.
    """

    vectors: NDArray[np.float32]
    labels: list[str]
    left_out: LeftOut
    contents: Mapping[_Key, int]
    paths: Mapping[_Key, tuple[int, bool]]

    def rows_of(self, tiles: Sequence[Tile], files: FileStates) -> list[int]:
        """The rows that show the same image as each tile; −1 if there is none.

        The content decides. Only where one of them has no known content, the path does. A window
        that covers its whole file is the same as the file.
        """
        contents = [_content(tile, files) for tile in tiles]
        by_content = _found(self.contents, contents, tiles, -1)
        paths = [tile.location.absolute() for tile in tiles]
        by_path = _found(self.paths, paths, tiles, (-1, False))
        rows = []
        for content, row, (at_path, is_known) in zip(contents, by_content, by_path):
            rows.append(row if row >= 0 else -1 if content and is_known else at_path)
        return rows


_T = TypeVar("_T")


def _found(
    known: Mapping[_Key, _T], names: Sequence[str], tiles: Sequence[Tile], nothing: _T
) -> list[_T]:
    """What is known of the file and area of each tile.

    Args:
        known: by file and window.
        names: N files by content or path; empty if unknown.
        tiles: N tiles.
        nothing: stands for what is not known.
    """
    tile_of = dict(zip(names, tiles))
    there = [key for key in known if key[0] in tile_of]
    asked = [(name, _window(tile)) for name, tile in zip(names, tiles)]
    areas = areas_of([*there, *asked], tile_of.__getitem__)
    by_area = {(key[0], area): known[key] for key, area in zip(there, areas)}
    asked_areas = zip(names, areas[len(there) :])
    return [by_area.get(key, nothing) if key[0] else nothing for key in asked_areas]


def _content(tile: Tile, files: FileStates) -> str:
    """The digest of a tile's file; empty if it is not known."""
    return files.content(tile.path).file if tile.location.local_files else ""


def labelled_gallery(
    store: IndexStore, true_labels: Mapping[str, str] | None, context: RunContext
) -> Gallery:
    """The labelled tiles of an index; a content that several tiles have counts once.

    Args:
        store: the index.
        true_labels: tile id → label; None for the labels in the index.
        context: receives a notice of how many tiles are left out.

    Raises:
        LabelsError: there is no label, or one class only.
    """
    rows = _Rows.of(store)
    known = _known_labels(store, rows.ids, true_labels, context)
    groups = rows.grouped(known, lambda row: store.rows[row].tile)
    agreeing = [group for group in groups if len({known[rows.ids[row]] for row in group}) == 1]
    left_out = _left_out(len(rows.ids), groups, agreeing)
    _notice_left_out(left_out, context, by_truth=true_labels is not None)
    kept = [group[0] for group in agreeing]
    labels = [known[rows.ids[row]] for row in kept]
    _require_two_classes(store, labels)
    contents, paths = _places(rows, agreeing)
    vectors = np.ascontiguousarray(store.vectors[kept])
    return Gallery(vectors, labels, left_out, contents, paths)


def _left_out(tiles: int, groups: list[list[int]], agreeing: list[list[int]]) -> LeftOut:
    labelled, told = sum(map(len, groups)), sum(map(len, agreeing))
    return LeftOut(
        gallery_without_label=tiles - labelled,
        gallery_copies=told - len(agreeing),
        gallery_contradicting=labelled - told,
    )


def _places(
    rows: _Rows, groups: list[list[int]]
) -> tuple[dict[_Key, int], dict[_Key, tuple[int, bool]]]:
    """See `Gallery.contents` and `Gallery.paths`; the place of a group is its position."""
    contents: dict[_Key, int] = {}
    paths: dict[_Key, tuple[int, bool]] = {}
    for place, group in enumerate(groups):
        for row in group:
            if rows.contents[row]:
                contents[rows.by_content(row)] = place
            if rows.names_file(row):
                paths[rows.by_path(row)] = (place, bool(rows.contents[row]))
    return contents, paths


@dataclass(frozen=True)
class _Rows:
    """The columns of the id table that identify a tile.

    Attributes:
        shared: paths that several tiles from elsewhere have: the path of a scene for each of its
            tiles, for example.
    """

    ids: list[str]
    paths: list[str]
    contents: list[str | None]
    shared: frozenset[_Key]

    @classmethod
    def of(cls, store: IndexStore) -> _Rows:
        ids, paths, contents = (store.rows.column(name) for name in ("id", "path", "content"))
        named = Counter(map(_path_key, paths, ids)) if store.manifest.provenance else {}
        shared = frozenset(key for key, count in named.items() if count > 1)
        return cls(ids, paths, contents, shared)

    def names_file(self, row: int) -> bool:
        """Whether the path and the window in the id say which image it is."""
        return bool(self.paths[row]) and self.by_path(row) not in self.shared

    def by_content(self, row: int) -> _Key:
        return str(self.contents[row]), window_text(self.ids[row])

    def by_path(self, row: int) -> _Key:
        return _path_key(self.paths[row], self.ids[row])

    def grouped(self, labels: Mapping[str, str], tile_at: Callable[[int], Tile]) -> list[list[int]]:
        """The labelled rows, those with the same image together, each group sorted by id."""
        rows = [row for row, tile_id in enumerate(self.ids) if tile_id in labels]
        keys = [self._key(row) for row in rows]
        first = dict(zip((file for file, _ in reversed(keys)), reversed(rows)))
        areas = areas_of(keys, lambda file: tile_at(first[file]))
        groups: dict[_Key, list[int]] = {}
        for row, (file, _), area in zip(rows, keys, areas):
            groups.setdefault((file, area), []).append(row)
        return [sorted(group, key=self.ids.__getitem__) for group in groups.values()]

    def _key(self, row: int) -> _Key:
        if self.contents[row]:
            content, window = self.by_content(row)
            return f"content {content}", window
        if self.names_file(row):
            path, window = self.by_path(row)
            return f"path {path}", window
        return f"id {self.ids[row]}", ""


def _path_key(path: str, tile_id: str) -> _Key:
    return storable(path), window_text(tile_id)


def _window(tile: Tile) -> str:
    return "" if tile.window is None else str(tile.window)


def _known_labels(
    store: IndexStore,
    ids: Sequence[str],
    true_labels: Mapping[str, str] | None,
    context: RunContext,
) -> dict[str, str]:
    """The labels by tile id; tiles without one are missing."""
    if true_labels is None:
        labels = store.rows.column("label")
        known = {tile_id: label for tile_id, label in zip(ids, labels) if label is not None}
        if not known:
            raise LabelsError(
                f"no tile of {store.folder} has a label",
                hint="index tiles in class sub-folders, or with --labels, or give --truth FILE",
            )
        return known
    known = {tile_id: true_labels[tile_id] for tile_id in ids if tile_id in true_labels}
    if not known:
        raise LabelsError(
            f"the file of true labels names none of the {len(ids)} tiles of {store.folder} "
            f"(it names {some_of(true_labels)}; the tiles are {some_of(ids)})",
            hint="its column 'tile' holds the ids of the index, as in `query --json`",
        )
    if absent := len(true_labels) - len(known):
        context.notice(f"the file of true labels names {absent} tiles that are not in the index")
    return known


def _notice_left_out(left_out: LeftOut, context: RunContext, *, by_truth: bool) -> None:
    kind = "true label" if by_truth else "label"
    if count := left_out.gallery_without_label:
        context.notice(f"{count} tiles of the index have no {kind} and are left out")
    if count := left_out.gallery_copies:
        context.notice(
            f"{count} tiles of the index have the content of another tile and are left out"
        )
    if count := left_out.gallery_contradicting:
        context.notice(
            f"{count} tiles of the index are copies of one another with different labels and are "
            "left out"
        )


def _require_two_classes(store: IndexStore, labels: Sequence[str]) -> None:
    names = set(labels)
    if len(names) > 1:
        return
    if not names:
        raise LabelsError(
            f"no tile of {store.folder} has a label that its copies have, too",
            hint="correct the labels of the copies: audit-labels lists them",
        )
    raise LabelsError(
        f"all {len(labels)} labelled tiles of {store.folder} have the label {labels[0]!r}: every "
        "hit would count as relevant",
        hint="retrieval is measured with at least two classes; class sub-folders are the labels, "
        "or give --truth FILE",
    )
