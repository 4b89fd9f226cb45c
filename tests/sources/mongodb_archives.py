"""Archives as mongodump writes them, made by the tests; and programs that stand in for MongoDB's tools."""

from __future__ import annotations

import json
import struct
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

MAGIC = bytes.fromhex("6de29981")
END = b"\xff" * 4


def bson(values: Mapping[str, str | bool | int]) -> bytes:
    body = b""
    for name, value in values.items():
        key = name.encode() + b"\0"
        if isinstance(value, str):
            text = value.encode() + b"\0"
            body += b"\x02" + key + struct.pack("<i", len(text)) + text
        elif isinstance(value, bool):
            body += b"\x08" + key + bytes([value])
        elif name == "CRC":
            body += b"\x12" + key + struct.pack("<q", value)
        else:
            body += b"\x10" + key + struct.pack("<i", value)
    return struct.pack("<i", len(body) + 5) + body + b"\0"


def listed(db: str, collection: str, kind: str = "") -> bytes:
    values: dict[str, str | bool | int] = {
        "db": db,
        "collection": collection,
        "metadata": '{"indexes":[]}',
        "size": 0,
        "type": kind,
    }
    return bson(values)


def block(db: str, collection: str, documents: Sequence[bytes]) -> bytes:
    return bson({"db": db, "collection": collection, "EOF": False, "CRC": 0}) + b"".join(documents) + END


def ended(db: str, collection: str) -> bytes:
    return bson({"db": db, "collection": collection, "EOF": True, "CRC": -5}) + END


def archive(databases: Mapping[str, Mapping[str, int]]) -> bytes:
    """So many documents in each collection of each database."""
    head = bson({"concurrent_collections": 1, "version": "0.1", "server_version": "6", "tool_version": "100"})
    names = [
        (db, name, count) for db, collections in databases.items() for name, count in collections.items()
    ]
    blocks = [
        (block(db, name, [bson({"n": n, "text": "x" * n}) for n in range(count)]) if count else b"")
        + ended(db, name)
        for db, name, count in names
    ]
    return MAGIC + head + b"".join(listed(db, name) for db, name, _ in names) + END + b"".join(blocks)


def stand_in(folder: Path, name: str, code: str, content: bytes = b"") -> Path:
    """A program of that name, in that folder, which first records what it was started with, then runs the code."""
    program = folder / name
    (folder / "content").write_bytes(content)
    program.write_text(
        f"#!{sys.executable}\n"
        "import json, os, stat, sys, time\n"
        "options = dict(a.partition('=')[::2] for a in sys.argv[1:])\n"
        "file = options['--config']\n"
        f"folder = {str(folder)!r}\n"
        "record = {'argv': sys.argv[1:], 'env': dict(os.environ), 'config': open(file).read(),\n"
        "          'mode': stat.S_IMODE(os.stat(file).st_mode)}\n"
        "open(folder + '/record', 'w').write(json.dumps(record))\n"
        "content = open(folder + '/content', 'rb').read()\n"
        f"out = sys.stdout.buffer\n{code}\n"
    )
    program.chmod(0o755)
    return program


def record_of(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "record").read_text())
    return found
