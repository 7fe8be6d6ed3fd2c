"""The model card and the plot of the training in a model folder."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rsretrieve._core.atomic_write import write_text
from rsretrieve._core.text import printable
from rsretrieve.export.plots import plot_training
from rsretrieve.network.metadata import ModelDescription, read_description
from rsretrieve.network.model_folder import HISTORY_FILE

CARD_FILE = "README.md"
PLOT_FILE = "training.png"


def write_card_and_plot(folder: Path, name: str) -> None:
    """Write the model card and the plot of the training into a complete model folder.

    Args:
        folder: the model folder.
        name: name of the model on the card.
    """
    description = read_description(folder)
    facts = description.training
    kept, why = facts.get("kept_epoch", 0), facts.get("kept_because", "")
    plot_training(folder / HISTORY_FILE, folder / PLOT_FILE, kept, why)
    write_text(folder / CARD_FILE, model_card(description, name), overwrite=True, follow=False)


def model_card(description: ModelDescription, name: str) -> str:
    """A model card in Markdown.

    Args:
        description: the content of `model.json`.
        name: name of the model.
    """
    classes = ", ".join(f"`{printable(label)}`" for label in description.class_names)
    given = [f"--model={name}"] if name.startswith("-") else ["--model", name]
    words = printable(shlex.join(given))
    return f"""# {printable(name)}

A scene embedding trained by rsretrieve, with a prototype for each of
{len(description.class_names)} classes. Tiles of similar scenes have a high cosine similarity. A
tile that is far from the prototype of its label probably has a wrong label.

{_facts(description)}

![Loss, kept tiles and validation accuracy by epoch]({PLOT_FILE})

## Classes

{classes}

## Limits

- Training and validation use the labels as given: the accuracy in `{HISTORY_FILE}` is
  agreement with given labels, not with the truth.
- Similarities are meaningful only for tiles that are preprocessed as above and come from the same
  sensor, or a similar one, with a similar resolution and season as the training tiles.
- `tiles.parquet` contains the names and labels of the training tiles; check it before you share
  the model.

## Use

    rsretrieve index TILES {words} --output INDEX
    rsretrieve query IMAGE --index INDEX
    rsretrieve audit-labels TILES {words}
"""


def _is_frozen(recipe: Mapping[str, Any]) -> bool:
    """Whether only the projection and the prototypes were trained, or nothing."""
    return bool(recipe.get("freeze_backbone")) or recipe.get("epochs") == 0


def _facts(description: ModelDescription) -> str:
    recipe, training = description.recipe, description.training
    preprocessing = description.preprocessing
    bands = ",".join(map(str, preprocessing.bands))
    jpeg_px = preprocessing.jpeg_px
    no_graph = training.get("no_graph")  # not recorded by older versions
    why = training.get("kept_because")  # nor is this
    decoded = "" if jpeg_px is None else f" (JPEG decoded to at least {jpeg_px} px)"
    rows = {
        "Backbone": f"{description.backbone}, {description.dimensions} dimensions"
        f"{', not trained' if _is_frozen(recipe) else ''}",
        "Started from": training["weights"],
        "Tiles": f"{preprocessing.dtype}, bands {bands} of {preprocessing.source_bands}, "
        f"resized to {preprocessing.size_px} px{decoded}",
        "Recipe": f"{recipe['name']}, loss {recipe['loss']}, q = {recipe['q']}, "
        f"k = {recipe['k']}, σ = {recipe['temperature']}",
        "Trained on": f"{training['tiles']} tiles, {training['validation_tiles']} to validate, "
        f"{training['epochs']} epochs (kept: epoch {training['kept_epoch']}"
        f"{f', {why}' if why else ''}), "
        f"seed {training['seed']}",
        "Labels kept (m = 1)": f"{training['kept_fraction']:.1%}",
        "Tiles trained with another label": f"{training.get('relabelled_fraction', 0):.1%}",
        "Time": f"{training['seconds']:.0f} s on {training['device']}, {training['precision']}, "
        f"{training['tiles_per_second']:.0f} tiles/s",
        **({"Embeds in": training["embeds_in"]} if "embeds_in" in training else {}),
        **({"No graph, because": no_graph} if no_graph else {}),
        "Versions": ", ".join(f"{k} {v}" for k, v in description.versions.items()),
        "Weights, SHA-256": f"`{description.weights_sha256}`",
    }
    lines = "\n".join(f"| {key} | {printable(str(value))} |" for key, value in rows.items())
    return f"| | |\n|---|---|\n{lines}"
