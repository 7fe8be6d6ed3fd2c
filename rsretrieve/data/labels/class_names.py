"""Class names: one spelling of each, and a notice of names that differ only in their spelling."""

from __future__ import annotations

import re
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
    """A notice of classes that are probably one: they differ only in how they are written.

    That is case, blanks, hyphens and underscores, Unicode form, leading zeros and a final `.0`.

    Args:
        names: the names of the classes.

    >>> spelling_notices(["Forest", "forest", "10", "10.0", "river"])
    ("classes that differ only in their spelling: '10' and '10.0'; 'Forest' and 'forest'",)
    """
    alike: dict[str, list[str]] = {}
    for name in sorted(set(names)):
        alike.setdefault(without_spelling(name), []).append(name)
    groups = [" and ".join(map(repr, group)) for group in alike.values() if len(group) > 1]
    return (f"classes that differ only in their spelling: {'; '.join(groups)}",) if groups else ()


def without_spelling(name: str) -> str:
    """What names that differ only in their spelling have in common.

    >>> [without_spelling(name) for name in ("Dense_Forest", "dense forest", "01.0")]
    ['denseforest', 'denseforest', '1']
    """
    text = "".join(unicodedata.normalize("NFKC", name).casefold().split())
    text = re.sub(r"[-_\u2010-\u2015\u200b-\u200d\ufeff]", "", text) or text
    text = re.sub(r"(?<=\d)\.0+\Z", "", text)
    return text.lstrip("0") or "0" if text.isdecimal() else text


def nothing_in_common(names: Iterable[str], known: Iterable[str]) -> bool:
    """Whether there are names on both sides, and not one is the same."""
    one, other = set(names), set(known)
    return bool(one) and bool(other) and not one & other
