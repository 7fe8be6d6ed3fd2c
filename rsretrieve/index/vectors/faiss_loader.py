"""FAISS itself: finding it, and its indexes on a GPU. The only importer of it.

On a GPU there are the flat index and those of inverted lists (Flat, SQ, PQ) with a flat
coarse quantizer; k and nprobe go up to 2048; nothing is removed and nothing added under
given ids (FAISS's wiki, "Faiss on the GPU"). All else stays on the CPU.

Half precision there is two things. A flat index is stored in it, and takes half the room. One
of product codes keeps the tables that it looks products up in, of 256 numbers a byte of code,
in the 48 KB that a block of threads shares: in float32 codes of up to 48 bytes, in half of
up to 96. Lists of whole vectors know none: what is too large for the GPU stays on the CPU.
"""

from __future__ import annotations

from typing import Any

from rsretrieve.errors import MissingPackage

MOST_ON_GPU = 2048  # hits a query, and cells probed


def faiss_module() -> Any:
    """FAISS, imported when it is first needed.

    Raises:
        MissingPackage: it is not installed, or not all of it.
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
    """Of an installation that lacks files: faiss-gpu and faiss-cpu share a folder."""
    return MissingPackage(
        f"FAISS is installed only in part ({reason}): faiss-cpu and faiss-gpu have the same files, "
        "and to uninstall one removes those of the other",
        hint="pip uninstall --yes faiss-cpu faiss-gpu, then pip install faiss-gpu (Linux x86-64), "
        "or faiss-cpu elsewhere",
    )


def usable_gpu(device: str) -> int | None:
    """The number of the GPU that FAISS can use on this device, or None for the CPU."""
    kind, _, number = device.partition(":")
    count = faiss_module().get_num_gpus() if kind == "cuda" else 0
    return int(number or 0) if int(number or 0) < count else None


def on_gpu(index: Any, gpu: int, size_bytes: int, *, exact: bool) -> Any | None:
    """A copy of an index on a GPU, or None where the GPU cannot hold or run it.

    Args:
        index: in its form for the CPU.
        gpu: the GPU's number.
        size_bytes: what the index takes, or will take when it is filled.
        exact: never store it in half precision, which is otherwise done when it must be.
    """
    faiss = faiss_module()
    options = faiss.GpuClonerOptions()
    free = free_bytes(gpu)
    flat = isinstance(faiss.downcast_index(index), faiss.IndexFlat)
    if size_bytes > free:
        if exact or not flat or size_bytes // 2 > free:
            return None
        options.useFloat16 = True
    ivf = inverted_lists_of(index)
    if ivf is not None and isinstance(faiss.downcast_index(ivf), faiss.IndexIVFPQ):
        options.useFloat16 = True  # of its tables: candidates are ranked again by the vectors
    resources = faiss.StandardGpuResources()
    try:
        copied = faiss.index_cpu_to_gpu(resources, gpu, index, options)
    except RuntimeError:  # no form of this index on a GPU, or no room for it after all
        return None
    # They live as long as the index does. FAISS takes no attribute of another name.
    copied.referenced_objects = [resources]
    return copied


def free_bytes(gpu: int) -> int:
    """What an index may take of a GPU's memory: nine tenths of what is free."""
    import torch

    return int(0.9 * torch.cuda.mem_get_info(gpu)[0])


def inverted_lists_of(index: Any) -> Any | None:
    """The part of an index that has cells, also behind a transform of the vectors, or None."""
    return faiss_module().try_extract_index_ivf(index)


def bytes_a_vector(index: Any) -> int:
    """What an index keeps of a vector: 4·D bytes of all of it, fewer of a code for it."""
    ivf = inverted_lists_of(index)
    if ivf is not None:
        return int(ivf.code_size)
    flat = faiss_module().downcast_index(index)
    storage = getattr(flat, "storage", None)  # of a graph
    try:
        return int((flat if storage is None else storage).sa_code_size())
    except RuntimeError:  # a kind that has no codes of its own
        return int(4 * index.d)


def last_line(error: Exception) -> str:
    """What FAISS says, without where in its code."""
    return str(error).strip().split("\n")[-1]
