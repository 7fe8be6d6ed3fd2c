"""Read STAC items, item collections, collections and catalogues, and follow their links.

The user named one document. What it links to is a stranger's: without trust, links are followed
only to files in the document's own folder, or to its own host. No document is read twice, and their
number and depth are limited, because a hostile catalogue may have no end.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

from rsretrieve._core.paths import Location
from rsretrieve.data.discovery.json_documents import host_of, place_of, read_json
from rsretrieve.data.discovery.left_out import LeftOut
from rsretrieve.errors import InputError, TilesNotFound

SUFFIXES = (".json", ".geojson")
MAX_DEPTH, MAX_DOCUMENTS = 50, 100_000
_TRUST = "give --trust-sources if you trust who made it"


@dataclass(frozen=True)
class Document:
    """A JSON document that names assets, or links to others.

    Attributes:
        place: its path or URL.
        name: the beginning of the ids of its tiles.
        depth: how many links lead to it from the document that the user named.
    """

    place: str
    name: str
    depth: int = 0

    @property
    def is_remote(self) -> bool:
        """Whether it is fetched over a network."""
        return not Location.parse(self.place).is_local


@dataclass(frozen=True)
class FoundItem:
    """An item, not checked yet.

    Attributes:
        id: the beginning of the ids of its tiles.
        place: the path or URL of the document that holds it.
        content: the item's JSON object.
    """

    id: str
    place: str
    content: Mapping[str, Any]


def is_item(content: object) -> bool:
    """Whether a JSON value is a feature with assets."""
    return isinstance(content, dict) and content.get("type") == "Feature" and "assets" in content


def is_item_collection(content: object) -> bool:
    """Whether a JSON value is a feature collection that holds an item."""
    if not isinstance(content, dict) or content.get("type") != "FeatureCollection":
        return False
    features = content.get("features")
    return isinstance(features, list) and any(map(is_item, features))


def items_in(document: Document, content: Any) -> Iterator[FoundItem]:
    """The items of an item collection, or the item itself."""
    if is_item(content):
        yield FoundItem(document.name, document.place, content)
        return
    for number, feature in enumerate(content["features"]):
        named = feature.get("id") if isinstance(feature, dict) else None
        item_id = f"{document.name}/{named if isinstance(named, str) and named else number}"
        yield FoundItem(item_id, document.place, feature if isinstance(feature, dict) else {})


class Links:
    """Finds all items of a document and of those that it links to.

    Args:
        start: the document that the user named.
        left_out: records links that are not followed, and documents that cannot be read.
        trusted: links are followed wherever they lead.
    """

    def __init__(self, start: str, left_out: LeftOut, *, trusted: bool) -> None:
        self._start, self._left_out, self._trusted = start, left_out, trusted
        self._seen: set[str] = set()
        local = Location.parse(start).is_local
        self._host = None if local else host_of(start)
        self._folder = os.path.dirname(os.path.realpath(start)) if local else ""  # noqa: PTH120

    def items(self) -> Iterator[FoundItem]:
        """All items, each document once.

        Raises:
            TilesNotFound, InputError: the document that the user named cannot be used.
        """
        first = Document(self._start, Location.parse(self._start).name)
        content = read_json(self._start)
        if not self._holds_items(content) and not _links_of(content):
            raise InputError(
                f"{self._start} cannot be read as a STAC item (it has neither assets nor links)",
                hint="give an item, an item collection, a collection or a catalogue",
            )
        self._is_new(first)
        waiting = [first]
        while waiting:
            document = waiting.pop()
            if len(self._seen) > MAX_DOCUMENTS:
                self._leave_out(document, f"more than {MAX_DOCUMENTS:,} documents are linked")
                return
            if document is not first:
                content = self._read(document)
            if self._holds_items(content):
                yield from items_in(document, content)
            waiting += reversed(list(self._linked(document, content)))

    def _read(self, document: Document) -> Any:
        """The content of a linked document; None if it cannot be read, which is recorded."""
        try:
            return read_json(document.place, host=None if self._trusted else self._host)
        except (InputError, TilesNotFound) as error:
            self._leave_out(document, error.message)
            return None

    @staticmethod
    def _holds_items(content: Any) -> bool:
        if is_item(content):
            return True
        is_collection = isinstance(content, dict) and content.get("type") == "FeatureCollection"
        return is_collection and isinstance(content.get("features"), list)

    def _linked(self, document: Document, content: Any) -> Iterator[Document]:
        """The documents that a document links to, which may be followed and are new."""
        for relation, href in _links_of(content):
            try:
                linked = self._document_at(document, content, relation, href)
                is_new, may_follow = self._is_new(linked), self._may_follow(linked)
            except ValueError as error:  # an address or a path that cannot be one
                self._left_out.add_item(
                    document.name, document.place, f"a link is invalid: {error}"
                )
                continue
            if not is_new:
                continue
            if linked.depth > MAX_DEPTH:
                self._leave_out(linked, f"it is nested deeper than {MAX_DEPTH} catalogues")
            elif not self._trusted and not may_follow:
                where = self._folder or self._host
                self._leave_out(linked, f"it lies outside {where}, and is not read: {_TRUST}")
            else:
                yield linked

    def _document_at(
        self, document: Document, content: Mapping[str, Any], relation: str, href: str
    ) -> Document:
        place = place_of(href, document.place)
        depth = document.depth + (relation != "next")
        if relation == "next":
            return replace(document, place=place, depth=depth)
        if relation == "items":
            return Document(place, str(content.get("id") or document.name), depth)
        return Document(place, self._name_of(place), depth)

    def _name_of(self, place: str) -> str:
        """The path of a document below that of the first one; else its last part."""
        if self._host is None:
            name = os.path.relpath(place, os.path.dirname(self._start) or ".")  # noqa: PTH120
            return Path(name).as_posix()
        below = urljoin(self._start, ".")
        plain = place.partition("?")[0]
        return plain.removeprefix(below) if plain.startswith(below) else Location.parse(place).name

    def _may_follow(self, linked: Document) -> bool:
        if self._host is not None:
            return linked.is_remote and host_of(linked.place) == self._host
        real = os.path.realpath(linked.place)
        return not linked.is_remote and real.startswith(self._folder.rstrip("/") + "/")

    def _is_new(self, document: Document) -> bool:
        key = document.place if document.is_remote else os.path.realpath(document.place)
        known = key in self._seen
        self._seen.add(key)
        return not known

    def _leave_out(self, document: Document, reason: str) -> None:
        self._left_out.add_item(document.name, document.place, reason)


def _links_of(content: Any) -> Sequence[tuple[str, str]]:
    """The links of a catalogue, a collection or a page of items, that lead to further items."""
    if not isinstance(content, dict) or content.get("type") == "Feature":
        return ()
    links = content.get("links")
    found = [
        (link["rel"], link["href"])
        for link in (links if isinstance(links, list) else ())
        if isinstance(link, dict)
        and isinstance(link.get("rel"), str)
        and isinstance(link.get("href"), str)
        and str(link.get("method", "GET")).upper() == "GET"
    ]
    if content.get("type") == "FeatureCollection":
        return [link for link in found if link[0] == "next"]
    listed = any(relation == "item" for relation, _ in found)
    wanted = ("child", "item") if listed else ("child", "items")
    return [link for link in found if link[0] in wanted]
