"""Only the page that the user opened is answered."""

from __future__ import annotations

import random

import pytest

from rsretrieve.browse import guard as guarding
from rsretrieve.browse.app import make_app
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


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
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
        "style.css/..",
        "\x00",
    ],
)
def test_no_other_file_is_served(app, path):
    answer = asked(app, f"/{TOKEN}/{path}")
    assert answer.status in (404, 405)
    assert b"root:" not in answer.body
    assert b"import" not in answer.body


def test_random_requests_are_refused_or_answered_but_break_nothing(app, kept):
    chance = random.Random(0)
    parts = ["facts", "points", "tiles", "search", "search-file", "answers", "labels", "picture"]
    parts += ["find", "find-answers", "found"]
    parts += ["..", "0", "192", "-1", "", "%00", "é", TOKEN]
    bodies = [b"", b"{}", b"[]", b"null", b'{"likes":[1]}', b'{"likes":"x"}', b'{"likes":[1e999]}']
    bodies += [b'{"rows":[0,99]}', b'{"0":"yes"}', b'{"-1":"yes"}', b'{"a":"no"}', b'{"0":5}']
    bodies += [
        b'{"point":[1]}',
        b'{"point":"x"}',
        b'{"k":-1}',
        b'{"bbox":[1]}',
        b"\xff",
        b"[" * 5000,
    ]
    for _ in range(1_500):
        path = "/".join(chance.choices(parts, k=chance.randint(0, 4)))
        token = TOKEN if chance.random() < 0.8 else "wrong"
        method, body = chance.choice(["GET", "POST", "HEAD", "PUT"]), chance.choice(bodies)
        answer = asked(app, f"/{token}/{path}", method=method, body=body)
        assert answer.status in (200, 400, 403, 404, 405, 421), (path, body)
        assert token == TOKEN or answer.status in (403, 405)
    assert set(kept.answers.values) <= {f"tile {number:02}.png" for number in range(COUNT)}
    assert set(kept.answers.values.values()) <= {"yes", "no"}
    assert not list(kept.answers.path.parent.glob(".*"))
