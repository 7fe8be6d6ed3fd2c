"""The label audit, for Python."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rsretrieve.api.arguments.audit_evidence import AuditArguments, lists_against, subject_of
from rsretrieve.api.arguments.checks import PathLike, number, optional_path, whole
from rsretrieve.api.audit_result import AuditResult
from rsretrieve.api.call_report import CallReport, Progress
from rsretrieve.api.opened_tiles import TilesLike
from rsretrieve.api.tile_lists import Leaks
from rsretrieve.api.trained_model import ModelLike
from rsretrieve.audit.audit import AuditRequest
from rsretrieve.audit.audit import audit_labels as audit_labels_of
from rsretrieve.audit.issue_selection import FIX_PRECISION, IssueSelection
from rsretrieve.audit.label_quality import FOLDS, AssessmentOptions
from rsretrieve.audit.leaks.find_leaks import find_leaks
from rsretrieve.data.labels.true_labels import true_labels_of
from rsretrieve.export.html.page_limits import CARDS_LIMIT


def audit_labels(
    tiles: TilesLike | None,
    model: ModelLike | Sequence[ModelLike] | None = None,
    *,
    embeddings: PathLike | None = None,
    weights: PathLike | None = None,
    backbone: str | None = None,
    decisions: PathLike | Sequence[PathLike] | None = None,
    truth: PathLike | None = None,
    against: TilesLike | Mapping[str, TilesLike] | None = None,
    expected_precision: float | None = None,
    budget: int | None = None,
    cross_fit: int = FOLDS,
    fix_precision: float = FIX_PRECISION,
    seed: int = 0,
    device: str = "auto",
    strict: bool = False,
    progress: Progress | None = None,
) -> AuditResult:
    """Estimate for each label the probability that it is wrong, and what it should be.

    Args:
        tiles: tiles with labels; None with a Parquet file or an index as `embeddings`, for all its
            tiles.
        model: a loaded model, or its folder; or a list of these, which are averaged, and must
            know the same classes. With neither a model nor embeddings, the tiles
            choose an embedding that needs no training; a notice says which and why.
        embeddings: instead of a model, embeddings that exist: `.npy` (N, D) whose rows are
            `tiles`, Parquet (`tile`, `embedding`, `label`), or an index folder.
        weights: without a model: `imagenet` or a weights file of a network that is not trained.
        backbone: the network of `weights`; by default `mobilenet_v2`.
        decisions: decisions that the page saved, or any labels file; those labels count as
            right, are never issues, and are known examples for the estimate. A list of files of
            several reviewers is merged; tiles that they give different labels keep their labels.
        truth: a file with the true labels (`tile,label`), to measure the audit:
            `result.audit.figures`.
        against: other tiles, such as a test list, or several by their names; `result.leaks` are
            the audited tiles that overlap one of them, or are near-duplicates.
        expected_precision: flag as many labels as are expected to be wrong to this share, 0…1;
            by default as many as give the highest expected F1.
        budget: flag this many labels, the most probably wrong of those that nobody decided on; not
            with `expected_precision`.
        cross_fit: the number of folds; each tile is scored by classes fitted to the others.
        fix_precision: `fixed_labels` changes as many labels as are expected to be right then to
            this share, 0…1.
        seed: of the folds of cross-fitting, and of an embedding that is chosen.
        device: `auto` (a GPU where there is one), `cpu`, `cuda` or `cuda:N`; a loaded model
            stays where it is.
        strict: the first tile that cannot be used ends the audit.
        progress: called with every event; see `rsretrieve.progress`.

    Returns:
        The audited tiles, worst label first, and the estimated noise rate.

    Raises:
        InvalidArgument: an argument is of a wrong type, or makes no sense.
        LabelsError: no tile has a label that can be audited.
        InputError: several models do not know the same classes, or `against` is given and the
            audited tiles are no files that can be read.
        NoUsableTiles: not one tile can be used.
        ModelNotFound, ModelDamaged, TableError: model or embeddings cannot be used.

    Example:
        >>> import rsretrieve
        >>> result = rsretrieve.audit_labels("tiles", "models/mine", budget=5)
        >>> len(result.issues)
        5
    """
    with CallReport(progress, strict=strict) as call:
        selection = IssueSelection(
            None
            if expected_precision is None
            else number(expected_precision, "expected_precision"),
            None if budget is None else whole(budget, "budget", 1),
        )
        folds, true_file = whole(cross_fit, "cross_fit", 2), optional_path(truth, "truth")
        read, chance = (tiles, model, embeddings, decisions, device), whole(seed, "seed")
        subject = subject_of(AuditArguments(*read, weights, backbone, chance), call)
        lists = lists_against(against, subject, call)
        true = None if true_file is None else true_labels_of(subject.tiles, true_file)
        call.notice(*(() if true is None else true.notices))
        request = AuditRequest(
            subject.tiles,
            subject.source,
            true_labels=None if true is None else true.known,
            comparisons=CARDS_LIMIT,
            options=AssessmentOptions(
                selection, folds, number(fix_precision, "fix_precision"), chance
            ),
        )
        audit = audit_labels_of(request, call.context)
        leaks = Leaks(find_leaks(lists, call.context, last_only=True)) if lists else None
    return AuditResult(audit, subject, call.failures, leaks)
