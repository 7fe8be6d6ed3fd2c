"""The files that `audit-labels` writes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from rsretrieve.data.run_context import RunContext
from rsretrieve.export.output_paths import OutputPaths

if TYPE_CHECKING:  # heavy modules, which `--help` does not load
    from rsretrieve.audit.leaks.find_leaks import FoundLeaks
    from rsretrieve.audit.result import Audit
    from rsretrieve.audit.review import ReviewedTiles
    from rsretrieve.cli.io.audit_inputs import AuditSource, AuditTiles
    from rsretrieve.data.tile import TileSet
    from rsretrieve.export.html.page_request import ReviewSettings


@dataclass(frozen=True)
class AuditOutputs:
    """The options of `audit-labels` that name output files; None for those not given.

    Attributes:
        page_tiles: largest number of tiles on the page.
        overwrite: replace existing files.
    """

    output: Path | None
    page: Path | None
    page_tiles: int
    fixed_labels: Path | None
    changes: Path | None
    fiftyone: Path | None
    label_studio: Path | None
    geojson: Path | None
    noise_matrix: Path | None
    leaks: Path | None
    overwrite: bool

    @property
    def has_labels(self) -> bool:
        """Whether a file is requested that decisions alone can provide."""
        return self.fixed_labels is not None or self.changes is not None

    def check_fix_precision(self, precision: float | None, decisions: Sequence[Path]) -> None:
        """Refuse a precision of fixed labels where no label is fixed by a suggestion.

        Raises:
            typer.BadParameter: no such file is requested, or decisions are applied instead.
        """
        if precision is not None and (not self.has_labels or decisions):
            raise typer.BadParameter(
                "--fix-precision needs --fixed-labels or --changes, and does not go with "
                "--decisions"
            )

    @property
    def has_findings(self) -> bool:
        """Whether a file is requested that needs an audit."""
        return any(path is not None for path in self._audit_files)

    @property
    def _audit_files(self) -> tuple[Path | None, ...]:
        tables = (self.output, self.fiftyone, self.label_studio, self.geojson, self.noise_matrix)
        return (*tables, self.page, self.leaks)

    def paths(self, inputs: Mapping[str, str | Path | None]) -> OutputPaths:
        """The output files, to be checked against the inputs."""
        files = {
            f"--{each.name.replace('_', '-')}": getattr(self, each.name)
            for each in fields(self)
            if each.name not in ("overwrite", "page_tiles")
        }
        return OutputPaths(files, inputs=inputs, overwrite=self.overwrite)

    def write_reviewed(self, reviewed: ReviewedTiles) -> None:
        """Write the labels with the decisions applied, and the log."""
        from rsretrieve.audit.review import labels_of, write_changes
        from rsretrieve.data.labels.decided_rows import write_labels

        if self.fixed_labels is not None:
            labels, tiles = labels_of(reviewed.tiles), reviewed.tiles
            write_labels(self.fixed_labels, labels, overwrite=self.overwrite, tiles=tiles)
        if self.changes is not None:
            write_changes(self.changes, reviewed.changes, overwrite=self.overwrite)

    def write_suggested(self, audit: Audit, tiles: TileSet) -> list[str]:
        """Write the labels with the confident suggestions applied, and the log.

        Tiles that were not audited, such as unreadable ones, keep their given label.

        Returns:
            Notices that say how many labels changed; empty if no file is requested.
        """
        from rsretrieve.audit.review import labels_of, suggested_changes, write_changes
        from rsretrieve.data.labels.decided_rows import write_labels

        if self.fixed_labels is not None:
            labels = {**labels_of(tiles), **audit.fixed_labels()}
            write_labels(self.fixed_labels, labels, overwrite=self.overwrite, tiles=tiles)
        changes = suggested_changes(audit)
        if self.changes is not None:
            write_changes(self.changes, changes, overwrite=self.overwrite)
        if not self.has_labels:
            return []
        done = f"{len(audit.issues)} of {len(audit.table)} labels flagged: {len(changes)} fixed, "
        done += f"{len(audit.issues) - len(changes)} left for a person"
        if audit.noise_rate is None:
            done += "; none is fixed, because the noise rate cannot be determined"
        if unaudited := len(tiles.labelled()) - len(audit.table):
            done += f"; {unaudited} labels that were not audited kept"
        return [done]

    def write(
        self, audit: Audit, found: AuditTiles, source: AuditSource, context: RunContext
    ) -> list[str]:
        """Write the tables and the page.

        Returns:
            Notices for the user.
        """
        from rsretrieve.export.annotation_tools import stack_notice, write_samples_csv
        from rsretrieve.export.html.page import write_audit_page
        from rsretrieve.export.html.page_request import PageRequest
        from rsretrieve.export.results import write_audit_csv, write_noise_matrix

        if self.output is not None:
            write_audit_csv(self.output, audit, overwrite=self.overwrite)
        if self.noise_matrix is not None and audit.noise_matrix is not None:
            write_noise_matrix(self.noise_matrix, audit.noise_matrix, overwrite=self.overwrite)
        if self.fiftyone is not None:
            write_samples_csv(self.fiftyone, audit, found.tiles, overwrite=self.overwrite)
        if self.page is not None:
            bands, by_pixels = source.bands, source.compares_pixels
            review = _review_settings(found)
            request = PageRequest(
                *(audit, found.tiles.source, bands, by_pixels, self.page_tiles),
                review=review,
                models=source.models,
            )
            write_audit_page(self.page, request, overwrite=self.overwrite, context=context)
        exported = self.fiftyone is not None or self.label_studio is not None
        stacks = stack_notice(audit.tiles) if exported else []
        return [*stacks, *self._write_label_studio(audit), *self._write_geojson(audit)]

    def write_leaks(self, lists: Mapping[str, TileSet], context: RunContext) -> FoundLeaks | None:
        """Compare the last list with the others; write and return what it shares with them."""
        from rsretrieve.cli.io.leak_outputs import write_leaks

        if not lists:
            return None
        return write_leaks(lists, self.leaks, context, last_only=True, overwrite=self.overwrite)

    def _write_label_studio(self, audit: Audit) -> list[str]:
        from rsretrieve.export.annotation_tools import write_label_studio

        if self.label_studio is None:
            return []
        root = write_label_studio(self.label_studio, audit, overwrite=self.overwrite)
        notice = f"set LOCAL_FILES_DOCUMENT_ROOT={root} for Label Studio to find the images"
        return [notice] * (root is not None)

    def _write_geojson(self, audit: Audit) -> list[str]:
        from rsretrieve.export.annotation_tools import write_issues_geojson

        if self.geojson is None:
            return []
        placed = write_issues_geojson(self.geojson, audit, overwrite=self.overwrite)
        unplaced = len(audit.to_review) - placed
        notice = f"{unplaced} tiles have no georeference; their geometry is null in {self.geojson}"
        return [notice] * bool(unplaced)


def _review_settings(found: AuditTiles) -> ReviewSettings:
    """How the decisions that are made on the page are applied."""
    from rsretrieve.cli.given_command import command_for_decisions
    from rsretrieve.export.html.page_request import ReviewSettings

    command = command_for_decisions(found.tiles.labels_file)
    if found.reviewed is None:
        return ReviewSettings(command, found.origin)
    reviewed = found.reviewed
    return ReviewSettings(command, found.origin, reviewed.decisions, reviewed.disagreements)
