"""`config.toml`: the options of a run, which `--config` takes to repeat it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from pathlib import Path

from rsretrieve import __version__
from rsretrieve._core.atomic_write import write_text
from rsretrieve._core.paths import storable
from rsretrieve.index.store.manifest import CONFIG_FILE


def config_text(
    command: str, options: Mapping[str, object], unset: Mapping[str, str] | None = None
) -> str:
    """The options of a command as TOML: a table that has the command's name.

    Secrets in signed addresses are left out.

    Args:
        command: such as `train`.
        options: values by name, without dashes in front; those that are None are left out.
        unset: options without a value, with what holds without one; they become comments.

    Example:
        >>> print(config_text("train", {"tiles": ["tiles"], "epochs": 3}, {"size": "128"}), end="")
        [train]
        tiles = ["tiles"]
        epochs = 3
        # size (default: 128)
    """
    import tomlkit

    table = tomlkit.table()
    for name, value in options.items():
        if value is not None:
            table.add(name, _plain(value))
    for name, default in (unset or {}).items():
        table.add(tomlkit.comment(f"{name} (default: {default})" if default else name))
    document = tomlkit.document()
    document.add(command, table)
    return tomlkit.dumps(document)


def write_config(
    folder: Path,
    command: str,
    options: Mapping[str, object],
    *,
    overwrite: bool = True,
    objects: Sequence[str] = (),
) -> None:
    """Write `config.toml` into the folder that a run has made.

    Args:
        folder: an existing folder.
        command: the command that repeats the run.
        options: its options, as for `config_text`.
        overwrite: replace such a file. False for a folder that may hold files of the user.
        objects: options whose values no file can hold; comments name them.

    Raises:
        OutputExists: there is such a file, and it may not be replaced.
    """
    head = (
        f"# The options of this run of rsretrieve {__version__}. To repeat it:\n"
        f"# rsretrieve {command} --config {CONFIG_FILE} --output NEW\n"
    )
    for name in objects:
        head += f"# {name} is missing: it was an object of a Python program. Give it, too.\n"
    text = head + config_text(command, options)
    write_text(folder / CONFIG_FILE, text, overwrite=overwrite, follow=False)


def _plain(value: object) -> object:
    """A value that TOML has."""
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, bool | int | float):
        return value
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(each) for each in value]
    return storable(str(value))
