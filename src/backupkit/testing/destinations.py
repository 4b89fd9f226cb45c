"""What every destination must hold to, and two fakes to test against.

    class TestMyDestination(DestinationTests):
        @pytest.fixture
        def destination(self) -> Destination:
            return MyDestination(…)     # an empty one

Needs `backupkit[testing]`.
"""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, TypeAlias, TypeVar

import pytest

from backupkit.destinations.names import check_name
from backupkit.destinations.streams import closed_on_failure
from backupkit.destinations.wrapping import carry_over
from backupkit.errors import ConfigurationError, ObjectExistsError, ObjectNotFoundError
from backupkit.model import StoredObject
from backupkit.protocols import Chunks, Destination

Method: TypeAlias = Literal["write", "read", "stat", "list", "delete"]
T = TypeVar("T")

MiB = 1 << 20
# Unlike anything that repeats every 256 bytes, these show a range that is off by a multiple of it.
CONTENT = b"".join(number.to_bytes(4, "big") for number in range(3 * MiB // 4))


class MemoryDestination:
    """Objects in a dictionary, which is public: look into it, or damage what is in it.

    The machine's lock on a pipeline is named after its places, so those of one name exclude each other's runs,
    also from tests in another process: give your own names there, or pipelines `lock=MachineLock(tmp_path)`.
    """

    def __init__(self, name: str = "memory") -> None:
        self.location = f"memory:{name}"
        self.objects: dict[str, bytes] = {}
        self._modified: dict[str, datetime] = {}
        self._lock = threading.RLock()

    def write(self, name: str, chunks: Chunks, *, overwrite: bool = False) -> StoredObject:
        with closed_on_failure(chunks) as stream:
            check_name(name)
            self._refuse(name, overwrite)
            content = b"".join(stream)
            with self._lock:
                self._refuse(name, overwrite)
                self.objects[name] = content
                self._modified[name] = datetime.now(UTC)
                return self.stat(name)

    def read(self, name: str, *, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        with self._lock:
            self.stat(name)
            content = self.objects[name]
        end = len(content) if length is None else min(start + length, len(content))
        for position in range(start, end, MiB):
            yield content[position : min(position + MiB, end)]

    def stat(self, name: str) -> StoredObject:
        check_name(name)
        with self._lock:
            if name not in self.objects:
                raise ObjectNotFoundError(
                    f"There is no object {name!r} at {self.location}.", location=self.location, name=name
                )
            modified = self._modified.get(name, datetime.fromtimestamp(0, UTC))
            return StoredObject(name=name, size=len(self.objects[name]), modified=modified)

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        with self._lock:
            found = [self.stat(name) for name in sorted(self.objects) if name.startswith(prefix)]
        yield from found

    def delete(self, name: str) -> None:
        with self._lock:
            self.stat(name)
            del self.objects[name]

    def _refuse(self, name: str, overwrite: bool) -> None:
        if name in self.objects and not overwrite:
            raise ObjectExistsError(
                f"The object {name!r} is at {self.location} already.", location=self.location, name=name
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing that goes wrong in a `FaultyDestination`.

    It happens in the `call`-th call of `method` (1 is the first, None is each), once `after` bytes of a
    write or read, or objects of a list, have passed; at the end, if there are fewer. `does` is an exception
    to raise, a function to call (it may block, or kill the process), or None. After a function, or None, the
    bytes or objects simply end there, as those of a destination that lies; with `goes_on` the rest follows,
    as from a destination that is slow. With `answer_lost` the call is first carried out in full. A fault that
    is `lasting`, such as a full disk, befalls every later call of the method too.
    """

    method: Method
    does: BaseException | Callable[[], object] | None
    call: int | None = 1
    after: int = 0
    answer_lost: bool = False
    goes_on: bool = False
    lasting: bool = False

    def befalls(self, method: Method, call: int) -> bool:
        if method != self.method:
            return False
        return self.call in (None, call) or (self.lasting and self.call is not None and call > self.call)

    def happen(self) -> None:
        if isinstance(self.does, BaseException):
            raise self.does
        if self.does is not None:
            self.does()


class FaultyDestination:
    """Another destination, with these faults; `calls` counts the calls of each method.

    With `piece`, reads come in pieces of that many bytes. Of the optional protocols it can what the other one can.
    """

    def __init__(self, inner: Destination, faults: Sequence[Fault] = (), *, piece: int | None = None) -> None:
        self.inner = inner
        self.location = inner.location
        carry_over(self, inner)
        self.calls: Counter[Method] = Counter()
        self._faults = tuple(faults)
        self._piece = piece
        self._lock = threading.Lock()

    def write(self, name: str, chunks: Chunks, *, overwrite: bool = False) -> StoredObject:
        fault = self._due("write")
        with closed_on_failure(chunks) as stream:
            stored = self.inner.write(name, _cut(stream, fault, len, _split), overwrite=overwrite)
        self._lose_answer(fault)
        return stored

    def read(self, name: str, *, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        fault = self._due("read")
        chunks = self.inner.read(name, start=start, length=length)
        if self._piece:
            chunks = _pieces(chunks, self._piece)
        yield from _cut(chunks, fault, len, _split)
        self._lose_answer(fault)

    def stat(self, name: str) -> StoredObject:
        fault = self._due("stat")
        self._fail(fault)
        try:
            return self.inner.stat(name)
        finally:  # that there is none is an answer too
            self._lose_answer(fault)

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        fault = self._due("list")
        yield from _cut(self.inner.list(prefix), fault, lambda _: 1, lambda stored, _: (stored, stored))
        self._lose_answer(fault)

    def delete(self, name: str) -> None:
        fault = self._due("delete")
        self._fail(fault)
        try:
            self.inner.delete(name)
        finally:
            self._lose_answer(fault)

    def _due(self, method: Method) -> Fault | None:
        with self._lock:
            self.calls[method] += 1
            call = self.calls[method]
        return next((fault for fault in self._faults if fault.befalls(method, call)), None)

    def _fail(self, fault: Fault | None) -> None:
        if fault and not fault.answer_lost:
            fault.happen()

    def _lose_answer(self, fault: Fault | None) -> None:
        if fault and fault.answer_lost:
            fault.happen()


def _cut(
    items: Iterable[T],
    fault: Fault | None,
    measure: Callable[[T], int],
    split: Callable[[T, int], tuple[T, T]],
) -> Iterator[T]:
    """Pass the items on until the fault is due, and the rest of them if it goes on."""
    if fault is None or fault.answer_lost:
        yield from items
        return
    iterator = iter(items)
    rest: list[T] = []
    left = fault.after
    for item in iterator:
        if measure(item) > left:
            head, tail = split(item, left)
            if left:
                yield head
            rest.append(tail)
            break
        yield item
        left -= measure(item)
    fault.happen()
    if fault.goes_on:
        yield from rest
        yield from iterator


def _split(chunk: bytes, size: int) -> tuple[bytes, bytes]:
    return chunk[:size], chunk[size:]


def _pieces(chunks: Iterable[bytes], size: int) -> Iterator[bytes]:
    for chunk in chunks:
        for start in range(0, len(chunk), size):
            yield chunk[start : start + size]


class DestinationTests:
    """What every destination must do. Subclass it, and give the fixture `destination`, an empty one.

    `secrets` may give texts (passwords, keys) that must not be seen in `location` or `repr`.
    """

    @pytest.fixture
    def destination(self) -> Destination:
        raise NotImplementedError("give a fixture `destination` that returns an empty destination")

    @pytest.fixture
    def secrets(self) -> Sequence[str]:
        return ()

    @pytest.mark.parametrize("size", [0, 1, 3 * MiB], ids=["empty", "one-byte", "3-MiB"])
    def test_what_was_written_is_read_back(self, destination: Destination, size: int) -> None:
        stored = destination.write("a/object.zip", _in_chunks(CONTENT[:size]))
        assert (stored.name, stored.size) == ("a/object.zip", size)
        assert _read(destination, "a/object.zip") == CONTENT[:size]

    @pytest.mark.parametrize(
        "chunks", [[b"abc", b"", b"d"], (b"abcd",), [b""] * 3 + [b"abcd"]], ids=["empties", "tuple", "late"]
    )
    def test_chunks_may_be_any_iterable_of_bytes_of_any_size(
        self, destination: Destination, chunks: Chunks
    ) -> None:
        destination.write("object", chunks)
        assert _read(destination, "object") == b"abcd"

    @pytest.mark.parametrize(
        ("start", "length"),
        [
            (0, 0),
            (0, 1),
            (1, None),
            (MiB - 1, 2),
            (MiB, MiB),
            (len(CONTENT) - 22, 22),
            (len(CONTENT) - 5, 100),
            (len(CONTENT), None),
            (len(CONTENT) + 1, 5),
        ],
    )
    def test_a_range_is_what_a_slice_would_be(
        self, destination: Destination, start: int, length: int | None
    ) -> None:
        destination.write("object", [CONTENT])
        end = None if length is None else start + length
        assert b"".join(destination.read("object", start=start, length=length)) == CONTENT[start:end]

    def test_a_reader_may_stop_early(self, destination: Destination) -> None:
        destination.write("object", [CONTENT])
        chunks = destination.read("object")
        first = next(chunks)
        del chunks  # pytest reports a file that is still open
        assert first
        assert CONTENT.startswith(first)

    def test_stat_and_list_say_what_write_returned(self, destination: Destination) -> None:
        stored = destination.write("a/object", [b"content"])
        assert destination.stat("a/object") == stored
        assert [*destination.list()] == [stored]
        assert stored.modified.tzinfo is not None

    def test_an_unfinished_object_is_never_visible(self, destination: Destination) -> None:
        seen: list[object] = []

        def chunks() -> Iterator[bytes]:
            for start in range(0, len(CONTENT), MiB):
                yield CONTENT[start : start + MiB]
                seen.extend(destination.list())
                with pytest.raises(ObjectNotFoundError):
                    destination.stat("a/object")

        destination.write("a/object", chunks())
        assert seen == []
        assert _names(destination) == ["a/object"]

    @pytest.mark.parametrize("after", [0, 1, 2 * MiB + 1])
    @pytest.mark.parametrize(
        "error",
        [
            ValueError("from the chunks"),
            OSError(28, "No space left on device"),
            FileExistsError(17, "File exists"),
            KeyboardInterrupt(),
            GeneratorExit(),
        ],
        ids=lambda error: type(error).__name__,
    )
    def test_an_exception_of_the_chunks_passes_unchanged_and_leaves_nothing(
        self, destination: Destination, error: BaseException, after: int
    ) -> None:
        with pytest.raises(type(error)) as caught:
            destination.write("a/object", _failing(error, after))
        assert caught.value is error
        assert _names(destination) == []
        assert destination.write("a/object", [b"next try"]).size == 8

    @pytest.mark.parametrize("after", [0, 2 * MiB + 1])
    @pytest.mark.parametrize("error", [ValueError("from the chunks"), KeyboardInterrupt()], ids=repr)
    def test_a_failed_overwrite_keeps_the_old_object(
        self, destination: Destination, error: BaseException, after: int
    ) -> None:
        stored = destination.write("object", [b"old"])
        with pytest.raises(type(error)):
            destination.write("object", _failing(error, after), overwrite=True)
        assert _read(destination, "object") == b"old"
        assert [*destination.list()] == [stored]

    def test_the_old_object_is_there_until_the_new_one_is_whole(self, destination: Destination) -> None:
        destination.write("object", [b"old"])

        def chunks() -> Iterator[bytes]:
            for start in range(0, len(CONTENT), MiB):
                yield CONTENT[start : start + MiB]
                assert _read(destination, "object") == b"old"

        destination.write("object", chunks(), overwrite=True)
        assert _read(destination, "object") == CONTENT

    def test_an_object_is_not_replaced_unless_told_to(self, destination: Destination) -> None:
        destination.write("object", [b"old"])
        with pytest.raises(ObjectExistsError) as caught:
            destination.write("object", [b"new"])
        assert caught.value.name == "object"
        assert _read(destination, "object") == b"old"
        destination.write("object", [b"new"], overwrite=True)
        assert _read(destination, "object") == b"new"

    def test_the_chunks_are_closed_when_the_write_fails(self, destination: Destination) -> None:
        closed = threading.Event()

        def chunks() -> Iterator[bytes]:
            try:
                for _ in range(4):
                    yield b"x" * MiB
            finally:
                closed.set()

        destination.write("object", [b"old"])
        stream = chunks()
        next(stream)
        with pytest.raises(ObjectExistsError):
            destination.write("object", stream)
        assert closed.is_set()

    def test_a_list_is_in_name_order(self, destination: Destination) -> None:
        names = ["a-b", "a.b", "a/b-c", "a/b.c", "a/b/c", "a/b0", "a0", "C", "b/a", "ab/c"]
        for name in names:
            destination.write(name, [name.encode()])
        assert _names(destination) == sorted(names)

    @pytest.mark.parametrize(
        ("prefix", "names"),
        [
            ("", ["app/1.zip", "app/2.zip", "application/1.zip", "b"]),
            ("app", ["app/1.zip", "app/2.zip", "application/1.zip"]),
            ("app/", ["app/1.zip", "app/2.zip"]),
            ("app/2", ["app/2.zip"]),
            ("b", ["b"]),
            ("c", []),
            ("app/1.zip/", []),
            ("../", []),
            ("/", []),
        ],
    )
    def test_a_prefix_is_the_beginning_of_the_name(
        self, destination: Destination, prefix: str, names: Sequence[str]
    ) -> None:
        for name in ("b", "application/1.zip", "app/2.zip", "app/1.zip"):
            destination.write(name, [b"content"])
        assert _names(destination, prefix) == names

    def test_an_empty_destination_lists_nothing(self, destination: Destination) -> None:
        assert _names(destination) == []
        assert _names(destination, "app/") == []

    def test_a_deleted_object_is_gone_and_its_name_is_free(self, destination: Destination) -> None:
        destination.write("a/one", [b"1"])
        destination.write("a/two", [b"2"])
        destination.delete("a/one")
        assert _names(destination) == ["a/two"]
        destination.write("a/one", [b"again"])
        assert _read(destination, "a/one") == b"again"

    @pytest.mark.parametrize("name", ["missing", "a", "a/missing", "a/object/deeper"])
    def test_what_is_not_there_is_not_found(self, destination: Destination, name: str) -> None:
        destination.write("a/object", [b"content"])
        for ask in (destination.stat, destination.delete, lambda name: next(destination.read(name))):
            with pytest.raises(ObjectNotFoundError) as caught:
                ask(name)
            assert caught.value.name == name
        assert _names(destination) == ["a/object"]

    @pytest.mark.parametrize(
        "name",
        [
            *(
                "",
                ".",
                "..",
                "../a",
                "a/../b",
                "/a",
                "a/",
                "a//b",
                ".a",
                "a/.b",
                "a b",
                "a\n",
                "a\0",
                "ä",
                "a\\b",
            ),
            *("a.", "a./b", "nul", "a/NUL.zip"),
        ],
        ids=ascii,
    )
    def test_a_name_that_could_mean_something_else_is_refused(
        self, destination: Destination, name: str
    ) -> None:
        for ask in (
            lambda: destination.write(name, [b"content"]),
            lambda: destination.stat(name),
            lambda: next(destination.read(name)),
            lambda: destination.delete(name),
        ):
            with pytest.raises(ConfigurationError):
                ask()

    @pytest.mark.parametrize("other", ["a/Object", "A/object"])
    def test_a_name_that_differs_only_in_case_is_another_one_or_is_refused(
        self, destination: Destination, other: str
    ) -> None:
        destination.write("a/object", [b"first"])
        try:
            destination.write(other, [b"second"], overwrite=True)
        except (ConfigurationError, ObjectExistsError):
            with pytest.raises((ConfigurationError, ObjectNotFoundError)):
                _read(destination, other)
            with pytest.raises((ConfigurationError, ObjectNotFoundError)):
                destination.delete(other)
        else:
            assert _read(destination, other) == b"second"
            destination.delete(other)
        assert _read(destination, "a/object") == b"first"
        assert _names(destination) == ["a/object"]

    def test_many_threads_may_use_one_destination(self, destination: Destination) -> None:
        names = [f"folder-{number % 3}/object-{number:02}" for number in range(24)]

        def use(name: str) -> bytes:
            destination.write(name, _in_chunks(name.encode() * 1000))
            return _read(destination, name)

        with ThreadPoolExecutor(8) as executor:
            contents = [*executor.map(use, names)]
        assert contents == [name.encode() * 1000 for name in names]
        assert _names(destination) == sorted(names)

    def test_the_location_can_be_printed(self, destination: Destination, secrets: Sequence[str]) -> None:
        shown = f"{destination.location} {destination!r}"
        assert destination.location
        assert destination.location.isprintable()
        assert not re.search(r"//[^/@]*:[^/@]*@", shown), "a user name and a password"
        assert not [secret for secret in secrets if secret in shown]


def _in_chunks(content: bytes, size: int = 70_000) -> Iterator[bytes]:
    for start in range(0, len(content), size):
        yield content[start : start + size]


def _failing(error: BaseException, after: int) -> Iterator[bytes]:
    """So many bytes, then this very exception."""
    yield from _in_chunks(CONTENT[:after])
    raise error


def _read(destination: Destination, name: str) -> bytes:
    return b"".join(destination.read(name))


def _names(destination: Destination, prefix: str = "") -> Sequence[str]:
    return [stored.name for stored in destination.list(prefix)]
