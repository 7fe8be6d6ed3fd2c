"""What `rsretrieve models` prints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.table import Table

from rsretrieve.cli.io.text_tables import format_size, plain, plain_table

if TYPE_CHECKING:
    from rsretrieve.network.shipped.shipped_models import ShippedModel


def shipped_table(models: Sequence[ShippedModel]) -> Table:
    """One line for each model."""
    columns = ("name", "network", "input", "D", "size", "trained on", "licence", "K-NN / mAP")
    table = plain_table("models that rsretrieve comes with", *columns)
    for model in models:
        cells = (
            model.name,
            model.backbone,
            f"{model.size_px} px, {model.bands} bands of {model.dtype}",
            str(model.dimensions),
            format_size(model.bytes),
            model.trained_on,
            model.licence,
            "; ".join(map(str, model.figures)) or "not measured",
        )
        table.add_row(*map(plain, cells))
    return table
