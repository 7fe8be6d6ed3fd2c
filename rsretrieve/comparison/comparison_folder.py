"""The folder of a comparison: its cells, and what they were made of."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from rsretrieve._core.atomic_write import write_json
from rsretrieve.comparison.cell_report import CellReport
from rsretrieve.comparison.choice import Cell
from rsretrieve.comparison.tile_digest import TileDigest
from rsretrieve.data.failures import Failure
from rsretrieve.errors import InputError, OutputExists
from rsretrieve.network.metadata import DESCRIPTION_FILE

STATE_FILE = "comparison.json"
_INNER = ("models", "queries", "labels")
_SCHEMA = 2  # 1: digests without images
_DAMAGES = (
    *(OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError),
    OverflowError,  # of an infinite number
)


@dataclass
class ComparisonFolder:
    """What is finished in the folder of a comparison.

    Attributes:
        path: the folder.
        trained: the digest of what each cell was trained on, by its name.
        measured: the digests of the model and the test that each cell was measured with.
        labels_from: what each labels file with noise was made from, by its name.
        overwrite: cells may be made again; images that were not recorded count as changed.
        reports: what each cell reported when it was made; missing for those of earlier versions.
    """

    path: Path
    trained: dict[str, TileDigest] = field(default_factory=dict)
    measured: dict[str, tuple[TileDigest, TileDigest]] = field(default_factory=dict)
    labels_from: dict[str, TileDigest] = field(default_factory=dict)
    overwrite: bool = False
    reports: dict[str, CellReport] = field(default_factory=dict)

    @classmethod
    def opened(cls, path: Path, *, overwrite: bool = False) -> ComparisonFolder:
        """The folder as an earlier run left it, or a new one; nothing is written.

        Args:
            path: the folder.
            overwrite: see the attribute.

        Raises:
            OutputExists: the path is a file, or a folder with other content, or with links to
                folders elsewhere.
            InputError: its state cannot be read.
        """
        for inner in (path / name for name in _INNER):
            for other in (inner, *(inner.iterdir() if inner.is_dir() else ())):
                if other.is_symlink():
                    raise OutputExists(
                        f"{other} is a link, and nothing is written through it",
                        hint="remove it, or give another --output",
                    )
        state = path / STATE_FILE
        if state.is_file():
            return _parsed(state, cls(path, overwrite=overwrite))
        if path.exists() and not (path.is_dir() and not any(path.iterdir())):
            raise OutputExists(
                f"{path} already exists and is no comparison ({STATE_FILE} is missing in it)",
                hint="give another --output",
            )
        return cls(path, overwrite=overwrite)

    def save(self) -> None:
        """Write the state."""
        content = {
            "schema": _SCHEMA,
            "trained": {name: made.to_json() for name, made in self.trained.items()},
            "measured": {
                name: [made.to_json() for made in both] for name, both in self.measured.items()
            },
            "labels": {name: made.to_json() for name, made in self.labels_from.items()},
            "reports": {name: report.to_json() for name, report in self.reports.items()},
        }
        write_json(self.path / STATE_FILE, content, overwrite=True, follow=False)

    def model(self, cell: Cell) -> Path:
        """The model folder of a cell."""
        return self.path / "models" / cell.name

    def queries(self, cell: Cell) -> Path:
        """The figures of the queries of a cell."""
        return self.path / "queries" / f"{cell.name}.csv"

    def other_models(self, cells: Collection[Cell]) -> list[Path]:
        """The model folders that are not of these cells."""
        models = self.path / "models"
        names = {cell.name for cell in cells}
        there = sorted(models.iterdir()) if models.is_dir() else []
        return [path for path in there if path.name not in names and not path.name.startswith(".")]

    @property
    def labels(self) -> Path:
        """Where labels files with noise are written."""
        return self.path / "labels"

    def is_begun(self, cell: Cell) -> bool:
        """Whether a cell has a model or figures."""
        return self.model(cell).exists() or cell.name in self.measured

    def lacks_images(self, cell: Cell) -> bool:
        """Whether a cell with a model or figures was made by a version that recorded no images."""
        if not self.is_begun(cell):
            return False
        made = (self.trained.get(cell.name), *self.measured.get(cell.name, ()))
        return any(one is not None and not one.images for one in made)

    def is_trained(self, cell: Cell, digest: TileDigest) -> bool:
        """Whether there is a model of a cell that was trained on this."""
        there = (self.model(cell) / DESCRIPTION_FILE).is_file()
        return there and self._is_same(self.trained.get(cell.name), digest)

    def begin(self, cell: Cell, digest: TileDigest) -> None:
        """Record that a cell will be trained on this.

        A new model counts as soon as it is there; one that is replaced not before `finish`.
        """
        self.measured.pop(cell.name, None)
        self.trained.pop(cell.name, None)
        self.reports.pop(cell.name, None)
        if not self.model(cell).exists():
            self.trained[cell.name] = digest
        self.save()

    def finish(self, cell: Cell, digest: TileDigest) -> None:
        """Record that a cell was trained on this."""
        self.trained[cell.name] = digest
        self.save()

    def report(self, cell: Cell, failures: Iterable[Failure]) -> None:
        """Record the tiles that the training of a cell could not use."""
        self.reports[cell.name] = CellReport.of_training(failures)
        self.save()

    def record(
        self,
        cell: Cell,
        model: TileDigest,
        test: TileDigest,
        failures: Iterable[Failure],
        gallery: int,
    ) -> None:
        """Record that a cell was measured.

        Args:
            cell: the cell.
            model: the digest of its training.
            test: the digest of the test.
            failures: the tiles that its training and the test could not use, as far as known.
            gallery: how many tiles were searched.
        """
        report = self.reports.get(cell.name, CellReport())
        self.reports[cell.name] = report.measured(failures, gallery)
        self.measured[cell.name] = model, test
        self.save()

    def is_measured(self, cell: Cell, digest: TileDigest, test: TileDigest) -> bool:
        """Whether the model of a cell was measured with this test."""
        model, asked = self.measured.get(cell.name, (None, None))
        same = self._is_same(model, digest) and self._is_same(asked, test)
        return same and self.queries(cell).is_file()

    def refuse_others(self, cell: Cell, digest: TileDigest, test: TileDigest) -> None:
        """Raise `OutputExists` if a finished cell was trained or measured with something else."""
        trained = self.trained.get(cell.name)
        asked = self.measured[cell.name][1] if cell.name in self.measured else test
        if self.model(cell).exists() and not self._is_same(trained, digest):
            changed = _change(trained, digest, "tiles, labels or options")
            what = f"trained with other {changed}"
        elif not self._is_same(asked, test):
            what = f"measured with other {_change(asked, test, 'test tiles or true labels')}"
        else:
            return
        raise OutputExists(
            f"{self.path} has a finished cell ({cell.title}) that was {what} than are given now",
            hint="give --overwrite to make such cells again, or another --output",
        )

    def _is_same(self, made: TileDigest | None, now: TileDigest) -> bool:
        return made is not None and made.is_unchanged(now, trust_unknown=not self.overwrite)


def _change(made: TileDigest | None, now: TileDigest, records: str) -> str:
    """What differs, in words: the images alone, or the records."""
    return "images" if made is not None and made.records == now.records else records


def _parsed(path: Path, folder: ComparisonFolder) -> ComparisonFolder:
    """The folder with what its state file says."""
    try:
        content: Any = json.loads(path.read_text(encoding="utf-8"))
        schema, trained, measured = (content[k] for k in ("schema", "trained", "measured"))
        if int(schema) > _SCHEMA:
            raise InputError(f"{path} was written by a newer version of rsretrieve")
        return replace(
            folder,
            trained={name: TileDigest.from_json(made) for name, made in trained.items()},
            measured={
                name: (TileDigest.from_json(model), TileDigest.from_json(test))
                for name, (model, test) in measured.items()
            },
            labels_from={
                name: TileDigest.from_json(made) for name, made in content["labels"].items()
            },
            reports={
                name: CellReport.from_json(made)
                for name, made in content.get("reports", {}).items()
            },
        )
    except _DAMAGES as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"{path} is damaged ({error})", hint="remove it and run again, or give another --output"
        ) from error
