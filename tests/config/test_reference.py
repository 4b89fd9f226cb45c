"""The reference names every type and every key that there is.

    python -m tests.config.test_reference

writes its lists anew.
"""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from backupkit.config.building import pipeline_signature
from backupkit.config.models import field_of
from backupkit.config.parts import KINDS, Kind, part_named
from backupkit.config.showing import plain_default
from backupkit.config.signatures import Parameter
from backupkit.config.values import Surroundings

PAGE = Path(__file__).parent.parent.parent / "docs" / "reference" / "settings.md"
BEGIN, END = "<!-- of the code: python -m tests.config.test_reference -->", "<!-- until here -->"
TITLES = {"retention": "Retention policies"}


def lists() -> str:
    """A list for each kind: its types, what they are, and their keys with what they are without a word."""
    return "\n\n".join("\n".join(_of(kind)) for kind in KINDS)


def _of(kind: Kind) -> Iterator[str]:
    yield f"### {TITLES.get(kind.name, kind.name.capitalize())}\n"
    yield f"Entry points: `{kind.group}`.\n"
    for name in kind.types:
        part = part_named(kind, name)
        assert part is not None
        first = (inspect.getdoc(part.signature.make) or "").partition("\n")[0]
        keys = [_key(one) for one in part.signature.parameters if _can_be_said(one)]
        keys += ["and options of its own"] if part.signature.open else []
        line = f"- `{name}`: {first}" + (f" Keys: {', '.join(keys)}." if keys else "")
        yield textwrap.fill(line, 140, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)


def _can_be_said(parameter: Parameter) -> bool:
    return parameter.hint is not Surroundings and field_of(parameter) is not None


def _key(parameter: Parameter) -> str:
    default = parameter.default
    if parameter.required and not parameter.many:
        return f"**`{parameter.name}`**"
    shows = isinstance(default, bool | int | float | timedelta) or (isinstance(default, str) and default)
    shown = oct(default) if parameter.name == "mode" else plain_default(default)
    shown = str(shown).lower() if isinstance(default, bool) else shown
    return f"`{parameter.name}` ({shown})" if shows else f"`{parameter.name}`"


def test_the_reference_has_every_type_and_every_key() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert text.partition(BEGIN)[2].partition(END)[0].strip() == lists(), (
        "python -m tests.config.test_reference"
    )


def test_the_reference_has_every_key_of_a_pipeline() -> None:
    rows = re.findall(r"^\| `(\w+)` \|", PAGE.read_text(encoding="utf-8"), re.M)
    assert sorted(rows) == sorted(one.name for one in pipeline_signature().parameters if _can_be_said(one))


if __name__ == "__main__":
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    PAGE.write_text(f"{before}{BEGIN}\n\n{lists()}\n\n{END}{rest.partition(END)[2]}", encoding="utf-8")
