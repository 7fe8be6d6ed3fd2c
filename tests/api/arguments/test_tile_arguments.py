"""Labels from mappings and DataFrames: text, whatever the column holds."""

from __future__ import annotations

import numpy as np
import pandas
import pytest

from rsretrieve.api.arguments.tile_arguments import label_mapping
from rsretrieve.errors import InvalidArgument


@pytest.mark.parametrize(
    ("values", "labels"),
    [
        ([1, 2], ["1", "2"]),
        ([1.0, np.nan], ["1", None]),
        ([b"forest", "For\u00eat "], ["forest", "For\u00eat"]),
        (["Fore\u0302t", ""], ["For\u00eat", None]),
        (pandas.array([3, None], dtype="Int64"), ["3", None]),
        (pandas.Categorical(["a", None]), ["a", None]),
        ([np.int64(7), np.float32(2.0)], ["7", "2"]),
    ],
    ids=["numbers", "NaN", "bytes", "NFD", "nullable", "categories", "scalars"],
)
def test_labels_of_a_dataframe_are_text(values, labels):
    table = pandas.DataFrame({"tile": ["a", "b"], "label": values})
    assert label_mapping(table) == dict(zip("ab", labels))


@pytest.mark.parametrize("value", [["a", "b"], ("a",), {"a": 1}, np.array(["a", "b"])], ids=type)
def test_several_labels_a_tile_are_refused(value):
    table = pandas.DataFrame({"tile": ["a", "b"], "label": [value, "x"]})
    with pytest.raises(InvalidArgument, match="one label a tile"):
        label_mapping(table)
