"""`rsretrieve cache`."""

from __future__ import annotations

from typing import Annotated

import typer

from rsretrieve.cli import options
from rsretrieve.cli.terminal import Terminal


def cache(
    clear: Annotated[bool, typer.Option("--clear", help="Remove what is kept.")] = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Say where decoded tiles are kept, and how many bytes of them.

    What one command decoded the next finds there. RSRETRIEVE_CACHE names another folder,
    RSRETRIEVE_CACHE_SIZE how much may lie there, such as 500MB (0: nothing is kept). The least
    lately used goes first.
    """
    with Terminal(as_json=as_json, quiet=quiet) as terminal:
        from rsretrieve.cli.io.render import cache_summary
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
