"""Class names: one spelling of each, and a notice of names that differ only in their spelling."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable


def clean_label(text: str | None) -> str | None:
    """A label in Unicode's composed form (NFC), without blanks around it; None if nothing is left.

    The same name typed on two computers may be two byte sequences.

    >>> clean_label(" forest "), clean_label("  ")
    ('forest', None)
    """
    return unicodedata.normalize("NFC", text).strip() or None if text else None


def spelling_notices(names: Iterable[str]) -> tuple[str, ...]:
    """A notice of classes that are probably one: they differ in case, blanks or a final `.0` only.

    Args:
        names: the names of the classes.

    >>> spelling_notices(["Forest", "forest", "10", "10.0", "river"])
    ("classes that differ only in their spelling: '10' and '10.0'; 'Forest' and 'forest'",)
    """
    alike: dict[str, list[str]] = {}
    for name in sorted(set(names)):
        alike.setdefault(_without_spelling(name), []).append(name)
    groups = [" and ".join(map(repr, group)) for group in alike.values() if len(group) > 1]
    return (f"classes that differ only in their spelling: {'; '.join(groups)}",) if groups else ()


def _without_spelling(name: str) -> str:
    text = "".join(unicodedata.normalize("NFKC", name).casefold().split())
    return text.removesuffix(".0")
