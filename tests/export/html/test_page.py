"""The audit as a page, as it is written: one file that needs nothing and trusts no name."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from rsretrieve.audit.issue_types import IssueType
from rsretrieve.audit.result import Audit, ClassIssues, Comparison, NoiseMatrix
from rsretrieve.audit.result_table import Row, rows_of
from rsretrieve.data.run_context import RunContext
from rsretrieve.data.tile import Tile, TileSet
from rsretrieve.errors import OutputExists
from rsretrieve.export.html.page import PageRequest, write_audit_page
from rsretrieve.export.html.reasons import reason_for, score_text
from rsretrieve.progress import Advanced, Event, StageStarted
from tests.support.audits import audit_of, finding

BANDS = (3, 2, 1)
NASTY = "<script>alert('é & \"x\"')</script><!-- ${x} $y \u2028"
VOID = ("meta", "img", "br", "input", "link")


class Page(HTMLParser):
    """A page's elements, its text, and what it is closed with."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.inside: dict[str, list[str]] = {}
        self.texts: list[str] = []
        self.open: list[str] = []
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in VOID:
            self.open.append(tag)
        self.attributes += attributes

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attributes

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.inside.setdefault(self.open[-1] if self.open else "", []).append(data)
        if self.open and self.open[-1] not in ("script", "style"):
            self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())

    @property
    def data(self) -> Any:
        return json.loads(self.inside["script"][0])

    def values(self, name: str) -> list[str]:
        return [str(value) for key, value in self.attributes if key == name]


@pytest.fixture
def rows(tiles: TileSet) -> tuple[Row, ...]:
    """Two issues, and a label that is right."""
    similarities = {"own_similarity": -0.25, "runner_up_similarity": 0.5}
    worst = finding(
        *(tiles[0], "water"),
        issue=True,
        score=0.0625,
        kind=IssueType.WRONG_LABEL,
        runner_up_label="forest",
        **similarities,
    )
    return (
        worst,
        worst | {"tile": tiles[1], "label_score": 0.25, "kind": IssueType.AMBIGUOUS},
        worst | {"tile": tiles[2], "is_label_issue": False, "label_score": 0.9, "kind": None},
    )


@pytest.fixture
def audit(tiles: TileSet, rows: tuple[Row, ...]) -> Audit:
    """The first row has tiles to compare with."""
    return audit_of(
        *rows,
        per_class=(
            ClassIssues("bare_soil", 4, 1, 0.25, (0.0, 0.5)),
            ClassIssues("forest", 2, 1, 0.5, (0.0, 1.0)),
        ),
        noise_rate=0.6,
        interval=(0.5, 0.75),
        figures=None,
        noise_matrix=NoiseMatrix(("bare_soil", "forest", "water"), np.eye(3)[[2, 2, 1]] * 3),
        comparisons={tiles[0].id: Comparison((tiles[1],), (tiles[2], tiles[1]))},
    )


def page_of(audit: Audit, folder: Path, source: str = "my tiles") -> Page:
    write_audit_page(folder / "audit.html", PageRequest(audit, source, BANDS), overwrite=False)
    return Page((folder / "audit.html").read_text(encoding="utf-8"))


def with_first(audit: Audit, rows: tuple[Row, ...], **changes: Any) -> Audit:
    changed = audit_of(rows[0] | changes, *rows[1:])
    return replace(audit, table=changed.table, tiles=changed.tiles)


def picture_of(page: Page, position: int) -> Image.Image:
    kind, _, data = page.data["pictures"][position].partition(",")
    assert kind == "data:image/webp;base64"
    return Image.open(io.BytesIO(base64.b64decode(data, validate=True)))


def test_the_page_holds_the_tiles_that_need_a_look_alone_worst_first(
    audit: Audit, tmp_path: Path
) -> None:
    cards = page_of(audit, tmp_path).data["cards"]
    assert [card["tile"] for card in cards] == [row["tile"] for row in rows_of(audit.table)[:2]]
    assert [card["kind"] for card in cards] == ["wrong_label", "ambiguous"]


def test_a_card_has_labels_reason_and_pictures(
    audit: Audit, tiles: TileSet, tmp_path: Path
) -> None:
    page = page_of(audit, tmp_path)
    card = page.data["cards"][0]
    assert (card["given"], card["suggested"], card["score"]) == ("bare_soil", "water", "0.0625")
    for words in ("water (similarity 0.75)", "bare_soil (-0.25)", "probability 0.94"):
        assert words in card["why"]
    assert [small["tile"] for small in card["own"]] == [tiles[1].id]
    assert [small["tile"] for small in card["others"]] == [tiles[2].id, tiles[1].id]
    assert max(picture_of(page, card["picture"]).size) == 16  # never enlarged
    assert card["own"][0]["picture"] == card["others"][1]["picture"] >= 0


def test_large_tiles_are_made_small(audit: Audit, rows: tuple[Row, ...], tmp_path: Path) -> None:
    Image.fromarray(np.full((300, 600, 3), 99, np.uint8)).save(tmp_path / "large.png")
    large = Tile("large.png", str(tmp_path / "large.png"), "road")
    audit = with_first(audit, rows, tile=large)
    compared = {large.id: Comparison((), (large,))}
    page = page_of(replace(audit, comparisons=compared), tmp_path)
    card = page.data["cards"][0]
    assert picture_of(page, card["picture"]).size == (224, 112)
    assert picture_of(page, card["others"][0]["picture"]).size == (96, 48)


def test_the_page_says_how_many_labels_look_wrong(audit: Audit, tmp_path: Path) -> None:
    page = page_of(audit, tmp_path)
    assert "Labels to check in my tiles" in page.text
    for words in ("2 of 3 labels flagged", "60.0%", "50.0% to 75.0%", "worst labels come first"):
        assert words in page.text


def test_a_tile_that_is_no_issue_and_needs_a_look_is_counted_apart(
    audit: Audit, rows: tuple[Row, ...], tmp_path: Path
) -> None:
    odd = with_first(audit, rows, is_label_issue=False, kind=IssueType.OFF_TOPIC)
    page = page_of(odd, tmp_path)
    assert "1 of 3 labels flagged" in page.text
    assert "1 more tiles to review" in page.text
    assert len(page.data["cards"]) == 2


def test_the_page_needs_nothing_beside_it_and_lets_nothing_in(audit: Audit, tmp_path: Path) -> None:
    page = page_of(audit, tmp_path)
    html = (tmp_path / "audit.html").read_text(encoding="utf-8")
    assert page.values("href") == ["data:,"]
    assert page.values("src") == []
    assert not {"iframe", "object", "embed", "img"} & set(page.tags)
    assert not re.search(r"https?://|url\(|@import|\bfetch\(|XMLHttpRequest", html)
    policy = page.values("content")[0]
    assert policy.startswith("default-src 'none'; img-src data:;")
    for text in (page.inside["script"][1], page.inside["style"][0]):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy


def test_classes_are_listed_by_their_share_of_issues(audit: Audit, tmp_path: Path) -> None:
    text = page_of(audit, tmp_path).text
    rows = "forest 1 2 50% (0% to 100%) bare_soil 1 4 25% (0% to 50%)"
    assert f"given label issues tiles estimated noise rate {rows}" in text


@pytest.mark.medium
def test_names_are_text_never_markup(
    audit: Audit, rows: tuple[Row, ...], tiles: TileSet, tmp_path: Path
) -> None:
    tile = Tile(NASTY, tiles[0].path, NASTY)
    nasty = replace(
        with_first(audit, rows, tile=tile, predicted_label=NASTY),
        per_class=(ClassIssues(NASTY, 1, 1, 1.0, (1.0, 1.0)),),
        noise_matrix=NoiseMatrix((NASTY, "x"), np.ones((2, 2))),
    )
    page = page_of(nasty, tmp_path, NASTY)
    assert page.tags.count("script") == 2
    assert page.data["cards"][0]["tile"] == page.data["cards"][0]["given"] == NASTY
    assert NASTY.replace("\u2028", "\\u2028") in page.text
    assert NASTY in page.values("data-given")


def test_the_file_s_own_script_never_ends_in_the_data(
    audit: Audit, rows: tuple[Row, ...], tiles: TileSet, tmp_path: Path
) -> None:
    page_of(with_first(audit, rows, tile=Tile("</script>", tiles[0].path, "a")), tmp_path)
    html = (tmp_path / "audit.html").read_text(encoding="utf-8")
    assert html.count("</script>") == 2


def test_a_tile_that_cannot_be_read_is_shown_with_its_reason(
    audit: Audit, rows: tuple[Row, ...], tmp_path: Path
) -> None:
    gone = Tile("gone.tif", str(tmp_path / "gone.tif"), "road")
    card = page_of(with_first(audit, rows, tile=gone), tmp_path).data["cards"][0]
    assert (card["picture"], card["reason"]) == (-1, "no such file")


def test_beyond_the_most_cards_the_page_says_that_more_are_not_shown(
    audit: Audit, tmp_path: Path
) -> None:
    request = PageRequest(audit, "my tiles", BANDS, most_cards=1)
    write_audit_page(tmp_path / "audit.html", request, overwrite=False)
    page = Page((tmp_path / "audit.html").read_text(encoding="utf-8"))
    assert len(page.data["cards"]) == 1
    assert "the worst 1 are shown" in page.text


def test_an_audit_without_issues_is_a_page_still(
    audit: Audit, rows: tuple[Row, ...], tmp_path: Path
) -> None:
    page = page_of(replace(audit_of(rows[2]), per_class=audit.per_class), tmp_path)
    assert page.data["cards"] == page.data["pictures"] == []
    assert "0 of 1 labels flagged" in page.text
    assert "svg" not in page.tags


def test_decisions_on_one_audit_are_not_taken_for_another_s(
    audit: Audit, rows: tuple[Row, ...], tmp_path: Path
) -> None:
    one = page_of(audit, tmp_path).data["id"]
    (tmp_path / "again").mkdir()
    assert page_of(audit, tmp_path / "again").data["id"] == one
    (tmp_path / "other").mkdir()
    other = with_first(audit, rows, suggested_label="road")
    assert page_of(other, tmp_path / "other").data["id"] != one


def test_the_matrix_draws_confusions_and_not_the_diagonal(audit: Audit, tmp_path: Path) -> None:
    page = page_of(audit, tmp_path)
    pairs = list(zip(page.values("data-given"), page.values("data-suggested")))
    assert pairs == [("bare_soil", "water"), ("forest", "water"), ("water", "forest")]
    assert "bare_soil → water: 3 (3 to 3)" in page.values("aria-label")


@pytest.mark.parametrize(("classes", "is_cut"), [(40, False), (41, True)])
def test_a_matrix_of_too_many_classes_says_that_it_is_cut(
    audit: Audit, tmp_path: Path, classes: int, is_cut: bool
) -> None:
    names = tuple(f"class {number}" for number in range(classes))
    matrix = NoiseMatrix(names, np.roll(np.eye(classes), 1, axis=1) * 3)
    page = page_of(replace(audit, noise_matrix=matrix), tmp_path)
    assert ("40 most confused of 41 classes" in page.text) == is_cut


def test_classes_that_no_tile_has_can_be_chosen(audit: Audit, tmp_path: Path) -> None:
    matrix = NoiseMatrix(("bare_soil", "forest", "ice"), np.zeros((3, 3)))
    page = page_of(replace(audit, noise_matrix=matrix), tmp_path)
    assert page.data["classes"] == ["bare_soil", "forest", "ice", "water"]


def test_progress_counts_every_picture(audit: Audit, tmp_path: Path) -> None:
    events: list[Event] = []
    request = PageRequest(audit, "tiles", BANDS)
    write_audit_page(
        tmp_path / "a.html", request, overwrite=False, context=RunContext(listener=events.append)
    )
    assert events[0] == StageStarted("reading pictures for the page", 3)
    assert events[1:] == [Advanced(1)] * 3


def test_a_page_that_is_there_is_not_overwritten(audit: Audit, tmp_path: Path) -> None:
    (tmp_path / "audit.html").write_text("mine", encoding="utf-8")
    with pytest.raises(OutputExists, match=r"already exists$"):
        page_of(audit, tmp_path)
    assert (tmp_path / "audit.html").read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (IssueType.AMBIGUOUS, "Either water (similarity 0.75) or forest (0.50)"),
        (IssueType.OFF_TOPIC, "Far from every class; water, the most probable,"),
        (IssueType.RARE_CLASS, "fewer than 5 tiles"),
        (IssueType.DUPLICATE, "nearly the same pixels and the label forest"),
        (None, "Probably water (similarity 0.75)"),
    ],
)
def test_every_kind_has_its_reason(
    rows: tuple[Row, ...], kind: IssueType | None, said: str
) -> None:
    row = rows_of(audit_of(rows[0] | {"kind": kind}).table)[0] | {"twin": "forest_1.tif"}
    assert said in reason_for(row, "forest")


def test_near_duplicates_by_embedding_are_not_said_to_share_their_pixels(
    audit: Audit, rows: tuple[Row, ...], tiles: TileSet, tmp_path: Path
) -> None:
    twin = with_first(audit, rows, kind=IssueType.DUPLICATE, twin=tiles[1])
    request = PageRequest(twin, "my tiles", BANDS, compares_pixels=False)
    write_audit_page(tmp_path / "audit.html", request, overwrite=False)
    card = Page((tmp_path / "audit.html").read_text(encoding="utf-8")).data["cards"][0]
    assert "nearly the same embedding and the label forest" in card["why"]
    assert "pixels" not in card["why"]


def test_scores_too_small_to_say_more_are_not_spelled_out() -> None:
    assert [score_text(score) for score in (0.25, 0.001, 0.0009, 0.0)] == [
        *("0.25", "0.001", "<0.001", "<0.001")
    ]
