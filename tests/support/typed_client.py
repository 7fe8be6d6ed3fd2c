"""A small program that uses the public interface, for type checkers: it is never run.

`make check` checks it with mypy, and `tests/test_typing.py` with a second type checker.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import assert_type

import rsretrieve
from rsretrieve import (
    Advanced,
    AuditResult,
    Changes,
    Comparison,
    EpochFinished,
    Evaluation,
    Explanation,
    Finder,
    Hit,
    Hits,
    Index,
    IndexCopy,
    Leaks,
    Model,
    Noticed,
    Proposed,
    RsretrieveError,
    RsretrieveWarning,
    ShippedModel,
    StageStarted,
    TileLists,
    Tiles,
)


def listen(event: StageStarted | Advanced | Noticed | EpochFinished) -> None:
    """A listener of events."""
    match event:
        case StageStarted(name, total):
            assert_type(name, str)
            assert_type(total, int | None)
        case Advanced(tiles):
            assert_type(tiles, int)
        case Noticed(text):
            assert_type(text, str)
        case EpochFinished():
            assert_type(event.validation_accuracy, float | None)


def models(folder: Path) -> Model:
    """Tiles and models."""
    tiles = assert_type(rsretrieve.open_tiles(folder, labels="labels.csv"), Tiles)
    windows = rsretrieve.open_tiles(["a.tif", "b.tif"], window=64, stride=32)
    assert_type(len(windows), int)
    model = assert_type(rsretrieve.train(tiles, folder / "model", progress=listen), Model)
    assert_type(model.class_names, tuple[str, ...])
    assert_type(model.dimensions, int)
    for shipped in rsretrieve.shipped_models():
        assert_type(shipped, ShippedModel)
        assert_type(shipped.path, Path)
    return assert_type(rsretrieve.load_model("default", device="cpu"), Model)


def search(tiles: Tiles, model: Model) -> Sequence[Hit]:
    """Indexes and hits."""
    index = assert_type(rsretrieve.build_index(tiles, model, "index"), Index)
    assert_type(rsretrieve.build_index(tiles, None, "other", update=True), Index)
    assert_type(rsretrieve.build_index_from_embeddings("e.parquet", "third"), Index)
    assert_type(rsretrieve.open_index("index", model="models/mine"), Index)
    assert_type(rsretrieve.copy_index(index, "s3://bucket/index"), IndexCopy)
    hits = assert_type(index.search((11.3, 47.2), k=5, labels=["beach"]), Hits)
    hit = assert_type(hits[0], Hit)
    assert_type(hit.similarity, float)
    assert_type(hit.label, str | None)
    assert_type(hits.to_json(), str)
    assert_type(rsretrieve.evaluate(index), Evaluation)
    return hits


def audit(folder: Path) -> AuditResult:
    """Audits, lists and predictions."""
    lists = assert_type(rsretrieve.split(folder, (0.8, 0.1, 0.1), by_place=True), TileLists)
    assert_type(lists.train, Tiles)
    leaks = rsretrieve.find_leaks({"train": lists.train, "test": lists.test})
    assert_type(leaks, Leaks)
    assert_type(rsretrieve.explain(at_scale=[10**6]), Explanation)
    try:
        result = rsretrieve.audit_labels(lists.train, ["models/a", "models/b"], budget=10)
    except RsretrieveError as error:
        assert_type(error.hint, str)
        raise
    assert_type(result.noise_rate, float | None)
    assert_type(result.noise_interval, tuple[float, float])
    result.to_html("audit.html", overwrite=True)
    return assert_type(result, AuditResult)


def newer(index: Index, tiles: Tiles) -> Sequence[Proposed]:
    """Searches for all tiles of a kind, changes, comparisons and noise."""
    finder = assert_type(rsretrieve.find(index, ["beach/a.tif"], session="a.session.json"), Finder)
    assert_type(rsretrieve.change("before", "after"), Changes)
    vary = {"loss": ["nsl", "t-rnsl"]}
    assert_type(rsretrieve.compare(tiles, "grid", test="test.csv", vary=vary), Comparison)
    assert_type(rsretrieve.corrupt_labels(tiles, 0.3), dict[str, str])
    return finder.propose()


WARNING: type[UserWarning] = RsretrieveWarning
