"""What nobody foresaw: an apology on the screen, and all that helps to mend it in a file."""

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
    """Write an error with its whole traceback to a new file; None where none can be written."""
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


def apology(error: BaseException) -> tuple[str, str]:
    """What to say of an error that nobody foresaw, and what to do about it."""
    written = write_traceback(error)
    said = " ".join(str(error).split())[:200]
    message = f"something went wrong that should not: {type(error).__name__}: {said}".rstrip(": ")
    if written is None:
        return message, "sorry; please report it, with the command that you gave"
    return message, f"sorry; please report it, with what stands in {written}"
