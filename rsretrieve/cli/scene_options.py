"""The options for scenes, shared by all commands that take tiles."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import wraps
from pathlib import Path
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
_OF_WINDOWS = ("stride", "resolution", "edges", "max_nodata", "max_windows")


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
    window: int | None, asset: list[str] | None, stack: str | None, **given: Any
) -> SceneChoices:
    bands = tuple(band.strip() for band in (stack or "").split(",") if band.strip())
    if stack is not None and not bands:
        raise typer.BadParameter("expected names of bands, or all", param_hint="--stack")
    if bands and asset:
        raise typer.BadParameter(
            "--stack is for files; the bands of STAC items are chosen by --asset"
        )
    return SceneChoices(
        _windows(window, given),
        tuple(asset or ()),
        given["max_windows"] or MAX_WINDOWS,
        trusted=given["trust_sources"],
        stack=bands,
    )


def _windows(window: int | None, given: Mapping[str, Any]) -> WindowChoices | None:
    if window is None:
        for name in _OF_WINDOWS:
            if given[name] is not None:
                raise typer.BadParameter(f"--{name.replace('_', '-')} needs --window PX")
        return None
    max_nodata = given["max_nodata"]
    return WindowChoices(
        window_px=window,
        stride_px=given["stride"],
        resolution_m=given["resolution"],
        edges=given["edges"] or Edges.DROP,
        max_nodata=DEFAULT_MAX_NODATA if max_nodata is None else max_nodata,
    )


def given_tile_options(labels: Path | None, scenes: SceneChoices) -> tuple[str, ...]:
    """The options that say how tiles are read; those that need --window stand behind it.

    Args:
        labels: the value of --labels.
        scenes: what the options of scenes became.
    """
    given = {
        "--labels": labels is not None,
        "--window": scenes.windows is not None,
        "--asset": bool(scenes.assets),
        "--stack": bool(scenes.stack),
        "--trust-sources": scenes.trusted,
    }
    return tuple(name for name, is_given in given.items() if is_given)


def scene_option_names() -> tuple[str, ...]:
    """The parameters that `takes_scenes` adds."""
    return tuple(_OPTIONS)
