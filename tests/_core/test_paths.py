"""What lies on this machine's disk, and what is GDAL's to find."""

from __future__ import annotations

import pytest

from rsretrieve._core.paths import absolute, file_state, is_elsewhere, name_of, unchecked_notices

ELSEWHERE = [
    "https://example.org/a/scene.tif",
    "http://127.0.0.1:8000/scene.tif?token=a%2Fb",
    "s3://bucket/scene.tif",
    "/vsicurl/https://example.org/scene.tif",
    "/vsizip//vsicurl/https://example.org/a.zip/scene.tif",
    "/vsis3/bucket/scene.tif",
]
HERE = ["scene.tif", "/data/scene.tif", "/vsi/scene.tif", "vsicurl/a.tif", "a:b.tif", "C:/a.tif"]


@pytest.mark.parametrize("path", ELSEWHERE)
def test_urls_and_gdals_file_systems_are_elsewhere_and_left_as_they_are(path):
    assert is_elsewhere(path)
    assert absolute(path) == path
    assert name_of(path) == "scene.tif"
    assert file_state(path) == (-1, -1)


@pytest.mark.parametrize("path", HERE)
def test_other_paths_are_on_the_disk(path):
    assert not is_elsewhere(path)
    assert name_of(path) == path.rsplit("/", 1)[-1]


def test_a_folder_is_named_by_where_it_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert name_of(".") == tmp_path.name


def test_a_files_state_is_its_size_and_its_time_of_change(tmp_path):
    path = tmp_path / "a.tif"
    path.write_bytes(b"12345")
    assert file_state(str(path)) == (5, path.stat().st_mtime_ns)
    with pytest.raises(FileNotFoundError):
        file_state(str(tmp_path / "b.tif"))


def test_an_update_says_what_it_cannot_see():
    assert unchecked_notices(["a.tif", "/data/b.tif"]) == ()
    (notice,) = unchecked_notices(["a.tif", ELSEWHERE[0], ELSEWHERE[0], ELSEWHERE[2]])
    assert notice.startswith("files behind a URL: 2; these have no time of change")
    assert "--overwrite" in notice
