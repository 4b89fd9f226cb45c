"""Any bytes in, only our errors out, and nothing outside of the target."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import example, given, settings
from hypothesis import strategies as st

from backupkit.errors import BackupKitError
from backupkit.formats.zip.format import Zip
from backupkit.model import is_entry_path
from backupkit.passphrase import Passphrase
from backupkit.targets import DirectoryTarget
from backupkit.testing.destinations import MemoryDestination
from tests.formats.zip.foreign_archives import (
    PYZIPPER_METHODS,
    Member,
    by_hand,
    by_pyzipper,
    by_zipfile,
    with_zip_crypto,
)

SMALL = {"db-dumps/a.sql": b"INSERT 1;\n" * 20, "b/c": b"x", "d": b""}
# One passphrase for all, fetched once: deriving keys is what takes the time.
KEY = Passphrase("five", previous=["six"])


@cache
def seeds() -> tuple[bytes, ...]:
    """One archive of each kind, small, so that a change is likely to hit what matters."""
    link = Member(name=b"l", body=b"../b/c", attributes=0o120777 << 16)
    return (
        *(by_pyzipper(SMALL, method=method, secret=None) for method in PYZIPPER_METHODS.values()),
        by_pyzipper(SMALL, secret="five"),
        by_pyzipper(SMALL, secret="six", bits=128, version=1, method=12),
        by_zipfile(SMALL),
        by_hand(Member(), Member(name=b"a/", body=b"", attributes=0o40755 << 16), link, comment=b"hello"),
        by_hand(with_zip_crypto(Member(), "five"), with_zip_crypto(Member(name=b"g", flags=8), "six")),
    )


def use(archive: bytes, name: str = "shop/2026-01-31-02-00-00.zip") -> None:
    """List, look into, check, read and restore; only our errors get out."""
    destination = MemoryDestination()
    destination.write(name, [archive])
    with Zip(legacy_time_zone="UTC").open(destination, name="shop", encryptor=KEY) as repository:
        (backup,) = repository.list()
        for call in (repository.details, repository.check, repository.confirm):
            with suppress(BackupKitError):
                found = call(backup)
                if isinstance(found, Iterable):
                    list(found)
        with suppress(BackupKitError):
            entries = [*repository.read(backup)]
            for entry in entries:
                assert is_entry_path(entry.path)
                with suppress(BackupKitError):
                    for chunk in entry.chunks():
                        assert len(chunk) <= 1 << 20
            with TemporaryDirectory() as folder:
                target = Path(folder, "target")
                list(DirectoryTarget(target).check(entries))
                with suppress(BackupKitError):
                    list(DirectoryTarget(target).write(entries))
                assert [*Path(folder).iterdir()] in ([], [target])


@settings(max_examples=100)
@given(st.binary(max_size=300))
@example(b"PK\5\6" + bytes(18))
def test_any_bytes_at_all(data: bytes) -> None:
    use(data)


_change = st.tuples(st.integers(0, 5000), st.integers(0, 8), st.binary(max_size=8))
_fields = st.sampled_from([b"\xff" * 4, bytes(4), b"\1\0", b"\xff\xff", b"\x63\0", b"..", b"/", b"\0"])


@settings(max_examples=300)
@given(st.data(), st.lists(_change | st.tuples(st.integers(0, 5000), st.just(0), _fields), max_size=3))
def test_archives_that_were_changed(data: st.DataObject, changes: list[tuple[int, int, bytes]]) -> None:
    archive = data.draw(st.sampled_from(seeds()))
    for at, gone, new in changes:
        at %= len(archive) + 1
        archive = archive[:at] + new + archive[at + (gone or len(new)) :]
    use(archive)


_members = st.builds(
    Member,
    name=st.sampled_from([b"f", b"d/", b"d/f", b"../f", b"/f", b"l/f", b"l", b"\xff", b"db-dumps/a"])
    | st.binary(max_size=6),
    body=st.sampled_from([b"", b"content\n", b"..", b"/etc", b"\5\0" * 20]) | st.binary(max_size=40),
    method=st.sampled_from([0, 0, 8, 12, 14, 93, 95, 99, 7]),
    size=st.none() | st.sampled_from([0, 1, 2, 100, 2**32 - 1]),
    stored=st.none() | st.sampled_from([0, 1, 2**32 - 1]),
    crc=st.none() | st.just(0),
    flags=st.sampled_from([0, 0, 1, 8, 9, 0x40, 0x800, 0x2000]),
    attributes=st.sampled_from([0, 0x10, 0o100644 << 16, 0o120777 << 16, 0o40755 << 16, 0o010644 << 16]),
    system=st.sampled_from([0, 3, 19, 255]),
    extra=st.sampled_from(
        [
            b"",
            b"\1\x99\7\0\2\0AE\3\0\0",
            b"\1\x99\7\0\1\0AE\1\x08\0",
            b"\1\0\x08\0" + b"\xff" * 8,
            b"UT\5\0\1\0\0\0\0",
            b"up\1\0\1",
            b"\x0a\0\4\0\0\0\0\0",
            b"\xff\xff\0\0",
        ]
    ),
    offset=st.none() | st.sampled_from([0, 1, 50]),
    date=st.integers(0, 0xFFFF),
    time=st.integers(0, 0xFFFF),
)


@settings(max_examples=300)
@given(st.lists(_members, max_size=4), st.binary(max_size=5))
def test_archives_that_were_forged(members: list[Member], comment: bytes) -> None:
    use(by_hand(*members, comment=comment))


@settings(max_examples=50)
@given(st.data())
def test_two_archives_spliced(data: st.DataObject) -> None:
    first, second = (data.draw(st.sampled_from(seeds())) for _ in range(2))
    use(first[: data.draw(st.integers(0, len(first)))] + second[data.draw(st.integers(0, len(second))) :])
