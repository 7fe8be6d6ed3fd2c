"""Read what a person answered about tiles from a table."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from rsretrieve._core.paths import storable
from rsretrieve._core.tables import encoding_notices, read_table
from rsretrieve._core.text import some_of
from rsretrieve.data.labels.labels import by_tile_id
from rsretrieve.errors import LabelsError
from rsretrieve.search.finding.find_session import Answer

COLUMNS = ("tile", "answer")
_WORDS = {
    **dict.fromkeys(("yes", "y", "true", "1"), Answer.YES),
    **dict.fromkeys(("no", "n", "false", "0"), Answer.NO),
    **dict.fromkeys(("unsure", "u", "?"), Answer.UNSURE),
}


@dataclass(frozen=True)
class GivenAnswers:
    """The answers of a file.

    Attributes:
        answers: by tile id.
        notices: about the file.
    """

    answers: dict[str, Answer] = field(default_factory=dict)
    notices: tuple[str, ...] = ()


def answer_of(text: str) -> Answer | None:
    """The answer that a word means, in any case; None if it means none.

    >>> answer_of("Y"), answer_of("0"), answer_of("perhaps")
    (<Answer.YES: 'yes'>, <Answer.NO: 'no'>, None)
    """
    return _WORDS.get(text.strip().lower())


def read_answers(path: Path, ids: Collection[str]) -> GivenAnswers:
    """Read answers from a CSV or Parquet file with the columns `tile` and `answer`.

    Rows with an empty answer are skipped.

    Args:
        path: the file.
        ids: the ids of the tiles of the index, with fast look-up.

    Raises:
        LabelsError: a tile has two different answers, an answer is unknown, or no tile is one of
            the index.
        TableError: no such file, or a column is missing.
    """
    found: dict[str, Answer] = {}
    rows = 0
    for line, row in read_table(path, COLUMNS):
        rows += 1
        if not row["answer"].strip():
            continue
        answer = answer_of(row["answer"])
        if answer is None:
            raise LabelsError(
                f"{path}: line {line}: the answer on tile {row['tile']!r} is {row['answer']!r:.60}",
                hint="an answer is yes, no or unsure; leave the cell empty for none",
            )
        if found.setdefault(storable(row["tile"]), answer) is not answer:
            raise LabelsError(
                f"{path}: line {line} gives tile {row['tile']!r} a second, different answer",
                hint="keep one row for each tile",
            )
    answers = by_tile_id(found, ids, path)
    known = {tile: answer for tile, answer in answers.items() if tile in ids}
    notices = [*encoding_notices(path)]
    if answers and not known:
        raise LabelsError(
            f"{path} names none of the tiles of the index (it names {some_of(answers)})",
            hint="the column 'tile' holds tile ids, as in the file of proposals",
        )
    if absent := [tile for tile in answers if tile not in known]:
        notices.append(
            f"{path} answers for {len(absent)} tiles that are not in the index, which are ignored "
            f"({some_of(absent)})"
        )
    if not answers:
        notices.append(f"{path} has {rows} rows and no answer")
    return GivenAnswers(known, tuple(notices))
