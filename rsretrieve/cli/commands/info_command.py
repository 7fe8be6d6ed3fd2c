"""`rsretrieve info`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rsretrieve.cli import options
from rsretrieve.cli.early_checks import find_model
from rsretrieve.cli.terminal import Terminal
from rsretrieve.errors import InputError


def info(
    folder: Annotated[
        Path | None,
        typer.Argument(
            metavar="MODEL|INDEX",
            help="Model folder, index folder, or the name of a model of `rsretrieve models`.",
        ),
    ] = None,
    security: Annotated[
        bool,
        typer.Option(
            "--security",
            help="Show which limits this system enforces on the processes that decode tiles.",
        ),
    ] = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Describe a model or an index.

    For a model, changed or missing files are listed. To check an index, use rsretrieve index
    --verify.

    Example:
        rsretrieve info models/mine
        rsretrieve info index
    """
    if security == (folder is not None):
        raise typer.BadParameter("give either a model or index folder, or --security")
    with Terminal(as_json=as_json, quiet=quiet) as terminal:
        if folder is None:
            _show_security(terminal)
            return
        from rsretrieve.cli.io.info_tables import index_table, model_table
        from rsretrieve.data.run_context import RunContext
        from rsretrieve.export.results import model_json
        from rsretrieve.index.store.manifest import MANIFEST_FILE
        from rsretrieve.network.metadata import (
            DESCRIPTION_FILE,
            ModelFolder,
            changed_files,
            report_unchecked,
        )

        if not (folder / MANIFEST_FILE).exists():
            named = find_model(folder)
            terminal.notice(*named.notices)
            folder = named.folder or folder
        if (folder / DESCRIPTION_FILE).exists():
            model = ModelFolder.read(folder)
            changed = changed_files(model)
            report_unchecked(model, RunContext(listener=terminal.listen))
            if changed:
                terminal.notice(f"changed or missing files: {', '.join(changed)}")
            content = {**model_json(folder, model.description), "changed_files": list(changed)}
            terminal.result(content, model_table(folder, model.description))
        elif (folder / MANIFEST_FILE).exists():
            from rsretrieve.index.describe import describe_index

            described = describe_index(folder)
            terminal.result(described.to_json(), index_table(described))
        else:
            raise InputError(
                f"{folder} is neither a model folder ({DESCRIPTION_FILE} is missing) nor an index "
                f"folder ({MANIFEST_FILE} is missing)",
                hint=_hint(folder),
            )


def _hint(folder: Path) -> str:
    from rsretrieve.network.shipped.shipped_models import no_such_model

    if not folder.exists():
        return no_such_model(folder).hint
    return "`rsretrieve train` writes models, `rsretrieve index` writes indexes"


def _show_security(terminal: Terminal) -> None:
    from rsretrieve.cli.io.info_tables import security_table
    from rsretrieve.data.gdal_drivers import for_files
    from rsretrieve.data.workers.confinement import enforced
    from rsretrieve.export.results import security_json

    found = enforced()
    terminal.result(security_json(found, for_files()), security_table(found, len(for_files())))
