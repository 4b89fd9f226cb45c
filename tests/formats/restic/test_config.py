"""The config."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from backupkit.destinations.local import LocalDestination
from backupkit.errors import ConfigurationError, IntegrityError
from backupkit.formats.restic.config import Config
from backupkit.formats.restic.polynomial import is_irreducible
from tests.formats.restic.stock import Restic, made_here, make_cheap, opened

FIELDS = {"version": 2, "id": "ab" * 32, "chunker_polynomial": "3da3358b4dc173"}


def test_a_config_is_itself_again() -> None:
    config = Config.made()
    assert Config.parse(config.fields(), location="/backups") == config
    assert Config.made() != config


def test_a_second_repository_may_have_the_chunker_parameter_of_the_first() -> None:
    first = Config.made()
    second = Config.made(first.polynomial)
    assert second.polynomial == first.polynomial
    assert second.id != first.id


def test_the_chunker_parameter_is_secret() -> None:
    config = Config.parse(FIELDS, location="/backups")
    assert "3da3358b4dc173" not in repr(config)
    assert str(config.polynomial) not in repr(config)


@pytest.mark.parametrize(
    "wrong",
    [
        {"version": None}, {"version": "x"}, {"version": float("inf")},
        {"id": None}, {"id": "ab"}, {"id": "AB" * 32},
        {"chunker_polynomial": None}, {"chunker_polynomial": 5}, {"chunker_polynomial": "x"},
        {"chunker_polynomial": "0"}, {"chunker_polynomial": "-5"},
    ],
)  # fmt: skip
def test_what_is_no_config_is_an_integrity_error(wrong: dict[str, Any]) -> None:
    with pytest.raises(IntegrityError, match="The config of the repository at /backups"):
        Config.parse(FIELDS | wrong, location="/backups")


@pytest.mark.parametrize("fields", [None, [], 5, "version", {}])
def test_what_is_no_mapping_is_no_config(fields: Any) -> None:
    with pytest.raises(IntegrityError, match="has no version"):
        Config.parse(fields, location="/backups")


def test_a_newer_version_asks_for_a_newer_library() -> None:
    with pytest.raises(
        ConfigurationError, match="of version 3 of its format, which is newer than this library"
    ):
        Config.parse(FIELDS | {"version": 3}, location="/backups")


@pytest.mark.interop
def test_restic_accepts_a_config_of_ours(tmp_path: Path) -> None:
    repository, restic = made_here(tmp_path / "repository")
    assert restic.cat("config") == repository.config.fields()
    restic.must("check")


@pytest.mark.interop
def test_a_repository_of_version_1_says_how_to_bring_it_to_version_2(
    made_by_restic: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "repository"
    shutil.copytree(made_by_restic, folder)
    destination = LocalDestination(folder)
    with pytest.raises(ConfigurationError, match="with restic, by `restic migrate upgrade_repo_v2`"):
        opened(destination)
    make_cheap(destination)
    restic = Restic(folder)
    restic.must("migrate", "upgrade_repo_v2")
    config = opened(destination).config
    assert config.fields() == restic.cat("config")
    assert is_irreducible(config.polynomial)
