"""The state of a search for all tiles of a kind: examples, proposals and answers, in a file."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from rsretrieve._core.atomic_write import write_json
from rsretrieve._core.regular_files import read_regular_text
from rsretrieve._core.sealing import parsed
from rsretrieve._core.text import some_of
from rsretrieve.errors import InputError

FORMAT, VERSION = "rsretrieve find session", 1
_MOST_DIMENSIONS = 1 << 16
_HINT = "give another --session FILE, or remove this one to begin again"


class Answer(StrEnum):
    """What a person says about a tile."""

    YES = "yes"
    NO = "no"
    UNSURE = "unsure"


@dataclass(frozen=True)
class GivenExample:
    """An example that the search began with.

    Attributes:
        name: what the user called it.
        wanted: it is of the wanted kind.
        tile: the id of a tile of the index; None for an image or a vector.
        vector: D numbers, of unit length; None for a tile of the index.
    """

    name: str
    wanted: bool
    tile: str | None = None
    vector: tuple[float, ...] | None = None

    @property
    def what(self) -> object:
        """What it is an example of: a tile or a vector."""
        return self.tile if self.tile is not None else self.vector


@dataclass(frozen=True)
class FindSession:
    """The state of a search.

    Attributes:
        index: the index folder, as the user named it.
        fingerprint: of the model of the index; empty for embeddings made elsewhere.
        dimensions: D.
        seed: of the random proposals.
        examples: what the search began with.
        rounds: the ids of the tiles that were proposed, by round.
        answers: by tile id; also of tiles that were not proposed.
    """

    index: str
    fingerprint: str
    dimensions: int
    seed: int = 0
    examples: tuple[GivenExample, ...] = ()
    rounds: tuple[tuple[str, ...], ...] = ()
    answers: Mapping[str, Answer] = field(default_factory=dict)

    @property
    def proposed(self) -> set[str]:
        """The ids of all tiles that were proposed."""
        return {tile for found in self.rounds for tile in found}

    @property
    def unanswered(self) -> tuple[str, ...]:
        """The ids of the last round that have no answer yet."""
        last = self.rounds[-1] if self.rounds else ()
        return tuple(tile for tile in last if tile not in self.answers)

    def with_examples(self, examples: Iterable[GivenExample]) -> FindSession:
        """The session with more examples; the last one on a tile, image or vector counts.

        What was said last is not added again.
        """
        said = {example.what: example.wanted for example in self.examples}
        added = []
        for example in examples:
            if said.get(example.what) != example.wanted:
                added.append(example)
                said[example.what] = example.wanted
        return replace(self, examples=(*self.examples, *added))

    def answered_otherwise(self, examples: Iterable[GivenExample]) -> tuple[str, ...]:
        """A notice that examples have the opposite answer, which counts; none if they have not."""
        opposite = {True: Answer.NO, False: Answer.YES}
        tiles = [
            e.tile for e in examples if e.tile and self.answers.get(e.tile) == opposite[e.wanted]
        ]
        if not tiles:
            return ()
        return (
            f"{len(tiles)} examples were answered otherwise in this session, and the answers count "
            f"({some_of(tiles)}); answer again to change them",
        )

    def with_answers(self, answers: Mapping[str, Answer]) -> FindSession:
        """The session with more answers; an answer replaces an earlier one on the same tile."""
        return replace(self, answers={**self.answers, **answers})

    def with_round(self, tiles: Iterable[str]) -> FindSession:
        """The session after another round of proposals."""
        return replace(self, rounds=(*self.rounds, tuple(tiles)))

    def continues(self, earlier: FindSession) -> bool:
        """Whether this is an earlier session, or what became of it."""
        return (
            self.seed == earlier.seed
            and self.examples[: len(earlier.examples)] == earlier.examples
            and self.rounds[: len(earlier.rounds)] == earlier.rounds
            and self.answers.keys() >= earlier.answers.keys()
        )


def write_session(path: Path, session: FindSession) -> None:
    """Write a session; replaces the file, whose content the session includes."""
    examples = [
        {"name": e.name, "wanted": e.wanted, "tile": e.tile, "vector": e.vector and [*e.vector]}
        for e in session.examples
    ]
    content = {
        "format": FORMAT,
        "version": VERSION,
        "index": session.index,
        "model_fingerprint": session.fingerprint,
        "dimensions": session.dimensions,
        "seed": session.seed,
        "examples": examples,
        "rounds": [[*tiles] for tiles in session.rounds],
        "answers": {tile: str(answer) for tile, answer in session.answers.items()},
    }
    write_json(path, content, overwrite=True)


def read_session(path: Path) -> FindSession:
    """Read a session.

    Args:
        path: the file.

    Raises:
        InputError: it is no session, was damaged, or a newer version wrote it.
        OSError: it cannot be read.
    """
    try:
        return _session_of(parsed(read_regular_text(path)))
    except InputError as error:
        raise InputError(f"{path}: {error.message}", hint=error.hint) from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(f"{path} is no find session ({error})", hint=_HINT) from error


def _session_of(content: Any) -> FindSession:
    if content["format"] != FORMAT:
        raise ValueError(f"its format is {content['format']!r}")
    if _whole(content["version"], 1) > VERSION:
        raise InputError(
            f"a newer rsretrieve wrote this session (version {content['version']}; this one reads "
            f"up to {VERSION})",
            hint="pip install --upgrade rsretrieve",
        )
    dimensions = _whole(content["dimensions"], 1)
    if dimensions > _MOST_DIMENSIONS:
        raise ValueError(f"{dimensions} dimensions")
    return FindSession(
        index=_text(content["index"]),
        fingerprint=_text(content["model_fingerprint"]),
        dimensions=dimensions,
        seed=_whole(content["seed"], 0),
        examples=tuple(_example(each, dimensions) for each in _list(content["examples"])),
        rounds=tuple(tuple(map(_text, _list(each))) for each in _list(content["rounds"])),
        answers={_text(tile): Answer(given) for tile, given in content["answers"].items()},
    )


def _example(content: Any, dimensions: int) -> GivenExample:
    tile, vector = content["tile"], content["vector"]
    if not isinstance(content["wanted"], bool) or (tile is None) == (vector is None):
        raise ValueError("an example is neither a tile nor a vector, or both")
    numbers = None
    if vector is not None:
        numbers = tuple(map(_number, _list(vector)))
        if len(numbers) != dimensions or abs(math.hypot(*numbers) - 1) > 1e-3:
            raise ValueError(f"the vector of an example has not {dimensions} numbers of length 1")
    return GivenExample(
        _text(content["name"]), content["wanted"], None if tile is None else _text(tile), numbers
    )


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r:.40} is no text")
    return value


def _whole(value: object, least: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= 1 << 62:
        raise TypeError(f"{value!r:.40} is no whole number of at least {least}")
    return value


def _number(value: object) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not abs(value) <= 1.001:
        raise TypeError(f"{value!r:.40} is no number in -1…1")
    return float(value)


def _list(value: object) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError(f"{value!r:.40} is no list")
    return value
