"""How many keys a decision on the audit page takes: one card at a time, and by screens of thirty.

Labels of a share of the tiles are replaced by others. The audit writes its page. A scripted
reviewer, who errs in 2 % of the decisions, decides on every tile of the page in a headless
Chromium, with nothing but keys: once card by card, and once on the grid, where only exceptions are
marked and one key accepts the others. The errors are the same both times. Every key counts, also
those that open the grid, and those that type the name of a class. Prints the keys a decision and
the share of right labels in all tiles.

    python benchmarks/review_keys.py --data DATA --weights FILE
"""

from __future__ import annotations

import csv
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from grid import options
from grid.page_browser import TypedPage, chromium

import rsretrieve

SCREEN = 30
WORK = Path(tempfile.gettempdir()) / "review-keys"


@dataclass(frozen=True)
class Card:
    """What the reviewer needs to know of a tile of the page."""

    position: int
    tile: str
    given: str
    suggested: str
    second: str
    kind: str


def noisy_labels(true: Mapping[str, str], rate: float, seed: int) -> dict[str, str]:
    """The labels, of which exactly this share is replaced by any other class."""
    rng, names = np.random.default_rng(seed), sorted(set(true.values()))
    labels, tiles = dict(true), sorted(true)
    for tile in rng.choice(tiles, round(rate * len(tiles)), replace=False):
        labels[str(tile)] = str(rng.choice([name for name in names if name != true[str(tile)]]))
    return labels


def beliefs(true: Mapping[str, str], error: float, seed: int) -> dict[str, str]:
    """What the reviewer takes every tile for."""
    rng, names = np.random.default_rng(seed + 1), sorted(set(true.values()))
    return {
        tile: str(rng.choice([n for n in names if n != label])) if rng.random() < error else label
        for tile, label in sorted(true.items())
    }


def cards_of(page: TypedPage) -> list[Card]:
    """All cards of a page, in their order."""
    fields = "position, tile: c.tile, given: c.given, suggested: c.suggested, second: c.second"
    found: list[dict[str, Any]] = page.page.evaluate(
        f"CARDS.map((c, position) => ({{{fields}, kind: c.kind}}))"
    )
    return [Card(**card) for card in found]


def keys_for(card: Card, label: str, classes: Sequence[str]) -> list[str]:
    """The keys that give the current tile a label."""
    if label == card.suggested:
        return ["a"]
    if label == card.given:
        return ["r"]
    if label == card.second:
        return ["b"]
    names = [n for n in dict.fromkeys([card.suggested, card.second, *classes]) if n]
    for length in range(1, len(label) + 1):  # typed until it is the first of the list
        if next(name for name in names if label[:length] in name) == label:
            return ["c", *label[:length], "Enter"]
    raise RuntimeError(f"{label} cannot be typed")


def review_cards(page: TypedPage, believed: Mapping[str, str]) -> None:
    """Decide card by card, from the first to the last."""
    classes: list[str] = page.page.evaluate("DATA.classes")
    for card in cards_of(page):
        page.press(*keys_for(card, believed[card.tile], classes))


def review_screens(page: TypedPage, believed: Mapping[str, str]) -> None:
    """Mark the exceptions of every screen; then decide on what was left open, card by card."""
    cards, classes = cards_of(page), page.page.evaluate("DATA.classes")
    codes: list[str] = page.page.evaluate("CELL_CODES")
    page.press("g", "m")
    for start in range(0, len(cards), SCREEN):
        for number, card in enumerate(cards[start : start + SCREEN]):
            page.press(*[codes[number]] * marks_for(page, card, believed[card.tile]))
        page.press("Enter")
    page.press("Escape", "g")
    by_position = {card.position: card for card in cards}
    for _ in range(len(cards) - len(page.decided())):
        if page.page.evaluate("Decisions.of.has(View.position)"):
            page.press("o")
        card = by_position[page.page.evaluate("View.position")]
        page.press(*keys_for(card, believed[card.tile], classes))


def marks_for(page: TypedPage, card: Card, label: str) -> int:
    """How often the key of a cell is pressed for a label; unmarked off-topic tiles stay open."""
    is_off_topic = card.kind == "off_topic"
    wanted = {card.given: "reject", card.second: "second"}.get(label, "leave")
    if (label == card.suggested and not is_off_topic) or (is_off_topic and wanted == "leave"):
        return 0
    choices: list[str] = page.page.evaluate(f"Marks.choices(CARDS[{card.position}])")
    return choices.index(wanted) + 1


def figures(
    page: TypedPage, given: Mapping[str, str], true: Mapping[str, str]
) -> tuple[int, float, float]:
    """Decisions, keys a decision, and the share of right labels."""
    decided = page.decided()
    after = {**given, **decided}
    right = sum(after[tile] == label for tile, label in true.items()) / len(true)
    return len(decided), page.keys / len(decided), right


def make_page(folder: Path, work: Path, weights: str, rate: float, seed: int) -> dict[str, Any]:
    """Audit the tiles with noisy labels, and write the page, unless it is there."""
    tiles = rsretrieve.open_tiles(str(folder))
    true = {tile.id: tile.label for tile in tiles.tile_set if tile.label is not None}
    given = noisy_labels(true, rate, seed)
    noisy = work / f"noisy-{rate}-{seed}.csv"
    with noisy.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([("tile", "label"), *given.items()])
    path = work / f"audit-{rate}-{seed}.html"
    if not path.exists():
        audit = rsretrieve.audit_labels(
            rsretrieve.open_tiles(str(folder), labels=str(noisy)), weights=weights
        )
        audit.to_html(str(path))
    return {"path": path, "given": given, "true": true}


def main(
    data: options.DataFolder = options.DATA,
    weights: options.Weights = "imagenet",
    dataset: Annotated[str, typer.Option(help="Folder in DATA.")] = "ucmerced",
    rate: Annotated[float, typer.Option(min=0, max=1)] = 0.2,
    seeds: Annotated[int, typer.Option(min=1)] = 1,
    error: Annotated[float, typer.Option(min=0, max=1)] = 0.02,
    work: Annotated[Path, typer.Option(help="Keeps pages and labels.")] = WORK,
) -> None:
    """Print a line for each way to review."""
    work.mkdir(parents=True, exist_ok=True)
    print("| seed | review | decisions | keys a decision | labels right before | after |")
    print("|---|---|---|---|---|---|")
    for seed in range(seeds):
        made = make_page(data / dataset, work, weights, rate, seed)
        believed = beliefs(made["true"], error, seed)
        before = 1 - rate
        with chromium() as browser:
            for name, review in (("card by card", review_cards), ("by screens", review_screens)):
                page = TypedPage(browser, made["path"])
                review(page, believed)
                decisions, keys, right = figures(page, made["given"], made["true"])
                page.close()
                print(
                    f"| {seed} | {name} | {decisions} | {keys:.3f} | {before:.4f} | {right:.4f} |",
                    flush=True,
                )


if __name__ == "__main__":
    typer.run(main)
