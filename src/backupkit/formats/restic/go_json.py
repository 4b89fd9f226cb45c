"""JSON as Go's `encoding/json` writes it, because ids are hashes of it (design document, "Trees and Data")."""

from __future__ import annotations

import json
import re
from typing import Any

# Go escapes what HTML and JavaScript would misread and what is not UTF-8, and leaves all else as it is.
_ESCAPED = re.compile("[<>&\u2028\u2029\ud800-\udfff]")


def dumps(document: Any) -> bytes:
    """The document without spaces, keys in the order given."""
    return _escaped(json.dumps(document, ensure_ascii=False, separators=(",", ":"))).encode()


def text(value: str) -> str:
    """One text, in its quotes."""
    return _escaped(json.dumps(value, ensure_ascii=False))


def _escaped(text: str) -> str:
    # These characters can only stand within texts, so that the whole document may be gone over at once.
    return _ESCAPED.sub(_escape, text)


def _escape(found: re.Match[str]) -> str:
    code = ord(found[0])
    return "\\ufffd" if 0xD800 <= code <= 0xDFFF else f"\\u{code:04x}"
