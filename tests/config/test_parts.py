"""Parts of other packages are named like ours, and none of them can disturb what is not theirs."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import backupkit
from backupkit import ConfigurationError, Deflate, SettingsError
from backupkit.config import from_mapping
from backupkit.config.building import built, surroundings_of
from backupkit.config.models import field_of
from backupkit.config.parts import KINDS, Kind, part_named, types_of
from backupkit.config.places import local, remote
from backupkit.config.reading import Read
from backupkit.config.showing import effective
from backupkit.config.signatures import signature_of
from backupkit.config.values import Surroundings
from backupkit.destinations.local import LocalDestination
from backupkit.filesystems.transfer import Transfer
from backupkit.protocols import Compressor

NEEDED = {"sources": "/srv/shop", "destinations": "/mnt/backup", "encryptor": "none"}

MODULE = """
from __future__ import annotations
from datetime import timedelta
from typing import TYPE_CHECKING
from backupkit import Deflate
from backupkit.protocols import Compressor, Notifier
if TYPE_CHECKING:
    from nowhere import Engine


class Slow(Deflate):
    def __init__(self, inner: Compressor, *, wait: timedelta, engine: str | Engine = "", copy: int = 1) -> None:
        super().__init__()
        self.told = inner, wait, engine, copy


def failing(*, level: int, token: str = "") -> Compressor:
    raise ValueError(f"no level {level} for {token}")


class Both:
    def __init__(self, first: str, *others: Notifier, last: str = "") -> None:
        self.told = first, others, last
        self.on = frozenset()

    def notify(self, notice): ...
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package that is installed in a folder, and brings some parts."""
    (tmp_path / "slowly.py").write_text(MODULE)
    (tmp_path / "broken_one.py").write_text("import nowhere_to_be_found\n")
    info = tmp_path / "backupkit_slowly-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: backupkit-slowly\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[backupkit.compressors]\nslow = slowly:Slow\nfailing = slowly:failing\nbroken = broken_one:Gone\n"
        "[backupkit.notifiers]\nboth = slowly:Both\n"
        "[backupkit.formats]\nzip = slowly:Slow\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "slowly", raising=False)
    return tmp_path


def compressor(value: object) -> Compressor | None:
    found = from_mapping(
        {"pipelines": {"shop": {**NEEDED, "compressor": value}}}, environ={"T": "secret-token"}
    )
    return found.pipeline().compressor


@pytest.mark.usefixtures("package")
def test_a_part_of_a_package_is_made_by_its_types_like_ours() -> None:
    made = compressor(
        {"type": "slow", "inner": {"type": "deflate", "level": 6}, "wait": "2 minutes", "copy": 3}
    )
    inner, wait, engine, copy = made.told  # type: ignore[union-attr]
    assert isinstance(inner, Deflate)
    assert (inner.level, wait.total_seconds(), engine, copy) == (6, 120, "", 3)


@pytest.mark.usefixtures("package")
def test_what_stands_before_a_list_of_parts_is_given_by_its_place() -> None:
    table = {
        "type": "both",
        "first": "a",
        "others": ["environment", {"type": "both", "first": "b"}],
        "last": "z",
    }
    (made,) = (
        from_mapping({"pipelines": {"shop": {**NEEDED, "notifiers": table}}}, environ={}).pipeline().notifiers
    )
    first, (other,), last = made.told  # type: ignore[attr-defined]  # the environment has no notifiers
    assert (first, other.told, last) == ("a", ("b", (), ""), "z")


@pytest.mark.usefixtures("package")
def test_mistakes_in_a_part_of_a_package_are_told_like_ours() -> None:
    with pytest.raises(SettingsError) as caught:
        compressor({"type": "slow", "inner": "deflat", "waits": "2 minutes"})
    told = [problem.partition("compressor.")[2] for problem in caught.value.problems]
    assert [one.partition(":")[0] for one in told] == ["inner", "wait", "waits"]


@pytest.mark.usefixtures("package")
def test_a_part_that_cannot_be_imported_is_told_with_its_package_and_disturbs_no_other() -> None:
    with pytest.raises(
        SettingsError, match=r"the package backupkit-slowly .* cannot be imported .*nowhere_to_be"
    ):
        compressor("broken")
    assert isinstance(compressor("gzip"), Deflate)
    assert "broken" in types_of(next(kind for kind in KINDS if kind.name == "compressors"))


@pytest.mark.usefixtures("package")
def test_a_name_of_ours_cannot_be_taken() -> None:
    with pytest.raises(SettingsError, match='"zip", by which backupkit-slowly would be meant too'):
        from_mapping({"pipelines": {"shop": {**NEEDED, "format": "zip"}}}, environ={})
    assert from_mapping({"pipelines": {"shop": NEEDED}}, environ={})


@pytest.mark.usefixtures("package")
def test_what_a_package_says_of_its_failure_is_told_unless_it_shows_a_secret() -> None:
    with pytest.raises(ConfigurationError, match=r"ValueError: no level 3 for $"):
        compressor({"type": "failing", "level": 3})
    with pytest.raises(ConfigurationError) as caught:
        compressor({"type": "failing", "level": 3, "token": "${T}"})
    assert str(caught.value).endswith("compressor: is not possible: ValueError")


@pytest.mark.usefixtures("package")
def test_of_a_part_of_a_package_nothing_is_shown_that_was_taken_from_elsewhere() -> None:
    table = {"type": "slow", "inner": "zstd", "wait": "2 minutes", "engine": "${T}", "copy": "${N}"}
    read = Read({"pipelines": {"shop": {**NEEDED, "compressor": table}}}, "here")
    made = built(read, surroundings_of(None, environ={"T": "secret-token", "N": "3"})).made["shop"]
    assert effective(made)["compressor"] == {
        "type": "slow",
        "inner": {"type": "zstd", "level": 2},
        "wait": "2 minutes",
        "engine": "${T}",
        "copy": 3,
    }


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind in KINDS for name in kind.types])
def test_all_that_our_parts_need_can_be_said(kind: Kind, name: str) -> None:
    part = part_named(kind, name)
    assert part is not None
    for parameter in part.signature.parameters:
        if parameter.required and parameter.hint is not Surroundings:
            assert field_of(parameter) is not None, parameter


# What plain data cannot say: objects of the application's, and what tests put in the place of time.
UNSAID = {"clock", "console", "executor", "fs", "logger", "registry", "sleep", "tell", "storage_options"}


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind in KINDS for name in kind.types])
def test_nothing_else_of_our_parts_is_left_out(kind: Kind, name: str) -> None:
    part = part_named(kind, name)
    assert part is not None
    unsaid = {
        one.name
        for one in part.signature.parameters
        if one.hint is not Surroundings and field_of(one) is None
    }
    assert unsaid <= UNSAID


def test_destinations_have_the_options_that_they_have_in_python() -> None:
    def names(make: object) -> set[str]:
        return {one.name for one in signature_of(make).parameters}  # type: ignore[arg-type]

    assert names(local) - {"url"} == names(LocalDestination) - {"folder"}
    assert names(remote) - {"url", "allow_plaintext", "storage_options"} == names(Transfer)
    defaults = {one.name: one.default for one in signature_of(remote).parameters}
    assert {name: defaults[name] for name in names(Transfer)} == {
        one.name: one.default for one in signature_of(Transfer).parameters
    }


def test_every_part_that_can_be_imported_from_backupkit_can_be_named() -> None:
    made = {part_named(kind, name).signature.make for kind in KINDS for name in kind.types}  # type: ignore[union-attr]
    seams = ("entries", "compress", "plan", "problems", "notify", "record", "hold", "shares_bytes")
    public = [getattr(backupkit, name) for name in backupkit.__all__]
    parts = {
        one
        for one in public
        if isinstance(one, type)
        and any(hasattr(one, name) for name in seams)
        and not issubclass(one, backupkit.Backups | backupkit.Comparison | BaseException)
        and one.__module__ != "backupkit.model"
    }
    # `Limits` is no part of a pipeline: whoever starts runs of a fleet has it.
    assert parts - made - {backupkit.Notification, backupkit.Limits} == set(), "name it in config/parts.py"


def test_what_stands_before_several_parts_keeps_its_default() -> None:
    def make(first: int = 1, *others: int) -> list[int]:
        return [first, *others]

    assert signature_of(make).call({"others": [2, 3]}) == [1, 2, 3]
