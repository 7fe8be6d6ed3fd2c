"""The names of devices, known without importing PyTorch."""

from __future__ import annotations

import difflib

from rsretrieve.errors import InvalidArgument

_KINDS = ("auto", "cpu", "cuda")


def check_device_name(name: str) -> None:
    """Check that a text names a device: `auto`, `cpu`, `cuda` or `cuda:N`.

    Raises:
        InvalidArgument: it does not; the hint names a similar one.
    """
    kind, colon, number = name.partition(":")
    if kind in _KINDS and (not colon or (kind == "cuda" and number.isdecimal())):
        return
    near = difflib.get_close_matches(kind.lower(), _KINDS, n=1, cutoff=0.5)
    if kind.lower() in ("gpu", "nvidia") or kind.isdecimal():
        near = ["cuda"]
    raise InvalidArgument(
        f"no such device: {name!r}; choose auto, cpu, cuda or cuda:N",
        hint=f"did you mean {near[0]}?" if near else "",
    )
