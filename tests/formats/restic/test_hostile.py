"""Any bytes in, only our errors out."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.formats.restic.hostile import seeds, use

JSON = [json.loads(seed) for seed in seeds()[:6]]
WRONG: tuple[Any, ...] = (
    None, True, -1, 0, 1.5, float("inf"), 1 << 80, "", "\x00", "\ud800", "..", "a/b", "9999-12-31T23:59:59-23:00",
    "0001-01-01T00:00:00+23:00", [], {}, [[]], {"a": 1}, "\\Uffffffff", "A", "/w==",
)  # fmt: skip


@given(st.sampled_from(seeds()), st.data())
def test_bytes_that_were_changed_are_read_or_refused(seed: bytes, data: st.DataObject) -> None:
    changed = bytearray(seed)
    for position in data.draw(st.lists(st.integers(0, len(seed) - 1), max_size=3)):
        changed[position] = data.draw(st.integers(0, 255))
    use(bytes(changed[: data.draw(st.integers(0, len(seed)))]))


def test_values_that_nobody_writes_are_read_or_refused() -> None:
    for document in JSON:
        for changed in _with_one_changed(document):
            use(json.dumps(changed).encode())


def _with_one_changed(value: Any) -> list[Any]:
    """The value with each thing in it, and itself, exchanged for each wrong one."""
    changed: list[Any] = list(WRONG)
    if isinstance(value, dict):
        for key, inner in value.items():
            changed.append({name: one for name, one in value.items() if name != key})
            changed.extend(value | {key: one} for one in _with_one_changed(inner))
    if isinstance(value, list):
        for position, inner in enumerate(value):
            changed.extend(
                [*value[:position], one, *value[position + 1 :]] for one in _with_one_changed(inner)
            )
    return changed
