"""What auditors found: kept in a CSV, printed as tables, held against the best of the others."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from grid.auditing import Found, calibration_error, reliability_curve
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
    """Every row; by cell, all auditors side by side; and ours beside the best of the others."""
    shown = ("auditor", "basis", *FIGURES)
    lines = ["| " + " | ".join((*_CELL, *shown)) + " |", "|" + "---|" * (len(_CELL) + len(shown))]
    groups: dict[tuple[str, ...], list[Row]] = defaultdict(list)
    for row in rows:
        groups[tuple(row[name] for name in _CELL)].append(row)
    for key, members in sorted(groups.items()):
        for row in members:
            lines.append("| " + " | ".join((*key, *(row[name] or "–" for name in shown))) + " |")
    return "\n".join([*lines, "", *_side_by_side(groups), "", *_bars(groups)])


def reliability_table(claimed: NDArray[np.float64], wrong: NDArray[np.bool_]) -> str:
    """What probabilities claim, and what is so, and how far they are from each other."""
    lines = ["| mean issue_probability | share wrong | tiles |", "|---|---|---|"]
    for found in reliability_curve(claimed, wrong):
        lines.append(f"| {found.probability:.4f} | {found.wrong:.4f} | {found.tiles} |")
    error = calibration_error(claimed, wrong)
    return "\n".join([*lines, "", f"expected calibration error: {error:.4f}"])


def _side_by_side(groups: Mapping[tuple[str, ...], Sequence[Row]]) -> Iterator[str]:
    """Average precision, F1 and the estimated rate of every auditor."""
    names = [auditor for auditor in Auditor if auditor is not Auditor.OURS]
    head = (
        "cell",
        "true rate",
        "ours: AP, F1, rate [95 %]",
        *(f"{n}: AP, F1, rate" for n in names),
    )
    yield "| " + " | ".join(head) + " |"
    yield "|" + "---|" * len(head)
    for key, members in sorted(groups.items()):
        for basis in dict.fromkeys(row["basis"] for row in members if row["auditor"] == "ours"):
            here = {row["auditor"]: row for row in members if row["basis"] == basis}
            own = here[Auditor.OURS]
            cells = [_figures(own, interval=True), *(_figures(here.get(n)) for n in names)]
            yield f"| {' '.join(key)} ({basis}) | {own['wrong']} | {' | '.join(cells)} |"


def _figures(row: Row | None, *, interval: bool = False) -> str:
    if row is None:
        return "–"
    rate = row["estimate"] or "–"
    if interval and row["told"]:
        rate = rate if float(row["told"]) else "cannot be told"
        rate += f" [{row['low']}, {row['high']}]"
    return f"{row['ap'] or '–'}, {row['f1'] or '–'}, {rate}"


def _bars(groups: dict[tuple[str, ...], list[Row]]) -> list[str]:
    """What must hold, cell by cell and in the mean."""
    head = ("cell", "AP, best other", "AUROC, best other", "F1, best other", "rate off by")
    lines = ["| " + " | ".join((*head, "flagged", "suggestions", "ECE")) + " |"]
    lines.append("|" + "---|" * 8)
    missed, gained = [], []
    for key, rows in sorted(groups.items()):
        for ours in (row for row in rows if row["auditor"] == Auditor.OURS):
            others = [row for row in rows if row["auditor"] != Auditor.OURS]
            others = [row for row in others if _is_unseen(row) == _is_unseen(ours)]
            texts = [_against(ours, others, name) for name in ("ap", "auroc", "f1")]
            off = float(ours["estimate"]) - float(ours["wrong"])
            told = f"{off:+.3f}" if float(ours["told"] or 1) else "cannot be told"
            texts += [told, ours["flagged"], ours["suggestions"] or "–", ours["ece"]]
            lines.append(f"| {' '.join(key)} ({ours['basis']}) | {' | '.join(texts)} |")
            if ours["ap"]:
                best = {n: max(float(r[n]) for r in others) for n in ("ap", "f1")}
                missed.append((1 - float(ours["ap"]), 1 - best["ap"]))
                gained.append(float(ours["f1"]) - best["f1"])
    if missed:
        own, other = np.mean(missed, axis=0)
        lines += [
            "",
            f"mean of 1 − AP: {own:.4f}, best others' {other:.4f}, {own / max(other, 1e-9):.2f} ×",
        ]
        lines.append(f"mean of F1 above the best other's: {np.mean(gained):+.3f}")
    return lines


def _is_unseen(row: Row) -> bool:
    """Whether the row is of tiles that the training had not seen."""
    return row["basis"].endswith("unseen")


def _against(ours: Row, others: Sequence[Row], name: str) -> str:
    if not ours[name]:
        return "–"
    best = max(others, key=lambda row: float(row[name] or 0))
    return f"{ours[name]}, {best[name]} ({best['auditor']} on {best['basis']})"
