"""`rsretrieve browse`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rsretrieve.cli import options
from rsretrieve.cli.early_checks import check_device, check_file, check_index, find_model
from rsretrieve.cli.terminal import Terminal

if TYPE_CHECKING:
    from rsretrieve.data.run_context import RunContext
    from rsretrieve.index.store.folder import IndexStore
    from rsretrieve.search.search import SearchContext


def browse(
    index: Annotated[Path, typer.Argument(metavar="INDEX", help="Index folder.")],
    model: options.IndexModel = None,
    audit: Annotated[
        Path | None,
        typer.Option(
            metavar="AUDIT.csv",
            help="What `audit-labels --output` wrote: its issues can be reviewed on the page.",
        ),
    ] = None,
    answers: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.csv",
            help="Where yes and no are kept (tile,answer), after every answer; a file that is "
            "there goes on. \\[default: INDEX-answers.csv in the current folder]",
        ),
    ] = None,
    decided: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.csv",
            help="Where labels decided in the review are kept (tile,label), for --labels and "
            "--decisions. \\[default: INDEX-labels.csv in the current folder]",
        ),
    ] = None,
    session: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.json",
            help="Where a search for all tiles of a kind is kept, as by rsretrieve find, which can "
            "go on with it. \\[default: INDEX.session.json in the current folder]",
        ),
    ] = None,
    port: Annotated[
        int,
        typer.Option(metavar="N", min=0, max=65535, help="Port of the page; 0: any free one."),
    ] = 0,
    no_open: Annotated[
        bool, typer.Option("--no-open", help="Print the address and open no browser.")
    ] = False,
    device: options.Device = "auto",
    quiet: options.Quiet = False,
) -> None:
    """Look at an index in a web browser, and search it by clicking.

    The page shows all tiles on a map of their places and on a map of their similarity. A click
    on a tile finds similar ones; so do an image file that is dropped on the page, and coordinates.
    Answers (yes, no) refine a search, and are kept in a file. Only this machine can open the page.

    Example:
        rsretrieve browse index
        rsretrieve browse index --audit audit.csv

    Needs the extra browse: pip install 'rsretrieve[browse]'
    """
    chosen = (named := find_model(model)).folder
    with Terminal(as_json=False, quiet=quiet, notices=named.notices) as terminal:
        check_device(device)
        check_index(index)
        check_file(audit)
        _require_packages()
        from rsretrieve.browse.answers import AnswersFile
        from rsretrieve.browse.app import KeptFiles
        from rsretrieve.browse.index_view import IndexView
        from rsretrieve.browse.issues import read_issues
        from rsretrieve.browse.kind_search import KindSearchFile
        from rsretrieve.browse.serve import serve
        from rsretrieve.data.run_context import RunContext
        from rsretrieve.export.output_paths import OutputPaths
        from rsretrieve.index.store.folder import open_index

        name = index.resolve().name
        files = {
            "--answers": answers or Path(f"{name}-answers.csv"),
            "--decided": decided or Path(f"{name}-labels.csv"),
            "--session": session or Path(f"{name}.session.json"),
        }
        outputs = OutputPaths(files, inputs={"INDEX": index, "--audit": audit}, overwrite=True)
        outputs.check()
        store = open_index(index)
        outputs.check_tiles(lambda: store.rows.column("path"))
        context = RunContext(listener=terminal.listen)
        plain = IndexView(store, _search_context(store, chosen, device, context))
        issues, absent = ([], 0) if audit is None else read_issues(audit, plain.row_of)
        if absent:
            terminal.notice(f"{audit} has {absent} issues of tiles that the index does not have")
        view = IndexView(store, plain.context, _bands(store, chosen), tuple(issues))
        kept = KeptFiles(
            AnswersFile(files["--answers"], "answer", plain.row_of),
            AnswersFile(files["--decided"], "label", plain.row_of),
            KindSearchFile(store, files["--session"]),
        )
        serve(
            view,
            kept,
            port,
            lambda url: _opened(url, terminal, opens=not no_open),
        )


def _require_packages() -> None:
    """Check that the packages of the extra are there, before anything is read.

    Raises:
        MissingPackage: they are not.
    """
    from importlib.util import find_spec

    from rsretrieve.errors import MissingPackage

    for name in ("starlette", "uvicorn"):
        if find_spec(name) is None:
            raise MissingPackage(
                f"browse needs the package {name}, which is not installed",
                hint="pip install 'rsretrieve[browse]'",
            )


def _search_context(
    store: IndexStore, model: Path | None, device: str, context: RunContext
) -> SearchContext:
    """Searches without a model, until a file is dropped on the page."""
    from rsretrieve.search.search import SearchContext, model_folder_of

    def open_model(images: int) -> Any:
        from rsretrieve.network.metadata import ModelFolder
        from rsretrieve.network.runtime.graph import open_embedding_model

        found = ModelFolder.read(model or model_folder_of(store))
        return open_embedding_model(found, images, device, context)

    return SearchContext(open_model, context, "cpu" if device == "auto" else device)


def _bands(store: IndexStore, model: Path | None) -> tuple[int, ...]:
    """The bands that the model sees; empty (the first three) if that is not known."""
    from rsretrieve.errors import ModelError
    from rsretrieve.network.metadata import read_description

    folder = model or store.manifest.model_path(store.folder)
    if folder is None:
        return ()
    try:
        return read_description(folder).preprocessing.bands
    except ModelError:
        return ()


def _opened(url: str, terminal: Terminal, *, opens: bool) -> None:
    """Say where the page is, and open it."""
    import webbrowser

    terminal.result({"address": url}, f"{url}\nPress Ctrl-C to end.")
    if opens:
        webbrowser.open(url)
