"""What the scripts of a page show: cards, pictures to compare with, classes, what is left."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any, Protocol

import pyarrow

from rsretrieve.audit.issue_types import IssueType
from rsretrieve.audit.result import Audit
from rsretrieve.audit.result_table import Row, plain_values, tuples_of
from rsretrieve.data.tile import Tile
from rsretrieve.export.html.page_limits import (
    CONTEXT_PX,
    LARGE_PX,
    PICTURES_PER_CHUNK,
    SMALL_PX,
)
from rsretrieve.export.html.page_request import PageRequest
from rsretrieve.export.html.reasons import TYPE_MEANINGS, TYPE_NAMES, reason_for, score_text
from rsretrieve.export.html.scene_context import tile_around
from rsretrieve.export.html.thumbnails import CONTEXT

_DIGITS = 4  # of a probability
_DEGREE_DIGITS = 6


class Pictures(Protocol):
    """Numbers of the pictures of a page, by which its scripts find them; −1 for none."""

    def of_card(self, tile: Tile, number: int) -> int:
        """The picture on a card, by the position of the card."""

    def enlarged(self, tile: Tile) -> int:
        """A larger picture of the same tile."""

    def compared(self, tile: Tile) -> int:
        """The small picture of a tile to compare with."""

    def around(self, tile: Tile, wider: Tile) -> int:
        """The surroundings of a window."""

    def reason(self, tile: Tile) -> str:
        """Why a tile has no picture; empty if it has one."""


def wanted_pictures(request: PageRequest) -> list[tuple[str, dict[Tile, set[int]]]]:
    """The pictures of a page, those of the worst labels first; see `Thumbnails.read`."""
    parts: list[tuple[str, dict[Tile, set[int]]]] = []
    first = 0
    for last, size_px in LARGE_PX:
        sizes: dict[Tile, set[int]] = {}
        for row in request.rows[first:last]:
            sizes.setdefault(request.tile(row), set()).add(size_px)
            for tile in _compared(row, request):
                sizes.setdefault(tile, set()).add(SMALL_PX)
        parts.append(("", sizes))
        first = last
    around = (tile_around(request.tile(row)) for row in request.rows[: LARGE_PX[0][0]])
    parts.insert(1, (CONTEXT, {found[0]: {CONTEXT_PX} for found in around if found is not None}))
    return parts


def _compared(row: Row, request: PageRequest) -> Iterator[Tile]:
    compared, duplicate = request.comparison(row), request.near_duplicate(row)
    yield from (*compared.own, *compared.suggested, *compared.second)
    if duplicate is not None:
        yield duplicate


def page_data(request: PageRequest, pictures: Pictures) -> dict[str, Any]:
    """Everything that the scripts show but the pictures themselves."""
    audit, builder = request.audit, _Cards(request, pictures)
    cards = [builder.card(number, row) for number, row in enumerate(request.rows)]
    shown_types = [card["kind"] for card in cards]
    return {
        "id": _identity(request.shown),
        "classes": _classes(request),
        "kinds": [
            {
                "kind": issue_type,
                "name": TYPE_NAMES[issue_type],
                "about": TYPE_MEANINGS[issue_type],
                "count": shown_types.count(issue_type),
            }
            for issue_type in IssueType
        ],
        "cards": cards,
        "compared": builder.compared,
        "left": _left(audit),
        "hasProbabilities": request.has_probabilities,
        "labelsFile": request.review.origin.file,
        "labelsDigest": request.review.origin.digest,
        "earlier": request.review.earlier_rows(),
        "picturesPerChunk": PICTURES_PER_CHUNK,
    }


class _Cards:
    """Makes cards. A tile that several cards compare with is described once.

    Attributes:
        compared: tile, label and position of the picture of each tile to compare with.
    """

    def __init__(self, request: PageRequest, pictures: Pictures) -> None:
        self.compared: list[tuple[str, str | None, int]] = []
        self._request, self._pictures = request, pictures
        self._numbers: dict[Tile, int] = {}
        disputed = request.review.disagreements
        self._opinions = {each.tile_id: each.opinions for each in disputed}

    def card(self, number: int, row: Row) -> dict[str, Any]:
        request, pictures = self._request, self._pictures
        tile, duplicate = request.tile(row), request.near_duplicate(row)
        compared = request.comparison(row)
        card = {
            "tile": row["tile"],
            "given": row["given_label"],
            "suggested": row["suggested_label"],
            "second": row["second_label"] or "",
            "kind": row["kind"] or IssueType.WRONG_LABEL,
            "score": score_text(row["label_score"]),
            "wrong": _rounded(row["issue_probability"]),
            "probabilities": self._probabilities(row),
            "why": reason_for(
                row,
                None if duplicate is None else duplicate.label,
                compares_pixels=request.compares_pixels,
                has_probabilities=request.has_probabilities,
            ),
            "picture": pictures.of_card(tile, number),
            "reason": pictures.reason(tile),
            "own": [*map(self._number, compared.own)],
            "others": [*map(self._number, compared.suggested)],
            "third": [*map(self._number, compared.second)],
            "twin": None if duplicate is None else self._number(duplicate),
        }
        return card | self._extras(tile)

    def _probabilities(self, row: Row) -> list[float | None]:
        """Of the given, the suggested and the second label."""
        if not self._request.has_probabilities:
            return [None] * 3
        names = ("label_score", "suggested_probability", "second_probability")
        return [_rounded(row[name]) for name in names]

    def _extras(self, tile: Tile) -> dict[str, Any]:
        """What few tiles have: a place, surroundings, opinions that differ."""
        extras: dict[str, Any] = {}
        place = self._request.audit.places.get(tile.id)
        if place is not None:
            extras["place"] = [round(degrees, _DEGREE_DIGITS) for degrees in place.centre]
        around = tile_around(tile)
        if around is not None:
            position = self._pictures.around(tile, around[0])
            if position >= 0:
                box = [_rounded(share) for share in around[1]]
                extras["context"] = {"picture": position, "box": box}
        if (enlarged := self._pictures.enlarged(tile)) >= 0:
            extras["full"] = enlarged
        if tile.id in self._opinions:
            extras["opinions"] = self._opinions[tile.id]
        return extras

    def _number(self, tile: Tile) -> int:
        if tile not in self._numbers:
            self._numbers[tile] = len(self.compared)
            position = self._pictures.compared(tile)
            self.compared.append((tile.id, tile.label, position))
        return self._numbers[tile]


def _rounded(probability: float | None) -> float | None:
    return None if probability is None else round(probability, _DIGITS)


def _classes(request: PageRequest) -> list[str]:
    audit = request.audit
    labels = {entry.label for entry in audit.per_class}
    labels |= set(plain_values(request.shown["suggested_label"]))
    if audit.noise_matrix is not None:  # it has the classes that no tile has, too
        labels |= set(audit.noise_matrix.class_names)
    return sorted(labels)


def _left(audit: Audit) -> dict[str, Any] | None:
    """How many labels are probably wrong among those that nobody decided on."""
    left = audit.wrong_left
    if left is None:
        return None
    return {"undecided": left.undecided, "expected": left.expected, "interval": left.interval}


def _identity(shown: pyarrow.Table) -> str:
    """An id of the questions: the browser keeps the decisions of every audit apart by it."""
    columns = ("tile", "given_label", "suggested_label")
    questions = [list(values) for values in tuples_of(shown, columns)]
    return hashlib.sha256(json.dumps(questions).encode()).hexdigest()[:16]
