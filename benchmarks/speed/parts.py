"""Where the time of a tile goes: each part of the way alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from rsretrieve.data.preprocessing.augment import augmented
from rsretrieve.data.preprocessing.normalize import Normaliser
from rsretrieve.data.preprocessing.preprocessing import Preprocessing
from rsretrieve.data.reading.pillow_reader import read_raw
from rsretrieve.training.ema import MovingAverage
from speed.clocks import Moment
from speed.contenders import Case

_TILES = 64


def milliseconds_of_parts(case: Case, preprocessing: Preprocessing) -> dict[str, float]:
    """Milliseconds a tile of each part, the network's own left out: the ceiling says that.

    Of the processor where it computes, of the wall where a GPU does. `decode` is without
    `read`; `copy` takes pixels to the network's values; `average` is of a step's parameters.
    """
    tiles = [case.tiles[i] for i in range(min(_TILES, len(case.tiles)))]
    raws = [read_raw(tile, preprocessing.jpeg_px) for tile in tiles]
    pixels = np.stack([preprocessing.apply(t.id, raw) for t, raw in zip(tiles, raws)])
    normaliser = Normaliser(preprocessing, case.device)
    values = normaliser.unit_values(pixels)
    generator = torch.Generator(case.device).manual_seed(0)
    amounts = case.recipe.augmentation
    count = len(tiles)

    def timed(work: Callable[[], object], per: int) -> float:
        work()
        rounds = []
        for _ in range(3):
            start = Moment.now(case.device)
            work()
            end = Moment.now(case.device)
            gpu = case.device.type == "cuda"
            spent = end.wall - start.wall if gpu else end.processor - start.processor
            rounds.append(1e3 * spent / per)
        return sorted(rounds)[1]

    parts = {
        "read": timed(lambda: [Path(tile.path).read_bytes() for tile in tiles], count),
        "decode": timed(lambda: [read_raw(tile, preprocessing.jpeg_px) for tile in tiles], count),
        "resize": timed(
            lambda: [preprocessing.apply(t.id, raw) for t, raw in zip(tiles, raws)], count
        ),
        "copy": timed(lambda: normaliser.network_input(normaliser.unit_values(pixels)), count),
        "augment": timed(lambda: augmented(values, amounts, generator, rgb=True), count),
    }
    parts["decode"] -= parts["read"]
    if case.recipe.uses_average:
        model = case.model()
        average = MovingAverage(model, case.recipe.average_decay)
        step = timed(average.update, 1)
        parts["average"] = step / case.recipe.batch_size
    return parts
