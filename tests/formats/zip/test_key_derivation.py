from __future__ import annotations

import ctypes
import hashlib
import subprocess
import sys
import threading
from collections.abc import Sequence
from itertools import count

import pytest

from backupkit.formats.zip import key_derivation
from backupkit.formats.zip.key_derivation import KeyDerivation, Keys, compiled
from backupkit.passphrase import Passphrase

SECRET = "five words are long enough"
SALTS = [bytes([number]) * 16 for number in range(21)]

needs_llvmlite = pytest.mark.skipif(
    compiled() is None, reason="llvmlite is not installed, or no faster: pip install 'backupkit[speed]'"
)


def by_hashlib(salts: Sequence[bytes]) -> list[Keys]:
    derived = [hashlib.pbkdf2_hmac("sha1", SECRET.encode(), salt, 1000, 66) for salt in salts]
    return [Keys(one[:32], one[32:64], one[64:]) for one in derived]


def compiler(monkeypatch: pytest.MonkeyPatch, *, worth: int) -> key_derivation._Compiler:
    one = key_derivation._Compiler(worth)
    monkeypatch.setattr(key_derivation, "_COMPILER", one)
    # Whether it is faster, and so used at all, is not for a busy machine to say: what is measured first wins.
    ticks = count()
    monkeypatch.setattr(key_derivation, "_timed", lambda call: (call(), float(next(ticks))))
    return one


def wait_for_compiler() -> None:
    for thread in threading.enumerate():
        if thread.name == "backupkit compiler":
            thread.join()


def test_keys_are_those_of_the_specification(monkeypatch: pytest.MonkeyPatch) -> None:
    compiler(monkeypatch, worth=10**9)
    assert KeyDerivation(Passphrase(SECRET)).derive(SALTS) == by_hashlib(SALTS)


@needs_llvmlite
def test_compiled_or_not_the_keys_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    compiler(monkeypatch, worth=1)
    derivation = KeyDerivation(Passphrase(SECRET))
    first = derivation.derive(SALTS)
    wait_for_compiler()
    assert derivation.at_once() > 1
    assert derivation.derive(SALTS) == first == by_hashlib(SALTS)


@needs_llvmlite
def test_nothing_is_compiled_for_a_few_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    few = compiler(monkeypatch, worth=len(SALTS) + 1)
    derivation = KeyDerivation(Passphrase(SECRET))
    derivation.derive(SALTS)
    wait_for_compiler()
    assert few.lanes(0) is None
    derivation.derive(SALTS[:1])
    wait_for_compiler()
    assert few.lanes(0) is not None


def test_without_llvmlite_there_is_openssl(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "llvmlite", None)
    monkeypatch.setitem(sys.modules, "llvmlite.binding", None)
    assert compiled() is None


def test_what_is_not_right_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_derivation, "_by_openssl", lambda secret, salt: bytes(66))
    assert compiled() is None


# prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN), Linux 6.3; systemd's MemoryDenyWriteExecute is the same to us.
HARDENED = """
import ctypes, sys
if ctypes.CDLL(None).prctl(65, 1, 0, 0, 0) != 0:
    sys.exit(77)
from backupkit.formats.zip.key_derivation import compiled
sys.exit(0 if compiled() is None else 1)
"""


def test_where_no_memory_may_be_made_executable_nothing_is_compiled() -> None:
    if not sys.platform.startswith("linux") or ctypes.CDLL(None).prctl(66, 0, 0, 0, 0) < 0:
        pytest.skip("this kernel cannot refuse executable memory (prctl PR_SET_MDWE, Linux 6.3)")
    done = subprocess.run([sys.executable, "-c", HARDENED], check=False)
    assert done.returncode == 0


def test_where_no_thread_can_be_started_openssl_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    compiler(monkeypatch, worth=1)
    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert KeyDerivation(Passphrase(SECRET)).derive(SALTS) == by_hashlib(SALTS)


def test_keys_do_not_show_themselves() -> None:
    (keys,) = KeyDerivation(Passphrase(SECRET)).derive(SALTS[:1])
    assert repr(keys) == f"{keys}" == "Keys(…)"
