"""Key files: ours for restic, and restic's for us."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backupkit.destinations.local import LocalDestination
from backupkit.errors import IntegrityError
from backupkit.formats.restic import keys
from backupkit.formats.restic.documents import decode
from backupkit.formats.restic.keys import KeyFile, made_key_file
from backupkit.formats.restic.objects import Objects
from backupkit.formats.restic.sealing import MasterKey, Sealer
from tests.formats.restic.stock import PASSPHRASE, made_here

MASTER = MasterKey.of(bytes(range(64)))
NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
usual_cost = keys.usual_cost  # before the tests make it cheap


def fields(**changes: Any) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(made_key_file(PASSPHRASE, MASTER, now=NOW).content())
    return content | changes


def parsed(content: dict[str, Any]) -> KeyFile:
    return KeyFile.parse(json.dumps(content).encode(), where="keys/ab")


def test_a_passphrase_opens_its_own_key_file_and_no_other() -> None:
    key_file = parsed(fields())
    assert key_file.open(PASSPHRASE, where="keys/ab") == MASTER
    for wrong in ("", PASSPHRASE + " ", PASSPHRASE.upper(), "ü", "\udcff"):
        assert key_file.open(wrong, where="keys/ab") is None


@given(st.text())
def test_any_text_may_be_a_passphrase(passphrase: str) -> None:
    try:
        key_file = made_key_file(passphrase, MASTER, now=NOW)
    except UnicodeEncodeError:  # no text, and no bytes of a command line either
        return
    assert key_file.open(passphrase, where="keys/ab") == MASTER


def test_a_key_file_says_what_restic_says_in_the_same_order() -> None:
    assert list(fields()) == ["created", "username", "hostname", "kdf", "N", "r", "p", "salt", "data"]
    assert fields()["created"] == "2026-01-31T12:00:00Z"
    assert fields()["salt"] != fields()["salt"]


def test_a_key_file_is_as_costly_as_restic_makes_it() -> None:
    cost = usual_cost()
    assert (cost.n, cost.r) == (32768, 8)
    assert 3 <= cost.p <= 20


@pytest.mark.parametrize(
    "wrong",
    [
        {"kdf": "argon2"}, {"N": 0}, {"N": 1}, {"N": 3}, {"N": -2}, {"r": 0}, {"p": 0}, {"N": "x"}, {"N": None},
        {"N": 1 << 40}, {"N": 1 << 20, "r": 1}, {"r": 1 << 40}, {"p": 1 << 40}, {"N": 2, "r": 1, "p": 1 << 26},
        {"N": 1 << 15, "r": 8, "p": 1 << 10}, {"salt": 5}, {"salt": "?"}, {"data": None}, {"data": "ü"},
    ],
)  # fmt: skip
def test_absurd_parameters_are_refused_before_anything_is_derived(wrong: dict[str, Any]) -> None:
    with pytest.raises(IntegrityError, match="keys/ab is no key file"):
        parsed(fields(**wrong))


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{}", b"5", b"null", b"\xff", b"[" * 100_000, b'{"kdf":"scrypt"}']
)
def test_what_is_no_key_file_is_an_integrity_error(content: bytes) -> None:
    with pytest.raises(IntegrityError, match="keys/ab is no key file"):
        KeyFile.parse(content, where="keys/ab")


@given(
    st.fixed_dictionaries(
        {
            name: st.integers(0, 1 << 33) | st.sampled_from([1 << n for n in range(33)])
            for name in ("N", "r", "p")
        }
    )
)
def test_whatever_is_not_refused_can_be_derived(cost: dict[str, int]) -> None:
    try:
        key_file = parsed(fields(**cost))
    except IntegrityError:
        return
    if key_file.cost.n * key_file.cost.r * key_file.cost.p < 1 << 12:
        assert key_file.open(PASSPHRASE, where="keys/ab") in (None, MASTER)


@pytest.mark.parametrize("plain", [b"", b"[]", b"5", b'{"mac":{}}', b"\xff"])
def test_a_key_file_without_a_master_key_is_an_integrity_error(plain: bytes) -> None:
    key_file = parsed(fields())
    sealer = Sealer(keys._derived(PASSPHRASE, key_file.salt, key_file.cost))
    broken = KeyFile(
        cost=key_file.cost,
        salt=key_file.salt,
        sealed=sealer.seal(plain),
        created="",
        username="",
        hostname="",
    )
    with pytest.raises(IntegrityError, match="keys/ab holds no master key"):
        broken.open(PASSPHRASE, where="keys/ab")


def test_secrets_are_not_shown() -> None:
    shown = repr(parsed(content := fields()))
    assert content["created"] in shown
    assert "salt" not in shown
    assert "sealed" not in shown


@pytest.mark.interop
def test_restic_opens_our_key_file(tmp_path: Path) -> None:
    repository, restic = made_here(tmp_path / "repository")
    (key,) = [id for id, _ in repository.objects.list("keys")]
    master = KeyFile.parse(repository.objects.read("keys", key), where=key).open(PASSPHRASE, where=key)
    assert master is not None
    found = restic.cat("masterkey")
    assert found["encrypt"] == master.fields()["encrypt"]
    assert found["mac"]["k"] == master.fields()["mac"]["k"]  # of r, it shows only the bits that count


@pytest.mark.interop
def test_we_open_the_key_file_of_restic(made_by_restic: Path) -> None:
    objects = Objects(LocalDestination(made_by_restic))
    (key,) = [id for id, _ in objects.list("keys")]
    key_file = KeyFile.parse(objects.read("keys", key), where=key)
    # restic measures what the machine can do: 32768 on most, and less where others keep it busy.
    assert key_file.cost.n in (8192, 16384, 32768, 65536)
    assert key_file.cost.r == 8
    master = key_file.open(PASSPHRASE, where=key)
    assert master is not None
    assert decode(objects.read_config(), Sealer(master), where="config")["version"] == 1
