"""What `audit_labels` is given: tiles, decisions, and what labels are scored by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from rsretrieve._core.paths import Location
from rsretrieve.api.arguments.checks import path_of, plain_text
from rsretrieve.api.arguments.embedding_request import embedding_request, used_model
from rsretrieve.api.call_report import CallReport
from rsretrieve.api.opened_tiles import tiles_of
from rsretrieve.api.trained_model import model_of, paths_among
from rsretrieve.audit.decisions.merged_decisions import read_merged_decisions
from rsretrieve.audit.decisions.saved_decisions import Decision, Disagreement, LabelsOrigin
from rsretrieve.audit.evidence.evidence import EvidenceSource
from rsretrieve.audit.evidence.external_embeddings import (
    ExternalEmbeddings,
    read_external_embeddings,
)
from rsretrieve.audit.evidence.from_embeddings import EmbeddingEvidence
from rsretrieve.audit.evidence.from_models import evidence_by
from rsretrieve.audit.review import apply_decisions
from rsretrieve.data.tile import TileSet
from rsretrieve.errors import InputError, InvalidArgument


@dataclass(frozen=True)
class AuditSubject:
    """The tiles of an audit, and what it reads.

    Attributes:
        tiles: the tiles, with decisions applied to their labels.
        source: the evidence that labels are scored by.
        inputs: the paths that were read, by their arguments.
        bands: those that pictures show, counted from 1; none for the first three.
        compares_pixels: duplicates are found by their pixels, not by embeddings alone.
        is_decided: decisions were given.
        decisions: those decisions, as they were read.
        origin: where the labels come from, when they were read.
        models: the model folders that were given.
        disagreements: tiles that several files of decisions give different labels.
    """

    tiles: TileSet
    source: EvidenceSource
    inputs: Mapping[str, str | Path | None]
    bands: tuple[int, ...] = ()
    compares_pixels: bool = True
    is_decided: bool = False
    decisions: tuple[Decision, ...] = ()
    origin: LabelsOrigin = field(default_factory=LabelsOrigin)
    models: tuple[str, ...] = ()
    disagreements: tuple[Disagreement, ...] = ()


@dataclass(frozen=True)
class AuditArguments:
    """The arguments of `audit_labels` that say what to read; see there."""

    tiles: object
    model: object
    embeddings: object
    decisions: object
    device: object
    weights: object = None
    backbone: object = None
    seed: int = 0

    def __post_init__(self) -> None:
        if isinstance(self.model, Sequence) and not isinstance(self.model, str) and not self.model:
            raise InvalidArgument("model: the list of models is empty")
        given = self.model is not None, self.embeddings is not None
        if all(given):
            raise InvalidArgument("give either a model or embeddings to score labels by")
        if any(given) and (self.weights is not None or self.backbone is not None):
            raise InvalidArgument(
                "weights and backbone do not go together with a model or embeddings"
            )
        if self.tiles is None and self.embeddings is None:
            raise InvalidArgument("the tiles are missing; only embeddings can name them")

    @property
    def models(self) -> list[object]:
        """The models that were given: none, one or several."""
        if isinstance(self.model, Sequence) and not isinstance(self.model, str):
            return list(self.model)
        return [] if self.model is None else [self.model]

    @property
    def inputs(self) -> dict[str, str | Path | None]:
        """The paths that are read, by their arguments."""
        given = {name: getattr(self, name) for name in ("tiles", "embeddings")}
        models = {f"model{' ' * i}": model for i, model in enumerate(self.models)}
        decisions = {f"decisions{' ' * i}": path for i, path in enumerate(self.decision_files)}
        return paths_among(given | models | decisions)

    @property
    def decision_files(self) -> list[Path]:
        """The files of decisions that were given: none, one or several.

        Raises:
            InvalidArgument: an argument is of a wrong type, or the list is empty.
        """
        given = self.decisions
        if given is None:
            return []
        if isinstance(given, Sequence) and not isinstance(given, str):
            if not given:
                raise InvalidArgument("decisions: the list of files is empty")
            return [path_of(each, "decisions") for each in given]
        return [path_of(given, "decisions")]


def subject_of(arguments: AuditArguments, call: CallReport) -> AuditSubject:
    """Read lists, labels, embeddings, decisions and the model; no image yet.

    Raises:
        InvalidArgument: an argument is of a wrong type.
        TilesNotFound, TableError, LabelsError, ModelError: see `audit_labels`.
    """
    inputs = arguments.inputs
    found = None if arguments.tiles is None else tiles_of(arguments.tiles, call).tile_set
    if found is not None and arguments.embeddings is None:
        asked = embedding_request(
            arguments.model, arguments.weights, arguments.backbone, arguments.seed
        )
        inputs |= paths_among({"weights": asked.file})
        models = [model_of(each, arguments.device, call).loaded for each in arguments.models]
        named = tuple(str(model.folder) for model in models)
        if not models:
            with used_model(None, found, asked, arguments.device, call) as used:
                models = [used.loaded]
        bands = models[0].description.preprocessing.bands
        subject = AuditSubject(found, evidence_by(models), inputs, bands, models=named)
    else:
        path = path_of(arguments.embeddings, "embeddings")
        subject = _of_embeddings(read_external_embeddings(path, found, call.context), found, inputs)
    subject = replace(subject, origin=LabelsOrigin.of(subject.tiles))
    if arguments.decisions is None:
        return subject
    return _decided(subject, arguments.decision_files, call)


def _of_embeddings(
    given: ExternalEmbeddings, found: TileSet | None, inputs: Mapping[str, str | Path | None]
) -> AuditSubject:
    tiles = given.tiles if found is None else found
    return AuditSubject(tiles, EmbeddingEvidence(given), inputs, compares_pixels=given.has_pixels)


def _decided(subject: AuditSubject, paths: Sequence[Path], call: CallReport) -> AuditSubject:
    """The same with decisions on its labels."""
    decided = apply_decisions(
        subject.tiles,
        read_merged_decisions(paths),
        lambda labels: f"open_tiles(..., labels={labels!r})",
    )
    call.notice(*decided.tiles.notices[len(subject.tiles.notices) :])
    return replace(
        subject,
        tiles=decided.tiles,
        is_decided=True,
        decisions=decided.decisions,
        disagreements=decided.disagreements,
    )


def lists_against(against: object, subject: AuditSubject, call: CallReport) -> dict[str, TileSet]:
    """The lists that the audited tiles are compared with, by name, and last these tiles.

    Args:
        against: tiles, or a mapping of names to tiles; None for no list.
        subject: the audited tiles.
        call: receives notices.

    Returns:
        The lists; none if `against` is None.

    Raises:
        InvalidArgument: an argument is of a wrong type, or names the audited tiles.
        InputError: the audited tiles are no files that can be read.
        TilesNotFound, TableError: a list cannot be used.
    """
    if against is None:
        return {}
    if not subject.compares_pixels:
        raise InputError(
            "against compares pixels and places, and the tiles of the embeddings are no files "
            "that can be read",
            hint="give the tiles, beside the embeddings",
        )
    audited = subject.tiles.source
    if isinstance(against, Mapping):
        found = {
            plain_text(name, "the name of a list"): tiles_of(tiles, call).tile_set
            for name, tiles in against.items()
        }
    else:
        tiles = tiles_of(against, call).tile_set
        found = {tiles.source: tiles}
        if Location.parse(tiles.source).absolute() == Location.parse(audited).absolute():
            found[audited] = tiles  # another spelling of the same place
    if audited in found:
        raise InvalidArgument(f"against: {audited} names the audited tiles")
    return {**found, audited: subject.tiles}
