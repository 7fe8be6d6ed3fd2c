"""What `audit-labels` is given: tiles, labels, decisions on them, and what to judge by."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:  # heavy stations, which `--help` never loads
    from rsretrieve.audit.evidence.evidence import Basis
    from rsretrieve.audit.evidence.external_embeddings import GivenEmbeddings
    from rsretrieve.audit.review import Decided
    from rsretrieve.data.run_context import RunContext
    from rsretrieve.data.tile import TileSet
    from rsretrieve.data.windowing import SceneChoices


@dataclass(frozen=True)
class Found:
    """The tiles, with decisions put on their labels, and their embeddings if they came along."""

    tiles: TileSet
    decided: Decided | None
    embeddings: GivenEmbeddings | None


@dataclass(frozen=True)
class Judge:
    """What labels are judged by.

    Attributes:
        basis: that.
        bands: those to show as colours.
        device: that computes.
        compares_pixels: twins are told by their pixels, not by embeddings alone.
    """

    basis: Basis
    bands: tuple[int, ...]
    device: str
    compares_pixels: bool


@dataclass(frozen=True)
class AuditInputs:
    """The options of `audit-labels` that say what to read."""

    tiles: str | None
    scenes: SceneChoices
    labels: Path | None
    model: Path | None
    embeddings: Path | None
    decisions: Path | None
    truth: Path | None
    device: str

    @property
    def is_audit(self) -> bool:
        """There is something to judge by; else decisions are put on labels, and that is all."""
        return self.model is not None or self.embeddings is not None

    @property
    def paths(self) -> dict[str, str | Path | None]:
        """What is read, by the option that names it."""
        return {
            "TILES": self.tiles,
            "--labels": self.labels,
            "--model": self.model,
            "--embeddings": self.embeddings,
            "--decisions": self.decisions,
            "--truth": self.truth,
        }

    def check(self) -> None:
        """End with a usage error where options do not go together."""
        if self.model is not None and self.embeddings is not None:
            raise typer.BadParameter("--model and --embeddings do not go together")
        if not self.is_audit and self.decisions is None:
            raise typer.BadParameter("give --model DIR or --embeddings FILE to judge by")
        if not self.is_audit and self.truth is not None:
            raise typer.BadParameter("--truth measures an audit: give --model or --embeddings")
        if self.tiles is None and self.embeddings is None:
            raise typer.BadParameter("Missing argument 'TILES'.")
        if self.embeddings is not None and self.device not in ("auto", "cpu"):
            raise typer.BadParameter("embeddings are audited on the CPU", param_hint="--device")

    def find(self, context: RunContext) -> Found:
        """Read lists, labels, embeddings and decisions; no image yet.

        Scenes that cannot be opened, and embeddings without a direction, go to `log`.
        """
        from rsretrieve.audit.evidence.external_embeddings import given_embeddings
        from rsretrieve.audit.review import decide, read_decisions
        from rsretrieve.data.discovery.find_tiles import find_tiles
        from rsretrieve.data.labels.labels import override_labels

        tiles, given = None, None
        if self.tiles is not None:
            tiles = find_tiles(self.tiles, self.labels, self.scenes, context)
        if self.embeddings is not None:
            given = given_embeddings(self.embeddings, tiles, context)
        if tiles is None and given is not None:
            tiles = given.tiles
            tiles = tiles if self.labels is None else override_labels(tiles, self.labels)
        if tiles is None:
            raise typer.BadParameter("Missing argument 'TILES'.")
        if self.decisions is None:
            return Found(tiles, None, given)
        decided = decide(tiles, read_decisions(self.decisions), self.decisions)
        return Found(decided.tiles, decided, given)

    def judge(self, found: Found, context: RunContext) -> Judge:
        """Load what labels are judged by."""
        if self.model is None:
            from rsretrieve.audit.evidence.from_embeddings import EmbeddingBasis

            given = found.embeddings
            if given is None:
                raise typer.BadParameter("give --model DIR or --embeddings FILE to judge by")
            return Judge(EmbeddingBasis(given), (), "cpu", given.has_pixels)
        from rsretrieve.audit.evidence.from_model import ModelBasis
        from rsretrieve.network.device import choose_device, describe_device
        from rsretrieve.network.model_folder import load_model

        model = load_model(self.model, choose_device(self.device), context)
        bands = model.description.preprocessing.bands
        return Judge(ModelBasis(model), bands, describe_device(model.device), True)
