"""The manifest of an index folder: its description, and the checksums of all of its files."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from rsretrieve._core.regular_files import read_regular_text
from rsretrieve._core.sealing import parsed, unsealed, write_sealed
from rsretrieve.data.pixels.packing import Packing
from rsretrieve.data.profile.tile_scale import TileScale
from rsretrieve.data.windowing import WindowChoices
from rsretrieve.errors import IndexDamaged, IndexNotFound

SCHEMA_VERSION = 1
MANIFEST_FILE = "manifest.json"
FAISS_FILE = "index.faiss"
TABLE_FILE = "tiles.parquet"
VECTORS_FILE = "embeddings.npy"
CONFIG_FILE = "config.toml"  # the options of the run; an index works without it
SKIPPED_FILE = "skipped.parquet"  # exists only if windows were skipped
DATA_FILES = (FAISS_FILE, TABLE_FILE, VECTORS_FILE)
STORED_MODEL = "model"
"""The folder of the model in an index folder, and the value of `Manifest.model` for it."""
STORED_MODEL_FILE = f"{STORED_MODEL}/model.json"  # has the checksums of the model's other files
_OPTIONAL_FILES = (SKIPPED_FILE, STORED_MODEL_FILE)
_OF_ONE_WRITING = frozenset(
    ("faiss_key", "metric", "tiles", "dimensions", "recall_at_10", "sha256", "schema_version")
    + ("search", "predicted_bytes", "goal", "similarity_floor", "cost")
)
"""Fields that every writing of an index sets anew; see `Manifest.content_facts`."""
READING = ("windows", "packing")
"""Fields that say how the tiles were read, which an exported table keeps."""
_MOST = 1 << 48  # limit of all counts
_MOST_SEARCHED, _LONGEST_KEY = 1 << 20, 200


@dataclass(frozen=True)
class Manifest:
    """The content of `manifest.json`, without its digest.

    Attributes:
        model: absolute path of the model folder; `model` if it lies in the index folder; empty
            for external embeddings.
        model_fingerprint: of that model and its preprocessing; may be empty.
        faiss_key: kind of index, in FAISS's notation.
        metric: always the inner product, which for unit vectors is the cosine similarity.
        tiles: N.
        dimensions: D.
        recall_at_10: against exact search, measured on a sample.
        sha256: checksum of every other file, by name.
        schema_version: version of this folder's layout.
        search: the search parameters at which the recall was measured: `nprobe` or `efSearch`,
            and `rerank` r, if r·k candidates are reranked by the stored vectors.
        predicted_bytes: size of the index in memory.
        goal: the fields of the `IndexGoal`.
        similarity_floor: 99% of the vectors that the index was trained on are at least this
            similar to the centroid of their cell; without cells, to their tenth nearest
            neighbour.
        provenance: the source of external embeddings, and what their file says about them.
        windows: how scenes were cut into tiles; empty if every image is a tile.
        tile_scale: the size of the tiles, see `TileScale`; empty in old indexes.
        packing: the scale and offset to which the tiles were converted, see `Packing`; empty if
            the model keeps its own, the tiles declared none, and in old indexes.
        places: how the places of the tiles were computed, see `PLACES_VERSION`; 0 in old indexes.
        cost: what the run that wrote the index cost, see `CostMeter`; empty in old indexes.
    """

    model: str
    model_fingerprint: str
    faiss_key: str
    metric: str
    tiles: int
    dimensions: int
    recall_at_10: float
    sha256: dict[str, str]
    schema_version: int = SCHEMA_VERSION
    search: dict[str, int] = field(default_factory=dict)
    predicted_bytes: int | None = None
    goal: dict[str, Any] = field(default_factory=dict)
    similarity_floor: float | None = None
    provenance: dict[str, Any] = field(default_factory=dict)
    windows: dict[str, Any] = field(default_factory=dict)
    tile_scale: dict[str, Any] = field(default_factory=dict)
    packing: dict[str, Any] = field(default_factory=dict)
    places: int = 0
    cost: dict[str, Any] = field(default_factory=dict)

    @property
    def reference(self) -> Packing | None:
        """The scale and offset to which the tiles were converted, if the index keeps them."""
        return Packing.from_json(self.packing) if self.packing else None

    @property
    def tells_reading(self) -> bool:
        """Whether the index says how its tiles were read, to compute their vectors again.

        External embeddings say it only if their file did.
        """
        external = "embeddings" in self.provenance
        return not external or all(name in self.provenance for name in READING)

    @property
    def reading(self) -> dict[str, Any]:
        """How the tiles were read; empty if the index does not say it."""
        return {name: getattr(self, name) for name in READING} if self.tells_reading else {}

    @property
    def content_facts(self) -> dict[str, Any]:
        """The fields that describe the tiles and their vectors, which a rewritten index keeps.

        These are all fields that no writing sets anew, so a field that is added later is kept, too.
        """
        names = (field.name for field in fields(self) if field.name not in _OF_ONE_WRITING)
        return {name: getattr(self, name) for name in names}

    @property
    def has_stored_model(self) -> bool:
        """Whether the model lies in the index folder."""
        return self.model == STORED_MODEL

    def model_path(self, folder: Path) -> Path | None:
        """The model folder of the index in `folder`; None for external embeddings."""
        if self.has_stored_model:
            return folder / STORED_MODEL
        return Path(self.model) if self.model else None

    @property
    def scale(self) -> TileScale:
        """The size of the tiles; unknown in old indexes."""
        return TileScale.from_json(self.tile_scale)


def write_manifest(path: Path, manifest: Manifest) -> None:
    """Write a manifest, with a digest of its own content."""
    write_sealed(path, asdict(manifest))


def read_manifest(folder: Path) -> Manifest:
    """Read the manifest of an index folder.

    Raises:
        IndexNotFound: the folder holds no index.
        IndexDamaged: the file is not a manifest, was edited, or comes from a newer version.
    """
    path = folder / MANIFEST_FILE
    try:
        text = read_regular_text(path)
        content = parsed(text)
        if content["schema_version"] > SCHEMA_VERSION:
            raise IndexDamaged(
                f"{path} was written by a newer rsretrieve (schema "
                f"{content['schema_version']}; this one reads up to {SCHEMA_VERSION})",
                hint="pip install --upgrade rsretrieve",
            )
        known = {field.name for field in fields(Manifest)}
        facts, _ = unsealed(text, content, known)
        manifest = Manifest(**{key: facts[key] for key in facts if key in known})
        if invalid := first_invalid_field(manifest):
            raise ValueError(f"{invalid!r} has an invalid value")
        WindowChoices.from_json(manifest.windows)
        TileScale.from_json(manifest.tile_scale)
        _ = manifest.reference
        if not names_files(manifest):
            raise ValueError("it does not name the files of an index")
        return manifest
    except FileNotFoundError as error:
        raise IndexNotFound(
            f"{folder} holds no index ({MANIFEST_FILE} is missing)",
            hint="build one: rsretrieve index TILES --output DIR",
        ) from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        again = f"rsretrieve index TILES --output {folder} --overwrite"
        repair = f"rsretrieve index --repair --model DIR --output {folder}"
        may_help = salvaged_manifest(folder) is not None
        raise IndexDamaged(
            f"{path} cannot be read as an index's manifest ({error})",
            hint=f"build the index again: {again}"
            + f"; or repair it with its model: {repair}" * may_help,
        ) from error


def salvaged_manifest(folder: Path) -> Manifest | None:
    """What a damaged manifest still says; None if it is none, or a field is missing or invalid."""
    known = {field.name for field in fields(Manifest)}
    try:
        content = json.loads(read_regular_text(folder / MANIFEST_FILE))
        manifest = Manifest(**{key: content[key] for key in content if key in known})
        is_whole = names_files(manifest) and not first_invalid_field(manifest)
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        return None
    return manifest if is_whole else None


def has_config(folder: Path) -> bool:
    """Whether a folder has a `config.toml` that is a file, not a link.

    No checksum covers it: in a stranger's folder a link may lead to any file of the user.
    """
    path = folder / CONFIG_FILE
    return path.is_file() and not path.is_symlink()


def names_files(manifest: Manifest) -> bool:
    """Whether a manifest has the checksums of exactly the files of an index."""
    names = set(manifest.sha256)
    has_model = STORED_MODEL_FILE in names
    return names - {*_OPTIONAL_FILES} == {*DATA_FILES} and has_model == manifest.has_stored_model


def first_invalid_field(manifest: Manifest) -> str:
    """The name of a field whose type or value is invalid; empty if all are valid."""
    for name, kind in get_type_hints(Manifest).items():
        kinds = tuple(get_origin(part) or part for part in (get_args(kind) or (kind,)))
        if get_origin(kind) is dict:
            kinds = (dict,)
        value = getattr(manifest, name)
        wanted = (*kinds, int) if float in kinds else kinds
        if not isinstance(value, wanted) or isinstance(value, bool):
            return name
    counts = list(manifest.search.values())
    valid = {
        "sha256": all(isinstance(sha256, str) for sha256 in manifest.sha256.values()),
        "faiss_key": len(manifest.faiss_key) <= _LONGEST_KEY,
        "tiles": 0 <= manifest.tiles < _MOST,
        "dimensions": 0 < manifest.dimensions < _MOST,
        "search": all(type(count) is int and 0 < count <= _MOST_SEARCHED for count in counts),
    }
    return next((name for name, is_valid in valid.items() if not is_valid), "")
