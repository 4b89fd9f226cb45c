"""Everything that reads bytes of a repository, for bytes that somebody made up: only our errors come out."""

from __future__ import annotations

import os
from contextlib import suppress

import zstandard

from backupkit.errors import BackupKitError
from backupkit.formats.restic import go_json
from backupkit.formats.restic.blobs import unseal_blob
from backupkit.formats.restic.config import Config
from backupkit.formats.restic.documents import decode
from backupkit.formats.restic.index import BlobIndex
from backupkit.formats.restic.keys import KeyFile
from backupkit.formats.restic.locks import LockFile
from backupkit.formats.restic.nodes import entry_of, parse_tree
from backupkit.formats.restic.packs import parse_header, read_header
from backupkit.formats.restic.sealing import MasterKey, Sealer
from backupkit.formats.restic.snapshots import Snapshot

SEALER = Sealer(MasterKey.of(bytes(range(64))))
ID = "ab" * 32


def seeds() -> list[bytes]:
    """Sound ones of every kind."""
    node = {
        "name": "ü\\n\\xff", "type": "file", "mode": 420, "mtime": "2026-01-31T12:00:00.5+01:00",
        "uid": 1, "user": "a", "size": 5, "content": [ID],
        "extended_attributes": [{"name": "user.a", "value": "AAAA"}],
    }  # fmt: skip
    link = {
        "name": "l",
        "type": "symlink",
        "mtime": "2026-01-31T12:00:00Z",
        "linktarget": "a",
        "linktarget_raw": "/w==",
    }
    device = {"name": "d", "type": "chardev", "mtime": "2026-01-31T12:00:00Z", "device": 5}
    blob = {"id": ID, "type": "data", "offset": 0, "length": 38, "uncompressed_length": 5}
    documents = [
        {"version": 2, "id": ID, "chunker_polynomial": "3da3358b4dc173"},
        {"packs": [{"id": ID, "blobs": [blob, blob | {"type": "tree"}]}]},
        {
            "time": "2026-01-31T12:00:00Z",
            "exclusive": True,
            "hostname": "h",
            "username": "u",
            "pid": 1,
            "uid": 1,
        },
        {
            "time": "2026-01-31T12:00:00Z",
            "tree": ID,
            "paths": ["/a"],
            "hostname": "h",
            "tags": ["t"],
            "original": ID,
        },
        {
            "nodes": [
                node,
                link,
                device,
                {"name": "s", "type": "dir", "mtime": "0001-01-01T00:00:00Z", "subtree": ID},
            ]
        },
        {"kdf": "scrypt", "N": 2, "r": 8, "p": 1, "salt": "AAAA", "data": "AAAA"},
    ]
    plain = [go_json.dumps(document) for document in documents]
    records = b"\0" + bytes(4) + bytes(32) + b"\3" + bytes(8) + bytes(32)
    return [*plain, b"\2" + zstandard.ZstdCompressor().compress(plain[1]), records, SEALER.seal(records)]


def use(data: bytes) -> None:
    """Read it as each kind of object: as it is, and as what was sealed."""
    with suppress(BackupKitError):
        KeyFile.parse(data, where="it")
    with suppress(BackupKitError):
        read_header(lambda start, length: data[start : start + length], len(data), SEALER, where="it")
    with suppress(BackupKitError):
        for node in parse_tree(data, where="it"):
            os.fsencode(node["name"])
            with suppress(BackupKitError):
                entry = entry_of(node, node["name"], where="it")
                if entry is not None and entry.target is not None:
                    os.fsencode(entry.target)
    sealed = SEALER.seal(data)
    with suppress(BackupKitError):
        parse_header(sealed, SEALER, where="it")
    with suppress(BackupKitError):
        unseal_blob(sealed, 100, bytes(32), SEALER, where="it")
    with suppress(BackupKitError):
        fields = decode(sealed, SEALER, where="it")
        with suppress(BackupKitError):
            Config.parse(fields, location="it")
        with suppress(BackupKitError):
            LockFile.parse(fields, where="it")
        with suppress(BackupKitError):
            Snapshot.parse(fields, ID, where="it")
        BlobIndex().take(fields, where="it")
