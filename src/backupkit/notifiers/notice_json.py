"""A notice as JSON, for programs: whole where it is of a usual size, and always small enough to be taken."""

from __future__ import annotations

import json
from typing import Any

from backupkit.model import Notice
from backupkit.plain_data import plain, storable

# Of each list, and characters of each text: cleaning tells of every backup, programs say as much as they like, and
# receivers take a megabyte or less.
_MOST, _LONGEST = 100, 2_000


def json_of(notice: Notice) -> str:
    """The notice's fields in ASCII, as `plain_data.plain` has them; lists end after 100, texts after 2,000 letters.

    `shortened` says whether one did. Names of files that are not UTF-8 are written out (`\\udcff`), and so is
    NUL: many readers of JSON refuse what stands for them.
    """
    whole = plain(notice)
    data = _shortened(whole)
    return json.dumps(storable({**data, "shortened": data != whole}))


def _shortened(data: Any) -> Any:
    match data:
        case list():
            return [_shortened(one) for one in data[:_MOST]]
        case str():
            return data[:_LONGEST]
        case dict():
            return {key: _shortened(one) for key, one in data.items()}
        case _:
            return data
