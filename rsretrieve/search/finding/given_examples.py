"""Look up the examples that a search for a kind begins with."""

from __future__ import annotations

from collections.abc import Sequence

from rsretrieve.data.tile import Trust
from rsretrieve.errors import InvalidArgument
from rsretrieve.index.store.folder import IndexStore
from rsretrieve.search.composed_query import terms_of
from rsretrieve.search.finding.find_session import GivenExample
from rsretrieve.search.search import SearchContext, embed_examples


def look_up_examples(
    store: IndexStore,
    likes: Sequence[str],
    unlikes: Sequence[str],
    context: SearchContext,
    trust: Trust = Trust.NAMED,
) -> list[GivenExample]:
    """Look up examples, and embed those that are images.

    Args:
        store: the index.
        likes: positives; each is a tile id, an image or a `.npy` file of one vector.
        unlikes: negatives.
        context: the model, the device, and where failures are recorded.
        trust: how far the files are trusted.

    Raises:
        InvalidArgument: an example has a weight.
        InputError: an example is neither a tile of the index nor a file.
        NoUsableTiles: an image cannot be read.
    """
    names = [*likes, *unlikes]
    terms = terms_of(store, names, trust)
    for name, term in zip(names, terms):
        if term.weight != 1:
            raise InvalidArgument(
                f"{name}: examples of a kind have no weight", hint="leave out @WEIGHT"
            )
    others = [number for number, term in enumerate(terms) if term.row is None]
    vectors = embed_examples(store, [terms[number] for number in others], context) if others else ()
    found = dict(zip(others, vectors))
    examples = []
    for number, (name, term) in enumerate(zip(names, terms)):
        wanted = number < len(likes)
        if term.row is not None:
            examples.append(GivenExample(name, wanted, tile=store.rows[term.row].id))
        else:
            vector = tuple(map(float, found[number]))
            examples.append(GivenExample(name, wanted, vector=vector))
    return examples
