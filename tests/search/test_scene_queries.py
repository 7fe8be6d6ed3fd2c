"""A scene as a query is searched by its windows; images of another scale are told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rsretrieve.data.discovery.find_tiles import find_tiles
from rsretrieve.data.run_context import RunContext
from rsretrieve.data.windowing import SceneChoices, WindowChoices
from rsretrieve.errors import InputError
from rsretrieve.index.build import index_tiles
from rsretrieve.index.store.folder import IndexStore, open_index
from rsretrieve.network.model import Model
from rsretrieve.progress import Event, Noticed
from rsretrieve.search import scene_queries
from rsretrieve.search.filters import Filters
from rsretrieve.search.query import QueryRequest
from rsretrieve.search.search import QueryResult, SearchContext, run_queries
from rsretrieve.synthetic.scene import make_landscape
from tests.support.tiles import UTM, save_raster


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pixels = make_landscape(6, 16, seed=3).pixels
    return save_raster(tmp_path_factory.mktemp("scenes") / "scene.tif", pixels, **UTM)


@pytest.fixture(scope="module")
def windows(scene: Path, model: Model, tmp_path_factory: pytest.TempPathFactory) -> IndexStore:
    """An index of a scene of 96 px, cut into 36 windows of 16 px."""
    tiles = find_tiles(scene, scenes=SceneChoices(WindowChoices(16)))
    folder = tmp_path_factory.mktemp("indexes") / "index"
    index_tiles(model, tiles, folder, RunContext())
    return open_index(folder)


def asked(
    store: IndexStore, model: Model, image: str, notices: list[str], **request: object
) -> QueryResult:
    def listen(event: Event) -> None:
        if isinstance(event, Noticed):
            notices.append(event.text)

    context = SearchContext(lambda _: model, RunContext(listener=listen))
    [result] = run_queries(store, QueryRequest(images=(image,), **request), context)
    return result


def part_of(scene: Path, folder: Path, side: int) -> Path:
    pixels = make_landscape(6, 16, seed=3).pixels[:, :side, :side]
    return save_raster(folder / f"part{side}.tif", pixels, **UTM)


@pytest.mark.medium
@pytest.mark.parametrize("side", [32, 48])
def test_hits_are_the_best_of_all_windows(
    windows: IndexStore, model: Model, scene: Path, tmp_path: Path, side: int
) -> None:
    notices: list[str] = []
    result = asked(windows, model, str(part_of(scene, tmp_path, side)), notices, k=36)
    names = [f"scene.tif#{c},{r},16,16" for r in range(0, side, 16) for c in range(0, side, 16)]
    ids = windows.rows.column("id")
    own = windows.vectors[[ids.index(name) for name in names]].astype(np.float64)
    best = (windows.vectors.astype(np.float64) @ own.T).max(axis=1)
    assert [hit.similarity for hit in result.hits] == pytest.approx(
        np.minimum(sorted(best, reverse=True), 1), abs=1e-5
    )
    assert any(f"{len(names)} windows" in text for text in notices)


@pytest.mark.medium
def test_filters_hold_for_the_merged_hits(windows: IndexStore, model: Model, scene: Path) -> None:
    request = {"k": 5, "filters": Filters(distinct_scene=True)}
    assert len(asked(windows, model, str(scene), [], **request).hits) == 1
    excluded = {"k": 5, "filters": Filters(exclude_self=True)}
    assert asked(windows, model, str(scene), [], **excluded).hits == ()


@pytest.mark.medium
def test_an_image_of_the_size_of_a_window_stays_one_tile(
    windows: IndexStore, model: Model, scene: Path, tmp_path: Path
) -> None:
    notices: list[str] = []
    result = asked(windows, model, str(part_of(scene, tmp_path, 16)), notices, k=1)
    assert result.hits[0].similarity == pytest.approx(1, abs=1e-4)
    assert not any("window" in text or "wide" in text for text in notices)


@pytest.mark.medium
@pytest.mark.parametrize("window", ["0,0,48,48", "0,0,8,8"])
def test_a_window_of_another_size_is_told(
    windows: IndexStore, model: Model, scene: Path, window: str
) -> None:
    notices: list[str] = []
    asked(windows, model, f"{scene}#{window}", notices)
    assert sum("scale" in text for text in notices) == 1


@pytest.mark.medium
def test_a_scene_of_too_many_windows_is_refused(
    windows: IndexStore, model: Model, scene: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scene_queries, "MOST_WINDOWS", 10)
    with pytest.raises(InputError, match="more than 10 windows"):
        asked(windows, model, str(scene), [])
