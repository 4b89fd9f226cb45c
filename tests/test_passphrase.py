from __future__ import annotations

import copy
import pickle
import sys
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backupkit.errors import ConfigurationError
from backupkit.passphrase import Passphrase

SECRET = "correct-horse-battery"


def test_the_text_is_the_secret() -> None:
    assert Passphrase("pässword").reveal() == "pässword".encode()


def test_an_environment_variable_is_read_at_first_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BACKUP_SECRET", raising=False)
    passphrase = Passphrase.from_env("BACKUP_SECRET")
    monkeypatch.setenv("BACKUP_SECRET", SECRET)
    assert passphrase.reveal() == SECRET.encode()
    monkeypatch.setenv("BACKUP_SECRET", "changed")
    assert passphrase.reveal() == SECRET.encode()  # and then no more


@pytest.mark.parametrize("text", [SECRET, SECRET + "\n", SECRET + "\r\n", SECRET + "\nsecond line\n"])
def test_of_a_file_the_first_line_counts(text: str, tmp_path: Path) -> None:
    path = tmp_path / "passphrase"
    passphrase = Passphrase.from_file(path)
    path.write_bytes(text.encode())
    assert passphrase.reveal() == SECRET.encode()


def test_of_a_command_the_first_line_it_prints_counts() -> None:
    passphrase = Passphrase.from_command([sys.executable, "-c", f"print('{SECRET}'); print('more')"])
    assert passphrase.reveal() == SECRET.encode()


def test_a_command_is_no_shell() -> None:
    script = "import sys; print(sys.argv[1])"
    assert Passphrase.from_command([sys.executable, "-c", script, "$HOME; ls"]).reveal() == b"$HOME; ls"


def test_a_callable_is_asked_once_even_by_many_threads() -> None:
    asked = []

    def fetch() -> str:
        asked.append(True)
        return SECRET

    passphrase = Passphrase.from_callable(fetch, name="vault")
    assert not asked
    with ThreadPoolExecutor(8) as executor:
        assert {*executor.map(lambda _: passphrase.reveal(), range(64))} == {SECRET.encode()}
    assert len(asked) == 1


def test_what_failed_once_is_asked_again() -> None:
    answers = iter([OSError("vault is sealed"), SECRET])

    def fetch() -> str:
        answer = next(answers)
        if isinstance(answer, OSError):
            raise answer
        return str(answer)

    passphrase = Passphrase.from_callable(fetch, name="vault")
    with pytest.raises(ConfigurationError):
        passphrase.reveal()
    assert passphrase.reveal() == SECRET.encode()


@pytest.mark.parametrize("text", ["", None, 5, b"bytes"], ids=repr)
def test_what_is_no_text_is_refused_at_once(text: object) -> None:
    with pytest.raises(ConfigurationError, match="encryptor=None"):
        Passphrase(text)  # type: ignore[arg-type] # the point of the test


def test_a_secret_that_is_not_set_is_never_an_empty_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("BACKUP_SECRET", raising=False)
    (tmp_path / "empty").write_text("\nsecond line", encoding="utf-8")
    for passphrase in (
        Passphrase.from_env("BACKUP_SECRET"),
        Passphrase.from_file(tmp_path / "empty"),
        Passphrase.from_file(tmp_path / "missing"),
        Passphrase.from_command([sys.executable, "-c", ""]),
        Passphrase.from_command([sys.executable, "-c", f"print('{SECRET}'); raise SystemExit(1)"]),
        Passphrase.from_command(["/does/not/exist"]),
        Passphrase.from_callable(lambda: ""),
    ):
        with pytest.raises(ConfigurationError) as caught:
            passphrase.reveal()
        assert passphrase.origin in str(caught.value)


def test_the_message_says_where_the_secret_was_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BACKUP_SECRET", raising=False)
    with pytest.raises(ConfigurationError, match="environment variable BACKUP_SECRET is empty or not set"):
        Passphrase.from_env("BACKUP_SECRET").reveal()


def test_no_form_of_it_shows_the_secret() -> None:
    passphrase = Passphrase(SECRET, previous=["older-" + SECRET])
    passphrase.reveal()
    shown = [repr(passphrase), str(passphrase), f"{passphrase}", f"{[passphrase]}", passphrase.origin]
    assert not [text for text in shown if SECRET in text]
    assert SECRET not in str(passphrase.weakness())


def test_no_error_shows_the_secret() -> None:
    def fetch() -> str:
        raise ValueError(f"the vault answered {SECRET}, which it should not have told")

    failing = [
        Passphrase.from_callable(fetch, name="vault"),
        Passphrase.from_command(["/does/not/exist", SECRET]),
        Passphrase.from_command([sys.executable, "-c", "raise SystemExit(1)", SECRET]),
    ]
    for passphrase in failing:
        with pytest.raises(ConfigurationError) as caught:
            passphrase.reveal()
        assert SECRET not in str(caught.value)
        assert SECRET not in "".join(traceback.format_exception(caught.value))


def test_a_weak_secret_is_named_as_such_and_a_long_one_is_not() -> None:
    weak = ["x", "password", "12345678901234", "a" * 100, "abcabcabcabcabcabcabc"]
    assert [text for text in weak if Passphrase(text).weakness() is None] == []
    strong = ["five words are long enough", "k7Gq9ZpX2mLw4RtY", "correct horse battery staple"]
    assert [text for text in strong if Passphrase(text).weakness() is not None] == []


@given(st.text(st.characters(codec=None), min_size=1))
def test_any_text_has_a_strength_and_bytes(text: str) -> None:
    passphrase = Passphrase(text)
    try:
        text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return
    assert passphrase.reveal().decode("utf-8", "surrogateescape") or text
    weakness = passphrase.weakness()
    assert weakness is None or "easy to guess" in weakness


def test_previous_ones_are_tried_after_it_in_order() -> None:
    passphrase = Passphrase("new", previous=["older", Passphrase("old", previous=["oldest"])])
    assert [one.reveal() for one in passphrase.candidates()] == [b"new", b"older", b"old", b"oldest"]


def test_it_refuses_to_be_stored() -> None:
    passphrase = Passphrase(SECRET)
    for store in (pickle.dumps, copy.deepcopy, copy.copy):
        with pytest.raises(TypeError, match="not pickled"):
            store(passphrase)
