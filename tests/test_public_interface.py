"""What `rsretrieve` offers to Python: its names and signatures, and what importing it costs."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys

import pytest

import rsretrieve
from tests.support.repository import PACKAGE

NAMES = {
    *("Tiles", "Model", "Index", "Hit", "Hits", "AuditResult", "Evaluation"),
    *("open_tiles", "train", "load_model", "open_index", "audit_labels", "evaluate"),
    *("build_index", "build_index_from_embeddings", "split", "find_leaks", "TileLists", "Leaks"),
    *("explain", "Explanation", "copy_index", "IndexCopy"),
    *("find", "Finder", "Proposed", "change", "Changes"),
    *("compare", "Comparison", "corrupt_labels"),
    *("RsretrieveError", "RsretrieveWarning", "ShippedModel", "shipped_models"),
    *("StageStarted", "Advanced", "Noticed", "EpochFinished"),
}
REPORTED = {"strict": False, "progress": None}
EMBEDDING = {"weights": None, "backbone": None}
GOAL = {"index": "auto", "recall": None, "memory": None, "append_only": False}
REQUIRED = inspect.Parameter.empty
SIGNATURES = {
    "open_tiles": (
        {"source": REQUIRED},
        {
            **{"labels": None, "window": None, "stride": None, "resolution": None},
            **{
                "edges": "drop",
                "max_nodata": 0.5,
                "max_windows": 50_000_000,
                "assets": None,
                "stack": None,
            },
            **{"trust_sources": False, **REPORTED},
        },
    ),
    "train": (
        {"tiles": REQUIRED, "output": REQUIRED},
        {
            **{"recipe": "robust", "validation": None, "overwrite": False, "resume": False},
            **{"device": "auto", "seed": 0, "log_dir": None, **REPORTED},
        },
    ),
    "compare": (
        {"tiles": REQUIRED, "output": REQUIRED},
        {
            **{"test": REQUIRED, "vary": REQUIRED, "seeds": 3, "gallery": None, "truth": None},
            **{"baseline": None, "metric": "map", "detect": 0.01, "labels": None, "noise": None},
            **{"recipe": "robust", "validation": None, "seed": 0, "overwrite": False},
            **{"device": "auto", **REPORTED},
        },
    ),
    "corrupt_labels": (
        {"tiles": REQUIRED, "rate": REQUIRED},
        {
            **{"kind": "uniform", "table": None, "model": None, "exact": False, "seed": 0},
            **{"device": "auto", **REPORTED},
        },
    ),
    "shipped_models": ({}, {}),
    "load_model": ({"path": REQUIRED}, {"device": "auto"}),
    "build_index": (
        {"tiles": REQUIRED, "model": REQUIRED, "output": REQUIRED},
        {
            **{**GOAL, **EMBEDDING, "seed": 0},
            **{"engine": "local", "address": None, "shards": None, "workers": None},
            **{"shard_folder": None},
            **{"update": False, "overwrite": False, "device": "auto", **REPORTED},
        },
    ),
    "build_index_from_embeddings": (
        {"embeddings": REQUIRED, "output": REQUIRED},
        {
            **{"tiles": None, **GOAL, "id_column": None, "vector_column": None},
            **{"dimensions": None, "window": None, "stride": None, "update": False},
            **{"changes_only": False, "overwrite": False, "device": "auto", **REPORTED},
        },
    ),
    "open_index": ({"path": REQUIRED}, {"model": None, "device": "auto"}),
    "audit_labels": (
        {"tiles": REQUIRED, "model": None},
        {
            **{"embeddings": None, **EMBEDDING, "decisions": None, "truth": None, "against": None},
            **{"expected_precision": None, "budget": None},
            **{"cross_fit": 5, "fix_precision": 0.95, "seed": 0, "device": "auto", **REPORTED},
        },
    ),
    "copy_index": (
        {"source": REQUIRED, "target": REQUIRED},
        {"overwrite": False, "progress": None},
    ),
    "explain": (
        {"tiles": None, "model": None},
        {
            **{
                "commands": ("index", "query"),
                "at_scale": None,
                "dimensions": 128,
                "index": "auto",
                "recall": None,
            },
            **{"memory": None, "output": "", "dollars_per_hour": None, "device": "auto"},
            "progress": None,
        },
    ),
    "split": (
        {"tiles": REQUIRED, "fractions": (0.7, 0.1, 0.2)},
        {
            **{"by_scene": False, "by_place": False, "buffer_m": 0.0},
            **{"window": None, "stride": None, "seed": 0, **REPORTED},
        },
    ),
    "find_leaks": ({"lists": REQUIRED}, REPORTED),
    "find": (
        {"index": REQUIRED, "like": (), "unlike": ()},
        {
            **{"session": REQUIRED, "min_probability": 0.5, "target_precision": 0.9},
            **{"target_recall": 0.8, "seed": None, "device": "auto", "trust_sources": False},
            "progress": None,
        },
    ),
    "change": (
        {"before": REQUIRED, "after": None},
        {"before_dates": None, "after_dates": None, "seed": 0, "progress": None},
    ),
    "Finder.propose": ({"self": REQUIRED, "count": 10}, {}),
    "Finder.answer": ({"self": REQUIRED, "answers": REQUIRED}, {}),
    "Finder.to_labels": (
        {"self": REQUIRED, "path": REQUIRED, "label": REQUIRED},
        {"overwrite": False},
    ),
    "Changes.to_geotiff": ({"self": REQUIRED, "path": REQUIRED}, {"overwrite": False}),
    "evaluate": (
        {"index": REQUIRED, "queries": None},
        {"truth": None, "model": None, "expand": False} | {"seed": 0, "device": "auto", **REPORTED},
    ),
    "Index.search": (
        {"self": REQUIRED, "query": REQUIRED, "k": 10},
        {
            **{"labels": None, "bbox": None, "within": None, "datetime": None},
            **{"min_similarity": None},
            **{"exclude_self": False, "distinct_scene": False, "fold_duplicates": False},
            **{"duplicate_similarity": None, "no_overlap": False, "expand": False},
            **{"trust_sources": False, "progress": None},
        },
    ),
    "Index.similarity_map": (
        {"self": REQUIRED, "query": REQUIRED, "output": REQUIRED},
        {"expand": False, "trust_sources": False, "overwrite": False, "progress": None},
    ),
    "Index.export": ({"self": REQUIRED, "path": REQUIRED}, {"stac": None, "overwrite": False}),
    "Model.embed": ({"self": REQUIRED, "tiles": REQUIRED}, REPORTED),
    "Model.export_onnx": (
        {"self": REQUIRED, "path": REQUIRED},
        {"opset": 18, "overwrite": False, "progress": None},
    ),
    "AuditResult.to_html": (
        {"self": REQUIRED, "path": REQUIRED},
        {"tiles": 2000, "overwrite": False, "progress": None},
    ),
    "AuditResult.to_csv": ({"self": REQUIRED, "path": REQUIRED}, {"overwrite": False}),
    "AuditResult.fixed_labels": ({"self": REQUIRED, "path": None}, {"overwrite": False}),
    "Hits.to_sheet": (
        {"self": REQUIRED, "path": REQUIRED},
        {"overwrite": False, "trust_sources": False},
    ),
}
MEMBERS = {
    "Tiles": "class_names failures inputs select source tile_set to_dataframe with_labels",
    "TileLists": "as_dict fractions left_out test to_csv train val",
    "Leaks": "summary to_csv to_dataframe",
    "Model": "class_names dimensions embed export_onnx failures fingerprint loaded path",
    "Index": "class_names embeddings export failures path search similarity_map store "
    "to_dataframe to_geodataframe verify",
    "Explanation": "dollars to_json",
    "Finder": "answer answers estimate is_enough path proposals propose to_csv to_dataframe "
    "to_geodataframe to_geojson to_geoparquet to_labels to_proposals to_sheet",
    "Changes": "alone_after alone_before found shift to_csv to_dataframe to_geodataframe "
    "to_geojson to_geoparquet to_geotiff to_sheet",
    "Hits": "count expanded index query to_dataframe to_geodataframe to_json to_sheet",
    "AuditResult": "audit failures fixed_labels issues leaks noise_interval noise_rate table "
    "to_csv to_dataframe to_html wrong_labels_left wrong_labels_left_interval",
}
HEAVY = {
    *("numpy", "torch", "torchvision", "timm", "faiss", "rasterio", "pyarrow", "pystac"),
    *("matplotlib", "PIL", "pandas", "geopandas", "shapely", "onnxruntime", "typer", "rich"),
}


def test_the_public_names_are_these():
    assert set(rsretrieve.__all__) == NAMES
    assert rsretrieve.__all__ == sorted(rsretrieve.__all__)
    assert {*dir(rsretrieve)} >= {*NAMES, "__version__"}


@pytest.mark.parametrize("name", sorted(NAMES))
def test_a_public_name_is_there_and_is_called_so(name):
    assert getattr(rsretrieve, name).__name__ == name


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no_such_name"):
        rsretrieve.no_such_name  # noqa: B018


@pytest.mark.parametrize("name", SIGNATURES)
def test_a_signature_is_kept(name):
    found = rsretrieve
    for part in name.split("."):
        found = getattr(found, part)
    parameters = inspect.signature(found).parameters.values()
    plain = {p.name: p.default for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD}
    by_name = {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}
    assert (plain, by_name) == SIGNATURES[name]


@pytest.mark.parametrize("name", MEMBERS)
def test_the_members_of_a_class_are_kept(name):
    kind = getattr(rsretrieve, name)
    attributes = {
        node.attr
        for node in ast.walk(ast.parse(inspect.getsource(kind)))
        if isinstance(node, ast.Attribute)
        and isinstance(node.ctx, ast.Store)
        and ast.unparse(node.value) == "self"
    }
    public = {member for member in {*dir(kind), *attributes} if not member.startswith("_")}
    assert public == {*MEMBERS[name].split()}


def test_type_checkers_see_what_is_loaded_lazily():
    tree = ast.parse((PACKAGE / "__init__.py").read_text(encoding="utf-8"))
    [shown] = [n for n in tree.body if isinstance(n, ast.If) and ast.unparse(n.test).isidentifier()]
    imported = {
        (f"rsretrieve.{module}", name)
        for module, names in rsretrieve._MODULES.items()
        for name in names
    }
    assert imported == {(node.module, alias.name) for node in shown.body for alias in node.names}
    assert {name for _, name in imported} == NAMES


def loaded_after(code: str) -> set[str]:
    """The modules that a new interpreter has loaded after some code, by their first names."""
    program = f"import sys; before = set(sys.modules)\n{code}\nprint(*set(sys.modules) - before)"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    return set(ran.stdout.split())


def test_importing_loads_nothing_of_weight():
    loaded = loaded_after("import rsretrieve; dir(rsretrieve); rsretrieve.__version__")
    assert {name for name in loaded if name.startswith("rsretrieve")} == {"rsretrieve"}
    assert not loaded & HEAVY
    assert len(loaded) < 40


def test_errors_and_events_load_nothing_of_weight():
    loaded = loaded_after("from rsretrieve import RsretrieveError, RsretrieveWarning, Noticed")
    assert not loaded & HEAVY


def test_tiles_are_found_without_pytorch():
    assert "torch" not in loaded_after("from rsretrieve import open_tiles")


def public_parts(tree: ast.AST) -> list[ast.AST]:
    """The module itself, and its classes, functions and methods with public names."""
    found = [tree] if isinstance(tree, ast.Module) else []
    for node in ast.iter_child_nodes(tree):
        named = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        overloads = [ast.unparse(one) for one in getattr(node, "decorator_list", ())]
        if named and not node.name.startswith("_") and "overload" not in overloads:
            found.append(node)
            found += public_parts(node) if isinstance(node, ast.ClassDef) else []
    return found


@pytest.mark.parametrize(
    "package", sorted(path.name for path in PACKAGE.iterdir() if path.is_dir())
)
def test_every_public_name_of_the_package_has_a_docstring(package):
    """Of modules whose name begins with `_`, too, which ruff leaves out."""
    for path in (PACKAGE / package).rglob("*.py"):
        parts = public_parts(ast.parse(path.read_text(encoding="utf-8")))
        bare = [getattr(part, "name", "module") for part in parts if not ast.get_docstring(part)]
        assert not bare, path
