"""Which paths are local, and which are passed to GDAL as they are."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rsretrieve._core.paths import Location, stack_path, unchecked_notices, without_secrets

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


# Signatures, tokens and passwords

PLAIN = "https://example.org/a/scene.tif"
SIGNED = {
    "AWS 4": "?X-Amz-Algorithm=AWS4&X-Amz-Credential=me%2F2&X-Amz-Date=1&X-Amz-Signature=zz",
    "AWS 2": "?AWSAccessKeyId=me&Expires=17&Signature=zz%3D",
    "CloudFront": "?Policy=zz&Signature=zz&Key-Pair-Id=me",
    "Azure": "?sv=2021-06-08&se=2030-01-01T00%3A00%3A00Z&sr=b&sp=r&skoid=1&sig=zz%3D",
    "Google 4": "?X-Goog-Algorithm=G&X-Goog-Credential=me&X-Goog-Expires=9&X-Goog-Signature=zz",
    "Google 2": "?GoogleAccessId=me&Expires=17&Signature=zz",
    "Alibaba": "?OSSAccessKeyId=me&Expires=17&Signature=zz",
    "token": "?token=zz",
    "access token": "?access_token=zz",
    "Sentinel Hub": "?AUTH_TOKEN=zz",
    "a key": "?api_key=zz&subscription-key=zz",
}


@pytest.mark.parametrize("query", SIGNED.values(), ids=SIGNED.keys())
@pytest.mark.parametrize("start", ["", "/vsicurl/"])
def test_signatures_and_tokens_are_removed(query: str, start: str) -> None:
    assert without_secrets(f"{start}{PLAIN}{query}") == start + PLAIN


@pytest.mark.parametrize("query", SIGNED.values(), ids=SIGNED.keys())
def test_what_names_the_file_and_the_window_stays(query: str) -> None:
    named = f"{PLAIN}?item=7&{query[1:]}&band=sp#64,0,32,32"
    assert without_secrets(named) == f"{PLAIN}?item=7&band=sp#64,0,32,32"


@pytest.mark.parametrize(
    "url",
    [
        PLAIN,
        f"{PLAIN}?collection=a&sp=3&st=4",  # Azure's names, without a signature
        "abfss://container@account.dfs.core.windows.net/a.tif",
        "s3://bucket/a@2x.tif",
        "/vsis3/bucket/scene.tif",
    ],
)
def test_other_names_stay_as_they_are(url: str) -> None:
    assert without_secrets(url) == url


def test_users_and_passwords_are_removed() -> None:
    assert without_secrets("https://me:pass@example.org/a/scene.tif") == PLAIN
    assert without_secrets("https://ghp_token@example.org/a/scene.tif") == PLAIN
    assert without_secrets("ftp://me:pass@example.org/a.tif") == "ftp://example.org/a.tif"


def test_a_url_inside_gdals_options_is_cleaned() -> None:
    asked = "/vsicurl?header.Authorization=Bearer%20zz&url=https%3A%2F%2Fa.org%2Fb.tif%3Fsig%3Dzz"
    assert without_secrets(asked) == "/vsicurl?url=https%3A%2F%2Fa.org%2Fb.tif"


def test_a_stack_names_its_files_and_survives_writing(tmp_path):
    names = ['a "b", c.tif', "d/é.tif", "https://e.org/f.tif?x=[1]"]
    location = Location.parse(stack_path(names))
    assert location.stack == location.files == tuple(names)
    assert not location.is_local
    local = Location.parse(stack_path(names[:2]))
    assert local.is_local
    assert Location.parse(local.below("/away")).stack == ('/away/a "b", c.tif', "/away/d/é.tif")
    assert Location.parse(local.absolute()).stack == tuple(map(os.path.abspath, names[:2]))
    for size, name in enumerate(("a", "b"), 3):
        (tmp_path / name).write_bytes(b"x" * size)
        os.utime(tmp_path / name, ns=(0, size))
    files = [str(tmp_path / "a"), str(tmp_path / "b")]
    assert Location.parse(stack_path(files)).state() == (7, 4)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "stack:",
            "stack:[]",
            "stack:{}",
            "stack:[1]",
            'stack:[""]',
            'stack:"a"',
            "stack:[" * 9999,
        ),
        'stack:["stack:[\\"a\\"]"]',
        'stack:["a"',
    ],
)
def test_what_is_no_stack_is_a_plain_path(text):
    location = Location.parse(text)
    assert (location.stack, location.is_local) == ((), True)
