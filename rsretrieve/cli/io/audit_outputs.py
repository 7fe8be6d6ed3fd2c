"""What `audit-labels` writes, each file where it was asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

from rsretrieve.data.run_context import RunContext
from rsretrieve.export.output_paths import OutputPaths

if TYPE_CHECKING:  # heavy stations, which `--help` never loads
    from rsretrieve.audit.result import Audit
    from rsretrieve.audit.review import Decided
    from rsretrieve.cli.io.audit_inputs import Judge
    from rsretrieve.data.tile import TileSet


@dataclass(frozen=True)
class AuditOutputs:
    """The options of `audit-labels` that say what to write; None for what is not wanted."""

    output: Path | None
    page: Path | None
    fixed_labels: Path | None
    changes: Path | None
    fiftyone: Path | None
    label_studio: Path | None
    geojson: Path | None
    noise_matrix: Path | None
    overwrite: bool

    @property
    def of_labels(self) -> bool:
        """Something is wanted that decisions alone can fill."""
        return self.fixed_labels is not None or self.changes is not None

    @property
    def of_an_audit(self) -> bool:
        """Something is wanted that only an audit can fill."""
        return any(path is not None for path in self._audit_files)

    @property
    def _audit_files(self) -> tuple[Path | None, ...]:
        tables = (self.output, self.fiftyone, self.label_studio, self.geojson, self.noise_matrix)
        return (*tables, self.page)

    def paths(self, inputs: Mapping[str, str | Path | None]) -> OutputPaths:
        """What is written, beside what is read."""
        files = {
            f"--{each.name.replace('_', '-')}": getattr(self, each.name)
            for each in fields(self)
            if each.name != "overwrite"
        }
        return OutputPaths(files, inputs=inputs, overwrite=self.overwrite)

    def write_decided(self, decided: Decided) -> None:
        """Write the labels as people decided, and the log of it."""
        from rsretrieve.audit.review import labels_of, write_changes
        from rsretrieve.data.labels.labels import write_labels

        if self.fixed_labels is not None:
            write_labels(self.fixed_labels, labels_of(decided.tiles), overwrite=self.overwrite)
        if self.changes is not None:
            write_changes(self.changes, decided.changes, overwrite=self.overwrite)

    def write_suggested(self, audit: Audit, tiles: TileSet) -> list[str]:
        """Write the labels as the audit suggests, and the log of it; return what was done.

        Tiles that were not audited, such as those that cannot be read, stay as they are given.
        """
        from rsretrieve.audit.review import labels_of, suggested_changes, write_changes
        from rsretrieve.data.labels.labels import write_labels

        if self.fixed_labels is not None:
            labels = {**labels_of(tiles), **audit.fixed_labels()}
            write_labels(self.fixed_labels, labels, overwrite=self.overwrite)
        changes = suggested_changes(audit)
        if self.changes is not None:
            write_changes(self.changes, changes, overwrite=self.overwrite)
        if not self.of_labels:
            return []
        done = f"of {len(audit.tiles)} labels {len(changes)} are changed as suggested"
        if left := len(audit.issues) - len(changes):
            done += f"; {left} more are thought wrong and stay: no other label is clear"
        if unjudged := len(tiles.labelled()) - len(audit.tiles):
            done += f"; {unjudged} that were not audited stay"
        return [done]

    def write(self, audit: Audit, tiles: TileSet, judge: Judge, context: RunContext) -> list[str]:
        """Write tables and the page; return what the user should know about them."""
        from rsretrieve.export.annotation_tools import write_samples_csv
        from rsretrieve.export.html.page import PageRequest, write_audit_page
        from rsretrieve.export.results import write_audit_csv, write_noise_matrix

        if self.output is not None:
            write_audit_csv(self.output, audit, overwrite=self.overwrite)
        if self.noise_matrix is not None and audit.noise_matrix is not None:
            write_noise_matrix(self.noise_matrix, audit.noise_matrix, overwrite=self.overwrite)
        if self.fiftyone is not None:
            write_samples_csv(self.fiftyone, audit, tiles, overwrite=self.overwrite)
        if self.page is not None:
            request = PageRequest(audit, tiles.source, judge.bands, judge.compares_pixels)
            write_audit_page(self.page, request, overwrite=self.overwrite, context=context)
        return [*self._write_label_studio(audit), *self._write_geojson(audit)]

    def _write_label_studio(self, audit: Audit) -> list[str]:
        from rsretrieve.export.annotation_tools import write_label_studio

        if self.label_studio is None:
            return []
        root = write_label_studio(self.label_studio, audit, overwrite=self.overwrite)
        told = f"Label Studio finds the images with LOCAL_FILES_DOCUMENT_ROOT={root}"
        return [told] * (root is not None)

    def _write_geojson(self, audit: Audit) -> list[str]:
        from rsretrieve.export.annotation_tools import write_issues_geojson

        if self.geojson is None:
            return []
        placed = write_issues_geojson(self.geojson, audit, overwrite=self.overwrite)
        unplaced = len(audit.to_check) - placed
        return [f"{unplaced} tiles have no known place: null in {self.geojson}"] * bool(unplaced)
