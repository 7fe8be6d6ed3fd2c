"""What `split` and `audit-labels` write and print about leaks between lists."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import RenderableType

from rsretrieve.cli.io.result_tables import split_summary
from rsretrieve.cli.io.text_tables import plain

if TYPE_CHECKING:  # heavy modules, which `--help` does not load
    from rsretrieve.audit.leaks.find_leaks import FoundLeaks
    from rsretrieve.data.run_context import RunContext
    from rsretrieve.data.splitting.split_tiles import Split
    from rsretrieve.data.tile import TileSet


def write_leaks(
    lists: Mapping[str, TileSet],
    path: Path | None,
    context: RunContext,
    *,
    last_only: bool = False,
    overwrite: bool,
) -> FoundLeaks:
    """Find the leaks between lists, and write them to a file if one is given."""
    from rsretrieve.audit.leaks.find_leaks import find_leaks
    from rsretrieve.export.results import write_leaks_csv

    found = find_leaks(lists, context, last_only=last_only)
    if path is not None:
        write_leaks_csv(path, found, overwrite=overwrite)
    return found


def split_result(output: Path, split: Split, found: FoundLeaks | None) -> tuple[Any, ...]:
    """The JSON object of `split`, then what is printed without `--json`."""
    from rsretrieve.export.results import leaks_json

    counts = dict(zip(split.names, map(len, split.parts)))
    content: dict[str, Any] = {"output": str(output), **counts}
    if split.groups is not None:
        content |= {
            "left_out": len(split.left_out),
            "groups": split.groups,
            "fractions": dict(zip(split.names, split.fractions)),
        }
    if found is None:
        return content, split_summary(output, counts)
    content["leaks"] = leaks_json(found)
    return content, split_summary(output, counts), *leak_summary(found)


def leak_summary(found: FoundLeaks) -> Iterator[RenderableType]:
    """One line for every two lists."""
    for each in found.of_lists():
        yield plain(
            f"of {each.tiles} tiles of {each.list}, {each.near_duplicates} are near-duplicates of "
            f"tiles of {each.other_list}, and {each.overlaps} overlap its tiles"
        )
