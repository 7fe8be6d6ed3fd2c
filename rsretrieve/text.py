"""Text that fits and harms nothing where it is shown."""

from __future__ import annotations

from collections.abc import Callable


def shortened(text: str, room: float, length: Callable[[str], float]) -> str:
    """Cut a text's end off, with an ellipsis, until its length fits the room."""
    text = printable(text)
    if length(text) <= room:
        return text
    while text and length(text + "…") > room:
        text = text[:-1]
    return text + "…"


def printable(text: str) -> str:
    """Escape what would break a line or steer a terminal: control characters, lone surrogates."""
    return "".join(
        character
        if character.isprintable()
        else character.encode("unicode_escape", "surrogatepass").decode("ascii")
        for character in text
    )
