"""Split a batch that does not fit in memory into micro-batches.

How much memory a network needs is known only after it has run. A batch is therefore tried whole.
If memory runs out, it is halved until it fits; later batches start from the size that fitted.
"""

from __future__ import annotations

import gc
import math
from collections.abc import Callable
from typing import TypeVar

import torch

from rsretrieve.errors import ran_out_of_memory

T = TypeVar("T")


class MicroBatcher:
    """Runs work on a batch in as few micro-batches as fit in memory.

    Args:
        min_size: micro-batches are never smaller (but where the batch is).
        on_shrink: called with the new maximum size when memory ran out.
        max_size: maximum size to start from; None starts with the whole batch.

    Attributes:
        min_size: as above.
        max_size: the current maximum size.
    """

    def __init__(
        self,
        min_size: int,
        on_shrink: Callable[[int], None] = lambda _: None,
        max_size: int | None = None,
    ) -> None:
        self.min_size = min_size
        self.max_size = max_size
        self._on_shrink = on_shrink

    def map(self, count: int, work: Callable[[slice], T]) -> list[T]:
        """Run `work` on every micro-batch of a batch, in order.

        Args:
            count: the number of tiles in the batch, at least 1.
            work: takes the rows of a micro-batch. If memory runs out, all rows are run again
                from the first, in smaller micro-batches.

        Returns:
            One result for each micro-batch.

        Raises:
            torch.OutOfMemoryError, MemoryError, RuntimeError: the smallest micro-batch does not
                fit in memory.
        """
        while True:
            sizes = self._sizes(count, self.max_size)
            smaller = max(self.min_size, max(sizes) // 2)
            try:
                return [work(rows) for rows in _slices(sizes)]
            except Exception as error:
                if not ran_out_of_memory(error) or self._sizes(count, smaller) == sizes:
                    raise
            # Outside the `except` block: the error refers to the memory of the failed run.
            gc.collect()
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            self.max_size = smaller
            self._on_shrink(smaller)

    def _sizes(self, count: int, max_size: int | None) -> list[int]:
        """Nearly equal sizes, none below the minimum unless `count` is."""
        pieces = 1 if max_size is None else math.ceil(count / max_size)
        pieces = max(1, min(pieces, count // self.min_size))
        return [count // pieces + (i < count % pieces) for i in range(pieces)]


def _slices(sizes: list[int]) -> list[slice]:
    ends = [sum(sizes[: i + 1]) for i in range(len(sizes))]
    return [slice(end - size, end) for size, end in zip(sizes, ends)]
