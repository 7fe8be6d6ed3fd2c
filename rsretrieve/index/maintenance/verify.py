"""Verify an index: checksums, counts, and that vector i belongs to the tile of row i."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from rsretrieve._core.knn import knn_search
from rsretrieve.data.access import TRUST_HINT
from rsretrieve.data.failures import Failure
from rsretrieve.data.file_state import FileStates
from rsretrieve.data.run_context import RunContext
from rsretrieve.data.tile import TileSet
from rsretrieve.errors import IndexDamaged
from rsretrieve.index.external.mapped_rows import first_repeated
from rsretrieve.index.store.checksums import find_wrong_files
from rsretrieve.index.store.folder import IndexStore, open_index
from rsretrieve.index.store.manifest import (
    MANIFEST_FILE,
    STORED_MODEL,
    Manifest,
    read_manifest,
)
from rsretrieve.index.store.stored_model import stored_model_problems
from rsretrieve.index.vectors.tune import COMPARED_BLOCK, evenly_spaced_rows

if TYPE_CHECKING:
    from rsretrieve.network.model import Model

FindModel = Callable[[Manifest], "Model | None"]
"""Loads the model of an index; None if it is not available."""

EMBEDDED_AGAIN, SEARCHED = 32, 256
SAME = 0.99  # another batch or device changes an embedding in its last bits
_NEARER = 1e-3  # so another row may be more similar than the tile's own by as much
_SAME_FOUND = 1 - 1e-4
_UNTOLD = (
    "no vector was compared with its tile: the file of embeddings does not say how the tiles were "
    "read (a file that an index was exported to says it)"
)
_FOUND_LEAST = 0.9  # share that an approximate index must find


class Compared(NamedTuple):
    """Of a sample of the tiles: how many vectors were compared, and why the others were not.

    Attributes:
        tiles: how many were embedded again and compared.
        changed: how many have changed or are missing.
        unread: those that are as they were and cannot be read.
    """

    tiles: int = 0
    changed: int = 0
    unread: tuple[Failure, ...] = ()


@dataclass(frozen=True)
class Verification:
    """The result of a verification; its fields are the keys of the command's JSON.

    Attributes:
        index: the index folder.
        sound: whether there is no problem.
        problems: one sentence per problem.
        tiles: number of tiles; None if that is unknown.
        embedded_again: number of sampled tiles that were embedded again and compared.
        changed_since: number of sampled tiles whose files changed, are missing or cannot be read;
            this is not damage, but an update is due.
        hint: what to do.
    """

    index: str
    sound: bool
    problems: tuple[str, ...]
    tiles: int | None
    embedded_again: int
    changed_since: int
    hint: str


def verify_index(
    folder: Path, find_model: FindModel, context: RunContext | None = None
) -> Verification:
    """Verify an index folder.

    Args:
        folder: the index folder.
        find_model: loads its model, to embed a sample of its tiles again.
        context: receives progress.

    Returns:
        The problems found.

    Raises:
        IndexNotFound: the folder holds no index.
    """
    context = context or RunContext()
    context.start_stage("checking files")
    problems = file_problems(folder)
    if problems:
        return _verification(folder, problems, None, Compared())
    store = open_index(folder)
    problems += content_problems(store)
    compared = Compared()
    is_comparable = not problems and store.manifest.tells_reading
    model = find_model(store.manifest) if is_comparable else None
    if model is not None:
        wrong, compared = find_misplaced_rows(store, model, context)
        problems += wrong
    hint = "" if store.manifest.tells_reading else _UNTOLD
    return _verification(folder, problems, store.manifest.tiles, compared, hint)


def _verification(
    folder: Path,
    problems: list[str],
    tiles: int | None,
    compared: Compared,
    hint: str = "",
) -> Verification:
    if problems:
        hint = (
            f"`rsretrieve index --repair --output {folder}` repairs what can be repaired; where "
            "all vectors are lost, it embeds the tiles again"
        )
    elif compared.changed:
        hint = "tiles changed since they were indexed: update the index with --update"
    elif compared.unread:
        hint = _why_unread(compared.unread)
    not_compared = compared.changed + len(compared.unread)
    found = tuple(problems)
    return Verification(str(folder), not problems, found, tiles, compared.tiles, not_compared, hint)


def _why_unread(unread: tuple[Failure, ...]) -> str:
    first = unread[0]
    if TRUST_HINT in first.reason:
        return (
            f"{len(unread)} sampled tiles are read only with --trust-sources, which this check "
            "does not take: their vectors were not compared"
        )
    return (
        f"{len(unread)} sampled tiles have not changed and cannot be read, so that their vectors "
        f"were not compared ({first.tile_id}: {first.reason})"
    )


def file_problems(folder: Path) -> list[str]:
    """Problems with the checksums of the files, or with opening them.

    Raises:
        IndexNotFound: the folder holds no index.
    """
    try:
        manifest = read_manifest(folder)
    except IndexDamaged as error:
        return [error.message]
    paths = {name: folder / name for name in manifest.sha256}
    wrong = find_wrong_files(paths, manifest.sha256, thorough=True)
    said = f"is not the file that {MANIFEST_FILE} describes"
    problems = [f"{paths[n]} {said if paths[n].exists() else 'is missing'}" for n in wrong]
    if manifest.has_stored_model and not problems:
        problems = stored_model_problems(folder / STORED_MODEL)
    if not problems:
        try:
            store = open_index(folder)
            store.open_vector_index()
        except IndexDamaged as error:
            problems = [error.message]
    return problems


def content_problems(store: IndexStore) -> list[str]:
    """Problems with the content of files whose checksums match."""
    return [*_table_problems(store), *_vector_problems(store), *_search_problems(store)]


def _table_problems(store: IndexStore) -> Iterator[str]:
    repeated = first_repeated(store.rows.columns.column("id"))
    if repeated is not None:
        yield f"{store.folder}: the id {repeated!r} occurs more than once in the id table"


def _vector_problems(store: IndexStore) -> Iterator[str]:
    vectors, wrong = store.vectors, 0
    for start in range(0, len(vectors), COMPARED_BLOCK):
        norms = np.linalg.norm(vectors[start : start + COMPARED_BLOCK], axis=1)
        wrong += int((~(np.abs(norms - 1) < 1e-3)).sum())  # also counts NaN
    if wrong:
        yield f"{store.folder}: {wrong} vectors are not of unit length"


def _search_problems(store: IndexStore) -> Iterator[str]:
    """A problem if searches for stored vectors do not find them, or equal ones."""
    rows = evenly_spaced_rows(len(store.vectors), SEARCHED)
    asked = np.array(store.vectors[rows])
    index = store.open_vector_index()
    _, found = index.search(asked, 1)
    like = np.einsum("sd,sd->s", asked, store.vectors[np.maximum(found[:, 0], 0)])
    share = float(((found[:, 0] >= 0) & (like >= _SAME_FOUND)).mean())
    if share < (1 if index.is_exact else _FOUND_LEAST):
        yield f"{store.folder}: a search finds only {share:.0%} of the vectors of the index"


def find_misplaced_rows(
    store: IndexStore, model: Model, context: RunContext
) -> tuple[list[str], Compared]:
    """Embed a sample of the tiles again, and compare the vectors with their rows.

    Args:
        store: the index.
        model: its model.
        context: receives progress.

    Returns:
        The problems; and how many tiles were compared.
    """
    # Imported here: it loads PyTorch, which is not needed without a model.
    from rsretrieve.index.common_packing import packing_of_index
    from rsretrieve.index.embed_tiles import embed_readable_tiles

    if model.description.fingerprint != store.manifest.model_fingerprint:
        return [f"{store.folder} was not built with {model.folder}"], Compared()
    rows = evenly_spaced_rows(len(store.rows), EMBEDDED_AGAIN)
    files = FileStates(store.rows[i].tile for i in rows.tolist())
    current = [i for i in rows.tolist() if store.rows[i].is_current(store.rows[i].tile, files)]
    tiles = TileSet(str(store.folder), tuple(store.rows[i].tile for i in current))
    packing = packing_of_index(store, model)
    quiet = RunContext(listener=context.report)
    embedded = embed_readable_tiles(model, tiles, quiet, packing=packing)
    nearest = knn_search(embedded.vectors, store.vectors, 1, gallery_block=COMPARED_BLOCK)
    row_of = {store.rows[i].id: i for i in current}
    problems = []
    for tile, vector, best in zip(embedded.tiles, embedded.vectors, nearest.similarities[:, 0]):
        similarity = float(vector @ store.vectors[row_of[tile.id]])
        if similarity < max(SAME, best - _NEARER):
            problems.append(
                f"{store.folder}: row {row_of[tile.id]} is not the vector of {tile.id} (their "
                f"similarity is {similarity:.3f})"
            )
    changed = len(rows) - len(current)
    return problems, Compared(len(embedded.tiles), changed, tuple(quiet.failures))
