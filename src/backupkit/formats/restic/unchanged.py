"""Recognising a folder in which nothing has changed: its tree is compared as text, and need not be parsed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from backupkit.formats.restic.nodes import node_text
from backupkit.model import Entry, Owner, Part, Problem

_BEGIN, _END = '{"nodes":[', "]}\n"


@dataclass(slots=True)
class Same:
    """What is in a folder that is what it was. Nobody has looked yet whether its blobs are held."""

    entries: int = 0  # all but folders
    files: int = 0
    size: int = 0  # of the content of files
    data: list[bytes] = field(default_factory=list)  # the ids of its blobs
    trees: list[bytes] = field(default_factory=list)  # of the folders in it, in their order
    nodes: dict[str, str] = field(default_factory=dict)  # of the entries, by name


def same(
    content: bytes, children: Sequence[Entry | Problem | Part], *, owner: Owner, now_ns: int
) -> Same | None:
    """What the children of a folder, if they are all that is in it, have in common with its tree of before.

    None unless each would get the very text that stands there, in this order: but for the trees of folders, of
    which nothing is known yet, the new tree is the old one. None too for what takes a closer look, as links do.
    """
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return None
    if not text.startswith(_BEGIN):
        return None
    found = Same()
    ids: list[str] = []
    trees: list[str] = []
    at = len(_BEGIN)
    for one in children:
        if at > len(_BEGIN):
            if not text.startswith(",", at):
                return None
            at += 1
        begin = at
        if isinstance(one, Problem):
            return None
        if isinstance(one, Part):
            entry = one.entry
            node = node_text(entry, entry.path.rpartition("/")[2], owner=owner, now_ns=now_ns)
            node = node[:-1] + ',"subtree":"'
            if not text.startswith(node, at):
                return None
            at += len(node) + 66
            trees.append(text[at - 66 : at - 2])
            if not text.startswith('"}', at - 2):
                return None
            continue
        name = one.path.rpartition("/")[2]
        if one.kind == "file":
            origin = one.origin
            if origin is None or origin.links > 1 or one.modified_ns is None:
                return None
            size = one.size or 0
            node = node_text(one, name, owner=owner, now_ns=now_ns, size=size, content=())[:-2]
            if not text.startswith(node, at):
                return None
            start = at + len(node)
            end = text.find("]}", start)
            if end != start:
                if not (text.startswith('"', start) and text.startswith('"', end - 1)):
                    return None
                ids += text[start + 1 : end - 1].split('","')
            at = end + 2
            found.files += 1
            found.size += size
        else:
            node = node_text(one, name, owner=owner, now_ns=now_ns)
            if not text.startswith(node, at):
                return None
            at += len(node)
        found.entries += 1
        found.nodes[name] = text[begin:at]
    if text[at:] != _END:
        return None
    try:
        found.data, found.trees = [*map(_id, ids)], [*map(_id, trees)]
    except ValueError:
        return None
    return found


def _id(text: str) -> bytes:
    id = bytes.fromhex(text)
    if id.hex() != text or len(id) != 32:
        raise ValueError(f"{text[:80]!r} is no id")
    return id
