"""What MkDocs runs while it builds the site: generated pages, formulas, links out of `docs/`."""

from __future__ import annotations

import posixpath
import re
from html import unescape
from pathlib import Path
from typing import Any

from api_pages import api_pages
from command_pages import command_pages
from latex2mathml.converter import convert
from mkdocs.structure.files import File
from notebook_pages import notebook_page

ROOT = Path(__file__).parents[2]
# Files beside docs/, and the pages that they become.
ELSEWHERE = {
    "benchmarks/RESULTS.md": "project/results.md",
    "CHANGELOG.md": "project/changelog.md",
    "CONTRIBUTING.md": "project/contributing.md",
    "SECURITY.md": "project/security-reports.md",
    "README.md": "index.md",
}
# Pages that older entries of the changelog name.
MOVED = {"docs/python.md": "reference/python.md"}
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_MATHS = re.compile(r'<(span|div) class="arithmatex">(.*?)</\1>', re.DOTALL)


def on_config(config: Any) -> Any:
    """Put the generated pages into the navigation, below the titles that wait for them."""
    generated = {
        "Commands": [{name: f"reference/commands/{name}.md"} for name in command_pages()],
        "Python API": [{name: f"reference/api/{name}.md"} for name in api_pages()],
    }
    for section in config.nav:
        for pages in section.values():
            for entry in pages if isinstance(pages, list) else []:
                for title in entry if isinstance(entry, dict) else ():
                    entry[title] = generated.get(title, entry[title])
    return config


def on_files(files: Any, config: Any) -> Any:
    """Add the pages that no file in `docs/` holds."""
    pages = {f"reference/commands/{name}.md": text for name, text in command_pages().items()}
    pages |= {f"reference/api/{name}.md": text for name, text in api_pages().items()}
    for path in sorted((ROOT / "docs" / "notebooks").glob("*.ipynb")):
        pages[f"notebooks/{path.stem}.md"] = notebook_page(path)
    for source, page in ELSEWHERE.items():
        if page != "index.md":
            pages[page] = _moved((ROOT / source).read_text(encoding="utf-8"), source, page)
    for path, text in pages.items():
        files.append(File.generated(config, path, content=text))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Lead links to files beside `docs/` to their pages."""
    if page.file.generated_by:
        return markdown
    return _moved(markdown, f"docs/{page.file.src_uri}", page.file.src_uri)


def on_page_content(html: str, **_: Any) -> str:
    """Replace formulas by MathML, which browsers draw without a script."""
    return _MATHS.sub(_formula, html)


def _moved(text: str, source: str, page: str) -> str:
    """A page whose links were relative to `source`, a path from the root of the repository."""

    def link(found: re.Match[str]) -> str:
        path, hash_, anchor = found[1].partition("#")
        if "://" in path or path.startswith("mailto:") or not path:
            return found[0]
        target = posixpath.normpath(posixpath.join(posixpath.dirname(source), path))
        if target in ELSEWHERE:
            target = ELSEWHERE[target]
        elif target in MOVED:
            target = MOVED[target]
        elif target.startswith("docs/"):
            target = target.removeprefix("docs/")
        else:
            return found[0]
        return f"]({posixpath.relpath(target, posixpath.dirname(page) or '.')}{hash_}{anchor})"

    return _LINK.sub(link, text)


def _formula(found: re.Match[str]) -> str:
    source = unescape(found[2]).strip().removeprefix("\\(").removesuffix("\\)")
    source = source.removeprefix("\\[").removesuffix("\\]").strip()
    return convert(source, display="block" if found[1] == "div" else "inline")
