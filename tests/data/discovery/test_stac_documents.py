"""STAC collections, catalogues and item collections: which items they lead to, and where not."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from rsretrieve.data.discovery import stac_documents
from rsretrieve.data.discovery.find_tiles import find_tiles
from rsretrieve.data.discovery.json_documents import place_of
from rsretrieve.data.discovery.left_out import LeftOut
from rsretrieve.data.discovery.stac_documents import Links
from rsretrieve.data.run_context import RunContext
from rsretrieve.data.windowing import SceneChoices
from rsretrieve.errors import InputError, NoUsableTiles, TileError, TilesNotFound

TIFF = "image/tiff; application=geotiff"


def item(item_id, href="./scene.tif", **more):
    return {
        **{"type": "Feature", "stac_version": "1.0.0", "id": item_id, "geometry": None},
        **{"properties": {"datetime": "2024-01-01T00:00:00Z"}, "links": []},
        "assets": {"visual": {"href": href, "type": TIFF}},
        **more,
    }


def catalogue(*links, kind="Catalog", **more):
    listed = [{"rel": relation, "href": href} for relation, href in links]
    return {"type": kind, "stac_version": "1.0.0", "id": "c", "links": listed, **more}


def features(*items, **more):
    return {"type": "FeatureCollection", "features": list(items), **more}


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


def found(source, **scenes):
    context = RunContext()
    tiles = find_tiles(source, scenes=SceneChoices(**scenes), context=context)
    return [(tile.id, tile.path) for tile in tiles], [
        (bad.tile_id, bad.reason) for bad in context.failures
    ]


@contextmanager
def served(pages):
    """A server of JSON documents; yields its address and what it was asked."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            page = pages(self.path, self.server.url)
            if isinstance(page, str):
                self.send_response(302)
                self.send_header("Location", page)
                self.end_headers()
                return
            body = json.dumps(page).encode()
            self.send_response(200 if page is not None else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.url = f"http://127.0.0.1:{server.server_address[1]}"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.url, asked
        server.shutdown()


def test_an_item_collection_is_read_item_by_item(tmp_path):
    path = write(tmp_path / "search.json", features(item("a", "d/a.tif"), item("b", "/data/b.tif")))
    tiles, failures = found(path)
    assert tiles == [
        ("search.json/a/visual", str(tmp_path / "d" / "a.tif")),
        ("search.json/b/visual", "/data/b.tif"),
    ]
    assert failures == []


def test_a_catalogue_leads_to_the_items_of_its_collections(tmp_path):
    root = write(
        tmp_path / "catalog.json",
        catalogue(
            ("root", "./catalog.json"), ("child", "./sea/collection.json"), ("item", "x.json")
        ),
    )
    write(
        tmp_path / "sea" / "collection.json",
        catalogue(("parent", "../catalog.json"), ("item", "./i/1.json"), kind="Collection"),
    )
    write(tmp_path / "sea" / "i" / "1.json", item("one", "../one.tif"))
    write(tmp_path / "x.json", item("x"))
    write(tmp_path / "not_linked.json", item("other"))
    tiles, failures = found(root)
    assert tiles == [
        ("sea/i/1.json/visual", str(tmp_path / "sea" / "one.tif")),
        ("x.json/visual", str(tmp_path / "scene.tif")),
    ]
    assert failures == []
    assert found(tmp_path / "sea" / "collection.json")[0] == [
        ("i/1.json/visual", str(tmp_path / "sea" / "one.tif"))
    ]


def test_one_bad_item_never_ends_the_search(tmp_path):
    bad = [
        item("no_asset", assets={}),
        item("numbers", assets={"visual": {"href": 7}}),
        item("roles", assets={"visual": {"href": "a.tif", "roles": [{}]}}),
        item("media", assets={"visual": {"href": "a.tif", "type": ["image/tiff"]}}),
        {"type": "Feature", "assets": {"visual": {"href": "a.tif"}}, "id": "bare"},
        item("no_time", properties={}),
        item("address", "http://[bad/a.tif"),
        item("list", assets=["a.tif"]),
        17,
        None,
    ]
    path = write(tmp_path / "c.json", features(*bad, item("good"), item("good", "other.tif")))
    tiles, failures = found(path)
    assert ("c.json/good/visual", str(tmp_path / "scene.tif")) in tiles
    assert len(failures) >= len(bad) - 1, failures  # an address is refused when it is read
    assert dict(failures)["c.json/good/visual"] == "another item has the same id"
    with pytest.raises(TileError):
        find_tiles(path, context=RunContext(strict=True))
    assert "items left out" in " ".join(find_tiles(path).notices)


def test_items_of_a_folder_fail_one_by_one(tmp_path):
    write(tmp_path / "a.json", item("a"))
    write(tmp_path / "b.json", item("b", assets={"red": {"href": "r.tif", "type": TIFF}}))
    write(tmp_path / "c.json", features(item("c1"), {"type": "Feature", "id": "c2"}))
    write(tmp_path / "places.geojson", features({"type": "Feature", "geometry": None}))
    tiles, failures = found(tmp_path, assets=("visual",))
    assert [name for name, _ in tiles] == ["a.json/visual", "c.json/c1/visual"]
    assert [name for name, _ in failures] == ["b.json", "c.json/c2"]
    assert "no asset 'visual'" in failures[0][1]


def test_where_no_item_can_be_used_the_reason_is_told(tmp_path):
    path = write(tmp_path / "c.json", features(item("a"), item("b")))
    with pytest.raises(NoUsableTiles, match=r"2 that cannot be used .*no asset 'red'"):
        find_tiles(path, scenes=SceneChoices(assets=("red",)))
    with pytest.raises(TilesNotFound, match="no STAC items"):
        find_tiles(write(tmp_path / "d.json", features()))
    with pytest.raises(InputError, match="cannot be read as a STAC item"):
        find_tiles(write(tmp_path / "e.json", {"a": 1}))


@pytest.mark.parametrize(
    ("href", "there", "expected"),
    [
        ("my%20scene.tif", "my scene.tif", "my scene.tif"),
        ("Stra%C3%9Fe.tif", "Straße.tif", "Straße.tif"),
        ("a%2Fb.tif", "a/b.tif", "a/b.tif"),
        ("100%25.tif", "100%.tif", "100%.tif"),
        ("my%20scene.tif", "my%20scene.tif", "my%20scene.tif"),  # exactly this name
        ("100%.tif", "100%.tif", "100%.tif"),
        ("my scene.tif", "my scene.tif", "my scene.tif"),
    ],
)
def test_hrefs_are_urls(tmp_path, href, there, expected):
    (tmp_path / there).parent.mkdir(exist_ok=True)
    (tmp_path / there).touch()
    source = str(tmp_path / "item.json")
    assert place_of(href, source) == str(tmp_path / expected)
    assert place_of(href, "https://e.org/c/item.json") == f"https://e.org/c/{href}"
    assert place_of("file:///d/a%20b.tif", source) == "/d/a b.tif"


def test_links_that_lead_out_of_the_folder_are_not_read(tmp_path):
    write(tmp_path / "private.json", item("private"))
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat" / "link.json").symlink_to("../private.json")
    out = ["../private.json", str(tmp_path / "private.json"), "%2e%2e/private.json", "link.json"]
    out += [f"file://{tmp_path}/private.json", "/dev/zero", "/vsizip/a.zip/b.json", "a\0b.json"]
    with served(lambda path, url: item("remote")) as (url, asked):
        links = [("item", href) for href in (*out, f"{url}/item.json", "s3://b/i.json", "ok.json")]
        write(tmp_path / "cat" / "ok.json", item("ok"))
        tiles, failures = found(write(tmp_path / "cat" / "catalog.json", catalogue(*links)))
        assert [name for name, _ in tiles] == ["ok.json/visual"]
        assert asked == []
        assert any("--trust-sources" in reason for _, reason in failures)
        trusted, _ = found(tmp_path / "cat" / "catalog.json", trusted=True)
        assert len(trusted) == 3  # the file once, the server's item, the good one
        assert asked == ["/item.json"]


def test_a_catalogue_that_loops_ends(tmp_path):
    write(tmp_path / "a.json", catalogue(("child", "b.json"), ("child", "./a.json")))
    write(tmp_path / "b.json", catalogue(("child", "../x/a.json"), ("item", "i.json")))
    write(tmp_path / "i.json", item("i"))
    (tmp_path.parent / "x").unlink(missing_ok=True)
    tiles, _ = found(tmp_path / "a.json")
    assert tiles == [("i.json/visual", str(tmp_path / "scene.tif"))]


def test_a_catalogue_nested_without_end_is_given_up(monkeypatch):
    def endless(path, url):
        number = int(path.rsplit("/", 1)[-1].partition(".")[0])
        return catalogue(("child", f"/{2 * number + 1}.json"), ("child", f"/{2 * number + 2}.json"))

    monkeypatch.setattr(stac_documents, "MAX_DEPTH", 6)
    monkeypatch.setattr(stac_documents, "MAX_DOCUMENTS", 60)
    with served(endless) as (url, asked), pytest.raises(NoUsableTiles, match="cannot be used"):
        find_tiles(f"{url}/0.json")
    assert len(asked) <= 62


def test_pages_without_end_are_given_up(monkeypatch):
    def page(path, url):
        number = int(path.partition("=")[2] or 0)
        links = [{"rel": "next", "href": f"{url}/items.json?page={number + 1}"}]
        return features(item(f"i{number}", f"/{number}.tif"), links=links)

    monkeypatch.setattr(stac_documents, "MAX_DOCUMENTS", 5)
    with served(page) as (url, asked):
        tiles, failures = found(f"{url}/items.json")
    assert [name for name, _ in tiles] == [f"items.json/i{n}/visual" for n in range(5)]
    assert "more than 5 documents" in failures[0][1]
    assert len(asked) == 5


def test_a_collection_of_a_server_leads_to_its_pages_and_to_no_other_host():
    def page(path, url):
        if path == "/collections/s2":
            other = [("child", "http://127.0.0.2:9/c.json"), ("child", "/moved.json")]
            return catalogue(("items", f"{url}/items"), *other, kind="Collection")
        if path == "/moved.json":
            return "http://127.0.0.2:9/c.json"
        return features(item("a", "a.tif"))

    with served(page) as (url, asked):
        source = f"{url}/collections/s2"
        tiles, failures = found(source, assets=("visual",))
        assert tiles == [("c/a/visual", f"{url}/a.tif")]
        assert asked[0] == "/collections/s2"
    assert len(failures) == 2
    assert any("another host" in reason for _, reason in failures)


def test_documents_that_are_no_json_end_nothing(tmp_path):
    (tmp_path / "broken.json").write_text("{")
    (tmp_path / "deep.json").write_text("[" * 100_000)
    (tmp_path / "bytes.json").write_bytes(b"\xff\xfe\0")
    write(tmp_path / "list.json", [1])
    write(tmp_path / "good.json", item("good"))
    names = ("broken", "deep", "bytes", "list", "none", "good")
    path = write(tmp_path / "c.json", catalogue(*(("item", f"{name}.json") for name in names)))
    tiles, failures = found(path)
    assert [name for name, _ in tiles] == ["good.json/visual"]
    assert {name for name, _ in failures} >= {"broken.json", "deep.json", "bytes.json", "none.json"}


def test_links_of_wrong_types_are_ignored(tmp_path):
    links = [
        7,
        None,
        {},
        {"rel": "item"},
        {"rel": ["item"], "href": "a"},
        {"rel": "item", "href": 3},
    ]
    write(tmp_path / "i.json", item("i"))
    links.append({"rel": "item", "href": "i.json"})
    path = write(tmp_path / "c.json", {"type": "Catalog", "id": 3, "links": links})
    assert len(list(Links(str(path), LeftOut(""), trusted=False).items())) == 1
