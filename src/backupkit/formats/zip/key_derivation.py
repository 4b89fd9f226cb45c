"""The keys of WinZip AES: what small entries cost, and so derived many at once where that is possible."""

from __future__ import annotations

import ctypes
import mmap
import os
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import NamedTuple

from backupkit.errors import ConfigurationError
from backupkit.formats.zip.sha1_lanes import HmacPads, Lanes
from backupkit.passphrase import Passphrase

SALT_SIZE = 16
VERIFIER_SIZE = 2
_ROUNDS = 1000
_LONGEST = 99  # bytes; 7-Zip refuses more (kPasswordSizeMax in its WzAes.h)
_WORTH_COMPILING = 200  # derivations by OpenSSL take 0.1 s; who needs fewer does not pay for a compiler


class Keys(NamedTuple):
    """What AE-2 derives for one salt, 66 bytes in all."""

    cipher: bytes
    tag: bytes
    verifier: bytes

    def __repr__(self) -> str:
        return "Keys(…)"


class KeyDerivation:
    """Derives the keys of one passphrase; any number of threads may call it."""

    def __init__(self, passphrase: Passphrase) -> None:
        self._passphrase = passphrase
        self._pads: HmacPads | None = None

    def derive(self, salts: Sequence[bytes]) -> list[Keys]:
        """The keys for each salt, in order. The passphrase is fetched by the first call."""
        lanes = _COMPILER.lanes(len(salts))
        if lanes is None or len(salts) == 1:
            derived = [_by_openssl(self._secret(), salt) for salt in salts]
        else:
            pads = self._pads = self._pads or HmacPads(self._secret())
            derived = list(lanes.derive(pads, salts, _ROUNDS))
        return [Keys(bytes_[:32], bytes_[32:64], bytes_[64:66]) for bytes_ in derived]

    def at_once(self) -> int:
        """How many are best derived by one call."""
        lanes = _COMPILER.lanes(0)
        return 1 if lanes is None else lanes.keys

    def _secret(self) -> bytes:
        secret = self._passphrase.reveal()
        if len(secret) > _LONGEST:
            raise ConfigurationError(
                f"The passphrase from {self._passphrase.origin} is longer than {_LONGEST} bytes, which 7-Zip "
                "cannot type: use a shorter one."
            )
        return secret


def _by_openssl(secret: bytes, salt: bytes) -> bytes:
    # Not hashlib's, which looks the hash up anew for each round: 1.6 ms in place of 0.4.
    from cryptography.hazmat.primitives.hashes import SHA1
    from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC

    return PBKDF2HMAC(SHA1(), 66, salt, _ROUNDS).derive(secret)  # noqa: S303 - AE-2 fixes the hash


class _Compiler:
    """Compiles `Lanes` once, in a thread of its own, when so many keys were derived that it pays."""

    def __init__(self, worth: int = _WORTH_COMPILING) -> None:
        self._left = worth
        self._started = False
        self._lanes: Lanes | None = None

    def lanes(self, wanted: int) -> Lanes | None:
        """What was compiled, if it was; `wanted` keys are about to be derived."""
        self._left -= wanted  # by several threads at once it may count too few, which does no harm
        if self._left <= 0 and not self._started:
            self._started = True
            # Not a daemon, which the end of the process would interrupt within LLVM.
            with suppress(RuntimeError):  # no thread can be started: OpenSSL does the same
                threading.Thread(target=self._compile, name="backupkit compiler").start()
        return self._lanes

    def _compile(self) -> None:
        self._lanes = compiled()


def compiled() -> Lanes | None:
    """Compile `Lanes`; None where that is not installed, not allowed, not right or not faster."""
    try:
        return _tried(Lanes()) if _may_compile() else None
    except Exception:
        return None  # without llvmlite, or on a processor it does not know: OpenSSL does the same


def _tried(lanes: Lanes) -> Lanes | None:
    pads, salts = HmacPads(b"trial"), [os.urandom(SALT_SIZE) for _ in range(lanes.keys)]
    ours, by_lanes = _timed(lambda: [one[:66] for one in lanes.derive(pads, salts, _ROUNDS)])
    theirs, by_openssl = _timed(lambda: [_by_openssl(b"trial", salt) for salt in salts])
    return lanes if ours == theirs and by_lanes < by_openssl else None


def _timed(call: Callable[[], list[bytes]]) -> tuple[list[bytes], float]:
    """What it returns, and the best of three times: the machine may be busy with something else meanwhile."""
    times = []
    for _ in range(3):
        start = time.perf_counter()
        done = call()
        times.append(time.perf_counter() - start)
    return done, min(times)


def _may_compile() -> bool:
    """Whether memory may be made executable: where it may not (systemd's MemoryDenyWriteExecute), LLVM aborts."""
    page = mmap.mmap(-1, mmap.PAGESIZE)
    try:
        address = ctypes.addressof(ctypes.c_char.from_buffer(page))
        mprotect = ctypes.CDLL(None, use_errno=True).mprotect
        mprotect.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
        return bool(mprotect(address, mmap.PAGESIZE, mmap.PROT_READ | mmap.PROT_EXEC) == 0)
    except (OSError, AttributeError):
        return False


_COMPILER = _Compiler()
