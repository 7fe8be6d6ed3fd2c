"""Read a FAISS index from an untrusted file: its parts must be consistent.

FAISS trusts much of what a file says: with the number of a neighbour or a row that does not exist,
it reads memory out of bounds. The kinds that rsretrieve builds are checked here, part by part,
before they are searched. Any other kind is first read and searched in another process, which may
crash.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsretrieve.index.vectors import faiss_trial
from rsretrieve.index.vectors.choose_kind import rabitq_bytes

_READ_BYTES_MORE, _LOOPS_MORE = 1 << 26, 1 << 20
MAPPED_FROM_BYTES = 1 << 26
"""Smaller files are read whole: FAISS 1.15 crashes if a mapped file is cut short within the length
of a list."""
_MOST_CODE_BITS = 9  # of a dimension
_MOST_QUERY_BITS = 8  # a query is quantised to so many bits a dimension
_TRIAL_S, _TRIAL_BYTES = 60, 4 << 30
_TRIAL = "import sys; sys.path[:] = {path!r}; from {module} import main; main()"


def read_checked(faiss: Any, path: Path, flags: int, stored: NDArray[np.float32] | None) -> Any:
    """Read an index and check that its parts are consistent.

    The file of a stranger must have passed `refuse_named_files` first.

    Args:
        faiss: the module.
        path: the file.
        flags: FAISS's flags for reading.
        stored: (N, D) float32, the vectors in the index, if they are known.

    Returns:
        The FAISS index.

    Raises:
        ValueError: the parts are inconsistent, or the index does not hold those vectors.
        RuntimeError: FAISS cannot read the file.
    """
    size = path.stat().st_size
    for name, limit in (("vector_byte", size + _READ_BYTES_MORE), ("loop", size + _LOOPS_MORE)):
        limited = getattr(faiss, f"set_deserialization_{name}_limit", None)  # since FAISS 1.14
        if limited is not None:
            limited(limit)
    index = faiss.read_index(str(path), flags if size >= MAPPED_FROM_BYTES else 0)
    shape = (index.ntotal, index.d) if stored is None else stored.shape
    if (index.ntotal, index.d) != shape:
        raise ValueError(
            f"holds {index.ntotal} vectors of {index.d} dimensions, not {shape[0]} of {shape[1]}"
        )
    if not is_sound(faiss, index):
        _try_in_other_process(path, index.d, size)
    return index


def is_sound(faiss: Any, index: Any) -> bool:
    """Whether the parts of an index are consistent; false if the kind is unknown here.

    Raises:
        ValueError: they are inconsistent.
    """
    index = faiss.downcast_index(index)
    if index.metric_type not in (faiss.METRIC_INNER_PRODUCT, faiss.METRIC_L2):
        raise ValueError("uses another metric")
    if isinstance(index, faiss.IndexPreTransform):
        return _are_sound_transforms(faiss, index) and is_sound(faiss, index.index)
    if isinstance(index, faiss.IndexHNSW):
        _require(index.storage.ntotal == index.ntotal and index.storage.d == index.d, "storage")
        _check_graph(faiss, index.hnsw, int(index.ntotal))
        return is_sound(faiss, index.storage)
    if type(index) is getattr(faiss, "IndexIVFRaBitQ", None):  # since FAISS 1.11
        _check_lists(faiss, index)
        _check_bit_codes(index)
        return is_sound(faiss, index.quantizer)
    if type(index) in (faiss.IndexIVFFlat, faiss.IndexIVFPQ, faiss.IndexIVFScalarQuantizer):
        _check_lists(faiss, index)
        _check_codes(faiss, index, index.code_size)
        return is_sound(faiss, index.quantizer)
    if type(index) in (faiss.IndexFlat, faiss.IndexFlatIP, faiss.IndexFlatL2):
        _require(index.code_size == 4 * index.d, "size of a vector")
    elif type(index) in (faiss.IndexPQ, faiss.IndexScalarQuantizer):
        _check_codes(faiss, index, index.code_size)
    else:
        return False
    _require(index.codes.size() == index.ntotal * index.code_size, "number of codes")
    return True


def _require(fits: object, what: str) -> None:
    if not fits:
        raise ValueError(f"is inconsistent: {what}")


def _are_sound_transforms(faiss: Any, index: Any) -> bool:
    dimensions = index.d
    for place in range(index.chain.size()):
        step = faiss.downcast_VectorTransform(index.chain.at(place))
        if not isinstance(step, faiss.LinearTransform):
            return False
        _require(step.d_in == dimensions and step.is_trained, "transform")
        _require(step.A.size() == step.d_in * step.d_out, "matrix")
        _require(step.b.size() == step.d_out or not step.have_bias, "offset")
        dimensions = step.d_out
    _require(index.index.d == dimensions and index.index.ntotal == index.ntotal, "part")
    return True


def _check_codes(faiss: Any, index: Any, code_size: int) -> None:
    """Check the tables that decode codes."""
    if hasattr(index, "pq"):
        quantizer = index.pq
        _require(quantizer.d == index.d == quantizer.M * quantizer.dsub, "product quantizer")
        _require(1 <= quantizer.nbits <= 16 and quantizer.ksub == 1 << quantizer.nbits, "codebook")
        _require(quantizer.centroids.size() == quantizer.ksub * quantizer.d, "codebook")
    elif hasattr(index, "sq"):
        quantizer = index.sq
        _require(quantizer.d == index.d, "scalar quantizer")
        per_value = {faiss.ScalarQuantizer.QT_8bit: 2 * index.d}
        _require(quantizer.trained.size() >= per_value.get(quantizer.qtype, 0), "range")
    else:  # whole vectors
        _require(code_size == 4 * index.d, "size of a code")
        return
    _require(quantizer.code_size == code_size, "size of a code")


def _check_bit_codes(index: Any) -> None:
    """Check what decodes RaBitQ codes."""
    quantizer, bits = index.rabitq, getattr(index.rabitq, "nb_bits", 1)
    _require(quantizer.d == index.d and 1 <= bits <= _MOST_CODE_BITS, "bit quantizer")
    size = rabitq_bytes(index.d, bits)
    _require(quantizer.metric_type == index.metric_type, "metric of the bit quantizer")
    _require(quantizer.code_size == index.code_size == size, "size of a code")
    _require(0 <= index.qb <= _MOST_QUERY_BITS, "bits of a query")
    _require(not quantizer.centroid, "centroid")


def _check_lists(faiss: Any, index: Any) -> None:
    _require(index.invlists is not None, "no lists")
    lists = faiss.downcast_InvertedLists(index.invlists)
    # Any other kind may lie elsewhere; none are written without their data.
    _require(type(lists) is faiss.ArrayInvertedLists, "kind of lists")
    _require(lists.nlist == index.nlist == index.quantizer.ntotal, "number of cells")
    _require(lists.code_size == index.code_size and index.quantizer.d == index.d, "size of a code")
    _require(1 <= index.nprobe <= max(1, index.nlist) and index.is_trained, "number of probes")
    held = 0
    for cell in range(index.nlist):
        count = lists.list_size(cell)
        held += count
        if count:
            ids = faiss.rev_swig_ptr(lists.get_ids(cell), count)
            _require(ids.min() >= 0 and ids.max() < index.ntotal, "row")
    _require(held == index.ntotal, "number of rows")


def _check_graph(faiss: Any, graph: Any, count: int) -> None:
    levels, offsets, links, reach = (
        _array(faiss, values)
        for values in (graph.levels, graph.offsets, graph.neighbors, graph.cum_nneighbor_per_level)
    )
    _require(len(levels) == count and len(offsets) == count + 1, "graph")
    if not count:
        return
    _require(levels.min() >= 1 and levels.max() < len(reach), "level")
    _require(reach[0] == 0 and (np.diff(reach) >= 0).all(), "level")
    _require(offsets[0] == 0 and offsets[-1] == len(links), "graph")
    _require((np.diff(offsets) == reach[levels]).all(), "graph")
    _require(links.min() >= -1 and links.max() < count, "neighbour")
    _require(0 <= graph.entry_point < count, "entry")
    _require(graph.max_level == levels[graph.entry_point] - 1, "entry")
    # Every neighbour on a level must itself reach that level.
    upper = np.flatnonzero(levels > 1)
    for level in range(1, int(levels.max())):
        upper = upper[levels[upper] > level]
        width = int(reach[level + 1] - reach[level])
        theirs = links[(offsets[upper] + int(reach[level]))[:, None] + np.arange(width)]
        _require((levels[theirs[theirs >= 0]] > level).all(), "neighbour")


def _array(faiss: Any, values: Any) -> NDArray[Any]:
    """A FAISS vector as an array, also if it lies in a memory-mapped file."""
    count = int(values.size())
    found = faiss.rev_swig_ptr(values.data(), count) if count else np.empty(0, np.int64)
    return np.asarray(found).view(np.int64) if found.dtype == np.uint64 else np.asarray(found)


def _try_in_other_process(path: Path, dimensions: int, size: int) -> None:
    """Search an index of an unknown kind in another process, which it may crash.

    Raises:
        ValueError: the process failed, or took too long.
    """
    program = _TRIAL.format(path=sys.path, module=faiss_trial.__name__)
    arguments = [str(path), str(dimensions), str(_TRIAL_BYTES + 4 * size)]
    # The path of a file that is held open is valid in this process alone.
    held = [int(path.name)] if path.parent == Path("/dev/fd") else []
    try:
        ran = subprocess.run(
            [sys.executable, "-c", program, *arguments],
            capture_output=True, text=True, timeout=_TRIAL_S, check=False, pass_fds=held,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise ValueError(f"cannot be searched within {_TRIAL_S} s") from error
    if ran.returncode or ran.stdout.strip() != faiss_trial.SEARCHED:
        raise ValueError("cannot be searched: another process that tried it failed")
