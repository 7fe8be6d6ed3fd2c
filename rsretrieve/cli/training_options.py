"""The options of `train`, for commands that train several models."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import cache, wraps
from typing import Any, get_type_hints

import typer

from rsretrieve.cli.commands.train_command import train
from rsretrieve.cli.config_file import name_of
from rsretrieve.cli.scene_options import scene_option_names

_OF_THE_RUN = ("tiles", "output", "resume", "seed", "device", "overwrite", "strict", "quiet")
_NOT_TAKEN = frozenset({*_OF_THE_RUN, "as_json", "dry_run", "log_dir", *scene_option_names()})


def takes_training(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options of `train` to a command, which gets their values as one mapping, `training`.

    Options that say what is trained on, shown or written are not among them.
    """
    signature, hints = inspect.signature(command), get_type_hints(command, include_extras=True)
    own = [
        parameter.replace(annotation=hints[name], kind=inspect.Parameter.KEYWORD_ONLY)
        for name, parameter in signature.parameters.items()
        if name != "training"
    ]
    added = [
        parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        for name, parameter in inspect.signature(train).parameters.items()
        if name not in _NOT_TAKEN
    ]
    names = [parameter.name for parameter in added]

    @wraps(command)
    def with_training(**given: Any) -> None:
        training = {name: given.pop(name) for name in names}
        command(**given, training=training)

    parameters = [*own, *added]
    with_training.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    with_training.__annotations__ = {p.name: p.annotation for p in parameters}
    return with_training


def parsed_value(name: str, text: str, hint: str) -> tuple[str, Any]:
    """Parse a value of an option of `train`, as `train` does.

    Args:
        name: the option, with or without dashes in front.
        text: the value; true or false for an option without a value.
        hint: the option of this command, for messages.

    Returns:
        The name of the parameter, and the value.

    Raises:
        typer.BadParameter: there is no such option, it cannot be varied, or the value is wrong.
    """
    command = _train_command()
    wanted = name.strip().lstrip("-").replace("_", "-")
    known = {name_of(param): param for param in command.params if param.name not in _NOT_TAKEN}
    known.pop("help", None)
    if wanted not in known:
        raise typer.BadParameter(_unknown(wanted, known), param_hint=hint)
    param = known[wanted]
    words = [f"--{wanted}={text}"]
    if param.is_flag:
        if text.lower() not in ("true", "false"):
            raise typer.BadParameter(f"{wanted} is true or false, not {text!r}", param_hint=hint)
        words = [f"--{wanted}"] if text.lower() == "true" else []
    try:
        parsed: Mapping[str, Any] = command.make_context("train", ["TILES", *words]).params
    except Exception as error:
        # Its class is click's, or that of the copy inside newer versions of typer.
        message = getattr(error, "message", None)
        if message is None:
            raise
        raise typer.BadParameter(f"{wanted}={text}: {message}", param_hint=hint) from error
    return str(param.name), parsed[str(param.name)]


@cache
def _train_command() -> Any:
    app = typer.Typer()
    app.command()(train)
    return typer.main.get_command(app)


def _unknown(wanted: str, known: Mapping[str, Any]) -> str:
    import difflib

    if wanted in {name.replace("_", "-") for name in _NOT_TAKEN}:
        return f"{wanted} cannot be varied; it is the same for all trainings"
    near = difflib.get_close_matches(wanted, [*known, "noise"], n=2, cutoff=0.6)
    meant = f"did you mean {' or '.join(near)}?" if near else f"it has {', '.join(sorted(known))}"
    return f"train has no option {wanted!r}; {meant}"
