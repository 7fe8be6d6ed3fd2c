"""Signatures, tokens and passwords are removed from URLs; everything else stays."""

from __future__ import annotations

import pytest

from rsretrieve._core.secrets_in_urls import without_secrets

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
