from __future__ import annotations

import io
import struct
import zipfile
from contextlib import suppress
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backupkit.errors import IntegrityError
from backupkit.formats.zip.records import (
    END_SIZES,
    METHODS,
    Directory,
    Record,
    extent,
    find_directory,
    pack_central,
    pack_descriptor,
    pack_end,
    pack_local,
    unpack_directory,
    whole_seconds,
)

GiB = 1 << 30
LIMIT = 0xFFFFFFFF

RECORD = Record(
    name=b"app/orders.csv",
    method=METHODS["deflate"],
    encrypted=False,
    streamed=False,
    modified=1_767_225_600,
    attributes=0o100644 << 16,
    offset=0,
    crc=0x12345678,
    stored=100,
    size=300,
)

_large = st.integers(0, 2**64 - 1) | st.sampled_from([0, 1, LIMIT - 1, LIMIT, LIMIT + 1, 2**63])
_small = st.integers(0, LIMIT - 1)
_records = st.booleans().flatmap(
    lambda streamed: st.builds(
        Record,
        name=st.binary(max_size=40),
        method=st.sampled_from([0, 8, 93]),
        encrypted=st.booleans(),
        streamed=st.just(streamed),
        modified=st.none() | st.integers(-(2**31), 2**31 - 1),
        attributes=st.integers(0, 2**32 - 1),
        offset=_large,
        crc=st.integers(0, 2**32 - 1),
        stored=_large if streamed else _small,
        size=_large if streamed else _small,
    )
)
_directories = st.builds(
    Directory,
    offset=_large.filter(lambda n: n < 2**63),
    size=_large.filter(lambda n: n < 2**63),
    count=_large,
)


@given(st.lists(_records, max_size=5))
def test_records_come_back(records: list[Record]) -> None:
    data = b"".join(map(pack_central, records))
    assert [*unpack_directory(data, Directory(0, len(data), len(records)))] == records


@given(_directories, st.binary(max_size=120))
def test_the_end_comes_back(directory: Directory, before: bytes) -> None:
    end = pack_end(directory)
    total = directory.offset + directory.size + len(end)
    tail = (before + end)[-END_SIZES:]
    if len(end) < END_SIZES and tail[-42:-38] == b"PK\6\7":
        return  # what stands before looks like a zip64 locator; it cannot, behind a directory of ours
    assert find_directory(tail, total) == directory


@given(st.integers(-10, 10).filter(bool))
def test_an_archive_that_is_longer_or_shorter_than_it_says_is_refused(off: int) -> None:
    directory = Directory(1000, 100, 1)
    with pytest.raises(IntegrityError, match="end"):
        find_directory(pack_end(directory), 1100 + 22 + off)


@given(_records, st.integers(0), st.integers(0, 7))
def test_a_changed_bit_of_a_record_is_refused_or_read_as_another(record: Record, at: int, bit: int) -> None:
    data = bytearray(pack_central(record))
    data[at % len(data)] ^= 1 << bit
    with suppress(IntegrityError):
        (read,) = unpack_directory(bytes(data), Directory(0, len(data), 1))
        assert read != record
        assert pack_central(read) == bytes(data)


@given(st.binary(max_size=200), st.integers(0, 3))
def test_whatever_is_unpacked_only_our_error_comes_out(data: bytes, count: int) -> None:
    for form in (data, b"PK\1\2" + data):
        with suppress(IntegrityError):
            list(unpack_directory(form, Directory(0, len(form), count)))
    for form in (data, data + b"PK\5\6" + bytes(18), b"PK\6\6" + data[:16].ljust(52, b"\0") + data[:42]):
        with suppress(IntegrityError):
            find_directory(form, len(form))


def test_a_directory_that_holds_more_or_less_than_it_says_is_refused() -> None:
    data = pack_central(RECORD)
    for count, form in ((0, data), (2, data), (1, data + b"x"), (1, data[:-1])):
        with pytest.raises(IntegrityError):
            list(unpack_directory(form, Directory(0, len(form), count)))


# What the bytes are, field by field (APPNOTE 4.3 and 4.4).


def extras_of(extra: bytes) -> dict[int, bytes]:
    fields = {}
    while extra:
        kind, length = struct.unpack_from("<HH", extra)
        fields[kind] = extra[4 : 4 + length]
        extra = extra[4 + length :]
    return fields


def local_fields(record: Record) -> tuple[tuple[int, ...], dict[int, bytes]]:
    data = pack_local(record)
    assert data[:4] == b"PK\3\4"
    fields = struct.unpack_from("<HHHHHIIIHH", data, 4)
    name_end = 30 + fields[8]
    assert data[30:name_end] == record.name
    assert len(data) == name_end + fields[9]
    return fields, extras_of(data[name_end:])


def central_fields(record: Record) -> tuple[tuple[int, ...], dict[int, bytes]]:
    data = pack_central(record)
    assert data[:4] == b"PK\1\2"
    fields = struct.unpack_from("<HHHHHHIIIHHHHHII", data, 4)
    return fields, extras_of(data[46 + fields[9] :])


def test_an_ordinary_header_has_everything_before_the_content() -> None:
    (version, flags, method, _, _, crc, stored, size, *_), extras = local_fields(RECORD)
    assert (version, flags, method) == (20, 0x0800, 8)
    assert (crc, stored, size) == (0x12345678, 100, 300)
    assert extras == {0x5455: struct.pack("<Bi", 1, 1_767_225_600)}
    assert pack_descriptor(RECORD) == b""


def test_a_streamed_header_leaves_it_to_a_descriptor_of_64_bits() -> None:
    record = RECORD._replace(streamed=True, size=5 * GiB, stored=4 * GiB)
    (version, flags, _, _, _, crc, stored, size, *_), extras = local_fields(record)
    assert (version, flags) == (45, 0x0808)
    assert (crc, stored, size) == (0, LIMIT, LIMIT)
    assert extras[1] == bytes(16)
    assert pack_descriptor(record) == struct.pack("<4sIQQ", b"PK\7\x08", 0x12345678, 4 * GiB, 5 * GiB)


def test_an_encrypted_header_names_the_true_method_in_its_extra_field() -> None:
    record = RECORD._replace(encrypted=True, crc=0, method=METHODS["zstd"])
    (version, flags, method, *_), extras = local_fields(record)
    assert (version, flags, method) == (63, 0x0801, 99)
    assert extras[0x9901] == struct.pack("<H2sBH", 2, b"AE", 3, 93)
    assert central_fields(record)[1][0x9901] == extras[0x9901]


@pytest.mark.parametrize(
    ("method", "encrypted", "streamed", "version"),
    [
        ("store", False, False, 20),
        ("deflate", False, True, 45),
        ("deflate", True, False, 51),
        ("deflate", True, True, 51),
        ("zstd", False, False, 63),
        ("zstd", True, True, 63),
    ],
)
def test_the_version_needed_is_that_of_the_newest_feature(
    method: str, encrypted: bool, streamed: bool, version: int
) -> None:
    record = RECORD._replace(method=METHODS[method], encrypted=encrypted, streamed=streamed)
    assert local_fields(record)[0][0] == version
    assert central_fields(record)[0][1] == version


@pytest.mark.parametrize("value", [LIMIT - 1, LIMIT, LIMIT + 1, 5 * GiB, 2**63])
def test_only_what_does_not_fit_in_32_bits_moves_to_the_zip64_field(value: int) -> None:
    for size, stored, offset in ((value, 1, 2), (1, value, 2), (1, 2, value), (value, value, value)):
        record = RECORD._replace(streamed=True, size=size, stored=stored, offset=offset)
        fields, extras = central_fields(record)
        large = [one for one in (size, stored, offset) if one >= LIMIT]
        assert extras.get(1, b"") == struct.pack(f"<{len(large)}Q", *large)
        assert (fields[8], fields[7], fields[15]) == tuple(min(one, LIMIT) for one in (size, stored, offset))


@pytest.mark.parametrize(
    ("directory", "zip64"),
    [
        (Directory(0, 46, 1), False),
        (Directory(LIMIT - 1, LIMIT - 1, 0xFFFE), False),
        (Directory(0, 46, 0xFFFF), True),
        (Directory(0, LIMIT, 1), True),
        (Directory(LIMIT, 46, 1), True),
        (Directory(5 * GiB, 5 * GiB, 1_000_000), True),
    ],
)
def test_the_zip64_end_is_written_only_when_it_is_needed(directory: Directory, zip64: bool) -> None:
    end = pack_end(directory)
    assert len(end) == (END_SIZES if zip64 else 22)
    assert end.startswith(b"PK\6\6") is zip64
    assert find_directory(end, directory.offset + directory.size + len(end)) == directory


@pytest.mark.parametrize(
    ("moment", "seen"),
    [
        (datetime(2026, 1, 31, 12, 34, 57, tzinfo=UTC), (2026, 1, 31, 12, 34, 56)),
        (datetime(1980, 1, 1, tzinfo=UTC), (1980, 1, 1, 0, 0, 0)),
        (datetime(1979, 12, 31, tzinfo=UTC), (1980, 1, 1, 0, 0, 0)),
        (datetime(1901, 12, 14, tzinfo=UTC), (1980, 1, 1, 0, 0, 0)),
        (datetime(2038, 1, 19, 3, 14, 7, tzinfo=UTC), (2038, 1, 19, 3, 14, 6)),
        (None, (1980, 1, 1, 0, 0, 0)),
    ],
)
def test_zipfile_sees_the_time_in_two_second_steps(moment: datetime | None, seen: tuple[int, ...]) -> None:
    modified = None if moment is None else int(moment.timestamp())
    record = RECORD._replace(modified=modified, stored=0, size=0, method=0, crc=0)
    central = pack_central(record)
    local = pack_local(record)
    data = local + central + pack_end(Directory(len(local), len(central), 1))
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.infolist()[0].date_time == seen


@pytest.mark.parametrize(
    ("ns", "seconds"),
    [
        (None, None),
        (0, 0),
        (-1, -1),
        (1_999_999_999, 1),
        ((2**31 - 1) * 10**9, 2**31 - 1),
        (2**31 * 10**9, None),
        (-(2**31) * 10**9, -(2**31)),
        (-(2**31) * 10**9 - 1, None),
    ],
)
def test_a_time_that_does_not_fit_is_left_to_the_manifest(ns: int | None, seconds: int | None) -> None:
    assert whole_seconds(ns) == seconds


@given(_records)
def test_an_entrys_extent_is_the_length_of_what_is_packed(record: Record) -> None:
    assert extent(record) == len(pack_local(record)) + record.stored + len(pack_descriptor(record))
