"""Every example of the interface's docstrings, of its page and of the README runs."""

from __future__ import annotations

import doctest
import inspect
import re
from functools import partial

import numpy as np
import pytest

import rsretrieve
from rsretrieve.api.arguments import argument_names
from rsretrieve.api.tables.index_tables import IndexTables
from tests.api.conftest import LEARNED, MAY_BE_UNSURE
from tests.support.repository import ROOT

FUNCTIONS = [name for name in rsretrieve.__all__ if inspect.isfunction(getattr(rsretrieve, name))]
CLASSES = [name for name in rsretrieve.__all__ if inspect.isclass(getattr(rsretrieve, name))]
FINDER = doctest.DocTestFinder(exclude_empty=True, recurse=True)
# An example that leaves the choice of the embedding to the package is told of it.
pytestmark = [MAY_BE_UNSURE, pytest.mark.filterwarnings("ignore:no model was given")]
PAGE, README = ROOT / "docs" / "reference" / "python.md", ROOT / "README.md"
EXAMPLES = [
    example
    for name in (*FUNCTIONS, *CLASSES)
    for example in FINDER.find(getattr(rsretrieve, name), name, module=False, globs={})
    if example.examples
]
EXAMPLES += FINDER.find(IndexTables, "Index", module=False, globs={})
EXAMPLES += FINDER.find(argument_names, "argument_names")


@pytest.mark.parametrize("name", [*FUNCTIONS, *CLASSES])
def test_everything_public_has_an_example(name):
    assert name in {example.name for example in EXAMPLES}


def members_of(name):
    """The public methods and properties of a class that this package defines."""
    kind = getattr(rsretrieve, name)
    for base in kind.__mro__:
        if base.__module__.startswith("rsretrieve"):
            for member, value in vars(base).items():
                plain = getattr(value, "fget", None) or getattr(value, "func", None) or value
                plain = getattr(plain, "__func__", plain)
                if not member.startswith("_") and inspect.isfunction(plain):
                    yield member, plain, value


MEMBERS = [(name, *found) for name in CLASSES for found in members_of(name)]


@pytest.mark.parametrize("name", rsretrieve.__all__)
def test_everything_public_is_documented(name):
    assert getattr(rsretrieve, name).__doc__.strip()


@pytest.mark.parametrize(("name", "member", "function", "_value"), MEMBERS)
def test_every_member_is_documented(name, member, function, _value):
    assert (function.__doc__ or "").strip()


@pytest.mark.parametrize(
    ("name", "member"),
    [(name, member) for name, member, plain, value in MEMBERS if value is plain],
)
def test_every_method_is_in_an_example(name, member):
    shown = [
        line.source
        for example in EXAMPLES
        if example.name.partition(".")[0] == name
        for line in example.examples
    ]
    assert any(f".{member}(" in source for source in shown)


@pytest.mark.medium
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_an_example_gives_what_it_says(example, workplace):
    said: list[str] = []
    runner = doctest.DocTestRunner(verbose=False)
    example.globs = {**example.globs}
    runner.run(example, out=said.append)
    assert runner.failures == 0, "".join(said)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_function_describes_its_arguments_its_result_and_its_errors(name):
    function = getattr(rsretrieve, name)
    documented = inspect.getdoc(function)
    parameters = inspect.signature(function).parameters
    headings = ("Args:", "Returns:", "Raises:", "Example:")
    for heading in headings if parameters else ("Returns:", "Example:"):
        assert f"\n{heading}\n" in documented, heading
    for argument in parameters:
        assert re.search(rf"^    \**{argument}: ", documented, re.MULTILINE), argument


def python_blocks(text: str) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


@pytest.fixture
def quick(workplace, monkeypatch):
    """A training is short, and the files that the texts name are there."""
    monkeypatch.setattr(rsretrieve, "train", partial(rsretrieve.train, **LEARNED))
    (workplace / "example.tif").symlink_to(next((workplace / "tiles").glob("beach/*")))
    np.save(workplace / "vectors.npy", np.eye(6, 4) + 0.1)
    (workplace / "models" / "mine").rename(workplace / "models" / "before")
    (workplace / "index").rename(workplace / "index_before")
    return workplace


@pytest.mark.medium
def test_five_lines_of_the_readme_train_index_query_and_audit(quick):
    section = README.read_text(encoding="utf-8").partition("\n## Python\n")[2].partition("\n## ")[0]
    [block] = python_blocks(section)
    lines = [line for line in block.splitlines() if line and not line.startswith("import ")]
    assert len(lines) <= 5
    names: dict[str, object] = {}
    exec(block, names)
    assert (quick / "models" / "mine" / "model.json").is_file()
    assert len(names["index"]) == 144
    assert len(names["hits"]) == 10
    assert names["audit"].table.num_rows == 144
    assert (quick / "audit.html").stat().st_size > 10_000


@pytest.mark.medium
def test_the_blocks_of_the_page_run_one_after_another(quick, monkeypatch):
    def trained_before(*arguments, **options):
        inspect.signature(train).bind(*arguments, **options)
        return rsretrieve.load_model("models/before")

    train = rsretrieve.train  # the README's test trains; here that would take too long
    monkeypatch.setattr(rsretrieve, "train", trained_before)
    names: dict[str, object] = {}
    blocks = python_blocks(PAGE.read_text(encoding="utf-8"))
    assert len(blocks) >= 5
    for block in blocks:
        exec(block, names)


def test_the_page_lists_every_public_name():
    page = PAGE.read_text(encoding="utf-8")
    assert [name for name in rsretrieve.__all__ if f"`{name}" not in page] == []
