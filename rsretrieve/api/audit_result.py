"""What a label audit found, for Python."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, overload

import pyarrow
import pyarrow.compute as pc

from rsretrieve.api.arguments.audit_evidence import AuditSubject
from rsretrieve.api.arguments.checks import PathLike, flag, path_of, whole
from rsretrieve.api.call_report import CallReport, Progress
from rsretrieve.api.dataframes import frame, require
from rsretrieve.api.notebook import table_html
from rsretrieve.audit.result import Audit
from rsretrieve.audit.result_table import CSV_COLUMNS
from rsretrieve.audit.review import labels_of
from rsretrieve.data.failures import Failure
from rsretrieve.data.labels.decided_rows import labels_columns, write_labels
from rsretrieve.errors import InvalidArgument
from rsretrieve.export.html.page import write_audit_page
from rsretrieve.export.html.page_limits import CARDS_LIMIT, MOST_CARDS
from rsretrieve.export.html.page_request import PageRequest
from rsretrieve.export.html.review_command import review_settings
from rsretrieve.export.output_paths import OutputPaths
from rsretrieve.export.results import write_audit_csv

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import pandas

    from rsretrieve.api.tile_lists import Leaks

_SHOWN = ("tile", "given_label", "predicted_label", "issue_probability", "kind")
_ROWS_SHOWN = 10


class AuditResult:
    """What an audit found: every audited tile, worst label first.

    Made by `audit_labels`.

    Attributes:
        audit: the same result as the library's inner functions take it.
        failures: the tiles that could not be used, each with a `reason`.
        leaks: audited tiles that overlap tiles of `against`, or are near-duplicates; else None.

    Example:
        >>> import rsretrieve
        >>> result = rsretrieve.audit_labels("tiles", "models/mine")
        >>> len(result), 0 <= result.noise_rate <= 1
        (144, True)
        >>> list(result.fixed_labels().columns)
        ['tile', 'label']
    """

    def __init__(
        self,
        audit: Audit,
        subject: AuditSubject,
        failures: Sequence[Failure] = (),
        leaks: Leaks | None = None,
    ) -> None:
        self.audit = audit
        self.leaks = leaks
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

        Example:
            >>> import rsretrieve
            >>> table = rsretrieve.audit_labels("tiles", "models/mine").to_dataframe()
            >>> bool(table["label_score"].is_monotonic_increasing)
            True
        """
        require("pandas")
        return self.table.to_pandas()

    def to_html(
        self,
        path: PathLike,
        *,
        tiles: int = MOST_CARDS,
        overwrite: bool = False,
        progress: Progress | None = None,
    ) -> None:
        """Write the worst labels as one page with pictures, for decisions in a browser.

        Args:
            path: the file to write.
            tiles: largest number of tiles on the page, at most 20,000.
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
            subject, most = self._subject, whole(tiles, "tiles", 1)
            if most > CARDS_LIMIT:
                raise InvalidArgument(f"tiles: a page holds at most {CARDS_LIMIT}, not {most}")
            request = PageRequest(
                self.audit,
                subject.tiles.source,
                subject.bands,
                subject.compares_pixels,
                most,
                review_settings(
                    *(subject.tiles, subject.origin, subject.decisions, subject.disagreements)
                ),
                models=subject.models,
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
