"""`rsretrieve cache`."""

from __future__ import annotations

from typing import Annotated

import typer

from rsretrieve.cli import options
from rsretrieve.cli.terminal import Terminal


def cache(
    clear: Annotated[bool, typer.Option("--clear", help="Delete all cached tiles.")] = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Show or clear the cache of decoded tiles.

    Commands store decoded tiles there for the next command. Environment variables:
    RSRETRIEVE_CACHE (another folder) and RSRETRIEVE_CACHE_SIZE (such as 500MB; 0 turns the cache
    off). The least recently used tiles are deleted first.

    Example:
        rsretrieve cache
        rsretrieve cache --clear
    """
    with Terminal(as_json=as_json, quiet=quiet) as terminal:
        from rsretrieve.cli.io.result_tables import cache_summary
        from rsretrieve.data.loading.cache_folder import CacheFolder

        folder = CacheFolder.of_environment()
        before = sum(size for _, size, _ in folder.files())
        if clear:
            folder.clear()
        files = folder.files()
        held = sum(size for _, size, _ in files)
        result = {
            "cache": str(folder.path),
            "bytes": held,
            "limit_bytes": folder.limit_bytes,
            "files": len(files),
            "removed_bytes": before - held,
        }
        summary = cache_summary(str(folder.path), held, folder.limit_bytes, before - held)
        terminal.result(result, summary)
