"""Scene retrieval and label auditing that stay good when many labels are wrong.

The Python interface. Its names are loaded when they are first used, so that
`import rsretrieve` is quick.

Example:
    >>> import rsretrieve
    >>> tiles = rsretrieve.open_tiles("tiles")
    >>> index = rsretrieve.open_index("index")
    >>> hits = index.search("tiles/beach/beach_1_7.tif", k=3)
"""

from importlib import import_module as _import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rsretrieve.api.audit_result import AuditResult
    from rsretrieve.api.comparing.model_comparison import compare
    from rsretrieve.api.comparing.noisy_labels import corrupt_labels
    from rsretrieve.api.finding.finder import Finder, Proposed
    from rsretrieve.api.finding.index_changes import Changes, change
    from rsretrieve.api.finding.kind_finder import find
    from rsretrieve.api.hits import Hit, Hits
    from rsretrieve.api.indexes.embedding_index import build_index_from_embeddings
    from rsretrieve.api.indexes.index_building import build_index
    from rsretrieve.api.indexes.index_copying import IndexCopy, copy_index
    from rsretrieve.api.indexes.index_opening import open_index
    from rsretrieve.api.label_audit import audit_labels
    from rsretrieve.api.model_training import train
    from rsretrieve.api.opened_index import Index
    from rsretrieve.api.opened_tiles import Tiles, open_tiles
    from rsretrieve.api.planning.cost_explanation import explain
    from rsretrieve.api.retrieval_evaluation import Evaluation, evaluate
    from rsretrieve.api.tile_lists import Leaks, TileLists, find_leaks, split
    from rsretrieve.api.trained_model import Model, load_model
    from rsretrieve.comparison.comparison_result import Comparison
    from rsretrieve.costs.explanation import Explanation
    from rsretrieve.errors import RsretrieveError, RsretrieveWarning
    from rsretrieve.network.shipped.shipped_models import ShippedModel, shipped_models
    from rsretrieve.progress import Advanced, EpochFinished, Noticed, StageStarted

__version__ = "0.1.0"
__all__ = [
    "Advanced",
    "AuditResult",
    "Changes",
    "Comparison",
    "EpochFinished",
    "Evaluation",
    "Explanation",
    "Finder",
    "Hit",
    "Hits",
    "Index",
    "IndexCopy",
    "Leaks",
    "Model",
    "Noticed",
    "Proposed",
    "RsretrieveError",
    "RsretrieveWarning",
    "ShippedModel",
    "StageStarted",
    "TileLists",
    "Tiles",
    "audit_labels",
    "build_index",
    "build_index_from_embeddings",
    "change",
    "compare",
    "copy_index",
    "corrupt_labels",
    "evaluate",
    "explain",
    "find",
    "find_leaks",
    "load_model",
    "open_index",
    "open_tiles",
    "shipped_models",
    "split",
    "train",
]
_MODULES = {
    "api.audit_result": ("AuditResult",),
    "api.comparing.model_comparison": ("compare",),
    "api.comparing.noisy_labels": ("corrupt_labels",),
    "comparison.comparison_result": ("Comparison",),
    "api.planning.cost_explanation": ("explain",),
    "api.finding.index_changes": ("Changes", "change"),
    "api.finding.finder": ("Finder", "Proposed"),
    "api.finding.kind_finder": ("find",),
    "api.hits": ("Hit", "Hits"),
    "api.indexes.embedding_index": ("build_index_from_embeddings",),
    "api.indexes.index_building": ("build_index",),
    "api.indexes.index_copying": ("IndexCopy", "copy_index"),
    "api.label_audit": ("audit_labels",),
    "api.model_training": ("train",),
    "api.indexes.index_opening": ("open_index",),
    "api.opened_index": ("Index",),
    "api.opened_tiles": ("Tiles", "open_tiles"),
    "api.retrieval_evaluation": ("Evaluation", "evaluate"),
    "api.tile_lists": ("Leaks", "TileLists", "find_leaks", "split"),
    "api.trained_model": ("Model", "load_model"),
    "costs.explanation": ("Explanation",),
    "errors": ("RsretrieveError", "RsretrieveWarning"),
    "network.shipped.shipped_models": ("ShippedModel", "shipped_models"),
    "progress": ("Advanced", "EpochFinished", "Noticed", "StageStarted"),
}


if not TYPE_CHECKING:  # or every name would be an attribute for type checkers

    def __getattr__(name: str) -> object:
        for module, names in _MODULES.items():
            if name in names:
                value = getattr(_import_module(f"rsretrieve.{module}"), name)
                globals()[name] = value
                return value
        raise AttributeError(f"module 'rsretrieve' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
