"""Only the page that the user opened is answered."""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from rsretrieve.browse import guard as guarding
from rsretrieve.browse.app import Extras, KeptFiles, make_app
from rsretrieve.browse.base_map import BaseMap
from rsretrieve.browse.review.label_review import Review
from tests.browse.conftest import COUNT, TOKEN
from tests.browse.requests import HOST, asked, posted


@pytest.fixture
def app(view, kept):
    return make_app(view, kept, TOKEN, 8000)


def test_the_page_is_answered_with_strict_headers(app):
    answer = asked(app, f"/{TOKEN}/")
    assert answer.status == 200
    assert b"<title>" in answer.body
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["x-frame-options"] == "DENY"


@pytest.mark.parametrize(
    "path", ["/", "", "/facts", "/wrong/facts", f"/{TOKEN[:-1]}/", f"/{TOKEN}x/", f"//{TOKEN}/"]
)
def test_a_missing_or_wrong_token_is_refused(app, path):
    assert asked(app, path).status == 403


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8000",
        "127.0.0.1.evil.example:8000",
        "127.0.0.1",
        "127.0.0.1:8000:8000",
        "[::1]8000",
        "127.0.0.1:9",
        "",
        HOST * 2,
    ],
)
def test_another_host_is_refused(app, host):
    assert asked(app, f"/{TOKEN}/facts", headers={"host": host}).status == 421


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "[::1]"])
def test_names_of_this_machine_are_answered(app, name):
    headers = {"host": f"{name}:8000", "origin": f"http://{name}:8000"}
    assert asked(app, f"/{TOKEN}/facts", headers=headers).status == 200


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "[::1]"])
@pytest.mark.parametrize("port", ["", ":80"])
def test_the_usual_port_may_be_left_out(view, kept, name, port):
    headers = {"host": f"{name}{port}", "origin": f"http://{name}{port}"}
    app = make_app(view, kept, TOKEN, 80)
    assert asked(app, f"/{TOKEN}/facts", headers=headers).status == 200
    app = make_app(view, kept, TOKEN, 8000)
    assert asked(app, f"/{TOKEN}/facts", headers=headers).status == 421


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "http://127.0.0.1"},
        {"origin": "http://[::1"},
        {"origin": "null"},
        {"origin": "https://127.0.0.1:8000"},
        {"origin": "http://127.0.0.1:9"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)
def test_another_page_is_refused(app, headers):
    assert asked(app, f"/{TOKEN}/facts", headers=headers).status == 403


@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS", "TRACE", "CONNECT", "x"])
def test_other_methods_are_refused(app, method):
    assert asked(app, f"/{TOKEN}/facts", method=method).status == 405


def test_a_large_body_is_refused(app, monkeypatch):
    monkeypatch.setattr(guarding, "MOST_BYTES", 10)
    assert posted(app, f"/{TOKEN}/search", {"likes": [1, 2, 3]}).status == 413
    for length in ("-1", "many", "9" * 5_000):
        headers = {"content-length": length}
        assert asked(app, f"/{TOKEN}/search", method="POST", headers=headers).status == 413


@pytest.mark.parametrize(
    "path",
    [
        "../../etc/passwd",
        "%2e%2e/%2e%2e/etc/passwd",
        "..%2f..%2fetc/passwd",
        "page/index.html",
        "app.py",
        "picture/../facts.py/192",
        "picture/-1/192",
        "picture/30/192",
        "picture/99999999999999999999/192",
        "picture/1/191",
        "around/-1",
        "around/1/../../facts.py",
        "base/0/0/0",
        "base/../../etc/passwd",
        "review",
        "page/review.js",
        "style.css/..",
        "\x00",
    ],
)
def test_no_other_file_is_served(app, path):
    answer = asked(app, f"/{TOKEN}/{path}")
    assert answer.status in (404, 405)
    assert b"root:" not in answer.body
    assert b"import" not in answer.body


def test_the_page_may_ask_one_named_host_for_images(view, kept):
    base = BaseMap.parse("https://tiles.example:8443/{z}/{x}/{y}.png?key=1")
    app = make_app(view, kept, TOKEN, 8000, Extras(base_map=base))
    policy = asked(app, f"/{TOKEN}/").headers["content-security-policy"]
    assert "img-src 'self' data: https://tiles.example:8443;" in policy
    assert policy.count("tiles.example") == 1
    assert policy.count("*") == 0


@pytest.mark.medium
def test_random_requests_are_refused_or_answered_but_break_nothing(hostile):
    send_random_requests(hostile, 1_500)


@pytest.mark.exhaustive
def test_ten_thousand_random_requests_are_refused_or_answered(hostile):
    send_random_requests(hostile, 10_000)


@dataclass(frozen=True)
class Hostile:
    """An app with all that it can have, and the folders that it may read."""

    app: Any
    kept: KeptFiles
    review: Review
    folders: tuple[str, ...]


@pytest.fixture
def hostile(view, kept, review, tmp_path):
    base = tmp_path / "base"
    (base / "0" / "0").mkdir(parents=True)
    Image.new("RGB", (8, 8)).save(base / "0" / "0" / "0.png")
    app = make_app(view, kept, TOKEN, 8000, Extras(review, BaseMap.parse(str(base))))
    code = (sys.prefix, sys.base_prefix, str(Path(guarding.__file__).parents[2]))
    own = (str(view.store.folder.parent), str(tmp_path), os.devnull)
    return Hostile(app, kept, review, (*code, *own))


PARTS = (
    *("facts", "points", "tiles", "search", "search-file", "answers", "picture", "around", "base"),
    *("find", "find-answers", "found", "review", "review.js", "compared", "decided", "style.css"),
    *("..", "...", "0", "1", "192", "384", "-1", "1e9", "", "%00", "%2e%2e", "é", "\x00", "~"),
    *("etc", "passwd", "....//", "..%2f", "..\\..", "0.png", "9" * 30, "page", TOKEN),
)
BODIES = (
    *(b"", b"{}", b"[]", b"null", b"\xff", b"[" * 5_000, b'{"a":' * 3_000, b"\x00" * 100),
    *(b'{"likes":[1]}', b'{"likes":"x"}', b'{"likes":[1e999]}', b'{"likes":[1],"k":-1}'),
    *(b'{"rows":[0,99]}', b'{"0":"yes"}', b'{"-1":"yes"}', b'{"a":"no"}', b'{"0":5}'),
    *(b'{"point":[1]}', b'{"point":"x"}', b'{"point":[11,47]}', b'{"likes":[1],"bbox":[1]}'),
    *(b'{"positions":[0]}', b'{"positions":[-1]}', b'{"positions":"x"}', b'{"cards":{"0":null}}'),
    *(b'{"cards":{"0":["reject","class 1","",""]}}', b'{"cards":{"../x":["accept","","",""]}}'),
    *(b'{"others":{"../../etc/passwd":["x","choose","","","","",""]}}', b'{"others":[]}'),
)
HEADERS: tuple[dict[str, str], ...] = (
    *({}, {}, {}, {"origin": "http://127.0.0.1:8000"}, {"sec-fetch-site": "same-origin"}),
    *({"host": "evil.example:8000"}, {"origin": "http://evil.example"}, {"origin": "null"}),
    *({"sec-fetch-site": "cross-site"}, {"content-length": "x"}, {"host": ""}),
)


def send_random_requests(hostile: Hostile, count: int) -> None:
    """Send requests of random parts; only what the page may ask for is answered."""
    chance = random.Random(0)
    queries = ("", "name=../../x.png", "name=a.tif&wanted={", "name=a.png&wanted=[]", "%ff=%00")
    with opened_files() as opened:
        for _ in range(count):
            path = "/".join(chance.choices(PARTS, k=chance.randint(0, 4)))
            token = chance.choice((TOKEN, TOKEN, TOKEN, TOKEN[:-1], "", "wrong", "é"))
            method = chance.choice(("GET", "GET", "POST", "POST", "HEAD", "PUT"))
            headers, body = chance.choice(HEADERS), chance.choice(BODIES)
            query = chance.choice(queries)
            sent = {"method": method, "headers": headers, "body": body, "query": query}
            answer = asked(hostile.app, f"/{token}/{path}", **sent)
            assert answer.status in (200, 204, 400, 403, 404, 405, 413, 421), (path, sent)
            is_allowed = token == TOKEN and headers in HEADERS[:5]
            assert is_allowed or answer.status in (403, 405, 413, 421), (path, sent)
            assert b"root:" not in answer.body
    outside = {path for path in opened if not path.startswith(hostile.folders)}
    assert outside == set()
    assert {*hostile.kept.answers.values} <= {f"tile {number:02}.png" for number in range(COUNT)}


OPENED: list[set[str]] = []
HOOKED: list[bool] = []


def note_opened(event: str, arguments: tuple[Any, ...]) -> None:
    """An audit hook; it stays for the rest of the process, and then does nothing."""
    if OPENED and event == "open" and isinstance(arguments[0], str | bytes):
        OPENED[-1].add(str(Path(os.fsdecode(arguments[0])).absolute()))


@contextmanager
def opened_files() -> Iterator[set[str]]:
    """The paths of all files that this process opens meanwhile."""
    if not HOOKED:
        sys.addaudithook(note_opened)
        HOOKED.append(True)
    OPENED.append(set())
    try:
        yield OPENED[-1]
    finally:
        OPENED.clear()
