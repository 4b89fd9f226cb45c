"""Names of nodes, quoted as Go's `strconv.Quote` does (restic design document, "Trees and Data")."""

from __future__ import annotations

import re

_SIMPLE = {
    "\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v",
    "\\": "\\\\", '"': '\\"',
}  # fmt: skip
_UNQUOTED = {quoted[1]: plain for plain, quoted in _SIMPLE.items()} | {"'": "'"}
_ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[0-7]{3}|.)|\\", re.DOTALL)


def quote(name: str) -> str:
    r"""The name as it stands in a tree, without quotes around it; bytes that are not UTF-8 become `\xff`."""
    if name.isascii() and name.isprintable() and '"' not in name and "\\" not in name:
        return name
    return "".join(map(_quoted, name))


def _quoted(character: str) -> str:
    if (simple := _SIMPLE.get(character)) is not None:
        return simple
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # Python's stand-in for a byte that is not UTF-8
        return f"\\x{code - 0xDC00:02x}"
    if character == "\ufffd" or character.isprintable():
        return character
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def unquote(quoted: str) -> str:
    """The name; ValueError if nobody could have written this."""
    if "\\" not in quoted and quoted.isascii():
        return quoted
    raw = bytearray()
    position = 0
    for found in _ESCAPE.finditer(quoted):
        raw += quoted[position : found.start()].encode("utf-8", "surrogateescape")
        position = found.end()
        escape = found[1]
        if escape is None:
            raise ValueError(f"{quoted!r} ends in the middle of an escape")
        if escape[0] == "x" and len(escape) == 3:
            raw.append(int(escape[1:], 16))
        elif escape[0] in "uU" and len(escape) > 1:
            raw += _character(int(escape[1:], 16))
        elif len(escape) == 3 and int(escape, 8) < 256:
            raw.append(int(escape, 8))
        elif escape in _UNQUOTED:
            raw += _UNQUOTED[escape].encode()
        else:
            raise ValueError(f"{quoted!r} holds the unknown escape \\{escape}")
    raw += quoted[position:].encode("utf-8", "surrogateescape")
    return raw.decode("utf-8", "surrogateescape")


def _character(code: int) -> bytes:
    if code > 0x10FFFF:  # of which `chr` makes an OverflowError, if it is large enough
        raise ValueError(f"there is no character {code:#x}")
    return chr(code).encode()
