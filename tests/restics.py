"""The stock `restic` client, in each version that can be had, and what tests ask of it.

python -m tests.restics     # fetches the newer ones into the user's cache folder, once; `./dev test` does
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from cryptography.hazmat.primitives.poly1305 import Poly1305

from tests.tools import require_tool

SUITES = ("trixie", "sid")
"""Debian's suites whose restic is held against ours too, beside the one that is installed: 0.18, and the newest."""
FOLDER = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "backupkit-tests" / "restic"
PASSWORD = "a passphrase of a test"
_POLYNOMIAL = "25b468838dcb75"  # the example of restic's design document
_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_PATIENCE = 120.0  # seconds for one call of apt or restic


class ResticError(Exception):
    """What restic said when it failed."""

    def __init__(self, command: Sequence[str], returncode: int, output: str) -> None:
        super().__init__(f"{' '.join(command)} ended with {returncode}:\n{output}")
        self.returncode = returncode
        self.output = output


@dataclass(frozen=True)
class Restic:
    """One version of the client, at one repository: a folder, or a URL such as `s3:http://127.0.0.1:8333/bucket`.

    Each call is a process of at least 0.2 s; what fails is a `ResticError`. To derive a key takes another 0.5 s,
    and to make one 2.5 s. In folders the former is spared by cheap keys, and `plant` spares both.
    """

    program: Path
    repository: str | Path
    cache: Path
    password: str = PASSWORD
    settings: Mapping[str, str] = field(default_factory=dict)
    """More of its environment, such as the keys of a store."""

    @property
    def environment(self) -> dict[str, str]:
        """That of a process; nothing of the user's own settings for restic."""
        others = {name: one for name, one in os.environ.items() if not name.startswith(("RESTIC_", "AWS_"))}
        return {
            **others,
            **self.settings,
            "RESTIC_REPOSITORY": str(self.repository),
            "RESTIC_PASSWORD": self.password,
            "RESTIC_CACHE_DIR": str(self.cache),
            "RESTIC_PROGRESS_FPS": "0.01",
        }

    def run(
        self, *arguments: str | Path, stdin: bytes = b"", environment: Mapping[str, str] | None = None
    ) -> str:
        """What it printed. All else that it can do is called by this."""
        command = [str(self.program), *map(str, arguments)]
        done = subprocess.run(
            command,
            input=stdin,
            env={**self.environment, **(environment or {})},
            capture_output=True,
            timeout=_PATIENCE,
            check=False,
        )
        output = done.stdout.decode(errors="surrogateescape")
        if done.returncode:
            said = output + done.stderr.decode(errors="backslashreplace")
            raise ResticError(command, done.returncode, said)
        return output

    def init(self, *, like: Restic | None = None, version: int = 2) -> None:
        """Make the repository; one that cuts files as another does, if that is given."""
        options = ["--repository-version", str(version)]
        if like is None:
            self.run("init", *options)
        else:
            self.run("init", *options, "--copy-chunker-params", environment=_source(like))
        self._cheapen(self.password)

    def plant(self) -> None:
        """Make an empty repository in a folder as `init` does, in no time; all of them cut files alike."""
        folder = Path(self.repository)
        for name in ("index", "keys", "locks", "snapshots", *(f"data/{number:02x}" for number in range(256))):
            (folder / name).mkdir(parents=True)
        master = os.urandom(64)
        config = {"version": 2, "id": os.urandom(32).hex(), "chunker_polynomial": _POLYNOMIAL}
        (folder / "config").write_bytes(_sealed(master, json.dumps(config).encode()))
        mac = {"k": _base64(master[32:48]), "r": _base64(master[48:])}
        plain = json.dumps({"mac": mac, "encrypt": _base64(master[:32])}).encode()
        _write_key(
            folder / "keys", self.password, {"created": "2026-01-01T00:00:00Z", "kdf": "scrypt"}, plain
        )

    def backup(self, *paths: Path, options: Sequence[str] = (), stdin: bytes = b"") -> dict[str, Any]:
        """The summary that it prints: `snapshot_id`, `files_new`, `files_unmodified`, `data_added` and so on."""
        lines = self.run("backup", "--json", *options, *paths, stdin=stdin).splitlines()
        (summary,) = (one for one in map(json.loads, lines) if one["message_type"] == "summary")
        return dict(summary)

    def check(self, *, read_data: bool = False) -> str:
        return self.run("check", *(["--read-data"] if read_data else []))

    def snapshots(self) -> list[dict[str, Any]]:
        return list(json.loads(self.run("snapshots", "--json")))

    def ls(self, snapshot: str = "latest") -> dict[str, dict[str, Any]]:
        """Each node by its path."""
        nodes = map(json.loads, self.run("ls", "--json", snapshot).splitlines())
        return {node["path"]: node for node in nodes if node["struct_type"] == "node"}

    def stats(self, snapshot: str = "latest", *, mode: str = "restore-size") -> dict[str, Any]:
        return dict(json.loads(self.run("stats", "--json", "--mode", mode, snapshot)))

    def restore(self, to: Path, snapshot: str = "latest", *, options: Sequence[str] = ()) -> str:
        return self.run("restore", *options, "--target", to, snapshot)

    def forget(self, *snapshots: str, prune: bool = True, options: Sequence[str] = ()) -> str:
        return self.run("forget", *(["--prune"] if prune else []), *options, *snapshots)

    def prune(self, *, options: Sequence[str] = ()) -> str:
        return self.run("prune", *options)

    def diff(self, one: str, other: str) -> list[str]:
        """What differs in content or kind, as it prints it: `+`, `-`, `M`, `T` and a path."""
        lines = self.run("diff", one, other).splitlines()
        return [line for line in lines if line[:1] in ("+", "-", "M", "T") and line[1:5].strip() == ""]

    def copy_from(self, source: Restic, *snapshots: str) -> str:
        """Copy these, or all, from another repository to this one."""
        return self.run("copy", *snapshots, environment=_source(source))

    def cat(self, what: str, *which: str) -> Any:
        """The JSON of "config", "masterkey", or of a "snapshot", "index", "key" or "lock" by its id."""
        return json.loads(self.run("cat", what, *which))

    def add_key(self, password: str) -> None:
        with tempfile.NamedTemporaryFile("w") as file:
            file.write(password)
            file.flush()
            self.run("key", "add", "--new-password-file", file.name)
        self._cheapen(password)

    def list(self, what: str) -> list[str]:
        """The ids of "blobs", "packs", "index", "snapshots", "keys" or "locks"."""
        return self.run("list", what, "--no-lock").split()

    def unlock(self) -> None:
        """Remove the locks of processes that are gone."""
        self.run("unlock")

    def _cheapen(self, password: str) -> None:
        if isinstance(self.repository, Path):
            for file in (self.repository / "keys").iterdir():
                cheapen(file, password)


def _source(source: Restic) -> dict[str, str]:
    return {"RESTIC_FROM_REPOSITORY": str(source.repository), "RESTIC_FROM_PASSWORD": source.password}


def cheapen(file: Path, password: str) -> None:
    """Put in a key file's place one that costs next to nothing; nothing happens if it is another password's."""
    key = json.loads(file.read_bytes())
    derived = Scrypt(base64.b64decode(key["salt"]), 64, key["N"], key["r"], key["p"]).derive(
        password.encode()
    )
    try:
        plain = _opened(derived, base64.b64decode(key["data"]))
    except InvalidSignature:
        return
    _write_key(file.parent, password, key, plain)
    file.unlink()


def _write_key(folder: Path, password: str, facts: Mapping[str, Any], plain: bytes) -> None:
    salt = os.urandom(64)
    derived = Scrypt(salt, 64, 2, 1, 1).derive(password.encode())
    cheap = {"N": 2, "r": 1, "p": 1, "salt": _base64(salt), "data": _base64(_sealed(derived, plain))}
    content = json.dumps({**facts, **cheap}).encode()
    (folder / hashlib.sha256(content).hexdigest()).write_bytes(content)


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()


# "Keys, Encryption and MAC" of restic's design document: 32 bytes of key for AES-256-CTR, 16 for AES-128 of the
# nonce, 16 of Poly1305's r; an object is a nonce, the ciphertext and its MAC.
def _sealed(secret: bytes, plain: bytes) -> bytes:
    nonce = os.urandom(16)
    ciphertext = _counted(secret, nonce, plain)
    return nonce + ciphertext + _mac(secret, nonce, ciphertext).finalize()


def _opened(secret: bytes, sealed: bytes) -> bytes:
    nonce, ciphertext, tag = sealed[:16], sealed[16:-16], sealed[-16:]
    _mac(secret, nonce, ciphertext).verify(tag)
    return _counted(secret, nonce, ciphertext)


def _counted(secret: bytes, nonce: bytes, content: bytes) -> bytes:
    return Cipher(algorithms.AES(secret[:32]), modes.CTR(nonce)).encryptor().update(content)


def _mac(secret: bytes, nonce: bytes, ciphertext: bytes) -> Poly1305:
    pad = Cipher(algorithms.AES(secret[32:48]), modes.ECB()).encryptor().update(nonce)  # noqa: S305 - one block
    mac = Poly1305(secret[48:64] + pad)
    mac.update(ciphertext)
    return mac


@dataclass(frozen=True)
class Client:
    """One version, wherever it is."""

    program: Path

    def at(self, repository: str | Path, cache: Path, *, password: str = PASSWORD, **settings: str) -> Restic:
        """The client of a repository, whose cache is in the folder."""
        return Restic(self.program, repository, cache, password, settings)

    @property
    def version(self) -> tuple[int, ...]:
        return tuple(map(int, _version(self.program).split(".")))


def client(suite: str) -> Client:
    """The one of this suite; "installed" is the machine's own. The calling test is skipped where there is none."""
    if suite == "installed":
        return Client(require_tool("restic"))
    program = FOLDER / suite / "restic"
    if not program.exists():
        pytest.skip(
            f"restic of Debian {suite} is not here, and is fetched where apt is: python -m tests.restics"
        )
    return Client(program)


def clients(suites: Iterable[str] = ("installed", *SUITES)) -> list[Any]:
    """For the parameters of a fixture: each of them, named by its version."""
    return [pytest.param(suite, id=f"restic-{_named(suite)}") for suite in suites]


def _named(suite: str) -> str:
    program = shutil.which("restic") if suite == "installed" else FOLDER / suite / "restic"
    return _version(Path(program)) if program and Path(program).exists() else suite


@cache
def _version(program: Path) -> str:
    """Such as 0.14.0."""
    return subprocess.run([program, "version"], check=True, capture_output=True, text=True).stdout.split()[1]


def _fetch(suite: str) -> None:
    """Unpack the suite's restic from the mirror that apt uses. apt checks its signature, in folders of its own."""
    target = FOLDER / suite
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as name:
        folder = Path(name)
        for one in ("lists/partial", "cache/archives/partial", "parts"):
            (folder / one).mkdir(parents=True)
        (folder / "status").touch()
        signed = f"[signed-by={_KEYRING}] " if _KEYRING.exists() else ""
        (folder / "sources.list").write_text(f"deb {signed}{_mirror()} {suite} main\n")
        settings = {
            "Dir::State": folder,
            "Dir::State::status": folder / "status",
            "Dir::Cache": folder / "cache",
            "Dir::Etc::SourceList": folder / "sources.list",
            "Dir::Etc::SourceParts": folder / "parts",
            "Dir::Etc::Preferences": os.devnull,
            "Dir::Etc::PreferencesParts": folder / "parts",
            "Acquire::Languages": "none",
            "APT::Sandbox::User": "",  # another user could not write here
        }
        options = [f"-o{name}={value}" for name, value in settings.items()]
        for command in (["update", "-q"], ["download", "-q", f"restic/{suite}"]):
            _quietly("apt-get", *options, *command, folder=folder)
        (package,) = folder.glob("restic_*.deb")
        _quietly("dpkg-deb", "-x", package.name, "unpacked", folder=folder)
        program = folder / "unpacked" / "usr" / "bin" / "restic"
        _quietly(str(program), "version", folder=folder)  # one that needs a newer system is none
        target.mkdir(exist_ok=True)
        program.replace(target / "restic")


def _mirror() -> str:
    fields = ("Origin: Debian", "Label: Debian", "Component: main", "Created-By: Packages")
    found = _quietly("apt-get", "indextargets", "--format", "$(REPO_URI)", *fields).split()
    if not found:
        raise OSError("apt knows no mirror of Debian")
    return found[0]


def _quietly(*command: str, folder: Path | None = None) -> str:
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=_PATIENCE, check=False, errors="replace"
    )
    if done.returncode:
        raise OSError(f"{command[0]}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def _fetch_all() -> None:
    """Fetch what is not here yet. Where that does not succeed, it is said, and its tests are skipped."""
    for suite in SUITES:
        if (FOLDER / suite / "restic").exists():
            continue
        try:
            _fetch(suite)
        except (OSError, subprocess.SubprocessError) as error:
            sys.stderr.write(f"Tests with restic of Debian {suite} will not run: {error}\n")


if __name__ == "__main__":
    _fetch_all()
