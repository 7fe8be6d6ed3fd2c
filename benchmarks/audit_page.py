"""How fast a large audit page is: to the first card, and from a key to the next card.

Makes a page with as many cards as asked for. Its pictures are those of the first hundreds of tiles
of DATA, repeated, so that it is as large as a page of different tiles. Opens it in a headless
Chromium from disk. Prints its size, when the first cards are painted, when all is loaded, and how
long it takes from a key press to the next painted frame: over moves and decisions, in the list and
in the grid.

    python benchmarks/audit_page.py --data DATA/ucmerced --cards 20000
"""

from __future__ import annotations

import tempfile
from itertools import cycle, islice
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pyarrow
import typer
from grid.page_browser import TypedPage, chromium

import rsretrieve
from rsretrieve.audit.issue_types import IssueType
from rsretrieve.audit.result import Audit, ClassIssues, Comparison, WrongLabelsLeft
from rsretrieve.audit.result_table import SCHEMA
from rsretrieve.data.run_context import RunContext
from rsretrieve.data.tile import Tile, TileSet
from rsretrieve.export.html.page import page_text
from rsretrieve.export.html.page_request import PageRequest
from rsretrieve.export.html.thumbnails import Sizes, Thumbnails

COMPARED, DISTINCT = 3, 300
WATCH = """
window.waits = [];
addEventListener("keydown", (event) => {
  const pressed = event.timeStamp;
  requestAnimationFrame(() => {
    const channel = new MessageChannel();  // its message comes after the frame was painted
    channel.port1.onmessage = () => waits.push(performance.now() - pressed);
    channel.port2.postMessage(0);
  });
}, true);
"""


class RepeatedThumbnails(Thumbnails):
    """Reads the first tiles of a page; the others get copies of their pictures."""

    def read_part(
        self, use: str, sizes: Sizes, bands: tuple[int, ...], context: RunContext
    ) -> None:
        """As that of `Thumbnails`."""
        first = dict(islice(sizes.items(), DISTINCT))
        super().read_part(use, first, bands, context)
        known: dict[int, list[str]] = {}
        for tile, wanted in first.items():
            for size in wanted:
                known.setdefault(size, []).append(self.pictures[self.position(tile, size, use)])
        for number, (tile, wanted) in enumerate(islice(sizes.items(), DISTINCT, None)):
            for size in wanted:
                if self.position(tile, size, use) < 0:
                    self.add((use, tile.id), size, known[size][number % len(known[size])])


def made_up_audit(tiles: TileSet, cards: int) -> Audit:
    """An audit that flags every tile; labels and probabilities are made up."""
    rng = np.random.default_rng(0)
    names = tiles.class_names
    many = [
        Tile(f"{number:05d} {tile.id}", tile.path, tile.label, trust=tile.trust)
        for number, tile in zip(range(cards), cycle(tiles))
    ]
    right = np.sort(rng.uniform(0.3, 1, cards))[::-1]
    others = rng.integers(0, len(names), (cards, 2))
    columns: dict[str, Any] = {name: [None] * cards for name in SCHEMA.names}
    columns |= {
        "tile": [tile.id for tile in many],
        "given_label": [tile.label for tile in many],
        "predicted_label": [names[i] for i in others[:, 0]],
        "suggested_label": [names[i] for i in others[:, 0]],
        "runner_up_label": [names[i] for i in others[:, 1]],
        "second_label": [names[i] for i in others[:, 1]],
        "kind": [str(IssueType.WRONG_LABEL)] * cards,
        "is_label_issue": [True] * cards,
        "needs_review": [True] * cards,
        "has_confident_suggestion": [False] * cards,
        "label_score": (1 - right) * 0.6,
        "issue_probability": 1 - (1 - right) * 0.6,
        "predicted_probability": right,
        "suggested_probability": right,
        "second_probability": (1 - right) * 0.3,
        "row": range(cards),
    }
    table = pyarrow.table(
        [pyarrow.array(columns[field.name], field.type) for field in SCHEMA], schema=SCHEMA
    )
    known = {name: [tile for tile in many if tile.label == name][:50] for name in names}
    near = {
        tile.id: Comparison(
            *(
                tuple(islice(cycle(known[name]), number % 40, number % 40 + COMPARED))
                for name in (tile.label or "", names[others[number, 0]], names[others[number, 1]])
            )
        )
        for number, tile in enumerate(many)
    }
    return Audit(
        table,
        TileSet(tiles.source, tuple(many)),
        tuple(ClassIssues(name, cards, cards, 0.5, (0.4, 0.6)) for name in names),
        0.5,
        (0.4, 0.6),
        WrongLabelsLeft(cards, float(right.sum()), (cards // 3, cards)),
        comparisons=near,
    )


def waits(page: TypedPage, *keys: str) -> str:
    """Median, 95th percentile and maximum of the milliseconds to the next frame."""
    page.page.evaluate("waits.length = 0")
    for key in keys:
        page.press(key)
        page.page.wait_for_timeout(30)
    page.page.wait_for_function(f"waits.length >= {len(keys)}")
    found = np.array(page.page.evaluate("waits"))
    return f"{np.median(found):.0f} | {np.quantile(found, 0.95):.0f} | {found.max():.0f}"


def opening(browser: Any, path: Path) -> dict[str, float]:
    """When the first card is painted, and when all is loaded, in seconds from the navigation."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.goto(path.absolute().as_uri(), wait_until="load")
    found: dict[str, float] = page.evaluate(
        """() => {
          const [paint] = performance.getEntriesByName("first-contentful-paint");
          const [loading] = performance.getEntriesByType("navigation");
          const [card] = performance.getEntriesByName("cards");
          return { paint: paint.startTime / 1000, card: card.startTime / 1000,
                   load: loading.loadEventEnd / 1000 };
        }"""
    )
    context.close()
    return found


def main(
    data: Annotated[Path, typer.Option(help="Folder of tiles.")],
    cards: Annotated[int, typer.Option(min=1, max=20_000)] = 20_000,
    keys: Annotated[int, typer.Option(min=1)] = 150,
    page: Annotated[Path, typer.Option(help="The page; kept, and opened if it is there.")] = (
        Path(tempfile.gettempdir()) / "audit-page.html"
    ),
) -> None:
    """Write the page if it is not there, and print the figures."""
    if not page.exists():
        audit = made_up_audit(rsretrieve.open_tiles(str(data)).tile_set, cards)
        request = PageRequest(audit, str(data), most_cards=cards)
        text = page_text(request, RepeatedThumbnails(), RunContext())
        page.write_text(text, encoding="utf-8")
    print(f"{page}: {page.stat().st_size / 1e6:.0f} MB")
    with chromium() as browser:
        found = [opening(browser, page) for _ in range(5)]
        for name, text in (
            ("paint", "first paint"),
            ("card", "first cards painted"),
            ("load", "all loaded"),
        ):
            times = [each[name] for each in found]
            print(f"{text}: {np.median(times):.2f} s ({min(times):.2f} to {max(times):.2f})")
        typed = TypedPage(browser, page)
        count = typed.page.evaluate("CARDS.length")
        typed.page.evaluate(WATCH)
        print(f"{count} cards\n| keys | median ms | 95 % | longest |\n|---|---|---|---|")
        print(f"| {keys} × next card | {waits(typed, *['j'] * keys)} |")
        print(f"| {keys} × decision | {waits(typed, *['a', 'r'] * (keys // 2))} |")
        typed.page.evaluate("View.focus(Math.floor(CARDS.length / 2))")
        print(f"| {keys} × next card, in the middle | {waits(typed, *['j'] * keys)} |")
        print(f"| grid, screens | {waits(typed, 'g', *['n'] * 40)} |")
        print(f"| grid, accept 30 | {waits(typed, *['Shift+A'] * 20)} |")
        typed.close()


if __name__ == "__main__":
    typer.run(main)
