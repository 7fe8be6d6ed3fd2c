"""Pages of the notebooks: their text and their code."""

from __future__ import annotations

import json
from pathlib import Path


def notebook_page(path: Path) -> str:
    """A notebook as Markdown, with a link to the file.

    Args:
        path: the notebook; its outputs are not shown.

    Returns:
        The page.
    """
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    parts = []
    for cell in cells:
        source = "".join(cell["source"])
        code = cell["cell_type"] == "code"
        parts.append(f"```python\n{source}\n```" if code else source)
    title, *rest = parts
    return "\n\n".join([title, f"[Download this notebook]({path.name})", *rest]) + "\n"
