"""What a pattern means when paths are looked for; tests/sources/test_files_selection.py has what one leaves out."""

from __future__ import annotations

import pytest

from backupkit.errors import ConfigurationError
from backupkit.patterns import finder, folders_within

PATHS = (
    *(
        "srv/",
        "srv/shop/",
        "srv/shop/orders.csv",
        "srv/shop/Orders.CSV",
        "srv/shop/old/",
        "srv/shop/old/orders.csv",
    ),
    *("srv/shop/odd[1].txt", "srv/shop/new\nline.csv", "other/", "other/shop", "orders.csv"),
)


@pytest.mark.parametrize(
    ("patterns", "meant"),
    [
        (["orders.csv"], ["srv/shop/orders.csv", "srv/shop/old/orders.csv", "orders.csv"]),
        (["/orders.csv"], ["orders.csv"]),
        (["shop"], ["srv/shop/", "other/shop"]),
        (["shop/"], ["srv/shop/"]),
        (["/srv/shop/"], ["srv/shop/"]),
        (["orders.csv/", "/other/shop/"], []),
        (["/srv/shop/*.csv"], ["srv/shop/orders.csv", "srv/shop/new\nline.csv"]),
        (["srv/**/orders.csv"], ["srv/shop/orders.csv", "srv/shop/old/orders.csv"]),
        (["/srv/*/o*"], ["srv/shop/orders.csv", "srv/shop/old/", "srv/shop/odd[1].txt"]),
        (["srv/shop/odd[1].txt"], ["srv/shop/odd[1].txt"]),
        (["orders.csv", "!/srv/shop/old/*"], ["srv/shop/orders.csv", "orders.csv"]),
        (["other", "srv"], ["srv/", "other/"]),
    ],
)  # fmt: skip
def test_a_pattern_means_paths_and_not_what_is_in_them(patterns: list[str], meant: list[str]) -> None:
    assert [*filter(finder(patterns), PATHS)] == meant


def test_case_counts_unless_told_otherwise() -> None:
    found = [*filter(finder(["/SRV/shop/ORDERS.csv"], ignore_case=True), PATHS)]
    assert found == ["srv/shop/orders.csv", "srv/shop/Orders.CSV"]


@pytest.mark.parametrize("patterns", [[], ["/"], ["x", " "], ["# x"]])
def test_what_means_nothing_is_refused(patterns: list[str]) -> None:
    with pytest.raises(ConfigurationError):
        finder(patterns)


def test_patterns_say_in_which_folders_they_can_match() -> None:
    assert folders_within(["/srv/shop/*.csv", "/etc/hosts"]) == ["srv/shop", "etc/hosts"]
    assert folders_within(["/srv/shop/*.csv", "orders.csv"]) is None
    assert folders_within(["shop/"]) is None


def test_a_newline_is_a_character_of_a_name() -> None:
    assert finder(["srv/**/x"])("srv/a\nb/c/x")
    assert not finder(["orders.csv"])("orders.csv\n")


def test_a_path_written_out_may_begin_with_a_blank() -> None:
    assert folders_within([" lead/x"]) == ["lead/x", " lead/x"]
    assert finder([" lead/x"])(" lead/x")
