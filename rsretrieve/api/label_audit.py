"""The label audit, for Python."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, overload

import pyarrow
import pyarrow.compute as pc

from rsretrieve.api.arguments.audit_evidence import AuditArguments, AuditSubject, subject_of
from rsretrieve.api.arguments.checks import PathLike, flag, number, optional_path, path_of, whole
from rsretrieve.api.call_report import CallReport, Progress
from rsretrieve.api.dataframes import frame, require
from rsretrieve.api.notebook import table_html
from rsretrieve.api.opened_tiles import TilesLike
from rsretrieve.api.trained_model import ModelLike
from rsretrieve.audit.audit import AuditRequest
from rsretrieve.audit.audit import audit_labels as audit_labels_of
from rsretrieve.audit.issue_selection import FIX_PRECISION, IssueSelection
from rsretrieve.audit.label_quality import FOLDS, AssessmentOptions
from rsretrieve.audit.result import Audit
from rsretrieve.audit.result_table import CSV_COLUMNS
from rsretrieve.audit.review import labels_of
from rsretrieve.data.failures import Failure
from rsretrieve.data.labels.decided_rows import labels_columns, write_labels
from rsretrieve.data.labels.true_labels import true_labels_of
from rsretrieve.export.html.page import MOST_CARDS, PageRequest, write_audit_page
from rsretrieve.export.html.review_command import review_settings
from rsretrieve.export.output_paths import OutputPaths
from rsretrieve.export.results import write_audit_csv

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import pandas

_SHOWN = ("tile", "given_label", "predicted_label", "issue_probability", "kind")
_ROWS_SHOWN = 10


class AuditResult:
    """What an audit found: every audited tile, worst label first.

    Made by `audit_labels`.

    Attributes:
        audit: the same result as the library's inner functions take it.
        failures: the tiles that could not be used, each with a `reason`.

    Example:
        >>> import rsretrieve
        >>> result = rsretrieve.audit_labels("tiles", "models/mine")
        >>> len(result), 0 <= result.noise_rate <= 1
        (144, True)
        >>> list(result.fixed_labels().columns)
        ['tile', 'label']
    """

    def __init__(
        self, audit: Audit, subject: AuditSubject, failures: Sequence[Failure] = ()
    ) -> None:
        self.audit = audit
        self.failures = tuple(failures)
        self._subject = subject

    def __len__(self) -> int:
        return len(self.audit.tiles)

    @property
    def noise_rate(self) -> float | None:
        """The estimated share of wrong labels, 0…1; None if it cannot be told."""
        return self.audit.noise_rate

    @property
    def noise_interval(self) -> tuple[float, float]:
        """The 95 % interval of the noise rate."""
        return self.audit.interval

    @property
    def wrong_labels_left(self) -> float | None:
        """How many labels that nobody decided on are probably wrong; None if it cannot be told."""
        left = self.audit.wrong_left
        return None if left is None else left.expected

    @property
    def wrong_labels_left_interval(self) -> tuple[int, int]:
        """The 95 % interval of `wrong_labels_left`."""
        left = self.audit.wrong_left
        return (0, len(self)) if left is None else left.interval

    @cached_property
    def table(self) -> pyarrow.Table:
        """Every audited tile, worst label first, with the columns of `audit-labels --output`."""
        table = self.audit.table.select(CSV_COLUMNS)
        plain = [
            pyarrow.field(field.name, pyarrow.string(), metadata=field.metadata)
            if pyarrow.types.is_dictionary(field.type)
            else field
            for field in table.schema
        ]
        return table.cast(pyarrow.schema(plain))

    @property
    def issues(self) -> pandas.DataFrame:
        """The flagged labels as a pandas DataFrame, worst first, with the columns of `table`.

        Raises:
            MissingPackage: pandas is not installed; `table` needs none.
        """
        require("pandas")
        return self.table.filter(pc.field("is_label_issue")).to_pandas()

    def to_dataframe(self) -> pandas.DataFrame:
        """Every audited tile as a pandas DataFrame, worst label first.

        Raises:
            MissingPackage: pandas is not installed.
        """
        require("pandas")
        return self.table.to_pandas()

    def to_html(
        self, path: PathLike, *, overwrite: bool = False, progress: Progress | None = None
    ) -> None:
        """Write the worst labels as one page with pictures, for decisions in a browser.

        Args:
            path: the file to write.
            overwrite: replace a file that is there.
            progress: called with every event; see `rsretrieve.progress`.

        Raises:
            InvalidArgument: an argument is of a wrong type.
            OutputExists, OutputRefused: `path` may not be written.

        Example:
            >>> import rsretrieve
            >>> rsretrieve.audit_labels("tiles", "models/mine").to_html("audit.html")
        """
        with CallReport(progress) as call:
            file, replaces = self._checked(path, overwrite)
            subject = self._subject
            request = PageRequest(
                self.audit,
                subject.tiles.source,
                subject.bands,
                subject.compares_pixels,
                review=review_settings(subject.tiles, subject.origin, subject.decisions),
            )
            write_audit_page(file, request, overwrite=replaces, context=call.context)

    def to_csv(self, path: PathLike, *, overwrite: bool = False) -> None:
        """Write every audited tile, worst label first, as CSV.

        Args:
            path: the file to write.
            overwrite: replace a file that is there.

        Raises:
            InvalidArgument: an argument is of a wrong type.
            OutputExists, OutputRefused: `path` may not be written.

        Example:
            >>> import rsretrieve
            >>> rsretrieve.audit_labels("tiles", "models/mine").to_csv("audit.csv")
        """
        with CallReport(None):
            file, replaces = self._checked(path, overwrite)
            write_audit_csv(file, self.audit, overwrite=replaces)

    @overload
    def fixed_labels(self) -> pandas.DataFrame: ...
    @overload
    def fixed_labels(self, path: PathLike, *, overwrite: bool = False) -> None: ...
    def fixed_labels(
        self, path: PathLike | None = None, *, overwrite: bool = False
    ) -> pandas.DataFrame | None:
        """The labels to train on next: the given ones, with the confident suggestions applied.

        Of the changed labels, a share of `fix_precision` is expected to be right.
        After an audit with `decisions`, the labels as decided, and no suggestions. Tiles that
        were not audited keep their label.

        Args:
            path: a labels file (CSV: tile,label) to write instead.
            overwrite: replace a file that is there.

        Returns:
            A DataFrame with the columns `tile` and `label`, sorted by tile, which
            `open_tiles(labels=...)` takes; None where a file is written. If a person decided on
            some of the labels, the columns `decision` and `given_label` say on which; a
            training trusts them.

        Raises:
            InvalidArgument: an argument is of a wrong type.
            MissingPackage: pandas is not installed, and no `path` is given.
            OutputExists, OutputRefused: `path` may not be written.

        Example:
            >>> import rsretrieve
            >>> result = rsretrieve.audit_labels("tiles", "models/mine")
            >>> result.fixed_labels("fixed.csv")
            >>> tiles = rsretrieve.open_tiles("tiles", labels=result.fixed_labels())
        """
        with CallReport(None):
            labels = dict(labels_of(self._subject.tiles))
            if not self._subject.is_decided:
                labels |= self.audit.fixed_labels()
            if path is None:
                return frame(labels_columns(labels, self._subject.tiles))
            file, replaces = self._checked(path, overwrite)
            write_labels(file, labels, overwrite=replaces, tiles=self._subject.tiles)
            return None

    def __repr__(self) -> str:
        return f"<AuditResult: {self._headline()}>"

    def _repr_html_(self) -> str:
        shown = self.table.filter(pc.field("is_label_issue")).select(_SHOWN).slice(0, _ROWS_SHOWN)
        return table_html(self._headline(), _SHOWN, zip(*shown.to_pydict().values()))

    def _headline(self) -> str:
        counts = f"{len(self.audit.issues):,} of {len(self):,} labels flagged"
        return f"{counts}, {self.audit.noise_summary}"

    def _checked(self, path: object, overwrite: object) -> tuple[Path, bool]:
        """Where to write, and whether to replace; refused where it would harm an input."""
        file, replaces = path_of(path, "path"), flag(overwrite, "overwrite")
        outputs = OutputPaths({"path": file}, inputs=self._subject.inputs, overwrite=replaces)
        outputs.check()
        outputs.check_tiles(lambda: (tile.path for tile in self._subject.tiles))
        return file, replaces


def audit_labels(
    tiles: TilesLike | None,
    model: ModelLike | None = None,
    *,
    embeddings: PathLike | None = None,
    weights: PathLike | None = None,
    backbone: str | None = None,
    decisions: PathLike | None = None,
    truth: PathLike | None = None,
    expected_precision: float | None = None,
    budget: int | None = None,
    cross_fit: int = FOLDS,
    fix_precision: float = FIX_PRECISION,
    device: str = "auto",
    strict: bool = False,
    progress: Progress | None = None,
) -> AuditResult:
    """Estimate for each label the probability that it is wrong, and what it should be.

    Args:
        tiles: tiles with labels; None with a Parquet file of `embeddings`, for all its tiles.
        model: a loaded model, or its folder. With neither a model nor embeddings, the tiles
            choose an embedding that needs no training; a notice says which and why.
        embeddings: instead of a model, embeddings made elsewhere: `.npy` (N, D) whose rows are
            `tiles`, or Parquet (`tile`, `embedding`, `label`).
        weights: without a model: `imagenet` or a weights file of a network that is not trained.
        backbone: the network of `weights`; by default `mobilenet_v2`.
        decisions: decisions that the page saved, or any labels file; those labels count as
            right, are never issues, and are known examples for the estimate.
        truth: a file with the true labels (`tile,label`), to measure the audit:
            `result.audit.figures`.
        expected_precision: flag as many labels as are expected to be wrong to this share, 0…1;
            by default as many as give the highest expected F1.
        budget: flag this many labels, the most probably wrong of those that nobody decided on; not
            with `expected_precision`.
        cross_fit: the number of folds; each tile is scored by classes fitted to the others.
        fix_precision: `fixed_labels` changes as many labels as are expected to be right then to
            this share, 0…1.
        device: `auto` (a GPU where there is one), `cpu`, `cuda` or `cuda:N`; a loaded model
            stays where it is.
        strict: the first tile that cannot be used ends the audit.
        progress: called with every event; see `rsretrieve.progress`.

    Returns:
        The audited tiles, worst label first, and the estimated noise rate.

    Raises:
        InvalidArgument: an argument is of a wrong type, or makes no sense.
        LabelsError: no tile has a label that can be audited.
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
        read = (tiles, model, embeddings, decisions, device)
        arguments = AuditArguments(*read, weights, backbone)
        subject = subject_of(arguments, call)
        true = None if true_file is None else true_labels_of(subject.tiles, true_file)
        call.notice(*(() if true is None else true.notices))
        request = AuditRequest(
            subject.tiles,
            subject.source,
            true_labels=None if true is None else true.known,
            comparisons=MOST_CARDS,
            options=AssessmentOptions(selection, folds, number(fix_precision, "fix_precision")),
        )
        audit = audit_labels_of(request, call.context)
    return AuditResult(audit, subject, call.failures)
