"""What every compressor and every encryptor must hold to.

    class TestMyCompressor(CompressorTests):
        def make_compressor(self) -> Compressor:
            return MyCompressor()

    class TestMyEncryptor(EncryptorTests):
        def make_encryptor(self) -> Encryptor:
            return MyEncryptor(key)

        def make_wrong_encryptor(self) -> Encryptor:
            return MyEncryptor(another_key)

Needs `backupkit[testing]`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import cycle
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backupkit.errors import IntegrityError, WrongPassphraseError
from backupkit.protocols import Compressor, Encryptor, PiecewiseCompressor

KiB, MiB = 1 << 10, 1 << 20

_RANDOM = Random(20260131).randbytes(2 * MiB + 12345)
# Longer than any block, page or window that a codec is likely to think in, and of both extremes.
_LONG = {"random": _RANDOM, "zeros": bytes(3 * MiB + 1), "text": b"one line, and the next\n" * 100_000}
_SHORT = b"a short unit " + _RANDOM[:40] + bytes(300)

# A class of tests is there to be inherited; and whoever runs it may be on a slow machine.
_settings = settings(
    deadline=None,
    max_examples=50,
    suppress_health_check=[HealthCheck.differing_executors, HealthCheck.too_slow],
)

_chunks = st.lists(st.binary(max_size=200) | st.binary(min_size=1, max_size=4).map(lambda b: b * 5000))
_sizes = st.lists(st.integers(0, 5000), min_size=1, max_size=5).filter(any)


class CompressorTests:
    """Subclass, and return the compressor from `make_compressor`.

    `largest_piece` is the most that `decompress` may yield at once; override it with what you promise.
    """

    largest_piece = MiB

    def make_compressor(self) -> Compressor:
        raise NotImplementedError("return a compressor from make_compressor")

    def test_the_algorithm_is_a_plain_word(self) -> None:
        algorithm = self.make_compressor().algorithm
        assert algorithm.isalnum()
        assert algorithm == algorithm.lower()

    @_settings
    @given(_chunks, _sizes)
    def test_a_unit_comes_back_however_it_is_split(self, chunks: list[bytes], sizes: list[int]) -> None:
        compressor = self.make_compressor()
        packed = b"".join(compressor.compress(chunks))
        assert b"".join(compressor.decompress(_split(packed, sizes))) == b"".join(chunks)

    @pytest.mark.parametrize("size", [1000, 64 * KiB, MiB, 8 * MiB])
    @pytest.mark.parametrize("content", _LONG.values(), ids=_LONG)
    def test_a_long_unit_comes_back(self, content: bytes, size: int) -> None:
        compressor = self.make_compressor()
        packed = b"".join(compressor.compress(_split(content, [size])))
        assert b"".join(compressor.decompress(_split(packed, [size]))) == content

    def test_a_bomb_is_unpacked_in_small_pieces(self) -> None:
        compressor = self.make_compressor()
        packed = b"".join(compressor.compress(bytes(MiB) for _ in range(64)))
        pieces = [len(piece) for piece in compressor.decompress(_split(packed, [64 * KiB]))]
        assert sum(pieces) == 64 * MiB
        assert max(pieces) <= self.largest_piece

    def test_a_long_unit_is_streamed_in_both_directions(self) -> None:
        compressor = self.make_compressor()
        packed = b"".join(compressor.compress([_RANDOM] * 8))
        assert _most_held(compressor.compress, _RANDOM * 8) < 8 * MiB
        assert _most_held(compressor.decompress, packed) < 8 * MiB

    def test_a_unit_that_is_cut_short_is_noticed(self) -> None:
        compressor = self._with_framing()
        packed = b"".join(compressor.compress([_SHORT]))
        for end in range(len(packed)):
            with pytest.raises(IntegrityError):
                _drain(compressor.decompress([packed[:end]]))

    @pytest.mark.parametrize("extra", [b"\0", b"x", _SHORT], ids=["zero", "one", "many"])
    def test_a_unit_that_goes_on_after_its_end_is_noticed(self, extra: bytes) -> None:
        compressor = self._with_framing()
        packed = b"".join(compressor.compress([_SHORT]))
        for chunks in ([packed + extra], [packed, extra], [packed, b"", extra]):
            with pytest.raises(IntegrityError):
                _drain(compressor.decompress(chunks))

    @_settings
    @given(st.binary(max_size=300), st.lists(st.tuples(st.integers(0), st.binary(max_size=4))), _sizes)
    def test_only_our_errors_come_out_whatever_goes_in(
        self, content: bytes, changes: list[tuple[int, bytes]], sizes: list[int]
    ) -> None:
        compressor = self.make_compressor()
        for unit in (content, _changed(b"".join(compressor.compress([content])), changes)):
            with suppress(IntegrityError):
                _drain(compressor.decompress(_split(unit, sizes)))

    def test_an_error_of_the_chunks_passes_unchanged(self) -> None:
        compressor = self.make_compressor()
        for use in (compressor.compress, compressor.decompress):
            assert _error_from(use, b"") is not None
        assert _error_from(compressor.compress, _RANDOM) is not None

    def test_one_instance_serves_many_units_at_once(self) -> None:
        compressor = self.make_compressor()
        _assert_interleaved(compressor.compress, compressor.decompress)
        _assert_threads(compressor.compress, compressor.decompress)

    @_settings
    @given(st.lists(st.binary(min_size=1, max_size=300), min_size=1))
    def test_pieces_compressed_apart_make_one_unit(self, pieces: list[bytes]) -> None:
        compressor = self.make_compressor()
        if not isinstance(compressor, PiecewiseCompressor):
            return
        packed = [compressor.compress_piece(piece, last=False) for piece in pieces[:-1]]
        packed.append(compressor.compress_piece(pieces[-1], last=True))
        assert b"".join(compressor.decompress(packed)) == b"".join(pieces)

    def _with_framing(self) -> Compressor:
        compressor = self.make_compressor()
        if compressor.algorithm == "store":
            pytest.skip("any bytes are a whole stored unit")
        return compressor


class EncryptorTests:
    """Subclass, and return the encryptor from `make_encryptor`.

    `make_wrong_encryptor` returns one of the same scheme that cannot open what the first one seals; without
    it that rule is skipped.
    """

    def make_encryptor(self) -> Encryptor:
        raise NotImplementedError("return an encryptor from make_encryptor")

    def make_wrong_encryptor(self) -> Encryptor | None:
        return None

    def test_the_scheme_can_stand_in_a_name(self) -> None:
        scheme = self.make_encryptor().scheme
        assert scheme
        assert not scheme.strip("abcdefghijklmnopqrstuvwxyz0123456789-")

    @_settings
    @given(_chunks, _sizes)
    def test_a_unit_comes_back_however_it_is_split(self, chunks: list[bytes], sizes: list[int]) -> None:
        encryptor = self.make_encryptor()
        sealed = b"".join(encryptor.encrypt(chunks))
        assert b"".join(encryptor.decrypt(_split(sealed, sizes))) == b"".join(chunks)

    @pytest.mark.parametrize("size", [1000, 64 * KiB, MiB, 8 * MiB])
    def test_a_long_unit_comes_back(self, size: int) -> None:
        encryptor = self.make_encryptor()
        sealed = b"".join(encryptor.encrypt(_split(_RANDOM, [size])))
        assert b"".join(encryptor.decrypt(_split(sealed, [size]))) == _RANDOM

    def test_a_long_unit_is_streamed_in_both_directions(self) -> None:
        encryptor = self.make_encryptor()
        sealed = b"".join(encryptor.encrypt([_RANDOM] * 8))
        assert _most_held(encryptor.encrypt, _RANDOM * 8) < 8 * MiB
        assert _most_held(encryptor.decrypt, sealed) < 8 * MiB

    def test_the_content_cannot_be_seen(self) -> None:
        sealed = b"".join(self.make_encryptor().encrypt([_SHORT]))
        assert all(_SHORT[at : at + 8] not in sealed for at in range(len(_SHORT) - 8))

    def test_no_two_units_are_sealed_alike(self) -> None:
        encryptor = self.make_encryptor()
        sealed = [b"".join(encryptor.encrypt([_RANDOM[:1000]])) for _ in range(20)]
        assert len(set(sealed)) == 20
        # The same key stream twice would show as equal bytes at the same place.
        assert all(_equal_bytes(one, sealed[0]) < len(one) / 2 for one in sealed[1:])

    @pytest.mark.parametrize("content", [b"", b"x", _SHORT], ids=["empty", "one-byte", "short"])
    def test_a_unit_that_is_cut_short_is_noticed(self, content: bytes) -> None:
        encryptor = self.make_encryptor()
        sealed = b"".join(encryptor.encrypt([content]))
        for end in range(len(sealed)):
            with pytest.raises((IntegrityError, WrongPassphraseError)):
                _drain(encryptor.decrypt([sealed[:end]]))

    def test_a_unit_that_goes_on_after_its_end_is_noticed(self) -> None:
        encryptor = self.make_encryptor()
        sealed = b"".join(encryptor.encrypt([_SHORT]))
        for chunks in ([sealed + b"\0"], [sealed, b"\0"], [sealed, b"", sealed]):
            with pytest.raises(IntegrityError):
                _drain(encryptor.decrypt(chunks))

    def test_every_flipped_byte_is_noticed(self) -> None:
        encryptor = self.make_encryptor()
        sealed = b"".join(encryptor.encrypt([_SHORT]))
        for at in range(len(sealed)):
            with pytest.raises((IntegrityError, WrongPassphraseError)):
                _drain(encryptor.decrypt([_flipped(sealed, at, 1 << at % 8)]))

    @_settings
    @given(st.binary(max_size=300), st.lists(st.tuples(st.integers(0), st.binary(max_size=4))), _sizes)
    def test_only_our_errors_come_out_whatever_goes_in(
        self, content: bytes, changes: list[tuple[int, bytes]], sizes: list[int]
    ) -> None:
        encryptor = self.make_encryptor()
        sealed = b"".join(encryptor.encrypt([content]))
        for unit in (content, _changed(sealed, changes)):
            if unit != sealed:
                with pytest.raises((IntegrityError, WrongPassphraseError)):
                    _drain(encryptor.decrypt(_split(unit, sizes)))

    def test_a_wrong_key_opens_nothing(self) -> None:
        wrong = self.make_wrong_encryptor()
        if wrong is None:
            pytest.skip("make_wrong_encryptor gives none")
        for content in (b"", _SHORT):
            sealed = b"".join(self.make_encryptor().encrypt([content]))
            with pytest.raises((WrongPassphraseError, IntegrityError)):
                _drain(wrong.decrypt([sealed]))

    def test_an_error_of_the_chunks_passes_unchanged(self) -> None:
        encryptor = self.make_encryptor()
        assert _error_from(encryptor.encrypt, _RANDOM) is not None
        assert _error_from(encryptor.decrypt, b"".join(encryptor.encrypt([_RANDOM]))[:-100]) is not None

    def test_one_instance_serves_many_units_at_once(self) -> None:
        encryptor = self.make_encryptor()
        _assert_interleaved(encryptor.encrypt, encryptor.decrypt)
        _assert_threads(encryptor.encrypt, encryptor.decrypt)


class _OfTheChunksError(Exception):
    pass


def _error_from(use: Callable[[Iterable[bytes]], Iterator[bytes]], content: bytes) -> BaseException | None:
    """What comes out of the codec when its input fails after `content`; None if it is not that very error."""
    error = _OfTheChunksError()

    def failing() -> Iterator[bytes]:
        yield from _split(content, [64 * KiB])
        raise error

    try:
        _drain(use(failing()))
    except _OfTheChunksError as caught:
        return caught if caught is error else None
    return None


def _most_held(use: Callable[[Iterable[bytes]], Iterator[bytes]], content: bytes) -> int:
    """The most input that was taken in without any output."""
    held = most = 0

    def counted() -> Iterator[bytes]:
        nonlocal held, most
        for chunk in _split(content, [64 * KiB]):
            held += len(chunk)
            most = max(most, held)
            yield chunk

    for out in use(counted()):
        held = 0 if out else held
    return most


def _assert_interleaved(
    forth: Callable[[Iterable[bytes]], Iterator[bytes]], back: Callable[[Iterable[bytes]], Iterator[bytes]]
) -> None:
    units = [[_RANDOM[at : at + 70_000]] * 20 for at in range(5)]
    there = _in_turns([forth(unit) for unit in units])
    assert _in_turns([back(_split(packed, [50_000])) for packed in there]) == [b"".join(u) for u in units]


def _assert_threads(
    forth: Callable[[Iterable[bytes]], Iterator[bytes]], back: Callable[[Iterable[bytes]], Iterator[bytes]]
) -> None:
    units = [_RANDOM[at : at + 1000] * (at % 7) for at in range(64)]

    def there_and_back(unit: bytes) -> bytes:
        return b"".join(back(forth([unit, unit])))

    with ThreadPoolExecutor(8) as executor:
        assert [*executor.map(there_and_back, units)] == [unit * 2 for unit in units]


def _in_turns(streams: Sequence[Iterator[bytes]]) -> list[bytes]:
    """Read all streams to their end, a chunk from each in turn."""
    taken: list[list[bytes]] = [[] for _ in streams]
    open_ones = list(zip(streams, taken, strict=True))
    while open_ones:
        for pair in tuple(open_ones):
            chunk = next(pair[0], None)
            if chunk is None:
                open_ones.remove(pair)
            else:
                pair[1].append(chunk)
    return [b"".join(parts) for parts in taken]


def _split(data: bytes, sizes: Sequence[int]) -> Iterator[bytes]:
    """The data in chunks of these sizes, over and over; an empty chunk first and last, as may happen."""
    yield b""
    start = 0
    for size in cycle(sizes):
        if start >= len(data):
            break
        yield data[start : start + size]
        start += size
    yield b""


def _changed(data: bytes, changes: Iterable[tuple[int, bytes]]) -> bytes:
    for at, new in changes:
        at %= len(data) + 1
        data = data[:at] + new + data[at + len(new) :]
    return data


def _flipped(data: bytes, at: int, mask: int) -> bytes:
    return data[:at] + bytes((data[at] ^ mask,)) + data[at + 1 :]


def _equal_bytes(one: bytes, other: bytes) -> int:
    return sum(a == b for a, b in zip(one, other, strict=False))


def _drain(chunks: Iterable[bytes]) -> None:
    for _ in chunks:
        pass
