"""The model card: what it says, and names that cannot break it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from rsretrieve.export.model_card import model_card, write_card_and_plot
from rsretrieve.network.model import ModelDescription
from rsretrieve.network.model_folder import write_description


def facts_of(card: str) -> dict[str, str]:
    """The rows of the card's table."""
    rows = [line.split("|")[1:3] for line in card.splitlines() if line.startswith("| ")]
    return {key.strip(): value.strip() for key, value in rows}


def test_the_card_says_how_the_model_came_about(description: ModelDescription) -> None:
    assert facts_of(model_card(description, "my model")) == {
        "": "",
        "Backbone": "resnet18, 128 dimensions",
        "Started from": "none",
        "Tiles": "uint16, bands 4,2 of 6, resized to 64 px",
        "Recipe": "robust, loss t-rnsl, q = 0.7, k = 0.5, σ = 0.05",
        "Trained on": "90 tiles, 10 to validate, 40 epochs (kept: epoch 37), seed 3",
        "Labels kept (m = 1)": "71.2%",
        "Tiles trained with another label": "0.0%",
        "Time": "61 s on cpu, float32, 1234 tiles/s",
        "Versions": "rsretrieve 0.1, torch 2.6",
        "Weights, SHA-256": "`0123abcd`",
    }


def test_the_card_says_how_jpegs_are_decoded(description: ModelDescription) -> None:
    preprocessing = replace(description.preprocessing, dtype="uint8", reduced_jpeg=True)
    card = model_card(replace(description, preprocessing=preprocessing), "m")
    assert facts_of(card)["Tiles"] == (
        "uint8, bands 4,2 of 6, resized to 64 px (JPEG decoded to at least 128 px)"
    )


def test_the_card_says_why_a_model_has_no_graph(description: ModelDescription) -> None:
    training = {**description.training, "no_graph": "ValueError: sort is not among them"}
    facts = facts_of(model_card(replace(description, training=training), "m"))
    assert facts["No graph, because"] == "ValueError: sort is not among them"


def test_the_card_says_in_what_a_model_embeds(description: ModelDescription) -> None:
    training = {**description.training, "embeds_in": "float32"}
    assert (
        facts_of(model_card(replace(description, training=training), "m"))["Embeds in"] == "float32"
    )
    assert "Embeds in" not in facts_of(model_card(description, "m"))


def test_the_card_links_to_no_page_that_does_not_exist(description: ModelDescription) -> None:
    assert "http" not in model_card(description, "m")


def test_the_card_names_the_model_and_how_to_use_it(description: ModelDescription) -> None:
    card = model_card(description, "land cover")
    assert card.startswith("# land cover\n")
    assert "    rsretrieve index TILES --model 'land cover' --output INDEX\n" in card
    assert "    rsretrieve audit-labels TILES --model=-m\n" in model_card(description, "-m")


def test_the_card_names_the_classes_and_the_limits(description: ModelDescription) -> None:
    card = model_card(replace(description, class_names=("forest", "große Stadt")), "m")
    assert "for each of\n2 classes" in card
    assert "\n`forest`, `große Stadt`\n" in card
    assert "agreement with given labels, not with the truth" in card


def test_line_breaks_in_names_are_escaped(description: ModelDescription) -> None:
    card = model_card(replace(description, class_names=("for\nest", "b")), "a\n# b")
    assert card.startswith("# a\\n# b\n")
    assert "`for\\nest`" in card


def test_a_model_folder_gets_its_card_and_its_plot(
    description: ModelDescription, history: Path
) -> None:
    folder = history.parent
    write_description(folder, description)
    write_card_and_plot(folder, "my model")
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert card == model_card(description, "my model")
    assert "(training.png)" in card
    assert (folder / "training.png").read_bytes().startswith(b"\x89PNG")
