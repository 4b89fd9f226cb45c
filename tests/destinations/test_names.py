from __future__ import annotations

import pytest

from backupkit.destinations.names import check_name, is_name
from backupkit.errors import ConfigurationError


@pytest.mark.parametrize(
    "name",
    [
        "shop/2026-11-23T03-00-00.123456Z-databases.incomplete.json",
        "backupkit/shop/2026-11-23T03-00-00.123456Z/2026-11-23T03-00-00.123456Z-verified",
        "a..b",
        "console/null.zip",
        "com/lpt",
        "a" * 229,
        "/".join(["a" * 99] * 7),
    ],
)
def test_a_name_that_every_store_keeps_as_it_is_may_be_used(name: str) -> None:
    check_name(name)
    assert is_name(name)


@pytest.mark.parametrize("name", ["a.", "a./b", "a..", "con", "Aux.zip", "a/COM1/b", "lpt9.tar.gz", "nul."])
def test_a_name_that_windows_would_take_for_another_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match="cannot be the name of an object: use parts"):
        check_name(name)
    assert not is_name(name)


@pytest.mark.parametrize("name", ["thumbs.db", "a/Desktop.ini"])
def test_a_name_that_dropbox_keeps_nothing_under_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match="cannot be the name of an object: use parts"):
        check_name(name)
    assert not is_name(name)


def test_a_name_has_no_more_parts_than_azures_folders_may_be_deep() -> None:
    check_name("/".join("a" * 40))
    assert not is_name("/".join("a" * 41))
    with pytest.raises(ConfigurationError, match=r"too long .* at most 40 parts"):
        check_name("/".join("a" * 41))


def test_a_part_leaves_room_for_the_name_of_the_unfinished_object() -> None:
    longest = "a" * 229
    assert len(f".{longest}.0123456789abcdef.partial") == 255
    for name in (longest + "a", f"b/{longest}a/c"):
        with pytest.raises(ConfigurationError, match=r"is too long .* at most 700 characters, and 229"):
            check_name(name)
        assert not is_name(name)


def test_a_name_leaves_room_for_the_folder_of_the_destination() -> None:
    with pytest.raises(ConfigurationError, match="is too long"):
        check_name("/".join(["a" * 100] * 7))
