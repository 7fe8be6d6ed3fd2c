"""What a run tells besides its failures."""

from __future__ import annotations

from rsretrieve.data.run_context import RunContext


def test_equal_remarks_are_one_notice_with_their_number():
    context = RunContext()
    for text in ("no place", "", "approximate", "no place"):
        context.add_remark(text)
    assert context.notices == ("no place: 2", "approximate: 1")
