"""Arguments that say what an index is to be."""

from __future__ import annotations

from rsretrieve.api.arguments.checks import byte_count, flag, number, plain_text
from rsretrieve.index.vectors.choose_kind import IndexGoal


def index_goal(
    key: object, recall: object, memory: object, append_only: object
) -> IndexGoal | None:
    """What the index is to be; None where nothing is asked, so that an update keeps its kind.

    Raises:
        InvalidArgument: an argument is of a wrong type, or out of range.
    """
    goal = IndexGoal(
        key=plain_text(key, "index"),
        recall=IndexGoal.recall if recall is None else number(recall, "recall"),
        memory_bytes=byte_count(memory, "memory"),
        append_only=flag(append_only, "append_only"),
    )
    return None if goal == IndexGoal() and recall is None else goal
