"""The training tiles of each cell: labels of a file, noise, and no test tiles among them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rsretrieve._core.atomic_write import sha256_of_file, sha256_of_json
from rsretrieve._core.tables import write_csv
from rsretrieve._core.text import some_of
from rsretrieve.comparison.choice import Cell, TrainingChoice, slug_of
from rsretrieve.comparison.tile_digest import ImageDigests, TileDigest
from rsretrieve.comparison.training_list import (
    TRAINING_LIST,
    refuse_lost_labels,
    write_training_list,
)
from rsretrieve.data.discovery.image_areas import image_keys, with_areas
from rsretrieve.data.file_state import FileState
from rsretrieve.data.labels.label_noise import PUBLISHED_TABLES
from rsretrieve.data.labels.labels import override_labels
from rsretrieve.data.labels.noise_choice import FROM_MODEL, NoiseChoice
from rsretrieve.data.preprocessing.band_statistics import measure_preprocessing
from rsretrieve.data.profile.band_names import band_numbers
from rsretrieve.data.run_context import RunContext
from rsretrieve.data.tile import Tile, TileSet
from rsretrieve.errors import InputError, LabelsError, OutputExists
from rsretrieve.evaluation.label_corruption import corrupted_labels, transitions_for
from rsretrieve.network.device import choose_device
from rsretrieve.network.metadata import WEIGHTS_FILE
from rsretrieve.network.model_folder import load_model
from rsretrieve.training.dataset import require_two_classes


@dataclass(frozen=True)
class TrainingSet:
    """The training tiles of all cells.

    Attributes:
        tiles: with the labels that they have without a labels file.
        words: what names them on the command line; empty if nothing does.
        excluded: the ids of those that were left out because they are test tiles.
    """

    tiles: TileSet
    words: tuple[str, ...]
    excluded: frozenset[str] = frozenset()

    @property
    def needs_list(self) -> bool:
        """Whether only a list names these tiles: test tiles were left out, or no path was given."""
        return bool(self.excluded) or not self.words

    def listed(self, folder: Path, kept: Collection[Path] = ()) -> TrainingSet:
        """The same, named by a list in a folder, if only a list names these tiles.

        Args:
            folder: the folder of the comparison.
            kept: the model folders that this run does not make again.

        Raises:
            OutputExists: such a model was trained on another list of this name.
        """
        if not self.needs_list:
            return self
        path = folder / TRAINING_LIST
        tiles = write_training_list(path, self.tiles, kept)
        return replace(self, tiles=tiles, words=(str(path),))

    def labelled_by(self, labels: Path | None) -> TileSet:
        """The tiles with the labels of a labels file; None for their own.

        Raises:
            LabelsError, TableError: see `override_labels`.
        """
        tiles = self.tiles
        return tiles if labels is None else override_labels(tiles, labels, self.excluded)


def without_test_tiles(
    tiles: TileSet, words: Sequence[str], test: TileSet, context: RunContext
) -> TrainingSet:
    """Leave out tiles that are test tiles, by place or by content.

    Args:
        tiles: the tiles to train on.
        words: what names them on the command line.
        test: the test tiles.
        context: receives a notice.

    Raises:
        InputError: no tile is left.
    """
    positions = _shared(tiles, test)
    if not positions:
        return TrainingSet(tiles, tuple(words))
    if len(positions) == len(tiles):
        raise InputError(
            f"all tiles of {tiles.source} are test tiles, too",
            hint="split them: rsretrieve split TILES --output lists",
        )
    context.notice(
        f"{len(positions)} tiles of TILES are test tiles, or copies of them; no model is trained "
        "on them"
    )
    kept = tiles.select([i for i in range(len(tiles)) if i not in positions])
    return TrainingSet(kept, tuple(words), frozenset(tiles[i].id for i in positions))


def refuse_test_tiles(choices: Sequence[TrainingChoice], test: TileSet) -> None:
    """Refuse validation tiles that are test tiles.

    Raises:
        InputError: there is one.
    """
    for choice in choices:
        shared = _shared(choice.validation, test) if choice.validation is not None else set()
        if choice.validation is not None and shared:
            raise InputError(
                f"{len(shared)} validation tiles are test tiles "
                f"({some_of(choice.validation[i].id for i in sorted(shared))})",
                hint="choose other tiles for --val: they decide which epoch is kept",
            )


def _shared(tiles: TileSet, test: TileSet) -> set[int]:
    """The positions of tiles that are test tiles or copies of them.

    Only files of the size of a test tile are read.
    """
    both = [*test, *tiles]
    at_place = with_areas([tile.location.absolute() for tile in both], both)
    places = set(at_place[: len(test)])
    sizes = {FileState.of(tile.path).size_bytes for tile in test if tile.location.local_files}
    same_place, to_read = set(), []
    for i, (tile, place) in enumerate(zip(tiles, at_place[len(test) :])):
        if place in places:
            same_place.add(i)
        elif tile.location.local_files and FileState.of(tile.path).size_bytes in sizes:
            to_read.append(i)
    if not to_read:
        return same_place
    keys = image_keys([*test, *(tiles[i] for i in to_read)])
    contents = set(keys[: len(test)])
    return same_place | {i for i, key in zip(to_read, keys[len(test) :]) if key in contents}


def check_choices(
    training: TrainingSet, choices: Sequence[TrainingChoice], context: RunContext
) -> None:
    """Find errors of labels, noise and bands before the first training.

    Raises:
        LabelsError, TableError, ModelError: a file does not fit the tiles, or cannot be read;
            labels are of one class, or no file can hold them.
        InvalidArgument: the tiles do not have the bands, or are no reflectances.
        NoUsableTiles: bands are to be chosen, and no tile can be read.
    """
    if training.needs_list:
        refuse_lost_labels(training.tiles, TRAINING_LIST)
    for choice in choices:
        tiles = training.labelled_by(choice.labels)
        for text in tiles.notices[len(training.tiles.notices) :]:
            context.notice(text)
        of_file = "" if choice.labels is None else f" with the labels of {choice.labels}"
        require_two_classes(replace(tiles.labelled(), source=f"{tiles.source}{of_file}"))
        if (noise := choice.noise) is None:
            continue
        refuse_lost_labels(tiles, "labels files with noise")
        if noise.table not in (None, FROM_MODEL):
            _check_table(tiles, noise, context)
        if noise.model is not None:
            load_model(noise.model, choose_device("cpu"))
    _check_pixels(training, choices)


def _check_pixels(training: TrainingSet, choices: Sequence[TrainingChoice]) -> None:
    """Read a sample of the tiles, once for all choices with equal options, to check these."""
    tried: set[tuple[object, ...]] = set()
    for choice in choices:
        bands, recipe = choice.bands, choice.recipe
        key = bands, recipe.reflectance, choice.labels
        if (bands or recipe.reflectance) and key not in tried:
            tried.add(key)
            tiles = training.labelled_by(choice.labels).labelled()
            numbers, reflectance = band_numbers(tiles, bands), recipe.reflectance
            measure_preprocessing(tiles, recipe.size_px, numbers, reflectance=reflectance)


def _check_table(tiles: TileSet, noise: NoiseChoice, context: RunContext) -> None:
    try:
        transitions_for(tiles, str(noise.table), context)
        corrupted_labels(tiles, noise, 0, RunContext())
    except LabelsError as error:  # its hint may name an option of `corrupt-labels`
        given = f"--noise table:FILE.csv:{noise.rate:g}"
        hint = error.hint.replace("--table FILE.csv", given)
        raise LabelsError(error.message, hint=hint) from error


@dataclass
class NoisyLabels:
    """Labels files with noise, which are written once and then used by all choices.

    Attributes:
        folder: where they are.
        made_from: by the name of a file, the digest of what it was made from.
        images: of the tiles, for noise that a model decides.
        overwrite: replace files that were made from something else.
        save: keeps `made_from`; called before a file is written.
    """

    folder: Path
    made_from: dict[str, TileDigest]
    images: ImageDigests
    overwrite: bool = False
    save: Callable[[], None] = lambda: None

    def file(self, cell: Cell, tiles: TileSet, device: str, context: RunContext) -> Path:
        """The labels file of a cell with noise; the same noise and seed give the same file.

        Args:
            cell: the cell.
            tiles: the training tiles without noise. Those without a label have none in the file.
            device: where a model that the noise names runs.
            context: receives notices and progress.

        Raises:
            OutputExists: there is such a file, which was made from other labels or images.
        """
        noise = cell.choice.noise
        if noise is None:
            raise ValueError("the cell has no noise")
        name = f"{noise_slug(noise, cell.choice.labels)}-seed{cell.seed}.csv"
        path, before = self.folder / name, tiles.labelled()
        records = sha256_of_json([noise_text(noise), _content_of(noise), cells_digest(tiles)])
        digest = TileDigest(records, self.images.of(before) if noise.model is not None else "")
        made_from = self.made_from.get(name)
        trust = not self.overwrite
        is_known = made_from is not None and made_from.is_unchanged(digest, trust_unknown=trust)
        if path.exists() and is_known:
            return path
        if path.exists() and not self.overwrite:
            raise OutputExists(
                f"{path} was made from other labels or images, or by another table or model, than "
                "are given now",
                hint="give --overwrite to make it again, or another --output",
            )
        labels = _with_noise(before, noise, cell.seed, device, context)
        rows = [(tile.id, labels.get(tile.id, ""), tile.label or "") for tile in tiles]
        # A record without a file is harmless, a file without its record is refused, and the record
        # of another file would be wrong.
        path.unlink(missing_ok=True)
        self.made_from[name] = digest
        self.save()
        write_csv(path, ("tile", "label", "true_label"), rows, overwrite=False, follow=False)
        return path


def tiles_of_cell(
    cell: Cell, training: TrainingSet, noisy: NoisyLabels, device: str, context: RunContext
) -> tuple[TileSet, Path | None]:
    """The training tiles of a cell, and the labels file that gives them these labels."""
    tiles = training.labelled_by(cell.choice.labels)
    if cell.choice.noise is None:
        return tiles, cell.choice.labels
    path = noisy.file(cell, tiles, device, context)
    return override_labels(training.tiles, path), path


def _content_of(noise: NoiseChoice) -> str:
    """A digest of the files that a noise names."""
    files = [noise.model / WEIGHTS_FILE] if noise.model is not None else []
    if noise.table not in (None, FROM_MODEL, *PUBLISHED_TABLES):
        files.append(Path(str(noise.table)))
    return sha256_of_json([sha256_of_file(file) for file in files])


def _with_noise(
    tiles: TileSet, noise: NoiseChoice, seed: int, device: str, context: RunContext
) -> dict[str, str]:
    model = None
    if noise.model is not None:
        model = load_model(noise.model, choose_device(device), context)
    return corrupted_labels(tiles, noise, seed, context, model)


def noise_slug(noise: NoiseChoice, labels: Path | None) -> str:
    """The beginning of the name of a labels file with noise."""
    values = [("noise", noise_text(noise))]
    if labels is not None:
        values.append(("labels", str(labels)))
    return slug_of(values)


def noise_text(noise: NoiseChoice) -> str:
    """The noise as `NoiseChoice.parse` takes it."""
    parts = [noise.kind, noise.table, noise.model, f"{noise.rate:g}"]
    return ":".join(str(part) for part in parts if part is not None)


def cells_digest(tiles: Iterable[Tile]) -> list[list[str | None]]:
    """Ids and labels of tiles, for a digest."""
    return [[t.id, t.label, "confirmed" if t.confirmed else None] for t in tiles]
