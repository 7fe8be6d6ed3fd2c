"""Which paths are local, and which are passed to GDAL as they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from rsretrieve._core.paths import Location, unchecked_notices

REMOTE = [
    "https://example.org/a/scene.tif",
    "http://127.0.0.1:8000/scene.tif?page=a%2Fb",
    "s3://bucket/scene.tif",
    "/vsicurl/https://example.org/scene.tif",
    "/vsizip//vsicurl/https://example.org/a.zip/scene.tif",
    "/vsis3/bucket/scene.tif",
]
LOCAL = ["scene.tif", "/data/scene.tif", "/vsi/scene.tif", "vsicurl/a.tif", "a:b.tif", "C:/a.tif"]


@pytest.mark.parametrize("path", REMOTE)
def test_urls_and_gdals_file_systems_are_not_local_and_stay_as_they_are(path):
    location = Location.parse(path)
    assert not location.is_local
    assert location.text == location.absolute() == path
    assert location.name == "scene.tif"
    assert location.state() == (-1, -1)


@pytest.mark.parametrize("path", LOCAL)
def test_other_paths_are_local(path):
    location = Location.parse(path)
    assert location.is_local
    assert location.name == path.rsplit("/", 1)[-1]


def test_what_is_not_local_may_take_longer():
    assert Location.parse(LOCAL[0]).time_limit_s < Location.parse(REMOTE[0]).time_limit_s


def test_texts_and_paths_are_parsed_alike():
    assert Location.parse(Path("a/b.tif")) == Location.parse("a/b.tif")


def test_a_folder_is_named_by_where_it_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert Location.parse(".").name == tmp_path.name


def test_a_files_state_is_its_size_and_its_modification_time(tmp_path):
    path = tmp_path / "a.tif"
    path.write_bytes(b"12345")
    assert Location.parse(path).state() == (5, path.stat().st_mtime_ns)
    with pytest.raises(FileNotFoundError):
        Location.parse(tmp_path / "b.tif").state()


def test_an_update_says_what_it_cannot_see():
    assert unchecked_notices(map(Location.parse, ["a.tif", "/data/b.tif"])) == ()
    (notice,) = unchecked_notices(map(Location.parse, ["a.tif", REMOTE[0], REMOTE[0], REMOTE[2]]))
    assert notice.startswith("files behind a URL: 2;")
    assert "--overwrite" in notice
