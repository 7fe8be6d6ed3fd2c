"""Train models from Python."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypedDict, Unpack

import numpy as np

from rsretrieve.api.arguments.checks import (
    PathLike,
    device_name,
    flag,
    number,
    one_of,
    optional_path,
    path_of,
    plain_text,
    refuse_unknown,
    text_of,
    whole,
    wrong,
)
from rsretrieve.api.arguments.index_arguments import paths_given
from rsretrieve.api.call_report import CallReport, Progress
from rsretrieve.api.opened_tiles import TilesLike, tiles_of
from rsretrieve.api.trained_model import Model, paths_among
from rsretrieve.data.profile.band_names import BandChoice, band_numbers
from rsretrieve.data.run_context import RunContext
from rsretrieve.enums import LossName, Normalisation, OptimizerName, RecipeName
from rsretrieve.export.event_log import EventLog
from rsretrieve.export.model_card import write_card_and_plot
from rsretrieve.export.output_paths import OutputPaths
from rsretrieve.export.run_config import write_config
from rsretrieve.network.device import choose_device, unused_gpus
from rsretrieve.network.model_folder import load_model
from rsretrieve.network.shipped.given_weights import given_weights
from rsretrieve.training.recipe import recipe_for
from rsretrieve.training.train import TrainingRequest, train_model


class RecipeOptions(TypedDict, total=False):
    """What `train` takes besides; each replaces the recipe's own value.

    Attributes:
        weights: `imagenet` (the default; downloaded), `none`, a `.safetensors` or `.pth` file,
            a model folder to continue from, or the name of a model that rsretrieve comes with.
        backbone: a torchvision classification model, or `timm/NAME`; by default that of the model
            that `weights` names, or else `resnet18`.
        freeze_backbone: compute the backbone's features once, and train only projection and
            prototypes on them.
        normalise_by: `weights`: 8-bit RGB tiles are normalised as the weights expect;
            `reflectance`: 16-bit tiles are divided by 10,000; `tiles`:
            by their own mean and deviation, as all other tiles are.
        size: the side in pixels of the square that tiles are resized to.
        bands: the bands to use: numbers, counted from 1, or names that the tiles' files give
            them; by default all.
        epochs: how many epochs; schedules scale with it. 0 takes the weights as they are.
        batch_size: tiles in a step; `auto` splits the recipe's batch where memory runs out.
        learning_rate: the peak learning rate.
        loss: `t-rnsl`, `rnsl` or `nsl`.
        optimizer: `sgd` or `adamw`.
        dimensions: of the embedding; by default 128.
        temperature: σ; by default set by the number of classes.
        learn_temperature: learn σ, too.
        q: of RNSL and t-RNSL, 0 < q ≤ 1.
        truncation: of t-RNSL: tiles whose label's probability is at most this are left out. It has
            no effect where `robust` estimates the classes before the first epoch.
    """

    weights: PathLike
    backbone: str
    freeze_backbone: bool
    normalise_by: str
    size: int
    bands: Sequence[int | str]
    epochs: int
    batch_size: int | Literal["auto"]
    learning_rate: float
    loss: str
    optimizer: str
    dimensions: int
    temperature: float
    learn_temperature: bool
    q: float
    truncation: float


def train(
    tiles: TilesLike,
    output: PathLike,
    *,
    recipe: str = "robust",
    validation: TilesLike | None = None,
    overwrite: bool = False,
    resume: bool = False,
    device: str = "auto",
    seed: int = 0,
    log_dir: PathLike | None = None,
    strict: bool = False,
    progress: Progress | None = None,
    **recipe_options: Unpack[RecipeOptions],
) -> Model:
    """Train an embedding that tolerates wrong labels, and write its model folder.

    In a program that `torchrun` started, all its processes call this function with the same
    arguments, and train one model together; each has its own GPU.

    Args:
        tiles: tiles with labels; those without one are left out.
        output: the model folder to write.
        recipe: `robust`, or `paper` for the training as Kang et al. (2020) published it.
        validation: tiles that say which epoch is best; by default a tenth of `tiles`.
        overwrite: replace a model that is there; a folder that is no model never is.
        resume: continue the unfinished training of this output.
        device: `auto` (a GPU where there is one), `cpu`, `cuda` or `cuda:N`.
        seed: the random seed.
        log_dir: a folder to write TensorBoard events into; needs the extra `tensorboard`.
        strict: the first tile that cannot be used ends the training.
        progress: called with every event; see `rsretrieve.progress`.
        **recipe_options: values that replace the recipe's: `weights`, `backbone`,
            `freeze_backbone`, `normalise_by`, `size`, `bands`, `epochs`, `batch_size`,
            `learning_rate`, `loss`, `optimizer`, `dimensions`, `temperature`,
            `learn_temperature`, `q`, `truncation`.

    Returns:
        The trained model.

    Raises:
        InvalidArgument: an argument is of a wrong type, or makes no sense.
        OutputExists, OutputRefused, OutputBusy: `output` may not be written.
        LabelsError, NoUsableTiles: there are too few tiles or classes to learn from.
        WeightsError: the weights cannot be had, or do not fit.
        DeviceUnavailable: there is no such device.
        MissingPackage: `log_dir`, and tensorboard is not installed.

    Example:
        Two short epochs from random weights:

        >>> import rsretrieve
        >>> model = rsretrieve.train(
        ...     "tiles", "models/quick", epochs=2, size=32, backbone="squeezenet1_1", weights="none"
        ... )
        >>> model.class_names[:2]
        ('bare_soil', 'beach')
    """
    with CallReport(progress, strict=strict) as call:
        folder, options = path_of(output, "output"), RecipeChoices(recipe, recipe_options)
        inputs = {"tiles": tiles, "validation": validation, "weights": options.weights_path}
        logs = optional_path(log_dir, "log_dir")
        paths = OutputPaths(
            folder={"output": folder},
            inputs=paths_among(inputs),
            added={"log_dir": logs and logs / folder.name},
        )
        paths.check()
        call.notice(*options.notices)
        found = tiles_of(tiles, call)
        held_back = None if validation is None else tiles_of(validation, call)
        paths.check_tiles(lambda: (tile.path for tile in (*found, *(held_back or ()))))
        request = TrainingRequest(
            tiles=found.tile_set,
            output=folder,
            recipe=options.recipe,
            device=choose_device(device_name(device)),
            validation=None if held_back is None else held_back.tile_set,
            weights=options.weights,
            bands=band_numbers(found.tile_set, options.bands),
            seed=whole(seed, "seed"),
            overwrite=flag(overwrite, "overwrite"),
            resume=flag(resume, "resume"),
            micro_batches=options.micro_batches,
        )
        if text := unused_gpus(request.device, device):
            call.notice(text)

        def add_reports(made: Path) -> None:
            write_card_and_plot(made, str(folder))
            given = {"tiles": tiles, "validation": validation, "recipe": recipe, "seed": seed}
            values = _for_command_line(given, options) | {"output": folder}
            objects = [name for name in ("tiles", "val") if values[name] == _OBJECTS]
            stored = {name: v for name, v in values.items() if name not in objects}
            write_config(made, "train", stored, objects=objects)

        with EventLog(logs, folder.name, call.context.report) as log:
            context = RunContext(strict=call.context.strict, listener=log.listen)
            train_model(request, context, add_reports)
        call.context.failures += context.failures
        call.notice(*context.notices)
        loaded = load_model(folder, request.device, call.context)
    return Model(loaded, call.failures)


_OBJECTS = object()


def _for_command_line(given: Mapping[str, object], choices: RecipeChoices) -> dict[str, object]:
    """The options with which the command trains the same; `_OBJECTS` for tiles that are objects."""
    values = {**given, "weights": choices.weights, **choices.recipe.options()}
    values["val"] = values.pop("validation")
    for name in ("tiles", "val"):
        if values[name] is not None:
            values[name] = paths_given(values[name]) or _OBJECTS
    if choices.bands:
        values["bands"] = ",".join(map(str, choices.bands))
    if choices.micro_batches:
        values["batch_size"] = "auto"
    values["normalise_by"] = choices.normalise_by
    return {name.replace("_", "-"): value for name, value in values.items()}


class RecipeChoices:
    """A recipe with the caller's values in place of its own, and what stands beside a recipe.

    Raises:
        InvalidArgument: there is no such option or recipe, or a value makes no sense.
    """

    def __init__(self, recipe: object, options: Mapping[str, Any]) -> None:
        refuse_unknown({*options}, {*RecipeOptions.__annotations__}, "option of a training")
        given = {name: value for name, value in options.items() if value is not None}
        named = given_weights(text_of(given.pop("weights", "imagenet"), "weights"))
        self.weights, self.notices = named.source, named.notices
        self.weights_path = named.path
        bands = given.pop("bands", ())
        if isinstance(bands, str) or not isinstance(bands, Sequence | np.ndarray):
            raise wrong("bands", "band numbers, counted from 1, or names", bands)
        self.normalise_by = given.get("normalise_by")
        self.bands: tuple[BandChoice, ...] = tuple(
            band if isinstance(band, str) else whole(band, "a band", 1) for band in bands
        )
        self.micro_batches = given.get("batch_size") == "auto"
        if self.micro_batches:
            del given["batch_size"]
        chosen = {_FIELDS.get(name, name): _checked(name, value) for name, value in given.items()}
        by = one_of(given.get("normalise_by", "weights"), Normalisation, "normalise_by")
        chosen["reflectance"] = by is Normalisation.REFLECTANCE
        name = one_of(recipe, RecipeName, "recipe")
        frozen = bool(chosen.get("freeze_backbone"))
        start = recipe_for(name, self.weights, freeze_backbone=frozen)
        self.recipe = start.changed(**{"backbone": named.backbone, **chosen})


_FIELDS = {"size": "size_px", "truncation": "k", "normalise_by": "imagenet_statistics"}
_WHOLE = {"size": 1, "epochs": 0, "batch_size": 2, "dimensions": 1}


def _checked(name: str, value: object) -> object:
    """An option of a training, of the right type."""
    match name:
        case "backbone":
            return plain_text(value, name)
        case "loss":
            return one_of(value, LossName, name)
        case "normalise_by":
            return one_of(value, Normalisation, name) is Normalisation.WEIGHTS
        case "optimizer":
            return one_of(value, OptimizerName, name)
        case "learn_temperature" | "freeze_backbone":
            return flag(value, name)
    return whole(value, name, _WHOLE[name]) if name in _WHOLE else number(value, name)
