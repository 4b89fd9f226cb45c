"""Reading the parts of a source where nobody else does: one after the other, in their places."""

from __future__ import annotations

from collections.abc import Iterator

from backupkit.model import Entry, Part, Problem


def flattened(items: Iterator[Entry | Problem | Part]) -> Iterator[Entry | Problem]:
    """The same, with what is in each part behind its folder; a folder that is not wanted only if something is."""
    levels = [items]
    held: list[Entry] = []  # the innermost folders that are entries only if something in them is one
    while levels:
        for one in levels[-1]:
            if isinstance(one, Problem):
                yield one
                continue
            if isinstance(one, Part) and not one.wanted:
                held.append(one.entry)
            else:
                if held:
                    yield from held
                    held.clear()
                yield one.entry if isinstance(one, Part) else one
            if isinstance(one, Part):
                levels.append(one.read())
                break
        else:
            levels.pop()
            if held:
                held.pop()
