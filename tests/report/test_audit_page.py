"""The audit as a page: one file that needs nothing beside it and trusts no name."""

from __future__ import annotations

import base64
import io
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image

from rsretrieve.audit.audit import Audit, AuditedTile, ClassIssues
from rsretrieve.errors import OutputExists
from rsretrieve.report import audit_page
from rsretrieve.report.audit_page import write_audit_page
from rsretrieve.tiles.records import Tile, TileSet

BANDS = (3, 2, 1)
NASTY = "<script>alert('é & \"x\"')</script>"


class Page(HTMLParser):
    """A page's elements, its text, and what it is closed with."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.sources: list[str] = []
        self.links: list[str] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)
        self.sources += [str(value) for name, value in attributes if name == "src"]
        self.links += [str(value) for name, value in attributes if name == "href"]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())


@pytest.fixture
def audit(tiles: TileSet) -> Audit:
    """Two issues and a label that is right."""
    worst = AuditedTile(tiles[0], "water", True, 0.0625, -0.25, 0.75)
    return Audit(
        tiles=(
            worst,
            replace(worst, tile=tiles[1], label_score=0.25),
            replace(worst, tile=tiles[2], is_label_issue=False, label_score=0.9),
        ),
        per_class=(ClassIssues("bare_soil", 4, 1), ClassIssues("forest", 2, 1)),
        figures=None,
    )


def page_of(audit: Audit, path: Path, source: str = "my tiles") -> Page:
    write_audit_page(path / "audit.html", audit, source, BANDS, overwrite=False)
    return Page((path / "audit.html").read_text(encoding="utf-8"))


def with_tile(audit: Audit, tile: Tile, predicted: str = "water") -> Audit:
    first = replace(audit.tiles[0], tile=tile, predicted_label=predicted)
    return replace(audit, tiles=(first, *audit.tiles[1:]))


def test_the_page_shows_the_issues_alone_worst_first(audit: Audit, tmp_path: Path) -> None:
    page = page_of(audit, tmp_path)
    assert page.tags.count("figure") == page.tags.count("img") == 2
    assert page.text.index(audit.tiles[0].tile.id) < page.text.index(audit.tiles[1].tile.id)
    assert audit.tiles[2].tile.id not in page.text


def test_the_page_says_how_many_labels_look_wrong(audit: Audit, tmp_path: Path) -> None:
    page = page_of(audit, tmp_path)
    assert "Labels to check in my tiles" in page.text
    assert "2 of 3 labels look wrong (66.7%), worst first. Struck through" in page.text


def test_a_card_shows_both_labels_and_the_figures(audit: Audit, tmp_path: Path) -> None:
    text = page_of(audit, tmp_path).text
    assert "bare_soil water bare_soil/" in text
    assert "score 0.062, similarity -0.25 → 0.75" in text


def test_pictures_are_part_of_the_page(audit: Audit, tmp_path: Path) -> None:
    for source in page_of(audit, tmp_path).sources:
        kind, _, data = source.partition(",")
        assert kind == "data:image/jpeg;base64"
        with Image.open(io.BytesIO(base64.b64decode(data, validate=True))) as picture:
            assert picture.size == (144, 144)


def test_the_page_needs_nothing_beside_it(audit: Audit, tmp_path: Path) -> None:
    page = page_of(audit, tmp_path)
    html = (tmp_path / "audit.html").read_text(encoding="utf-8")
    assert page.links == []
    assert not {"script", "link", "iframe"} & set(page.tags)
    assert "http://" not in html
    assert "https://" not in html
    assert "url(" not in html


def test_classes_are_listed_by_their_share_of_issues(audit: Audit, tmp_path: Path) -> None:
    text = page_of(audit, tmp_path).text
    assert "given label issues tiles share forest 1 2 50% bare_soil 1 4 25%" in text


def test_names_are_text_never_markup(audit: Audit, tiles: TileSet, tmp_path: Path) -> None:
    tile = Tile(NASTY, tiles[0].path, NASTY)
    nasty = replace(with_tile(audit, tile, NASTY), per_class=(ClassIssues(NASTY, 1, 1),))
    page = page_of(nasty, tmp_path, NASTY)
    assert "script" not in page.tags
    assert page.text.count(NASTY) == 6  # title, heading, class, given, suggested, id


def test_control_characters_in_names_are_escaped(
    audit: Audit, tiles: TileSet, tmp_path: Path
) -> None:
    page = page_of(with_tile(audit, Tile("a\x1b[2J\udcff", tiles[0].path, "x")), tmp_path)
    assert "a\\x1b[2J\\udcff" in page.text


def test_a_tile_that_cannot_be_read_is_shown_with_its_reason(audit: Audit, tmp_path: Path) -> None:
    gone = Tile("gone.tif", str(tmp_path / "gone.tif"), "road")
    page = page_of(with_tile(audit, gone), tmp_path)
    assert page.tags.count("figure") == 2
    assert page.tags.count("img") == 1
    assert "no such file road water gone.tif" in page.text


def test_beyond_the_most_cards_the_page_says_that_more_are_not_shown(
    audit: Audit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_page, "MOST_CARDS", 1)
    page = page_of(audit, tmp_path)
    assert page.tags.count("figure") == 1
    assert "2 of 3 labels look wrong (66.7%), worst first. The worst 1 are shown." in page.text


def test_an_audit_without_issues_is_a_page_still(audit: Audit, tmp_path: Path) -> None:
    page = page_of(replace(audit, tiles=audit.tiles[2:]), tmp_path)
    assert page.tags.count("figure") == 0
    assert "0 of 1 labels look wrong (0.0%)" in page.text


def test_a_page_that_is_there_is_not_overwritten(audit: Audit, tmp_path: Path) -> None:
    (tmp_path / "audit.html").write_text("mine", encoding="utf-8")
    with pytest.raises(OutputExists, match=r"is there already$"):
        page_of(audit, tmp_path)
    assert (tmp_path / "audit.html").read_text(encoding="utf-8") == "mine"
