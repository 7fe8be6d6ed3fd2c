"""Finished figures in a CSV: a row is kept once, and beside those that other processes keep."""

from __future__ import annotations

import csv
import fcntl
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from rsretrieve._core.tables import write_csv

Row = dict[str, str]
Key = tuple[str, ...]


class KeptRows:
    """Rows by their first columns, which tell them apart.

    Args:
        path: the CSV, made with the first row.
        keys: the columns that tell rows apart.
        figures: the columns beside them.
    """

    def __init__(self, path: Path, keys: Sequence[str], figures: Sequence[str]) -> None:
        self.path, self.keys, self.figures = path, tuple(keys), tuple(figures)
        self.rows: dict[Key, Row] = {}
        self._read()

    def _read(self) -> None:
        if self.path.exists():
            with self.path.open(encoding="utf-8", newline="") as stream:
                for row in csv.DictReader(stream):
                    known = {name: row.get(name) or "" for name in (*self.keys, *self.figures)}
                    self.rows[tuple(known[name] for name in self.keys)] = known

    def keep(self, key: Key, figures: Mapping[str, object]) -> None:
        """Write a row, beside those that another process kept meanwhile."""
        texts = {name: _text(figures[name]) for name in self.figures}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self._read()
            self.rows[key] = {**dict(zip(self.keys, key)), **texts}
            columns = (*self.keys, *self.figures)
            rows = ([row[name] for name in columns] for row in self.rows.values())
            write_csv(self.path, columns, rows, overwrite=True)


def _text(value: object) -> str:
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.4f}"
    return str(value)
