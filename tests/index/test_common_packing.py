"""The tiles of an index, and its queries, have one scale and offset, also if its model has none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray

from rsretrieve.audit.evidence.from_untrained_model import UntrainedEvidence
from rsretrieve.data.discovery.find_tiles import find_tiles
from rsretrieve.data.run_context import RunContext
from rsretrieve.errors import IndexDamaged
from rsretrieve.evaluation.evaluate import evaluate_index
from rsretrieve.index.build import index_tiles
from rsretrieve.index.common_packing import packing_of_index
from rsretrieve.index.maintenance.verify import find_misplaced_rows
from rsretrieve.index.store.folder import IndexStore, open_index
from rsretrieve.network.model import Model
from rsretrieve.progress import Event, Noticed
from rsretrieve.search.query import QueryRequest
from rsretrieve.search.search import QueryResult, SearchContext, run_queries
from rsretrieve.synthetic.scene import make_landscape
from tests.support.indexes.resealed import reseal
from tests.support.tiles.made_tiles import save_raster

_APART = 9  # every ninth tile is a query
Bands = tuple[float, ...]
PLAIN = (1e-4,) * 6, (0.0,) * 6
OTHERS: dict[str, tuple[Bands, Bands]] = {
    "more in every pixel": ((1e-4,) * 6, (-0.1,) * 6),
    "inverted": ((-1e-4,) * 6, (1.0,) * 6),
    "each band its own": ((1e-4, -1e-4, 5e-5) * 2, (-0.2, 1.0, 0.0) * 2),
}


def scene() -> NDArray[np.float64]:
    """Reflectances in whole ten-thousandths, which every packing here holds exactly."""
    return np.asarray(make_landscape(6, 16, seed=0).pixels / 10_000)


def write_packed(folder: Path, packing: tuple[Bands, Bands] | None) -> Path:
    """36 tiles of 16 px in six classes, with these scales and offsets, or with none."""
    scales, offsets = packing or PLAIN
    for number in range(36):
        row, col = divmod(number, 6)
        physical = scene()[:, row * 16 : row * 16 + 16, col * 16 : col * 16 + 16]
        stored = [(v - offset) / scale for v, scale, offset in zip(physical, scales, offsets)]
        path = folder / f"row{row}" / f"{number:02d}.tif"
        save_raster(path, np.rint(stored).astype(np.uint16))
        if packing is not None:
            with rasterio.open(path, "r+") as dataset:
                dataset.scales, dataset.offsets = packing
    return folder


def indexed(model: Model, tiles: Path, folder: Path, **options: bool) -> tuple[IndexStore, str]:
    """The index, and everything that was said."""
    said: list[str] = []
    context = RunContext(listener=lambda event: _note(event, said))
    index_tiles(model, find_tiles(tiles), folder, context, **options)
    return open_index(folder), " ".join((*said, *context.notices))


def _note(event: Event, said: list[str]) -> None:
    if isinstance(event, Noticed):
        said.append(event.text)


def asked(store: IndexStore, model: Model, tiles: Path) -> tuple[list[QueryResult], str]:
    context = RunContext()
    images = tuple(map(str, sorted(tiles.rglob("*.tif"))[::_APART]))
    results = run_queries(
        store, QueryRequest(images=images, k=1), SearchContext(lambda _: model, context)
    )
    return results, " ".join(context.notices)


def found(results: list[QueryResult]) -> list[str]:
    return [result.hits[0].found.id for result in results]


@pytest.fixture(scope="module")
def plain(model: Model, tmp_path_factory: pytest.TempPathFactory) -> IndexStore:
    """An index of tiles that declare a scale, by a model whose tiles declared none."""
    root = tmp_path_factory.mktemp("plain")
    return indexed(model, write_packed(root / "tiles", PLAIN), root / "index")[0]


@pytest.mark.medium
@pytest.mark.parametrize("name", OTHERS)
def test_the_same_values_in_another_packing_find_themselves(
    plain: IndexStore, model: Model, tmp_path: Path, name: str
) -> None:
    results, notices = asked(plain, model, write_packed(tmp_path / "other", OTHERS[name]))
    assert found(results) == plain.rows.column("id")[::_APART]
    assert [r.hits[0].similarity for r in results] == pytest.approx([1] * 4, abs=1e-5)
    assert "4 tiles" in notices
    assert "converted" in notices


@pytest.mark.medium
def test_tiles_of_several_packings_are_indexed_in_that_of_most(
    plain: IndexStore, model: Model, tmp_path: Path
) -> None:
    tiles = write_packed(tmp_path / "tiles", PLAIN)
    other = write_packed(tmp_path / "other", OTHERS["inverted"])
    for path in sorted(other.rglob("*.tif"))[::3]:
        path.replace(tiles / path.relative_to(other))
    store, said = indexed(model, tiles, tmp_path / "index")
    assert store.manifest.packing == {"scales": [1e-4] * 6, "offsets": [0.0] * 6}
    np.testing.assert_allclose(store.vectors, plain.vectors, atol=1e-5)
    assert "declare a scale" in said
    assert "12 tiles" in said


@pytest.mark.medium
def test_an_update_converts_new_tiles_and_embeds_no_other(
    plain: IndexStore, model: Model, tmp_path: Path
) -> None:
    tiles = write_packed(tmp_path / "tiles", PLAIN)
    other = write_packed(tmp_path / "other", OTHERS["each band its own"])
    late = sorted(path.relative_to(tiles) for path in tiles.rglob("*.tif"))[:20]
    for name in late:
        (tiles / name).unlink()
    indexed(model, tiles, tmp_path / "index")
    for name in late:
        (other / name).rename(tiles / name)
    store, _ = indexed(model, tiles, tmp_path / "index", update=True)
    np.testing.assert_allclose(store.vectors, plain.vectors, atol=1e-5)
    assert store.manifest.packing == plain.manifest.packing


@pytest.mark.medium
@pytest.mark.parametrize(
    "other",
    [
        name if name == "inverted" else pytest.param(name, marks=pytest.mark.exhaustive)
        for name in OTHERS
    ],
)
def test_an_audit_brings_the_tiles_to_one_packing(model: Model, tmp_path: Path, other: str) -> None:
    """Also by a model that was not trained on their classes."""
    plain, mixed = (write_packed(tmp_path / name, PLAIN) for name in ("plain", "mixed"))
    others = write_packed(tmp_path / "others", OTHERS[other])
    for path in sorted(mixed.rglob("*.tif"))[::3]:
        path.write_bytes((others / path.relative_to(mixed)).read_bytes())
    source = UntrainedEvidence(model)
    vectors = [
        source.collect(find_tiles(tiles), RunContext()).vectors[np.arange(36)]
        for tiles in (plain, mixed)
    ]
    assert (vectors[0] * vectors[1]).sum(1).min() > 0.9999


def test_an_update_of_an_older_index_takes_the_packing_of_its_tiles(
    plain: IndexStore, model: Model, tmp_path: Path
) -> None:
    """Their values were used as they were stored."""
    tiles = write_packed(tmp_path / "tiles", PLAIN)
    other = write_packed(tmp_path / "other", OTHERS["inverted"])
    late = sorted(path.relative_to(tiles) for path in tiles.rglob("*.tif"))[:30]
    for name in late:
        (tiles / name).unlink()
    indexed(model, tiles, tmp_path / "index")
    reseal(tmp_path / "index" / "manifest.json", lambda content: content.pop("packing"))
    for name in late:
        (other / name).rename(tiles / name)
    store, _ = indexed(model, tiles, tmp_path / "index", update=True)
    np.testing.assert_allclose(store.vectors, plain.vectors, atol=1e-5)


@pytest.mark.medium
def test_an_update_tells_that_an_older_index_mixes_packings(model: Model, tmp_path: Path) -> None:
    tiles = write_packed(tmp_path / "tiles", PLAIN)
    other = write_packed(tmp_path / "other", OTHERS["inverted"])
    path = next(other.rglob("*.tif"))
    path.replace(tiles / path.relative_to(other))
    indexed(model, tiles, tmp_path / "index")
    reseal(tmp_path / "index" / "manifest.json", lambda content: content.pop("packing"))
    _, said = indexed(model, tiles, tmp_path / "index", update=True)
    assert "2 different scales" in said
    assert "--overwrite" in said


@pytest.mark.medium
def test_an_older_index_answers_as_before_and_tells_it(
    plain: IndexStore, model: Model, tmp_path: Path
) -> None:
    tiles = write_packed(tmp_path / "tiles", PLAIN)
    indexed(model, tiles, tmp_path / "index")
    reseal(tmp_path / "index" / "manifest.json", lambda content: content.pop("packing"))
    store = open_index(tmp_path / "index")
    results, notices = asked(store, model, tiles)
    assert found(results) == plain.rows.column("id")[::_APART]
    assert "as they are stored" in notices


@pytest.mark.medium
def test_tiles_without_a_scale_are_told_among_tiles_with_one(
    plain: IndexStore, model: Model, tmp_path: Path
) -> None:
    results, notices = asked(plain, model, write_packed(tmp_path / "bare", None))
    assert found(results) == plain.rows.column("id")[::_APART]
    assert "declare no scale" in notices


@pytest.mark.medium
def test_figures_and_verification_use_the_packing_of_the_index(
    plain: IndexStore, model: Model, tmp_path: Path
) -> None:
    figures = [
        evaluate_index(
            plain,
            0,
            RunContext(),
            queries=find_tiles(write_packed(tmp_path / name, packing)),
            model=model,
        )
        for name, packing in (("same", PLAIN), ("inverted", OTHERS["inverted"]))
    ]
    # Another content is another tile: only then is the same image a hit of its own.
    assert figures[1].figures.precision_at[1] == 1.0
    assert figures[0].figures.precision_at[1] < 1.0
    tiles = write_packed(tmp_path / "tiles", PLAIN)
    other = write_packed(tmp_path / "other", OTHERS["inverted"])
    for path in sorted(other.rglob("*.tif"))[:12]:
        path.replace(tiles / path.relative_to(other))
    store, _ = indexed(model, tiles, tmp_path / "index")
    problems, (compared, _, _) = find_misplaced_rows(store, model, RunContext())
    assert (problems, compared) == ([], 32)


@pytest.mark.medium
def test_an_index_of_another_number_of_bands_than_its_model_is_damaged(
    plain: IndexStore, model: Model
) -> None:
    manifest = replace(plain.manifest, packing={"scales": [0.01], "offsets": [0.0]})
    with pytest.raises(IndexDamaged, match="scales of 1 bands"):
        packing_of_index(replace(plain, manifest=manifest), model)
