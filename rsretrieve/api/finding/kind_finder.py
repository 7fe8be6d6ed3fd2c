"""Find all tiles of a kind, for Python."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rsretrieve._core.locks import only_writer
from rsretrieve.api.arguments.checks import PathLike, flag, number, path_of, texts, whole, wrong
from rsretrieve.api.call_report import CallReport, Progress
from rsretrieve.api.finding.finder import Finder
from rsretrieve.api.indexes.index_opening import open_index
from rsretrieve.api.opened_index import IndexLike, opened_model
from rsretrieve.data.tile import Trust
from rsretrieve.export.output_paths import OutputPaths
from rsretrieve.search.finding.find_run import FindRun
from rsretrieve.search.finding.kind_estimate import Targets


def find(
    index: IndexLike,
    like: PathLike | Sequence[str] = (),
    unlike: PathLike | Sequence[str] = (),
    *,
    session: PathLike,
    min_probability: float = 0.5,
    target_precision: float = 0.9,
    target_recall: float = 0.8,
    seed: int | None = None,
    device: str = "auto",
    trust_sources: bool = False,
    progress: Progress | None = None,
) -> Finder:
    """Begin to find all tiles of a kind, or go on.

    Args:
        index: an open index, or its folder.
        like: tiles of the wanted kind: ids of tiles, images or `.npy` files of one vector. Not
            needed if the session exists.
        unlike: tiles of other kinds.
        session: the file that keeps examples and answers. If it exists, the search goes on.
        min_probability: the least probability of a found tile without an answer.
        target_precision: the precision to reach before you stop.
        target_recall: the recall to reach before you stop.
        seed: the random seed of a new session; None for 0, or for that of the session.
        device: `auto`, `cpu`, `cuda` or `cuda:N`; what embeds images.
        trust_sources: open whatever the examples' files name, too.
        progress: called with every event; see `rsretrieve.progress`.

    Returns:
        The search.

    Raises:
        InvalidArgument: an argument is of a wrong type, or the session has another seed.
        InputError: an example does not exist, there is none, or the session is damaged.
        ModelMismatch: the session belongs to an index of another model.
        OutputRefused: the session lies in an index or a model folder.

    Example:
        >>> import rsretrieve
        >>> finder = rsretrieve.find("index", "beach/beach_1_7.tif", session="road.json")
        >>> len(finder.propose(5))
        5
    """
    with CallReport(progress) as call:
        opened = open_index(index, device=device)
        path = path_of(session, "session")
        OutputPaths({"session": path}, {}, {"index": opened.path}, overwrite=True).check()
        OutputPaths({"session": path}, overwrite=True).check_tiles(
            lambda: opened.store.rows.column("path")
        )
        targets = Targets(
            _share(target_precision, "target_precision"), _share(target_recall, "target_recall")
        )
        least = _share(min_probability, "min_probability")
        trusted = flag(trust_sources, "trust_sources")
        begun_with = None if seed is None else whole(seed, "seed")
        context = opened_model(opened).search_context(call)
        with only_writer(path):
            run = FindRun(
                opened.store,
                path,
                context,
                targets=targets,
                trust=Trust.TRUSTED if trusted else Trust.NAMED,
                seed=begun_with,
            )
            call.notice(*run.begin(_names(like, "like"), _names(unlike, "unlike"), ()))
            call.notice(*run.finder.notices)
            run.save()
        return Finder(opened, run, least, opened_model(opened).bands)


def _names(value: object, name: str) -> tuple[str, ...]:
    if isinstance(value, Path):
        return (str(value),)
    if isinstance(value, Sequence) and not isinstance(value, str):
        value = [str(each) if isinstance(each, Path) else each for each in value]
    return texts(value, name)


def _share(value: object, name: str) -> float:
    found = number(value, name)
    if not 0 <= found <= 1:
        raise wrong(name, "a number in 0…1", value)
    return found
