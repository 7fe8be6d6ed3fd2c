"""Reference pages of the Python interface, generated from its docstrings."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from functools import cached_property
from typing import Any

SECTIONS = ("Args", "Attributes", "Returns", "Raises", "Yields", "Example")
_HEADING = re.compile(rf"^({'|'.join(SECTIONS)}):$", re.MULTILINE)
_ENTRY = re.compile(r"^    (\*{0,2}[\w., ]+): ", re.MULTILINE)


def api_pages() -> dict[str, str]:
    """One page for each function and class of `rsretrieve.__all__`.

    Returns:
        Name → its page, as Markdown.
    """
    import rsretrieve

    return {name: _page(name, getattr(rsretrieve, name)) for name in rsretrieve.__all__}


def _page(name: str, found: Any) -> str:
    parts = [f"# {name}", *_described(found, name)]
    if inspect.isclass(found):
        for member, value in _members(found):
            parts += [f"## {member}", *_described(value, f"{name}.{member}")]
    return "\n\n".join(parts) + "\n"


def _members(kind: type) -> Iterator[tuple[str, Any]]:
    """The public methods and properties of a class that have a docstring, in their order."""
    for base in kind.__mro__:
        if not base.__module__.startswith("rsretrieve"):
            continue
        for name, value in vars(base).items():
            plain = value.__func__ if isinstance(value, classmethod | staticmethod) else value
            if isinstance(value, cached_property):
                plain = property(value.func)
            documented = inspect.isfunction(plain) or isinstance(plain, property)
            if not name.startswith("_") and documented and inspect.getdoc(plain):
                yield name, plain


def _described(found: Any, title: str) -> Iterator[str]:
    """Signature and docstring."""
    if not isinstance(found, property) and not _is_made_by_functions(found):
        yield f"```python\n{_signature(found, title)}\n```"
    text = inspect.getdoc(found) or ""
    head, *rest = _HEADING.split(text)
    yield _linked(head.strip())
    for heading, body in zip(rest[::2], rest[1::2]):
        yield from _section(heading, body)


def _is_made_by_functions(found: Any) -> bool:
    """Whether a class is one that its users do not build themselves."""
    documented = inspect.getdoc(found) or ""
    return inspect.isclass(found) and "Made by " in documented


def _signature(found: Any, title: str) -> str:
    """The signature over several lines, with the types as they are written."""
    try:
        signature = inspect.signature(found)
    except ValueError:  # pragma: no cover - classes without one
        return title
    parts, star = [], False
    for parameter in signature.parameters.values():
        if parameter.name == "self":
            continue
        if parameter.kind is parameter.KEYWORD_ONLY and not star:
            parts.append("*")
        star = star or parameter.kind in (parameter.KEYWORD_ONLY, parameter.VAR_POSITIONAL)
        parts.append(_parameter(parameter))
    returned = signature.return_annotation
    shown = returned is not inspect.Signature.empty and not inspect.isclass(found)
    arrow = f" -> {returned}" if shown else ""
    line = f"{title}({', '.join(parts)}){arrow}"
    if len(line) <= 88:
        return line
    return "\n".join([f"{title}(", *(f"    {part}," for part in parts), f"){arrow}"])


def _parameter(parameter: inspect.Parameter) -> str:
    stars = {parameter.VAR_POSITIONAL: "*", parameter.VAR_KEYWORD: "**"}.get(parameter.kind, "")
    text = f"{stars}{parameter.name}"
    if parameter.annotation is not parameter.empty:
        text += f": {parameter.annotation}"
    if parameter.default is parameter.empty:
        return text
    default = parameter.default
    return f"{text} = {str(default)!r}" if isinstance(default, str) else f"{text} = {default!r}"


def _section(heading: str, body: str) -> Iterator[str]:
    yield f"**{heading}**"
    if heading == "Example":
        yield f"```pycon\n{inspect.cleandoc(body)}\n```"
    elif heading in ("Args", "Attributes", "Raises"):
        yield "\n".join(_entries(body))
    else:
        yield _linked(" ".join(body.split()))


def _entries(body: str) -> Iterator[str]:
    names = _ENTRY.split(body)[1:]
    for name, text in zip(names[::2], names[1::2]):
        yield f"- `{name}`: {_linked(' '.join(text.split()))}"


def _linked(text: str) -> str:
    """Docstrings are nearly Markdown: lines that begin examples become blocks."""
    if ">>> " not in text:
        return re.sub(r"(?<!`)<", r"\\<", text)
    prose, _, example = text.partition(">>> ")
    return f"{prose.strip()}\n\n```pycon\n>>> {example.strip()}\n```"
