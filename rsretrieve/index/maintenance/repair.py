"""Repair an index folder from its intact files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rsretrieve._core.atomic_write import write_text
from rsretrieve._core.folders.known_folders import INDEX_FOLDER
from rsretrieve._core.locks import only_writer
from rsretrieve._core.regular_files import read_regular_text
from rsretrieve.data.run_context import RunContext
from rsretrieve.data.tile import TileSet
from rsretrieve.data.windowing import WindowChoices
from rsretrieve.errors import RsretrieveError
from rsretrieve.index.build import index_tiles
from rsretrieve.index.compatibility import require_same_model
from rsretrieve.index.journal import Journal
from rsretrieve.index.maintenance.salvage import (
    beyond_repair,
    read_damaged_manifest,
    require_files,
    verified_windows,
)
from rsretrieve.index.maintenance.verify import (
    FindModel,
    Verification,
    content_problems,
    file_problems,
    find_misplaced_rows,
    verify_index,
)
from rsretrieve.index.store.checksums import find_wrong_files
from rsretrieve.index.store.folder import IndexContent, IndexStore, map_stored_vectors
from rsretrieve.index.store.manifest import (
    CONFIG_FILE,
    FAISS_FILE,
    MANIFEST_FILE,
    SKIPPED_FILE,
    STORED_MODEL,
    STORED_MODEL_FILE,
    TABLE_FILE,
    VECTORS_FILE,
    Manifest,
    has_config,
    read_manifest,
)
from rsretrieve.index.store.stored_model import stored_model_problems
from rsretrieve.index.store.tile_table import IndexedTile, read_table
from rsretrieve.index.vectors.vector_index import VectorIndex
from rsretrieve.index.write import IndexBuildOptions, write_index


@dataclass(frozen=True)
class Repair:
    """The result of a repair.

    Attributes:
        mended: what was rebuilt, and from what; empty if nothing was wrong.
        after: the result of a verification afterwards.
    """

    mended: tuple[str, ...]
    after: Verification


def repair_index(
    folder: Path, find_model: FindModel, context: RunContext, *, overwrite: bool = False
) -> Repair:
    """Repair an index folder.

    The FAISS index is rebuilt from the stored vectors. The vectors are taken from a flat FAISS
    index, or the tiles of the id table are embedded again. The manifest is rewritten if all other
    files are intact. Without the id table, the tile of a vector is unknown, and the index must be
    built again.

    Args:
        folder: the index folder.
        find_model: loads the model of the index.
        context: receives the tiles that cannot be read, notices and progress.
        overwrite: where tiles must be embedded again, drop those whose files are not there.

    Returns:
        What was rebuilt, and a verification of the result.

    Raises:
        IndexNotFound: the folder holds no index.
        IndexDamaged: the index cannot be repaired, or not without dropping tiles.
        OutputBusy: another run is writing this index.
    """
    config = _config_of(folder)
    try:
        with only_writer(folder, INDEX_FOLDER):
            mended = _repair_files(folder, find_model, context)
        if mended is None:  # takes the lock itself
            mended = _embed_again(folder, find_model, context, overwrite=overwrite)
    except (ValueError, TypeError, KeyError) as error:  # from the content of a file
        if isinstance(error, RsretrieveError):
            raise
        raise beyond_repair(folder, str(error)) from error
    if config is not None and not (folder / CONFIG_FILE).exists():
        write_text(folder / CONFIG_FILE, config, overwrite=False, follow=False)
    return Repair(mended, verify_index(folder, find_model, context))


def _repair_files(
    folder: Path, find_model: FindModel, context: RunContext
) -> tuple[str, ...] | None:
    """Repair without reading all tiles; None if all tiles must be embedded again."""
    context.start_stage("checking files")
    if not file_problems(folder):
        return _check_content(folder, find_model, context)
    manifest, sealed = read_damaged_manifest(folder)
    paths = {name: folder / name for name in manifest.sha256}
    wrong = set(find_wrong_files(paths, manifest.sha256, thorough=True))
    if TABLE_FILE in wrong:
        raise beyond_repair(folder, f"{TABLE_FILE} is damaged: the tile of each vector is unknown")
    if not sealed:
        if wrong:
            raise beyond_repair(folder, f"{MANIFEST_FILE} and {sorted(wrong)[0]} are both damaged")
        return _rewrite_manifest(folder, manifest, find_model, context)
    if _has_damaged_model(folder, manifest, wrong):
        return _replace_stored_model(folder, manifest, find_model, context, wrong)
    return _repair_vectors(folder, manifest, context, wrong)


def _repair_vectors(
    folder: Path, manifest: Manifest, context: RunContext, wrong: set[str]
) -> tuple[str, ...] | None:
    """Rebuild what follows from the stored vectors; None if they are lost."""
    mended = f"{FAISS_FILE} from {VECTORS_FILE}"
    if wrong == {SKIPPED_FILE}:
        mended = f"{SKIPPED_FILE} left out: an update reads those windows again"
    path = folder / VECTORS_FILE
    if VECTORS_FILE in wrong:
        path, mended = folder / FAISS_FILE, f"{VECTORS_FILE} from {FAISS_FILE}"
        if FAISS_FILE in wrong or not VectorIndex.read(path, mapped=True).is_exact:
            return None
    skipped = () if SKIPPED_FILE in wrong else _opened(folder, manifest).skipped
    _rebuild(folder, manifest, path, context, skipped)
    return (mended,)


def _has_damaged_model(folder: Path, manifest: Manifest, wrong: set[str]) -> bool:
    """Whether the model in the index folder is damaged, with the other files that are."""
    if not manifest.has_stored_model:
        return False
    return STORED_MODEL_FILE in wrong or bool(stored_model_problems(folder / STORED_MODEL))


def _replace_stored_model(
    folder: Path,
    manifest: Manifest,
    find_model: FindModel,
    context: RunContext,
    wrong: set[str],
) -> tuple[str, ...]:
    """Replace the model in the index folder by another copy of it that the user has."""
    model = find_model(manifest)
    if model is None or stored_model_problems(model.folder):
        raise beyond_repair(
            folder,
            f"its model ({STORED_MODEL}) is damaged; give another copy of it with --model DIR",
        )
    require_same_model(folder, manifest, model)
    if wrong - {STORED_MODEL_FILE}:
        raise beyond_repair(folder, f"{STORED_MODEL} and {sorted(wrong)[0]} are both damaged")
    skipped = _opened(folder, manifest).skipped
    _rebuild(folder, manifest, folder / VECTORS_FILE, context, skipped, model.folder)
    return (f"{STORED_MODEL} from {model.folder}",)


def _check_content(
    folder: Path, find_model: FindModel, context: RunContext
) -> tuple[str, ...] | None:
    """All checksums match: nothing to repair, unless the content is wrong."""
    store = _opened(folder, read_manifest(folder))
    model = find_model(store.manifest) if store.manifest.tells_reading else None
    problems = content_problems(store)
    if not problems and model is not None:
        problems, _ = find_misplaced_rows(store, model, context)
    if problems:
        return None
    _discard_finished_journal(store)
    return ()


def _discard_finished_journal(store: IndexStore) -> None:
    """Remove the journal of a run that was killed after it had written the index.

    The journal of an interrupted update, with tiles that the index lacks, is kept. So is that of
    any other run, such as one with another model that is to replace the index.
    """
    manifest = store.manifest
    facts = manifest.model_fingerprint, manifest.dimensions, manifest.windows, manifest.packing
    journal = Journal(store.folder, *facts)
    result = set(store.rows.column("id"))
    found = journal.read()
    if found.length and all(row.id in result for row in found.rows):
        journal.discard()


def _opened(folder: Path, manifest: Manifest) -> IndexStore:
    return IndexStore(folder, manifest, read_table(folder / TABLE_FILE))


def _rewrite_manifest(
    folder: Path, manifest: Manifest, find_model: FindModel, context: RunContext
) -> tuple[str, ...]:
    """Rewrite the manifest: the files are intact, and a sample confirms their model."""
    model = find_model(manifest)
    if model is None:
        raise beyond_repair(
            folder,
            f"{MANIFEST_FILE} is damaged, and the model is not available to confirm the vectors",
        )
    vectors = VectorIndex.read(folder / FAISS_FILE, mapped=True)
    counted = replace(
        manifest,
        tiles=len(vectors),
        dimensions=vectors.dimensions,
        model_fingerprint=model.description.fingerprint,
    )
    problems, compared = find_misplaced_rows(_opened(folder, counted), model, context)
    if problems or not compared.tiles:
        raise beyond_repair(
            folder, f"{MANIFEST_FILE} is damaged, and {model.folder} is not its model"
        )
    whole = replace(
        counted,
        model=manifest.model if manifest.has_stored_model else str(model.folder.resolve()),
        provenance={},
        goal={},
        search={},
        windows=verified_windows(manifest.windows, read_table(folder / TABLE_FILE)),
    )
    skipped = _opened(folder, manifest).skipped if whole.windows else ()
    _rebuild(folder, whole, folder / VECTORS_FILE, context, skipped)
    return (f"{MANIFEST_FILE} from the other files and the model",)


def _rebuild(
    folder: Path,
    manifest: Manifest,
    source: Path,
    context: RunContext,
    skipped: Sequence[IndexedTile] = (),
    model: Path | None = None,
) -> None:
    """Rebuild the index from the stored vectors, or from a flat FAISS index."""
    if source.name == FAISS_FILE:
        vectors = VectorIndex.read(source).reconstruct()
    else:
        vectors = map_stored_vectors(source, manifest)
    if vectors is None or len(vectors) != manifest.tiles:
        raise beyond_repair(folder, f"{source.name} does not hold the vectors")
    if manifest.has_stored_model:
        model = model or folder / STORED_MODEL
    rows, facts = read_table(folder / TABLE_FILE), manifest.content_facts
    content = IndexContent(rows, vectors, facts, skipped, model)
    write_index(content, IndexBuildOptions(folder, overwrite=True, repaired=manifest), context)


def _config_of(folder: Path) -> str | None:
    """The options of the run that made the index; None if they are not there."""
    if not has_config(folder):
        return None
    try:
        return read_regular_text(folder / CONFIG_FILE)
    except (OSError, ValueError):
        return None


def _embed_again(
    folder: Path, find_model: FindModel, context: RunContext, *, overwrite: bool
) -> tuple[str, ...]:
    """Embed the tiles of the id table again: the vectors are lost in both files."""
    manifest = read_manifest(folder)
    if not manifest.tells_reading:
        why = "the file that they came from does not say how the tiles were read"
        raise beyond_repair(folder, f"its vectors are damaged, and {why}")
    model = find_model(manifest)
    if model is None:
        raise beyond_repair(
            folder, "its vectors are damaged, and the model is not available to compute them again"
        )
    require_same_model(folder, manifest, model)
    rows = read_table(folder / TABLE_FILE)
    if not overwrite:
        require_files(folder, rows)
    context.notice(f"the vectors are damaged: {len(rows)} tiles are embedded again")
    choices = WindowChoices.from_json(manifest.windows)
    tiles = TileSet(str(folder), tuple(row.tile for row in rows), windows=choices)
    stored = manifest.has_stored_model
    index_tiles(
        *(model, tiles, folder, context), overwrite=True, store_model=stored, repaired=manifest
    )
    return ("all vectors from the tiles that the table names",)
