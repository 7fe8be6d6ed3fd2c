"""`rsretrieve copy-index`."""

from __future__ import annotations

from typing import Annotated

import typer

from rsretrieve.cli import options
from rsretrieve.cli.terminal import Terminal


def copy_index(
    source: Annotated[
        str,
        typer.Argument(metavar="INDEX|ADDRESS", help="What to copy: an index folder, or a copy."),
    ],
    output: Annotated[
        str,
        typer.Option(metavar="ADDRESS|DIR", help="Where to: a store, or an index folder."),
    ],
    overwrite: options.Overwrite = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Copy an index into an object store, or from there into a folder.

    One of the two is an address: s3://BUCKET/NAME, in Amazon S3 or a store with its interface,
    whose endpoint (AWS_ENDPOINT_URL) and credentials come from the environment; or file:///PATH, on
    a disk that several machines share. Only blocks that the other side does not have are sent. An
    interrupted copy continues when the command is repeated.

    Example:
        rsretrieve copy-index index --output s3://archive/index
        rsretrieve copy-index s3://archive/index --output index
    """
    with Terminal(as_json=as_json, quiet=quiet) as terminal:
        from dataclasses import asdict

        from rsretrieve._core.text import decimal_size
        from rsretrieve.data.run_context import RunContext
        from rsretrieve.export.output_paths import OutputPaths
        from rsretrieve.index.remote.copy_index import copy_index as copied
        from rsretrieve.index.remote.copy_index import is_address, local_folder

        inputs, place = {"INDEX": local_folder(source)}, local_folder(output)
        if is_address(output):
            OutputPaths(inputs=inputs, kept={"--output": place}).check()
        else:
            OutputPaths(folder={"--output": place}, inputs=inputs).check()
        context = RunContext(listener=terminal.listen)
        found = copied(source, output, context, overwrite=overwrite)
        terminal.result(
            asdict(found),
            f"{found.index}: {found.tiles} tiles, {found.files} files, {decimal_size(found.size)}; "
            f"{decimal_size(found.transferred)} transferred",
        )
