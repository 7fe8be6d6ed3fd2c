"""`rsretrieve models`."""

from __future__ import annotations

from rsretrieve.cli import options
from rsretrieve.cli.terminal import Terminal


def models(as_json: options.Json = False, quiet: options.Quiet = False) -> None:
    """List the models that rsretrieve comes with.

    `--model NAME` takes one of them wherever a command takes a model folder, as in `rsretrieve
    index tiles --model default --output index`. A folder of that name that holds a model comes
    first.

    Example:
        rsretrieve models
        rsretrieve models --json

    Figures are the accuracy of 10 nearest neighbours and the mAP, leave one out; "fitted" is with
    principal components of the same tiles, as without --model.
    """
    with Terminal(as_json=as_json, quiet=quiet) as terminal:
        from rsretrieve.cli.io.model_tables import shipped_table
        from rsretrieve.export.results import shipped_json
        from rsretrieve.network.shipped.shipped_models import shipped_folder, shipped_models

        found = shipped_models()
        if not found:
            terminal.notice(f"there are no models in {shipped_folder()}: install rsretrieve again")
        terminal.result({"models": [shipped_json(one) for one in found]}, shipped_table(found))
