"""How much a page may hold: numbers of cards, sizes of pictures."""

MOST_CARDS = 2_000
"""Number of tiles on a page, unless the user names another."""

CARDS_LIMIT = 20_000
"""A page with more tiles would take too long to open."""

PICTURES_LIMIT_BYTES = 96_000_000
"""All pictures of a page together, as they are written. Further pictures are left out."""

SMALL_PX = 96
CONTEXT_PX = 384
LARGE_PX = ((500, 512), (2_000, 256), (CARDS_LIMIT, 96))
"""Up to which card the picture of a tile has which longer side: the worst are the largest."""

PICTURES_PER_CHUNK = 64
"""The browser decodes the pictures of a page in chunks, when a picture of a chunk is shown."""


def large_px(number: int) -> int:
    """The longer side of the picture of a card.

    >>> large_px(0), large_px(500), large_px(19_999)
    (512, 256, 96)
    """
    return next(side for most, side in LARGE_PX if number < most)
