"""`rsretrieve index` on an existing index: verify, repair, export."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rsretrieve.cli.terminal import Terminal

if TYPE_CHECKING:
    from rsretrieve.data.run_context import RunContext
    from rsretrieve.index.store.manifest import Manifest
    from rsretrieve.network.model import Model

EXIT_UNSOUND = 1


@dataclass(frozen=True)
class Upkeep:
    """An index folder, and the options that apply to it.

    Attributes:
        index: the index folder.
        model: the model folder, if the user gave one; otherwise the index names it.
        device: the device, as typed.
        overwrite: replace existing outputs.
        strict: stop at the first tile that cannot be read.
    """

    index: Path
    model: Path | None
    device: str
    overwrite: bool
    strict: bool

    def gpu(self) -> int | None:
        """The GPU for FAISS, or None. PyTorch is loaded only if there may be one."""
        from rsretrieve.index.vectors.faiss_loader import faiss_module, usable_gpu

        if self.device == "cpu" or (self.device == "auto" and not faiss_module().get_num_gpus()):
            return None
        from rsretrieve.network.device import choose_device

        return usable_gpu(str(choose_device(self.device)))

    def find_model(self, manifest: Manifest, context: RunContext) -> Model | None:
        """The model of an index; None if there is none, or if it cannot be loaded."""
        folder = self.model or manifest.model_path(self.index)
        if folder is None:
            return None
        from rsretrieve.errors import ModelError
        from rsretrieve.network.device import choose_device
        from rsretrieve.network.model_folder import load_model

        if self.model is not None:
            return load_model(self.model, choose_device(self.device), context)
        try:
            return load_model(folder, choose_device(self.device), context)
        except ModelError as error:
            context.notice(
                f"no tiles are embedded for comparison: {error} (give its path with --model)"
            )
            return None


def verify_index(upkeep: Upkeep, terminal: Terminal) -> int:
    """`index --verify`."""
    from rsretrieve.cli.io.result_tables import verification_text
    from rsretrieve.data.run_context import RunContext
    from rsretrieve.index.maintenance import verify

    context = RunContext(listener=terminal.listen)
    found = verify.verify_index(
        upkeep.index, lambda manifest: upkeep.find_model(manifest, context), context
    )
    terminal.result(asdict(found), verification_text(found))
    return 0 if found.sound else EXIT_UNSOUND


def repair_index(upkeep: Upkeep, terminal: Terminal) -> int:
    """`index --repair`."""
    from rsretrieve.cli.io.result_tables import verification_text
    from rsretrieve.data.run_context import RunContext
    from rsretrieve.index.maintenance import repair as repairing

    context = RunContext(strict=upkeep.strict, listener=terminal.listen)
    repair = repairing.repair_index(
        upkeep.index, lambda manifest: upkeep.find_model(manifest, context), context
    )
    content = {**asdict(repair.after), "mended": list(repair.mended)}
    terminal.result(content, verification_text(repair.after, repair.mended))
    failed = terminal.failures(context.failures)
    return failed if repair.after.sound else EXIT_UNSOUND


def export_index(upkeep: Upkeep, path: Path, terminal: Terminal, *, shown: bool = True) -> int:
    """`index --export`. With `shown=False` a notice is printed instead of a result."""
    from rsretrieve.export.geoparquet import write_embeddings
    from rsretrieve.index.store.folder import open_index

    store = open_index(upkeep.index)
    placed = write_embeddings(path, store, overwrite=upkeep.overwrite)
    content = {
        "export": str(path),
        "tiles": store.manifest.tiles,
        "dimensions": store.manifest.dimensions,
        "georeferenced": placed,
    }
    if shown:
        terminal.result(content, f"{path}: {len(store.rows)} embeddings, {placed} with a footprint")
    else:
        terminal.notice(f"{path}: {len(store.rows)} embeddings, {placed} with a footprint")
    return 0
