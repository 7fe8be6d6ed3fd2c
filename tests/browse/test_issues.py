"""The issues of an audit on the page."""

from __future__ import annotations

import pytest

from rsretrieve.browse.issues import read_issues
from rsretrieve.errors import TableError

HEADER = "tile,given_label,predicted_label,is_label_issue,issue_probability\n"


def test_issues_are_those_of_tiles_that_the_index_has(tmp_path):
    path = tmp_path / "audit.csv"
    path.write_text(
        f"{HEADER}b,road,water,True,0.9876\nx,road,water,True,0.9\na,road,road,False,0.1\n"
    )
    issues, absent = read_issues(path, {"a": 0, "b": 1})
    assert issues == [
        {"row": 1, "tile": "b", "label": "road", "proposed": "water", "probability": 0.988}
    ]
    assert absent == 1


@pytest.mark.parametrize("text", ["tile,label\na,b\n", f"{HEADER}a,b,c,True,often\n"])
def test_another_table_is_refused(tmp_path, text):
    path = tmp_path / "audit.csv"
    path.write_text(text)
    with pytest.raises(TableError):
        read_issues(path, {"a": 0})
