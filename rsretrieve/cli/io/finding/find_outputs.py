"""The files that `rsretrieve find` writes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from rsretrieve._core.standard_output import is_standard_output
from rsretrieve.cli.io.query_outputs import bands_of
from rsretrieve.cli.terminal import Terminal
from rsretrieve.export.output_paths import OutputPaths

if TYPE_CHECKING:
    from rsretrieve.index.store.folder import IndexStore
    from rsretrieve.search.finding.find_kind import FoundKind
    from rsretrieve.search.finding.find_run import FindRun
    from rsretrieve.search.finding.proposals import Proposal


@dataclass(frozen=True)
class FindOutputs:
    """The files to write; None for those not wanted.

    Attributes:
        asks: the picture is written again in each round (--ask).
        trusted: files that the shown tiles refer to are opened, too (--trust-sources).
    """

    output: Path | None
    geojson: Path | None
    geoparquet: Path | None
    labels: Path | None
    label: str
    proposals: Path | None
    sheet: Path | None
    session: Path | None
    overwrite: bool
    trusted: bool
    asks: bool

    @property
    def session_path(self) -> Path:
        """The session, which is written without --overwrite: it keeps what it has.

        Raises:
            typer.BadParameter: neither the session nor the output is named.
        """
        path = self.session
        if path is None and self.output is not None and not is_standard_output(self.output):
            path = self.output.with_suffix(".session.json")
        if path is None or is_standard_output(path):
            raise typer.BadParameter(
                "give --session FILE, or --output FILE: examples and answers are kept in a file",
                param_hint="--session",
            )
        return path

    def paths(self, inputs: Mapping[str, str | Path | None]) -> OutputPaths:
        """The output paths, to be checked against the inputs."""
        read = {**inputs, "--session": self.session_path}
        return OutputPaths(self._files, inputs=read, overwrite=self.overwrite)

    @property
    def _files(self) -> dict[str, Path | None]:
        return {
            "--output": self.output,
            "--geojson": self.geojson,
            "--geoparquet": self.geoparquet,
            "--labels": self.labels,
            "--proposals": self.proposals,
            "--sheet": self.sheet,
        }

    def check_session(self, inputs: Mapping[str, str | Path | None]) -> None:
        """Check that the session is no input, no other output and in no index or model folder."""
        files = {**self._files, "--session": self.session_path}
        OutputPaths(files, inputs=inputs, overwrite=True).check()

    def write(
        self,
        store: IndexStore,
        run: FindRun,
        found: FoundKind,
        shown: Sequence[Proposal],
        terminal: Terminal,
    ) -> None:
        """Write all wanted files."""
        from rsretrieve.export.found.found_tiles import (
            found_table,
            write_kind_labels,
            write_proposals,
        )
        from rsretrieve.export.found.placed_table import write_placed_files

        session, table = run.finder.session, found_table(store, found, run.finder.session)
        write_placed_files(
            table, self.output, self.geojson, self.geoparquet, overwrite=self.overwrite
        )
        if table.unplaced and (self.geojson or self.geoparquet):
            terminal.notice(
                f"{table.unplaced} found tiles have no georeference; their geometry is null"
            )
        if self.labels is not None:
            name = self.label
            write_kind_labels(self.labels, store, found, session, name, overwrite=self.overwrite)
        if self.proposals is not None:
            write_proposals(self.proposals, store, shown, overwrite=self.overwrite)
        self.write_sheet(store, shown)

    def write_sheet(self, store: IndexStore, shown: Sequence[Proposal]) -> None:
        """Write the picture of the tiles to look at, if it is wanted."""
        if self.sheet is None:
            return
        from rsretrieve.export.found.found_tiles import write_proposal_sheet

        bands = bands_of(store.manifest.model_path(store.folder))
        overwrite = self.overwrite or self.asks
        write_proposal_sheet(
            self.sheet, store, shown, bands, overwrite=overwrite, trusted=self.trusted
        )
