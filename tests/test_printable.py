"""Texts of others in lines of ours."""

from __future__ import annotations

import pytest

from backupkit.printable import printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain text, é and 🗃", "plain text, é and 🗃"),
        ("line\nbreak\ttab", r"line\nbreak\ttab"),
        ("\x1b[2Jgone", r"\x1b[2Jgone"),
        ("\udcff\udce9", r"\udcff\udce9"),
        ("right\u202eto left", r"right\u202eto left"),
    ],
)
def test_what_would_not_be_shown_as_it_is_is_written_out(text: str, shown: str) -> None:
    assert printable(text) == shown
