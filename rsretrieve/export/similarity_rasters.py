"""Write similarity maps as GeoTIFF: one file, or a folder with one file for each scene."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rsretrieve._core.atomic_write import folder_aside, refuse_to_overwrite, written_aside
from rsretrieve._core.folders.folder_kind import NO_FILES, FolderKind, with_sidecars
from rsretrieve._core.regular_files import read_regular_text
from rsretrieve._core.tables import write_csv
from rsretrieve.data.geo import proj_data
from rsretrieve.errors import InputError, InvalidArgument
from rsretrieve.export.output_paths import is_one_raster
from rsretrieve.search.similarity_map import (
    SceneWindows,
    SimilarityMap,
    scenes_of,
    similarity_map,
)

if TYPE_CHECKING:
    from rsretrieve.index.store.folder import IndexStore
    from rsretrieve.search.search import QueryResult

LIST_FILE = "maps.csv"
"""In a folder of maps: which file is the map of which scene."""
_COLUMNS = ("file", "scene", "windows", "lowest", "highest")
_LONGEST_NAME = 80


def _own_map_files(folder: Path) -> frozenset[str]:
    """The files that the list of a folder of maps names, and the list."""
    try:
        rows = list(csv.reader(read_regular_text(folder / LIST_FILE).splitlines()))
    except (OSError, ValueError, csv.Error):
        return NO_FILES
    if rows[:1] != [list(_COLUMNS)]:
        return NO_FILES
    return with_sidecars(row[0] for row in rows[1:] if row) | {LIST_FILE}


MAPS_FOLDER = FolderKind("similarity maps", LIST_FILE, _own_map_files, frozenset({LIST_FILE}))


def scenes_to_map(
    store: IndexStore, path: Path, *, overwrite: bool, rows: NDArray[np.int64] | None = None
) -> list[SceneWindows]:
    """The scenes of an index, checked before the work starts.

    Args:
        store: the index.
        path: a GeoTIFF, or a folder.
        overwrite: replace an existing output.
        rows: only scenes with one of these rows; None for all.

    Raises:
        InvalidArgument: the path has the suffix of another format.
        InputError: the index has no windows of scenes, or several scenes for one file.
        OutputExists: the output exists and may not be replaced.
    """
    if not is_one_raster(path) and path.suffix[1:].isalpha():
        raise InvalidArgument(
            f"{path}: a similarity map is a GeoTIFF, not {path.suffix}",
            hint="give a name that ends in .tif; or a folder, for a map of each scene",
        )
    scenes = [
        scene for scene in scenes_of(store) if rows is None or np.isin(scene.rows, rows).any()
    ]
    kind = None if is_one_raster(path) else MAPS_FOLDER
    refuse_to_overwrite(path, overwrite=overwrite, kind=kind)
    if is_one_raster(path) and len(scenes) > 1:
        raise InputError(
            f"{store.folder} has windows of {len(scenes)} scenes ({scenes[0].file}, "
            f"{scenes[1].file} …), and {path} is one similarity map",
            hint="give a folder (a name without .tif): it gets a map of each scene",
        )
    return scenes


def write_similarity_maps(
    path: Path,
    store: IndexStore,
    scenes: Sequence[SceneWindows],
    results: Sequence[QueryResult],
    *,
    overwrite: bool,
) -> list[str]:
    """Write the similarity of every window to a query, as GeoTIFF (one band, float32, nodata NaN).

    Args:
        path: a GeoTIFF, or a folder; see `is_one_raster`.
        store: the index.
        scenes: its scenes; see `scenes_to_map`.
        results: one query and its hits.
        overwrite: replace an existing output.

    Returns:
        Notices.

    Raises:
        InvalidArgument: there are several queries.
        InputError: the windows of a scene have no map.
        OutputExists: the output exists and may not be replaced.
    """
    require_one_query(len(results))
    [result] = results
    tags = {"query": result.query, "expanded": str(result.expanded).lower()}
    return write_maps(
        path,
        store,
        scenes,
        lambda scene: similarity_map(store, scene, result.vectors),
        MapStyle("similarity map", "cosine similarity", "the most similar window", tags),
        overwrite=overwrite,
    )


@dataclass(frozen=True)
class MapStyle:
    """What a map is called.

    Attributes:
        name: of the map, for notices.
        band: description of its band.
        largest: the window whose value a pixel has, where windows lie on no grid.
        tags: further tags of the file.
    """

    name: str
    band: str
    largest: str
    tags: Mapping[str, str]


def write_maps(
    path: Path,
    store: IndexStore,
    scenes: Sequence[SceneWindows],
    draw: Callable[[SceneWindows], SimilarityMap],
    style: MapStyle,
    *,
    overwrite: bool,
) -> list[str]:
    """Write a map of each scene, as GeoTIFF (one band, float32, nodata NaN).

    Args:
        path: a GeoTIFF, or a folder; see `is_one_raster`.
        store: the index.
        scenes: its scenes; see `scenes_to_map`.
        draw: returns the map of a scene.
        style: what the map is called.
        overwrite: replace an existing output.

    Returns:
        Notices.

    Raises:
        InputError: the windows of a scene have no map.
        OutputExists: the output exists and may not be replaced.
    """
    irregular, unplaced = [], []

    def write_map(scene: SceneWindows, file: Path) -> SimilarityMap:
        found = draw(scene)
        _write(file, found, style)
        irregular.extend([scene.file] * (not found.is_regular))
        unplaced.extend([scene.file] * (found.crs is None))
        return found

    if is_one_raster(path):
        with written_aside(path, overwrite=overwrite) as aside:
            write_map(scenes[0], aside)
    else:
        with folder_aside(path, overwrite=overwrite, kind=MAPS_FOLDER) as folder:
            rows = []
            for number, scene in enumerate(scenes, 1):
                name = f"{number:0{len(str(len(scenes)))}d}_{_safe(scene.name)}.tif"
                values = write_map(scene, folder / name).values
                rows.append((name, scene.file, len(scene.rows), *_spread(values)))
            write_csv(folder / LIST_FILE, _COLUMNS, rows, overwrite=False)
    return _notices(store, scenes, irregular, unplaced, style)


def _spread(values: NDArray[np.float32]) -> tuple[float | str, float | str]:
    """The lowest and the highest value of a map; empty if it has none."""
    known = values[~np.isnan(values)]
    return (float(known.min()), float(known.max())) if len(known) else ("", "")


def require_one_query(count: int) -> None:
    """Raise `InvalidArgument` unless there is exactly one query."""
    if count != 1:
        raise InvalidArgument(
            f"a similarity map shows one query, not {count}",
            hint="run the command once for each query",
        )


def _safe(name: str) -> str:
    """A scene's name as a part of a file name: letters, digits, dots, hyphens, underscores."""
    kept = "".join(char if char.isalnum() or char in "-_." else "_" for char in name)
    while len(kept.encode()) > _LONGEST_NAME:
        kept = kept[:-1]
    return kept or "scene"


def _write(path: Path, found: SimilarityMap, style: MapStyle) -> None:
    import rasterio

    height, width = found.values.shape
    form: dict[str, Any] = {
        **{"driver": "GTiff", "dtype": "float32", "count": 1, "nodata": float("nan")},
        **{"compress": "deflate", "predictor": 3, "tiled": True, "bigtiff": "if_safer"},
    }
    place = {"crs": found.crs, "transform": rasterio.Affine(*found.transform)}
    with (
        proj_data.of_rasterio(),
        rasterio.open(path, "w", height=height, width=width, **form, **place) as dataset,
    ):
        dataset.write(found.values, 1)
        dataset.set_band_description(1, style.band)
        dataset.update_tags(**style.tags, scene=found.scene.file)


def _notices(
    store: IndexStore,
    scenes: Sequence[SceneWindows],
    irregular: Sequence[str],
    unplaced: Sequence[str],
    style: MapStyle,
) -> list[str]:
    notices = []
    if left := len(store.rows) - sum(len(scene.rows) for scene in scenes):
        notices.append(f"{left} tiles are no windows of a scene; the {style.name} lacks them")
    if irregular:
        notices.append(
            f"the windows of {len(irregular)} scenes ({irregular[0]}) lie on no regular grid: a "
            f"pixel of the {style.name} is {style.largest} that contains its centre"
        )
    if unplaced:
        notices.append(
            f"{len(unplaced)} scenes ({unplaced[0]}) have no georeference: the {style.name} is "
            "in pixels of the scene"
        )
    return notices
