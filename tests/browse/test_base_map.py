"""A base map: what the user may type, and which files of a folder are served."""

from __future__ import annotations

import os

import pytest
from PIL import Image

from rsretrieve.browse.app import Extras, make_app
from rsretrieve.browse.base_map import BaseMap
from rsretrieve.errors import InputError, InvalidArgument
from tests.browse.conftest import TOKEN
from tests.browse.requests import asked


@pytest.fixture
def tiles(tmp_path):
    """Tiles of zoom levels 1 and 3; a secret beside them, and links to it."""
    folder = tmp_path / "tiles"
    for zoom, column, row in ((1, 0, 0), (1, 1, 1), (3, 7, 2)):
        (folder / str(zoom) / str(column)).mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4), (zoom, column, row)).save(folder / f"{zoom}/{column}/{row}.png")
    secret = tmp_path / "secret.png"
    Image.new("RGB", (4, 4)).save(secret)
    (folder / "1/0/1.png").symlink_to(secret)
    (folder / "3/0").symlink_to(tmp_path)
    (tmp_path / "0.png").write_bytes(secret.read_bytes())
    (folder / "3/7/0.png").write_text("<script>no picture</script>")
    (folder / "3/7/1.png").symlink_to(folder / "3/7/1.png")
    os.mkfifo(folder / "3/7/4.png")
    (folder / "3/7/5.png").mkdir()
    return folder


def test_a_folder_has_its_zoom_levels_and_tiles(tiles):
    base = BaseMap.parse(str(tiles))
    assert base.facts() == {"tiles": "base/{z}/{x}/{y}", "origin": "", "zooms": [1, 3]}
    content, kind = base.tile(3, 7, 2)
    assert content == (tiles / "3/7/2.png").read_bytes()
    assert kind == "image/png"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tiles.parent)
        assert BaseMap.parse("tiles/").tile(3, 7, 2) == (content, kind)
        patch.chdir(tiles)
        assert BaseMap.parse("{z}/{x}/{y}.png").tile(3, 7, 2) == (content, kind)


def test_rows_can_be_counted_from_the_south(tiles):
    base = BaseMap.parse(f"{tiles}/{{z}}/{{x}}/{{-y}}.png")
    assert base.tile(3, 7, 5)[0] == (tiles / "3/7/2.png").read_bytes()
    assert base.tile(3, 7, 2) is None


def test_other_kinds_of_pictures_are_found_by_their_suffix(tmp_path):
    (tmp_path / "0/0").mkdir(parents=True)
    Image.new("RGB", (4, 4)).save(tmp_path / "0/0/0.webp")
    assert BaseMap.parse(str(tmp_path)).tile(0, 0, 0)[1] == "image/webp"
    with pytest.raises(InvalidArgument):
        BaseMap.parse(f"{tmp_path}/{{z}}/{{x}}/{{y}}.svg")


@pytest.mark.parametrize(
    "place",
    [
        (1, 0, 1),  # a link that leads out
        (3, 0, 0),  # a folder that leads out
        (3, 7, 0),  # no picture
        (3, 7, 1),  # a link to itself
        (3, 7, 4),  # a pipe, which would never end
        (3, 7, 5),  # a folder
        (2, 0, 0),
        (1, 2, 0),
        (1, 0, 2),
        (25, 0, 0),
        (10**9, 0, 0),
        (-1, 0, 0),
        (1, -1, 0),
    ],
)
def test_nothing_else_is_read(tiles, place):
    assert BaseMap.parse(str(tiles)).tile(*place) is None


@pytest.mark.parametrize(
    "path",
    [
        "base/1/0/../../../secret.png",
        "base/../secret.png",
        "base/1/0/%2e%2e",
        "base/1/0/0.png",
        "base/1/0",
        "base//1/0/0",
        "base/1/0/-1",
        "base/1/0/0/0",
    ],
)
def test_no_path_leads_out_of_the_folder(view, kept, tiles, path):
    app = make_app(view, kept, TOKEN, extras=Extras(base_map=BaseMap.parse(str(tiles))))
    answer = asked(app, f"/{TOKEN}/{path}")
    assert answer.status == 404
    assert not answer.body.startswith(b"\x89PNG")


def test_tiles_are_served_and_missing_ones_are_no_error(view, kept, tiles):
    app = make_app(view, kept, TOKEN, extras=Extras(base_map=BaseMap.parse(str(tiles))))
    answer = asked(app, f"/{TOKEN}/base/1/1/1")
    assert answer.body == (tiles / "1/1/1.png").read_bytes()
    assert answer.headers["content-type"] == "image/png"
    assert asked(app, f"/{TOKEN}/base/1/1/0").status == 204
    assert asked(app, "/wrong/base/1/1/1").status == 403
    assert asked(app, f"/{TOKEN}/facts").json["base_map"]["zooms"] == [1, 3]


def test_an_address_is_taken_as_typed():
    base = BaseMap.parse("https://Tiles.Example/v1/{z}/{x}/{-y}.png?key=a,b")
    assert base.origin == "https://tiles.example"
    assert base.facts()["tiles"] == "https://Tiles.Example/v1/{z}/{x}/{-y}.png?key=a,b"
    assert base.tile(0, 0, 0) is None
    assert BaseMap.parse("http://127.0.0.1:80/{z}/{x}/{y}").origin == "http://127.0.0.1:80"


@pytest.mark.parametrize(
    ("server", "reason"),
    [
        ("http://[::1]:8999", "IPv6"),
        ("https://[2001:db8::1]", "IPv6"),
        ("http://tile_server:8080", "underscore"),
        ("https://a_b.example", "underscore"),
        ("https://user:hidden@h.de", "user or a password"),
        ("https://user@h.de:8080", "user or a password"),
    ],
)
def test_a_host_that_no_browser_allows_for_pictures_is_refused_with_the_reason(server, reason):
    with pytest.raises(InvalidArgument, match=reason) as refused:
        BaseMap.parse(f"{server}/{{z}}/{{x}}/{{y}}.png")
    assert "hidden" not in str(refused.value)
    assert "no http" not in str(refused.value)


@pytest.mark.parametrize(
    "text",
    [
        "https://tiles.example/{z}/{x}.png",
        "https://tiles.example/{z}/{x}/{y}/{-y}.png",
        "https://{s}.tiles.example/{z}/{x}/{y}.png",
        "https://tiles.example/{q}/{z}/{x}/{y}.png",
        "https://tiles.example; script-src */{z}/{x}/{y}.png",
        "https://*.example/{z}/{x}/{y}.png",
        "https://me:secret@tiles.example/{z}/{x}/{y}.png",
        "https:///{z}/{x}/{y}.png",
        "ftp://tiles.example/{z}/{x}/{y}.png",
        "javascript://tiles.example/{z}/{x}/{y}",
        "file:///etc/{z}/{x}/{y}.png",
        "{z}",
        "tiles/{z}-{x}-{y}.png",
    ],
)
def test_what_is_no_base_map_is_refused(text):
    with pytest.raises(InvalidArgument):
        BaseMap.parse(text)


def test_a_folder_without_tiles_is_refused(tmp_path):
    with pytest.raises(InputError, match="zoom level"):
        BaseMap.parse(str(tmp_path))
    with pytest.raises(InputError):
        BaseMap.parse(str(tmp_path / "none"))
