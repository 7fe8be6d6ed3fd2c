"""The review of an audit: its page, tiles to compare with, and decisions."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import astuple, dataclass
from functools import cached_property
from importlib.resources import files
from typing import Any

from rsretrieve.audit.result_table import Row
from rsretrieve.browse.index_view import IndexView
from rsretrieve.browse.review.decided_file import MADE, DecidedFile, DecidedRow
from rsretrieve.browse.review.linked_pictures import ADDRESSES, LinkedPictures, picture_of
from rsretrieve.browse.review.saved_audit import SavedAudit
from rsretrieve.errors import InvalidArgument
from rsretrieve.export.html.page import PageParts, filled_page, page_script, page_style
from rsretrieve.export.html.page_data import page_data
from rsretrieve.export.html.page_limits import CARDS_LIMIT
from rsretrieve.export.html.page_request import PageRequest, ReviewSettings
from rsretrieve.export.html.page_summary import text

_MOST_COMPARED, _MOST_AHEAD = 60, 600
_LINKS = PageParts(
    "",
    '<link rel="stylesheet" href="review.css">',
    '<script src="review.js"></script>',
    "",
)
_LABELS_OF_STRIPS = (
    ("own", "given_label"),
    ("others", "suggested_label"),
    ("third", "second_label"),
)


@dataclass(frozen=True)
class Review:
    """What the page of the review shows and keeps.

    Attributes:
        view: the index.
        saved: the audit.
        decided: where decisions are kept.
    """

    view: IndexView
    saved: SavedAudit
    decided: DecidedFile

    @property
    def count(self) -> int:
        """The number of cards."""
        return len(self._request.rows)

    @cached_property
    def _request(self) -> PageRequest:
        decided = shlex.quote(str(self.decided.path.absolute()))
        command = f"rsretrieve audit-labels TILES --decisions {decided} --fixed-labels decided.csv"
        return PageRequest(
            self.saved.audit,
            self.view.store.folder.resolve().name,
            compares_pixels=None,
            most_cards=CARDS_LIMIT,
            review=ReviewSettings(command),
        )

    @cached_property
    def _pictures(self) -> LinkedPictures:
        return LinkedPictures(self.view.row_of)

    @cached_property
    def _data(self) -> dict[str, Any]:
        """What the page shows, whatever was decided."""
        data = page_data(self._request, self._pictures)
        if data["left"] is not None:
            about = f"the sum of the probabilities in {self.saved.path.name}"
            data["left"] |= {"interval": None, "about": about}
        return {**data, "pictureAddresses": ADDRESSES}

    @cached_property
    def _position(self) -> dict[str, int]:
        return {row["tile"]: position for position, row in enumerate(self._request.rows)}

    def page(self) -> str:
        """The page as HTML, with the decisions that are kept."""
        rows = {tile: row for tile, row in self.decided.rows.items() if not row.is_open}
        cards = {self._position[tile]: row for tile, row in rows.items() if tile in self._position}
        others = [row for tile, row in rows.items() if tile not in self._position]
        content = {
            **self._data,
            "decisionsFile": str(self.decided.path.absolute()),
            "kept": [
                [position, row.rule if row.rule in MADE else "", row.label, row.by, row.at]
                for position, row in sorted(cards.items())
            ],
            "earlier": [[*astuple(row), "", ""] for row in others],
        }
        return filled_page(self._request, self._summary(), content, _LINKS)

    def _summary(self) -> str:
        audit, shown = self.saved.audit, self.count
        issues, to_review = len(audit.issues), len(audit.to_review)
        others = to_review - issues
        more = f"; {others:,} more {'tile' if others == 1 else 'tiles'} to review" if others else ""
        least = f" Only the worst {shown:,} are shown." if shown < to_review else ""
        told = f"{issues:,} of {len(audit.table):,} labels flagged in {self.saved.path.name}{more}."
        absent = " ".join(["", *(f"{notice}." for notice in self.saved.notices)])
        return text(f"{told} The worst labels come first.{least}{absent}")

    def compared(self, positions: Any) -> list[dict[str, Any]]:
        """The tiles to compare with, for some cards.

        Args:
            positions: of up to 60 cards.

        Returns:
            For each card `own`, `others` and `third`, each a list of tile, label and number of the
            picture.

        Raises:
            InvalidArgument: there are no such cards.
        """
        rows = [self._request.rows[position] for position in self._checked(positions)]
        index_rows = [self.view.row_of[row["tile"]] for row in rows]
        found: list[dict[str, Any]] = [{} for _ in rows]
        for strip, column in _LABELS_OF_STRIPS:
            labels = [row[column] or "" for row in rows]
            for one, label, near in zip(found, labels, self.saved.nearest(index_rows, labels)):
                one[strip] = [self._told(row, label) for row in near]
        return found

    def _told(self, row: int, label: str) -> tuple[str, str, int]:
        return self.view.ids[row], label, row * len(ADDRESSES) + 1

    def _checked(self, positions: Any) -> list[int]:
        if not isinstance(positions, list) or len(positions) > _MOST_COMPARED:
            raise InvalidArgument(f"positions of up to {_MOST_COMPARED} cards are expected")
        if not all(type(one) is int and 0 <= one < self.count for one in positions):
            raise InvalidArgument("there is no such card")
        return positions

    def make_ahead(self, numbers: Any) -> None:
        """Make pictures that the page is about to show.

        Args:
            numbers: of up to 600 pictures; see `ADDRESSES`.

        Raises:
            InvalidArgument: there are no such pictures.
        """
        most = len(self.view.ids) * len(ADDRESSES)
        if not isinstance(numbers, list) or len(numbers) > _MOST_AHEAD:
            raise InvalidArgument(f"numbers of up to {_MOST_AHEAD} pictures are expected")
        if not all(type(one) is int and 0 <= one < most for one in numbers):
            raise InvalidArgument("there is no such picture")
        self.view.pictures.make_ahead(map(picture_of, numbers))

    def decide(self, content: Mapping[str, Any]) -> list[str]:
        """Keep decisions that the page sent.

        Args:
            content: `cards`: position → decision, label, by, at; `others`: tile id → label,
                decision, given label, suggested label, kind, by, at. Null takes a decision back.

        Returns:
            The tiles whose decisions are none, or contradict themselves; these are not kept, all
            others are.

        Raises:
            InvalidArgument: there is no such card.
            OutputBusy: another process writes the file.
            OutputExists: another program changed the file.
        """
        cards, others = content.get("cards", {}), content.get("others", {})
        if not isinstance(cards, dict) or not isinstance(others, dict):
            raise InvalidArgument("decisions by card and by tile are expected")
        cells: dict[str, list[Any] | None] = {}
        for key, given in cards.items():
            card = self._request.rows[self._card(key)]
            cells[card["tile"]] = None if given is None else _of_card(card, given)
        for tile, given in others.items():
            cells[tile] = None if given is None else [tile, *_list(given)]
        changes: dict[str, DecidedRow | None] = {}
        refused = []
        for tile, row in cells.items():
            try:
                changes[tile] = None if row is None else DecidedRow.checked(row)
            except InvalidArgument:
                refused.append(tile)
        if changes:
            self.decided.change(changes)
        return refused

    def _card(self, key: str) -> int:
        position = int(key) if key.isdecimal() and len(key) < 16 else -1
        if not 0 <= position < self.count:
            raise InvalidArgument("there is no such card")
        return position


def _of_card(row: Row, given: Any) -> list[Any]:
    """The cells of a decision on a card."""
    rule, label, by, at = given if isinstance(given, list) and len(given) == 4 else [None] * 4
    seen = (row["given_label"], row["suggested_label"], row["kind"] or "wrong_label")
    return [row["tile"], label, rule, *seen, by, at]


def _list(given: Any) -> list[Any]:
    return given if isinstance(given, list) else []


def script() -> str:
    """The script of the page."""
    own = files("rsretrieve.browse").joinpath("page", "review.js").read_text(encoding="utf-8")
    return page_script(own)


def style() -> str:
    """The style of the page."""
    own = files("rsretrieve.browse").joinpath("page", "review.css").read_text(encoding="utf-8")
    return page_style() + own
