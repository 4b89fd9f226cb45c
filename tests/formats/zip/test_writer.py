from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backupkit.compression import Deflate, Store, Zstd
from backupkit.errors import ConfigurationError, HookError, OperationCancelledError, SourceError
from backupkit.formats.zip import writer
from backupkit.formats.zip.aes import WinZipAES
from backupkit.formats.zip.headers import archive_name
from backupkit.formats.zip.records import METHODS, Record
from backupkit.model import Entry, Kind, Problem, is_entry_path
from backupkit.passphrase import Passphrase
from backupkit.protocols import Chunks, Compressor, Encryptor
from backupkit.retrying import Retry
from backupkit.testing.entries import with_content
from backupkit.testing.executors import SerialExecutor
from tests.formats.zip.archives import KEY, MiB, archive_of, contents_of, reader_of, records_of, writer_of

RANDOM = Random(3).randbytes(2 * MiB + 77)
TEXT = b"a line that is much like the next\n" * 100_000


def file(path: str, *chunks: bytes, error: BaseException | None = None) -> Entry:
    return with_content(Entry(path=path), *chunks, error=error)


def record_of(archive: bytes, name: str) -> Record:
    (record,) = (record for record in records_of(archive) if record.name == name.encode())
    return record


# Methods and headers.


@pytest.mark.parametrize("compressor", [Deflate(), Zstd()], ids=repr)
@pytest.mark.parametrize("encryptor", [None, KEY], ids=["plain", "encrypted"])
@pytest.mark.parametrize("size", [100, 2 * MiB])
def test_content_decides_whether_it_is_compressed_and_a_suffix_does_not(
    compressor: Compressor, encryptor: Encryptor | None, size: int
) -> None:
    entries = [file("text.jpg", TEXT[:size]), file("photo.txt", RANDOM[:size])]
    archive = archive_of(entries, compressor=compressor, encryptor=encryptor)
    assert record_of(archive, "text.jpg").method == METHODS[compressor.algorithm]
    assert record_of(archive, "photo.txt").method == METHODS["store"]
    assert record_of(archive, "text.jpg").stored < size


def test_an_entry_of_one_piece_has_its_sizes_before_it_and_a_longer_one_behind_it() -> None:
    pieces = {"empty": [], "small": [b"x"], "one": [bytes(MiB)], "more": [bytes(MiB), b"x"]}
    archive = archive_of(file(path, *chunks) for path, chunks in pieces.items())
    assert {record.name: record.streamed for record in records_of(archive)} == {
        b"empty": False,
        b"small": False,
        b"one": False,
        b"more": True,
        b".backupkit/manifest.json": False,
    }


def test_a_manifest_of_more_than_one_piece_is_read_back() -> None:
    xattrs = {"user.noise": Random(1).randbytes(MiB)}
    archive = archive_of([Entry(path="f", xattrs=xattrs), Entry(path="g", xattrs=xattrs)])
    assert records_of(archive)[-1].streamed
    assert [entry.xattrs for entry in reader_of(archive).entries()] == [xattrs, xattrs]


class UpperCase:
    """A compressor that works on streams only."""

    algorithm = "store"

    def compress(self, chunks: Chunks) -> Iterator[bytes]:
        yield from chunks

    def decompress(self, chunks: Chunks) -> Iterator[bytes]:
        yield from chunks


def test_a_compressor_that_knows_streams_only_will_do() -> None:
    entries = [file("small", TEXT[:100]), file("large", TEXT)]
    archive = archive_of(entries, compressor=UpperCase())
    assert contents_of(archive) == {"small": TEXT[:100], "large": TEXT}


# Threads of zstd's own: of an entry that is given up, more or less has left already.
@pytest.mark.parametrize("compressor", [Store(), Deflate(), Deflate(6), Zstd(threads=0)], ids=repr)
@pytest.mark.parametrize(
    "make_executor",
    [SerialExecutor, lambda: ThreadPoolExecutor(1), lambda: ThreadPoolExecutor(4)],
    ids=["serial", "one-thread", "four-threads"],
)
def test_an_executor_changes_no_byte(
    make_executor: Callable[[], AbstractContextManager[Executor]], compressor: Compressor
) -> None:
    entries: list[Entry | Problem] = [
        *(file(f"small-{number}", TEXT[: number * 7]) for number in range(50)),
        file("large", TEXT),
        file("random", RANDOM),
        file("bad", TEXT, error=SourceError("unreadable", path="bad")),
        Problem(message="a problem", path="elsewhere"),
        file("last", b"x"),
    ]
    with make_executor() as executor:
        archive = archive_of(entries, compressor=compressor, executor=executor)
    assert archive == archive_of(entries, compressor=compressor)


@pytest.mark.parametrize(
    "make_executor",
    [nullcontext, SerialExecutor, lambda: ThreadPoolExecutor(1), lambda: ThreadPoolExecutor(4)],
    ids=["none", "serial", "one-thread", "four-threads"],
)
def test_an_executor_changes_nothing_of_what_is_encrypted(
    make_executor: Callable[[], AbstractContextManager[Executor | None]],
) -> None:
    entries = [file(f"{number}", TEXT[: number * 70_000]) for number in range(30)]
    with make_executor() as executor:
        archive = archive_of(entries, encryptor=KEY, executor=executor)
    assert contents_of(archive, KEY) == {f"{number}": TEXT[: number * 70_000] for number in range(30)}
    plain = archive_of(entries)
    assert [record.size for record in records_of(archive)][:-1] == [r.size for r in records_of(plain)][:-1]


def test_the_archive_leaves_in_large_chunks() -> None:
    sizes = [len(chunk) for chunk in writer_of().chunks(file(f"{n}", RANDOM[:5000]) for n in range(500))]
    assert all(256 << 10 <= size <= 3 * MiB for size in sizes[:-1])


# Names.


def names_of(*entries: Entry) -> list[str]:
    return [record.name.decode() for record in records_of(archive_of(entries))][:-1]


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("a/b c", "a/b c"),
        ("ü/語", "ü/語"),
        ("a\udcff\udc80b", "a%FF%80b"),
        ("100%FF", "100%FF"),
        ("line\nbreak", "line\nbreak"),
        ("back\\slash", "back\\slash"),
        ("C:", "C:"),
        ("é\udce9", "é%E9"),
    ],
)
def test_names_are_utf8_and_what_is_not_is_escaped(path: str, name: str) -> None:
    assert names_of(Entry(path=path)) == [name]
    assert names_of(Entry(path=path, kind="directory")) == [name + "/"]
    assert [*contents_of(archive_of([Entry(path=path)]))] == [path]


@pytest.mark.parametrize("order", [1, -1], ids=["the-true-name-first", "the-escaped-one-first"])
def test_two_paths_that_escape_to_the_same_name_are_both_kept(order: int) -> None:
    entries = [file("a%FF", b"1"), file("a\udcff", b"2"), file("a%FF~2", b"3")][::order]
    archive = archive_of(entries)
    assert contents_of(archive) == {"a%FF": b"1", "a\udcff": b"2", "a%FF~2": b"3"}
    names = [record.name for record in records_of(archive)]
    assert len({*names}) == 4


def test_two_directories_that_escape_to_the_same_name_are_both_directories() -> None:
    entries = [
        Entry(path="%FF", kind="directory", mode=0o700),
        file("%FF/f", b"1"),
        Entry(path="\udcff", kind="directory", mode=0o755),
        file("\udcff/f", b"2"),
    ]
    archive = archive_of(entries)
    assert [(e.path, e.kind) for e in reader_of(archive).entries()] == [(e.path, e.kind) for e in entries]
    assert [record.name for record in records_of(archive)][2] == b"%FF~2/"
    assert contents_of(archive)["\udcff/f"] == b"2"
    assert [*reader_of(archive).headers_differ()] == []


@pytest.mark.parametrize("path", ["f", "a\udcff"], ids=ascii)
@pytest.mark.parametrize("content", [b"second", TEXT], ids=["small", "large"])
@pytest.mark.parametrize("kind", ["file", "directory"])
def test_a_second_entry_of_the_same_path_is_left_out_and_told(path: str, content: bytes, kind: str) -> None:
    second = file(path, content) if kind == "file" else Entry(path=path, kind="directory")
    one = writer_of()
    archive = b"".join(one.chunks([file(path, b"first"), second, file("other", b"x")]))
    assert contents_of(archive) == {path: b"first", "other": b"x"}
    assert [(problem.path, problem.severity) for problem in one.problems] == [(path, "error")]
    assert "unique" in one.problems[0].message
    assert not one.complete


@pytest.mark.parametrize("kind", ["file", "directory"])
def test_an_entry_of_the_name_of_the_manifest_is_left_out_and_told(kind: str) -> None:
    entry = replace(file(".backupkit/manifest.json", b"of another archive"), kind=kind)  # type: ignore[arg-type] # a parameter
    one = writer_of()
    archive = b"".join(one.chunks([entry, file("f", b"x")]))
    assert contents_of(archive) == {"f": b"x"}
    assert [problem.path for problem in one.problems] == [".backupkit/manifest.json"]
    assert [record.name for record in records_of(archive)] == [b"f", b".backupkit/manifest.json"]


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "/etc/passwd",
        "a/",
        "a//b",
        ".",
        "..",
        "a/../b",
        "./a",
        "a/.",
        "a\0b",
        "a\ud800",
        "y\udfff",
        "x\udc7f",
    ],
    ids=ascii,
)
@pytest.mark.parametrize("content", [b"small", TEXT], ids=["small", "large"])
def test_a_path_that_could_lead_elsewhere_is_left_out_and_told(path: str, content: bytes) -> None:
    one = writer_of()
    archive = b"".join(one.chunks([file("f", b"x"), file(path, content)]))
    assert contents_of(archive) == {"f": b"x"}
    assert [problem.path for problem in one.problems] == [path]
    assert "is not in the backup" in one.problems[0].message


@given(st.text(st.characters(codec=None), max_size=12))
def test_a_clean_path_has_a_name_and_no_other_has_one(path: str) -> None:
    parts = path.split("/")
    assert is_entry_path(path) == (
        all(parts) and not {".", ".."} & {*parts} and "\0" not in path and _is_file_name(path)
    )
    if is_entry_path(path):
        archive_name(Entry(path=path)).encode()


def _is_file_name(path: str) -> bool:
    try:
        path.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return False
    return True


def test_a_name_may_be_as_long_as_zip_can_hold() -> None:
    longest = "/".join(["d" * 200] * 400)[:65_535]
    one = writer_of()
    archive = b"".join(one.chunks([file(longest, b"x"), file(longest + "y", b"y"), file("é" * 32_768, b"z")]))
    assert contents_of(archive) == {longest: b"x"}
    assert len(one.problems) == 2
    assert all("65535 bytes" in problem.message for problem in one.problems)


_parts = st.text(st.sampled_from("ab%F~2\udcff\udcfe"), min_size=1, max_size=4)


@settings(max_examples=200)
@given(
    st.lists(
        st.tuples(
            st.lists(_parts, min_size=1, max_size=2).map("/".join), st.sampled_from(["file", "directory"])
        ),
        min_size=1,
        max_size=8,
    )
)
def test_each_path_is_kept_once_under_a_name_of_its_own(wanted: list[tuple[str, str]]) -> None:
    one = writer_of()
    entries = [Entry(path=path, kind=kind) for path, kind in wanted]  # type: ignore[arg-type] # drawn
    archive = b"".join(one.chunks(entries))
    kept = [(entry.path, entry.kind) for entry in reader_of(archive).entries()]
    assert kept == [*{path: (path, kind) for path, kind in reversed(wanted)}.values()][::-1] or {*kept} == {
        *{path: (path, kind) for path, kind in reversed(wanted)}.values()
    }
    assert len(kept) + len(one.problems) == len(wanted)
    names = [record.name.rstrip(b"/") for record in records_of(archive)]
    assert len({*names}) == len(names)


# What goes wrong.


@pytest.mark.parametrize("encryptor", [None, KEY], ids=["plain", "encrypted"])
@pytest.mark.parametrize("compressor", [Deflate(), Zstd(), Store()], ids=repr)
def test_an_entry_that_fails_late_leaves_a_gap_and_nothing_else(
    compressor: Compressor, encryptor: Encryptor | None
) -> None:
    bad = file("bad", RANDOM[: 2 * MiB], RANDOM[: 2 * MiB], error=SourceError("unreadable", path="bad"))
    entries = [file("first", b"1"), bad, file("last", b"2")]
    archive = archive_of(entries, compressor=compressor, encryptor=encryptor)
    keys = [encryptor] if encryptor else []
    assert contents_of(archive, *keys) == {"first": b"1", "last": b"2"}
    assert [record.name for record in records_of(archive)] == [b"first", b"last", b".backupkit/manifest.json"]
    assert len(archive) > MiB


def test_an_entry_tried_again_after_its_first_bytes_left_keeps_its_name() -> None:
    failures = [SourceError("busy", path="f", retryable=True)]

    def content() -> Iterator[bytes]:
        yield RANDOM
        yield TEXT
        if failures:
            raise failures.pop()

    one = writer_of(retry=Retry(tries=2, wait=0))
    archive = b"".join(one.chunks([Entry(path="f", chunks=content)]))
    assert contents_of(archive) == {"f": RANDOM + TEXT}
    assert one.problems == []
    assert (one.entries, one.size) == (1, len(RANDOM + TEXT))
    assert [record.name for record in records_of(archive)] == [
        b".backupkit/",
        b"f",
        b".backupkit/manifest.json",
    ]
    assert records_of(archive)[1].offset > MiB


@pytest.mark.parametrize("error", [None, SourceError("unreadable", path="large")], ids=["whole", "gap"])
def test_an_archive_never_begins_with_what_may_become_a_gap(error: SourceError | None) -> None:
    large, small = file("large", RANDOM, error=error), file("small", b"x")
    assert names_of(large, small)[0] == ".backupkit/"
    assert names_of(small, large)[0] == "small"
    archive = archive_of([large, small])
    assert contents_of(archive) == ({} if error else {"large": RANDOM}) | {"small": b"x"}
    assert [*reader_of(archive).headers_differ()] == []


@pytest.mark.parametrize(
    ("kind", "what"), [("fifo", "a named pipe"), ("chardev", "a device"), ("blockdev", "a device")]
)
def test_what_no_archive_can_hold_is_skipped_with_a_warning(kind: Kind, what: str) -> None:
    special = Entry(path="shop/\x1b[1m", kind=kind, device=None if kind == "fifo" else (1, 3))
    written = writer_of()
    data = b"".join(written.chunks([special, with_content(Entry(path="shop/b"), b"b")]))
    assert contents_of(data) == {"shop/b": b"b"}
    (problem,) = written.problems
    assert (problem.severity, problem.path, written.complete) == ("warning", special.path, True)
    assert problem.message == f"'shop/\\x1b[1m' is {what}, which ZIP archives cannot hold: skipped."


def test_the_folder_that_an_archive_begins_with_is_not_taken_for_an_entry() -> None:
    folder = Entry(path=".backupkit", kind="directory", mode=0o700)
    assert [e.path for e in reader_of(archive_of([folder, file("large", RANDOM)])).entries()] == [
        ".backupkit",
        "large",
    ]
    one = writer_of()
    archive = b"".join(one.chunks([file("large", RANDOM), folder]))
    assert contents_of(archive) == {"large": RANDOM}
    assert [problem.path for problem in one.problems] == [".backupkit"]


def test_warnings_of_an_attempt_that_failed_are_forgotten() -> None:
    failures = [SourceError("busy", path="f", retryable=True)]
    entry = Entry(path="f")

    def content() -> Iterator[bytes]:
        yield b"x"
        entry.warnings.append(Problem(message=f"{len(failures)} to come", severity="warning"))
        if failures:
            raise failures.pop()

    one = writer_of(retry=Retry(tries=2, wait=0))
    b"".join(one.chunks([replace(entry, chunks=content, warnings=entry.warnings)]))
    assert [problem.message for problem in one.problems] == ["0 to come"]


@pytest.mark.parametrize(
    "error", [OperationCancelledError("stop"), HookError("stop"), KeyboardInterrupt()], ids=repr
)
@pytest.mark.parametrize("content", [b"", TEXT], ids=["early", "late"])
def test_some_errors_of_an_entry_end_the_archive(error: BaseException, content: bytes) -> None:
    with pytest.raises(type(error)) as caught:
        archive_of([file("f", b"x"), file("stop", content, error=error)])
    assert caught.value is error


def test_the_error_of_an_entry_that_is_not_ours_is_named() -> None:
    one = writer_of()
    b"".join(one.chunks([file("f", b"x"), file("bad", error=ZeroDivisionError("division by zero"))]))
    assert [problem.message for problem in one.problems] == [
        "bad could not be read: ZeroDivisionError: division by zero"
    ]


def test_nothing_but_problems_is_no_archive_and_says_why() -> None:
    with pytest.raises(SourceError, match=r"no space.*unreadable"):
        archive_of([Problem(message="no space"), file("bad", error=SourceError("unreadable", path="bad"))])


@pytest.mark.parametrize("length", [98, 99, 100])
def test_a_passphrase_that_7_zip_could_not_be_given_is_refused(length: int) -> None:
    key = WinZipAES(Passphrase("ä" * (length // 2) + "x" * (length % 2)))
    if length <= 99:
        assert contents_of(archive_of([file("f", b"x")], encryptor=key), key) == {"f": b"x"}
    else:
        with pytest.raises(ConfigurationError, match="longer than 99 bytes"):
            archive_of([file("f", b"x")], encryptor=key)


@pytest.mark.parametrize(
    "make_executor", [nullcontext, lambda: ThreadPoolExecutor(2)], ids=["no-executor", "two-threads"]
)
def test_what_is_open_is_closed_when_the_archive_is_abandoned(
    make_executor: Callable[[], AbstractContextManager[Executor | None]],
) -> None:
    closed: list[str] = []

    def content() -> Iterator[bytes]:
        try:
            while True:
                yield RANDOM
        finally:
            closed.append("content")

    def entries() -> Iterator[Entry]:
        try:
            yield Entry(path="endless", chunks=content)
        finally:
            closed.append("entries")

    with make_executor() as executor:
        chunks = writer_of(executor=executor).chunks(entries())
        next(chunks)
        chunks.close()  # type: ignore[attr-defined] # it is a generator
    assert sorted(closed) == ["content", "entries"]


def test_sources_are_read_only_a_little_ahead_of_what_is_written() -> None:
    read = 0

    def content() -> Iterator[bytes]:
        nonlocal read
        for _ in range(100):
            read += MiB
            yield bytes(MiB)

    with ThreadPoolExecutor(2) as executor:
        written = 0
        one = writer_of(compressor=Store(), executor=executor)
        for chunk in one.chunks([Entry(path="f", chunks=content)]):
            written += len(chunk)
            assert read - written <= (writer._WINDOW + 3) * MiB
    assert read == 100 * MiB
