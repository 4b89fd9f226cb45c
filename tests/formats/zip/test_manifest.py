from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backupkit._chunks import rechunk
from backupkit.errors import IntegrityError
from backupkit.formats.zip import manifest
from backupkit.formats.zip.manifest import Footer, Header, Line, footer_text, header_text, line_text, parse
from backupkit.formats.zip.spool import Spool
from backupkit.model import Entry, Kind, Owner, Problem
from tests.formats.zip.archives import HEADER

KINDS: tuple[Kind, ...] = ("file", "directory", "symlink", "hardlink")
FOOTER = Footer(problems=(), complete=True, entries=0, size=0)

_text = st.text(st.characters(codec=None), max_size=20)  # lone surrogates too: bytes that are not UTF-8
_number = st.integers(-(2**70), 2**70)
_owners = st.builds(Owner, uid=_number, gid=_number, user=st.none() | _text, group=st.none() | _text)
_entries = st.builds(
    Entry,
    path=_text,
    kind=st.sampled_from(KINDS),
    size=st.none() | _number,
    modified_ns=st.none() | _number,
    mode=st.none() | st.integers(0, 0o7777),
    owner=st.none() | _owners,
    target=st.none() | _text,
    xattrs=st.dictionaries(_text, st.binary(max_size=30), max_size=3),
    holes=st.lists(st.tuples(_number, _number), max_size=3).map(tuple),
)
_lines = st.lists(st.builds(Line, _entries, _text, st.none() | st.just("0" * 64)), max_size=4)
_problems = st.builds(
    Problem,
    message=_text,
    severity=st.sampled_from(["warning", "error"]),
    check=st.none() | _text,
    path=st.none() | _text,
)
_headers = st.builds(
    Header,
    id=_text,
    name=_text,
    time=st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=45))])),
    contents=st.frozensets(st.sampled_from(["files", "databases"])),
    host=_text,
    tags=st.lists(_text, max_size=3).map(tuple),
)
_footers = st.builds(
    Footer, problems=st.lists(_problems).map(tuple), complete=st.booleans(), entries=_number, size=_number
)


def text_of(header: Header, lines: list[Line], footer: Footer) -> bytes:
    texts = [line_text(line, first=number == 0) for number, line in enumerate(lines)]
    return header_text(header) + b"".join(texts) + footer_text(footer)


@given(_headers, _lines, _footers, st.integers(1, 100))
def test_what_is_written_is_parsed_however_it_is_split(
    header: Header, lines: list[Line], footer: Footer, size: int
) -> None:
    text = text_of(header, lines, footer)
    assert [*parse(rechunk([text], size))] == [header, *lines, footer]


@given(_headers, _lines, _footers)
def test_it_is_one_json_document_with_a_line_for_each_entry(
    header: Header, lines: list[Line], footer: Footer
) -> None:
    text = text_of(header, lines, footer)
    document = json.loads(text)
    assert [entry["path"] for entry in document["entries"]] == [line.entry.path for line in lines]
    assert (document["backupkit"], document["count"]) == (1, footer.entries)
    assert text.isascii()
    assert text.count(b"\n") == len(lines) + 3


def test_a_manifest_looks_like_this() -> None:
    entry = Entry(
        path="app/ü",
        size=3,
        modified_ns=1_767_225_600_123_456_789,
        mode=0o640,
        owner=Owner(uid=33, gid=0, user="www-data"),
        xattrs={"user.a": b"\0"},
        holes=((0, 4096),),
    )
    link = Entry(path="app/l", kind="symlink", target="ü")
    lines = [Line(entry, "app/ü", "ab" * 32), Line(link, "app/l~2", None)]
    footer = Footer(problems=(Problem(message="lost", path="x"),), complete=False, entries=2, size=3)
    assert text_of(HEADER, lines, footer).decode() == (
        '{"backupkit": 1, "id": "2026-01-31T12-00-00.000000Z", "name": "shop", '
        '"time": "2026-01-31T12:00:00+00:00", "contents": ["files"], "host": "web-1", "tags": ["nightly"], '
        '"entries": [\n'
        '{"path": "app/\\u00fc", "kind": "file", "size": 3, "modified_ns": 1767225600123456789, "mode": 416, '
        '"owner": [33, 0, "www-data", null], "xattrs": {"user.a": "AA=="}, "holes": [[0, 4096]], '
        f'"sha256": "{"ab" * 32}"}},\n'
        '{"path": "app/l", "kind": "symlink", "name": "app/l~2", "target": "\\u00fc"}\n'
        "],\n"
        '"problems": [{"message": "lost", "severity": "error", "check": null, "path": "x"}], '
        '"complete": false, "count": 2, "size": 3}\n'
    )


@pytest.mark.parametrize("end", range(0, 480, 7))
def test_a_manifest_that_is_cut_short_is_noticed(end: int) -> None:
    text = text_of(HEADER, [Line(Entry(path="f"), "f", None)] * 2, FOOTER)
    with pytest.raises(IntegrityError, match="manifest"):
        list(parse([text[: min(end, len(text) - 2)]]))


def test_text_after_the_end_is_noticed() -> None:
    with pytest.raises(IntegrityError, match="after the end"):
        list(parse([text_of(HEADER, [], FOOTER) + b"x\n"]))


def test_a_version_that_is_not_known_is_refused() -> None:
    text = text_of(HEADER, [], FOOTER).replace(b'"backupkit": 1', b'"backupkit": 2')
    with pytest.raises(IntegrityError, match="version is 2"):
        list(parse([text]))


_json = st.recursive(
    st.none() | st.booleans() | _number | st.floats() | _text | st.sampled_from(["files", "file", "AA=="]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_text, inner, max_size=3),
    max_leaves=6,
)
_FIELDS = {
    "header": ("backupkit", "id", "name", "time", "contents", "host", "tags"),
    "line": (
        "path",
        "kind",
        "name",
        "size",
        "modified_ns",
        "mode",
        "owner",
        "target",
        "xattrs",
        "holes",
        "sha256",
    ),
    "footer": ("problems", "complete", "count", "size"),
}


@given(st.binary(max_size=300), st.integers(1, 50))
def test_whatever_is_parsed_only_our_error_comes_out(text: bytes, size: int) -> None:
    with suppress(IntegrityError):
        list(parse(rechunk([text], size)))


@given(st.data(), st.sampled_from(["header", "line", "footer"]))
def test_whatever_a_field_holds_only_our_error_comes_out(data: st.DataObject, part: str) -> None:
    entry = Entry(path="f", owner=Owner(uid=1, gid=1), xattrs={"a": b"b"}, holes=((0, 1),), target="t")
    documents: dict[str, dict[str, Any]] = {
        "header": json.loads(header_text(HEADER) + b"]}"),
        "line": json.loads(line_text(Line(entry, "f", None), first=True)),
        "footer": json.loads(b"{" + footer_text(FOOTER).split(b"\n")[2]),
    }
    field = data.draw(st.sampled_from(_FIELDS[part]))
    documents[part][field] = data.draw(_json)
    text = (
        json.dumps(documents["header"])[:-3]
        + "[\n"
        + json.dumps(documents["line"])
        + "\n],\n"
        + json.dumps(documents["footer"])[1:]
        + "\n"
    )
    with suppress(IntegrityError):
        for item in parse([text.encode()]):
            assert isinstance(item, Header | Line | Footer)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"owner": [1, 1, null, null]', b'"owner": [1]'),
        (b'"owner": [1, 1, null, null]', b'"owner": [1e999, 1, null, null]'),
        (b'"owner": [1, 1, null, null]', b'"owner": 5'),
        (b'"owner": [1, 1, null, null]', b'"owner": [1, 1, 5, null]'),
        (b'"kind": "file"', b'"kind": "device"'),
        (b'"kind": "file"', b'"kind": []'),
        (b'"holes": [[0, 1]]', b'"holes": [[0, Infinity]]'),
        (b'"holes": [[0, 1]]', b'"holes": [[0]]'),
        (b'"xattrs": {"a": "Yg=="}', b'"xattrs": []'),
        (b'"xattrs": {"a": "Yg=="}', b'"xattrs": {"a": "%"}'),
        (b'"count": 0', b'"count": 1e999'),
        (b'"size": 0', b'"size": NaN'),
        (b'"path": "f"', b'"path": 5'),
        (b'"path": "f"', b'"path": ' + b"[" * 100_000),
        (b'"contents": ["files"]', b'"contents": [[]]'),
        (b'"tags": ["nightly"]', b'"tags": 5'),
        (b"+00:00", b"+99:00"),
    ],
)
def test_a_field_that_cannot_be_is_an_integrity_error(old: bytes, new: bytes) -> None:
    entry = Entry(path="f", owner=Owner(uid=1, gid=1), xattrs={"a": b"b"}, holes=((0, 1),))
    text = text_of(HEADER, [Line(entry, "f", None)], FOOTER)
    assert text.count(old) == 1
    with pytest.raises(IntegrityError, match="manifest cannot be read"):
        list(parse([text.replace(old, new)]))


def test_a_naive_header_is_never_written() -> None:
    header = replace(HEADER, time=datetime(2026, 1, 31, tzinfo=UTC))
    (parsed,) = (item for item in parse([text_of(header, [], FOOTER)]) if isinstance(item, Header))
    assert parsed.time.tzinfo is not None


@given(st.lists(st.tuples(st.binary(max_size=5000), st.booleans())))
def test_a_spool_gives_back_what_was_added_so_far(steps: list[tuple[bytes, bool]]) -> None:
    spool, added = Spool(), b""
    for text, read in steps:
        spool.add(text)
        added += text
        if read:
            assert b"".join(spool.read()) == added
    assert b"".join(spool.read()) == added


def test_a_spool_that_is_being_read_may_grow() -> None:
    spool = Spool()
    spool.add(b"first")
    reading = spool.read()
    taken = next(reading)
    spool.add(b"second")
    assert b"".join(spool.read()) == b"firstsecond"
    assert taken + b"".join(reading) == b"first"


def test_a_spool_takes_less_room_than_its_text() -> None:
    spool = Spool()
    for number in range(20_000):
        entry = Entry(path=f"app/file-{number}", mode=0o644)
        spool.add(line_text(Line(entry, entry.path, None), first=False))
    assert sum(map(len, spool._parts)) < sum(map(len, spool.read())) / 5


def test_a_line_without_an_end_is_refused_before_it_fills_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifest, "_LONGEST", 10_000)
    read = 0

    def endless() -> Iterator[bytes]:
        nonlocal read
        while True:
            read += 1000
            yield b" " * 1000

    with pytest.raises(IntegrityError, match="A line of the manifest is longer"):
        list(parse(endless()))
    assert read == 11_000
