"""What a shipped model tells of itself survives being stored."""

from __future__ import annotations

import json

import pytest

from rsretrieve.network.shipped.facts import Figures, ShippedFacts

FACTS = ShippedFacts(
    *("name", "for", "weights", "data", "Apache-2.0", "command"),
    (Figures("AID", 10_000, True, 0.85, 0.42),),
)


def test_facts_can_be_stored() -> None:
    assert ShippedFacts.from_json(json.loads(json.dumps(FACTS.to_json()))) == FACTS
    assert str(FACTS.figures[0]) == "AID, fitted 0.850 / 0.420"


@pytest.mark.parametrize("change", [{"name": 3}, {"figures": [{"tiles": "AID"}]}, {"figures": 1}])
def test_other_content_is_refused(change: dict[str, object]) -> None:
    with pytest.raises((KeyError, TypeError, ValueError)):
        ShippedFacts.from_json({**FACTS.to_json(), **change})
