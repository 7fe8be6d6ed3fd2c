"""The options for scenes, shared by all commands that take tiles."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Any, get_type_hints

import typer

from rsretrieve.cli import options
from rsretrieve.data.windowing import (
    DEFAULT_MAX_NODATA,
    MAX_WINDOWS,
    SceneChoices,
    WindowChoices,
)
from rsretrieve.enums import Edges

_OPTIONS = {
    "window": options.Window,
    "stride": options.Stride,
    "resolution": options.Resolution,
    "edges": options.EdgesOption,
    "max_nodata": options.MaxNodata,
    "asset": options.Assets,
    "stack": options.Stack,
    "max_windows": options.MaxWindows,
    "trust_sources": options.TrustSources,
}
_SWITCHES = ("trust_sources",)


def takes_scenes(command: Callable[..., None]) -> Callable[..., None]:
    """Add the scene options to a command, which gets them as one record, `scenes`."""
    signature = inspect.signature(command)
    hints = get_type_hints(command, include_extras=True)
    kept = [
        parameter.replace(annotation=hints[name])
        for name, parameter in signature.parameters.items()
        if name != "scenes"
    ]
    added = [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=False if name in _SWITCHES else None,
            annotation=option,
        )
        for name, option in _OPTIONS.items()
    ]

    @wraps(command)
    def with_scenes(**given: Any) -> None:
        chosen = {name: given.pop(name) for name in _OPTIONS}
        scenes = _chosen(**chosen)
        if scenes.windows is not None:
            from rsretrieve.data.workers.pool import start_for_scenes

            start_for_scenes()
        command(**given, scenes=scenes)

    parameters = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in kept] + added
    with_scenes.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    with_scenes.__annotations__ = {p.name: p.annotation for p in parameters}
    return with_scenes


def _chosen(
    window: int | None,
    stride: int | None,
    resolution: float | None,
    edges: Edges | None,
    max_nodata: float | None,
    asset: list[str] | None,
    stack: str | None,
    max_windows: int | None,
    trust_sources: bool,
) -> SceneChoices:
    of_windows = {
        "--stride": stride,
        "--resolution": resolution,
        "--edges": edges,
        "--max-nodata": max_nodata,
        "--max-windows": max_windows,
    }
    without_window = [name for name, value in of_windows.items() if value is not None]
    windows = None
    if window is not None:
        windows = WindowChoices(
            window_px=window,
            stride_px=stride,
            resolution_m=resolution,
            edges=edges or Edges.DROP,
            max_nodata=DEFAULT_MAX_NODATA if max_nodata is None else max_nodata,
        )
    elif without_window:
        raise typer.BadParameter(f"{without_window[0]} needs --window PX")
    bands = tuple(band.strip() for band in (stack or "").split(",") if band.strip())
    if stack is not None and not bands:
        raise typer.BadParameter("expected names of bands, or all", param_hint="--stack")
    if bands and asset:
        raise typer.BadParameter(
            "--stack is for files; the bands of STAC items are chosen by --asset"
        )
    return SceneChoices(
        windows,
        tuple(asset or ()),
        max_windows or MAX_WINDOWS,
        trusted=trust_sources,
        stack=bands,
    )
