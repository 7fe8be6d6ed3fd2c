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

from rsretrieve.audit.decisions.saved_decisions import Decision, Disagreement
from rsretrieve.audit.issue_types import IssueType
from rsretrieve.audit.result import (
    Audit,
    ClassIssues,
    Comparison,
    NoiseMatrix,
    WrongLabelsLeft,
)
from rsretrieve.audit.result_table import Row, rows_of
from rsretrieve.data.geo.place import Place
from rsretrieve.data.labels.confirmed import Rule
from rsretrieve.data.run_context import RunContext
from rsretrieve.data.tile import Tile, TileSet
from rsretrieve.data.window import Window
from rsretrieve.errors import OutputExists
from rsretrieve.export.html.page import write_audit_page
from rsretrieve.export.html.page_request import PageRequest, ReviewSettings
from rsretrieve.export.html.reasons import reason_for, score_text
from rsretrieve.export.html.thumbnails import Thumbnails
from rsretrieve.progress import Advanced, Event, Noticed, StageStarted
from tests.support.pages.audits import audit_of, finding

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

    @property
    def pictures(self) -> list[str]:
        return [uri for chunk in self.inside["script"][2:] for uri in json.loads(chunk)]

    def compared(self, number: int) -> list[Any]:
        """Tile, label and picture of a tile to compare with."""
        return list(self.data["compared"][number])

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
        predicted_probability=0.875,
        suggested_probability=0.875,
        second_label="forest",
        second_probability=0.03,
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
        comparisons={tiles[0].id: Comparison((tiles[1],), (tiles[2], tiles[1]), (tiles[2],))},
    )


def page_of(audit: Audit, folder: Path, source: str = "my tiles") -> Page:
    write_audit_page(folder / "audit.html", PageRequest(audit, source, BANDS), overwrite=False)
    return Page((folder / "audit.html").read_text(encoding="utf-8"))


def with_first(audit: Audit, rows: tuple[Row, ...], **changes: Any) -> Audit:
    changed = audit_of(rows[0] | changes, *rows[1:])
    return replace(audit, table=changed.table, tiles=changed.tiles)


def picture_of(page: Page, position: int) -> Image.Image:
    kind, _, data = page.pictures[position].partition(",")
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
    assert card["why"] == "Probably water (88%), not bare_soil (6%)."
    assert card["probabilities"] == [0.0625, 0.875, 0.03]
    assert (card["second"], card["wrong"]) == ("forest", 0.9375)
    own, others, third = (
        [page.compared(number)[0] for number in card[name]] for name in ("own", "others", "third")
    )
    assert (own, others) == ([tiles[1].id], [tiles[2].id, tiles[1].id])
    assert third == [tiles[2].id]
    assert max(picture_of(page, card["picture"]).size) == 16  # never enlarged
    assert card["own"][0] == card["others"][1]
    assert page.compared(card["own"][0])[2] >= 0


def test_large_tiles_are_made_small(audit: Audit, rows: tuple[Row, ...], tmp_path: Path) -> None:
    Image.fromarray(np.full((400, 800, 3), 99, np.uint8)).save(tmp_path / "large.png")
    large = Tile("large.png", str(tmp_path / "large.png"), "road")
    audit = with_first(audit, rows, tile=large)
    compared = {large.id: Comparison((), (large,))}
    page = page_of(replace(audit, comparisons=compared), tmp_path)
    card = page.data["cards"][0]
    assert picture_of(page, card["picture"]).size == (512, 256)
    assert picture_of(page, page.compared(card["others"][0])[2]).size == (96, 48)


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
    assert page.tags.count("script") == 3
    assert page.data["cards"][0]["tile"] == page.data["cards"][0]["given"] == NASTY
    assert NASTY.replace("\u2028", "\\u2028") in page.text
    assert NASTY in page.values("data-given")


def test_the_file_s_own_script_never_ends_in_the_data(
    audit: Audit, rows: tuple[Row, ...], tiles: TileSet, tmp_path: Path
) -> None:
    page_of(with_first(audit, rows, tile=Tile("</script>", tiles[0].path, "a")), tmp_path)
    html = (tmp_path / "audit.html").read_text(encoding="utf-8")
    assert html.count("</script>") == 3


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
    assert page.data["cards"] == page.pictures == []
    assert "0 of 1 labels flagged" in page.text
    assert page.values("data-given") == []


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
    assert "bare_soil → water: 3 (1.32 to 3)" in page.values("aria-label")


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
        (IssueType.AMBIGUOUS, "Either water (88%) or forest (3%), not bare_soil (6%)"),
        (IssueType.OFF_TOPIC, "Far from every class; the nearest is water. It may belong to no"),
        (IssueType.RARE_CLASS, "fewer than 5 tiles"),
        (IssueType.DUPLICATE, "nearly the same pixels and the label forest"),
        (None, "Probably water (88%), not bare_soil (6%)"),
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


def test_scores_that_are_no_probabilities_are_not_shown_as_such(
    audit: Audit, tmp_path: Path
) -> None:
    uncertain = replace(audit, wrong_left=WrongLabelsLeft(3, None, (0, 3)))
    data = page_of(uncertain, tmp_path).data
    assert data["cards"][0]["why"] == "Probably water, not bare_soil."
    assert data["cards"][0]["probabilities"] == [None, None, None]
    assert data["left"] == {"undecided": 3, "expected": None, "interval": [0, 3]}


def test_the_number_of_wrong_labels_that_are_left_is_on_the_page(
    audit: Audit, tmp_path: Path
) -> None:
    counted = replace(audit, wrong_left=WrongLabelsLeft(3, 1.75, (1, 3)))
    data = page_of(counted, tmp_path).data
    assert data["left"] == {"undecided": 3, "expected": 1.75, "interval": [1, 3]}
    assert data["hasProbabilities"]


def test_a_tile_in_disagreement_comes_first_even_if_nothing_is_wrong_with_it(
    audit: Audit, tiles: TileSet, tmp_path: Path
) -> None:
    decisions = (
        Decision(tiles[2].id, "road", Rule.CHOOSE, "Ada"),
        Decision(tiles[2].id, None, Rule.REMOVE),
    )
    disputed = Disagreement(tiles[2].id, (Path("a.csv"), Path("b.csv")), decisions)
    request = PageRequest(audit, "tiles", review=ReviewSettings(disagreements=(disputed,)))
    write_audit_page(tmp_path / "audit.html", request, overwrite=False)
    cards = Page((tmp_path / "audit.html").read_text(encoding="utf-8")).data["cards"]
    assert [card["tile"] for card in cards] == [tiles[2].id, tiles[0].id, tiles[1].id]
    assert cards[0]["opinions"] == [["Ada", "road"], ["b.csv", None]]


def test_places_are_on_the_page(audit: Audit, tiles: TileSet, tmp_path: Path) -> None:
    corners = ((7.0, 51.0), (7.0, 50.0), (8.0, 50.0), (8.0, 51.0))
    placed = replace(
        audit, places={tiles[0].id: Place("EPSG:4326", (7.0, 50.0, 8.0, 51.0), corners)}
    )
    cards = page_of(placed, tmp_path).data["cards"]
    assert cards[0]["place"] == [7.5, 50.5]
    assert "place" not in cards[1]


def test_the_scene_around_a_window_is_on_the_page(
    audit: Audit, rows: tuple[Row, ...], tmp_path: Path
) -> None:
    values = np.zeros((64, 64, 3), np.uint8)
    values[:16, 16:32] = 200
    Image.fromarray(values).save(tmp_path / "scene.png")
    window = Tile("s#16,0,16,16", str(tmp_path / "scene.png"), "road", Window(16, 0, 16, 16))
    page = page_of(with_first(audit, rows, tile=window), tmp_path)
    context = page.data["cards"][0]["context"]
    assert context["box"] == [0.3333, 0.0, 0.3333, 0.5]
    around = np.asarray(picture_of(page, context["picture"]).convert("L"))
    assert around.shape == (32, 48)
    assert around[8, 24] > 150
    assert around[24, 24] < 50


def test_pictures_are_left_out_beyond_a_limit_and_said_to_be(tiles: TileSet) -> None:
    heard: list[Event] = []
    thumbnails = Thumbnails(limit_bytes=200)
    sizes = {tile: {16} for tile in tiles}
    thumbnails.read([("", sizes)], BANDS, RunContext(listener=heard.append))
    assert sum(map(len, thumbnails.pictures)) <= 200
    assert thumbnails.left_out == len(tiles) - len(thumbnails.pictures) > 0
    assert "left out" in thumbnails.reason(tiles[len(tiles) - 1])
    assert [e.text for e in heard if isinstance(e, Noticed)][0].startswith(
        f"{thumbnails.left_out} pictures are left out"
    )


def test_the_matrix_names_its_axes_and_its_numbers(audit: Audit, tmp_path: Path) -> None:
    text = page_of(audit, tmp_path).text
    for words in ("true class (estimated)", "given label"):
        assert words in text
    assert "bare_soil → water: 3 (1.32 to 3) 3" in text
