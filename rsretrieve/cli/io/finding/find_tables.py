"""What `rsretrieve find` prints."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from rsretrieve.cli.io.text_tables import plain, plain_table
from rsretrieve.search.finding.find_kind import LEAST_ANSWERS

if TYPE_CHECKING:
    from rsretrieve.index.store.folder import IndexStore
    from rsretrieve.search.finding.find_kind import FoundKind, KindFinder
    from rsretrieve.search.finding.kind_estimate import Estimate
    from rsretrieve.search.finding.proposals import Proposal


def find_summary(finder: KindFinder, found: FoundKind, session: Path) -> Text:
    """How many tiles were found, how many there are, and whether it is time to stop."""
    lines = [f"found {len(found.rows)} tiles, of which {int(found.confirmed.sum())} are confirmed"]
    estimate = found.estimate
    if estimate is None:
        lines.append(
            f"{finder.evidence} answers on proposed tiles: too few to estimate the number of tiles "
            f"(at least {LEAST_ANSWERS})"
        )
    else:
        count = estimate.count
        lines += [
            f"tiles of the kind in the index: about {count.value:.0f} (95 % interval "
            f"{count.low:.0f} to {count.high:.0f}), after {finder.evidence} answers",
            f"precision {_share(estimate.precision)}, recall {_share(estimate.recall)}",
            "stop: the targets are probably reached"
            if found.is_enough
            else f"go on: the targets are reached with probability {estimate.reached:.0%}",
        ]
    return plain("\n".join([*lines, f"session: {session}"]))


def proposal_rows(store: IndexStore, shown: Sequence[Proposal]) -> Iterator[Table]:
    """The tiles to look at, as a table; nothing if there is none."""
    if not shown:
        return
    table = plain_table("look at these next", "rank", "probability", "reason", "tile", "path")
    for proposal in shown:
        tile = store.rows[proposal.row]
        table.add_row(
            str(proposal.rank),
            f"{proposal.probability:.2f}",
            str(proposal.reason),
            plain(tile.id),
            plain(tile.path),
        )
    yield table


def _share(estimate: Estimate) -> str:
    return f"{estimate.value:.2f} ({estimate.low:.2f} to {estimate.high:.2f})"
