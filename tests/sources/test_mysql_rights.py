"""What is read out of SHOW GRANTS."""

from __future__ import annotations

import pytest

from backupkit.sources._mysql_rights import rights_of

MARIADB, MYSQL = "10.11.6-MariaDB", "8.4.3"


def told(*lines: str, database: str = "my_shop", version: str = MARIADB) -> tuple[bool, bool, bool]:
    """Whether all tables, all triggers and all routines are seen."""
    rights = rights_of([f"{line} TO `me`@`%`" for line in lines], database, version)
    return rights.on_all("SELECT"), rights.on_all("TRIGGER"), rights.sees_routines


@pytest.mark.parametrize(
    ("on", "covered"),
    [
        ("*.*", True),
        ("`my_shop`.*", True),
        (r"`my\_shop`.*", True),
        ("`my%`.*", True),
        ("`%`.*", True),
        ('"my_shop".*', True),
        ("`my_shop`.`orders`", False),
        ("`my%`.`orders`", False),
        (r"`my\_%p`.*", True),
        (r"`my\%`.*", False),
        ("`other`.*", False),
        ("`my_shop2`.*", False),
        ("`my`.*", False),
        ("`a`` ON ``b`.*", False),
    ],
)
def test_a_right_counts_where_it_was_granted(on: str, covered: bool) -> None:
    assert told(f"GRANT SELECT, SHOW VIEW, TRIGGER ON {on}")[:2] == (covered, covered)
    assert told(f"GRANT ALL PRIVILEGES ON {on}")[:2] == (covered, covered)
    assert told("GRANT USAGE ON *.*", f"GRANT EVENT ON {on}")[:2] == (False, False)


def test_a_name_with_an_underscore_is_a_pattern() -> None:
    assert told("GRANT SELECT ON `my_shop`.*", database="my-shop")[0]
    assert not told(r"GRANT SELECT ON `my\_shop`.*", database="my-shop")[0]


@pytest.mark.parametrize(
    ("grant", "version", "seen"),
    [
        ("SELECT, SHOW VIEW, TRIGGER, EVENT, LOCK TABLES ON `my_shop`.*", MARIADB, False),
        ("SELECT, SHOW VIEW, TRIGGER, EVENT, LOCK TABLES ON `my_shop`.*", MYSQL, False),
        ("SELECT ON *.*", MARIADB, True),
        ("SELECT ON *.*", MYSQL, True),
        ("SELECT ON `mysql`.`proc`", MARIADB, True),
        ("SELECT ON `mysql`.*", "5.7.44-log", True),
        ("SELECT ON `mysql`.*", MYSQL, False),
        ("SHOW_ROUTINE ON *.*", MYSQL, True),
        ("EXECUTE ON `my_shop`.*", MARIADB, True),
        ("ALL PRIVILEGES ON `my_shop`.*", MARIADB, True),
        ("EXECUTE ON `other`.*", MARIADB, False),
        ("EXECUTE ON PROCEDURE `my_shop`.`one`", MARIADB, False),
    ],
)
def test_routines_are_seen_only_with_rights_of_their_own(grant: str, version: str, seen: bool) -> None:
    assert told(f"GRANT {grant}", version=version)[2] is seen


def test_a_right_on_columns_is_none_on_tables() -> None:
    assert not told("GRANT SELECT (`a`, `b`), TRIGGER ON `my_shop`.*")[0]
    rights = rights_of(
        ["GRANT SELECT (`a`, `b`), TRIGGER ON `my_shop`.`orders` TO `me`@`%`"], "my_shop", MARIADB
    )
    assert rights.on_table("orders", "TRIGGER")
    assert not rights.on_table("orders", "SELECT")
    assert not rights.on_table("others", "TRIGGER")


def test_what_was_revoked_for_the_database_is_not_there() -> None:
    rights = rights_of(
        ["GRANT SELECT, TRIGGER ON *.* TO `me`@`%`", "REVOKE TRIGGER ON `my_shop`.* FROM `me`@`%`"],
        "my_shop",
        MYSQL,
    )
    assert (rights.on_all("SELECT"), rights.on_all("TRIGGER")) == (True, False)


def test_a_server_without_grants_allows_all() -> None:
    assert told() == (True, True, True)


def test_a_role_and_a_proxy_allow_nothing_themselves() -> None:
    assert told("GRANT `reader`", "GRANT PROXY ON ''@'%'") == (False, False, False)
