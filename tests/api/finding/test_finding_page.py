"""The examples of the page about `find` and `change` find what they should; see tests/docs."""

from __future__ import annotations

import pytest

from tests.api.test_docstring_examples import python_blocks
from tests.support.repository import ROOT

PAGE = (ROOT / "docs" / "find-them-all.md").read_text(encoding="utf-8")


@pytest.mark.medium
def test_the_blocks_of_the_page_run_one_after_the_other(workplace):
    names: dict[str, object] = {}
    for block in python_blocks(PAGE):
        exec(block, names)
    assert names["low"] <= 16 <= names["high"]
    assert (workplace / "changed-places.tif").exists()
