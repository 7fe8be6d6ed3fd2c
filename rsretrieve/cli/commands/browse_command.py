"""`rsretrieve browse`."""

from __future__ import annotations

from contextlib import closing
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rsretrieve.cli import options
from rsretrieve.cli.early_checks import check_device, check_file, check_index, find_model
from rsretrieve.cli.io.query_inputs import search_context
from rsretrieve.cli.io.query_outputs import bands_of
from rsretrieve.cli.terminal import Terminal

if TYPE_CHECKING:
    from rsretrieve.browse.index_view import IndexView
    from rsretrieve.browse.points import FlatMap
    from rsretrieve.data.run_context import RunContext
    from rsretrieve.index.store.folder import IndexStore


class MapKind(StrEnum):
    """How the map of similarity is made."""

    PCA = "pca"
    UMAP = "umap"

    @property
    def note(self) -> str:
        """For the page."""
        return "two principal components" if self is MapKind.PCA else "UMAP"


def browse(
    index: Annotated[Path, typer.Argument(metavar="INDEX", help="Index folder.")],
    model: options.IndexModel = None,
    audit: Annotated[
        Path | None,
        typer.Option(
            metavar="AUDIT.csv",
            help="What `audit-labels --output` wrote: its tiles can be reviewed on the page, as on "
            "that of `audit-labels --page`.",
        ),
    ] = None,
    base_map: Annotated[
        str | None,
        typer.Option(
            metavar="FOLDER|URL",
            help="Map tiles (Web Mercator) below the map of places: a folder of z/x/y.png, or an "
            "address with {z}, {x} and {y} ({-y}: counted from the south). The page then asks this "
            "one host for them, which sees what part of the map you look at.",
        ),
    ] = None,
    similarity_map: Annotated[
        MapKind,
        typer.Option(
            "--map",
            help="Map of similarity: two principal components, or UMAP (extra umap), which keeps "
            "neighbours together; of 20,000 tiles it takes minutes, once.",
        ),
    ] = MapKind.PCA,
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
            help="Where decisions of the review are kept, after every one, for audit-labels "
            "--decisions; a file that is there goes on. \\[default: INDEX-decisions.csv in the "
            "current folder]",
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
        rsretrieve browse index --base-map map-tiles

    Needs the extra browse: pip install 'rsretrieve[browse]'
    """
    if decided is not None and audit is None:
        raise typer.BadParameter("--decided needs --audit")
    chosen = (named := find_model(model)).folder
    with Terminal(as_json=False, quiet=quiet, notices=named.notices) as terminal:
        check_device(device)
        check_index(index)
        check_file(audit)
        _require_packages(similarity_map)
        base = _base_map(base_map, terminal)
        from rsretrieve.browse.answers import AnswersFile
        from rsretrieve.browse.app import Extras, KeptFiles, make_app
        from rsretrieve.browse.index_view import IndexView
        from rsretrieve.browse.kind_search import KindSearchFile
        from rsretrieve.browse.serve import serve
        from rsretrieve.data.run_context import RunContext
        from rsretrieve.export.output_paths import OutputPaths
        from rsretrieve.index.store.folder import open_index

        name = index.resolve().name
        files = {
            "--answers": answers or Path(f"{name}-answers.csv"),
            "--decided": decided or Path(f"{name}-decisions.csv"),
            "--session": session or Path(f"{name}.session.json"),
        }
        outputs = OutputPaths(files, inputs={"INDEX": index, "--audit": audit}, overwrite=True)
        outputs.check()
        store = open_index(index)
        outputs.check_tiles(lambda: store.rows.column("path"))
        context = RunContext(listener=terminal.listen)
        search = search_context(store, chosen, device, context)
        bands = bands_of(chosen or store.manifest.model_path(store.folder))
        view = IndexView(store, search, bands, _flat(similarity_map, store, context))
        kept = KeptFiles(
            AnswersFile(files["--answers"], "answer", view.row_of),
            KindSearchFile(store, files["--session"]),
        )
        extras = Extras(
            _review(audit, files["--decided"], view, terminal),
            base,
            similarity_map.note,
        )
        with closing(view.pictures):
            serve(
                lambda token, found: make_app(view, kept, token, found, extras),
                port,
                lambda url: _opened(url, terminal, opens=not no_open),
            )


def _review(audit: Path | None, decided: Path, view: IndexView, terminal: Terminal) -> Any:
    """The review of an audit; None without one."""
    if audit is None:
        return None
    from rsretrieve.browse.review.decided_file import DecidedFile
    from rsretrieve.browse.review.label_review import Review
    from rsretrieve.browse.review.saved_audit import SavedAudit

    saved = SavedAudit.read(audit, view.store, view.row_of)
    terminal.notice(*saved.notices)
    return Review(view, saved, DecidedFile(decided))


def _base_map(text: str | None, terminal: Terminal) -> Any:
    """The base map; None without one."""
    if text is None:
        return None
    from rsretrieve.browse.base_map import BaseMap

    found = BaseMap.parse(text)
    if found.origin:
        terminal.notice(
            f"--base-map: the page asks {found.origin} for map tiles; it sees what part of the map "
            "you look at, and no tile of the index"
        )
    return found


def _flat(kind: MapKind, store: IndexStore, context: RunContext) -> FlatMap:
    """What makes the map of similarity."""
    from rsretrieve.browse.points import principal_plane

    if kind is MapKind.PCA:
        return principal_plane
    from rsretrieve.browse.umap_plane import umap_plane

    found = umap_plane(store, context)  # before the page is served: it may take a minute
    return lambda _: found


def _require_packages(kind: MapKind) -> None:
    """Check that the packages of the extra are there, before anything is read.

    Raises:
        MissingPackage: they are not.
    """
    from importlib.util import find_spec

    from rsretrieve.errors import MissingPackage

    needed = [("starlette", "browse", "browse"), ("uvicorn", "browse", "browse")]
    needed += [("umap", "--map umap", "umap")] * (kind is MapKind.UMAP)
    for name, what, extra in needed:
        if find_spec(name) is None:
            raise MissingPackage(
                f"{what} needs the package {name}, which is not installed",
                hint=f"pip install 'rsretrieve[{extra}]'",
            )


def _opened(url: str, terminal: Terminal, *, opens: bool) -> None:
    """Say where the page is, and open it."""
    import webbrowser

    terminal.result({"address": url}, f"{url}\nPress Ctrl-C to end.")
    if opens:
        webbrowser.open(url)
