"""Texts of others, such as names of files, in lines of ours."""

from __future__ import annotations


def printable(text: str) -> str:
    r"""The text with everything that would not be shown as it is written out: `\n`, `\x1b`, `\u202e`, `\udcff`.

    Names of files may hold any of them, and would otherwise break lines, move the cursor, turn the direction of
    the text or, where they are not UTF-8, fail to be printed or sent at all.
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
