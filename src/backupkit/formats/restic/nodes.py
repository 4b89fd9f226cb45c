"""Nodes of a tree: entries as restic writes them, and back (design document, "Trees and Data")."""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
from base64 import b64decode, b64encode
from binascii import unhexlify
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Protocol

from backupkit.errors import IntegrityError
from backupkit.formats.restic.go_json import text
from backupkit.formats.restic.layout import is_id
from backupkit.formats.restic.quoting import quote, unquote
from backupkit.formats.restic.times import NO_TIME, ns_text, text_ns
from backupkit.model import Entry, Kind, Owner, no_chunks

ROWS = "user.backupkit.rows"
"""The extended attribute of a dump that has how many rows each of its tables had."""

# Go's os.FileMode has its own bits above those for permissions.
_TYPES: Mapping[Kind, tuple[str, int]] = {
    "file": ("file", 0),
    "hardlink": ("file", 0),
    "directory": ("dir", 1 << 31),
    "symlink": ("symlink", 1 << 27),
    "blockdev": ("dev", 1 << 26),
    "chardev": ("chardev", 1 << 26 | 1 << 21),
    "fifo": ("fifo", 1 << 25),
}
_KINDS: Mapping[str, Kind] = {node: kind for kind, (node, _) in _TYPES.items() if kind != "hardlink"}
_HIGH_BITS = ((stat.S_ISUID, 1 << 23), (stat.S_ISGID, 1 << 22), (stat.S_ISVTX, 1 << 20))
UNDESCRIBED = 0o755
"""The mode that a folder has in a repository if its source gave none."""
_USUAL_MODES: Mapping[Kind, int] = {"directory": UNDESCRIBED, "symlink": 0o777}  # where a source gave none
_NO_NAMES = frozenset(("", ".", ".."))
_NO_XATTRS: Mapping[str, bytes] = MappingProxyType({})
_PLAIN_NAME = re.compile(r"[ !#-%'-;=?-\[\]-~]*")  # what neither JSON, nor Go for HTML, writes in another way
_UNSET = text_ns(NO_TIME)


class Content(Protocol):
    """What the blobs of a file hold; see `Entry`."""

    @property
    def digest(self) -> str: ...

    def chunks(self) -> Iterator[bytes]: ...

    def reusing(self, descriptor: int, /) -> Iterator[bytes]: ...

    def within(self, start: int, stop: int, /) -> Iterator[bytes]: ...


def go_mode(kind: Kind, mode: int | None) -> int:
    """The mode as Go has it; what has none is readable by its owner alone."""
    if mode is None:
        mode = _USUAL_MODES.get(kind, 0o600)
    bits = _TYPES[kind][1] | (mode & 0o777)
    if mode > 0o777:
        for bit, go_bit in _HIGH_BITS:
            if mode & bit:
                bits |= go_bit
    return bits


def node_text(
    entry: Entry,
    name: str,
    *,
    owner: Owner,
    now_ns: int,
    size: int = 0,
    content: Iterable[bytes] | None = None,
    subtree: bytes | None = None,
) -> str:
    """One entry as it stands in a tree. `owner` and `now_ns` are for what has no owner or time of its own."""
    # Hot: this is done for every entry of every run.
    kind, origin = entry.kind, entry.origin
    modified = ns_text(now_ns if entry.modified_ns is None else entry.modified_ns)
    quoted = f'"{name}"' if _PLAIN_NAME.fullmatch(name) else text(quote(name))
    changed, place, links = modified, "", ""
    if origin is not None:
        if origin.changed_ns != entry.modified_ns:
            changed = ns_text(origin.changed_ns)
        place = f',"inode":{origin.inode},"device_id":{origin.device}'
        if origin.links and kind not in ("directory", "fifo"):
            links = f',"links":{origin.links}'
    own = entry.owner or owner
    length = f',"size":{size}' if size else ""
    end = '"content":null'
    if content is not None:
        end = '"content":[' + ",".join([f'"{id.hex()}"' for id in content]) + "]"
    if subtree is not None:
        end += f',"subtree":"{subtree.hex()}"'
    if kind != "file" or entry.xattrs or entry.rows:
        end = _rare_fields(entry) + end
    # restic records the time of the last access only on demand, and else the other one in its place.
    return (
        f'{{"name":{quoted},{_kind_text(kind, entry.mode)}'
        f'"mtime":"{modified}","atime":"{modified}","ctime":"{changed}",'
        f"{_owner_text(own.uid, own.gid, own.user, own.group)}{place}"
        f"{length}{links},{end}}}"
    )


def _rare_fields(entry: Entry) -> str:
    """What stands before the content, and files mostly have not; with a comma after each."""
    fields: list[str] = []
    if entry.kind == "symlink":
        fields += _target_fields(entry.target or "")
    if (entry.xattrs or entry.rows) and (attributes := attributes_of(entry)):
        each = (
            f'{{"name":{text(key)},"value":"{b64encode(value).decode()}"}}'
            for key, value in attributes.items()
        )
        fields.append(f'"extended_attributes":[{",".join(each)}]')
    if entry.device is not None and entry.kind in ("chardev", "blockdev"):
        fields.append(f'"device":{os.makedev(*entry.device)}')
    return "".join([f"{field}," for field in fields])


@lru_cache(maxsize=1024)
def _kind_text(kind: Kind, mode: int | None) -> str:
    bits = go_mode(kind, mode)
    return f'"type":"{_TYPES[kind][0]}",' + (f'"mode":{bits},' if bits else "")


@lru_cache(maxsize=1024)
def _owner_text(uid: int, gid: int, user: str | None, group: str | None) -> str:
    names = f',"user":{text(user)}' if user else ""
    if group:
        names += f',"group":{text(group)}'
    return f'"uid":{uid},"gid":{gid}{names}'


def attributes_of(entry: Entry) -> Mapping[str, bytes]:
    """The extended attributes that its node has."""
    if not entry.rows:
        return entry.xattrs
    return {**entry.xattrs, ROWS: json.dumps(entry.rows, sort_keys=True).encode()}


def tree_content(nodes: Iterable[str]) -> bytes:
    """The plain bytes of a tree with these nodes, which must be sorted by the bytes of their names."""
    return ('{"nodes":[' + ",".join(nodes) + "]}\n").encode()


def tree_of(nodes: Mapping[str, str]) -> tuple[bytes, bytes]:
    """The id and the plain bytes of the tree with these nodes, by name and in any order."""
    content = tree_content(nodes[name] for name in sorted(nodes, key=sort_key))
    return hashlib.sha256(content).digest(), content


def sort_key(name: str) -> bytes:
    """What restic sorts the nodes of a tree by."""
    return name.encode("utf-8", "surrogateescape")


def parse_tree(content: bytes, *, where: str) -> Sequence[dict[str, Any]]:
    """The nodes of a tree, their names unquoted; IntegrityError, naming `where`, if this is no tree."""
    try:
        nodes = json.loads(content)["nodes"] or []
        for node in nodes:
            name = node["name"]
            if "\\" in name or not name.isascii():
                node["name"] = name = unquote(name)
            if name in _NO_NAMES or "/" in name or "\0" in name:
                raise ValueError(f"{name[:80]!r} is no name")
            if type(node["type"]) is not str:
                raise ValueError(f"the type of {name[:80]!r} is none")
            if (node.get("links") or 0) > 1 and not all(
                type(node.get(number) or 0) is int for number in ("links", "inode", "device_id")
            ):
                raise ValueError(f"the links of {name[:80]!r} are none")
            if not all(map(is_id, node.get("content") or ())):
                raise ValueError("an id in the content of a node is none")
            subtree = node.get("subtree")
            if not (subtree is None or is_id(subtree)):
                raise ValueError("the id of a subtree is none")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise IntegrityError(f"{where} is no tree: {error}.", where=where) from error
    return nodes


def references_of(content: bytes, *, where: str) -> tuple[Sequence[bytes], Sequence[bytes]]:
    """The ids of the blobs and the trees that a tree refers to; IntegrityError, naming `where`, if it is none."""
    # Hot: all that `parse_tree` looks at besides is of no use to whoever asks this of every tree there is.
    try:
        nodes = json.loads(content)["nodes"] or ()
        blobs = [unhexlify(id) for node in nodes if (ids := node.get("content")) for id in ids]
        trees = [unhexlify(tree) for node in nodes if (tree := node.get("subtree")) is not None]
        if not {*map(len, blobs), *map(len, trees)} <= {32}:
            raise ValueError("an id in it is none")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise IntegrityError(f"{where} is no tree: {error}.", where=where) from error
    return blobs, trees


def is_restorable(node: Mapping[str, Any]) -> bool:
    """Whether a node describes what can be an entry; a socket, for one, cannot."""
    return node["type"] in _KINDS


def entry_of(
    node: Mapping[str, Any],
    path: str,
    *,
    where: str,
    content: Content | None = None,
    first: str | None = None,
) -> Entry | None:
    """The entry that a node describes; None for what cannot be restored, such as a socket.

    `content` is that of a file; `first` is the path of an earlier entry that it is another link to.
    """
    try:
        kind = _KINDS.get(node["type"])
        if kind is None:
            return None
        mode = int(node.get("mode", 0))
        permissions = mode & 0o777
        for bit, go_bit in _HIGH_BITS:
            if mode & go_bit:
                permissions |= bit
        modified = text_ns(node["mtime"])
        xattrs, rows = _NO_XATTRS, {}
        if attributes := node.get("extended_attributes"):
            xattrs = {one["name"]: b64decode(one["value"]) for one in attributes}
            rows = {str(key): int(count) for key, count in json.loads(xattrs.pop(ROWS, b"{}")).items()}
        device = None
        if kind in ("chardev", "blockdev"):
            number = int(node.get("device", 0))
            device = os.major(number), os.minor(number)
        if first is not None:
            kind = "hardlink"
        return Entry(
            path=path,
            kind=kind,
            size=int(node.get("size", 0)) if content is not None else None,
            modified_ns=None if modified == _UNSET else modified,
            mode=permissions,
            owner=_owner(node.get("uid", 0), node.get("gid", 0), node.get("user"), node.get("group")),
            target=_target_of(node) if kind == "symlink" else first,
            xattrs=xattrs,
            device=device,
            rows=rows,
            chunks=no_chunks if content is None else content.chunks,
            reusing=None if content is None else content.reusing,
            within=None if content is None else content.within,
            digest=None if content is None else content.digest,
        )
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise IntegrityError(
            f"{where} describes {path!r} in a way that nobody writes: {error}.", where=where
        ) from error


@lru_cache(maxsize=1024)
def _owner(uid: Any, gid: Any, user: Any, group: Any) -> Owner:
    return Owner(uid=int(uid), gid=int(gid), user=user or None, group=group or None)


def _target_fields(target: str) -> Sequence[str]:
    try:
        target.encode()
    except UnicodeEncodeError:
        raw = b64encode(target.encode("utf-8", "surrogateescape")).decode()
        return [f'"linktarget":{text(target)}', f'"linktarget_raw":"{raw}"']
    return [f'"linktarget":{text(target)}']


def _target_of(node: Mapping[str, Any]) -> str:
    if raw := node.get("linktarget_raw"):
        return b64decode(raw).decode("utf-8", "surrogateescape")
    target = str(node.get("linktarget", ""))
    target.encode("utf-8", "surrogateescape")  # or no system would take it
    return target
