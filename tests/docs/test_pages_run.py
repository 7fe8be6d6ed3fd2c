"""Every code block of the documentation and of the README runs, or says why it does not."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import typer

from rsretrieve.cli.main import app
from rsretrieve.training.loop import TrainingLoop
from tests.conftest import run_here
from tests.docs.conftest import TINY_NETWORK
from tests.support.doc_blocks import PROGRAM, Block, blocks_of
from tests.support.programs import TRAINING
from tests.support.repository import ROOT

DOCS = ROOT / "docs"
ELSEWHERE = {
    "reference/python.md",  # tests/api/test_docstring_examples.py
    "compare.md",  # the tests of comparisons
}
PAGES = sorted(
    path.relative_to(DOCS).as_posix()
    for path in DOCS.rglob("*.md")
    if path.relative_to(DOCS).as_posix() not in ELSEWHERE
)
SELDOM = {
    *("comparison/other-tools.md", "comparison/from-cleanlab.md", "audit-page.md"),
    *("how-to/audit-labels.md", "how-to/backbones.md", "how-to/split-lists.md"),
    *("how-to/without-a-model.md", "scale/performance.md"),
}
"""Long pages whose commands are also those of other pages or tests: for `make test-exhaustive`."""
LANGUAGES = {"bash", "python", "text", "toml", "javascript", "csv", "json"}
UPKEEP = {"--update", "--verify", "--repair", "--export", "--gpkg"}
OUTPUTS = {
    *("--output", "--page", "--fixed-labels", "--changes", "--sheet", "--geojson", "--plot"),
    *("--geoparquet", "--gpkg", "--csv", "--onnx", "--leaks", "--fiftyone", "--label-studio"),
    *("--noise-matrix", "--similarity-map", "--stac", "--export", "--proposals", "--geotiff"),
}
# A training of a page is as short as that of `examples`.
SHORT = {
    **dict(zip(TRAINING[::2], TRAINING[1::2])),
    **{"--epochs": "2", "--learning-rate": "0.03", "--batch-size": "16", "--dimensions": "16"},
}
SHOWN_NETWORK = "timm/tf_efficientnet_lite0"


def page_of(name: str) -> Path:
    return ROOT / name if name == "README.md" else DOCS / name


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:no model was given")
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.exhaustive) if name in SELDOM else name
        for name in [*PAGES, "README.md"]
    ],
)
def test_the_blocks_of_a_page_run_one_after_another(name: str, folder: Path) -> None:
    names: dict[str, Any] = {}
    for block in blocks_of(page_of(name)):
        if block.title:
            (folder / block.title).write_text(block.text, encoding="utf-8")
        elif block.language == "python" and not block.reason:
            if name != "README.md":  # tests/api/test_docstring_examples.py runs its block
                exec(block.text, names)
        elif not block.reason:
            run_all(block)


def run_all(block: Block) -> None:
    for words in block.commands:
        if words[0] == PROGRAM:
            remove_outputs(words)
            if "--resume" in words:
                interrupt([word for word in words if word != "--resume"])
            ran = run_here(*shortened(words[1:]))
            assert ran.code == block.code, f"{' '.join(words)}\n{ran.err}"


def interrupt(words: Sequence[str]) -> None:
    """Begin a training, and end it as Ctrl-C does after the first epoch."""
    whole = TrainingLoop.run_epoch

    def until(training: TrainingLoop, number: int) -> Any:
        if number:
            raise KeyboardInterrupt
        return whole(training, number)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TrainingLoop, "run_epoch", until)
        assert run_here(*shortened(list(words[1:]))).code == 130


def remove_outputs(words: Sequence[str]) -> None:
    """Remove what a command writes: pages show several ways to write one file."""
    for option, value in pairwise(words):
        kept = option == "--output" and UPKEEP & {*words}
        if option in OUTPUTS and not kept:
            path = Path(value)
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def shortened(words: list[str]) -> list[str]:
    """A command that trains for a moment, if it trains."""
    if "--fail-on-issues" in words:
        # Whether the noise rate can be told with so small a model depends on the processor.
        return [*words, "--budget", "5"]
    words = [word.replace(SHOWN_NETWORK, TINY_NETWORK) for word in words]
    if words[0] != "train" or "--print-config" in words:
        return words
    asked = {option: value for option, value in SHORT.items() if option not in words}
    if "--freeze-backbone" in words or "0" in words:
        del asked["--learning-rate"]
    if {"--freeze-backbone", "--weights", "0"} & {*words}:
        # The weights are random: too few labels would pass the truncation.
        asked["--loss"] = "rnsl"
    return [*words, *(word for pair in asked.items() for word in pair)]


BLOCKS = [(name, block) for name in [*PAGES, "README.md"] for block in blocks_of(page_of(name))]
COMMANDS = [(name, words, block) for name, block in BLOCKS for words in block.commands]


def called(entry: tuple[str, list[str], Block]) -> str:
    name, words, _ = entry
    return f"{name}: {' '.join(words)[:60]}"


@pytest.mark.parametrize("entry", BLOCKS, ids=lambda entry: f"{entry[0]}: {entry[1].language}")
def test_a_block_is_in_a_language_that_is_tested(entry: tuple[str, Block]) -> None:
    assert entry[1].language in LANGUAGES


@pytest.mark.parametrize("entry", COMMANDS, ids=called)
def test_a_command_is_one_that_exists(entry: tuple[str, list[str], Block]) -> None:
    _, words, block = entry
    CHECKS.get(words[0], only_with_a_reason)(words, block)


def parses(words: list[str], block: Block) -> None:
    """Parses every argument and option, and runs nothing."""
    command: Any = typer.main.get_command(app)
    if words[1].startswith("--"):
        command.make_context(PROGRAM, words[1:2], resilient_parsing=True)
    elif not {"--config", "--print-config"} & {*words}:  # these need the files of the page
        command.commands[words[1]].make_context(words[1], words[2:])


def launches_training(words: list[str], block: Block) -> None:
    parses(words[words.index(PROGRAM) :], block)


def is_a_target(words: list[str], block: Block) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = [word for word in words[1:] if "=" not in word]
    assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in targets)


def is_a_script(words: list[str], block: Block) -> None:
    scripts = [word for word in words if word.endswith(".py")]
    assert scripts
    text = "".join(path.read_text("utf-8") for path in (ROOT / scripts[0]).parent.rglob("*.py"))
    options = [word.removeprefix("--") for word in words if word.startswith("--")]
    names = {option: option.replace("-", "_") for option in options}
    assert [o for o in options if not re.search(rf"\b({o}|{names[o]})\b", text)] == []


def installs(words: list[str], block: Block) -> None:
    assert words[1] == "install"
    extras = re.findall(r"\[(\w+)\]", " ".join(words))
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert all(re.search(rf"^{extra} = \[", project, re.MULTILINE) for extra in extras)


def only_with_a_reason(words: list[str], block: Block) -> None:
    assert block.reason, f"{words[0]} is not run, and no comment says why"


CHECKS = {
    PROGRAM: parses,
    "torchrun": launches_training,
    "make": is_a_target,
    "python": is_a_script,
    "pip": installs,
}


def test_few_blocks_are_left_out() -> None:
    left_out = [block for _, block in BLOCKS if block.reason]
    assert len(left_out) <= len(BLOCKS) / 4
    assert all(len(block.reason) > 10 for block in left_out)
