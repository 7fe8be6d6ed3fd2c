"""The text of `config.toml`."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from rsretrieve.enums import LossName
from rsretrieve.errors import OutputExists
from rsretrieve.export.run_config import config_text, write_config


def test_values_come_back_and_secrets_do_not(tmp_path: Path) -> None:
    options = {
        "tiles": ["a", 'b "quoted"', "https://host.org/a.tif?token=abc&band=3"],
        "loss": LossName.RNSL,
        "output": Path("some/where"),
        "rate": 0.1,
        "epochs": 3,
        "labels": None,
    }
    write_config(tmp_path, "train", options)
    text = (tmp_path / "config.toml").read_text(encoding="utf-8")
    assert "abc" not in text
    assert tomllib.loads(text) == {
        "train": {
            "tiles": ["a", 'b "quoted"', "https://host.org/a.tif?band=3"],
            "loss": "rnsl",
            "output": "some/where",
            "rate": 0.1,
            "epochs": 3,
        }
    }


def test_a_file_that_is_there_is_replaced_only_if_that_is_allowed(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text("# my notes\n", encoding="utf-8")
    with pytest.raises(OutputExists, match=r"config\.toml"):
        write_config(tmp_path, "split", {"seed": 1}, overwrite=False)
    assert path.read_text(encoding="utf-8") == "# my notes\n"
    write_config(tmp_path, "split", {"seed": 1}, overwrite=True)
    assert tomllib.loads(path.read_text(encoding="utf-8")) == {"split": {"seed": 1}}


def test_values_that_no_file_can_hold_are_named(tmp_path: Path) -> None:
    write_config(tmp_path, "train", {"seed": 1}, objects=["val"])
    text = (tmp_path / "config.toml").read_text(encoding="utf-8")
    assert "# val is missing" in text
    assert tomllib.loads(text) == {"train": {"seed": 1}}


def test_options_without_a_value_are_comments() -> None:
    text = config_text("index", {"seed": 0}, {"recall": "0.95", "labels": ""})
    assert text.splitlines() == ["[index]", "seed = 0", "# recall (default: 0.95)", "# labels"]
