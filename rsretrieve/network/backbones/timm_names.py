"""The names of timm's models, known without importing timm or PyTorch."""

from __future__ import annotations

import re
from functools import cache
from importlib.util import find_spec
from pathlib import Path

PREFIX = "timm/"
_NAME = re.compile(r"([a-z0-9_]+)(\.[A-Za-z0-9_.-]+)?")
_DEFINITION = re.compile(r"^@register_model\s+def (\w+)\(", re.MULTILINE)


def is_timm(name: str) -> bool:
    """Whether a backbone's name asks for a model of timm."""
    return name.startswith(PREFIX)


def architecture_of(name: str) -> str:
    """The name of the architecture in `timm/ARCHITECTURE` or `timm/ARCHITECTURE.WEIGHTS`."""
    return name.removeprefix(PREFIX).partition(".")[0]


def weights_tag_of(name: str) -> str:
    """Which of timm's weights a name asks for; empty for the default ones."""
    return name.removeprefix(PREFIX).partition(".")[2]


@cache
def architectures() -> dict[str, Path]:
    """The module that defines each of timm's architectures, by their names.

    They are read from the source of the installed version: to import timm takes seconds, and a
    list here would be that of another version.
    """
    spec = find_spec("timm")
    folders = (spec and spec.submodule_search_locations) or []
    found = {}
    for path in sorted(path for folder in folders for path in Path(folder, "models").glob("*.py")):
        for name in _DEFINITION.findall(path.read_text(encoding="utf-8")):
            found[name] = path
    return found


def is_known(name: str) -> bool:
    """Whether the installed timm has this architecture, and these weights if the name has a tag.

    Nothing else passes: timm itself would also take addresses and folders.
    """
    parts = _NAME.fullmatch(name.removeprefix(PREFIX))
    path = architectures().get(parts[1]) if parts else None
    if parts is None or path is None:
        return False
    return not parts[2] or f"'{parts[0]}':" in path.read_text(encoding="utf-8").replace('"', "'")


def known_names() -> list[str]:
    """All names without weights, as `--backbone` takes them."""
    return [PREFIX + name for name in architectures()]
