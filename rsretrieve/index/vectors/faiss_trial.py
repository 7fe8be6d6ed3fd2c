"""Read and search a FAISS index of an unknown kind, in a process of its own that may crash.

Arguments: the file, the dimensions D, and the most bytes of memory that the process may use.
"""

from __future__ import annotations

import os
import sys

SEARCHED = "searched"
"""Written to standard output if every row that the search returned exists."""
_QUERIES, _NEAREST = 64, 32


def main() -> None:
    """Try the index that the arguments name."""
    import resource  # missing on Windows, where faiss_checks imports this module all the same

    path, dimensions, most_bytes = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    os.environ["OMP_NUM_THREADS"] = "1"
    resource.setrlimit(resource.RLIMIT_AS, (most_bytes, most_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # After the limits, which hold for these imports, too.
    import numpy as np

    from rsretrieve.index.vectors.faiss_loader import faiss_module

    index = faiss_module().read_index(path)
    if index.d != dimensions:
        return
    queries = np.random.default_rng(0).normal(size=(_QUERIES, dimensions)).astype(np.float32)
    _, rows = index.search(queries, min(_NEAREST, index.ntotal))
    if ((rows >= -1) & (rows < index.ntotal)).all():
        sys.stdout.write(SEARCHED)


if __name__ == "__main__":
    main()
