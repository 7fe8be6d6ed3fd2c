"""Write the model folder of an embedding that was fitted without labels."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from rsretrieve._core.regular_files import open_regular
from rsretrieve.data.profile.measure_scale import measure_scale
from rsretrieve.data.profile.spread import spread_of
from rsretrieve.data.profile.tile_features import FeatureSample
from rsretrieve.data.profile.training_profile import TrainingProfile, profile_of
from rsretrieve.data.run_context import RunContext
from rsretrieve.network.metadata import GRAPH_FILE, WEIGHTS_FILE, ModelDescription
from rsretrieve.network.model import PrototypeModel
from rsretrieve.network.model_folder import (
    library_versions,
    seal_folder,
    write_description,
    write_graph,
    write_weights,
)
from rsretrieve.network.prototypes import Prototypes
from rsretrieve.network.runtime.graph_export import Export, graph_with_weights
from rsretrieve.network.unlabelled.fit_embedding import FittedEmbedding
from rsretrieve.network.unlabelled.sample import FitSample

CARD_FILE = "README.md"


def write_embedding(
    folder: Path,
    fitted: FittedEmbedding,
    sample: FitSample,
    context: RunContext,
    *,
    like: Path | None = None,
    facts: Mapping[str, Any] | None = None,
) -> ModelDescription:
    """Write a model folder without classes.

    Args:
        folder: an existing, empty folder.
        fitted: the embedding.
        sample: the tiles that it was fitted to.
        context: receives a notice if the network cannot be exported as a graph.
        like: a model folder with the same preprocessing and the same layers, whose graph is used
            again. That saves seconds.
        facts: more entries of `ModelDescription.training`.

    Returns:
        The content of `model.json`.

    Raises:
        OSError: a file cannot be written.
    """
    dimensions = fitted.network.projection.out_features
    model = PrototypeModel(fitted.network, Prototypes(0, dimensions, 1.0))
    sha256 = write_weights(folder, model, compact=True)
    export = _write_graph(folder, fitted, sample, like)
    if export.cause:
        context.notice(
            f"The graph of backbone {fitted.backbone} cannot be written ({export.cause}): a query "
            "by an image loads PyTorch and starts seconds later."
        )
    description = ModelDescription(
        backbone=fitted.backbone,
        dimensions=dimensions,
        preprocessing=sample.preprocessing,
        class_names=(),
        recipe=dict(fitted.recipe),
        training={
            "tiles": len(sample.tiles),
            "epochs": 0,
            "embeds_in": str(fitted.precision),
            "no_graph": export.cause or None,
            "cost": context.cost.to_json(),
            **(facts or {}),
        },
        versions=library_versions(fitted.backbone),
        weights_sha256=sha256,
        trained_on=_profile(fitted, sample),
    )
    write_description(folder, description)
    (folder / CARD_FILE).write_text(_card(description), encoding="utf-8")
    seal_folder(folder)
    return description


def _write_graph(
    folder: Path, fitted: FittedEmbedding, sample: FitSample, like: Path | None
) -> Export:
    if like is not None:
        with suppress(OSError, ValueError):  # other dimensions, or it has no graph
            with open_regular(like / GRAPH_FILE) as stream:
                graph = graph_with_weights(stream.read(), folder / WEIGHTS_FILE)
            (folder / GRAPH_FILE).write_bytes(graph)
            return Export(graph)
    return write_graph(folder, fitted.network, sample.preprocessing)


def _profile(fitted: FittedEmbedding, sample: FitSample) -> TrainingProfile:
    """What later commands compare their tiles with."""
    features = FeatureSample(len(sample.pixels), len(sample.preprocessing.bands))
    features.add(sample.pixels)
    scale = measure_scale(sample.tiles, sample.places)
    return profile_of(features.features, scale, spread_of(fitted.vectors))


def _card(description: ModelDescription) -> str:
    """The model card: what the model is, and what it is not."""
    preprocessing, recipe = description.preprocessing, description.recipe
    bands = ", ".join(map(str, preprocessing.bands))
    facts = "\n".join(f"| {name} | {value} |" for name, value in recipe.items())
    return (
        "# Embedding without classes\n\n"
        f"This model was fitted to tiles without labels and without training: "
        f"{recipe['method']}, reduced to {description.dimensions} principal components. It has "
        "no classes and cannot name what a tile shows; it finds similar tiles.\n\n"
        "| | |\n|---|---|\n"
        f"| network | {description.backbone} |\n"
        f"| input | {preprocessing.size_px} px, bands {bands} of {preprocessing.source_bands}, "
        f"{preprocessing.dtype} |\n{facts}\n\n"
        "It fits imagery like the tiles that it was fitted to: the same sensor, bands and size on "
        "the ground.\n"
    )
