"""`rsretrieve index` on an existing index: verify, repair, export."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

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
        upkeep.index,
        lambda manifest: upkeep.find_model(manifest, context),
        context,
        overwrite=upkeep.overwrite,
    )
    content = {**asdict(repair.after), "mended": list(repair.mended)}
    terminal.result(content, verification_text(repair.after, repair.mended))
    failed = terminal.failures(context.failures)
    return failed if repair.after.sound else EXIT_UNSOUND


@dataclass(frozen=True)
class Exports:
    """The files that an index is exported to; None for those not wanted.

    Attributes:
        parquet: GeoParquet with the embeddings.
        gpkg: GeoPackage or FlatGeobuf with the footprints.
        stac: a STAC collection that describes `parquet`.
    """

    parquet: Path | None = None
    gpkg: Path | None = None
    stac: Path | None = None

    @property
    def any(self) -> bool:
        """Whether a file is wanted."""
        return self.parquet is not None or self.gpkg is not None

    @property
    def files(self) -> dict[str, Path | None]:
        """The files by the options that name them."""
        return {"--export": self.parquet, "--gpkg": self.gpkg, "--stac": self.stac}

    def check(self) -> None:
        """Check that the options go together, before the work starts.

        Raises:
            typer.BadParameter: they do not.
            InvalidArgument: the suffix of `gpkg` is of another format.
        """
        if self.stac is not None and self.parquet is None:
            raise typer.BadParameter("--stac describes the file of --export, which is missing")
        if self.gpkg is not None:
            from rsretrieve.export.vector_files import check_suffix

            check_suffix(self.gpkg)


def export_index(
    upkeep: Upkeep, exports: Exports, terminal: Terminal, *, shown: bool = True
) -> int:
    """`index --export` and `--gpkg`. With `shown=False` notices are printed, not a result."""
    from rsretrieve.export.geoparquet import write_embeddings
    from rsretrieve.export.vector_files import write_tiles
    from rsretrieve.index.store.folder import open_index

    store, placed, lines = open_index(upkeep.index), 0, []
    count = len(store.rows)
    if exports.parquet is not None:
        placed = write_embeddings(
            exports.parquet, store, overwrite=upkeep.overwrite, stac=exports.stac
        )
        lines.append(f"{exports.parquet}: {count} embeddings, {placed} with a footprint")
    if exports.gpkg is not None:
        placed = write_tiles(exports.gpkg, store, overwrite=upkeep.overwrite)
        left_out = exports.gpkg.suffix.lower() == ".fgb" and placed < count
        more = f"; FlatGeobuf leaves out the other {count - placed}" * left_out
        lines.append(f"{exports.gpkg}: {placed} of {count} tiles have a footprint{more}")
    names = {"export": exports.parquet, "gpkg": exports.gpkg, "stac": exports.stac}
    content = {
        **{name: str(path) for name, path in names.items() if path is not None},
        "tiles": store.manifest.tiles,
        "dimensions": store.manifest.dimensions,
        "georeferenced": placed,
    }
    if shown:
        terminal.result(content, "\n".join(lines))
    else:
        terminal.notice(*lines)
    return 0
