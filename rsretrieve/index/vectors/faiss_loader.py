"""Load FAISS, and copy its indexes to a GPU. The only module that imports FAISS.

A GPU runs the flat index and inverted lists (Flat, SQ, PQ) with a flat coarse quantizer; k and
nprobe go up to 2048; vectors cannot be removed, or added with given ids (FAISS's wiki, "Faiss on
the GPU"). All other indexes stay on the CPU.

Half precision has two uses on a GPU. A flat index is stored in it, and needs half the memory. An
index of product codes keeps its lookup tables (256 numbers per byte of code) in the 48 KB that a
block of threads shares: float32 allows codes of up to 48 bytes, float16 of up to 96. Lists of whole
vectors have no half precision: an index too large for the GPU stays on the CPU.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rsretrieve.errors import MissingPackage

MOST_ON_GPU = 2048  # hits per query, and cells probed
_PARTS = ("index", "base_index", "refine_index", "storage", "quantizer")
"""Attributes of FAISS's indexes that hold another index."""
_QUANTIZERS = ("pq", "rq", "prq")
"""Attributes of FAISS's indexes that hold a quantizer which clusters."""


def faiss_module() -> Any:
    """Import FAISS on first use.

    Raises:
        MissingPackage: FAISS is not installed, or only in part.
    """
    try:
        import faiss
    except ImportError as error:
        if error.name == "faiss":
            raise MissingPackage(
                "this command needs FAISS, which is not installed",
                hint="pip install faiss-gpu (Linux x86-64), or faiss-cpu elsewhere",
            ) from error
        raise _in_part(str(error)) from error
    if not hasattr(faiss, "IndexFlat"):
        raise _in_part("faiss has no IndexFlat")
    return faiss


def _in_part(reason: str) -> MissingPackage:
    """The error if files of FAISS are missing: faiss-gpu and faiss-cpu share a folder."""
    return MissingPackage(
        f"FAISS is installed only in part ({reason}): faiss-cpu and faiss-gpu share files, and "
        "uninstalling one removes those of the other",
        hint="pip uninstall --yes faiss-cpu faiss-gpu, then pip install faiss-gpu (Linux x86-64), "
        "or faiss-cpu elsewhere",
    )


def usable_gpu(device: str) -> int | None:
    """The number of the GPU that FAISS can use for a device (`cpu`, `cuda:1`), or None."""
    kind, _, number = device.partition(":")
    count = faiss_module().get_num_gpus() if kind == "cuda" else 0
    return int(number or 0) if int(number or 0) < count else None


def on_gpu(index: Any, gpu: int, size_bytes: int, *, exact: bool) -> Any | None:
    """Copy an index to a GPU.

    Args:
        index: a FAISS index on the CPU.
        gpu: the GPU's number.
        size_bytes: memory that the filled index needs.
        exact: never store vectors in half precision, which otherwise happens if they do not fit.

    Returns:
        The copy; None if the GPU cannot hold or run the index.
    """
    faiss = faiss_module()
    options = faiss.GpuClonerOptions()
    try:
        free, resources = free_bytes(gpu), faiss.StandardGpuResources()
    except RuntimeError:  # its memory is full, or it belongs to another program
        return None
    flat = isinstance(faiss.downcast_index(index), faiss.IndexFlat)
    if size_bytes > free:
        if exact or not flat or size_bytes // 2 > free:
            return None
        options.useFloat16 = True
    ivf = inverted_lists_of(index)
    if ivf is not None and isinstance(faiss.downcast_index(ivf), faiss.IndexIVFPQ):
        options.useFloat16 = True  # of its tables: candidates are reranked by the stored vectors
    try:
        copied = faiss.index_cpu_to_gpu(resources, gpu, index, options)
    except RuntimeError:  # the GPU cannot run this kind, or its memory is full
        return None
    # Keeps the resources alive as long as the index; FAISS allows no other attribute name.
    copied.referenced_objects = [resources]
    return copied


def free_bytes(gpu: int) -> int:
    """Memory of a GPU that an index may use: nine tenths of the free memory."""
    import torch

    return int(0.9 * torch.cuda.mem_get_info(gpu)[0])


def new_index(key: str, dimensions: int) -> Any:
    """An empty index that is not trained yet, for inner products.

    Product codes are trained without FAISS's polysemous step. It renumbers their centroids so that
    codes can be compared by their bits, which no search here does, and takes minutes on every core.

    Args:
        key: kind of index in FAISS's notation.
        dimensions: D of the vectors.

    Returns:
        A FAISS index.

    Raises:
        RuntimeError: FAISS knows no such kind.
    """
    faiss = faiss_module()
    index = faiss.index_factory(dimensions, key, faiss.METRIC_INNER_PRODUCT)
    for part in parts_of(index):
        if hasattr(part, "do_polysemous_training"):
            part.do_polysemous_training = False
    return index


def parts_of(index: Any) -> Iterator[Any]:
    """An index, and every index that it holds, as objects of their own classes."""
    faiss, parts = faiss_module(), [index]
    while parts:
        part = parts.pop()
        part = faiss.downcast_index(part) if isinstance(part, faiss.Index) else part
        yield part
        inner = (getattr(part, name, None) for name in _PARTS)
        parts += [one for one in inner if one is not None]


@contextmanager
def quiet_training(index: Any) -> Iterator[None]:
    """Train without FAISS's warnings on standard error about few vectors; recall is measured."""
    faiss = faiss_module()
    transforms = []
    for part in parts_of(index):
        for holder in (part, *_quantizers_of(part)):
            if (clustering := getattr(holder, "cp", None)) is not None:
                clustering.min_points_per_centroid = 1
        for number in range(part.chain.size() if hasattr(part, "chain") else 0):
            transforms.append(faiss.downcast_VectorTransform(part.chain.at(number)))
    rotations = [one for one in transforms if isinstance(one, faiss.OPQMatrix)]
    quantizers = [faiss.ProductQuantizer(one.d_out, one.M, 8) for one in rotations]
    for rotation, quantizer in zip(rotations, quantizers):
        quantizer.cp.min_points_per_centroid = 1
        rotation.pq = quantizer
    yield
    for rotation in rotations:
        rotation.pq = None


def _quantizers_of(part: Any) -> Iterator[Any]:
    """The quantizers of an index that cluster."""
    for name in _QUANTIZERS:
        if (quantizer := getattr(part, name, None)) is not None:
            yield quantizer
            for number in range(getattr(quantizer, "nsplits", 0)):
                yield faiss_module().downcast_AdditiveQuantizer(quantizer.subquantizer(number))


def inverted_lists_of(index: Any) -> Any | None:
    """The part of an index that has cells, also behind a vector transform, or None."""
    return faiss_module().try_extract_index_ivf(index)


def bytes_a_vector(index: Any) -> int:
    """Bytes that an index stores per vector: 4·D uncompressed, fewer for codes."""
    ivf = inverted_lists_of(index)
    if ivf is not None:
        return int(ivf.code_size)
    flat = faiss_module().downcast_index(index)
    storage = getattr(flat, "storage", None)  # of a graph
    try:
        return int((flat if storage is None else storage).sa_code_size())
    except RuntimeError:  # this kind has no codes
        return int(4 * index.d)


def is_compressed(index: Any) -> bool:
    """Whether an index compresses vectors. RaBitQ does, even where its codes are the longer."""
    return bytes_a_vector(index) < 4 * index.d or _stores_bits(index)


def _stores_bits(index: Any) -> bool:
    """Whether an index stores a bit, or a few, of each dimension (RaBitQ)."""
    ivf = inverted_lists_of(index)
    return ivf is not None and hasattr(faiss_module().downcast_index(ivf), "rabitq")


def last_line(error: Exception) -> str:
    """The message of a FAISS error without its place in the C++ code."""
    return str(error).strip().split("\n")[-1]
