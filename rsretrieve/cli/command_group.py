"""The group of all commands, which suggests the command that was probably meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any

from typer.core import TyperGroup

# Words that people try, by our commands.
_MEANT = {
    "query": "search similar find-similar retrieve retrieval knn nearest neighbors neighbours hits",
    "audit-labels": "audit clean cleanlab check check-labels review issues errors label-errors",
    "index": "embed encode embeddings build build-index create-index",
    "train": "fit learn finetune fine-tune",
    "evaluate": "eval test score metrics",
    "corrupt-labels": "corrupt noise add-noise noisy",
    "browse": "serve ui gui view app web",
    "info": "show describe inspect",
    "models": "list-models model weights",
    "demo": "example examples tutorial",
}


class CommandGroup(TyperGroup):
    """The commands; the error of an unknown one names those probably meant."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """As the base class, with suggestions of our own."""
        try:
            return super().resolve_command(ctx, args)
        except Exception as error:
            # Its class is click's, or that of the copy inside newer versions of typer.
            if type(error).__name__ == "UsageError":
                _suggest(error, args[0], commands_meant(args[0], self.commands))
            raise


def _suggest(error: Any, name: str, commands: Iterable[str]) -> None:
    """Name commands in the message of click's error."""
    if meant := " or ".join(commands):
        error.message = f"No such command {name!r}. Did you mean {meant}?"


def commands_meant(name: str, known: Iterable[str]) -> list[str]:
    """The commands that were probably meant by an unknown one.

    >>> commands_meant("search", ["train", "query"])
    ['query']
    """
    plain, commands = name.replace("_", "-").lower(), list(known)
    for command, others in _MEANT.items():
        if command in commands and plain in (command, *others.split()):
            return [command]
    begun = [command for command in commands if len(plain) > 1 and command.startswith(plain)]
    return begun or difflib.get_close_matches(plain, commands, n=2)
