"""The documentation does not lie: its links lead somewhere, and its code compiles and names what exists.

That its code also does what it says is shown in `tests/docs/`.
"""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest

from tests.docs.blocks import FENCED, PAGES, ROOT, blocks

NAMES = [page.relative_to(ROOT).as_posix() for page in PAGES]

INLINE_CODE = re.compile(r"(`+).+?\1", re.S)
LINK = re.compile(r"\]\(\s*<?([^)\s>]+)|^\[[^]]+\]:\s*<?([^\s>]+)", re.M)
HEADING = re.compile(r"^#+ +(.+?) *#*$", re.M)


def anchors(text: str) -> set[str]:
    """The anchors a page's headings get: lower case, punctuation dropped, blanks to hyphens."""
    headings = HEADING.findall(FENCED.sub("", text))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken_links(page: Path) -> Iterator[str]:
    """Yield the relative links of a page that lead to no file, or to no heading of it."""
    prose = INLINE_CODE.sub("", FENCED.sub("", page.read_text(encoding="utf-8")))
    for link in (first or second for first, second in LINK.findall(prose)):
        if re.match(r"[a-z][a-z0-9+.-]*:", link):
            continue
        path, _, anchor = unquote(link).partition("#")
        target = page.parent / path if path else page
        is_page = target.suffix == ".md" and target.is_file()
        if not target.exists() or (
            anchor and is_page and anchor not in anchors(target.read_text(encoding="utf-8"))
        ):
            yield link


def unknown_names(code: str) -> Iterator[str]:
    """Yield what the code imports from this package and would not find there."""
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "backupkit":
            module = importlib.import_module(node.module or "")
            for alias in node.names:
                if not hasattr(module, alias.name):
                    yield f"{node.module}.{alias.name}"


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    assert list(broken_links(page)) == []


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_python_block_compiles_and_imports_what_exists(page: Path) -> None:
    for block in blocks(page.read_text(encoding="utf-8")):
        if block.language == "python":
            # Top-level `await` is how one shows asynchronous use in three lines.
            where = f"{page}, block at line {block.line}"
            compile(block.code, where, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
            assert list(unknown_names(block.code)) == []


def test_a_link_to_nothing_is_found(tmp_path: Path) -> None:
    (tmp_path / "other page.md").write_text("# What's in it?\n")
    page = tmp_path / "page.md"
    page.write_text(
        "# Here\n[a](other%20page.md#whats-in-it) [b](#here) [c](https://example.org/x) `[d](no.md)`\n"
        "```\n[e](no.md)\n# no heading\n```\n"
        "[f](gone.md) [g](other%20page.md#gone) [h](#no-heading)\n[i]: gone.txt\n"
    )
    assert list(broken_links(page)) == ["gone.md", "other%20page.md#gone", "#no-heading", "gone.txt"]


def test_a_name_that_the_package_does_not_have_is_found() -> None:
    assert list(unknown_names("from backupkit.model import Entry, Nothing")) == ["backupkit.model.Nothing"]
