"""The inputs of `audit-labels`: tiles, labels, decisions, and a model or embeddings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from rsretrieve._core.paths import Location
from rsretrieve.cli.given_command import command_with_labels
from rsretrieve.cli.io.default_model import DefaultRequest, default_model, weights_file
from rsretrieve.cli.options import inputs_of

if TYPE_CHECKING:  # heavy modules, which `--help` does not load
    from rsretrieve.audit.decisions.saved_decisions import LabelsOrigin
    from rsretrieve.audit.evidence.evidence import EvidenceSource
    from rsretrieve.audit.evidence.external_embeddings import ExternalEmbeddings
    from rsretrieve.audit.review import ReviewedTiles
    from rsretrieve.data.run_context import RunContext
    from rsretrieve.data.tile import TileSet
    from rsretrieve.data.windowing import SceneChoices


@dataclass(frozen=True)
class AuditTiles:
    """The tiles to audit.

    Attributes:
        tiles: the tiles, with the decisions applied to their labels.
        reviewed: the result of applying the decisions; None without `--decisions`.
        embeddings: their embeddings; None without `--embeddings`.
        origin: where the labels come from, when they were read.
    """

    tiles: TileSet
    reviewed: ReviewedTiles | None
    embeddings: ExternalEmbeddings | None
    origin: LabelsOrigin


@dataclass(frozen=True)
class AuditSource:
    """What the audit is based on.

    Attributes:
        evidence: a model, or embeddings.
        bands: bands shown as red, green and blue, counted from 1; empty for the first three.
        device: description of the device that computes.
        compares_pixels: near-duplicates are found by pixels, not by embeddings alone.
        models: the model folders, as given.
    """

    evidence: EvidenceSource
    bands: tuple[int, ...]
    device: str
    compares_pixels: bool
    models: tuple[str, ...] = ()


@dataclass(frozen=True)
class AuditInputs:
    """The options of `audit-labels` that name inputs."""

    tiles: list[str] | None
    scenes: SceneChoices
    labels: Path | None
    models: Sequence[Path]
    embeddings: Path | None
    decisions: Sequence[Path]
    truth: Path | None
    request: DefaultRequest
    device: str
    against: Sequence[str] = ()

    @property
    def is_audit(self) -> bool:
        """Whether labels are audited; otherwise decisions are only applied to labels."""
        asked = (self.embeddings, self.request.weights, self.request.backbone)
        is_asked = bool(self.models) or any(option is not None for option in asked)
        return not self.decisions or is_asked

    @property
    def paths(self) -> dict[str, str | Path | None]:
        """The inputs, by the option that names them."""
        return {
            **inputs_of("TILES", self.tiles),
            "--labels": self.labels,
            **inputs_of("--model", [*map(str, self.models)]),
            "--weights": weights_file(self.request.weights),
            "--embeddings": self.embeddings,
            **inputs_of("--decisions", [*map(str, self.decisions)]),
            "--truth": self.truth,
            **{f"--against {one}": one for one in self.against},
        }

    def check(self) -> None:
        """Check that the options go together.

        Raises:
            typer.BadParameter: they do not.
        """
        if self.models and self.embeddings is not None:
            raise typer.BadParameter("--model and --embeddings do not go together")
        audited = {Location.parse(one).absolute() for one in self.tiles or ()}
        if repeated := [one for one in self.against if Location.parse(one).absolute() in audited]:
            raise typer.BadParameter(f"--against {min(repeated)} is one of the audited TILES")
        if not self.is_audit and self.against:
            raise typer.BadParameter("--against needs an audit; --decisions alone is none")
        frozen = self.request.weights is not None or self.request.backbone is not None
        if frozen and (self.models or self.embeddings is not None):
            raise typer.BadParameter(
                "--weights and --backbone do not go together with --model or --embeddings"
            )
        if not self.is_audit and self.truth is not None:
            raise typer.BadParameter(
                "--truth needs an audit, and --decisions alone only applies decisions: first write "
                "--fixed-labels FILE, then audit with --labels FILE and --truth (no model is "
                "needed); or give --model, --weights or --embeddings here"
            )
        if self.tiles is None and self.embeddings is None:
            raise typer.BadParameter("Missing argument 'TILES'.")
        if self.embeddings is not None and self.device not in ("auto", "cpu"):
            raise typer.BadParameter(
                "with --embeddings the audit runs on the CPU", param_hint="--device"
            )

    def find(self, context: RunContext) -> AuditTiles:
        """Read lists, labels, embeddings and decisions, but no image yet.

        Args:
            context: receives scenes that cannot be opened, and unusable embeddings.
        """
        from rsretrieve.audit.decisions.merged_decisions import read_merged_decisions
        from rsretrieve.audit.decisions.saved_decisions import LabelsOrigin
        from rsretrieve.audit.evidence.external_embeddings import read_external_embeddings
        from rsretrieve.audit.review import apply_decisions
        from rsretrieve.data.discovery.find_tiles import find_tiles
        from rsretrieve.data.labels.labels import override_labels

        tiles, embeddings = None, None
        if self.tiles is not None:
            tiles = find_tiles(self.tiles, self.labels, self.scenes, context)
        if self.embeddings is not None:
            embeddings = read_external_embeddings(self.embeddings, tiles, context)
        if tiles is None and embeddings is not None:
            tiles = embeddings.tiles
            tiles = tiles if self.labels is None else override_labels(tiles, self.labels)
        if tiles is None:
            raise typer.BadParameter("Missing argument 'TILES'.")
        origin = LabelsOrigin.of(tiles)
        if not self.decisions:
            return AuditTiles(tiles, None, embeddings, origin)
        decided = read_merged_decisions(self.decisions)
        reviewed = apply_decisions(tiles, decided, command_with_labels)
        return AuditTiles(reviewed.tiles, reviewed, embeddings, origin)

    def against_lists(
        self, tiles: TileSet, source: AuditSource, context: RunContext
    ) -> dict[str, TileSet]:
        """The lists of `--against`, and last the audited tiles; empty without that option.

        Raises:
            InputError: the audited tiles are not files that can be read, or a list has their name.
        """
        from rsretrieve.data.discovery.find_tiles import find_tiles
        from rsretrieve.errors import InputError

        if self.against and not source.compares_pixels:
            raise InputError(
                f"--against compares pixels and places, and the tiles of {self.embeddings} are "
                "no files that can be read",
                hint="give the tiles as TILES, beside --embeddings",
            )
        lists = {one: find_tiles(one, None, self.scenes, context) for one in self.against}
        if tiles.source in lists:
            raise InputError(f"--against {tiles.source} names the audited tiles")
        for notice in (text for one in lists.values() for text in one.notices):
            context.notice(notice)
        return {**lists, tiles.source: tiles} if lists else {}

    def load_source(self, found: AuditTiles, context: RunContext) -> AuditSource:
        """Load the model, use the embeddings, or choose an embedding."""
        embeddings = found.embeddings
        if embeddings is not None:
            from rsretrieve.audit.evidence.from_embeddings import EmbeddingEvidence

            return AuditSource(EmbeddingEvidence(embeddings), (), "cpu", embeddings.has_pixels)
        from rsretrieve.audit.evidence.from_models import evidence_by
        from rsretrieve.network.device import choose_device, describe_device
        from rsretrieve.network.model_folder import load_model

        if self.models:
            device = choose_device(self.device)
            models = [load_model(folder, device, context) for folder in self.models]
        else:
            with default_model(found.tiles, self.request, self.device, context) as chosen:
                models = [chosen]
        bands, named = models[0].description.preprocessing.bands, tuple(map(str, self.models))
        device_text = describe_device(models[0].device)
        return AuditSource(evidence_by(models), bands, device_text, True, named)
