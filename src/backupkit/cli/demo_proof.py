"""Whether what the demo restored is what it had destroyed. It trusts nothing of what made the backup."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import stat
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TypeAlias

from backupkit.cli.demo_application import ACCOUNTS, BALANCE

Transfer: TypeAlias = tuple[int, int, int, int, bytes]


@dataclass(frozen=True, slots=True)
class Seen:
    """All that the demo wants back of a file, folder or link; `first_name` tells hard links."""

    kind: str
    mode: int
    modified_ns: int
    owner: tuple[int, int]
    link_target: bytes | None
    sha256: str | None
    first_name: bytes | None


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was compared, and what differs."""

    what: str
    differences: tuple[str, ...] = ()


def look_at(folder: Path) -> Mapping[bytes, Seen]:
    """Everything in the folder, itself included, by its name there."""
    root = os.fsencode(folder)
    first_names: dict[tuple[int, int], bytes] = {}
    return {os.path.relpath(path, root): _seen(path, root, first_names) for path in sorted(_walk(root))}


def _walk(root: bytes) -> Iterator[bytes]:
    yield root
    for parent, folders, files in os.walk(root):
        for name in folders + files:
            yield os.path.join(parent, name)


def _seen(path: bytes, root: bytes, first_names: dict[tuple[int, int], bytes]) -> Seen:
    status = os.lstat(path)
    regular = stat.S_ISREG(status.st_mode)
    digest = None
    if regular:
        with open(path, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        first_names.setdefault((status.st_dev, status.st_ino), os.path.relpath(path, root))
    return Seen(
        kind=stat.filemode(status.st_mode)[0],
        mode=stat.S_IMODE(status.st_mode),
        modified_ns=status.st_mtime_ns,
        owner=(status.st_uid, status.st_gid),
        link_target=os.readlink(path) if stat.S_ISLNK(status.st_mode) else None,
        sha256=digest,
        first_name=first_names.get((status.st_dev, status.st_ino)),
    )


def compare_files(before: Mapping[bytes, Seen], after: Mapping[bytes, Seen]) -> Iterator[Check]:
    """Compare one fact at a time, so that what differs is named."""
    lost = [f"{name!r} is missing" for name in before.keys() - after.keys()]
    strange = [f"{name!r} was not there before" for name in after.keys() - before.keys()]
    yield Check(f"all {len(before)} names are there, and no others", (*lost, *strange))
    both = sorted(before.keys() & after.keys())
    for field, what in zip(fields(Seen), _FACTS, strict=True):
        pairs = [(name, getattr(before[name], field.name), getattr(after[name], field.name)) for name in both]
        yield Check(what, tuple(f"{name!r}: {old}, now {new}" for name, old, new in pairs if old != new))


_FACTS = (
    "each is of the same kind: file, folder or link",
    "each has the same mode",
    "each has the same time, to the nanosecond",
    "each has the same owner",
    "each symbolic link points to the same place",
    "each file has the same content (SHA-256)",
    "hard links are hard links again",
)


def transfers(database: Path) -> list[Transfer]:
    with closing(sqlite3.connect(database)) as connection:
        return connection.execute(
            "SELECT id, payer, payee, amount, note FROM transfer ORDER BY id"
        ).fetchall()


def last_transfer(database: Path) -> int:
    with closing(sqlite3.connect(database, timeout=60)) as connection:
        (last,) = connection.execute("SELECT max(id) FROM transfer").fetchone()
        return int(last)


def compare_database(
    restored: Path, *, recorded: Sequence[Transfer], begin: int, end: int
) -> Iterator[Check]:
    """Is this the database as it was at one moment of the run, between transfers `begin` and `end`?"""
    with closing(sqlite3.connect(restored)) as connection:
        integrity = [row for (row,) in connection.execute("PRAGMA integrity_check")]
        balances = dict(connection.execute("SELECT id, balance FROM account"))
    yield Check("SQLite finds the database sound", tuple(row for row in integrity if row != "ok"))

    rows = transfers(restored)
    last = rows[-1][0] if rows else 0
    yield Check(
        f"it is of a moment of the run: transfer {last} is its last, and {end - begin} were made "
        f"while the run lasted ({begin} … {end})",
        () if begin <= last <= end and begin < end else (f"{last} is not within {begin} … {end}",),
    )
    expected = [row for row in recorded if row[0] <= last]
    different = [f"transfer {old[0]}" for old, new in zip(expected, rows, strict=False) if old != new]
    if len(rows) != len(expected):
        different.append(f"{len(expected)} transfers were recorded and {len(rows)} are there")
    yield Check(f"all {len(rows)} transfers are, row by row, what was recorded before", tuple(different))

    total = ACCOUNTS * BALANCE
    yield Check(
        f"no transaction is there by half: the balances add up to {total}",
        () if sum(balances.values()) == total else (f"they add up to {sum(balances.values())}",),
    )
    computed = Counter(dict.fromkeys(range(1, ACCOUNTS + 1), BALANCE))
    for _, payer, payee, amount, _ in expected:
        computed[payer] -= amount
        computed[payee] += amount
    yield Check(
        "each account's balance is what its transfers make of it",
        tuple(f"account {account}" for account in computed if balances.get(account) != computed[account]),
    )
