"""`rsretrieve export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rsretrieve.cli import options
from rsretrieve.cli.early_checks import check_model, find_model
from rsretrieve.cli.terminal import Terminal


def export(
    model: Annotated[
        Path,
        typer.Argument(metavar="MODEL", help="Model folder; or a model of `rsretrieve models`."),
    ],
    *,
    onnx: Annotated[
        Path,
        typer.Option(
            "--onnx",
            metavar="FILE.onnx",
            help="The file to write. FILE.onnx.json beside it names its input, its output and how "
            "tiles are resized.",
        ),
    ],
    opset: Annotated[
        int,
        typer.Option(metavar="N", min=18, max=23, help="Version of ONNX's operators."),
    ] = 18,
    overwrite: options.Overwrite = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Write a model as one ONNX file, for other programs and languages.

    The file takes batches of tiles as float32 numbers in their own units (0 to 255 for 8-bit
    tiles), of the model's size and bands, and returns unit embeddings. Scaling and normalisation
    are part of it; resizing is not.

    The file is run by onnxruntime and compared with PyTorch on generated tiles. If a cosine
    similarity is below 0.999, nothing is written.

    Example:
        rsretrieve export models/mine --onnx mine.onnx
    """
    from rsretrieve.export.output_paths import OutputPaths

    named = find_model(model)
    model = named.folder or model
    beside = onnx.with_name(f"{onnx.name}.json") if onnx.name else None
    files = {"--onnx": onnx, "--onnx (.json)": beside}
    with Terminal(as_json=as_json, quiet=quiet, notices=named.notices) as terminal:
        from rsretrieve.export.onnx_file import check_name, onnx_json, write_onnx

        check_name(onnx)
        OutputPaths(files, inputs={"MODEL": model}, overwrite=overwrite).check()
        check_model(model)
        import torch

        from rsretrieve.cli.io.info_tables import onnx_table
        from rsretrieve.data.run_context import RunContext
        from rsretrieve.network.model_folder import load_model

        context = RunContext(listener=terminal.listen)
        loaded = load_model(model, torch.device("cpu"), context)
        written = write_onnx(loaded, onnx, context, opset=opset, overwrite=overwrite)
        terminal.notice(*context.notices)
        terminal.result(onnx_json(written), onnx_table(written))
