"""`rsretrieve info`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rsretrieve.cli import options
from rsretrieve.cli.terminal import Terminal
from rsretrieve.errors import InputError


def info(
    folder: Annotated[
        Path | None,
        typer.Argument(metavar="MODEL|INDEX", help="A model folder, or an index folder."),
    ] = None,
    security: Annotated[
        bool,
        typer.Option(
            "--security", help="Say what this system enforces on the processes that decode tiles."
        ),
    ] = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Say what a model or an index is, at a glance.

    Of a model, the files that changed since they were written are named. An index is checked
    by `rsretrieve index --verify`.
    """
    if security == (folder is not None):
        raise typer.BadParameter("give MODEL, INDEX or --security, one of them")
    with Terminal(as_json=as_json, quiet=quiet) as terminal:
        if folder is None:
            _show_security(terminal)
            return
        from rsretrieve.cli.io.render import index_table, model_table
        from rsretrieve.data.run_context import RunContext
        from rsretrieve.export.results import model_json
        from rsretrieve.index.store.manifest import MANIFEST_FILE
        from rsretrieve.network.metadata import (
            DESCRIPTION_FILE,
            ModelFolder,
            changed_files,
            report_unchecked,
        )

        if (folder / DESCRIPTION_FILE).exists():
            model = ModelFolder.read(folder)
            changed = changed_files(model)
            report_unchecked(model, RunContext(listener=terminal.listen))
            if changed:
                terminal.notice(f"changed or missing since they were written: {', '.join(changed)}")
            content = {**model_json(folder, model.description), "changed_files": list(changed)}
            terminal.result(content, model_table(folder, model.description))
        elif (folder / MANIFEST_FILE).exists():
            from rsretrieve.index.describe import describe_index

            described = describe_index(folder)
            terminal.result(described.to_json(), index_table(described))
        else:
            raise InputError(
                f"{folder} is neither a model nor an index ({DESCRIPTION_FILE} and "
                f"{MANIFEST_FILE} are missing)",
                hint="`rsretrieve train` makes the one, `rsretrieve index` the other",
            )


def _show_security(terminal: Terminal) -> None:
    from rsretrieve.cli.io.render import security_table
    from rsretrieve.data.gdal_drivers import for_files
    from rsretrieve.data.workers.confinement import enforced
    from rsretrieve.export.results import security_json

    found = enforced()
    terminal.result(security_json(found, for_files()), security_table(found, len(for_files())))
