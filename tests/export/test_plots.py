"""The plot of a training."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from matplotlib.axes import Axes
from PIL import Image

from rsretrieve.errors import MissingPackage, TableError
from rsretrieve.export.plots import plot_training


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> dict[str, tuple[list[float], list[float]]]:
    """What is plotted from now on: label → x and y."""
    plotted: dict[str, tuple[list[float], list[float]]] = {}
    plot: Callable[..., Any] = Axes.plot

    def noting(axes: Axes, x: Any, y: Any, **style: Any) -> Any:
        plotted[style["label"]] = (list(x), list(y))
        return plot(axes, x, y, **style)

    monkeypatch.setattr(Axes, "plot", noting)
    return plotted


def test_the_plot_is_a_picture(tmp_path: Path, history: Path) -> None:
    plot_training(history, tmp_path / "training.png")
    with Image.open(tmp_path / "training.png") as picture:
        assert picture.format == "PNG"
        assert min(picture.size) > 400


def test_loss_kept_tiles_and_known_accuracies_are_plotted_by_epoch(
    tmp_path: Path, history: Path, lines: dict[str, Any]
) -> None:
    plot_training(history, tmp_path / "training.png")
    assert lines == {
        "loss": ([1, 2, 3], [2.5, 1.5, 1.0]),
        "labels kept (m = 1)": ([1, 2, 3], [1.0, 1.0, 0.7]),
        "validation accuracy, given labels": ([1, 2], [0.25, 0.5]),
    }


def test_the_kept_epoch_is_marked_and_its_reason_is_said(
    tmp_path: Path, history: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr(Axes, "axvline", lambda axes, x, **style: said.append(str(x)))
    labelled: Callable[..., Any] = Axes.set_xlabel
    monkeypatch.setattr(
        Axes,
        "set_xlabel",
        lambda axes, text, **style: (said.append(text), labelled(axes, text, **style)),
    )
    plot_training(history, tmp_path / "training.png", 2, "the best")
    assert said == ["epoch", "2", "epoch (kept: 2, the best)"]


@pytest.mark.parametrize("column", [",", ""])
def test_without_validation_its_line_is_left_out(
    tmp_path: Path, lines: dict[str, Any], column: str
) -> None:
    history = tmp_path / "history.csv"
    name = "validation_accuracy" if column else ""
    history.write_text(
        f"epoch,loss,kept_fraction{column}{name}\n1,2.5,1.0{column}\n", encoding="utf-8"
    )
    plot_training(history, tmp_path / "training.png")
    assert list(lines) == ["loss", "labels kept (m = 1)"]


def test_an_old_plot_is_replaced(tmp_path: Path, history: Path) -> None:
    (tmp_path / "training.png").write_bytes(b"old")
    plot_training(history, tmp_path / "training.png")
    assert (tmp_path / "training.png").read_bytes().startswith(b"\x89PNG")


def test_a_history_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TableError, match=r"history\.csv: no such file$"):
        plot_training(tmp_path / "history.csv", tmp_path / "training.png")
    assert not (tmp_path / "training.png").exists()


def test_without_matplotlib_the_missing_package_is_named(
    tmp_path: Path, history: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingPackage, match=r"^plots need matplotlib, which is not") as caught:
        plot_training(history, tmp_path / "training.png")
    assert caught.value.hint == "pip install matplotlib"
