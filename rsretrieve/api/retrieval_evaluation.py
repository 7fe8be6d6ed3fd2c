"""Figures of retrieval, for Python."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rsretrieve.api.arguments.checks import PathLike, device_name, flag, path_of, whole
from rsretrieve.api.call_report import CallReport, Progress
from rsretrieve.api.indexes.index_opening import open_index
from rsretrieve.api.notebook import facts_html
from rsretrieve.api.opened_index import IndexLike
from rsretrieve.api.opened_tiles import TilesLike, tiles_of
from rsretrieve.api.trained_model import ModelLike, model_of
from rsretrieve.data.failures import Failure
from rsretrieve.errors import InvalidArgument
from rsretrieve.evaluation.evaluate import Evaluation as MeasuredEvaluation
from rsretrieve.evaluation.evaluate import evaluate_index, true_labels_of_index
from rsretrieve.export.output_paths import OutputPaths
from rsretrieve.export.plots import plot_evaluation
from rsretrieve.export.results import evaluation_json, write_evaluation_csv
from rsretrieve.network.named_gpu import check_named_gpu
from rsretrieve.search.search import model_folder_of


@dataclass(frozen=True, repr=False)
class Evaluation:
    """How well an index answers queries with known labels.

    Made by `evaluate`. A hit is relevant when it has the query's label.

    Attributes:
        queries: how many queries were asked.
        gallery: how many labelled tiles of the index were searched.
        map: mean average precision over whole rankings.
        map_at_r: over the first R ranks, R the number of relevant tiles.
        precision_at, recall_at: by k.
        knn_accuracy: of 10 neighbours, weighted by inverse distance.
        nmi: of a k-means clustering of the queries against their labels.
        gallery_labels: `given labels`, or `clean gallery` where true labels were given.
        left_out: how many tiles the figures do not count, by reason.
        expanded: whether queries were expanded by their nearest hits.
        per_class: for each class its label and figures; None where none of its queries counts.
        failures: the queries that could not be used, each with a `reason`.

    Example:
        >>> import rsretrieve
        >>> figures = rsretrieve.evaluate("index")
        >>> figures.queries, figures.gallery, 0 < figures.map <= 1
        (144, 144, True)
    """

    queries: int
    gallery: int
    map: float
    map_at_r: float
    precision_at: Mapping[int, float]
    recall_at: Mapping[int, float]
    knn_accuracy: float
    nmi: float
    gallery_labels: str
    left_out: Mapping[str, int]
    per_class: tuple[Mapping[str, Any], ...]
    measured: MeasuredEvaluation = field(compare=False)
    failures: tuple[Failure, ...] = ()
    expanded: bool = False

    def to_dict(self) -> dict[str, Any]:
        """The figures as plain values, by the names of `evaluate --json`, without the failures.

        Example:
            >>> import rsretrieve
            >>> rsretrieve.evaluate("index").to_dict()["queries"]
            144
        """
        names = self.__dataclass_fields__.keys() - {"failures", "measured"}
        if not self.expanded:
            names -= {"expanded"}
        return {name: getattr(self, name) for name in self.__dataclass_fields__ if name in names}

    @property
    def confusion(self) -> dict[str, dict[str, int]]:
        """How many queries of a class (first key) are classified as another (second key).

        The 10 nearest neighbours of a query vote for its class.
        """
        names = self.measured.confusion.class_names
        return {
            name: dict(zip(names, counts))
            for name, counts in zip(names, self.measured.confusion.counts)
        }

    def to_csv(self, path: PathLike, *, overwrite: bool = False) -> None:
        """Write the figures of each class and the confusion matrix as CSV.

        Args:
            path: the file to write.
            overwrite: replace a file that is there.

        Raises:
            InvalidArgument: an argument is of a wrong type.
            OutputExists, OutputRefused: `path` may not be written.

        Example:
            >>> import rsretrieve
            >>> rsretrieve.evaluate("index").to_csv("per_class.csv")
        """
        with CallReport(None):
            file, replaces = _checked(path, overwrite)
            write_evaluation_csv(file, self.measured, overwrite=replaces)

    def plot(self, path: PathLike, *, overwrite: bool = False) -> None:
        """Plot the confusion matrix and the mAP of each class as a PNG file.

        Args:
            path: the file to write.
            overwrite: replace a file that is there.

        Raises:
            InvalidArgument: an argument is of a wrong type.
            MissingPackage: matplotlib is not installed.
            OutputExists, OutputRefused: `path` may not be written.

        Example:
            >>> import rsretrieve
            >>> rsretrieve.evaluate("index").plot("per_class.png")
        """
        with CallReport(None):
            file, replaces = _checked(path, overwrite)
            plot_evaluation(file, self.measured, overwrite=replaces)

    def __repr__(self) -> str:
        return (
            f"<Evaluation: mAP {self.map:.3f}, K-NN accuracy {self.knn_accuracy:.3f}, "
            f"{self.queries:,} queries, {self.gallery:,} tiles>"
        )

    def _repr_html_(self) -> str:
        return facts_html("retrieval", self.to_dict())


def _checked(path: object, overwrite: object) -> tuple[Path, bool]:
    file, replaces = path_of(path, "path"), flag(overwrite, "overwrite")
    OutputPaths({"path": file}, overwrite=replaces).check()
    return file, replaces


def evaluate(
    index: IndexLike,
    queries: TilesLike | None = None,
    *,
    truth: PathLike | None = None,
    model: ModelLike | None = None,
    expand: bool = False,
    seed: int = 0,
    device: str = "auto",
    strict: bool = False,
    progress: Progress | None = None,
) -> Evaluation:
    """Measure retrieval: mAP, precision and recall at k, K-NN accuracy, NMI.

    Args:
        index: an open index, or its folder.
        queries: tiles with labels; by default every tile of the index is a query for the others.
        truth: a file with the true labels of the index's tiles (`tile,label`); by default the
            labels in the index count.
        model: the model that embeds `queries`, if it was moved since the index was built.
        expand: search each query again, expanded by its 10 nearest hits; see `Index.search`.
        seed: the random seed of the clustering.
        device: `auto` (a GPU where there is one), `cpu`, `cuda` or `cuda:N`; a loaded model
            stays where it is.
        strict: the first query that cannot be used ends the work.
        progress: called with every event; see `rsretrieve.progress`.

    Returns:
        The figures.

    Raises:
        InvalidArgument: an argument is of a wrong type, or makes no sense.
        LabelsError: one of the sides has no labels, or the index one class only.
        ModelNotFound, ModelMismatch: the model cannot be had, or is another.

    Example:
        >>> import rsretrieve
        >>> figures = rsretrieve.evaluate("index", "tiles")
        >>> sorted(figures.precision_at)[:2]
        [1, 5]
    """
    with CallReport(progress, strict=strict) as call:
        check_named_gpu(device_name(device))
        opened = open_index(index, device=device)
        if queries is None and model is not None:
            raise InvalidArgument("a model embeds queries, and there are none")
        found = None if queries is None else tiles_of(queries, call)
        if found is not None:
            model = model_of(model or model_folder_of(opened.store), device, call)
        measured = evaluate_index(
            opened.store,
            whole(seed, "seed"),
            call.context,
            queries=None if found is None else found.tile_set,
            model=None if model is None else model_of(model, device, call).loaded,
            true_labels=None
            if truth is None
            else true_labels_of_index(opened.store, path_of(truth, "truth"), call.context),
            expand=flag(expand, "expand"),
        )
    figures = evaluation_json(measured)
    by_k = {
        name: {int(k): value for k, value in figures[name].items()}
        for name in ("precision_at", "recall_at")
    }
    figures = {**figures, **by_k, "per_class": tuple(figures["per_class"])}
    return Evaluation(**figures, measured=measured, failures=call.failures)
