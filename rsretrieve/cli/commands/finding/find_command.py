"""`rsretrieve find`."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from rsretrieve.cli import options
from rsretrieve.cli.early_checks import check_device, check_file, check_index, find_model
from rsretrieve.cli.io.finding.find_outputs import FindOutputs
from rsretrieve.cli.io.query_inputs import files_of, require_given_model, search_context
from rsretrieve.cli.terminal import Terminal

_asked = partial(typer.Option, rich_help_panel="Examples and answers")
_shown = partial(typer.Option, rich_help_panel="Tiles to look at next")


def find(
    index: Annotated[
        Path, typer.Argument(metavar="INDEX", help="Index folder, written by rsretrieve index.")
    ],
    *,
    like: Annotated[
        list[str] | None,
        _asked(
            metavar="EXAMPLE",
            help=f"A tile of the wanted kind: {options.EXAMPLE_HELP}. Repeatable.",
        ),
    ] = None,
    unlike: Annotated[
        list[str] | None,
        _asked(metavar="EXAMPLE", help="A tile of another kind, as for --like. Repeatable."),
    ] = None,
    answers: Annotated[
        list[Path] | None,
        _asked(
            metavar="FILE",
            help="Answers (CSV: tile,answer): yes, no or unsure; rows without an answer are "
            "skipped. Repeatable.",
        ),
    ] = None,
    ask: Annotated[
        bool,
        _asked(
            "--ask",
            help="Ask in the terminal, round by round, until you type q or it is time to stop.",
        ),
    ] = False,
    session: Annotated[
        Path | None,
        _asked(
            metavar="FILE",
            help="Keeps examples and answers, to go on later. \\[default: the name of --output "
            "with the suffix .session.json]",
        ),
    ] = None,
    propose: Annotated[
        int,
        _shown(metavar="N", min=0, max=10_000, help="Tiles to look at next."),
    ] = 10,
    proposals: Annotated[
        Path | None,
        _shown(
            metavar="FILE.csv",
            help="CSV of these tiles. Fill in the column answer, and give the file as --answers.",
        ),
    ] = None,
    sheet: Annotated[
        Path | None,
        _shown(metavar="FILE.png", help="Picture of these tiles, numbered as in the CSV."),
    ] = None,
    output: Annotated[
        Path | None,
        options.file_option(help="CSV of the tiles that were found, the likeliest first."),
    ] = None,
    geojson: Annotated[Path | None, options.geojson_option("the tiles that were found")] = None,
    geoparquet: Annotated[
        Path | None,
        options.geoparquet_option("the tiles that were found"),
    ] = None,
    labels: Annotated[
        Path | None,
        options.file_option(
            help="Labels file to train on: --label for the tiles that were found, and 'not' with "
            "this label for the answer no. Answers are confirmed labels."
        ),
    ] = None,
    label: Annotated[
        str,
        typer.Option(
            metavar="NAME", rich_help_panel=options.FILES, help="Label of the kind in --labels."
        ),
    ] = "wanted",
    min_probability: Annotated[
        float,
        typer.Option(
            metavar="P", min=0, max=1, help="Least probability of a found tile without an answer."
        ),
    ] = 0.5,
    target_precision: Annotated[
        float, typer.Option(metavar="P", min=0, max=1, help="Precision to reach before you stop.")
    ] = 0.9,
    target_recall: Annotated[
        float, typer.Option(metavar="R", min=0, max=1, help="Recall to reach before you stop.")
    ] = 0.8,
    model: options.IndexModel = None,
    trust_sources: options.TrustSources = False,
    seed: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=options.MAX_SEED,
            rich_help_panel=options.RUN,
            help="Random seed of a new session. \\[default: 0]",
        ),
    ] = None,
    device: options.Device = "auto",
    overwrite: options.Overwrite = False,
    strict: options.Strict = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Find all tiles of a kind: give an example, answer yes or no, and repeat.

    Each run ranks all tiles by the examples and the answers so far, proposes the next tiles to look
    at, and estimates how many tiles of the kind there are, with a 95 % interval.

    Example:
        rsretrieve find index --like a.tif --session s.json --proposals 1.csv
        rsretrieve find index --session s.json --answers 1.csv --output found.csv
        rsretrieve find index --session s.json --ask --sheet next.png

    Proposals are the likeliest tiles, uncertain tiles, and random ones. The estimates rest on the
    answers on proposed tiles.
    """
    model = (named := find_model(model)).folder
    outputs = FindOutputs(
        output=output,
        geojson=geojson,
        geoparquet=geoparquet,
        labels=labels,
        label=label,
        proposals=proposals,
        sheet=sheet,
        session=session,
        overwrite=overwrite,
        trusted=trust_sources,
        asks=ask,
    )
    inputs = {
        "INDEX": index,
        "--model": model,
        **options.inputs_of("--answers", [*map(str, answers or ())]),
        **files_of([*(like or ()), *(unlike or ())]),
    }
    paths, kept = outputs.paths(inputs), outputs.session_path
    if not label.strip():
        raise typer.BadParameter("a label is not empty", param_hint="--label")
    if ask and not propose:
        raise typer.BadParameter("--ask needs tiles to ask about", param_hint="--propose")
    with Terminal(as_json=as_json, quiet=quiet, notices=named.notices) as terminal:
        paths.check()
        outputs.check_session(inputs)
        terminal.leave_output_to(paths.on_standard_output)
        check_device(device)
        check_index(index)
        for path in answers or ():
            check_file(path)
        from rsretrieve._core.locks import only_writer
        from rsretrieve.cli.io.finding.ask_answers import ask_in_terminal
        from rsretrieve.cli.io.finding.find_tables import find_summary, proposal_rows
        from rsretrieve.data.run_context import RunContext
        from rsretrieve.data.tile import Trust
        from rsretrieve.export.found.found_tiles import find_json
        from rsretrieve.index.store.folder import open_index
        from rsretrieve.search.finding.find_run import FindRun
        from rsretrieve.search.finding.kind_estimate import Targets

        store = open_index(index)
        paths.check_tiles(lambda: store.rows.column("path"))
        require_given_model(store, model)
        context = RunContext(strict=strict, listener=terminal.listen)
        with only_writer(kept):
            run = FindRun(
                store,
                kept,
                search_context(store, model, device, context),
                targets=Targets(target_precision, target_recall),
                trust=Trust.TRUSTED if trust_sources else Trust.NAMED,
                seed=seed,
            )
            terminal.notice(*run.begin(like or (), unlike or (), answers or ()))
            if ask:
                ask_in_terminal(run, store, outputs, propose, min_probability)
            shown = run.finder.propose(propose)
            run.save()
            found = run.finder.found(min_probability)
            terminal.notice(*run.finder.notices, *context.notices)
            outputs.write(store, run, found, shown, terminal)
        content = {"session": str(kept), **find_json(run.finder, store, found, shown)}
        summary = find_summary(run.finder, found, kept)
        terminal.result(content, summary, *proposal_rows(store, shown))
        raise typer.Exit(terminal.failures(context.failures))
