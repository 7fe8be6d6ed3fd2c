"""What `rsretrieve train --dry-run` prints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rsretrieve.cli.io.cost_tables import in_units
from rsretrieve.cli.io.text_tables import facts_table, format_size

if TYPE_CHECKING:  # heavy imports
    from rich.table import Table

    from rsretrieve.data.run_context import RunContext
    from rsretrieve.training.train import TrainingRequest


def predicted(request: TrainingRequest, context: RunContext) -> tuple[dict[str, Any], Table]:
    """Measure a short training on some of the tiles, and predict the whole one.

    Nothing is written beside the cache of tiles.

    Args:
        request: what would be trained.
        context: receives notices and progress.

    Returns:
        The object that `--json` prints, and a table.
    """
    from rsretrieve.costs.cost import Cost
    from rsretrieve.costs.train_costs import TrainingPlan, measure_training, predict_training
    from rsretrieve.network.device import describe_device
    from rsretrieve.network.network import check_backbone
    from rsretrieve.training.initialize import check_start

    check_backbone(request.recipe.backbone)
    check_start(request.recipe, request.weights, request.bands)
    labelled, validation = request.tiles.labelled(), request.validation
    plan = TrainingPlan(
        request.recipe, request.weights, request.bands, 0 if validation is None else len(validation)
    )
    context.start_stage("measuring a short training")
    start = Cost.of_process()
    rates = measure_training(labelled, request.device, context, plan, start)
    found = predict_training(rates, len(labelled))
    content = {
        "dry_run": True,
        "model": str(request.output),
        "tiles": len(labelled),
        "classes": len(labelled.class_names),
        "epochs": request.recipe.epochs,
        "read_bytes": found.read_bytes,
        "memory_bytes": found.memory_bytes,
        "disk_bytes": found.disk_bytes,
        "seconds": found.total_seconds,
        "processor_seconds": found.processor_seconds,
        "steps": found.seconds,
        "device": describe_device(request.device),
    }
    steps = ", ".join(f"{name} {in_units(s)}" for name, s in found.seconds.items() if s > 0)
    facts = {
        "model": f"{request.output} (not written)",
        "tiles": f"{len(labelled):,} with a label, {len(labelled.class_names)} classes",
        "to read": format_size(found.read_bytes) if found.read_bytes else "unknown",
        "memory": format_size(found.memory_bytes),
        "disk": format_size(found.disk_bytes),
        "time": f"{in_units(found.total_seconds)} on {content['device']} ({steps})",
    }
    return content, facts_table("predicted by a short training", facts)
