"""Only files and folders inside of a folder are removed, whatever names a stranger's list has."""

from __future__ import annotations

import pytest

from rsretrieve._core.folders.own_files import remove_own


@pytest.fixture
def folder(tmp_path):
    """A folder with a file of ours, and beside it a folder of the user that is empty."""
    (tmp_path / "maps" / "inner").mkdir(parents=True)
    (tmp_path / "maps" / "inner" / "a.tif").touch()
    (tmp_path / "users" / "empty").mkdir(parents=True)
    (tmp_path / "maps" / "link").symlink_to(tmp_path / "users")
    return tmp_path / "maps"


@pytest.mark.parametrize(
    "name",
    [
        "../users/empty/x.tif",
        "inner/../../users/empty/x.tif",
        "./../users/empty/x.tif",
        "link/empty/x.tif",
        "{users}/empty/x.tif",
        "/{users}/empty/x.tif",
        "",
        "/",
        "..",
    ],
)
def test_no_name_leads_out_of_the_folder(folder, name):
    users = folder.parent / "users"
    remove_own(folder, {"inner/a.tif", name.format(users=users)})
    assert (users / "empty").is_dir()
    assert [path.name for path in folder.iterdir()] == ["link"]


def test_folders_of_ours_are_removed_even_if_they_were_empty(folder):
    (folder / "link").unlink()
    (folder / "outer" / "middle").mkdir(parents=True)
    remove_own(folder, {"inner/a.tif", "outer/middle/b.tif"})
    assert not folder.exists()
