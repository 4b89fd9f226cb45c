from __future__ import annotations

import pickle
import zlib
from random import Random

import pytest
import zstandard

from backupkit.compression import Deflate, Store, Zstd, compressor_named
from backupkit.errors import ConfigurationError, IntegrityError
from backupkit.protocols import Compressor, PiecewiseCompressor
from backupkit.testing.codecs import CompressorTests

TEXT = b"".join(b"%d: the same again, and then some\n" % number for number in range(5_000))


class TestStore(CompressorTests):
    def make_compressor(self) -> Compressor:
        return Store()


class TestDeflate(CompressorTests):
    def make_compressor(self) -> Compressor:
        return Deflate()


class TestDeflateOfZlib(CompressorTests):
    def make_compressor(self) -> Compressor:
        return Deflate(level=6)


class TestZstd(CompressorTests):
    largest_piece = 128 << 10

    def make_compressor(self) -> Compressor:
        return Zstd()


@pytest.mark.parametrize("level", range(1, 10))
def test_zlib_reads_what_every_level_of_deflate_writes(level: int) -> None:
    packed = b"".join(Deflate(level).compress([TEXT[:5], TEXT[5:]]))
    assert zlib.decompress(packed, wbits=-15) == TEXT


@pytest.mark.parametrize("level", range(1, 20))
def test_zstd_itself_reads_what_every_level_writes(level: int) -> None:
    for chunks in ([TEXT], [TEXT[:5], TEXT[5:]], [TEXT[:5], TEXT[5:9], TEXT[9:]]):
        packed = b"".join(Zstd(level).compress(chunks))
        assert zstandard.ZstdDecompressor().decompressobj().decompress(packed) == TEXT


@pytest.mark.parametrize("checksum", [True, False])
@pytest.mark.parametrize("size", [True, False])
@pytest.mark.parametrize("length", [0, 1, 255, 256, 70_000, len(TEXT)])
def test_every_form_of_a_zstd_frame_is_read(length: int, size: bool, checksum: bool) -> None:
    compressor = zstandard.ZstdCompressor(write_checksum=checksum, write_content_size=size)
    stream = compressor.compressobj(length if size else -1)
    packed = stream.compress(TEXT[:length]) + stream.flush()
    assert b"".join(Zstd().decompress([packed])) == TEXT[:length]


def test_zlib_reads_pieces_that_were_compressed_apart() -> None:
    pieces = [TEXT[:100_000], TEXT[100_000:]]
    packed = [
        Deflate().compress_piece(piece, last=last) for piece, last in zip(pieces, (False, True), strict=True)
    ]
    assert zlib.decompress(b"".join(packed), wbits=-15) == TEXT


def test_deflate_and_store_can_be_compressed_in_pieces_and_zstd_cannot() -> None:
    assert isinstance(Deflate(), PiecewiseCompressor)
    assert isinstance(Store(), PiecewiseCompressor)
    assert not isinstance(Zstd(), PiecewiseCompressor)


def test_every_flipped_byte_of_a_zstd_unit_is_noticed() -> None:
    content = Random(1).randbytes(100)
    packed = b"".join(Zstd().compress([content]))
    for at in range(len(packed)):
        for bit in range(8):
            damaged = packed[:at] + bytes((packed[at] ^ 1 << bit,)) + packed[at + 1 :]
            try:
                assert b"".join(Zstd().decompress([damaged])) == content, (at, bit)
            except IntegrityError:
                continue


def test_a_second_zstd_frame_is_noticed() -> None:
    packed = b"".join(Zstd().compress([b"content"]))
    for chunks in ([packed + packed], [packed, packed], [packed, b"", packed]):
        with pytest.raises(IntegrityError, match="goes on after its end"):
            list(Zstd().decompress(chunks))


def test_an_empty_chunk_after_the_end_is_no_damage() -> None:
    for compressor in (Store(), Deflate(), Zstd()):
        packed = b"".join(compressor.compress([TEXT]))
        assert b"".join(compressor.decompress([packed, b"", b""])) == TEXT


@pytest.mark.parametrize("level", [0, 10, -1])
def test_a_level_that_deflate_does_not_have_is_refused(level: int) -> None:
    with pytest.raises(ConfigurationError, match="1 to 9"):
        Deflate(level)


@pytest.mark.parametrize("level", [0, 20, -1])
def test_a_level_that_zstd_does_not_have_is_refused(level: int) -> None:
    with pytest.raises(ConfigurationError, match="1 to 19"):
        Zstd(level)


@pytest.mark.parametrize("compressor", [Store(), Deflate(4), Zstd(9, threads=1)], ids=repr)
def test_a_compressor_survives_the_way_to_another_process(compressor: Store | Deflate | Zstd) -> None:
    list(compressor.compress([b"a context was made"]))
    copy: Compressor = pickle.loads(pickle.dumps(compressor))
    assert repr(copy) == repr(compressor)
    assert b"".join(compressor.decompress(copy.compress([TEXT]))) == TEXT


@pytest.mark.parametrize(
    ("name", "algorithm"),
    [
        ("none", "store"),
        ("store", "store"),
        ("deflate", "deflate"),
        ("gzip", "deflate"),
        ("zstd", "zstd"),
    ],
)
def test_a_compressor_can_be_named(name: str, algorithm: str) -> None:
    assert compressor_named(name).algorithm == algorithm


def test_a_name_that_no_compressor_has_is_refused_with_those_there_are() -> None:
    with pytest.raises(ConfigurationError, match=r"'lzma'.*none, store, deflate, gzip, zstd"):
        compressor_named("lzma")


@pytest.mark.parametrize("threads", [0, 1, 3])
@pytest.mark.parametrize("level", [1, 2, 3])
def test_a_large_unit_is_one_frame_whatever_the_threads(level: int, threads: int) -> None:
    large = [bytes([number]) * 1000 + TEXT for number in range(40)]
    packed = b"".join(Zstd(level, threads=threads).compress(large))
    frame = zstandard.ZstdDecompressor().decompressobj()
    assert frame.decompress(packed) == b"".join(large)
    assert (frame.eof, frame.unused_data) == (True, b"")


def test_threads_of_zstd_change_no_byte_from_one_time_to_the_next() -> None:
    large = [bytes([number]) * 1000 + TEXT for number in range(100)]
    assert len({b"".join(Zstd(threads=3).compress(large)) for _ in range(5)}) == 1


def test_a_negative_number_of_threads_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="threads=-1"):
        Zstd(threads=-1)
