"""The events of a dump of MySQL, switched off as it streams by: those of a scratch database must not run.

An event is a program of the server's that starts by itself, and that acts on whatever database it names.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from backupkit._chunks import closing_iterator

# As mysqldump writes it, `/*!50106 CREATE*/ /*!50117 DEFINER=…*/ /*!50106 EVENT …`, and as people do.
_CREATE = re.compile(rb"\n[ \t]{0,16}(?:/\*M?!\d{0,6} ?)?CREATE\b", re.IGNORECASE)
_BEGINNING = 64  # bytes: more than that pattern matches
_LONGEST = 1 << 16  # bytes from CREATE to what the event does: a name, a definer, and a schedule of literals
_TOKEN = re.compile(
    rb"`(?:[^`]|``)*`|'(?:[^'\\]|\\.|'')*'|\"(?:[^\"\\]|\\.|\"\")*\""
    rb"|/\*M?!\d*|\*/|/\*.*?\*/|--[ \t][^\n]*|#[^\n]*"
    rb"|(?P<word>[\w$\x80-\xff]+)|\s+|(?P<open>['\"`]|/\*)|(?P<user>[=@])|(?P<end>;)|.",
    re.DOTALL,
)
_BEFORE = frozenset({b"OR", b"REPLACE", b"DEFINER", b"CURRENT_USER", b"CURRENT_ROLE", b"SQL", b"SECURITY"})


def without_running_events(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """The same script with DISABLE in each CREATE EVENT that begins a line, and nothing else changed.

    In the data of a dump no line begins so. In the body of a routine one may, and then what that would create is
    switched off as well.
    """
    held, begun = b"\n", False  # a line break that is not theirs, so that the first line is looked at too
    with closing_iterator(chunks) as iterator:
        for chunk in iterator:
            done, held = _switched_off(held + chunk, final=False)
            if done:
                yield done if begun else done[1:]
                begun = True
    done, _ = _switched_off(held, final=True)
    yield done if begun else done[1:]


def _switched_off(text: bytes, *, final: bool) -> tuple[bytes, bytes]:
    """What is settled of the text, changed, and the rest, whose meaning depends on what comes next."""
    done: list[bytes] = []
    start = 0
    for found in _CREATE.finditer(text):
        if found.start() < start:
            continue
        known, place = _place_of_status(text, found.end(), final=final)
        if not known and len(text) - found.start() < _LONGEST:
            return b"".join([*done, text[start : found.start()]]), text[found.start() :]
        if place is not None:
            done += (text[start : place.start()], b"DISABLE")
            if place[0].upper() == b"ENABLE":
                start = place.end()
            else:
                done.append(b" ")
                start = place.start()
    line = len(text) if final else text.rfind(b"\n", start)
    stop = line if line >= 0 and len(text) - line < _BEGINNING else len(text)
    return b"".join([*done, text[start:stop]]), text[stop:]


def _place_of_status(text: bytes, start: int, *, final: bool) -> tuple[bool, re.Match[bytes] | None]:
    """Whether it is known what is created; and, if it is an event that would run, the word to set DISABLE at.

    That is its ENABLE, or else what would follow it, COMMENT or DO.
    """
    is_event = is_user = False  # is_user: half of a definer's name comes next
    while found := _TOKEN.match(text, start):
        start = found.end()
        if found["end"]:
            return True, None
        if found["open"] or (start == len(text) and not final):
            break  # what comes next may belong to it
        word = (found["word"] or b"").upper()
        if word and is_event:
            if word in (b"ENABLE", b"COMMENT", b"DO"):
                return True, found
            if word == b"DISABLE":
                return True, None
        elif word and not is_user:
            is_event = word == b"EVENT"
            if not is_event and word not in _BEFORE:
                return True, None
        is_user = bool(found["user"]) or (is_user and found[0].isspace())
    return final, None
