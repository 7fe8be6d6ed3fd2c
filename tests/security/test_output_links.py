"""A stranger's data set may hold links where a command writes: none leads to a file of the user."""

from __future__ import annotations

from pathlib import Path

import pytest

import rsretrieve
from rsretrieve._core.sealing import write_sealed
from rsretrieve.comparison.comparison_folder import STATE_FILE, ComparisonFolder
from rsretrieve.errors import OutputExists
from rsretrieve.export.run_config import write_config
from tests.conftest import run_here as run
from tests.support.tiles.made_tiles import noise, save_picture

MINE = "alias ll='ls -l'\n"


@pytest.fixture
def tiles(tmp_path: Path) -> Path:
    """A folder of tiles, and beside it a file of the user."""
    (tmp_path / ".bashrc").write_text(MINE)
    for number in range(6):
        save_picture(tmp_path / "ds" / "k" / f"{number}.png", noise((3, 16, 16), seed=number))
    return tmp_path / "ds"


def linked(folder: Path, name: str) -> Path:
    """A link in a folder, to the file of the user."""
    folder.mkdir(exist_ok=True)
    (folder / name).symlink_to("../../.bashrc")
    assert (folder / name).read_text() == MINE
    return folder / name


@pytest.mark.medium
@pytest.mark.parametrize("name", ["train.csv", "val.csv", "test.csv", "config.toml"])
def test_split_writes_through_no_link(tiles: Path, name: str) -> None:
    link = linked(tiles / "splits", name)
    fractions = "--fractions", "0.5,0.25,0.25"
    done = run("split", tiles / "k", "--output", tiles / "splits", *fractions, "--overwrite")
    assert done.code == 0, done.err
    assert (tiles.parent / ".bashrc").read_text() == MINE
    assert not link.is_symlink()
    listed = rsretrieve.open_tiles(tiles / "splits" / "train.csv")
    assert len(listed) == 3  # its paths are relative to its own folder, not to a link's target


@pytest.mark.medium
@pytest.mark.parametrize("name", ["train.csv", "test.csv"])
def test_split_in_python_writes_through_no_link(tiles: Path, name: str) -> None:
    link = linked(tiles / "splits", name)
    lists = rsretrieve.split(tiles / "k", (0.5, 0.25, 0.25))
    lists.to_csv(tiles / "splits", overwrite=True)
    assert (tiles.parent / ".bashrc").read_text() == MINE
    assert not link.is_symlink()


@pytest.mark.medium
def test_a_link_that_is_typed_is_followed(tiles: Path) -> None:
    link = linked(tiles / "splits", "labels.csv")
    given = "--rate", "0.3", "--kind", "uniform", "--output", link, "--overwrite"
    other = save_picture(tiles / "j" / "0.png", noise((3, 16, 16), seed=9))
    assert other.exists()
    done = run("corrupt-labels", tiles, *given)
    assert done.code == 0, done.err
    assert link.is_symlink()
    assert (tiles.parent / ".bashrc").read_text().startswith("tile,label")


def test_files_of_a_folder_are_written_through_no_link(tiles: Path) -> None:
    folder = tiles / "out"
    for name in ("config.toml", "comparison.json", "manifest.json"):
        linked(folder, name)
    write_config(folder, "split", {"seed": 0})
    write_sealed(folder / "manifest.json", {"a": 1})
    ComparisonFolder(folder).save()
    assert (tiles.parent / ".bashrc").read_text() == MINE
    assert not any(path.is_symlink() for path in folder.iterdir())


@pytest.mark.parametrize("name", ["models", "models/a", "queries", "labels", "labels/a.csv"])
def test_a_comparison_is_not_continued_through_links(tiles: Path, name: str) -> None:
    folder = tiles / "comparison"
    (folder / name).parent.mkdir(parents=True)
    ComparisonFolder(folder).save()
    assert ComparisonFolder.opened(folder).path == folder
    (folder / name).symlink_to(tiles)
    with pytest.raises(OutputExists, match="link"):
        ComparisonFolder.opened(folder, overwrite=True)
    assert (folder / STATE_FILE).is_file()
