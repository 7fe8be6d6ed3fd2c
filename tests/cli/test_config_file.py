"""`--config` and `--print-config`: every option of every command, and runs that are repeated."""

from __future__ import annotations

import json
import tomllib
from enum import EnumType
from pathlib import Path

import pytest
import typer

from rsretrieve import enums
from rsretrieve.cli.main import app

PROGRAM = typer.main.get_command(app)
OPTIONS = [
    (name, param)
    for name, command in PROGRAM.commands.items()
    for param in command.params
    if param.name not in ("help", "config", "print_config")
]
BY_NAME = [f"{name} {param.name}" for name, param in OPTIONS]


def key_of(param) -> str:
    return max(param.opts, key=len).lstrip("-")


CHOICES = [
    str(choice) for kind in vars(enums).values() if isinstance(kind, EnumType) for choice in kind
]
CANDIDATES = ["-begins with a dash", "some text", 20, 0.25, "umap", *CHOICES]


def parsed(command: str, *words: object) -> dict[str, object] | None:
    """The parameters that a command is called with; None if one of them is refused."""
    seen: dict[str, object] = {}
    made = PROGRAM.commands[command]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(made, "callback", lambda **given: seen.update(given))
        texts = [command, *map(str, words)]
        try:
            PROGRAM.main(texts, prog_name="rsretrieve", standalone_mode=False)
        except Exception as error:  # click's, or that of the copy inside newer versions of typer
            if type(error).__name__ == "BadParameter":
                return None
            raise
    return {name: value for name, value in seen.items() if name != "config"}


def as_typed(param, value: object) -> list[object]:
    """An option or an argument with a value, on the command line."""
    name = max(param.opts, key=len)
    if param.param_type_name == "argument":
        return ["--", value]
    if value is True:
        return [name]
    return [f"{name}={value}"] if name.startswith("--") else [name, value]


@pytest.mark.parametrize(("command", "param"), OPTIONS, ids=BY_NAME)
def test_every_option_in_a_file_is_the_same_as_typed(command, param, tmp_path):
    others = [
        word
        for other in PROGRAM.commands[command].params
        if other.required and other.name != param.name
        for word in (["0.5"] if other.param_type_name == "argument" else [other.opts[0], "0.5"])
    ]
    is_flag = getattr(param, "is_flag", False)
    taken, changed = 0, False
    for value in [True] if is_flag else CANDIDATES:
        by_hand = parsed(command, *others, *as_typed(param, value))
        if by_hand is None:
            continue
        taken += 1
        several = isinstance(by_hand[param.name], list)
        written = json.dumps([value] if several and taken == 1 else value)
        key = key_of(param) if taken == 1 else key_of(param).replace("-", "_")
        file = tmp_path / "all.toml"
        file.write_text(f"[{command}]\n{key} = {written}\n", encoding="utf-8")
        assert parsed(command, *others, "--config", file) == by_hand
        changed |= param.required or by_hand != parsed(command, *others)
        if taken > 1 and changed:
            break
    assert changed


@pytest.mark.parametrize("command", PROGRAM.commands)
def test_all_options_are_printed(command, run):
    ran = run(command, "--print-config")
    assert ran.code == 0
    (table,) = tomllib.loads(ran.out).values()
    for name, param in OPTIONS:
        if name == command:
            told = key_of(param) in table or f"# {key_of(param)}" in ran.out
            assert told, key_of(param)
    required = [p for p in PROGRAM.commands[command].params if p.required]
    assert not {key_of(param) for param in required} & set(table)


def test_what_is_typed_comes_before_the_file_and_lists_are_not_joined(tmp_path):
    file = tmp_path / "c.toml"
    file.write_text(
        '[train]\ntiles = ["a", "b"]\nepochs = 3\nbands = [3, 2, 1]\nval = ["v"]\nstrict = false\n',
        encoding="utf-8",
    )
    got = parsed("train", "c", "--config", file, "--epochs", "5", "--val", "w")
    assert (got["tiles"], got["epochs"], got["val"]) == (["c"], 5, ["w"])
    assert (got["bands"], got["strict"]) == ("3,2,1", False)
    got = parsed("train", "--config", file, "--epochs", "5", "--")
    assert (got["tiles"], got["epochs"]) == (["a", "b"], 5)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[train]\nepoch = 3", "train has no option 'epoch'"),
        ("[train]\nconfig = 'x'", "train has no option 'config'"),
        ("[train]\nstrict = 'yes'", "strict is true or false, not 'yes'"),
        ("[train]\nepochs = true", "epochs cannot be True"),
        ("[train.epochs]\na = 3", "epochs cannot be {'a': 3}"),
        ("[train]\nepochs = 'many'", "Invalid value for '--epochs'"),
        ("[index]\nrecall = 1", "no table [train]; its tables are index"),
        ("epochs = 3", "no table [train]; it has no table"),
        ("epochs =", "cannot be read as TOML"),
    ],
)
def test_a_file_that_cannot_be_right_is_wrong_usage(text, words, run, tmp_path):
    file = tmp_path / "c.toml"
    file.write_text(text, encoding="utf-8")
    ran = run("train", "tiles", "--config", file)
    assert (ran.code, ran.out) == (2, "")
    assert words in " ".join(ran.err.replace("│", " ").split())


def test_a_missing_file_is_wrong_usage_and_help_needs_none(run, tmp_path):
    assert run("train", "tiles", "--config", tmp_path / "none.toml").code == 2
    assert run("train", "--help", "--config", tmp_path / "none.toml").code == 0


@pytest.mark.slow
def test_a_run_is_repeated_to_the_bit(run, landscape, tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    options = ("--epochs", "2", "--size", "32", "--backbone", "squeezenet1_1", "--weights", "none")
    assert run("train", landscape, *options, "--bands", "3,2,1", "--output", first).code == 0
    config = first / "config.toml"
    assert run("train", "--config", config, "--output", second).code == 0
    weights = [(folder / "model.safetensors").read_bytes() for folder in (first, second)]
    assert weights[0] == weights[1]
    assert run("index", landscape, "--model", first, "--output", tmp_path / "i").code == 0
    config = tmp_path / "i" / "config.toml"
    assert run("index", "--config", config, "--output", tmp_path / "j").code == 0
    for name in ("embeddings.npy", "index.faiss"):
        assert (tmp_path / "i" / name).read_bytes() == (tmp_path / "j" / name).read_bytes()


def test_a_run_writes_its_values_without_secrets(run, landscape, tmp_path):
    assert run("split", landscape, "--output", tmp_path / "lists", "--seed", "5").code == 0
    stored = tomllib.loads(Path(tmp_path / "lists" / "config.toml").read_text())
    assert stored["split"]["seed"] == 5
    assert stored["split"]["fractions"] == "0.7,0.1,0.2"
    assert "overwrite" not in stored["split"]
