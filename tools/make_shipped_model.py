"""Make a model that rsretrieve comes with: a network that was trained elsewhere, as a model folder.

    python tools/make_shipped_model.py --weights tf_efficientnet_lite0.safetensors \
        --backbone levels-3ms-4ms-5ms-6ms/timm/tf_efficientnet_lite0 --tiles ucmerced \
        --output models/default --measure "UC Merced=ucmerced" --measure "AID=aid"

The weights of convolutions are rounded to float16. A linear metric that reduces the differences
within classes is fitted to the tiles and their labels, and then the projection. With --measure, the
model card gets figures of data sets, which take minutes each. docs/how-to/without-a-model.md
describes the models.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from rsretrieve import build_index, evaluate
from rsretrieve._core.atomic_write import folder_aside, sha256_of_file
from rsretrieve._core.folders.known_folders import MODEL_FOLDER
from rsretrieve.data.discovery.find_tiles import find_tiles
from rsretrieve.data.preprocessing.preprocessing import Preprocessing
from rsretrieve.data.run_context import RunContext
from rsretrieve.network.backbones.rgb_statistics import rgb_statistics
from rsretrieve.network.device import choose_device
from rsretrieve.network.metadata import ModelDescription, read_description
from rsretrieve.network.model_folder import seal_folder, write_description
from rsretrieve.network.network import build_network
from rsretrieve.network.pretrained import load_weights
from rsretrieve.network.shipped.facts import Figures, ShippedFacts
from rsretrieve.network.shipped.shipped_models import SHIPPED, facts_of
from rsretrieve.network.unlabelled.choose_embedding import FROZEN_PX, fit_shipped
from rsretrieve.network.unlabelled.class_metric import write_class_metric
from rsretrieve.network.unlabelled.fit_embedding import (
    DIMENSIONS,
    fit_components,
    learn_class_metric,
)
from rsretrieve.network.unlabelled.frozen_features import class_numbers
from rsretrieve.network.unlabelled.sample import read_sample
from rsretrieve.network.unlabelled.write_embedding import CARD_FILE, write_embedding

MOST_BYTES = 10_000_000

SUMMARY = "Similar tiles in 8-bit RGB imagery of any kind."
TRAINED_ON = (
    "ImageNet-1k (photographs). The projection and the metric were fitted to UC Merced, with its "
    "labels."
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Make the model folder that the command line asks for."""
    given = _parser().parse_args(arguments)
    output: Path = given.output
    with folder_aside(output, overwrite=given.overwrite, kind=MODEL_FOLDER) as folder:
        _write(folder, given)
        size = sum(path.stat().st_size for path in folder.iterdir())
        if size > MOST_BYTES:
            sys.exit(f"{output} has {size} bytes, over the limit of {MOST_BYTES}")
    print(f"{output}: {size} bytes, {read_description(output).fingerprint}")
    figures: tuple[Figures, ...] = ()
    for measured in _measured(output, given.measure or ()):
        figures += (measured,)
        _tell(output, figures)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--weights", type=Path, required=True, help="safetensors or .pth file")
    parser.add_argument("--backbone", required=True, help="as for rsretrieve train")
    parser.add_argument("--tiles", required=True, help="UC Merced: the projection is fitted to it")
    parser.add_argument("--output", type=Path, required=True, help="models/NAME")
    parser.add_argument("--size", type=int, default=FROZEN_PX, help="pixels, %(default)s")
    parser.add_argument("--seed", type=int, default=0, help="of the choice of tiles")
    parser.add_argument("--summary", default=SUMMARY, help="what the model is for")
    parser.add_argument("--source", default="", help="where the weights come from")
    parser.add_argument("--trained-on", default=TRAINED_ON, help="the data that the model saw")
    parser.add_argument("--licence", default="Apache-2.0", help="of the weights, SPDX")
    parser.add_argument("--measure", action="append", metavar="NAME=TILES", help="figures")
    parser.add_argument("--overwrite", action="store_true")
    return parser


def _write(folder: Path, given: argparse.Namespace) -> None:
    """Write a model folder without figures."""
    statistics = rgb_statistics(given.backbone)
    preprocessing = Preprocessing(given.size, 3, (1, 2, 3), "uint8", statistics, True)
    context = RunContext()
    torch.manual_seed(0)
    network = build_network(given.backbone, bands=3, size_px=given.size, dimensions=DIMENSIONS)
    report = load_weights(network, given.backbone, str(given.weights))
    _round_kernels(network)
    sample = read_sample(find_tiles([given.tiles], None), preprocessing, given.seed, context)
    recipe = {
        "method": "features of a network that was trained elsewhere",
        "weights": given.weights.name,
        "weights_sha256": sha256_of_file(given.weights),
        "tensors_matched": f"{report.matched} of {report.wanted}",
        "seed": given.seed,
    }
    classes = class_numbers(sample.tiles)
    if classes is None:
        sys.exit(f"{given.tiles} has no labels of several classes; the metric is fitted to them")
    metric = learn_class_metric(network, sample, classes)
    write_class_metric(folder, metric)
    fitted = fit_components(network, given.backbone, sample, recipe, metric=metric)
    facts = ShippedFacts(
        name=given.output.name,
        summary=given.summary,
        weights=given.source or given.weights.name,
        trained_on=given.trained_on,
        licence=given.licence,
        command=_command(given),
    )
    description = write_embedding(folder, fitted, sample, context, facts={SHIPPED: facts.to_json()})
    if context.notices:
        sys.exit(f"the model has no graph: {context.notices}")
    # It is for all tiles: they are not compared with those that the projection was fitted to.
    _finish(folder, replace(description, trained_on=None))


def _round_kernels(network: nn.Module) -> None:
    """Round the weights of convolutions to float16, as they are stored."""
    with torch.no_grad():
        for layer in network.modules():
            if isinstance(layer, nn.Conv2d):
                layer.weight.copy_(layer.weight.half().float())


def _command(given: argparse.Namespace) -> str:
    """The command that made the model, without the folders of this machine."""
    words = ["python tools/make_shipped_model.py", f"--weights {given.weights.name}"]
    words += [f"--backbone {given.backbone}", f"--tiles {Path(given.tiles).name}"]
    words += [f"--output models/{given.output.name}"]
    words += [f"--size {given.size}"] * (given.size != FROZEN_PX)
    words += [f"--seed {given.seed}"] * (given.seed != 0)
    return " ".join(words)


def _measured(folder: Path, named: Sequence[str]) -> Iterator[Figures]:
    """Measure a model on data sets: as it is, and with components of their own tiles."""
    for name, _, tiles in (text.partition("=") for text in named):
        for fitted in (False, True):
            with tempfile.TemporaryDirectory() as work:
                yield _figures(folder, name, tiles, Path(work), fitted=fitted)


def _figures(folder: Path, name: str, tiles: str, work: Path, *, fitted: bool) -> Figures:
    model = folder
    if fitted:
        (work / "model").mkdir()
        found = find_tiles([tiles], None)
        model = fit_shipped(folder, found, 0, work / "model", choose_device(), RunContext()).folder
    index = build_index(tiles, model, work / "index")
    result = evaluate(index)
    figures = Figures(name, len(index), fitted, result.knn_accuracy, result.map)
    print(figures, flush=True)
    return figures


def _tell(folder: Path, figures: tuple[Figures, ...]) -> None:
    """Add figures to a model folder. Its fingerprint stays the same."""
    description = read_description(folder)
    facts = facts_of(description)
    if facts is None:
        raise ValueError(f"{folder} is not a shipped model")
    told = {**description.training, SHIPPED: replace(facts, figures=figures).to_json()}
    _finish(folder, replace(description, training=told))


def _finish(folder: Path, description: ModelDescription) -> None:
    write_description(folder, description)
    (folder / CARD_FILE).write_text(_card(description), encoding="utf-8")
    seal_folder(folder)


def _card(description: ModelDescription) -> str:
    facts, recipe = facts_of(description), description.recipe
    if facts is None:
        raise ValueError("a shipped model has facts")
    preprocessing = description.preprocessing
    rows = {
        "network": description.backbone,
        "input": f"{preprocessing.size_px} × {preprocessing.size_px} px, three bands of uint8 "
        "(red, green, blue)",
        "embedding": f"{description.dimensions} dimensions, unit length, cosine similarity",
        "weights": f"{facts.weights} (`{recipe['weights']}`, SHA-256 "
        f"`{recipe['weights_sha256']}`); convolutions in float16",
        "data": facts.trained_on,
        "licence": f"{facts.licence} (the weights)",
        "classes": "none",
    }
    table = "\n".join(f"| {name} | {value} |" for name, value in rows.items())
    return (
        f"# {facts.name}\n\n{facts.summary}\n\n"
        f"    rsretrieve index tiles --model {facts.name} --output index\n\n"
        f"| | |\n|---|---|\n{table}\n\n"
        f"## How it was made\n\n    {facts.command}\n\n"
        f"A linear metric that reduces the differences within classes was fitted to the features "
        f"of {recipe['tiles']} labelled tiles (within-class covariance normalisation), and the "
        "result reduced to its principal components.\n\n"
        f"## Figures\n\n{_figures_table(facts.figures)}\n\n"
        "## Limits\n\n"
        "- The figures of tiles that the metric was fitted to are too high for other tiles.\n"
        "- It takes 8-bit RGB. Tiles with other bands or types need another model; without "
        "`--model`, one is fitted to them.\n"
        "- It has no classes: it finds similar tiles and cannot name what a tile shows.\n"
        f"- Tiles are resized to {preprocessing.size_px} px: objects of a few pixels of a large "
        "tile are lost. Cut scenes into windows (`--window`).\n"
        "- Colours and textures count, the size on the ground does not.\n"
        "- Without `--model`, and with enough tiles, the principal components are fitted to the "
        "tiles themselves, which is better.\n"
    )


def _figures_table(figures: Sequence[Figures]) -> str:
    if not figures:
        return "Not measured."
    rows = "\n".join(
        f"| {one.tiles} | {one.count} | {'these tiles' if one.fitted else 'as shipped'} | "
        f"{one.knn_accuracy:.3f} | {one.map:.3f} |"
        for one in figures
    )
    return (
        "Leave one out over all tiles of a data set: accuracy of 10 nearest neighbours, and mean "
        "average precision over the whole ranking.\n\n"
        f"| tiles | number | components of | K-NN accuracy | mAP |\n|---|---|---|---|---|\n{rows}"
    )


if __name__ == "__main__":
    main()
