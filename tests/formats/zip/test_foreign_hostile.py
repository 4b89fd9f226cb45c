"""Archives that were made to do harm, or that something happened to: one clear error each, in little memory."""

from __future__ import annotations

import bz2
import itertools
import os
import struct
import tracemalloc
import zlib
from contextlib import suppress
from pathlib import Path

import pytest
import zstandard

from backupkit.errors import IntegrityError, WrongPassphraseError
from backupkit.formats.zip import foreign_records
from backupkit.model import is_entry_path
from backupkit.targets import DirectoryTarget
from tests.formats.zip.foreign_archives import Member, by_hand, by_pyzipper, by_zipfile, entries_of, opened

MiB = 1 << 20
GOOD = Member(name=b"good", body=b"good\n")


def refusal(*members: Member, among: int = 0) -> str:
    """What is said of the entry, which does not keep the good one behind it from being read."""
    entries = entries_of(by_hand(*members, GOOD))
    assert is_entry_path(entries[among].path)
    assert (entries[-1].path, b"".join(entries[-1].chunks())) == ("good", b"good\n")
    with pytest.raises(IntegrityError) as caught:
        list(entries[among].chunks())
    return str(caught.value)


# Paths


@pytest.mark.parametrize(
    ("name", "why"),
    [
        (b"../f", "leads upwards"),
        (b"a/../../f", "leads upwards"),
        (b"a/..", "leads upwards"),
        (b"..", "leads upwards"),
        (b"/etc/passwd", "absolute"),
        (b"//f", "absolute"),
        (b".//etc/passwd", "absolute"),
        (b"..\\f", "Windows"),
        (b"C:\\f", "Windows"),
        (b"c:f", "Windows"),
        (b"f\0.txt", "NUL"),
        (b"a//b", "empty part"),
        (b"a/./b", "empty part"),
        (b"", "empty part"),
        (b".", "empty part"),
        (b"/", "empty part"),
        (b"x" * 256, "too long"),
        ("ü".encode() * 128, "too long"),
        (b"/".join([b"x" * 200] * 21), "too long"),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_a_path_that_could_lead_elsewhere_is_refused_by_name(name: bytes, why: str) -> None:
    message = refusal(Member(name=name))
    assert why in message
    assert repr(name.decode())[1:20].rstrip("'") in message


def test_a_stand_in_says_what_it_stands_for() -> None:
    names = [
        entry.path for entry in entries_of(by_hand(Member(name=b"../../etc/pass wd"), Member(name=b"..")))
    ]
    assert names == ["%2E%2E%2F%2E%2E%2Fetc%2Fpass wd", "%2E%2E"]


def test_what_stands_twice_is_refused_each_time() -> None:
    assert "more than once" in refusal(Member(), Member(), among=0)
    assert "more than once" in refusal(Member(), Member(), among=1)
    assert "more than once" in refusal(Member(), Member(name=b"./f"), among=1)
    assert "more than once" in refusal(Member(), Member(name=b"f/", body=b""), among=1)


# Links and other kinds


@pytest.mark.parametrize(
    ("path", "target"),
    [
        (b"l", b"/etc/passwd"),
        (b"l", b"../f"),
        (b"a/l", b"../../f"),
        (b"a/l", b".././../f"),
        (b"a/b/l", b"c/../../f"),  # where c, another link, is, nobody knows
        (b"l", b""),
        (b"l", b"a\0b"),
        (b"l", b"x" * 4097),
    ],
    ids=repr,
)
def test_a_link_that_may_lead_outside_is_refused(path: bytes, target: bytes) -> None:
    assert "it is a link to" in refusal(Member(name=path, body=target, attributes=0o120777 << 16))


@pytest.mark.parametrize(("path", "target"), [(b"l", b"a/f"), (b"a/l", b"../f"), (b"a/b/l", b"./../../f")])
def test_a_link_that_stays_inside_is_a_link(path: bytes, target: bytes) -> None:
    (entry,) = entries_of(by_hand(Member(name=path, body=target, attributes=0o120777 << 16)))
    assert (entry.kind, entry.target) == ("symlink", target.decode())


def test_links_that_follow_each_other_cannot_lead_outside(tmp_path: Path) -> None:
    """Whatever two links and a file an archive holds, everything that can be reached is below the target."""
    outside = tmp_path / "outside"
    outside.mkdir()
    steps = ["..", "d", "l", "m", "."]
    for number, parts in enumerate(itertools.product(steps, repeat=3)):
        members = [
            Member(name=b"d/e/l", body="/".join(parts).encode(), attributes=0o120777 << 16),
            Member(name=b"d/m", body=b"..", attributes=0o120777 << 16),
            Member(name=b"d/l", body="/".join(parts[::-1]).encode(), attributes=0o120777 << 16),
        ]
        target = tmp_path / "targets" / str(number)
        list(DirectoryTarget(target).write(entries_of(by_hand(*members, GOOD))))
        for link in (target / "d/e/l", target / "d/m", target / "d/l"):
            if link.is_symlink():
                try:
                    reached = link.resolve()
                except (OSError, RuntimeError):  # in circles
                    continue
                assert reached.is_relative_to(target.resolve()), parts


@pytest.mark.parametrize("mode", [0o020644, 0o060644, 0o010644, 0o140755], ids=oct)
def test_a_device_is_refused(mode: int) -> None:
    assert "device" in refusal(Member(attributes=mode << 16))


def test_a_folder_with_content_is_refused() -> None:
    assert "folder with content" in refusal(Member(name=b"d/"))


# Sizes


@pytest.mark.parametrize(
    ("method", "body", "size"),
    [
        (0, b"content\n", 9),
        (0, b"content\n", 7),
        (8, bytes(100), 200_000),
        (12, bytes(100), 1 << 30),
        (14, bytes(100), 1 << 30),
        (93, bytes(100), 1 << 30),
        (95, bytes(100), 1 << 30),
        (8, b"", 2000),
    ],
)
def test_more_than_the_method_can_reach_is_refused_before_anything_is_decoded(
    method: int, body: bytes, size: int
) -> None:
    assert "cannot be or is a trap" in refusal(Member(method=method, body=body, size=size))


@pytest.mark.parametrize("claim", [-1, 1])
@pytest.mark.parametrize("method", [8, 12, 93])
def test_never_more_nor_less_than_the_directory_says_is_given_out(method: int, claim: int) -> None:
    data = b"content\n" * 100
    packed = {8: zlib.compress(data)[2:-4], 12: bz2.compress(data), 93: zstandard.compress(data)}[method]
    message = refusal(Member(method=method, body=packed, size=len(data) + claim, crc=zlib.crc32(data)))
    assert ("holds more" if claim < 0 else "holds less") in message


def test_encrypted_content_without_room_for_its_encryption_is_refused() -> None:
    assert "cannot be or is a trap" in refusal(Member(flags=1, body=b"short", size=0))


def test_a_bomb_is_stopped_at_its_declared_size_in_little_memory() -> None:
    """256 MiB in 208 bytes, which pyzipper would unpack at once."""
    packed = bz2.compress(bytes(256 * MiB))
    (entry,) = entries_of(by_hand(Member(method=12, body=packed, size=10 * MiB)))
    size, reason = 0, ""
    tracemalloc.start()
    try:
        for chunk in entry.chunks():
            size += len(chunk)
    except IntegrityError as error:
        reason = str(error)
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert "holds more" in reason
    assert size == 10 * MiB
    assert peak < 8 * MiB


def test_lzma_that_asks_for_gigabytes_of_memory_gets_what_its_content_needs() -> None:
    import lzma

    settings: list[dict[str, int]] = [{"id": lzma.FILTER_LZMA1, "dict_size": 4096}]
    raw = lzma.compress(b"content\n", format=lzma.FORMAT_RAW, filters=settings)
    body = b"\x09\x14\5\0" + bytes((0x5D,)) + struct.pack("<I", 0xFFFFFFFF) + raw
    (entry,) = entries_of(by_hand(Member(method=14, body=body, size=8, crc=zlib.crc32(b"content\n"))))
    assert b"".join(entry.chunks()) == b"content\n"


def test_an_archive_inside_an_archive_is_a_file() -> None:
    inner = by_hand(Member(name=b"../f"))
    (entry,) = entries_of(by_hand(Member(name=b"inner.zip", body=inner)))
    assert b"".join(entry.chunks()) == inner


# Offsets


def test_entries_that_share_bytes_make_no_archive() -> None:
    """As in the bombs that hold terabytes without one archive inside another."""
    body = zlib.compress(bytes(MiB))[2:-4]
    first = Member(name=b"a", method=8, body=body, size=MiB, crc=zlib.crc32(bytes(MiB)))
    again = [Member(name=bytes((98 + n,)), method=8, body=body, size=MiB, offset=0) for n in range(9)]
    with pytest.raises(IntegrityError, match="overlaps"):
        opened(by_hand(first, *again))


def test_entries_that_quote_the_headers_behind_them_make_no_archive() -> None:
    inner = by_hand(Member(name=b"b"))
    length = 30 + 1 + 8
    with pytest.raises(IntegrityError, match="overlaps"):
        opened(by_hand(Member(name=b"a", body=inner[:length]), Member(name=b"b", offset=31)))


@pytest.mark.parametrize("offset", [1, 100_000, 0xFFFFFFFE])
def test_an_entry_outside_the_archive_makes_none(offset: int) -> None:
    with pytest.raises(IntegrityError, match=r"overlaps|before its first entry"):
        opened(by_hand(Member(), Member(name=b"g", offset=offset)))


def test_content_that_begins_so_late_that_it_reaches_into_the_next_entry_is_refused() -> None:
    archive = bytearray(by_hand(Member(), GOOD))
    archive[28:30] = b"\x14\0"  # the length of the local extra fields, of which there are none
    refused, good = entries_of(bytes(archive))
    with pytest.raises(IntegrityError, match="reaches into what follows"):
        list(refused.chunks())
    assert b"".join(good.chunks()) == GOOD.body


@pytest.mark.parametrize(
    ("local", "why"),
    [
        (("name", b"g"), "another"),
        (("name", b"ff"), "another"),
        (("method", 8), "another"),
        (("flags", 1), "another"),
        (("flags", 8), "another"),
        (("crc", 1), "other sizes"),
        (("size", 7), "other sizes"),
        (("stored", 7), "other sizes"),
        (("signature", b"PK\1\2"), "no local header"),
    ],
)
def test_a_local_header_that_says_something_else_is_refused(local: tuple[str, object], why: str) -> None:
    assert why in refusal(Member(local=(local,)))


# Whole archives


@pytest.mark.parametrize(
    ("archive", "why"),
    [
        (b"", "not a ZIP archive"),
        (b"PK", "not a ZIP archive"),
        (bytes(100_000), "not a ZIP archive"),
        (by_hand(Member())[:-1], "not a ZIP archive"),
        (by_hand(Member())[:-30], "not a ZIP archive"),
        (by_hand(Member())[1:], "cannot be read"),
        (by_hand(Member())[20:], "cannot be read"),
        (by_hand(Member()) + by_hand(Member()), "in front of it"),
        (by_hand(Member(), prefix=b"#!/bin/sh\n"), "in front of it"),
        (by_hand(Member(), count=2), "counts 2 entries"),
        (by_hand(Member(disk=1)), "split"),
        (by_hand(Member(needs=64)), "cannot be read"),
        (by_hand(Member(name=b"\xff", flags=0x800)), "cannot be read"),
        (by_hand(Member(extra=b"\1\0\xff\xff")), "cannot be read"),
    ],
    ids=range(14),
)
def test_what_is_no_whole_archive_is_said_in_one_sentence(archive: bytes, why: str) -> None:
    with pytest.raises(IntegrityError, match=why) as caught:
        opened(archive)
    assert "\n" not in str(caught.value)


def test_one_part_of_several_is_told_apart() -> None:
    archive = by_hand(Member())
    part = archive[:-18] + b"\1\0\1\0" + archive[-14:]
    with pytest.raises(IntegrityError, match="was split"):
        opened(part)


def test_an_archive_that_is_cut_short_anywhere_is_none() -> None:
    archive = by_zipfile({"a": b"x" * 50, "b": b"y"})
    for length in range(len(archive)):
        with pytest.raises(IntegrityError):
            opened(archive[:length])


def test_a_directory_that_is_too_large_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(foreign_records, "_LARGEST_DIRECTORY", MiB)
    archive = by_hand(*(Member(name=b"%07d" % n * 30, body=b"") for n in range(5000)))
    with pytest.raises(IntegrityError, match="larger than 1 MiB"):
        opened(archive)


@pytest.mark.parametrize("flags", [0x40 | 1, 0x2000 | 1])
def test_strong_encryption_is_refused_by_name(flags: int) -> None:
    assert "PKWARE" in refusal(Member(flags=flags))


@pytest.mark.parametrize("change", [(2, 0), (2, 4), (3, 3), (0, 3)])
def test_encryption_that_contradicts_itself_is_refused(change: tuple[int, int]) -> None:
    version, strength = change
    extra = struct.pack("<HHH2sBH", 0x9901, 7, version, b"AE", strength, 0)
    if change == (2, 0):
        assert "contradicts" in refusal(Member(extra=extra, body=bytes(40), local=(("method", 99),)))
    assert "contradicts" in refusal(Member(extra=extra, body=bytes(40), flags=0))


def test_every_flipped_bit_of_encrypted_content_is_noticed() -> None:
    archive = by_pyzipper({"f": b"content\n" * 3}, secret="five")
    (record,) = opened(archive)._records
    for at in range(record.offset, record.end):
        for bit in range(8):
            flipped = bytearray(archive)
            flipped[at] ^= 1 << bit
            with suppress(IntegrityError, WrongPassphraseError):
                content = b"".join(entries_of(bytes(flipped), "five")[0].chunks())
                # Version, time and the like of the local header are nobody's.
                assert content == b"content\n" * 3
                assert at < record.offset + 30 + len(record.raw) + 11


# Restoring


def test_nothing_hostile_is_written_and_the_rest_is(tmp_path: Path) -> None:
    members = [
        Member(name=b"../escaped"),
        Member(name=os.fsencode(tmp_path) + b"/absolute"),
        Member(name=b"link", body=b"..", attributes=0o120777 << 16),
        Member(name=b"link/through", body=b"x"),
        Member(name=b"changed", crc=1),
        Member(name=b"short", method=8, body=zlib.compress(b"x" * 100)[2:-8], size=100),
        Member(name=b"twice"),
        Member(name=b"twice"),
        Member(name=b"device", attributes=0o020644 << 16),
        GOOD,
    ]
    target = tmp_path / "target"
    problems = [*DirectoryTarget(target).write(entries_of(by_hand(*members)))]
    assert len(problems) == 8
    found = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*"))
    assert found == ["target", "target/good", "target/link", "target/link/through"]
    assert not (target / "link").is_symlink()
