"""JSON as Go writes it: ids of trees are hashes of it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backupkit.formats.restic import go_json


@pytest.mark.parametrize(
    ("document", "written"),
    [
        ({"b": 1, "a": [True, None]}, b'{"b":1,"a":[true,null]}'),
        ("<a href='x'>&</a>", rb'''"\u003ca href='x'\u003e\u0026\u003c/a\u003e"'''),
        ("\u2028\u2029", rb'"\u2028\u2029"'),
        ("Grüße 語 😀", '"Grüße 語 😀"'.encode()),
        ('"\\/', rb'"\"\\/"'),
        ("\n\r\t", rb'"\n\r\t"'),
        ("\b\f", rb'"\b\f"'),  # since Go 1.22; before, \u0008 and \u000c
        ("\x00\x1f\x7f", b'"\\u0000\\u001f\x7f"'),
        (b"a\xffb".decode("utf-8", "surrogateescape"), rb'"a\ufffdb"'),
        ("\ud800\udfff", rb'"\ufffd\ufffd"'),
        (1 << 64, b"18446744073709551616"),
    ],
)
def test_texts_are_escaped_as_go_escapes_them(document: Any, written: bytes) -> None:
    assert go_json.dumps(document) == written


def test_a_single_text_is_written_as_in_a_document() -> None:
    assert go_json.text("<\udcff>").encode() == go_json.dumps("<\udcff>")


texts = st.text(st.characters(exclude_categories=["Cs"]))


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | texts,
        lambda inner: st.lists(inner) | st.dictionaries(texts, inner),
        max_leaves=20,
    )
)
def test_what_was_written_is_read_back(document: Any) -> None:
    written = go_json.dumps(document)
    assert json.loads(written) == document
    assert not set(written) & set(b"<>&")
