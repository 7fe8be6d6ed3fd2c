"""Report an unexpected error: a short message, and a file with the traceback."""

from __future__ import annotations

import platform
import sys
import tempfile
import traceback
from contextlib import suppress
from pathlib import Path

from rsretrieve import __version__
from rsretrieve._core.atomic_write import default_file_mode
from rsretrieve._core.text import printable

EXIT_UNEXPECTED = 70  # EX_SOFTWARE of sysexits.h


def write_traceback(error: BaseException) -> Path | None:
    """Write an error with its traceback to a new file; None if no file can be written."""
    lines = [
        f"rsretrieve {__version__}, Python {platform.python_version()}, {platform.platform()}\n",
        f"{' '.join(map(printable, sys.argv))}\n\n",
        *traceback.format_exception(error),
    ]
    with (
        suppress(OSError),
        tempfile.NamedTemporaryFile(
            "w", prefix="rsretrieve-error-", suffix=".txt", delete=False, encoding="utf-8",
            errors="backslashreplace",
        ) as file,
    ):  # fmt: skip
        file.writelines(lines)
        Path(file.name).chmod(default_file_mode() & 0o600)
        return Path(file.name)
    return None


def describe_crash(error: BaseException) -> tuple[str, str]:
    """The message about an unexpected error, and the hint what to do."""
    written = write_traceback(error)
    details = " ".join(str(error).split())[:200]
    message = f"internal error (a bug in rsretrieve): {type(error).__name__}: {details}"
    attached = "the command that you ran" if written is None else f"the file {written}"
    return message.rstrip(": "), f"please report this bug, with {attached}"
