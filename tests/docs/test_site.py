"""The site: it is built without a warning, loads nothing from elsewhere, and says what is true."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

import rsretrieve
from tests.support.repository import DOCS, PACKAGE, ROOT

MOST_FILES = 14  # in a folder
LOADED = re.compile(r'<(?:script|img|iframe|source)[^>]* src="([^"]+)"|<link[^>]* href="([^"]+)"')


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site."""
    pytest.importorskip("material")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return folder


@pytest.mark.slow
def test_the_site_is_built_and_loads_nothing_from_elsewhere(site: Path) -> None:
    pages = sorted(site.rglob("*.html"))
    assert len(pages) > 50
    for page in pages:
        for addresses in LOADED.findall(page.read_text(encoding="utf-8")):
            address = "".join(addresses)
            assert not address.startswith(("http", "//")), f"{page.name} loads {address}"
    for style in site.rglob("*.css"):
        assert "url(http" not in style.read_text(encoding="utf-8")


@pytest.mark.slow
def test_every_command_and_public_name_has_a_page(site: Path) -> None:
    for name in rsretrieve.__all__:
        page = (site / "reference" / "api" / name / "index.html").read_text(encoding="utf-8")
        assert f'<h1 id="{name.lower()}">{name}' in page
    train = (site / "reference" / "commands" / "train" / "index.html").read_text(encoding="utf-8")
    assert "--freeze-backbone" in train
    assert "[default: resnet18]" in train


@pytest.mark.slow
def test_formulas_are_drawn_without_a_script(site: Path) -> None:
    page = (site / "concepts" / "losses" / "index.html").read_text(encoding="utf-8")
    assert page.count("<math") > 10
    assert "arithmatex" not in page


def test_folders_of_the_documentation_are_small() -> None:
    files = [path for path in DOCS.rglob("*") if path.is_file()]
    per_folder = Counter(path.parent.relative_to(DOCS).as_posix() for path in files)
    assert {folder: n for folder, n in per_folder.items() if n > MOST_FILES} == {}


@cache
def texts_of_the_program() -> str:
    """Every text in the package, with a blank for each value that is put in."""
    texts = []
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                parts = [str(v.value) if isinstance(v, ast.Constant) else "…" for v in node.values]
                texts.append("".join(parts))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.append(node.value)
    return "\n".join(texts)


SAID = re.findall(r"^###? `(.+)`", (DOCS / "troubleshooting.md").read_text("utf-8"), re.MULTILINE)


@pytest.mark.parametrize("words", SAID)
def test_an_error_that_is_explained_is_one_that_is_raised(words: str) -> None:
    assert all(part.strip() in texts_of_the_program() for part in words.split("…"))


def test_many_errors_are_explained() -> None:
    assert len(SAID) > 20


def test_the_badges_are_true(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    import make_badges

    shown = (DOCS / "pictures" / "badges.svg").read_text(encoding="utf-8")
    assert shown == make_badges.drawn(make_badges.facts())
    assert rsretrieve.__version__ in shown


PICTURES = sorted(path.name for path in (DOCS / "pictures").iterdir())


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_is_made_by_a_command_that_a_page_shows(name: str) -> None:
    pages = [path.read_text(encoding="utf-8") for path in [*DOCS.rglob("*.md"), ROOT / "README.md"]]
    scripts = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "tools").glob("*.py"))
    assert any(name in page for page in pages)
    made_by_the_script = f'"{name}"' in scripts
    assert made_by_the_script or any(re.search(rf"python .+{name}", page) for page in pages)


def test_the_recording_of_the_terminal_loads_no_font() -> None:
    text = (DOCS / "pictures" / "terminal.svg").read_text(encoding="utf-8")
    assert "url(" not in text.replace("url(#", "")
    assert "http" not in text.replace("http://www.w3.org", "").replace(
        "https://www.textualize.io", ""
    )


def test_the_citation_has_the_version_of_the_package() -> None:
    cited = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\nversion: {rsretrieve.__version__}\n" in cited
    assert "10.1109/TGRS.2020.3042607" in cited
