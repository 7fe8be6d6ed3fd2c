"""Versions of packages for pip: those that are installed, and the lowest that are allowed.

`pip freeze --all | python tools/versions.py installed` prints constraints by an environment,
`python tools/versions.py lowest` constraints by the floors of pyproject.toml.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path

PYPROJECT = Path(__file__).parents[1] / "pyproject.toml"
HEADER = "# Exact versions of what `pip install -e .[dev]` brings. `make constraints` renews it.\n"
_PINNED = re.compile(r"[A-Za-z0-9][\w.-]*==[\w.!+-]+")
_OURS = ("rsretrieve", "pip")
_ONE_PLATFORM = ("nvidia-", "cuda-", "triton=", "faiss-gpu=")
_MARKER = " ; sys_platform == 'linux' and platform_machine == 'x86_64'"


def installed(frozen: Iterable[str]) -> Iterator[str]:
    """Constraints by what `pip freeze` says: no paths, no addresses, not the project itself."""
    for line in sorted(map(str.strip, frozen), key=str.lower):
        if _PINNED.fullmatch(line) and line.partition("==")[0] not in _OURS:
            yield line + (_MARKER if line.startswith(_ONE_PLATFORM) else "")


def lowest(pyproject: Path) -> Iterator[str]:
    """Constraints to the lowest version that each requirement of the project allows.

    Raises:
        ValueError: a requirement has no lowest version.
    """
    project = tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"]
    extras = project.get("optional-dependencies", {}).values()
    for requirement in sum(extras, project["dependencies"]):
        if requirement.startswith("rsretrieve["):  # an extra that includes another one
            continue
        specifier, _, marker = requirement.partition(";")
        found = re.match(r"([\w.-]+)(?:\[.*?\])?.*?>=\s*([\w.]+)", specifier)
        if found is None:
            raise ValueError(f"{requirement!r} has no lowest version (>=)")
        yield f"{found[1]}=={found[2]}" + (f" ; {marker.strip()}" if marker else "")


def main() -> None:
    """Print constraints."""
    match sys.argv[1:]:
        case ["installed"]:
            lines = [HEADER, *(f"{line}\n" for line in installed(sys.stdin))]
        case ["lowest"]:
            lines = [f"{line}\n" for line in lowest(PYPROJECT)]
        case _:
            sys.exit(__doc__)
    sys.stdout.writelines(lines)


if __name__ == "__main__":
    main()
