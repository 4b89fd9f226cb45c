"""Key files: the master key, sealed under what scrypt makes of a passphrase (restic design document, "Keys …")."""

from __future__ import annotations

import getpass
import json
import os
import time
from base64 import b64decode, b64encode
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache

from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from backupkit.errors import IntegrityError
from backupkit.formats.restic import go_json
from backupkit.formats.restic.sealing import MasterKey, Sealer
from backupkit.formats.restic.times import time_text

_SALT = 64
_MEMORY = 1 << 29  # bytes that a key file may ask scrypt for; restic's own ask for 32 MiB
_WORK = 1 << 27  # N * r * p; restic's own ask for some 4 million


@dataclass(frozen=True, slots=True)
class Cost:
    """The parameters of scrypt (RFC 7914): N, r and p."""

    n: int
    r: int
    p: int


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyFile:
    """What one key file says; `sealed` is the master key."""

    cost: Cost
    salt: bytes = field(repr=False)
    sealed: bytes = field(repr=False)
    created: str
    username: str
    hostname: str

    @classmethod
    def parse(cls, content: bytes, *, where: str) -> KeyFile:
        """Read a key file; IntegrityError if it is none, or asks for more than a sane one would."""
        try:
            fields = json.loads(content)
            if fields["kdf"] != "scrypt":
                raise ValueError(f"it derives keys by {str(fields['kdf'])[:20]!r}, not by scrypt")
            cost = Cost(int(fields["N"]), int(fields["r"]), int(fields["p"]))
            # RFC 7914, section 2: N is a power of two, more than 1 and less than 2^(128 * r / 8).
            power = cost.n > 1 and not cost.n & (cost.n - 1)
            if not power or cost.r < 1 or cost.p < 1 or cost.n.bit_length() > 16 * cost.r:
                raise ValueError("its scrypt parameters are impossible")
            if 128 * cost.r * (cost.n + cost.p) > _MEMORY or cost.n * cost.r * cost.p > _WORK:
                raise ValueError("its scrypt parameters ask for more memory or time than any program's")
            return cls(
                cost=cost,
                salt=b64decode(fields["salt"], validate=True),
                sealed=b64decode(fields["data"], validate=True),
                created=str(fields.get("created", "")),
                username=str(fields.get("username", "")),
                hostname=str(fields.get("hostname", "")),
            )
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
            raise IntegrityError(f"{where} is no key file: {error}.", where=where) from error

    def content(self) -> bytes:
        """As it is stored."""
        return go_json.dumps(
            {
                "created": self.created,
                "username": self.username,
                "hostname": self.hostname,
                "kdf": "scrypt",
                "N": self.cost.n,
                "r": self.cost.r,
                "p": self.cost.p,
                "salt": b64encode(self.salt).decode(),
                "data": b64encode(self.sealed).decode(),
            }
        )

    def open(self, passphrase: str, *, where: str) -> MasterKey | None:
        """The master key; None if this passphrase is not this file's. Takes half a second, off Python's lock."""
        derived = Sealer(_derived(passphrase, self.salt, self.cost))
        try:
            plain = derived.unseal(self.sealed, where=where)
        except IntegrityError:
            return None
        try:
            return MasterKey.from_fields(json.loads(plain))
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise IntegrityError(f"{where} holds no master key: {error}.", where=where) from error


def made_key_file(passphrase: str, master: MasterKey, *, now: datetime) -> KeyFile:
    """A new key file, which opens this master key for this passphrase."""
    salt, cost = os.urandom(_SALT), usual_cost()
    sealed = Sealer(_derived(passphrase, salt, cost)).seal(go_json.dumps(master.fields()))
    return KeyFile(
        cost=cost,
        salt=salt,
        sealed=sealed,
        created=time_text(now),
        username=user_name(),
        hostname=os.uname().nodename,
    )


@cache
def usual_cost() -> Cost:
    """As restic chooses it: 32 MiB of memory, and as often as takes half a second on this machine."""
    once = Cost(1 << 15, 8, 1)
    began = time.perf_counter()
    _derived("", bytes(_SALT), once)
    took = time.perf_counter() - began
    # Never below what OWASP's cheat sheet on storing passwords asks for with that much memory, however busy
    # the machine was.
    return Cost(once.n, once.r, min(max(3, round(0.5 / took)), 20))


def user_name() -> str:
    """Who runs this; empty if nobody knows."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        return ""


def _derived(passphrase: str, salt: bytes, cost: Cost) -> MasterKey:
    # Not hashlib's, which takes 0.41 seconds where this takes 0.35: it brings a newer OpenSSL.
    secret = Scrypt(salt, 64, cost.n, cost.r, cost.p).derive(passphrase.encode("utf-8", "surrogateescape"))
    return MasterKey.of(secret)
