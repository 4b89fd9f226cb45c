"""What a run is made of, each primitive measured alone, and how far a whole run is from their sum.

The limit is what the machine could do if nothing but these primitives took time and all processors shared them
evenly: their sum, divided by how much more all processors do together than one does alone (two that share a core
do less than twice as much); or what the disk takes, where that is longer. A run that takes 1.5 times its limit
spends a third of its time on something else, or leaves processors idle.
"""

from __future__ import annotations

import hashlib
import hmac
import itertools
import os
import shutil
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from programs import PASSPHRASE, MiB
from trees import Tree

_PIECES = 96  # of 1 MiB
_FILES = 4000
_TRIES = 3


def processors() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True)
class Primitive:
    """What one did to the sample, and how many seconds it takes for the whole tree."""

    calls: int
    size: int
    seconds: float
    whole: float


@dataclass(frozen=True)
class Sample:
    """Evenly spread parts of a tree: whole files if they are small, pieces of 1 MiB if not."""

    pieces: Sequence[bytes]
    small: bool
    times: float  # how many samples the tree is

    def each(self, function: Callable[[bytes], object], pieces: Sequence[bytes] | None = None) -> Primitive:
        """Time a call for each piece."""
        pieces = self.pieces if pieces is None else pieces
        return self.of(pieces, lambda: [function(piece) for piece in pieces])

    def units(
        self, function: Callable[[Iterable[bytes]], Iterator[bytes]], pieces: Sequence[bytes]
    ) -> Primitive:
        """Time what works on whole entries: a small file, or one large one made of all pieces."""
        units = [[piece] for piece in pieces] if self.small else [pieces]
        return self.of(pieces, lambda: [sum(map(len, function(unit))) for unit in units])

    def of(self, pieces: Sequence[bytes], function: Callable[[], object]) -> Primitive:
        seconds = best(function)
        return Primitive(len(pieces), sum(map(len, pieces)), seconds, seconds * self.times)


def measure(
    tree: Path, made: Tree, folder: Path, taken: Mapping[tuple[str, str], tuple[float, float]]
) -> None:
    """Print the primitives of what is done with this tree; `taken` are whole runs' seconds, wall and cpu."""
    sample = sample_of(tree, made)
    together = gain(sample)
    what = "files" if sample.small else "pieces of 1 MiB"
    print(f"primitives\neach alone, on one processor, on {len(sample.pieces)} {what} of the tree\n")
    print(f"{'':40} {'us a call':>9} {'MB/s':>9} {'tree, s':>9}")
    seconds = best(lambda: read_tree(tree))
    read = shown("find, open and read a file", Primitive(made.files, made.size, seconds, seconds))
    hashed = shown("SHA-256", sample.each(lambda piece: hashlib.sha256(piece).digest()))
    with creating(folder / "created") as create_one:
        create = shown("create a file, write, rename", sample.each(create_one))
    limits = [
        limit
        for name in ("deflate", "zstd")
        for limit in of_archive(name, sample, folder, (read, hashed, create))
    ]
    of_keys(sample)
    print(f"\n{processors()} processors do {together:.2f} times what one does\n")
    headings = ("sum, s", "disk, s", "limit, s", "run, s", "run / limit", "cpu / sum")
    print(f"{'':20}" + "".join(f"{heading:>12}" for heading in headings))
    for operation, name, work, disk in limits:
        limit, (wall, cpu) = max(work / together, disk), taken[operation, name]
        figures = (work, disk, limit, wall, wall / limit, cpu / work)
        print(f"{operation + ', ' + name:20}" + "".join(f"{figure:12.2f}" for figure in figures))
    print()


def of_archive(
    name: str, sample: Sample, folder: Path, given: tuple[Primitive, Primitive, Primitive]
) -> Iterator[tuple[str, str, float, float]]:
    """Show what depends on the compressor. Yield for each operation its sum and what the disk takes, in seconds."""
    from backupkit.compression import Deflate, Zstd
    from backupkit.formats.zip.aes import WinZipAES
    from backupkit.passphrase import Passphrase

    read, hashed, create = given
    sealer = WinZipAES(Passphrase(PASSPHRASE))
    codec = Deflate() if name == "deflate" else Zstd()

    def compress(piece: bytes) -> bytes:
        return (
            codec.compress_piece(piece, last=True)
            if isinstance(codec, Deflate)
            else b"".join(codec.compress([piece]))
        )

    # A large file whose first piece does not shrink is stored; of a small one only trying tells.
    tried = [piece for piece in sample.pieces if sample.small or len(compress(piece)) < 0.97 * len(piece)]
    press = shown(f"{name}: {codec}", sample.each(compress, tried))
    packed = [out for piece in tried if len(out := compress(piece)) < len(piece)]
    stored = [
        piece for piece in sample.pieces if piece not in set(tried) or len(compress(piece)) >= len(piece)
    ]
    bodies = packed + stored
    unpress = shown(
        f"{name}: decompress", sample.each(lambda body: sum(map(len, codec.decompress([body]))), packed)
    )
    seal = shown(f"{name}: derive keys, AES, HMAC", sample.units(sealer.encrypt, bodies))
    units = [[body] for body in bodies] if sample.small else [bodies]
    sealed = [list(sealer.encrypt(unit)) for unit in units]

    def unsealed() -> None:
        for start in range(0, len(sealed), 32):
            group = sealed[start : start + 32]
            if sample.small:  # as small entries are read: so many at a time
                sealer.expect([unit[0] for unit in group])
            for unit in group:
                sum(map(len, sealer.decrypt(unit)))

    unseal = shown(f"{name}: the same, decrypting", sample.of(bodies, unsealed))
    path = folder / "primitive"
    append = shown(f"{name}: write the archive", sample.of(bodies, lambda: write(path, bodies, flush=False)))
    flush = shown(f"{name}: write it to the disk", sample.of(bodies, lambda: write(path, bodies, flush=True)))
    again = shown(f"{name}: read the archive", sample.of(bodies, lambda: read_again(path, bodies)))
    path.unlink()
    yield "write", name, sum(one.whole for one in (read, hashed, press, seal, append)), flush.whole
    verify = sum(one.whole for one in (again, unseal, unpress, hashed))
    yield "verify", name, verify, 0.0
    yield "restore", name, verify + create.whole, 0.0


def of_keys(sample: Sample) -> None:
    """Show what sealing is made of, by the libraries that are fastest at it. Not part of the sums again."""
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
    from cryptography.hazmat.primitives.hashes import SHA1
    from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC

    def derive(_: bytes) -> bytes:
        return PBKDF2HMAC(SHA1(), 66, os.urandom(16), 1000).derive(PASSPHRASE.encode())

    def set_up(_: bytes) -> object:
        return Cipher(algorithms.AES(bytes(32)), modes.ECB()).encryptor(), hmac.new(
            bytes(32), digestmod="sha1"
        )

    print(f"{'of the above':40}")
    entries = sample.pieces if sample.small else sample.pieces[:1]
    for name, function in (("key of one entry (PBKDF2)", derive), ("cipher and HMAC of one entry", set_up)):
        of_one = sample.each(function, entries)
        shown(f"  {name}", Primitive(of_one.calls, 0, of_one.seconds, of_one.whole if sample.small else 0.0))
    counter = Cipher(algorithms.AES(bytes(32)), modes.CTR(bytes(16))).encryptor()
    shown("  AES-256-CTR by OpenSSL", sample.each(counter.update))
    tag = hmac.new(bytes(32), digestmod="sha1")
    shown("  HMAC-SHA1", sample.each(tag.update))
    shown("  CRC-32 (without encryption only)", sample.each(zlib.crc32))


def shown(name: str, primitive: Primitive) -> Primitive:
    call = primitive.seconds / max(primitive.calls, 1) * 1e6
    speed = f"{primitive.size / primitive.seconds / 1e6:9.0f}" if primitive.size else f"{'':9}"
    print(f"{name:40} {call:9.1f} {speed} {primitive.whole:9.2f}", flush=True)
    return primitive


def sample_of(tree: Path, made: Tree) -> Sample:
    paths = sorted(path for path in tree.rglob("*") if path.is_file())
    if made.size / made.files < MiB:
        files = [path.read_bytes() for path in paths[:: max(1, len(paths) // _FILES)]]
        return Sample(files, small=True, times=made.files / len(files))
    step = max(1, made.size // (_PIECES * MiB))
    pieces = []
    for path in paths:
        content = path.read_bytes()
        pieces += [content[at : at + MiB] for at in range(0, len(content), step * MiB)]
    return Sample(pieces, small=False, times=made.size / sum(map(len, pieces)))


def gain(sample: Sample) -> float:
    """How many times as much all processors hash in a second as one does."""
    count = processors()
    pieces = [b"".join(sample.pieces[:1000])[:MiB]] * 64

    def work() -> None:
        for piece in pieces:
            hashlib.sha256(piece).digest()

    def everywhere() -> None:
        with ThreadPoolExecutor(count) as executor:
            for done in [executor.submit(work) for _ in range(count)]:
                done.result()

    # Where others are at work it can come out as less than one, which says nothing about the machine.
    return min(max(1.0, count * best(work) / best(everywhere)), float(count))


def best(function: Callable[[], object]) -> float:
    """The shortest of a few times: others on the machine only ever make it longer."""
    taken = []
    for _ in range(_TRIES):
        start = time.perf_counter()
        function()
        taken.append(time.perf_counter() - start)
    return min(taken)


def read_tree(folder: Path) -> None:
    with os.scandir(folder) as found:
        for entry in found:
            if entry.is_dir(follow_symlinks=False):
                read_tree(Path(entry.path))
                continue
            file = os.open(entry.path, os.O_RDONLY)
            os.fstat(file)
            while os.read(file, MiB):
                pass
            os.close(file)


@contextmanager
def creating(folder: Path) -> Iterator[Callable[[bytes], None]]:
    """A function that makes one more file, the way a restore does: under another name first."""
    folder.mkdir()
    numbers = itertools.count()

    def create(content: bytes) -> None:
        final = f"{folder}/{next(numbers)}"
        file = os.open(f"{final}.partial", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        os.write(file, content)
        os.close(file)
        os.rename(f"{final}.partial", final)

    yield create
    shutil.rmtree(folder)


def write(path: Path, bodies: Sequence[bytes], *, flush: bool) -> None:
    path.unlink(missing_ok=True)
    with path.open("wb", buffering=MiB) as file:
        for body in bodies:
            file.write(body)
        file.flush()
        if flush:
            os.fsync(file.fileno())


def read_again(path: Path, bodies: Sequence[bytes]) -> None:
    with path.open("rb", buffering=0) as file:
        for body in bodies:
            file.read(len(body))
