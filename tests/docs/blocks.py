"""The code blocks of the documentation, as they stand in its pages."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])

FENCED = re.compile(
    r"^(?P<indent> *)```(?P<language>[\w-]*)[^\n]*\n(?P<code>.*?)^(?P=indent)```", re.MULTILINE | re.DOTALL
)

LANGUAGES = {
    "python": "run",
    "sh": "run by bash",
    "console": "its commands are run by bash, and what they print is compared",
    "cron": "the command of each line is run as cron would",
    "toml": "loaded",
    "json": "loaded",
    "yaml": "loaded",
    "php": "run",
    "dockerfile": "its commands are asked for their help",
    "sql": "run by the world's server",
    "text": "the file of another program, which nobody here could read",
}
"""What a block may be, and what is done with it. What is output, and no code, has no language."""


@dataclass(frozen=True)
class Block:
    """One block, and the number of its first line."""

    line: int
    language: str
    code: str


def blocks(text: str) -> Iterator[Block]:
    for found in FENCED.finditer(text):
        line = text.count("\n", 0, found.start("code")) + 1
        yield Block(line, found["language"], textwrap.dedent(found["code"]))


def code_of(page: Path) -> list[Block]:
    """The blocks of a page that are code."""
    return [block for block in blocks(page.read_text(encoding="utf-8")) if block.language]


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()
