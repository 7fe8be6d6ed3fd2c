"""How well `change` finds known changes of made-up scenes under another season and sensor.

A landscape of 6 bands is seen twice. In between some cells became those of another landscape, and
all cells got another season, another sensor, other light and noise. Both dates are indexed by one
embedding, chosen without labels. With windows of two cells a side, a changed cell is a quarter of
its window. The columns are average precisions: of the change, of the change beside the mean
difference alone, and of the cosine without any correction.

    python benchmarks/changes.py --work FOLDER --seeds 3
"""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score

import rsretrieve
from rsretrieve.data.window import split_window
from rsretrieve.search.changes.find_changes import Changes
from rsretrieve.synthetic.scene import make_landscape, write_scene
from rsretrieve.synthetic.seasons import changed_landscape

CELLS, CELL_PX = 24, 32


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--work", type=Path, required=True, help="an empty folder")
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args()
    warnings.simplefilter("ignore", rsretrieve.RsretrieveWarning)
    print("| window | changed cells | seed | change | mean difference only | cosine only |")
    print("|---|---|---|---|---|---|")
    for window in (CELL_PX, 2 * CELL_PX):
        for share in (0.02, 0.1):
            for seed in range(given.seeds):
                folder = given.work / f"{window}-{share}-{seed}"
                cells = precisions(folder, window, share, seed)
                figures = " | ".join(f"{value:.3f}" for value in cells)
                print(f"| {window} px | {share:.0%} | {seed} | {figures} |", flush=True)


def precisions(folder: Path, window: int, share: float, seed: int) -> tuple[float, ...]:
    """The three average precisions of one pair of scenes."""
    one, other = (make_landscape(CELLS, CELL_PX, seed + 1000 * new) for new in (0, 1))
    later, changed = changed_landscape(one, other, CELL_PX, share, seed)
    for name, scene in (("before", one), ("after", later)):
        write_scene(scene, folder / f"{name}.tif")
    tiles = [rsretrieve.open_tiles(folder / f"{n}.tif", window=window) for n in ("before", "after")]
    early = rsretrieve.build_index(tiles[0], None, folder / "early")
    late = rsretrieve.build_index(tiles[1], folder / "early" / "model", folder / "late")
    found = rsretrieve.change(early, late).found
    truth = truth_of(found, changed)
    difference = late.embeddings[found.after_rows] - early.embeddings[found.before_rows]
    beside_mean = np.linalg.norm(difference - difference.mean(axis=0), axis=1)
    scores = (found.change, beside_mean, -found.similarity)
    return tuple(float(average_precision_score(truth, score)) for score in scores)


def truth_of(found: Changes, changed: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(M,) whether a window holds a cell that changed."""
    ids = found.after.store.rows.column("id")
    truth = []
    for row in found.after_rows.tolist():
        window = split_window(ids[row])[1]
        if window is None:
            raise ValueError(f"{ids[row]} is no window")
        top, left = window.row // CELL_PX, window.col // CELL_PX
        side = window.width // CELL_PX
        truth.append(bool(changed[top : top + side, left : left + side].any()))
    return np.array(truth)


if __name__ == "__main__":
    main()
