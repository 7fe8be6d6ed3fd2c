"""What `rsretrieve info` prints about a model, an index and the system."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table

from rsretrieve._core.machine.run_cost import describe_cost
from rsretrieve._core.text import first_few
from rsretrieve.cli.io.text_tables import facts_table, format_size

if TYPE_CHECKING:  # heavy imports
    from rsretrieve.data.workers.confinement import Enforced
    from rsretrieve.export.onnx_file import OnnxExport
    from rsretrieve.index.describe import IndexDescription
    from rsretrieve.network.metadata import ModelDescription

_NAMES_SHOWN = 12


def model_table(folder: Path, description: ModelDescription) -> Table:
    """The description of a model."""
    preprocessing, training = description.preprocessing, description.training
    names = description.class_names
    return facts_table(
        f"model {folder}",
        {
            "backbone": description.backbone,
            "embedding": f"{description.dimensions} dimensions",
            "input": f"{preprocessing.size_px} px, bands "
            f"{', '.join(map(str, preprocessing.bands))} of {preprocessing.source_bands}, "
            f"{preprocessing.dtype}",
            "classes": f"{len(names)}: {first_few(names, _NAMES_SHOWN)}" if names else "none",
            "loss": str(description.recipe.get("loss", "–")),
            "training": ", ".join(
                f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}"
                for name, value in training.items()
                if isinstance(value, int | float | str)
            ),
            **_cost_row(training.get("cost")),
            "versions": ", ".join(f"{n} {v}" for n, v in description.versions.items()),
            "fingerprint": description.fingerprint,
        },
    )


def onnx_table(written: OnnxExport) -> Table:
    """What was written of a model that was exported."""
    return facts_table(
        f"model {written.model}",
        {
            "file": f"{written.onnx}, {format_size(written.bytes)}, opset {written.opset}",
            "description": written.description,
            "embedding": f"{written.dimensions} dimensions of tiles of {written.size_px} px",
            "checked": f"onnxruntime agrees with PyTorch on {written.tiles} generated tiles: "
            f"cosine similarity at least {written.least_cosine:.6f}",
            "fingerprint": written.fingerprint,
        },
    )


def index_table(described: IndexDescription) -> Table:
    """The description of an index."""
    manifest = described.manifest
    search = "".join(f", {name} {value}" for name, value in manifest.search.items())
    labels = [f"{label} {count}" for label, count in described.labels if label is not None]
    model = f"{described.model}{'' if described.model_found else ' (not found)'}"
    facts = {
        "tiles": str(manifest.tiles),
        "vectors": f"{manifest.dimensions} dimensions, cosine similarity",
        "index type": f"{manifest.faiss_key}{search}, recall@10 {manifest.recall_at_10:.3f}",
        "size": f"{format_size(described.bytes_on_disk)} on disk",
        "labels": f"{len(labels)}: {first_few(labels, _NAMES_SHOWN)}" if labels else "none",
        "georeference": f"{described.placed} tiles are georeferenced",
        "model": model if manifest.model else "none (embeddings from elsewhere)",
        "fingerprint": manifest.model_fingerprint or "–",
    }
    facts |= _cost_row(manifest.cost)
    if described.extent is not None:
        west, south, east, north = described.extent
        facts["georeference"] += f", lon {west:.4f} to {east:.4f}, lat {south:.4f} to {north:.4f}"
    if "embeddings" in manifest.provenance:
        facts["embeddings"] = str(manifest.provenance["embeddings"])
    return facts_table(f"index {described.folder}", facts)


def _cost_row(cost: object) -> dict[str, str]:
    """The row of what the making cost; none if it was not recorded."""
    described = describe_cost(cost) if isinstance(cost, dict) else ""
    return {"cost of making": described} if described else {}


def security_table(found: Enforced, drivers: int) -> Table:
    """The limits that the system enforces on processes that decode untrusted tiles."""
    from rsretrieve.data.workers.confinement import VARIABLE

    available = [f"Landlock ABI {found.landlock_abi}"] if found.landlock_abi else []
    available += ["seccomp"] if found.system_calls else []
    means = " and ".join(available) or "nothing"
    by = f" (by {means})" if available and not found.switched_off else ""

    def enforced(fact: bool) -> str:
        return f"yes{by}" if fact else "not enforced by the system"

    return facts_table(
        "limits on processes that decode untrusted tiles",
        {
            "read only the tiles' folders": enforced(found.reading_confined),
            "write no files": enforced(found.writing_denied),
            "open no connections": enforced(found.network_denied),
            "enforced by the system": (
                f"nothing, because {VARIABLE} is off (available: {means})"
                if found.switched_off
                else means
            ),
            "always": f"at most {drivers} GDAL drivers, for formats that contain their own "
            "pixels; sidecar files are checked",
        },
    )
