"""The code blocks of a page of documentation, in their order."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt

_REASON = re.compile(r"<!-- not run: (.+?) -->", re.DOTALL)
_EXIT = re.compile(r"<!-- exit (\d+) -->")
_TITLE = re.compile(r'title="([^"]+)"')
PROGRAM = "rsretrieve"
PROGRAMS = (PROGRAM, "make", "pip", "python", "torchrun")
SHELL = ("bash", "sh")


@dataclass(frozen=True)
class Block:
    """A block of code.

    Attributes:
        language: as written behind the fence; `bash` for an indented block of commands.
        text: its lines.
        reason: why it is not run; empty if it is.
        code: the exit code of its commands.
        title: the name of the file that it shows, or empty.
    """

    language: str
    text: str
    reason: str = ""
    code: int = 0
    title: str = ""

    @property
    def commands(self) -> list[list[str]]:
        """The words of each command, without prompts and comments."""
        if self.language not in SHELL:
            return []
        joined = self.text.replace("\\\n", " ")
        lines = [line.strip().removeprefix("$ ") for line in joined.splitlines()]
        return [shlex.split(line, comments=True) for line in lines if line and line[0] != "#"]


def blocks_of(path: Path) -> list[Block]:
    """The blocks of a Markdown file.

    A comment `<!-- not run: REASON -->` before a block says why nobody runs it, and
    `<!-- exit 4 -->` with which code its commands end.
    """
    blocks, comment = [], ""
    for token in MarkdownIt("commonmark").parse(path.read_text(encoding="utf-8")):
        if token.type == "html_block":
            comment += token.content
        elif token.type in ("fence", "code_block"):
            blocks.append(_block(token.info, token.content, comment))
            comment = ""
        elif token.type == "inline":
            comment = ""
    return blocks


def _block(info: str, text: str, comment: str) -> Block:
    shell = text.split(" ")[0] in PROGRAMS
    language = info.split(" ")[0] or ("bash" if shell else "text")
    reason, code, title = _REASON.search(comment), _EXIT.search(comment), _TITLE.search(info)
    return Block(
        language,
        text,
        " ".join(reason[1].split()) if reason else "",
        int(code[1]) if code else 0,
        title[1] if title else "",
    )
