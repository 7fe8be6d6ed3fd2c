"""What auditors found: kept in a CSV, printed as tables, held against the best of the others."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from grid.auditing import FEATURES, Found, calibration_error, reliability_curve
from grid.auditors import Auditor
from grid.cells import CELL_COLUMNS, Cell
from grid.kept_rows import KeptRows, Row

FIGURES = tuple(field.name for field in fields(Found))
_CELL = ("dataset", "size_px", "noise", "rate", "method", "seed")


class AuditResults(KeptRows):
    """The finished rows; one of a cell, an auditor and what it audits on.

    Args:
        path: the CSV, made with the first row.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, (*CELL_COLUMNS, "auditor", "basis"), FIGURES)

    def __contains__(self, wanted: tuple[Cell, Auditor, str]) -> bool:
        cell, auditor, basis = wanted
        return (*cell.key, str(auditor), basis) in self.rows

    def add(self, cell: Cell, auditor: Auditor, basis: str, found: Found) -> None:
        """Keep a row."""
        self.keep((*cell.key, str(auditor), basis), asdict(found))


def audit_table(rows: Sequence[Row]) -> str:
    """Every row, and below, by cell, ours beside the best of the others."""
    shown = ("auditor", "basis", *FIGURES)
    lines = ["| " + " | ".join((*_CELL, *shown)) + " |", "|" + "---|" * (len(_CELL) + len(shown))]
    groups: dict[tuple[str, ...], list[Row]] = defaultdict(list)
    for row in rows:
        groups[tuple(row[name] for name in _CELL)].append(row)
    for key, members in sorted(groups.items()):
        for row in members:
            lines.append("| " + " | ".join((*key, *(row[name] or "–" for name in shown))) + " |")
    return "\n".join([*lines, "", *_bars(groups)])


def reliability_table(claimed: NDArray[np.float64], wrong: NDArray[np.bool_]) -> str:
    """What probabilities claim, and what is so, and how far they are from each other."""
    lines = ["| mean issue_probability | share wrong | tiles |", "|---|---|---|"]
    for found in reliability_curve(claimed, wrong):
        lines.append(f"| {found.probability:.4f} | {found.wrong:.4f} | {found.tiles} |")
    error = calibration_error(claimed, wrong)
    return "\n".join([*lines, "", f"expected calibration error: {error:.4f}"])


def _bars(groups: dict[tuple[str, ...], list[Row]]) -> list[str]:
    """What must hold, cell by cell and in the mean."""
    head = ("cell", "AP, best other", "AUROC, best other", "F1, best other", "rate off by")
    lines = ["| " + " | ".join((*head, "flagged", "suggestions", "ECE")) + " |"]
    lines.append("|" + "---|" * 8)
    missed, gained = [], []
    for key, rows in sorted(groups.items()):
        own = [row for row in rows if row["auditor"] == Auditor.OURS]
        ours = min(own, key=lambda row: row["basis"] == FEATURES)  # a trained model's, if any
        others = [row for row in rows if row["auditor"] != Auditor.OURS]
        texts = [_against(ours, others, name) for name in ("ap", "auroc", "f1")]
        off = float(ours["estimate"]) - float(ours["wrong"])
        texts += [f"{off:+.3f}", ours["flagged"], ours["suggestions"] or "–", ours["ece"]]
        lines.append(f"| {' '.join(key)} ({ours['basis']}) | {' | '.join(texts)} |")
        if ours["ap"]:
            best = {n: max(float(r[n]) for r in others) for n in ("ap", "f1")}
            missed.append((1 - float(ours["ap"]), 1 - best["ap"]))
            gained.append(float(ours["f1"]) - best["f1"])
    if missed:
        own, other = np.mean(missed, axis=0)
        lines += ["", f"mean of 1 − AP: {own:.4f}, best others' {other:.4f}, {own / other:.2f} ×"]
        lines.append(f"mean of F1 above the best other's: {np.mean(gained):+.3f}")
    return lines


def _against(ours: Row, others: Sequence[Row], name: str) -> str:
    if not ours[name]:
        return "–"
    best = max(others, key=lambda row: float(row[name] or 0))
    return f"{ours[name]}, {best[name]} ({best['auditor']} on {best['basis']})"
