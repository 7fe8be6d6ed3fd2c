"""`--config FILE.toml` and `--print-config`, which every command has."""

from __future__ import annotations

import difflib
import inspect
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

from rsretrieve.errors import InvalidArgument
from rsretrieve.export.run_config import config_text

_OWN = ("config", "print_config")
_NOT_STORED = {"help", "config", "print_config", "json", "quiet", "overwrite", "resume"}
"""Options that say how a run is shown, or what happens to an earlier one; by their longest name."""


Config = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE.toml",
        rich_help_panel="Run",
        help="Options from a file: the table that has the name of the command, such as \\[train]. "
        "Options that are typed come first. A run that writes a folder writes config.toml into "
        "it, which repeats the run.",
    ),
]
PrintConfig = Annotated[
    bool,
    typer.Option(
        "--print-config",
        rich_help_panel="Run",
        help="Print all options with their values as such a file, and do nothing else.",
    ),
]


def takes_config(command: Callable[..., None]) -> Callable[..., None]:
    """Add `--config` and `--print-config` to a command, which needs not know of them.

    `Command` reads the file before the options are parsed.
    """
    signature = inspect.signature(command)
    hints = get_type_hints(command, include_extras=True)
    parameters = [
        parameter.replace(annotation=hints[name], kind=inspect.Parameter.KEYWORD_ONLY)
        for name, parameter in signature.parameters.items()
    ]
    for name, option, default in (("config", Config, None), ("print_config", PrintConfig, False)):
        kind = inspect.Parameter.KEYWORD_ONLY
        parameters.append(inspect.Parameter(name, kind, default=default, annotation=option))

    @wraps(command)
    def without_config(**given: Any) -> None:
        command(**{name: value for name, value in given.items() if name not in _OWN})

    without_config.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    without_config.__annotations__ = {p.name: p.annotation for p in parameters}
    return without_config


def name_of(param: Any) -> str:
    """The name of an option in a file: its longest one, without dashes in front."""
    return str(max(param.opts, key=len).lstrip("-"))


def words_of_config(
    path: Path, command: str, params: Sequence[Any], typed: set[str]
) -> tuple[list[str], list[str]]:
    """The words that stand for a file's options and arguments on the command line.

    Args:
        path: the file.
        command: its table of this name is used.
        params: what the command takes.
        typed: parameters that the user typed; the file's values of them are left out.

    Returns:
        Those of the options, and the arguments.

    Raises:
        InvalidArgument: the file cannot be read, has no such table or option, or a value is of a
            type that no option takes.
    """
    table = _table(path, command)
    known = {name_of(param): param for param in params if param.name not in {"help"}}
    options: list[str] = []
    arguments: list[str] = []
    for key, value in table.items():
        param = known.get(key.replace("_", "-")) or known.get(key)
        if param is None or param.name in _OWN:
            raise InvalidArgument(
                f"{path}: {command} has no option {key!r}", hint=_meant(key, known)
            )
        if param.name in typed:
            continue
        if param.param_type_name == "argument":
            arguments += _texts(value, path, key)
        else:
            options += _option_words(param, value, path, key)
    return options, arguments


def shown_config(command: str, params: Sequence[Any], values: Mapping[str, object]) -> str:
    """All options of a command as TOML.

    Args:
        command: its name.
        params: what it takes.
        values: their values, by the names of parameters.
    """
    options, unset = {}, {}
    for param in params:
        if param.name in ("help", *_OWN):
            continue
        value = values.get(param.name)
        if value in (None, [], ()):
            found = re.search(r"\[default: (.*)\]", getattr(param, "help", None) or "")
            unset[name_of(param)] = found[1] if found else ""
        else:
            options[name_of(param)] = value
    return config_text(command, options, unset)


def stored_options(
    params: Sequence[Any], values: Mapping[str, object], resolved: Mapping[str, object]
) -> dict[str, object]:
    """The options of a run that `config.toml` records.

    Args:
        params: what the command takes.
        values: the values of this run, by the names of parameters.
        resolved: values in place of those that depend on others, by the same names.
    """
    found = {}
    for param in params:
        name = name_of(param)
        if name.replace("-", "_") not in _NOT_STORED and param.name in {*values, *resolved}:
            value = resolved.get(param.name, values.get(param.name))
            found[name] = None if value in ([], ()) or value is False else value
    return found


def _table(path: Path, command: str) -> Mapping[str, Any]:
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise InvalidArgument(f"--config: {path}: no such file") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InvalidArgument(f"--config: {path} cannot be read as TOML ({error})") from None
    table = content.get(command)
    if not isinstance(table, dict):
        tables = [name for name, value in content.items() if isinstance(value, dict)]
        there = f"its tables are {', '.join(tables)}" if tables else "it has no table"
        raise InvalidArgument(
            f"--config: {path} has no table [{command}]; {there}",
            hint=f"options of a command stand below a line [{command}]",
        )
    return table


def _option_words(param: Any, value: object, path: Path, key: str) -> Iterator[str]:
    """An option with its value as it is typed."""
    name = max(param.opts, key=len)
    if param.is_flag:
        if not isinstance(value, bool):
            raise InvalidArgument(f"{path}: {key} is true or false, not {value!r}")
        yield from [name] if value else []
        return
    texts = _texts(value, path, key)
    for text in texts if param.multiple else [",".join(texts)]:
        yield f"{name}={text}" if name.startswith("--") else f"{name}{text}"


def _texts(value: object, path: Path, key: str) -> list[str]:
    if isinstance(value, list):
        return [text for each in value for text in _texts(each, path, key)]
    if isinstance(value, bool | dict):
        raise InvalidArgument(f"{path}: {key} cannot be {value!r}")
    return [str(value)]


def _meant(key: str, known: Mapping[str, Any]) -> str:
    near = difflib.get_close_matches(key.replace("_", "-"), known, n=2, cutoff=0.6)
    return f"did you mean {' or '.join(near)}?" if near else ""
