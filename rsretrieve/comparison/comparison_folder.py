"""The folder of a comparison: its cells, and what they were made of."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rsretrieve._core.atomic_write import write_json
from rsretrieve.comparison.choice import Cell
from rsretrieve.errors import InputError, OutputExists
from rsretrieve.network.metadata import DESCRIPTION_FILE

STATE_FILE = "comparison.json"
_SCHEMA = 1


@dataclass
class ComparisonFolder:
    """What is finished in the folder of a comparison.

    Attributes:
        path: the folder.
        trained: the digest of what each cell was trained on, by its name.
        measured: the digests of the model and the test that each cell was measured with.
        labels_from: what each labels file with noise was made from, by its name.
    """

    path: Path
    trained: dict[str, str] = field(default_factory=dict)
    measured: dict[str, list[str]] = field(default_factory=dict)
    labels_from: dict[str, str] = field(default_factory=dict)

    @classmethod
    def opened(cls, path: Path) -> ComparisonFolder:
        """The folder as an earlier run left it, or a new one; nothing is written.

        Raises:
            OutputExists: the path is a file, or a folder with other content.
            InputError: its state cannot be read.
        """
        state = path / STATE_FILE
        if state.is_file():
            return cls(path, *_parsed(state))
        if path.exists() and not (path.is_dir() and not any(path.iterdir())):
            raise OutputExists(
                f"{path} already exists and is no comparison ({STATE_FILE} is missing in it)",
                hint="give another --output",
            )
        return cls(path)

    def save(self) -> None:
        """Write the state."""
        content = {
            "schema": _SCHEMA,
            "trained": self.trained,
            "measured": self.measured,
            "labels": self.labels_from,
        }
        write_json(self.path / STATE_FILE, content, overwrite=True)

    def model(self, cell: Cell) -> Path:
        """The model folder of a cell."""
        return self.path / "models" / cell.name

    def queries(self, cell: Cell) -> Path:
        """The figures of the queries of a cell."""
        return self.path / "queries" / f"{cell.name}.csv"

    @property
    def labels(self) -> Path:
        """Where labels files with noise are written."""
        return self.path / "labels"

    def is_trained(self, cell: Cell, digest: str) -> bool:
        """Whether there is a model of a cell that was trained on this."""
        there = (self.model(cell) / DESCRIPTION_FILE).is_file()
        return there and self.trained.get(cell.name) == digest

    def begin(self, cell: Cell, digest: str) -> None:
        """Record that a cell will be trained on this.

        A new model counts as soon as it is there; one that is replaced not before `finish`.
        """
        self.measured.pop(cell.name, None)
        self.trained.pop(cell.name, None)
        if not self.model(cell).exists():
            self.trained[cell.name] = digest
        self.save()

    def finish(self, cell: Cell, digest: str) -> None:
        """Record that a cell was trained on this."""
        self.trained[cell.name] = digest
        self.save()

    def is_measured(self, cell: Cell, digest: str, test: str) -> bool:
        """Whether the model of a cell was measured with this test."""
        return self.queries(cell).is_file() and self.measured.get(cell.name) == [digest, test]

    def refuse_others(self, cell: Cell, digest: str, test: str) -> None:
        """Raise `OutputExists` if a finished cell was trained or measured with something else."""
        found = self.trained.get(cell.name)
        there = self.model(cell).exists()
        measured = self.measured.get(cell.name)
        if there and found != digest:
            what = "trained with other tiles, labels or options"
        elif measured is not None and measured[1] != test:
            what = "measured with other test tiles or true labels"
        else:
            return
        raise OutputExists(
            f"{self.path} has a finished cell ({cell.title}) that was {what} than are given now",
            hint="give --overwrite to make such cells again, or another --output",
        )


def _parsed(path: Path) -> tuple[dict[str, str], dict[str, list[str]], dict[str, str]]:
    try:
        content: Any = json.loads(path.read_text(encoding="utf-8"))
        schema, trained, measured = (content[k] for k in ("schema", "trained", "measured"))
        labels = content["labels"]
        if int(schema) > _SCHEMA:
            raise InputError(f"{path} was written by a newer version of rsretrieve")
        return (
            {str(name): str(digest) for name, digest in trained.items()},
            {str(name): [str(d) for d in digests] for name, digests in measured.items()},
            {str(name): str(digest) for name, digest in labels.items()},
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"{path} is damaged ({error})", hint="remove it and run again, or give another --output"
        ) from error
