"""The command as it was typed: to suggest options, and to show a command to type next."""

from __future__ import annotations

import difflib
import math
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperCommand

from rsretrieve._core.machine.launch import Launch
from rsretrieve._core.paths import Location
from rsretrieve._core.standard_output import write_utf8
from rsretrieve.cli.config_file import (
    shown_config,
    stored_options,
    words_of_config,
)
from rsretrieve.cli.options import SCENES
from rsretrieve.errors import InvalidArgument
from rsretrieve.export.output_paths import ALWAYS_READ
from rsretrieve.export.run_config import write_config

_CONTEXT: ContextVar[Any] = ContextVar("_CONTEXT")

# Options of other programs, by ours. The first that the command has is suggested.
_MEANT = {
    "--learning-rate": "lr learningrate lr0 base-lr max-lr",
    "--device": "gpu gpus cuda cpu no-cuda accelerator devices",
    "--model": "model-dir model-path model-folder checkpoint ckpt resume-from m",
    "--output": "out out-dir output-dir output-path outdir save save-dir dest destination o "
    "model-dir model-path project name",
    "--batch-size": "bs batchsize batch",
    "--epochs": "epoch num-epochs n-epochs max-epochs e",
    "-k": "k top-k topk n num-results neighbors neighbours limit",
    "--size": "img-size image-size imgsz input-size resize",
    "--backbone": "arch architecture net network encoder model-name base-model",
    "--weights": "pretrained pretrained-weights",
    "--dimensions": "dim dims embedding-dim embedding-size",
    "--window": "tile-size patch-size chip-size window-size crop",
    "--stride": "overlap step",
    "--overwrite": "force force-overwrite f yes",
    "--labels": "label label-file labels-file annotations",
    "--index": "index-dir index-path db database",
    "--seed": "random-seed random-state",
    "--optimizer": "optim",
    "--temperature": "temp tau sigma",
    "--truth": "ground-truth gt true-labels",
    "--json": "format as-json",
    "--val": "validation val-dir valid validation-data",
    "--page": "html report",
    "--min-similarity": "threshold min-score min-sim",
    "--bands": "channels band-order",
    "--bbox": "bounds extent",
    "--within": "aoi region polygon geometry",
    "--from": "start start-date since after",
    "--to": "end end-date until before",
    "--datetime": "date dates time date-range time-range",
    "--onnx": "onnx-file export-onnx",
    "--quiet": "silent no-progress",
    "--fixed-labels": "fixed fix output-labels",
    "--trust-sources": "trust trust-remote-code",
}
_OF_WORDS = (str, bool, list, tuple)  # what a parser makes of words; a parameter without: None
_ENOUGH = 0.7  # similarity of names that are taken for a slip


class Command(TyperCommand):
    """A command that suggests the options that were probably meant, and takes a config file."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """As the base class, with the options of `--config`.

        The error of an unknown option names those probably meant.
        """
        try:
            given, typed = self._typed(ctx, args)
            if "config" in typed and "help" not in typed:
                path = Path(given["config"])
                options, arguments = words_of_config(path, str(self.name), self.params, typed)
                # After `--` a name that begins with a dash is no option.
                dashes = ["--"] if arguments and "--" not in args else []
                args = [*options, *args, *dashes, *arguments]
            if "print_config" in typed and "help" not in typed:
                self._print_config(ctx, args)
            rest: list[str] = super().parse_args(ctx, args)
            _refuse_nan(ctx)
            return rest
        except Exception as error:
            # Its class is click's, or that of the copy inside newer versions of typer.
            if type(error).__name__ == "NoSuchOption":
                known = [name for param in self.params for name in param.opts]
                _suggest(error, options_meant(error.option_name, known))  # type: ignore[attr-defined]
            raise

    def _typed(self, ctx: Any, args: list[str]) -> tuple[Mapping[str, Any], set[str]]:
        """The words by the names of parameters, and the names of those that have any."""
        given, _, order = self.make_parser(ctx).parse_args(list(args))
        words = {param.name: given.get(param.name) for param in order}
        typed = {name for name, word in words.items() if isinstance(word, _OF_WORDS)}
        return given, {name for name in typed if words[name] not in ((), [])}

    def _print_config(self, ctx: Any, args: list[str]) -> None:
        for param in self.params:
            param.required = False
        super().parse_args(ctx, args)
        write_utf8(shown_config(str(self.name), self.params, ctx.params))
        ctx.exit()

    def invoke(self, ctx: Any) -> Any:
        """As the base class; the other functions of this module then know the command."""
        _CONTEXT.set(ctx)
        if ctx.command.name != "train" and not Launch.of_environment().is_alone:
            raise InvalidArgument(
                f"{ctx.command.name} runs in one process, and a launcher started several",
                hint="start it without torchrun; only train uses several processes",
            )
        config = ctx.params.get("config")
        before = ALWAYS_READ.set({} if config is None else {"--config": Path(config)})
        try:
            return super().invoke(ctx)
        finally:
            ALWAYS_READ.reset(before)


def _refuse_nan(ctx: Any) -> None:
    """End with a usage error if an option is NaN, which passes the limits of a range."""
    for param in ctx.command.params:
        value = ctx.params.get(param.name)
        if isinstance(value, float) and math.isnan(value):
            raise typer.BadParameter("NaN is no number", param_hint=max(param.opts, key=len))


def _suggest(error: Any, options: Sequence[str]) -> None:
    """Name options in the message of click's error."""
    error.possibilities = None
    if options:
        error.message = f"No such option: {error.option_name}. Did you mean {' or '.join(options)}?"


def options_meant(name: str, known: Sequence[str]) -> list[str]:
    """The options that were probably meant by an unknown one.

    >>> options_meant("--lr", ["--loss", "--learning-rate"])
    ['--learning-rate']
    """
    plain = name.lstrip("-").replace("_", "-").lower()
    for option, others in _MEANT.items():
        if option in known and plain in (option.lstrip("-"), *others.split()):
            return [option]
    begun = [option for option in known if len(plain) > 1 and option.startswith(f"--{plain}")]
    return begun or difflib.get_close_matches(f"--{plain}", known, n=2, cutoff=_ENOUGH)


def record_config(folder: Path, overwrite: bool = True, /, **resolved: object) -> None:
    """Write the options of this run into the folder that it made, as `config.toml`.

    Args:
        folder: the folder.
        overwrite: see `write_config`.
        **resolved: values of parameters in place of those that were typed.

    Raises:
        OutputExists: there is such a file, and it may not be replaced.
    """
    context = _CONTEXT.get()
    options = stored_options(context.command.params, context.params, resolved)
    write_config(folder, context.command.name, options, overwrite=overwrite)


def command_as_typed() -> str:
    """The command as it was typed, for a shell."""
    context = _CONTEXT.get()
    return shlex.join(["rsretrieve", context.command.name, *_words(context, left_out=())])


def command_with_labels(labels: str) -> str:
    """The command as it was typed, with these `--labels`, for a shell."""
    context = _CONTEXT.get()
    words = [context.command.name, *_words(context, left_out=("labels",))]
    return shlex.join(["rsretrieve", *words, *option_words("--labels", labels)])


def command_for_decisions(labels: Path | None) -> str:
    """The command that applies the decisions of the page which this command writes.

    Args:
        labels: the file that the labels come from; None for the names of folders.
    """
    context = _CONTEXT.get()
    params = {param.name: param for param in context.command.params}
    by_name = "tiles" if context.params.get("tiles") else "embeddings"
    of_scenes = [name for name, param in params.items() if _is_of_scenes(param)]
    kept = {by_name, *of_scenes, "trust_sources"}
    words = _words(context, left_out=params.keys() - kept, absolute=(by_name,))
    if labels is not None and str(Location.parse(labels).absolute()) not in words:
        words += option_words("--labels", Location.parse(labels).absolute())
    words += ["--decisions", "decisions.csv", "--fixed-labels", "decided.csv"]
    return shlex.join(["rsretrieve", context.command.name, *words])


def option_words(name: str, value: str) -> list[str]:
    """An option with its value; a value that looks like an option stands behind `=`."""
    return [f"{name}={value}"] if value.startswith("-") else [name, value]


def _is_of_scenes(param: Any) -> bool:
    return getattr(param, "rich_help_panel", None) == SCENES


def _words(
    context: Any, left_out: Sequence[str] | set[str], absolute: Sequence[str] = ()
) -> list[str]:
    """The arguments and options that were typed."""
    words: list[str] = []
    for param in context.command.params:
        typed = context.get_parameter_source(param.name)
        if param.name in (*left_out, "config") or typed is None or typed.name != "COMMANDLINE":
            continue
        values = _texts(context.params, param.name)
        if param.name in absolute:
            values = [Location.parse(value).absolute() for value in values]
        if param.param_type_name == "argument":
            words = [*values, *words]
        elif getattr(param, "is_flag", False):
            words.append(max(param.opts, key=len))
        else:
            name = max(param.opts, key=len)
            words += [word for value in values for word in option_words(name, value)]
    return words


def _texts(params: Mapping[str, Any], name: str) -> list[str]:
    return list(_each_text(params[name]))


def _each_text(value: Any) -> Iterator[str]:
    if isinstance(value, list | tuple):
        for each in value:
            yield from _each_text(each)
    elif value is not None:
        yield str(getattr(value, "value", value))
